"""What each planned action did, found by its id and by the name that others wait for.

Knows plan and record, judges nothing. What surprises: an action's testimony may lie in two records: a ``wait`` speaks of what it waited
for, and a program that was started tells its exit status to the ``wait`` that saw it end.
"""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.model.plan import Plan, PlannedAction
from orchestrator.model.record import ActionRecord, RunRecord
from orchestrator.model.words.actions import Start
from orchestrator.readings.outcome import awaited


class Ledger:
    """The actions of one run."""

    def __init__(self, plan: Plan, record: RunRecord) -> None:
        self.cut_short = record.status in {"interrupted", "error"}
        self._told = {told.id: told for told in record.actions}
        self._awaited = awaited(plan)
        self._waits: dict[str, list[PlannedAction]] = {}
        for planned in (planned for step in plan.steps for planned in step.actions):
            if other := self._awaited.get(planned.id):
                self._waits.setdefault(other.id, []).append(planned)

    def told(self, planned: PlannedAction) -> ActionRecord | None:
        """Find the record of ``planned`` itself; ``None``: it never began."""
        return self._told.get(planned.id)

    def awaited(self, planned: PlannedAction) -> PlannedAction:
        """Find the action whose outcome ``planned`` gives: what a ``wait`` waits for, else itself."""
        return self._awaited.get(planned.id, planned)

    def waits(self, planned: PlannedAction) -> tuple[PlannedAction, ...]:
        """Every ``wait`` for ``planned``, whether it began or not."""
        return tuple(self._waits.get(planned.id, ()))

    def testimony(self, planned: PlannedAction) -> ActionRecord | None:
        """The record of ``planned``, completed by the records that speak of the same thing."""
        told = self.told(planned)
        if told is None:
            return None
        if isinstance(planned.action, Start):
            for wait in self.waits(planned):
                told = _with_end(told, self.told(wait))
            return told
        other = self.told(self.awaited(planned))
        return told if other is None or other is told else _with_outcome(told, other)


def _with_end(told: ActionRecord, end: ActionRecord | None) -> ActionRecord:
    """Tell of a started program as the ``wait`` for it saw it end."""
    if end is None or end.status != "done":
        return told
    written = {"stdout": end.stdout or told.stdout, "stderr": end.stderr or told.stderr, "clipped": end.clipped or told.clipped}
    return replace(told, value=end.value, **written)


def _with_outcome(told: ActionRecord, other: ActionRecord) -> ActionRecord:
    """Complete a ``wait`` with what it waited for, where its own record leaves that out."""
    return replace(
        told,
        status="raised" if told.status == "done" and other.status == "raised" else told.status,
        calls=told.calls or other.calls,
        value=other.value if told.value is None else told.value,
        exceptions=told.exceptions or other.exceptions,
        errno=told.errno or other.errno,
        message=told.message or other.message,
        stdout=told.stdout or other.stdout,
        stderr=told.stderr or other.stderr,
        clipped=told.clipped or other.clipped,
    )
