"""The inferred history of a socket's states against ``path``.

Knows histories, neither segments nor calls. The surprising fact: a history with an open question cannot even fail, because what is
open may be just the state that was asked for; and what a capture's filter hid may be it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.checks.captured.scope import filtered
from orchestrator.model.evidence import Evidence, History
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.tcp import State
from orchestrator.model.verdict import Value, Verdict
from orchestrator.model.words.actions import Calls
from orchestrator.model.words.expectations import PathExpectation

_EXCERPT_LINES = 12
_SOURCES = ("call", "wire", "ss")


def judge_path(expectation: PathExpectation, plan: Plan, record: RunRecord, evidence: Evidence) -> Verdict:  # noqa: ARG001 - all checks take the same
    """Judge the states that one socket of the scenario's went through."""
    if expectation.witness == "trace":
        return _verdict(expectation, Value.INCONCLUSIVE, reason="the kernel's trace was not recorded")
    history = _meant(expectation, evidence)
    if history is None:
        reason = f"nothing tells the states of {expectation.socket!r} on {expectation.host}"
        return _verdict(expectation, Value.INCONCLUSIVE, reason=reason)
    seen = _states(history)
    if history.question:
        return _verdict(
            expectation, Value.INCONCLUSIVE, reason=history.question, saw=_path(seen), excerpt=_excerpt(history, run_ns=record.start_ns)
        )
    unseen = filtered(expectation.host, evidence)
    inferred = "; ".join(filter(None, [_inferred(history), unseen]))
    if seen == expectation.states:
        return _verdict(expectation, Value.PASSED, reason=inferred, saw=_path(seen))
    return _verdict(
        expectation,
        Value.INCONCLUSIVE if unseen else Value.FAILED,
        reason=f"{_parted(expectation.states, seen)}; {inferred}",
        saw=_path(seen),
        excerpt=_excerpt(history, run_ns=record.start_ns),
    )


def contradicted(expectation: PathExpectation, plan: Plan, record: RunRecord, evidence: Evidence) -> bool:
    """Whether nothing that may come later can make it hold: another state was seen than expected, and no other socket can take the name."""
    history = _meant(expectation, evidence)
    seen = () if history is None else _states(history)
    return seen != expectation.states[: len(seen)] and not _may_be_bound_again(expectation, plan, record)


def _may_be_bound_again(expectation: PathExpectation, plan: Plan, record: RunRecord) -> bool:
    over = {step.number for step in record.steps if step.status in {"done", "skipped"}}
    left = (action for step in plan.steps if step.number not in over for action in step.actions if action.host == expectation.host)
    return any(expectation.socket in call.names for action in left if isinstance(action.action, Calls) for call in action.action.calls)


def _meant(expectation: PathExpectation, evidence: Evidence) -> History | None:
    """Of a name that was bound again the last socket is meant."""
    named = [one for one in evidence.histories if one.host == expectation.host and expectation.socket in one.sockets]
    return max(named, key=_since, default=None)


def _states(history: History) -> tuple[State, ...]:
    return tuple(transition.state for transition in history.transitions)


def _verdict(expectation: PathExpectation, value: Value, *, reason: str, saw: str = "", excerpt: tuple[str, ...] = ()) -> Verdict:
    text = expectation.text or f"{expectation.host}: {expectation.socket} goes through {_path(expectation.states)}"
    return Verdict(value=value, text=text, where=expectation.where, witness="inferred", reason=reason, saw=saw, excerpt=excerpt)


def _since(history: History) -> int:
    """When it began."""
    return history.transitions[0].at_ns if history.transitions else 0


def _path(states: Sequence[State]) -> str:
    return ", ".join(states)


def _inferred(history: History) -> str:
    used = {transition.source for transition in history.transitions}
    return "inferred from " + " and ".join(source for source in _SOURCES if source in used)


def _parted(wanted: Sequence[State], seen: Sequence[State]) -> str:
    """Say in words where the two paths first differ."""
    for index, state in enumerate(wanted):
        after = f"after {wanted[index - 1]}" if index else "at first"
        if index >= len(seen):
            return f"{after} {state} was expected, and nothing followed"
        if seen[index] is not state:
            return f"{after} {state} was expected, {seen[index]} was seen"
    return f"{wanted[-1] if wanted else 'nothing'} was to be the last, {seen[len(wanted)]} followed"


def _excerpt(history: History, *, run_ns: int) -> tuple[str, ...]:
    """Each state with its time since the run began and what it is known from."""
    return tuple(
        f"{(transition.at_ns - run_ns) / 1e9:+.6f} s {transition.state} ({transition.source}: {transition.cause})"
        for transition in history.transitions[-_EXCERPT_LINES:]
    )
