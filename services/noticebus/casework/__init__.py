"""Floor 5: every use case; one function is one transaction."""
