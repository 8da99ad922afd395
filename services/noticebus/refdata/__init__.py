"""Floor 3: the geography that ships with noticebus, loaded from package data."""
