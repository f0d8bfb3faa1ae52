"""Bytes become evidence: segments, connections, passages and histories. Pure: no file, no process, no clock.

Knows plan and record, judges nothing. The surprising fact: damaged bytes are no error here; what could be read is evidence, and why
the rest could not be is written beside it.
"""

from orchestrator.analysis.assembly import analyse
from orchestrator.analysis.clocks import retimed

__all__ = ["analyse", "retimed"]
