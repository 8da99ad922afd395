"""Floor 6: people's pages, a shell over casework."""
