"""TCP's own names: the states of RFC 9293 section 3.3.2 and the flags as tcpdump prints them."""

from __future__ import annotations

from enum import StrEnum

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

_FLAG_LETTERS = (("F", FIN), ("S", SYN), ("R", RST), ("P", PSH), (".", ACK), ("U", URG), ("E", ECE), ("W", CWR))
"""tcpdump's order and letters (``tcp_flag_values`` of print-tcp.c)."""


class State(StrEnum):
    """A connection state of RFC 9293 section 3.3.2, its hyphens written as underscores."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN_SENT"
    SYN_RECEIVED = "SYN_RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN_WAIT_1"
    FIN_WAIT_2 = "FIN_WAIT_2"
    CLOSE_WAIT = "CLOSE_WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"


_OTHER_NAMES = {
    "CLOSE": State.CLOSED,
    "UNCONN": State.CLOSED,
    "SYN_RECV": State.SYN_RECEIVED,
    "NEW_SYN_RECV": State.SYN_RECEIVED,
    "ESTAB": State.ESTABLISHED,
    "FIN_WAIT1": State.FIN_WAIT_1,
    "FIN_WAIT2": State.FIN_WAIT_2,
}


def state_named(text: str) -> State:
    """The state that the RFC, the kernel, ``ss`` or ``netstat`` spells ``text``.

    :raises ValueError: nobody calls a state that.
    """
    name = text.strip().upper().replace("-", "_").replace(" ", "_")
    return _OTHER_NAMES.get(name) or State(name)


def flags_text(bits: int) -> str:
    """``SYN|ACK`` as tcpdump prints it: ``S.``; no flag at all is ``none``."""
    return "".join(letter for letter, bit in _FLAG_LETTERS if bits & bit) or "none"


def flags_bits(text: str) -> int:
    """The bits of tcpdump's letters, in any order.

    :raises ValueError: a letter that tcpdump does not print.
    """
    if text == "none":
        return 0
    letters = dict(_FLAG_LETTERS)
    unknown = [letter for letter in text if letter not in letters]
    if unknown or not text:
        message = f"no TCP flag is printed as {unknown[0]!r}" if unknown else "no flag at all is written 'none'"
        raise ValueError(message)
    bits = 0
    for letter in text:
        bits |= letters[letter]
    return bits
