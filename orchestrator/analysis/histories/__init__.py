"""The states of each end of each connection, inferred from calls, wire and ``ss``."""

from orchestrator.analysis.histories.inference import histories

__all__ = ["histories"]
