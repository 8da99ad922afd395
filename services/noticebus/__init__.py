"""noticebus: one notice posted, every responsible agency told, every silence noticed."""
