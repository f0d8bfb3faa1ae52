"""The table of expectations: every form with its fields."""

from __future__ import annotations

from orchestrator.loading.keys import words
from orchestrator.loading.keys.conditions import WHEN_KEY
from orchestrator.loading.kinds.scalars import Choice, Number
from orchestrator.loading.kinds.shapes import ByForm, ListOf, OneOrMany
from orchestrator.loading.kinds.tables import Forms, Key, Keys, Rules

_HOST = Key(words.HOST, "The host that is asked.")
_WITHIN = Key(words.DURATION, "The patience: asked again until it holds or this time is over (1s).")
_COUNT = Key(words.COMPARISON, "How many.")
_ABSENT = Key(words.FLAG, "There is none.")
_CAPTURE = Key(words.HOST, "Whose capture judges.")

SOCKET_PATTERN = Keys(
    "the socket's mapping",
    {
        "local": Key(words.PLACE, "This end: host, 'host:port', ':port', port."),
        "peer": Key(words.PLACE, "The other end."),
    },
    Rules(at_least_one=("local", "peer")),
)

_SOCKET = Keys(
    "this expectation",
    {
        "host": _HOST,
        "socket": Key(
            ByForm("a socket's name, or its ends as {local: ..., peer: ...},", scalar=words.SOCKET_WORD, mapping=SOCKET_PATTERN),
            "A socket's name in the calls, or the ends it has.",
        ),
        "state": Key(OneOrMany(words.STATE, "a list of TCP states"), "Its state, or the states it may be in."),
        "recv_q": Key(words.COMPARISON, "Bytes that wait to be read (for a listener: connections that wait for accept)."),
        "send_q": Key(words.COMPARISON, "Bytes sent and not acknowledged (for a listener: its backlog)."),
        "timer": Key(words.TIMER, "The timer that runs, as ss names it; 'on' is the retransmission timer."),
        "cwnd": Key(words.COMPARISON, "The congestion window, in segments."),
        "fd": Key(words.FLAG, "Whether some process holds a descriptor for it."),
        "absent": _ABSENT,
        "count": Key(words.COMPARISON, "How many sockets fit; without it exactly one must."),
        "protocol": Key(words.PROTOCOL, "tcp if left out."),
        "within": _WITHIN,
        "when": WHEN_KEY,
    },
    Rules(required=("host", "socket"), at_most_one=(("absent", "count"),)),
)

_RULE = Keys(
    "this expectation",
    {
        "host": _HOST,
        "rule": Key(words.NAME, "The rule's name."),
        "packets": Key(words.COMPARISON, "Its packet counter."),
        "bytes": Key(words.COMPARISON, "Its byte counter."),
        "within": _WITHIN,
        "when": WHEN_KEY,
    },
    Rules(required=("host", "rule"), at_least_one=("packets", "bytes")),
)


def _tool(tool: str) -> Keys:
    return Keys(
        "this expectation",
        {
            "host": _HOST,
            tool: Key(words.REGEX, f"A regular expression, searched for in each line of {tool}."),
            "count": Key(words.COMPARISON, "How many lines fit; without it at least one."),
            "absent": _ABSENT,
            "within": _WITHIN,
            "when": WHEN_KEY,
        },
        Rules(required=("host", tool), at_most_one=(("absent", "count"),)),
    )


_NSTAT = Keys(
    "this expectation",
    {
        "host": _HOST,
        "nstat": Key(words.COUNTER, "A counter's name."),
        "count": Key(words.COMPARISON, "By how much it has grown since the run began; without it at least by one."),
        "within": _WITHIN,
        "when": WHEN_KEY,
    },
    Rules(required=("host", "nstat")),
)

_OUTPUT = Keys(
    "this expectation",
    {
        "host": _HOST,
        "output": Key(words.NAME, "A started program's name."),
        "matches": Key(words.REGEX, "A regular expression, searched for in what it has written so far."),
        "within": _WITHIN,
        "when": WHEN_KEY,
    },
    Rules(required=("host", "output", "matches")),
)

_NONE = Choice("none or a list of segments", {"none": ()})
_LINES = ListOf(words.LINE, "a list of segments", least=0)

_PACKETS = Keys(
    "this expectation",
    {
        "packets": Key(
            ByForm(
                "none, a list of segments, or {capture: ..., lines: ...}",
                scalar=_NONE,
                sequence=_LINES,
                mapping=Keys(
                    "'packets'",
                    {
                        "capture": _CAPTURE,
                        "connection": Key(words.SOCKET_WORD, "Only this socket's own segments."),
                        "host": Key(words.HOST, "Whose socket that is, where several hosts have one of that name."),
                        "lines": Key(ByForm("none or a list of segments", scalar=_NONE, sequence=_LINES), "The segments, in this order."),
                    },
                    Rules(required=("lines",), needs={"host": ("connection",)}),
                ),
            ),
            "The TCP, UDP and ICMP segments of one capture, in this order.",
        ),
        "when": WHEN_KEY,
    },
    Rules(required=("packets",)),
)

_COUNTED = Keys(
    "this expectation",
    {
        "count": Key(
            Keys(
                "'count'",
                {
                    "match": Key(words.SEGMENT, "What a segment must look like to be counted."),
                    "is": _COUNT,
                    "capture": _CAPTURE,
                },
                Rules(required=("match", "is")),
            ),
            "How many segments of a capture look so.",
        ),
        "when": WHEN_KEY,
    },
    Rules(required=("count",)),
)

_ICMP = Keys(
    "this expectation",
    {
        "icmp": Key(
            Keys(
                "'icmp'",
                {
                    "from": Key(words.HOST, "Who sends it."),
                    "type": Key(Number("an ICMP type", 0, 255), "Its type."),
                    "code": Key(Number("an ICMP code", 0, 255), "Its code; any if left out."),
                    "capture": _CAPTURE,
                    "count": Key(words.COMPARISON, "How many; without it at least one."),
                },
                Rules(required=("from", "type")),
            ),
            "An ICMP message (ICMPv6 where the run is IPv6).",
        ),
        "when": WHEN_KEY,
    },
    Rules(required=("icmp",)),
)

_PATH = Keys(
    "this expectation",
    {
        "path": Key(
            Keys(
                "'path'",
                {
                    "host": Key(words.HOST, "Whose socket."),
                    "socket": Key(words.SOCKET_WORD, "The socket's name in the calls."),
                    "states": Key(ListOf(words.STATE, "a list of TCP states"), "The states it goes through, first to last."),
                    "witness": Key(words.WITNESS, "'trace' takes the kernel's trace alone for an answer."),
                },
                Rules(required=("host", "socket", "states")),
            ),
            "The states that a socket of ours goes through.",
        ),
        "when": WHEN_KEY,
    },
    Rules(required=("path",)),
)

LIVE = {"socket": _SOCKET, "rule": _RULE, "lsof": _tool("lsof"), "netstat": _tool("netstat"), "nstat": _NSTAT, "output": _OUTPUT}
DEFERRED = {"icmp": _ICMP, "path": _PATH, "packets": _PACKETS, "count": _COUNTED}
_LATER = ("intervals",)

IN_A_STEP = ListOf(Forms("an expectation", {**LIVE, **DEFERRED}, later=_LATER), "a list of expectations")
AT_THE_END = ListOf(
    Forms(
        "an expectation",
        DEFERRED,
        later=_LATER,
        elsewhere={form: f"'{form}' is asked while the run goes on: put it under the 'expect' of a step" for form in LIVE},
    ),
    "a list of expectations",
)
