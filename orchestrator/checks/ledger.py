"""What each planned action did, found by its id and by the name that others wait for.

Knows plan and record, judges nothing. What surprises: an action's testimony may lie in two records: a ``wait`` speaks of what it waited
for, and a program that was started tells its exit status to the ``wait`` that saw it end.
"""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.model.plan import Plan, PlannedAction
from orchestrator.model.record import ActionRecord, RunRecord
from orchestrator.model.words import actions


class Ledger:
    """The actions of one run."""

    def __init__(self, plan: Plan, record: RunRecord) -> None:
        self.cut_short = record.status in {"interrupted", "error"}
        self._told = {told.id: told for told in record.actions}
        self._named: dict[tuple[str, str], PlannedAction] = {}
        self._waits: dict[tuple[str, str], list[PlannedAction]] = {}
        for planned in (planned for step in plan.steps for planned in step.actions):
            if isinstance(planned.action, actions.Wait):
                self._waits.setdefault((planned.host, planned.action.on), []).append(planned)
            elif name := _name(planned):
                self._named[planned.host, name] = planned

    def told(self, planned: PlannedAction) -> ActionRecord | None:
        """Find the record of ``planned`` itself; ``None``: it never began."""
        return self._told.get(planned.id)

    def awaited(self, planned: PlannedAction) -> PlannedAction:
        """Find the action whose outcome ``planned`` gives: what a ``wait`` waits for, else itself."""
        if not isinstance(planned.action, actions.Wait):
            return planned
        return self._named.get((planned.host, planned.action.on), planned)

    def waits(self, planned: PlannedAction) -> tuple[PlannedAction, ...]:
        """Every ``wait`` for ``planned``, whether it began or not."""
        return tuple(self._waits.get((planned.host, _name(planned)), ()))

    def testimony(self, planned: PlannedAction) -> ActionRecord | None:
        """The record of ``planned``, completed by the records that speak of the same thing."""
        told = self.told(planned)
        if told is None:
            return None
        if isinstance(planned.action, actions.Start):
            for wait in self.waits(planned):
                told = _with_end(told, self.told(wait))
            return told
        other = self.told(self.awaited(planned))
        return told if other is None or other is told else _with_outcome(told, other)


def _name(planned: PlannedAction) -> str:
    return planned.action.name if isinstance(planned.action, actions.Start) else planned.name or ""


def _with_end(told: ActionRecord, end: ActionRecord | None) -> ActionRecord:
    """Tell of a started program as the ``wait`` for it saw it end."""
    if end is None or end.status != "done":
        return told
    written = {"stdout": end.stdout or told.stdout, "stderr": end.stderr or told.stderr, "clipped": end.clipped or told.clipped}
    return replace(told, value=end.value, **written)


def _with_outcome(told: ActionRecord, awaited: ActionRecord) -> ActionRecord:
    """Complete a ``wait`` with what it waited for, where its own record leaves that out."""
    return replace(
        told,
        status="raised" if told.status == "done" and awaited.status == "raised" else told.status,
        calls=told.calls or awaited.calls,
        value=awaited.value if told.value is None else told.value,
        exceptions=told.exceptions or awaited.exceptions,
        errno=told.errno or awaited.errno,
        message=told.message or awaited.message,
        stdout=told.stdout or awaited.stdout,
        stderr=told.stderr or awaited.stderr,
        clipped=told.clipped or awaited.clipped,
    )
