"""Executable TCP labs: a YAML scenario becomes a run, evidence and verdicts."""

__version__ = "0.1.0"
