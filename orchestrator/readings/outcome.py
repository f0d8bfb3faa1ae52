"""What an action gave, held against what it was to give, and whose a ``wait`` gives: one rule for the engine's gate and for the verdict.

An action gives an exception (``raises``), a value (``returns``; a program's exit status) and what it wrote (``stdout``). What surprises:
these speak of the last call of a list, so an earlier one that raises fails the step whatever was expected.
"""

from __future__ import annotations

import re

from orchestrator.agent.protocol import decode_value
from orchestrator.model.plan import Plan, PlannedAction
from orchestrator.model.record import ActionRecord
from orchestrator.model.words.actions import Action, Calls, Iptables, Run, Start, Wait
from orchestrator.model.words.expectations import Outcome
from orchestrator.model.words.values import Json

_PORT_UNKNOWN = re.compile(r'unknown option "--[sd]port"')
_COMMAND_LINE = re.compile(r"\A\S+ -w \d+ .*? --comment orchestrate:\S+: ", re.DOTALL)


def awaited(plan: Plan) -> dict[str, PlannedAction]:
    """What each ``wait`` waits for, by the id of the ``wait``: the last action of that name before it, steps that are left out aside."""
    named: dict[tuple[str, str | None], PlannedAction] = {}
    found: dict[str, PlannedAction] = {}
    for action in (action for step in plan.steps if step.skip is None for action in step.actions):
        if isinstance(action.action, Wait):
            if other := named.get((action.host, action.action.on)):
                found[action.id] = other
        else:
            named[action.host, action.action.name if isinstance(action.action, Start) else action.name] = action
    return found


def early(action: Action, told: ActionRecord) -> str:
    """Say which call of a list raised before the last one could speak; empty if none did."""
    if isinstance(action, Calls):
        for index, call in enumerate(told.calls[: len(action.calls) - 1]):
            if call.status == "raised":
                return (
                    f"call {index + 1} of {len(action.calls)}, {call.text}, raised {exception(call.exceptions, call.errno, call.message)}"
                )
    return ""


def cut(told: ActionRecord) -> str:
    """Why it is nobody's outcome: it cut the control connection, and its host took it back; empty where it did not."""
    return told.message if told.exceptions[:1] == ("ControlCut",) else ""


def raises(outcome: Outcome, told: ActionRecord) -> bool:
    """Whether it raised what was expected: a class, one of its bases, or an errno."""
    return bool(told.exceptions) and outcome.raises in (*told.exceptions, told.errno)


def returns(outcome: Outcome, told: ActionRecord) -> bool:
    """Whether it returned what was expected, by value: a constant equals its number."""
    if told.exceptions or told.status != "done":
        return False
    return outcome.any_return or plain(outcome.returns) == plain(value_of(told))


def writes(outcome: Outcome, told: ActionRecord) -> bool:
    """Whether what it wrote to its standard output fits."""
    return outcome.stdout is None or re.search(outcome.stdout, told.stdout, re.MULTILINE) is not None


def unmet(action: PlannedAction, told: ActionRecord, awaited: PlannedAction) -> str:
    """Why ``told`` is not what was expected, in words; empty where it is.

    ``awaited`` is the action whose outcome this one gives: what a ``wait`` waits for, else ``action`` itself.
    """
    if told.status == "timeout":
        return f"still blocked after {action.timeout_ns / 1e9:g} s"
    wanted = action.outcome or awaited.outcome or Outcome()
    if trouble := early(awaited.action, told):
        return trouble
    if told.exceptions:
        return "" if raises(wanted, told) else trouble_of(action.action, told)
    if wanted.raises is not None:
        return f"it {gave(told)}, {wanted.raises} was expected"
    return _unmet_value(action, wanted, told)


def _unmet_value(action: PlannedAction, wanted: Outcome, told: ActionRecord) -> str:
    if wanted.has_return and not returns(wanted, told):
        return f"it {gave(told)}, {literal(wanted.returns)} was expected"
    if isinstance(action.action, Run) and not wanted.has_return and told.value not in {None, 0}:
        return f"it ended with exit status {told.value}: {(told.stderr or told.stdout).strip()[:200]}"
    return "" if writes(wanted, told) else f"it wrote {told.stdout[:200]!r}, which does not fit {wanted.stdout!r}"


def value_of(told: ActionRecord) -> Json:
    """What the last call returned, or the program's exit status."""
    return told.calls[-1].value if told.calls else told.value


def gave(told: ActionRecord) -> str:
    """What it gave, as the end of a sentence."""
    if "ChangeRefused" in told.exceptions:
        return f"was refused: {_last_words(told.message)}"
    if told.exceptions or told.status == "raised":
        return f"raised {exception(told.exceptions, told.errno, told.message)}"
    return f"returned {literal(value_of(told))}"


def trouble_of(action: Action, told: ActionRecord) -> str:
    """What went wrong, as a sentence: where a tool refused, in its own words, with what was probably forgotten."""
    if "ChangeRefused" not in told.exceptions:
        return f"it {gave(told)}"
    portless = isinstance(action, Iptables) and not {"-p", "--protocol", "--proto"} & set(action.words)
    hint = ": did you forget '-p tcp'?" if portless and _PORT_UNKNOWN.search(told.message) else ""
    return _last_words(told.message) + hint


def _last_words(message: str) -> str:
    """What the tool said, in a line: without its command line, to which our own mark was added, and without its advice."""
    lines = [line.strip() for line in _COMMAND_LINE.sub("", message).splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("Try `"))


def exception(names: tuple[str, ...], errno: str, message: str) -> str:
    """``ConnectionRefusedError (ECONNREFUSED: [Errno 111] Connection refused)``."""
    detail = ": ".join(part for part in (errno, message) if part)
    return (names[0] if names else "an exception") + (f" ({detail})" if detail else "")


def literal(value: Json) -> str:
    """Write a value of the wire as Python does; a socket by its name: ``(conn, ('10.10.0.100', 40000))``."""
    if isinstance(value, dict) and "socket" in value:
        return str(value["socket"])
    if isinstance(value, dict) and isinstance(value.get("tuple"), list):
        items = [literal(item) for item in value["tuple"]]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    return repr(plain(value))


def plain(value: Json) -> object:
    """Give the Python value that ``value`` stands for, or ``value`` itself where it is none (a socket)."""
    try:
        return decode_value(value)
    except ValueError:
        return value
