"""Whether a live expectation holds on one sample: the engine asks on every poll, the checks ask again, both get the same answer.

Knows no host and no clock: a sample is text. What surprises: the sample of an ``nstat`` counter says little alone, it is held
against the ``baseline`` that was taken before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.errors import EvidenceError
from orchestrator.model.plan import Plan
from orchestrator.model.record import Sample
from orchestrator.model.words.expectations import Live, OutputExpectation, RuleExpectation, SocketExpectation, ToolExpectation
from orchestrator.model.words.values import Comparison
from orchestrator.readings import lsof, netstat, nstat
from orchestrator.readings.matching import Held, socket_held
from orchestrator.readings.rules import rules

__all__ = ["Held", "held", "source_of"]

_EXCERPT_LINES = 8


def source_of(expectation: Live) -> str:
    """Which observer testifies: ``ss``, ``lsof``, ``netstat``, ``iptables``, ``nstat`` or ``output``."""
    match expectation:
        case SocketExpectation():
            return "ss"
        case RuleExpectation():
            return "iptables"
        case ToolExpectation():
            return expectation.tool
        case OutputExpectation():
            return "output"


def held(plan: Plan, expectation: Live, sample: Sample, baseline: str = "") -> Held:
    """Judge ``expectation`` on ``sample``, which must be of its source; ``baseline`` is the text of ``nstat`` before the first step."""
    try:
        match expectation:
            case SocketExpectation():
                return socket_held(plan, expectation, sample)
            case RuleExpectation():
                return _rule_held(expectation, sample.text)
            case ToolExpectation():
                return (
                    _counter_held(expectation, sample.text, baseline)
                    if expectation.tool == "nstat"
                    else _lines_held(expectation, sample.text)
                )
            case OutputExpectation():
                return _output_held(expectation, sample.text)
    except (EvidenceError, re.error) as error:
        return Held(holds=False, saw=str(error), problem=str(error))


def _rule_held(expectation: RuleExpectation, text: str) -> Held:
    every = rules(text)
    ours = [rule for rule in every if rule.name == expectation.rule]
    if not ours:
        return Held(holds=False, saw=f"no rule named {expectation.rule} among {len(every)}", excerpt=_last([rule.line for rule in every]))
    packets, octets = sum(rule.packets for rule in ours), sum(rule.bytes for rule in ours)
    holds = _compares(expectation.packets, packets) and _compares(expectation.bytes, octets)
    return Held(holds=holds, saw=f"{_number(packets, 'packet')}, {_number(octets, 'byte')}", excerpt=_last([rule.line for rule in ours]))


def _lines_held(expectation: ToolExpectation, text: str) -> Held:
    read = lsof.entries if expectation.tool == "lsof" else netstat.entries
    every = [entry.line for entry in read(text)]
    fitting = [line for line in every if re.search(expectation.pattern, line)]
    saw = f"{_number(len(fitting), 'line')} of {len(every)} fit"
    return Held(holds=_as_many(expectation, len(fitting)), saw=saw, excerpt=_last(fitting or every))


def _counter_held(expectation: ToolExpectation, text: str, baseline: str) -> Held:
    name = expectation.pattern
    number = nstat.increase(text, baseline, name)
    if number is None:
        near = nstat.nearest(text, name)
        return Held(holds=False, saw=f"this kernel has no counter named {name}" + (f", did you mean {near}?" if near else ""))
    lines = [line for line in text.splitlines() if line.split()[:1] == [name]]
    return Held(holds=_as_many(expectation, number), saw=f"{name} grew by {number}", excerpt=_last(lines))


def _output_held(expectation: OutputExpectation, text: str) -> Held:
    lines = text.splitlines()
    saw = (
        f"{expectation.program} wrote {_number(len(lines), 'line')}, the last is {lines[-1]!r}"
        if lines
        else f"{expectation.program} wrote nothing"
    )
    return Held(holds=bool(re.search(expectation.pattern, text, re.MULTILINE)), saw=saw, excerpt=_last(lines))


def _as_many(expectation: ToolExpectation, number: int) -> bool:
    if expectation.absent:
        return number == 0
    return number > 0 if expectation.count is None else expectation.count.holds(number)


def _compares(wanted: Comparison | None, number: int) -> bool:
    return wanted is None or wanted.holds(number)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _last(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(lines[-_EXCERPT_LINES:])
