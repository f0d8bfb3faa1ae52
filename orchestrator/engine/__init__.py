"""A plan and the sessions to its hosts -> a run record: the only clockwork."""
