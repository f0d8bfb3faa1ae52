"""What the hosts' tools said -> rows, beside the segments: the kernel's testimony in a form that programs can read.

Only snapshots and samples at which an expectation came to hold are taken over; a poll that came too early says nothing that a later one
does not say better. All of them, raw, stay in the run record.
"""

from __future__ import annotations

import msgspec

from orchestrator.errors import EvidenceError
from orchestrator.model.evidence import Snapshot
from orchestrator.model.record import RunRecord, Sample
from orchestrator.model.words.values import Json
from orchestrator.readings import lsof, netstat, nstat, rules, ss

_ASKED_BY_NOBODY = -1


def snapshots(record: RunRecord) -> tuple[Snapshot, ...]:
    """The parsed words of each tool, in order of time; two that are alike but for who asked are one."""
    kept: dict[tuple[str, str, int], Snapshot] = {}
    for sample in record.samples:
        if sample.source != "output" and (sample.holds or sample.expectation == _ASKED_BY_NOBODY):
            kept.setdefault((sample.host, sample.source, sample.at_ns), _snapshot(sample))
    return tuple(sorted(kept.values(), key=lambda snapshot: snapshot.at_ns))


def _snapshot(sample: Sample) -> Snapshot:
    problem = ""
    rows: tuple[dict[str, Json], ...] = ()
    try:
        rows = _rows(sample.source, sample.text)
    except EvidenceError as error:
        problem = str(error)
    return Snapshot(host=sample.host, step=sample.step, source=sample.source, at_ns=sample.at_ns, rows=rows, problem=problem)


def _rows(source: str, text: str) -> tuple[dict[str, Json], ...]:
    if source == "nstat":
        return tuple({"counter": name, "value": value} for name, value in nstat.counters(text).items())
    read = {"ss": ss.sockets, "lsof": lsof.entries, "netstat": netstat.entries}.get(source, rules.rules)
    return tuple(msgspec.to_builtins(row) for row in read(text))
