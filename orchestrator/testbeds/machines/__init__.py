"""Real machines of an inventory -> the hosts of runs; and what they are fit for, before any run."""
