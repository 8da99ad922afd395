"""Floor 6: the escalation clock, the sequencer and the auditor."""
