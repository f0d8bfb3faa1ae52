"""A run directory -> what each step cost, from the times in its record. Knows nothing of who ran it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec

from orchestrator.model.record import RunRecord


def newest_record(runs: Path) -> RunRecord:
    """The record that was written last below ``runs``."""
    found = sorted(runs.rglob("record.json"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise SystemExit(f"no record of a run below {runs}")
    return msgspec.json.decode(found[-1].read_bytes(), type=RunRecord)


def costs_s(runs: Path) -> list[float]:
    """Seconds from the begin of each step to the begin of the next, sorted."""
    begins = [step.start_ns for step in newest_record(runs).steps if step.status == "done"]
    return sorted((later - earlier) / 1e9 for earlier, later in pairwise(begins))
