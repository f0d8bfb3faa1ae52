"""The state machine of RFC 9293: which event leads from which state to which.

Section 3.3.2 and figure 5, with the text of section 3.10.7 where the figure is short. Knows no segments, sockets or clocks: an
event is what happened, already judged to be acceptable. The surprising fact: a table is all there is; what it does not hold moves
nothing, so that a duplicate or an old segment can be offered without harm.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

from orchestrator.model.tcp import State


class Event(StrEnum):
    """What moves a connection.

    ``CLOSE`` is the user's CLOSE, which sends a FIN; ``ABORT`` is an end without one (RST sent, time-out, kill).
    """

    PASSIVE_OPEN = "passive open"
    ACTIVE_OPEN = "active open"
    RCV_SYN = "SYN received"
    RCV_SYN_ACK = "SYN,ACK received"
    RCV_ACK_OF_SYN = "ACK of SYN received"
    RCV_FIN = "FIN received"
    RCV_ACK_OF_FIN = "ACK of FIN received"
    RCV_FIN_AND_ACK = "FIN and ACK of FIN received"
    RCV_RST = "RST received"
    CLOSE = "close"
    ABORT = "abort"
    TIMEOUT = "time-out of 2 MSL"


_S, _E = State, Event
_SYNCHRONISED = (_S.ESTABLISHED, _S.FIN_WAIT_1, _S.FIN_WAIT_2, _S.CLOSE_WAIT, _S.CLOSING, _S.LAST_ACK, _S.TIME_WAIT)

_FIGURE_5 = {
    (_S.CLOSED, _E.PASSIVE_OPEN): _S.LISTEN,
    (_S.CLOSED, _E.ACTIVE_OPEN): _S.SYN_SENT,
    (_S.LISTEN, _E.ACTIVE_OPEN): _S.SYN_SENT,
    (_S.LISTEN, _E.RCV_SYN): _S.SYN_RECEIVED,
    (_S.LISTEN, _E.CLOSE): _S.CLOSED,
    (_S.SYN_SENT, _E.RCV_SYN): _S.SYN_RECEIVED,
    (_S.SYN_SENT, _E.RCV_SYN_ACK): _S.ESTABLISHED,
    (_S.SYN_SENT, _E.CLOSE): _S.CLOSED,
    (_S.SYN_RECEIVED, _E.RCV_ACK_OF_SYN): _S.ESTABLISHED,
    (_S.SYN_RECEIVED, _E.CLOSE): _S.FIN_WAIT_1,
    (_S.ESTABLISHED, _E.CLOSE): _S.FIN_WAIT_1,
    (_S.ESTABLISHED, _E.RCV_FIN): _S.CLOSE_WAIT,
    (_S.FIN_WAIT_1, _E.RCV_ACK_OF_FIN): _S.FIN_WAIT_2,
    (_S.FIN_WAIT_1, _E.RCV_FIN): _S.CLOSING,
    (_S.FIN_WAIT_2, _E.RCV_FIN): _S.TIME_WAIT,
    (_S.CLOSE_WAIT, _E.CLOSE): _S.LAST_ACK,
    (_S.CLOSING, _E.RCV_ACK_OF_FIN): _S.TIME_WAIT,
    (_S.LAST_ACK, _E.RCV_ACK_OF_FIN): _S.CLOSED,
    (_S.TIME_WAIT, _E.TIMEOUT): _S.CLOSED,
}

_NOTE_2 = {
    # "The transition from FIN-WAIT-1 to TIME-WAIT if a FIN is received and the local FIN is also acknowledged."
    (_S.FIN_WAIT_1, _E.RCV_FIN_AND_ACK): _S.TIME_WAIT,
}

_SECTION_3_10_7 = {
    # 3.10.7.3: a SYN,ACK is acceptable in SYN-RECEIVED where both sides opened: its ACK is what counts.
    (_S.SYN_RECEIVED, _E.RCV_SYN_ACK): _S.ESTABLISHED,
    # 3.10.7.3 and note 3: a RST with an acceptable ACK ends SYN-SENT.
    (_S.SYN_SENT, _E.RCV_RST): _S.CLOSED,
    (_S.SYN_SENT, _E.ABORT): _S.CLOSED,
    # 3.10.7.4, second: after a passive open a RST leads back to LISTEN (note 1); see follow().
    (_S.SYN_RECEIVED, _E.RCV_RST): _S.CLOSED,
    (_S.SYN_RECEIVED, _E.ABORT): _S.CLOSED,
    # 3.10.7.4, second: in every synchronised state a RST ends the connection; 3.10.5: so does ABORT, and 3.10.8 the user time-out.
    **dict.fromkeys(((state, _E.RCV_RST) for state in _SYNCHRONISED), _S.CLOSED),
    **dict.fromkeys(((state, _E.ABORT) for state in _SYNCHRONISED), _S.CLOSED),
}

LAW = MappingProxyType({**_FIGURE_5, **_NOTE_2, **_SECTION_3_10_7})
"""All that may happen: (state, event) to the state that follows."""

ALLOWED = frozenset((before, after) for (before, _event), after in LAW.items()) | {(State.SYN_RECEIVED, State.LISTEN)}
"""Every pair of states that may follow one another, with note 1 of figure 5 (a RST in SYN-RECEIVED after a passive open)."""


def follow(state: State, event: Event, *, passive: bool = False) -> State | None:
    """The state that ``event`` leads to from ``state``, ``None`` where it moves nothing. ``passive``: the connection began in LISTEN."""
    if passive and state is State.SYN_RECEIVED and event is Event.RCV_RST:
        return State.LISTEN
    return LAW.get((state, event))


def violations(states: tuple[State, ...]) -> tuple[tuple[State, State], ...]:
    """The steps of a history that the standard does not allow."""
    return tuple(pair for pair in pairwise(states) if pair not in ALLOWED)
