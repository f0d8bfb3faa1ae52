"""What controller and agent say to each other, and the table of the calls an agent can do.

Frames are single lines of JSON, both ways. The controller asks ``{"id": 7, "ask": "fire", ...}``; the agent answers
``{"id": 7, "ok": ...}`` or ``{"id": 7, "error": "...", "kind": "..."}``. Between answers it may tell: ``{"tell": "ended", ...}``.
The table below is the one place that says which socket calls and constants a scenario may name.
"""

from __future__ import annotations

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

VERSION = 1
MAX_FRAME_BYTES = 8 * 1024 * 1024
HEARTBEAT_S = 2.0
SILENCE_S = 15.0
CONFIRM_S = 5.0

# What the controller asks.
LINES = "lines"  # iproute2 lines, fed to `ip -batch`
PREPARE = "prepare"  # the whole program of this host: actions by id, deadline
CAPTURE = "capture"  # begin to capture; the answer says since when
FIRE = "fire"  # actions by id, now or at an instant of this host's monotonic clock
OBSERVE = "observe"  # run an observer (ss, lsof, ...); its text
ENVIRONMENT = "environment"  # kernel, tools, sysctls, offloads
SEAL = "seal"  # end the capture and say what it came to
FINISH = "finish"  # interrupt what blocks, stop captures, undo, report
BEAT = "beat"  # I am still here
HOLD = "hold"  # a person looks around: forget the deadline
SURVEY = "survey"  # what a real host has and can do, with its interfaces, addresses and routes; touches nothing
GUARD = "guard"  # from now on this host is one run's alone: lock, journal, guardian
CONFIRM = "confirm"  # the control connection survived the change of this number, and a fresh one was opened after it
CLEAN = "clean"  # what earlier runs left on this host: told, and taken back

# What kind of refusal it is when this host lacks what was asked for; an answer's other kinds are for people.
LACKING = "Lacking"
HELD = "Held"  # another run has this host

# What the agent tells unasked.
HELLO = "hello"
ENDED = "ended"  # a background action is over
PACKETS = "packets"  # some bytes of a capture
GOODBYE = "goodbye"  # I have undone and am leaving, and why
UNCONFIRMED = "unconfirmed"  # a change, by its number, that I shall take back soon unless it is confirmed
FAILED = "failed"  # I could not even become a host, or I have a fault, and why; with the errno of what the system refused


class Rule:
    """How one socket call may be typed: ``least`` to ``most`` arguments, ``of`` the ``module`` or a ``socket``, and how many results.

    ``address`` is the index of the argument that is an address, from the end when negative.
    """

    __slots__ = ("address", "least", "most", "of", "results")

    def __init__(self, of: str, least: int, most: int, results: int = 1, address: int | None = None) -> None:
        self.of = of
        self.least = least
        self.most = most
        self.results = results
        self.address = address


CALLS: dict[str, Rule] = {
    "socket.socket": Rule("module", 0, 3),
    "bind": Rule("socket", 1, 1, address=0),
    "listen": Rule("socket", 0, 1),
    "accept": Rule("socket", 0, 0, results=2),
    "connect": Rule("socket", 1, 1, address=0),
    "connect_ex": Rule("socket", 1, 1, address=0),
    "send": Rule("socket", 1, 2),
    "sendall": Rule("socket", 1, 2),
    "sendto": Rule("socket", 2, 3, address=-1),
    "recv": Rule("socket", 1, 2),
    "recvfrom": Rule("socket", 1, 2, results=2),
    "shutdown": Rule("socket", 1, 1),
    "close": Rule("socket", 0, 0),
    "setsockopt": Rule("socket", 3, 4),
    "getsockopt": Rule("socket", 2, 3),
    "settimeout": Rule("socket", 1, 1),
    "gettimeout": Rule("socket", 0, 0),
    "setblocking": Rule("socket", 1, 1),
    "getsockname": Rule("socket", 0, 0),
    "getpeername": Rule("socket", 0, 0),
    "fileno": Rule("socket", 0, 0),
}

# Linux's numbers (asm-generic), so that a constant that this Python or that one lacks means the same on every host.
CONSTANTS: dict[str, int] = {
    "AF_INET": 2, "AF_INET6": 10, "AF_UNIX": 1,
    "SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3, "SOCK_NONBLOCK": 2048, "SOCK_CLOEXEC": 524288,
    "SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2, "SOMAXCONN": 4096,
    "INADDR_ANY": 0, "INADDR_LOOPBACK": 0x7F000001, "INADDR_BROADCAST": 0xFFFFFFFF,
    "SOL_SOCKET": 1, "SOL_IP": 0, "SOL_TCP": 6, "SOL_UDP": 17, "SOL_IPV6": 41,
    "IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_IPV6": 41, "IPPROTO_ICMPV6": 58,
    "SO_DEBUG": 1, "SO_REUSEADDR": 2, "SO_TYPE": 3, "SO_ERROR": 4, "SO_DONTROUTE": 5, "SO_BROADCAST": 6, "SO_SNDBUF": 7,
    "SO_RCVBUF": 8, "SO_KEEPALIVE": 9, "SO_OOBINLINE": 10, "SO_PRIORITY": 12, "SO_LINGER": 13, "SO_REUSEPORT": 15,
    "SO_RCVLOWAT": 18, "SO_SNDLOWAT": 19, "SO_RCVTIMEO": 20, "SO_SNDTIMEO": 21, "SO_BINDTODEVICE": 25, "SO_ACCEPTCONN": 30,
    "SO_MARK": 36, "SO_PROTOCOL": 38, "SO_DOMAIN": 39, "SO_INCOMING_CPU": 49, "SO_COOKIE": 57,
    "TCP_NODELAY": 1, "TCP_MAXSEG": 2, "TCP_CORK": 3, "TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6, "TCP_SYNCNT": 7,
    "TCP_LINGER2": 8, "TCP_DEFER_ACCEPT": 9, "TCP_WINDOW_CLAMP": 10, "TCP_INFO": 11, "TCP_QUICKACK": 12, "TCP_CONGESTION": 13,
    "TCP_USER_TIMEOUT": 18, "TCP_FASTOPEN": 23, "TCP_NOTSENT_LOWAT": 25,
    "IP_TOS": 1, "IP_TTL": 2, "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_MTU": 14, "IP_TRANSPARENT": 19,
    "IP_BIND_ADDRESS_NO_PORT": 24, "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3,
    "IPV6_UNICAST_HOPS": 16, "IPV6_MTU_DISCOVER": 23, "IPV6_MTU": 24, "IPV6_RECVERR": 25, "IPV6_V6ONLY": 26, "IPV6_TCLASS": 67,
    "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_DONTROUTE": 4, "MSG_TRUNC": 32, "MSG_DONTWAIT": 64, "MSG_EOR": 128, "MSG_WAITALL": 256,
    "MSG_ERRQUEUE": 8192, "MSG_NOSIGNAL": 16384, "MSG_MORE": 32768, "MSG_FASTOPEN": 0x20000000,
}  # fmt: skip


def encode_value(value: object) -> object:
    """A Python value as JSON can hold it: bytes become ``{"bytes": base64}``, tuples ``{"tuple": [...]}``.

    :raises ValueError: no scenario can hold such a value.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": binascii.b2a_base64(value, newline=False).decode()}
    if isinstance(value, tuple):
        return {"tuple": [encode_value(item) for item in value]}
    if isinstance(value, list):
        return [encode_value(item) for item in value]
    raise ValueError(f"a {type(value).__name__} cannot travel")


def decode_value(  # noqa: PLR0911  a line for each form that a value can have
    value: object, constant: Callable[[str], object] = CONSTANTS.__getitem__
) -> object:
    """The Python value again; ``{"constant": "AF_INET"}`` becomes its number, ``{"or": [...]}`` the numbers joined bit by bit.

    :raises ValueError: it is not in the wire's form.
    """
    if isinstance(value, list):
        return [decode_value(item, constant) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "bytes" and isinstance(content, str):
            return binascii.a2b_base64(content)
        if kind == "tuple" and isinstance(content, list):
            return tuple(decode_value(item, constant) for item in content)
        if kind == "constant" and isinstance(content, str) and content in CONSTANTS:
            return constant(content)
        if kind == "or" and isinstance(content, list):
            return _joined([decode_value(item, constant) for item in content])
    return _refuse(value)


def _joined(numbers: list[object]) -> int:
    """``SOCK_STREAM | SOCK_NONBLOCK``."""
    joined = 0
    for number in numbers:
        joined |= number if isinstance(number, int) else _refuse(number)
    return joined


def _refuse(value: object) -> NoReturn:
    raise ValueError(f"not a value of the wire: {value!r}")
