"""What the actions themselves gave, judged: returned values, exceptions, exit statuses, output. The application's testimony.

Knows nothing of sockets' states or of the wire. What surprises: an action without any expectation is judged too: what raises, hangs or ends
with a failure that nobody expected has failed, and what went well without being asked leaves no verdict. Output that was not kept whole
cannot fail for what it lacks.
"""

from __future__ import annotations

from orchestrator.checks.ledger import Ledger
from orchestrator.model.plan import PlannedAction
from orchestrator.model.record import ActionRecord
from orchestrator.model.verdict import Value, Verdict
from orchestrator.model.words.actions import Calls, Run, Start, Wait, typed
from orchestrator.model.words.expectations import Outcome
from orchestrator.model.words.values import Where
from orchestrator.readings.outcome import cut, early, gave, literal, raises, returns, trouble_of, writes

_EXCERPT_LINES = 8


def judge_outcome(step: int, planned: PlannedAction, ledger: Ledger) -> tuple[Verdict, ...]:
    """Judge what ``planned`` gave in ``step``: its own outcome, and trouble that nobody expected."""
    told = ledger.testimony(planned)
    if told is None:
        return _never_began(step, planned)
    match told.status:
        case "lost":
            return (_verdict(Value.ERROR, step, planned, reason=f"{planned.host} was lost", witness="harness"),)
        case "raised" if "Unable" in told.exceptions:
            return (_verdict(Value.ERROR, step, planned, reason=told.message, witness="harness"),)
        case "timeout":
            return () if _left_to_wait(planned, ledger) else (_overdue(step, planned, told, ledger),)
        case "blocked" | "running":
            return _blocked(step, planned, told, ledger)
        case _:
            return _ended(step, planned, told, ledger)


def _verdict(  # noqa: PLR0913 - the fields of a verdict
    value: Value,
    step: int,
    planned: PlannedAction,
    *,
    wish: str = "",
    where: Where | None = None,
    witness: str = "application",
    reason: str = "",
    saw: str = "",
    excerpt: tuple[str, ...] = (),
) -> Verdict:
    text = f"{planned.host}: {typed(planned.action)}" + (f" {wish}" if wish else "")
    place = where or planned.where
    return Verdict(value=value, text=text, where=place, step=step, witness=witness, reason=reason, saw=saw, excerpt=excerpt)


def _never_began(step: int, planned: PlannedAction) -> tuple[Verdict, ...]:
    if planned.outcome is None:
        return ()
    reason = "the run ended before this action began"
    return (_verdict(Value.INCONCLUSIVE, step, planned, where=planned.outcome.where, wish=_wish(planned.outcome), reason=reason),)


def _left_to_wait(planned: PlannedAction, ledger: Ledger) -> bool:
    """Whether a ``wait`` that began answers for this action, so that its trouble is told once."""
    return planned.outcome is None and any(ledger.told(wait) is not None for wait in ledger.waits(planned))


def _overdue(step: int, planned: PlannedAction, told: ActionRecord, ledger: Ledger) -> Verdict:
    awaited = ledger.awaited(planned)
    limit = f"{planned.timeout_ns / 1e9:g} s"
    reason, unread = f"timed out after {limit} in {_doing(awaited, told)}", False
    if isinstance(planned.action, Start):
        unread = told.clipped and planned.action.ready.output is not None
        reason = f"was not ready within {limit}: {_readiness(planned.action)}" + (", but not all of it was kept" if unread else "")
    elif isinstance(planned.action, Wait) and awaited is not planned:
        reason = f"timed out after {limit}, {planned.action.on} was still in {_doing(awaited, told)}"
    value = Value.INCONCLUSIVE if unread else Value.FAILED
    reason += _longer(planned)
    return _verdict(value, step, planned, wish=_wish(planned.outcome), reason=reason, saw="timeout", excerpt=_output(told))


def _longer(planned: PlannedAction) -> str:
    """What to write in the step of what blocks, so that it is not ended; nothing for what should not block."""
    if not isinstance(planned.action, Calls | Run | Wait):
        return ""
    meanwhile = "" if planned.background or isinstance(planned.action, Wait) else "; to go on meanwhile: background: true"
    return f"; longer: timeout: {planned.timeout_ns * 4 / 1e9:g}s{meanwhile}"


def _readiness(action: Start) -> str:
    if action.ready.listening is not None:
        return f"nobody listens on port {action.ready.listening}"
    return f"its output does not fit {action.ready.output!r}" if action.ready.output is not None else "it did not start"


def _doing(planned: PlannedAction, told: ActionRecord) -> str:
    """Name the call that an interrupted list was in, else the action as it was typed."""
    return told.calls[-1].text if told.calls else typed(planned.action)


def _blocked(step: int, planned: PlannedAction, told: ActionRecord, ledger: Ledger) -> tuple[Verdict, ...]:
    """Judge what never ended. Left running on purpose it is no failure by itself, unless an outcome was expected of it."""
    if planned.outcome is None and (planned.background or isinstance(planned.action, Start)):
        return ()
    value = Value.INCONCLUSIVE if ledger.cut_short else Value.FAILED
    reason = f"still blocked at the end in {_doing(ledger.awaited(planned), told)}"
    where = planned.outcome.where if planned.outcome else None
    return (_verdict(value, step, planned, where=where, wish=_wish(planned.outcome), reason=reason, saw="still blocked"),)


def _ended(step: int, planned: PlannedAction, told: ActionRecord, ledger: Ledger) -> tuple[Verdict, ...]:
    if reason := cut(told):
        return (_verdict(Value.ERROR, step, planned, reason=reason, witness="harness"),)
    before = early(ledger.awaited(planned).action, told)
    if before:
        return (_verdict(Value.FAILED, step, planned, wish=_wish(planned.outcome), reason=before, saw=gave(told)),)
    verdicts = _explicit(step, planned, told, planned.outcome) if planned.outcome else []
    if all(verdict.value is Value.PASSED for verdict in verdicts) and not _left_to_wait(planned, ledger):
        trouble = _trouble(planned, told, ledger)
        verdicts += [_verdict(Value.FAILED, step, planned, reason=trouble, saw=gave(told), excerpt=_output(told))] if trouble else []
    return tuple(verdicts)


def _explicit(step: int, planned: PlannedAction, told: ActionRecord, outcome: Outcome) -> list[Verdict]:
    judged: list[tuple[bool, str]] = []
    if outcome.raises is not None:
        judged.append((raises(outcome, told), f"raises {outcome.raises}"))
    if outcome.has_return:
        judged.append((returns(outcome, told), _returns_what(outcome)))
    if outcome.stdout is not None:
        judged.append((writes(outcome, told), f"writes {outcome.stdout!r}"))
    return [_explained(good, step, planned, told, wish) for good, wish in judged]


def _explained(good: bool, step: int, planned: PlannedAction, told: ActionRecord, wish: str) -> Verdict:  # noqa: FBT001 - the judgement
    where = planned.outcome.where if planned.outcome else None
    if good:
        return _verdict(Value.PASSED, step, planned, where=where, wish=wish, excerpt=_output(told))
    written = wish.startswith("writes")
    saw = _wrote(told) if written else gave(told)
    value = Value.INCONCLUSIVE if written and told.clipped else Value.FAILED
    return _verdict(value, step, planned, where=where, wish=wish, reason=f"it {saw}", saw=saw, excerpt=_output(told))


def _wish(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    wishes = (
        f"raises {outcome.raises}" if outcome.raises is not None else "",
        _returns_what(outcome) if outcome.has_return else "",
        f"writes {outcome.stdout!r}" if outcome.stdout is not None else "",
    )
    return " and ".join(wish for wish in wishes if wish)


def _returns_what(outcome: Outcome) -> str:
    return "returns" if outcome.any_return else f"returns {literal(outcome.returns)}"


def _trouble(planned: PlannedAction, told: ActionRecord, ledger: Ledger) -> str:
    """Say what went wrong that nobody expected, here or where the same action is spoken of; empty if nothing did."""
    if told.status == "raised":
        elsewhere = (planned, ledger.awaited(planned), *ledger.waits(planned))
        if any(other.outcome is not None and raises(other.outcome, told) for other in elsewhere):
            return ""
        tail = "" if told.exceptions[:1] == ("ChangeRefused",) else ", which nobody expected"
        return f"{trouble_of(planned.action, told)}{tail}"
    asked = planned.outcome is not None and planned.outcome.has_return
    if isinstance(planned.action, Run) and not asked and told.value not in {None, 0}:
        return f"it ended with exit status {told.value}" if told.value > 0 else f"it was ended by signal {-told.value}"
    return ""


def _wrote(told: ActionRecord) -> str:
    lines = told.stdout.splitlines()
    clipped = ", and more that was not kept" if told.clipped else ""
    count = f"{len(lines)} lines, the last is" if len(lines) != 1 else "one line,"
    return (f"wrote {count} {lines[-1]!r}" if lines else "wrote nothing") + clipped


def _output(told: ActionRecord) -> tuple[str, ...]:
    return (*told.stdout.splitlines()[-_EXCERPT_LINES:], *told.stderr.splitlines()[-_EXCERPT_LINES:])
