"""Evidence to the lines of the ladder: each segment between two hosts, and the state of either end just after it.

It does not know how an arrow looks. Two surprising facts: a state is looked up by the clock of the host that has it (the sender's when the
segment left, the receiver's when it came), and a segment counts as lost only where the receiver's capture was whole and unfiltered, because
a capture that was not there proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestrator.model.evidence import CaptureEvidence, Evidence, History, Passage, Segment
from orchestrator.model.tcp import ACK, RST, SYN, URG, flags_text
from orchestrator.model.verdict import LadderLine

HEAD, TAIL = 30, 10
"""How many lines a report keeps from the begin and from the end of a long ladder."""

_SHORT_BYTES = 48

_NEIGHBOUR_TYPES = range(130, 144)
"""ICMPv6 messages of MLD and neighbour discovery (RFC 2710, 3810, 4861): they are no part of the conversation."""

_ICMP_WORDS = {
    (4, 0, 0): "echo reply",
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 4): "fragmentation needed",
    (4, 3, 13): "prohibited",
    (4, 8, 0): "echo request",
    (4, 11, 0): "time exceeded",
    (6, 1, 0): "no route",
    (6, 1, 1): "prohibited",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 2, 0): "packet too big",
    (6, 3, 0): "time exceeded",
    (6, 128, 0): "echo request",
    (6, 129, 0): "echo reply",
}


def ladder(evidence: Evidence, order: Sequence[str]) -> tuple[LadderLine, ...]:
    """The TCP, UDP and ICMP segments between the hosts of ``order``; of two hosts the one named first in it stands on the left."""
    passages = [passage for passage in evidence.passages if _between(_seen(evidence, passage), order)]
    hidden = passages[HEAD : len(passages) - TAIL] if len(passages) > HEAD + TAIL + 1 else []
    if not hidden:
        return tuple(_line(evidence, passage, order) for passage in passages)
    shown = [_line(evidence, passage, order) for passage in (*passages[:HEAD], *passages[-TAIL:])]
    return (*shown[:HEAD], left_out(len(hidden), _seen(evidence, hidden[0]).at_ns), *shown[HEAD:])


def left_out(count: int, at_ns: int) -> LadderLine:
    """The line that stands for ``count`` lines from ``at_ns`` on."""
    return LadderLine(at_ns=at_ns, left="", right="", rightward=True, text=f"... {count} more", more=count)


def _seen(evidence: Evidence, passage: Passage) -> Segment:
    index = passage.received if passage.sent is None else passage.sent
    return evidence.segments[index or 0]


def _between(segment: Segment, order: Sequence[str]) -> bool:
    if segment.protocol == "icmp" and segment.version == 6 and segment.icmp_type in _NEIGHBOUR_TYPES:
        return False
    ends = {segment.source_host, segment.destination_host}
    return segment.protocol in {"tcp", "udp", "icmp"} and len(ends) == 2 and ends <= set(order)


def _line(evidence: Evidence, passage: Passage, order: Sequence[str]) -> LadderLine:
    segment = _seen(evidence, passage)
    source, destination = segment.source_host, segment.destination_host
    rightward = order.index(source) < order.index(destination)
    arrived = segment if passage.received is None else evidence.segments[passage.received]
    apart_ns = evidence.apart_ns(source, destination)
    unsure = apart_ns if passage.sent is None else 0, apart_ns if passage.received is None else 0
    states = (
        _state(evidence.histories, source, _ends(segment), segment.at_ns, unsure[0]),
        _state(evidence.histories, destination, _ends(segment)[::-1], arrived.at_ns, unsure[1]),
    )
    left_state, right_state = states if rightward else states[::-1]
    return LadderLine(
        at_ns=segment.at_ns,
        left=source if rightward else destination,
        right=destination if rightward else source,
        rightward=rightward,
        text=_which(evidence, segment) + segment_words(segment),
        lost=passage.received is None and _would_have_seen(evidence.captures, destination),
        left_state=left_state,
        right_state=right_state,
    )


def _would_have_seen(captures: Sequence[CaptureEvidence], host: str) -> bool:
    own = [capture for capture in captures if capture.host == host]
    return bool(own) and all(it.complete and it.dropped <= 0 and not it.filter and not it.problem for it in own)


def _ends(segment: Segment) -> tuple[str, str]:
    """The sender's end and the receiver's end as histories write them; an ICMP error speaks of the segment that it quotes."""
    quoted = segment.quoted
    if quoted is not None:
        return _end(quoted.destination, quoted.destination_port), _end(quoted.source, quoted.source_port)
    return _end(segment.source, segment.source_port), _end(segment.destination, segment.destination_port)


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _state(histories: Sequence[History], host: str, ends: tuple[str, str], at_ns: int, unsure_ns: int = 0) -> str:
    """The state of that connection at ``host`` then; before there is one, that of the listening socket it will come from.

    Where only the other host saw the segment, its clock tells when: a state that was another ``unsure_ns`` before or after is not told.
    """
    if unsure_ns:
        first, last = (_state(histories, host, ends, at_ns + shift_ns) for shift_ns in (-unsure_ns, unsure_ns))
        return first if first == last else ""
    local, peer = ends
    own = [it for it in histories if it.host == host and (it.local, it.peer) == (local, peer)]
    listening = [it for it in histories if it.host == host and not it.peer and _port(it.local) == _port(local)]
    return _latest(own, at_ns) or _latest(listening, at_ns)


def _latest(histories: Sequence[History], at_ns: int) -> str:
    entered = [it for history in histories for it in history.transitions if it.at_ns <= at_ns]
    return str(max(reversed(entered), key=lambda it: it.at_ns).state) if entered else ""


def _port(end: str) -> str:
    return end.rpartition(":")[2]


def _which(evidence: Evidence, segment: Segment) -> str:
    """Where several connections share the ladder, the client's port, which tells them apart."""
    if len(evidence.connections) < 2 or not segment.source_port:
        return ""
    ends = set(_ends(segment))
    client = next((it.client for it in evidence.connections if {it.client, it.server} == ends), _ends(segment)[0])
    return f":{_port(client)} "


def segment_words(segment: Segment) -> str:
    """``S 0:0(0)``, ``P. 1:13(12) ack 1 "Hello juliet"``, ``udp(12)``, ``icmp 3/3 port unreachable``: what an arrow has room for."""
    if segment.fragment:
        return f"{segment.protocol} fragment at {segment.fragment}, {segment.length} bytes"
    if segment.protocol == "icmp":
        word = _ICMP_WORDS.get((segment.version, segment.icmp_type, segment.icmp_code), "")
        return f"icmp {segment.icmp_type}/{segment.icmp_code} {word}".rstrip()
    if segment.protocol == "udp":
        return f"udp({segment.length}){_payload(segment)}"
    return f"{flags_text(segment.flags)} {_numbers(segment)}{_notable(segment)}{_payload(segment)}"


def _numbers(segment: Segment) -> str:
    start = segment.seq if segment.relative_seq is None else segment.relative_seq
    ack = segment.ack if segment.relative_ack is None else segment.relative_ack
    return f"{start}:{start + segment.length}({segment.length})" + (f" ack {ack}" if segment.flags & ACK else "")


def _notable(segment: Segment) -> str:
    """What a reader must not miss: a closed window, urgent data, a selective acknowledgement."""
    closed = segment.window == 0 and segment.flags & ACK and not segment.flags & (SYN | RST)
    sack = any(option.name == "sack" for option in segment.options)
    return (" win 0" if closed else "") + (f" urg {segment.urgent}" if segment.flags & URG else "") + (" sack" if sack else "")


def _payload(segment: Segment) -> str:
    """Text that a person typed; bulk data says nothing, and neither does what is no text."""
    if not segment.payload or segment.length > _SHORT_BYTES:
        return ""
    text = segment.payload.decode("ascii", "replace")
    readable = text.translate({10: "", 13: "", 9: ""})
    return f" {json.dumps(text)}" if readable.isascii() and readable.isprintable() else ""
