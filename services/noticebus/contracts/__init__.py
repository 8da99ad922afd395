"""Floor 1: the wire models and words that others see. Published as data in `schemas/`."""
