"""Each segment's way: as its sender's capture saw it leave and as its receiver's capture saw it come.

Knows segments and who captured them, no connections and no rules. The surprising fact: of two identical retransmissions one may be
lost, and then the later one is taken to have arrived, unless it had not been sent yet: matching goes backward in time, the last arrival
to the latest departure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from orchestrator.model.evidence import Passage, Segment

_TALK = frozenset({"tcp", "udp", "icmp"})
_NEIGHBOURS = frozenset({*range(130, 138), 143})
"""ICMPv6 types of MLD and neighbour discovery (RFC 2710, 3810, 4861): talk of the wire about itself."""


def passages(segments: Sequence[Segment]) -> tuple[Passage, ...]:
    """The way of every segment between two hosts of the topology, in order of time. What a router saw pass is not counted again."""
    departures: list[int] = []
    arrivals: list[int] = []
    for index, segment in enumerate(segments):
        way = direction(segment)
        if way > 0:
            departures.append(index)
        elif way < 0:
            arrivals.append(index)
    found = _match(segments, departures, arrivals, _by_text)
    # The text is relative where a SYN was seen: what one capture has raw and the other relative is matched by what its header says.
    lost = [passage.sent for passage in found if passage.sent is not None and passage.received is None]
    odd = [passage.received for passage in found if passage.received is not None and passage.sent is None]
    if lost and odd:
        found = [passage for passage in found if passage.sent is not None and passage.received is not None]
        found += _match(segments, lost, odd, by_header)
    found.sort(key=lambda passage: segments[_seen(passage)].at_ns)
    return tuple(found)


def direction(segment: Segment) -> int:
    """1 for a segment that its sender's own capture saw leave, -1 where its receiver's saw it come, 0 for anything else."""
    if not segment.source_host or not segment.destination_host or segment.protocol not in _TALK:
        return 0
    if segment.version == 6 and segment.icmp_type in _NEIGHBOURS:
        return 0
    if segment.outgoing:
        return 1 if segment.source_host == segment.capture else 0
    return -1 if segment.destination_host == segment.capture else 0


def _seen(passage: Passage) -> int:
    """Where it was seen first."""
    return (passage.received or 0) if passage.sent is None else passage.sent


def _by_text(segment: Segment) -> Hashable:
    return segment.text if segment.protocol == "tcp" else (segment.text, segment.payload)


def by_header(segment: Segment) -> Hashable:
    """What the two captures of one segment have in common, whatever each of them saw of its connection."""
    ends = segment.source, segment.destination, segment.source_port, segment.destination_port
    numbers = segment.seq, segment.ack, segment.length, segment.flags, segment.window
    stamps = tuple(option for option in segment.options if option.name != "sack")  # whose numbers may be relative too
    return ends, numbers, stamps, (segment.text, segment.payload) if segment.protocol != "tcp" else ""


class _Sightings:
    """Segments by what makes them the same; most are alone, so a list is made only for those that are not."""

    def __init__(self, segments: Sequence[Segment], indexes: Iterable[int], key: Callable[[Segment], Hashable]) -> None:
        self.first: dict[Hashable, int] = {}
        self.more: dict[Hashable, list[int]] = {}
        settle = self.first.setdefault
        for index in indexes:
            same = key(segments[index])
            if settle(same, index) != index:
                self.more.setdefault(same, []).append(index)

    def all(self, same: Hashable) -> list[int]:
        """Every one of them, in order; none where there is none."""
        return [self.first[same], *self.more.get(same, ())] if same in self.first else []


def _match(
    segments: Sequence[Segment],
    departures: Iterable[int],
    arrivals: Iterable[int],
    key: Callable[[Segment], Hashable],
) -> list[Passage]:
    sent, received = _Sightings(segments, departures, key), _Sightings(segments, arrivals, key)
    found: list[Passage] = []
    for same, arrival in received.first.items():
        departure = sent.first.get(same)
        if departure is not None and same not in sent.more and same not in received.more:
            found.append(Passage(sent=departure, received=arrival))
        else:
            found += _matched(segments, sent.all(same), received.all(same))
    for same in sent.first:
        if same not in received.first:
            found += [Passage(sent=index) for index in sent.all(same)]
    return found


def _matched(segments: Sequence[Segment], departures: Sequence[int], arrivals: Sequence[int]) -> Iterator[Passage]:
    """Match identical segments, the last arrival first; what two clocks that differ leave over is matched in order."""
    left, lost, odd = list(departures), [], []
    for arrival in reversed(arrivals):
        later: list[int] = []
        while left and segments[left[-1]].at_ns > segments[arrival].at_ns:
            later.append(left.pop())
        if left:
            yield Passage(sent=left.pop(), received=arrival)
            lost += later
        else:
            odd.append(arrival)
            left = later[::-1]
    lost, odd = sorted((*lost, *left)), odd[::-1]
    paired = min(len(lost), len(odd))
    yield from (Passage(sent=departure, received=arrival) for departure, arrival in zip(lost[:paired], odd[:paired], strict=True))
    yield from (Passage(sent=departure) for departure in lost[paired:])
    yield from (Passage(received=arrival) for arrival in odd[paired:])
