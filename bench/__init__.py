"""Measured claims: one harness, a counting receiver in its own process, figures as JSON and as a table."""
