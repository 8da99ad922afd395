"""Floor 6: the HTTP interface, a shell over casework."""
