"""The bytes of a capture file become its frames: when each was seen and where it lies in the bytes.

Knows nothing of what a frame holds. Classic pcap in both byte orders, microseconds and nanoseconds (pcap-savefile(5)). A capture
that was cut short keeps what stands before the cut: the reader yields every whole frame and only then raises.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

from orchestrator.errors import EvidenceError

ETHERNET, RAW, LINUX_SLL, LINUX_SLL2 = 1, 101, 113, 276
"""Link types (LINKTYPE_ values of the tcpdump group) that can be read."""

LINK_TYPES = frozenset({ETHERNET, RAW, LINUX_SLL, LINUX_SLL2})
HEADER_BYTES = 24
RECORD_BYTES = 16
MAX_FRAME_BYTES = 262_144
"""MAXIMUM_SNAPLEN of libpcap: a longer frame is damage, not data."""

_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_RECORDS = {order: struct.Struct(order + "IIII") for order in "<>"}
_LINKS = {order: struct.Struct(order + "I") for order in "<>"}

Frame: TypeAlias = tuple[int, int, int, int]
"""Time in ns, first byte, the byte after the last one captured, bytes it had on the wire."""


def link_type(data: bytes) -> int:
    """The link type of the capture.

    :raises EvidenceError: this is no classic pcap, or of a link type that cannot be read.
    """
    order, _ = _flavour(data)
    kind = int(_LINKS[order].unpack_from(data, 20)[0]) & 0x0FFFFFFF  # the high bits speak of the frame check sequence
    if kind not in LINK_TYPES:
        raise EvidenceError(
            f"byte 20: frames of link type {kind} cannot be read, only Ethernet (1), raw IP (101), Linux SLL (113) and SLL2 (276)"
        )
    return kind


def frames(data: bytes) -> Iterator[Frame]:
    """Each whole frame in turn.

    :raises EvidenceError: the bytes are damaged or end too early; says from which byte on. Frames before that were yielded.
    """
    order, fraction_ns = _flavour(data)
    unpack, at, size = _RECORDS[order].unpack_from, HEADER_BYTES, len(data)
    while at < size:
        if at + RECORD_BYTES > size:
            raise EvidenceError(f"byte {at}: the capture ends inside a frame's header")
        seconds, fraction, captured, original = unpack(data, at)
        start = at + RECORD_BYTES
        if captured > MAX_FRAME_BYTES:
            raise EvidenceError(f"byte {at}: a frame claims {captured} bytes, more than any capture holds")
        end = start + captured
        if end > size:
            raise EvidenceError(f"byte {at}: the capture ends inside a frame ({captured} bytes promised, {size - start} there)")
        yield seconds * 1_000_000_000 + fraction * fraction_ns, start, end, original
        at = end


def _flavour(data: bytes) -> tuple[str, int]:
    if len(data) < HEADER_BYTES:
        raise EvidenceError(f"byte {len(data)}: the capture ends inside its own header ({HEADER_BYTES} bytes)")
    magic = data[:4]
    if magic == _PCAPNG:
        raise EvidenceError("byte 0: this is pcapng; only classic pcap can be read (convert it with: editcap -F pcap IN OUT)")
    if magic not in _MAGICS:
        raise EvidenceError(f"byte 0: {magic.hex()} is not how a pcap file begins")
    return _MAGICS[magic]
