"""Floor 2: carrying notices between processes; one port, two implementations."""
