"""Measured claims: one harness, a counting receiver, figures as JSON and as a table."""
