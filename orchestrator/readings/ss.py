"""The text of ``ss -tuanpoeimOH`` becomes one :class:`SocketReading` per socket.

Knows iproute2's way of printing (misc/ss.c, 4.20 to 6.x) and nothing of plans or expectations. What surprises: ``ss`` prints a timer of one
and a half seconds as ``1.500ms``, and a TIME_WAIT, an orphan and a connection that nobody accepted yet all have ``ino:0``.
"""

from __future__ import annotations

import re

from msgspec import field

from orchestrator.errors import EvidenceError
from orchestrator.model.tcp import State, state_named
from orchestrator.model.words.values import Record

_PROTOCOLS = ("tcp", "udp")
# Text, not compiled patterns: re compiles them at their first use and keeps them, so that a run that asks nothing pays nothing.
_COLUMNS = r"(\S+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+)\s*(.*)"
_HOLDER = r'\("(.*?)",(?:pid=)?(\d+),(?:fd=)?(\d+)\)'
_HOLDERS = r'users:\(((?:\(".*?",(?:pid=)?\d+,(?:fd=)?\d+\),?)+)\)'
_TIMER = r"timer:\(([^,()]+),([^,()]*),(\d+)\)"
_REMAINING = r"(?:(\d+)min)?(?:(\d+)(?:sec|\.))?(?:(\d+)ms)?"
_PAIRS = ("send", "pacing_rate", "delivery_rate")
_FLAGS = ("ts", "sack", "ecn", "ecnseen", "fastopen", "app_limited")
_ARROWS = ("<->", "-->", "<--", "---")
_INACTIVE = ("BOUND", "BOUND_INACTIVE", "BOUND-INACTIVE")


class Holder(Record, frozen=True, kw_only=True):
    """A process that holds a descriptor for the socket."""

    name: str
    pid: int
    fd: int


class SocketReading(Record, frozen=True, kw_only=True):
    """One socket as ``ss`` tells it.

    ``local`` and ``peer`` are ``address:port`` (``[address]:port`` for IPv6), ``peer`` empty where there is none. ``timer`` is the
    name that ``ss`` prints (``on``, ``keepalive``, ``timewait``, ``persist``), empty for none. ``info`` is all the rest by its own
    words: ``cwnd``, ``rto``, ``skmem``...; a bare flag has an empty value, ``congestion`` is the algorithm, ``direction`` the arrow
    (``-->``: nothing more is received). For a listener ``recv_q`` is how many wait to be accepted and ``send_q`` the backlog.
    """

    protocol: str
    state: State
    recv_q: int
    send_q: int
    local: str
    peer: str = ""
    processes: tuple[Holder, ...] = ()
    timer: str = ""
    timer_ns: int = 0
    retransmissions: int = 0
    uid: int = 0
    inode: int = 0
    cookie: int = 0
    info: dict[str, str] = field(default_factory=dict)
    line: str = ""


def sockets(text: str) -> tuple[SocketReading, ...]:
    """Every TCP and UDP socket in ``text``, in its order; headers and other families are passed over.

    :raises EvidenceError: a line is a TCP or UDP socket's and cannot be read (passing it over could make ``absent`` true).
    """
    return tuple(_socket(line) for line in _whole_lines(text) if line.partition(" ")[0] in _PROTOCOLS)


def _whole_lines(text: str) -> list[str]:
    """One line per socket: without ``-O`` the details stand on an indented line of their own."""
    whole: list[str] = []
    for line in text.splitlines():
        if whole and line[:1].isspace():
            whole[-1] = f"{whole[-1]} {line.strip()}"
        else:
            whole.append(line.rstrip())
    return whole


def _socket(line: str) -> SocketReading:
    columns = re.fullmatch(_COLUMNS, line)
    if columns is None:
        raise EvidenceError(f"ss printed a line that does not have its columns: {line!r}")
    protocol, state, recv_q, send_q, local, peer, rest = columns.groups()
    found = re.search(_HOLDERS, rest)
    # What a process calls itself may look like anything: it goes before the other words are read.
    words = rest[: found.start()] + rest[found.end() :] if found else rest
    info = _words(re.sub(_TIMER, "", words))
    timer, timer_ns, retransmissions = _timer(words)
    try:
        return SocketReading(
            protocol=protocol,
            state=_state(state),
            recv_q=int(recv_q),
            send_q=int(send_q),
            local=_end(local, peer),
            peer="" if peer.endswith(":*") else _end(peer, local),
            processes=_holders(found.group(1)) if found else (),
            timer=timer,
            timer_ns=timer_ns,
            retransmissions=retransmissions,
            uid=int(info.pop("uid", "0")),
            inode=int(info.pop("ino", "0")),
            cookie=int(info.pop("sk", "0"), 16),
            info=info,
            line=line,
        )
    except ValueError as error:
        raise EvidenceError(f"ss printed a line that cannot be read ({error}): {line!r}") from error


def _state(text: str) -> State:
    return State.CLOSED if text in _INACTIVE else state_named(text)


def _end(text: str, other: str) -> str:
    """``10.0.0.1%eth1:80`` as ``10.0.0.1:80``; a ``*`` takes the family of the other end, IPv6 where that is a ``*`` too."""
    address, _, port = text.rpartition(":")
    address = re.sub(r"%[^\]]*", "", address).strip("[]")
    if address == "*":
        address = "0.0.0.0" if other.count(":") == 1 and not other.startswith("*") else "::"  # noqa: S104 - read, never bound
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _holders(text: str) -> tuple[Holder, ...]:
    return tuple(Holder(name=name, pid=int(pid), fd=int(fd)) for name, pid, fd in re.findall(_HOLDER, text))


def _timer(text: str) -> tuple[str, int, int]:
    found = re.search(_TIMER, text)
    if found is None:
        return "", 0, 0
    name, remaining, retransmissions = found.groups()
    return name, _remaining_ns(remaining), int(retransmissions)


def _remaining_ns(text: str) -> int:
    """``print_ms_timer`` of ss.c backwards: ``119min``, ``1min5sec``, ``59sec``, ``1.500ms`` (1.5 s), ``508ms``, nothing at all for 0."""
    found = re.fullmatch(_REMAINING, text)
    if found is None:
        raise EvidenceError(f"ss printed a timer that cannot be read: {text!r}")
    minutes, seconds, millis = (int(part or 0) for part in found.groups())
    return ((minutes * 60 + seconds) * 1000 + millis) * 1_000_000


def _words(text: str) -> dict[str, str]:
    """``ts bbr cwnd:10 send 12bps`` as ``{"ts": "", "congestion": "bbr", "cwnd": "10", "send": "12bps"}``."""
    info: dict[str, str] = {}
    words = iter(text.split())
    for word in words:
        key, colon, value = word.partition(":")
        if colon:
            info[key] = value
        elif word in _PAIRS:
            info[word] = next(words, "")
        elif word in _ARROWS:
            info["direction"] = word
        elif word in _FLAGS:
            info[word] = ""
        else:
            info.setdefault("congestion", word)
    return info
