"""One line of ``packets`` against one captured segment: whether it fits, and if not, in what.

Knows the language's notation and one segment at a time, no order and no run. The surprising fact: numbers are held against the
relative ones where those are known and against the raw ones where not, just as the segment's own text shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.model.evidence import Option, Segment
from orchestrator.model.tcp import ACK, flags_bits, flags_text
from orchestrator.model.topology import Topology
from orchestrator.model.words.segments import End, Gap, OptionPattern, SegmentPattern

_MODULUS = 0x100000000


class Line:
    """A pattern made ready: addresses looked up and flags read once."""

    def __init__(self, pattern: SegmentPattern, topology: Topology) -> None:
        self.pattern = pattern
        self._flags = flags_bits(pattern.flags) if pattern.flags is not None else None
        self._source = _end(pattern.source, topology)
        self._destination = _end(pattern.destination, topology)

    def fits(self, segment: Segment) -> bool:
        """Whether every field that the line gives fits."""
        if self._flags is not None and self._flags != segment.flags:
            return False
        return next(self.differences(segment), None) is None

    def differences(self, segment: Segment) -> Iterator[str]:
        """Each field that does not fit, in words: ``flags are R., not S.``."""
        pattern = self.pattern
        if not self._source(segment.source, segment.source_host):
            yield f"it comes from {segment.source_host or segment.source}, not {_place(pattern.source)}"
        if not self._destination(segment.destination, segment.destination_host):
            yield f"it goes to {segment.destination_host or segment.destination}, not {_place(pattern.destination)}"
        if pattern.protocol != segment.protocol:
            yield f"it is {segment.protocol}, not {pattern.protocol}"
            return
        for name, wanted, seen in self._numbers(segment):
            if wanted is not None and wanted != seen:
                yield f"{name} is {'absent' if seen is None else seen}, not {wanted}"
        if self._flags is not None and self._flags != segment.flags:
            yield f"flags are {flags_text(segment.flags)}, not {flags_text(self._flags)}"
        if pattern.options is not None and not _options_fit(pattern.options, segment.options):
            yield f"options are {_options(segment.options)}"
        if pattern.payload is not None and pattern.payload != segment.payload:
            yield f"payload is {_clipped(segment.payload)}, not {_clipped(pattern.payload)}"

    def _numbers(self, segment: Segment) -> Iterator[tuple[str, int | None, int | None]]:
        pattern = self.pattern
        yield "source port", pattern.source.port, segment.source_port
        yield "destination port", pattern.destination.port, segment.destination_port
        if segment.protocol == "icmp":
            yield "ICMP type", pattern.icmp_type, segment.icmp_type
            yield "ICMP code", pattern.icmp_code, segment.icmp_code
        yield "length", pattern.length, segment.length
        if segment.protocol == "tcp":
            start = segment.seq if segment.relative_seq is None else segment.relative_seq
            yield "sequence number", pattern.start, start
            yield "end", pattern.end, (start + segment.length) % _MODULUS
            yield "ack", pattern.ack, _ack(segment)
            yield "window", pattern.window, segment.window


def _ack(segment: Segment) -> int | None:
    if not segment.flags & ACK:
        return None
    return segment.ack if segment.relative_ack is None else segment.relative_ack


def _end(end: End, topology: Topology) -> Callable[[str, str], bool]:
    """Whether an address and the host that has it are this end; on one network where the end names it."""
    if end.network is None:
        return lambda address, host: end.host in {host, address}
    places = {*topology.addresses(end.host, 4, end.network), *topology.addresses(end.host, 6, end.network)}
    return lambda address, _host: address in places


def _options_fit(wanted: tuple[OptionPattern, ...], seen: tuple[Option, ...]) -> bool:
    return len(wanted) == len(seen) and all(
        pattern.name == option.name and _values_fit(pattern.values, option.values) for pattern, option in zip(wanted, seen, strict=True)
    )


def _values_fit(wanted: tuple[str, ...], seen: tuple[int, ...]) -> bool:
    """Hold values against a pattern's; none given: any. A SACK block may be written ``1:1449``."""
    if not wanted:
        return True
    numbers = [number for value in wanted for number in value.split(":")]
    return len(numbers) == len(seen) and all(number in {"*", str(value)} for number, value in zip(numbers, seen, strict=True))


def _options(options: tuple[Option, ...]) -> str:
    return f"<{','.join(' '.join((option.name, *map(str, option.values))) for option in options)}>"


def _clipped(payload: bytes) -> str:
    return repr(payload[:40])[1:] + ("..." if len(payload) > 40 else "")


def line_text(pattern: SegmentPattern | Gap) -> str:
    """The line as its author wrote it, or as its fields would be written."""
    if isinstance(pattern, Gap):
        return "..."
    if pattern.text:
        return pattern.text
    said = f"{'? ' if pattern.optional else ''}{_place(pattern.source)} > {_place(pattern.destination)}"
    return " ".join((said, *_fields(pattern)))


def _place(end: End) -> str:
    port = "" if end.port is None else f".{end.port}"
    return end.host + (f"@{end.network}" if end.network else "") + port


def _fields(pattern: SegmentPattern) -> Iterator[str]:
    if pattern.protocol == "icmp":
        yield f"icmp {_or_any(pattern.icmp_type)}/{_or_any(pattern.icmp_code)}"
    elif pattern.protocol != "tcp":
        yield f"{pattern.protocol}({_or_any(pattern.length)})"
    else:
        if pattern.flags is not None:
            yield pattern.flags
        if (pattern.start, pattern.end, pattern.length) != (None, None, None):
            yield f"{_or_any(pattern.start)}:{_or_any(pattern.end)}({_or_any(pattern.length)})"
        if pattern.ack is not None:
            yield f"ack {pattern.ack}"
        if pattern.window is not None:
            yield f"win {pattern.window}"


def _or_any(number: int | None) -> str:
    return "*" if number is None else str(number)
