"""Planned steps to lines of a lab sheet: what each host typed, in the words a student would type.

It does not know how a line is drawn, nor what came of it. Surprising: ``StepLine.hosts`` and ``StepLine.typed`` run in parallel, so a
host that typed three lines stands there three times.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from shlex import quote
from types import MappingProxyType

from orchestrator.model.plan import PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, StepRecord
from orchestrator.model.verdict import StepLine
from orchestrator.model.words.actions import (
    Action,
    Calls,
    File,
    Ip,
    Iptables,
    Offload,
    Remove,
    Run,
    Signal,
    Snapshot,
    Start,
    Sysctl,
    Type,
    Wait,
)

_STOPPED = ("raised", "timeout", "blocked", "lost")


def typed(action: Action) -> tuple[str, ...]:
    """What a host types for ``action``, a line each."""
    match action:
        case Calls():
            return tuple(call.text for call in action.calls)
        case Sysctl():
            return tuple(f"sysctl -w {key}={quote(value)}" for key, value in action.values.items())
        case Offload():
            return _ethtool(action)
        case Iptables() | Ip() | Start() | Run():
            return (_program(action),)
        case Type() | Signal():
            return (_to_program(action),)
        case _:
            return (_in_words(action),)


def _program(action: Iptables | Ip | Start | Run) -> str:
    match action:
        case Iptables():
            words = (action.tool, *action.words)
        case Ip():
            words = ("ip", *action.words)
        case _:
            words = action.argv
    return " ".join(quote(word) for word in words) + (" &" if isinstance(action, Start) else "")


def _ethtool(action: Offload) -> tuple[str, ...]:
    switches = " ".join(f"{name} {'on' if on else 'off'}" for name, on in action.values.items())
    return tuple(f"ethtool -K {interface} {switches}" for interface in action.interfaces or ("(each interface)",))


def _to_program(action: Type | Signal) -> str:
    if isinstance(action, Signal):
        return f"kill -{action.signal} {action.to}"
    keys = [json.dumps(action.text, ensure_ascii=False)] if action.text else []
    return f"{' and '.join([*keys, 'end of input'] if action.eof else keys)} to {action.to}"


def _in_words(action: Action) -> str:
    """What no command of a lab sheet says, in a few words."""
    match action:
        case Remove():
            return f"remove {action.name}"
        case File():
            lines = len(action.text.splitlines())
            return f"write {action.name} ({lines} line{'s' * (lines != 1)})"
        case Snapshot():
            return ", ".join(action.tools)
        case Wait():
            return f"wait {action.on}"
        case _:
            return str(action.__struct_config__.tag)


def step_line(step: PlannedStep, record: StepRecord | None = None, actions: Mapping[str, ActionRecord] = MappingProxyType({})) -> StepLine:
    """``step`` as a report tells it; without a record it is ``missing`` (the run ended before it), or ``skipped``.

    ``actions`` are the records of its actions, by their ids.
    """
    lines = [(action.host, text) for action in step.actions for text in action_lines(action)]
    return StepLine(
        number=step.number,
        name=step.name,
        status=record.status if record else "skipped" if step.skip else "missing",
        took_ns=record.end_ns - record.start_ns if record else 0,
        hosts=tuple(host for host, _ in lines),
        typed=tuple(text for _, text in lines),
        stopped_at=_stopped_at(step, actions),
    )


def _stopped_at(step: PlannedStep, actions: Mapping[str, ActionRecord]) -> int:
    """The first line that did not end as it should by itself; of a list of calls the last one that was begun."""
    before = 0
    for action in step.actions:
        told = actions.get(action.id)
        if told is not None and told.status in _STOPPED:
            return before + max(len(told.calls) - 1, 0)
        before += len(action_lines(action))
    return -1


def action_lines(action: PlannedAction) -> tuple[str, ...]:
    """What a host types for a planned action; ``&`` where it does not wait for it."""
    lines = typed(action.action)
    if action.background and not isinstance(action.action, Start):
        return (*lines[:-1], f"{lines[-1]} &")
    return lines
