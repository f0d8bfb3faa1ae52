"""What must be seen: the expectations of the language, each naming the witness that can testify.

Live ones (:data:`Live`) are asked for while the run goes on and gate the next step; the others are judged from the evidence afterwards.
"""

from __future__ import annotations

from typing import TypeAlias

from orchestrator.model.tcp import State
from orchestrator.model.words.segments import Gap, SegmentPattern
from orchestrator.model.words.values import Comparison, Json, Record, Where


class Outcome(Record, frozen=True, kw_only=True):
    """What an action itself must give (the application's testimony).

    ``raises`` is an exception's class name (a base class fits too) or an errno name; ``returns`` a value of the wire where
    ``any_return`` is false and ``has_return`` is true; ``stdout`` a regular expression that is searched for.
    """

    raises: str | None = None
    returns: Json = None
    has_return: bool = False
    any_return: bool = False
    stdout: str | None = None
    where: Where | None = None


class Place(Record, frozen=True, kw_only=True):
    """One end of a socket in a pattern; ``None`` leaves it open. ``host`` is a host's name or an address."""

    host: str | None = None
    port: int | None = None


class SocketPattern(Record, frozen=True, kw_only=True):
    """Which socket is meant: one of ours by ``name``, or any whose ends fit."""

    name: str | None = None
    local: Place | None = None
    peer: Place | None = None


class Expectation(Record, frozen=True, kw_only=True, tag_field="expect"):
    """The base of every expectation. ``text`` is how reports call it; ``when`` is why planning left it out, if it did."""

    where: Where
    text: str = ""
    skip: str | None = None


class SocketExpectation(Expectation, frozen=True, kw_only=True, tag="socket"):
    """Kernel: one socket (``count``: so many) on ``host`` fits, and each field given holds. ``state`` may list alternatives."""

    host: str
    socket: SocketPattern
    within_ns: int
    protocol: str = "tcp"
    states: tuple[State, ...] = ()
    absent: bool = False
    count: Comparison | None = None
    recv_q: Comparison | None = None
    send_q: Comparison | None = None
    timer: str | None = None
    cwnd: Comparison | None = None
    fd: bool | None = None
    """``True``: some process holds a descriptor for it; ``False``: none does (a connection not yet accepted)."""


class RuleExpectation(Expectation, frozen=True, kw_only=True, tag="rule"):
    """Kernel: the counters of the rule put in as ``rule``."""

    host: str
    rule: str
    within_ns: int
    packets: Comparison | None = None
    bytes: Comparison | None = None


class ToolExpectation(Expectation, frozen=True, kw_only=True, tag="tool"):
    """Kernel, as ``lsof``, ``netstat`` or ``nstat`` tell it.

    ``pattern`` is searched for in each line (``lsof``, ``netstat``); for ``nstat`` it is the exact name of a counter. ``count`` is held
    against the number of lines (the counter's increase since the run began, for ``nstat``); without it at least one. ``absent``: none.
    """

    host: str
    tool: str
    pattern: str
    within_ns: int
    count: Comparison | None = None
    absent: bool = False


class OutputExpectation(Expectation, frozen=True, kw_only=True, tag="output"):
    """Application: what the program ``program`` has written so far fits the regular expression ``pattern``."""

    host: str
    program: str
    pattern: str
    within_ns: int


class PacketsExpectation(Expectation, frozen=True, kw_only=True, tag="packets"):
    """Wire: the segments in ``capture`` are these, in this order; an empty ``lines`` is ``packets: none``.

    ``connection`` narrows it to one socket's own. ``step`` (its number) narrows it to the time from that step's begin to the begin of the
    next.
    """

    capture: str
    lines: tuple[SegmentPattern | Gap, ...] = ()
    connection: str | None = None
    connection_host: str | None = None
    step: int | None = None


class CountExpectation(Expectation, frozen=True, kw_only=True, tag="count"):
    """Wire: how many segments of ``capture`` fit ``match``."""

    capture: str
    match: SegmentPattern
    count: Comparison
    step: int | None = None


class IcmpExpectation(Expectation, frozen=True, kw_only=True, tag="icmp"):
    """Wire: an ICMP message from ``source`` with this type and code is in ``capture``; ``count`` says how many (default: at least one)."""

    capture: str
    source: str
    type: int
    code: int | None = None
    count: Comparison | None = None
    step: int | None = None


class PathExpectation(Expectation, frozen=True, kw_only=True, tag="path"):
    """The states that a socket of ours went through, first to last; ``witness`` may insist on ``trace``."""

    host: str
    socket: str
    states: tuple[State, ...]
    witness: str | None = None


Live: TypeAlias = SocketExpectation | RuleExpectation | ToolExpectation | OutputExpectation
Deferred: TypeAlias = PacketsExpectation | CountExpectation | IcmpExpectation | PathExpectation
AnyExpectation: TypeAlias = Live | Deferred
