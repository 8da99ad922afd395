"""Floor 4: who is asking, and the keys that prove it."""
