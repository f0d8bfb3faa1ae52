"""Each segment's way: as its sender's capture saw it leave and as its receiver's capture saw it come.

Knows segments and who captured them, no connections and no rules. The surprising fact: of two identical retransmissions one may be
lost, and then the later one is taken to have arrived, unless it had not been sent yet: matching goes backward in time, the last
arrival to the latest departure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.model.evidence import Passage, Segment

_PROTOCOLS = frozenset({"tcp", "udp", "icmp"})
_NEIGHBOURS = frozenset({*range(130, 138), 143})
"""ICMPv6 types of MLD and neighbour discovery (RFC 2710, 3810, 4861): talk of the wire about itself."""


def passages(segments: Sequence[Segment]) -> tuple[Passage, ...]:
    """The way of every segment between two hosts of the topology, in order of time. What a router saw pass is not counted again."""
    sent: dict[Any, list[int]] = {}
    received: dict[Any, list[int]] = {}
    for index, segment in enumerate(segments):
        if segment.outgoing:
            if segment.source_host == segment.capture and segment.destination_host:
                _note(sent, segment, index)
        elif segment.destination_host == segment.capture and segment.source_host:
            _note(received, segment, index)
    found: list[tuple[int, int, Passage]] = []
    for key, arrivals in received.items():
        found += _matched(segments, sent.pop(key, ()), arrivals)
    for departures in sent.values():
        found += [(segments[index].at_ns, index, Passage(sent=index)) for index in departures]
    found.sort(key=_order)
    return tuple(passage for _at_ns, _index, passage in found)


def _order(entry: tuple[int, int, Passage]) -> tuple[int, int]:
    return entry[0], entry[1]


def _note(table: dict[Any, list[int]], segment: Segment, index: int) -> None:
    if segment.protocol == "tcp":
        key: Any = (
            segment.source_port, segment.seq, segment.ack, segment.length, segment.flags, segment.destination_port,
            segment.source, segment.destination, segment.options, segment.window,
        )  # fmt: skip
    elif segment.protocol not in _PROTOCOLS or (segment.version == 6 and segment.icmp_type in _NEIGHBOURS):
        return
    else:
        ends = segment.source, segment.destination, segment.source_port, segment.destination_port
        key = (*ends, segment.protocol, segment.icmp_type, segment.icmp_code, segment.fragment, segment.payload)
    table.setdefault(key, []).append(index)


def _matched(segments: Sequence[Segment], departures: Sequence[int], arrivals: Sequence[int]) -> list[tuple[int, int, Passage]]:
    """Match identical segments, the last arrival first; what two clocks that differ leave over is matched in order."""
    if len(departures) == len(arrivals) == 1:
        return [(segments[departures[0]].at_ns, departures[0], Passage(sent=departures[0], received=arrivals[0]))]
    left = list(departures)
    unmatched: list[int] = []
    pairs: list[tuple[int, int]] = []
    for arrival in reversed(arrivals):
        later: list[int] = []
        while left and segments[left[-1]].at_ns > segments[arrival].at_ns:
            later.append(left.pop())
        if left:
            pairs.append((left.pop(), arrival))
            pairs += [(departure, -1) for departure in later]
        else:
            unmatched.append(arrival)
            left = later[::-1]
    return _entries(segments, pairs, left, unmatched[::-1])


def _entries(
    segments: Sequence[Segment], pairs: list[tuple[int, int]], departures: Sequence[int], arrivals: Sequence[int]
) -> list[tuple[int, int, Passage]]:
    alone = sorted([*departures, *(sent for sent, received in pairs if received < 0)])
    matched = [(sent, received) for sent, received in pairs if received >= 0]
    matched += zip(alone, arrivals, strict=False)
    entries = [(segments[sent].at_ns, sent, Passage(sent=sent, received=received)) for sent, received in matched]
    entries += [(segments[sent].at_ns, sent, Passage(sent=sent)) for sent in alone[len(arrivals) :]]
    entries += [(segments[received].at_ns, received, Passage(received=received)) for received in arrivals[len(alone) :]]
    return entries
