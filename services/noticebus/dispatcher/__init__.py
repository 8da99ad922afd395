"""Floor 6: claim, send, record."""
