"""Reports to the JSON that other programs read; its shape is told in docs/reports.md.

It does not follow the records: they may change, this shape only grows. Every field is always there (the records leave out what is empty).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec.structs import asdict

from orchestrator.model.inventory import Checkup, Left
from orchestrator.model.verdict import EXIT_CODES, LadderLine, Report, StepLine, Value, Verdict, worst
from orchestrator.model.words.values import Json

FORMAT, VERSION = "orchestrate-report", 1


def checkups_json(checkups: Sequence[Checkup]) -> bytes:
    """One object: machines, each with its level, findings and packages."""
    rows = [{**msgspec.to_builtins(checkup), "level": checkup.level} for checkup in checkups]
    return msgspec.json.format(msgspec.json.encode({"machines": rows}), indent=2) + b"\n"


def remains_json(remains: Sequence[Left]) -> bytes:
    """One object: machines, each with the runs that it knew of; every key is there, whatever its value."""
    machines = [{**asdict(left), "runs": [asdict(run) for run in left.runs]} for left in remains]
    return msgspec.json.format(msgspec.json.encode({"machines": machines}), indent=2) + b"\n"


def report_json(reports: Sequence[Report]) -> bytes:
    """Write one document for all the runs, indented, with a newline at its end."""
    values = tuple(report.value for report in reports)
    counts = Counter(values)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "value": worst(values),
        "exit_code": EXIT_CODES[worst(values)],
        "tally": {value: counts[value] for value in Value},
        "runs": [_run(report) for report in reports],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _run(report: Report) -> dict[str, Json]:
    return {
        "run_id": report.run_id,
        "label": report.label,
        "title": report.title,
        "value": report.value,
        "status": report.status,
        "reason": report.reason,
        "directory": report.directory,
        "captures": report.captures,
        "start_ns": report.start_ns,
        "took_ns": report.took_ns,
        "fingerprint": report.fingerprint,
        "notes": report.notes,
        "steps": [_step(step) for step in report.steps],
        "ladder": [_ladder_line(line, report.start_ns) for line in report.ladder],
        "verdicts": [_verdict(verdict) for verdict in report.verdicts],
    }


def _step(step: StepLine) -> dict[str, Json]:
    typed = [{"host": host, "text": text} for host, text in zip(step.hosts, step.typed, strict=True)]
    return {"number": step.number, "name": step.name, "status": step.status, "took_ns": step.took_ns, "typed": typed}


def _ladder_line(line: LadderLine, since_ns: int) -> dict[str, Json]:
    """Sender and receiver instead of left and right; a line that stands for many has ``left_out`` above 0."""
    ends = [(line.left, line.left_state), (line.right, line.right_state)]
    (source, source_state), (destination, destination_state) = ends if line.rightward else ends[::-1]
    return {
        "after_ns": line.at_ns - since_ns,
        "from": source,
        "to": destination,
        "from_state": source_state,
        "to_state": destination_state,
        "text": line.text,
        "lost": line.lost,
        "left_out": line.more,
    }


def _verdict(verdict: Verdict) -> dict[str, Json]:
    where = verdict.where
    return {
        "value": verdict.value,
        "expectation": verdict.text,
        "witness": verdict.witness,
        "step": verdict.step,
        "path": where.path if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "saw": verdict.saw,
        "reason": verdict.reason,
        "excerpt": verdict.excerpt,
    }
