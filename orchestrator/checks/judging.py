"""A plan, its record and its evidence become verdicts, in the order of the steps.

Knows which check judges which expectation and how to say it; decides nothing else. What surprises: a check that crashes is a verdict too
(an error), and so is a run that stopped although nothing that is judged here has failed: no silence counts as a pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from orchestrator.checks import path, wire
from orchestrator.checks.application import judge_outcome
from orchestrator.checks.kernel import describe, judge_live
from orchestrator.checks.ledger import Ledger
from orchestrator.checks.path import judge_path
from orchestrator.checks.wire import judge_wire
from orchestrator.model.evidence import Evidence
from orchestrator.model.plan import Plan, PlannedStep
from orchestrator.model.record import RunRecord, StepRecord
from orchestrator.model.verdict import Value, Verdict, Verdicts
from orchestrator.model.words.actions import typed
from orchestrator.model.words.expectations import (
    AnyExpectation,
    Live,
    PathExpectation,
)
from orchestrator.model.words.values import Where

_GOOD = (Value.PASSED, Value.SKIPPED)
_NEVER_CAME = re.compile(r"the run ended before |step \d+ ended before anyone asked ")
"""How every reason begins that is given for what a run that was cut short never came to."""


def judge(plan: Plan, record: RunRecord, evidence: Evidence) -> Verdicts:
    """Judge every action and every expectation of ``plan``; never raises."""
    if plan.skip is not None or record.status == "skipped":
        skipped = Verdict(value=Value.SKIPPED, text=plan.label, reason=plan.skip or record.reason)
        return Verdicts(verdicts=(*_not_undone(record), skipped))
    court = _Court(plan, record, evidence)
    of_steps = [verdict for step in plan.steps for verdict in court.step(step)]
    verdicts = [*_of_the_run(record, of_steps), *of_steps]
    for expectation in plan.expect:
        verdicts += court.weighed(expectation, -1, None)
    verdicts = [replace(verdict, reached=False) if _NEVER_CAME.match(verdict.reason) else verdict for verdict in verdicts]
    if all(step.status == "missing" for step in record.steps) and record.status in {"error", "interrupted"}:
        verdicts = [replace(verdict, reached=False) if verdict.value is Value.INCONCLUSIVE else verdict for verdict in verdicts]
    verdicts += _unexplained(record, verdicts)
    if record.status == "interrupted":
        verdicts = [_unless_harness(verdict) for verdict in verdicts]
    completed = Verdict(value=Value.PASSED, text="the run completed", reason="nothing else was expected of it")
    return Verdicts(verdicts=tuple(verdicts) or (completed,))


def _unless_harness(verdict: Verdict) -> Verdict:
    """Being stopped is nobody's failure."""
    stopped = verdict.value is Value.FAILED and verdict.witness == "harness"
    return replace(verdict, value=Value.INCONCLUSIVE, reached=False) if stopped else verdict


class _Court:
    """One run and all that is known of it."""

    def __init__(self, plan: Plan, record: RunRecord, evidence: Evidence) -> None:
        self._plan = plan
        self._record = record
        self._evidence = evidence
        self._ledger = Ledger(plan, record)
        self._steps = {step.number: step for step in record.steps}
        self._lost = [host for host in record.hosts if host.lost]

    def step(self, planned: PlannedStep) -> list[Verdict]:
        """Every verdict of one step: its actions in order, then its expectations."""
        told = self._steps.get(planned.number)
        if planned.skip is not None or (told is not None and told.status == "skipped"):
            reason = planned.skip or (told.reason if told else "")
            name = planned.name or "; ".join(f"{action.host}: {typed(action.action)}" for action in planned.actions)
            return [
                Verdict(
                    value=Value.SKIPPED,
                    text=f"step {planned.number}: {name}".removesuffix(": "),
                    where=planned.where,
                    step=planned.number,
                    reason=reason,
                )
            ]
        verdicts: list[Verdict] = []
        for action in planned.actions:
            check = partial(judge_outcome, planned.number, action, self._ledger)
            verdicts += _guarded(check, f"{action.host}: {typed(action.action)}", action.where, planned.number)
        for index, expectation in enumerate(planned.expect):
            verdicts += self.weighed(expectation, index, planned.number)
        return verdicts + self._of_failed_step(planned, told, verdicts)

    def expectation(self, expectation: AnyExpectation, index: int, step: int | None) -> list[Verdict]:
        """Judge one expectation; ``step`` is ``None`` where it stands at the end of the scenario."""
        text = _text(expectation)
        if expectation.skip is not None:
            return [Verdict(value=Value.SKIPPED, text=text, where=expectation.where, step=step, reason=expectation.skip)]
        return list(_guarded(lambda: (self._judge(expectation, index, step),), text, expectation.where, step))

    def weighed(self, expectation: AnyExpectation, index: int, step: int | None) -> list[Verdict]:
        """Judge one expectation; where the run was cut short in what it speaks of, only by what nothing to come could have changed."""
        verdicts = self.expectation(expectation, index, step)
        about = step if isinstance(expectation, Live | PathExpectation) or expectation.step is None else expectation.step
        if not self._is_part(about) or (isinstance(expectation, Live) and step is not None):
            return verdicts
        return [self._of_a_part(expectation, verdict) for verdict in verdicts]

    def _is_part(self, step: int | None) -> bool:
        """Whether more would have come of what an expectation of ``step`` (``None``: of the whole run) speaks of."""
        stopped = self._record.status in {"interrupted", "error"}
        if step is None:
            return stopped or any(told.status in {"missing", "running"} for told in self._record.steps)
        return stopped and step == self._last_step()

    def _of_a_part(self, expectation: AnyExpectation, verdict: Verdict) -> Verdict:
        may_mend = verdict.value is Value.FAILED and not self._contradicted(expectation)
        may_break = verdict.value is Value.PASSED and not _is_lasting(expectation)
        if not may_mend and not may_break:
            return verdict
        reason = f"the run ended before its last step; until then: {verdict.reason or 'it held'}"
        return replace(verdict, value=Value.INCONCLUSIVE, reason=reason)

    def _contradicted(self, expectation: AnyExpectation) -> bool:
        """Whether nothing that was still to come could have mended it. Where the harness broke, what was seen may be its doing."""
        if self._record.status != "failed" or self._lost or isinstance(expectation, Live):
            return False
        if isinstance(expectation, PathExpectation):
            return path.contradicted(expectation, self._plan, self._record, self._evidence)
        return wire.contradicted(expectation, self._plan, self._record, self._evidence)

    def _judge(self, expectation: AnyExpectation, index: int, step: int | None) -> Verdict:
        if isinstance(expectation, Live):
            at = step if step is not None else self._last_step()
            return judge_live(expectation, index, at, self._plan, self._record, error_ns=self._apart_ns())
        inferred = isinstance(expectation, PathExpectation)
        since = step if isinstance(expectation, PathExpectation) or expectation.step is None else expectation.step
        if since is not None and not self._ran(since):
            witness = "inferred" if inferred else "wire"
            reason = f"the run ended before step {since}"
            return Verdict(
                value=Value.INCONCLUSIVE, text=_text(expectation), where=expectation.where, step=since, witness=witness, reason=reason
            )
        if isinstance(expectation, PathExpectation):
            verdict = judge_path(expectation, self._plan, self._record, self._evidence)
        else:
            verdict = judge_wire(expectation, self._plan, self._record, self._evidence)
        return verdict if verdict.step is not None else replace(verdict, step=step)

    def _ran(self, number: int) -> bool:
        told = self._steps.get(number)
        return told is not None and told.status not in {"missing", "skipped"}

    def _apart_ns(self) -> int:
        """What the clocks of two hosts may be apart at the most."""
        return 2 * max((clock.error_ns for clock in self._evidence.clocks), default=0)

    def _last_step(self) -> int:
        return max((number for number in self._steps if self._ran(number)), default=0)

    def _of_failed_step(self, planned: PlannedStep, told: StepRecord | None, verdicts: list[Verdict]) -> list[Verdict]:
        """Say why a step failed, where none of its own verdicts does."""
        if told is None or told.status != "failed" or any(verdict.value not in _GOOD for verdict in verdicts):
            return []
        lost = [f"{host.name} was lost: {host.lost}" for host in self._lost]
        if not lost and verdicts:
            return []  # what the engine stopped at has been changed since, and is judged above
        reason = "; ".join(lost) or told.reason
        value = Value.ERROR if lost else Value.FAILED
        return [Verdict(value=value, text=f"step {planned.number} ended", where=planned.where, step=planned.number, reason=reason)]


def _guarded(check: Callable[[], tuple[Verdict, ...]], text: str, where: Where, step: int | None) -> tuple[Verdict, ...]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever a check stumbles over, it is never a pass
        reason = f"the check itself failed: {type(error).__name__}: {error}"
        return (Verdict(value=Value.ERROR, text=text, where=where, step=step, reason=reason),)


def _is_lasting(expectation: AnyExpectation) -> bool:
    """Whether what holds now cannot cease to hold later; of a live expectation it was asked when it was meant to hold."""
    if isinstance(expectation, PathExpectation):
        return False
    return isinstance(expectation, Live) or wire.is_lasting(expectation)


def _text(expectation: AnyExpectation) -> str:
    if expectation.text:
        return expectation.text
    return describe(expectation) if isinstance(expectation, Live) else type(expectation).__name__.removesuffix("Expectation").lower()


def _of_the_run(record: RunRecord, of_steps: list[Verdict]) -> list[Verdict]:
    """Say first that the harness or a person cut the run short, or that a host was not left as it was found."""
    verdicts = _not_undone(record)
    if record.status == "error":
        at = next((one.step for one in of_steps if one.value is Value.ERROR and one.reason and record.reason.endswith(one.reason)), None)
        reason = record.reason if at is None else f"step {at} ended the run: see there"
        verdicts.append(Verdict(value=Value.ERROR, text="the run completed", reason=reason or "the harness could not go on"))
    if record.status == "interrupted":
        verdicts.append(Verdict(value=Value.INCONCLUSIVE, text="the run completed", reason=record.reason or "it was interrupted"))
    return verdicts


def _not_undone(record: RunRecord) -> list[Verdict]:
    changed = [f"{host.name}: {text}" for host in record.hosts for text in host.not_undone]
    return [Verdict(value=Value.ERROR, text="every host is as it was", reason="; ".join(changed))] if changed else []


def _unexplained(record: RunRecord, verdicts: list[Verdict]) -> list[Verdict]:
    """Say what went wrong with the run as a whole and shows in none of ``verdicts``."""
    if record.overran:
        return [Verdict(value=Value.FAILED, text="the run completed", reason=record.reason)]
    if any(verdict.value in {Value.FAILED, Value.ERROR} for verdict in verdicts):
        return []
    lost = [f"{host.name} was lost: {host.lost}" for host in record.hosts if host.lost]
    if lost:
        return [Verdict(value=Value.ERROR, text="the run completed", reason="; ".join(lost))]
    if record.status != "failed":
        return []
    if not any(step.status == "failed" for step in record.steps):
        return [Verdict(value=Value.FAILED, text="the run completed", reason=record.reason)]
    # What a step failed at has been changed since, or it would have failed above; what came after it nobody can tell.
    missing = [step.number for step in record.steps if step.status == "missing"]
    reason = f"the run ended before step {missing[0]}: {record.reason}" if missing else ""
    return [Verdict(value=Value.INCONCLUSIVE, text="the run completed", reason=reason)] if missing else []
