"""Plan, record, evidence and verdicts to the one record that every report is made from.

It does not know how a report looks. Surprising: a run that was cut short is never better than inconclusive, even where each verdict that
could be given is a pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.evidence import Evidence
from orchestrator.model.plan import Plan
from orchestrator.model.record import HostRecord, RunRecord
from orchestrator.model.verdict import Report, Value, Verdicts, worst
from orchestrator.reports.telling.clocks import clock_notes, clocks_line
from orchestrator.reports.telling.passages import ladder
from orchestrator.reports.telling.sheet import step_line

_AT_LEAST = {"skipped": Value.SKIPPED, "error": Value.ERROR, "interrupted": Value.INCONCLUSIVE}
"""Status of a run: how good it can be at most."""

_FINGERPRINT = ("kernel", "python", "ip", "iptables")
"""What is told of a host, by the keys of ``HostRecord.environment``; the record has it all."""


def make_report(plan: Plan, record: RunRecord, evidence: Evidence, verdicts: Verdicts, directory: str) -> Report:
    """Make the report of a run whose files are in ``directory``."""
    by_number = {step.number: step for step in record.steps}
    by_id = {action.id: action for action in record.actions}
    return Report(
        run_id=record.run_id,
        label=record.label or plan.label,
        title=plan.title,
        value=_value(record, verdicts),
        status=record.status,
        reason=record.reason or plan.skip or "",
        directory=directory,
        start_ns=record.start_ns,
        took_ns=max(record.end_ns - record.start_ns, 0),
        fingerprint="; ".join(filter(None, [fingerprint(plan.testbed.kind, record.hosts), clocks_line(evidence.clocks)])),
        captures=tuple(capture.file for capture in record.captures if capture.file),
        steps=tuple(step_line(step, by_number.get(step.number), by_id) for step in plan.steps),
        ladder=ladder(evidence, [host.name for host in plan.hosts]),
        verdicts=verdicts.verdicts,
        notes=(*notes(record), *clock_notes(evidence)),
    )


def _value(record: RunRecord, verdicts: Verdicts) -> Value:
    limit = _AT_LEAST.get(record.status)
    given = tuple(verdict.value for verdict in verdicts.verdicts)
    return worst((*given, limit) if limit else given)


def notes(record: RunRecord) -> tuple[str, ...]:
    """What this machine could not give its hosts; those that lack the same share a line."""
    lacking: dict[str, list[str]] = {}
    for host in record.hosts:
        for text in host.left_out:
            lacking.setdefault(text, []).append(host.name)
    return tuple(f"{', '.join(names)}: this machine refused a view of its own: {text}" for text, names in lacking.items())


def fingerprint(kind: str, hosts: Sequence[HostRecord]) -> str:
    """``netns, kernel 6.18.0, python 3.11.2``; hosts that contradict each other are told one by one."""
    known = {key: {host.environment[key] for host in hosts if host.environment.get(key)} for key in _FINGERPRINT}
    if all(len(values) <= 1 for values in known.values()):
        return ", ".join([kind, *(_version(key, value) for key, values in known.items() for value in values)])
    return "; ".join([kind, *(f"{host.name}: {_environment(host)}" for host in hosts)])


def _environment(host: HostRecord) -> str:
    return ", ".join(_version(key, host.environment[key]) for key in _FINGERPRINT if host.environment.get(key))


def _version(key: str, text: str) -> str:
    """Tools say their own name (``ip utility, iproute2-6.1.0, libbpf 1.1.0``), the others (``6.18.0``) need it before them."""
    named = [part for part in text.split(", ") if part.startswith(("iproute2", key + " v"))]
    return named[0] if named else f"{key} {text}"
