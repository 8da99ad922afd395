"""Floor 2: the rules of the bus, pure: no clock, no network, no database."""
