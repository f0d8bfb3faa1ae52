"""One frame's link and network layers become a :class:`Packet`: addresses, protocol, and where its transport header lies.

Knows Ethernet with VLAN tags, Linux cooked captures (SLL, SLL2), raw IP, IPv4 with options and fragments, IPv6 with its extension
headers. Knows no ports. The surprising fact: one ``Packet`` is written over by every frame of a capture, because making 200,000 of
them would cost more than reading them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from orchestrator.analysis.wire.pcap import ETHERNET, LINUX_SLL, LINUX_SLL2, RAW

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
_VLANS = frozenset({0x8100, 0x88A8, 0x9100})
_OUTGOING = 4
"""PACKET_OUTGOING of packet(7); all other packet types came in."""

_SIZED = frozenset({0, 43, 60, 135, 139, 140})
"""IPv6 extension headers whose second byte counts 8-byte units after the first (RFC 8200 section 4, RFC 7045 section 4)."""
_FRAGMENT, _AUTHENTICATION = 44, 51

_SHORT = struct.Struct("!H").unpack_from
_SLL = struct.Struct("!H12xH").unpack_from
_SLL2 = struct.Struct("!HxxIxxB").unpack_from
_IPV4 = struct.Struct("!BxHxxHBBxx8s").unpack_from
_IPV6 = struct.Struct("!IHBB32s").unpack_from
_EXTENSION = struct.Struct("!BBH").unpack_from


class Packet:
    """The frame that is being read.

    ``at`` is where the next header begins, ``limit`` where the captured bytes end, ``wire_end`` where the frame ended on the wire,
    ``stop`` where the IP datagram ends by its own header. ``outgoing`` is ``None`` where the link layer does not tell.
    ``addresses`` are source and destination, packed, one after the other.
    """

    __slots__ = (
        "addresses", "at", "at_ns", "fragment", "interface", "kind", "limit", "more", "number",
        "outgoing", "protocol", "stop", "ttl", "version", "wire_end",
    )  # fmt: skip

    addresses: bytes
    at: int
    at_ns: int
    fragment: int
    interface: int
    kind: int
    limit: int
    more: bool
    number: int
    outgoing: bool | None
    protocol: int
    stop: int
    ttl: int
    version: int
    wire_end: int


def link_reader(kind: int) -> Callable[[Packet, bytes], bool]:
    """The function that reads frames of a link type up to their network layer; it says whether it could."""
    return {ETHERNET: _ethernet, RAW: _raw, LINUX_SLL: _sll, LINUX_SLL2: _sll2}[kind]


def _ethernet(packet: Packet, data: bytes) -> bool:
    at = packet.at
    if packet.limit - at < 14:
        return False
    packet.kind = _SHORT(data, at + 12)[0]
    packet.at = at + 14
    packet.outgoing = None
    return packet.kind not in _VLANS or _tagged(packet, data)


def _tagged(packet: Packet, data: bytes) -> bool:
    while packet.kind in _VLANS:
        if packet.limit - packet.at < 4:
            return False
        packet.kind = _SHORT(data, packet.at + 2)[0]
        packet.at += 4
    return True


def _sll(packet: Packet, data: bytes) -> bool:
    if packet.limit - packet.at < 16:
        return False
    direction, packet.kind = _SLL(data, packet.at)
    packet.outgoing = direction == _OUTGOING
    packet.at += 16
    return packet.kind not in _VLANS or _tagged(packet, data)


def _sll2(packet: Packet, data: bytes) -> bool:
    if packet.limit - packet.at < 20:
        return False
    packet.kind, packet.interface, direction = _SLL2(data, packet.at)
    packet.outgoing = direction == _OUTGOING
    packet.at += 20
    return packet.kind not in _VLANS or _tagged(packet, data)


def _raw(packet: Packet, data: bytes) -> bool:
    if packet.limit == packet.at:
        return False
    packet.outgoing = None
    packet.kind = IPV6 if data[packet.at] >> 4 == 6 else IPV4
    return True


def read_ipv4(packet: Packet, data: bytes) -> bool:
    """Read an IPv4 header (RFC 791 section 3.1); whether there was a whole one."""
    at = packet.at
    if packet.limit - at < 20:
        return False
    first, total, fragment, packet.ttl, packet.protocol, packet.addresses = _IPV4(data, at)
    header = (first & 15) * 4
    if first >> 4 != 4 or header < 20 or (total and total < header):
        return False
    # A total length of 0 is what a capture before segmentation offload shows: the frame itself is then the measure.
    packet.stop = at + total if total else packet.wire_end
    packet.version = 4
    packet.fragment = (fragment & 0x1FFF) * 8
    packet.more = fragment & 0x2000 != 0
    packet.at = at + header
    packet.limit = min(packet.limit, packet.stop)
    return packet.at <= packet.limit


def read_ipv6(packet: Packet, data: bytes) -> bool:
    """Read an IPv6 header and its extension headers (RFC 8200); whether they were whole."""
    at = packet.at
    if packet.limit - at < 40:
        return False
    first, length, packet.protocol, packet.ttl, packet.addresses = _IPV6(data, at)
    if first >> 28 != 6:
        return False
    packet.at = at + 40
    jumbo = length == 0 and packet.protocol in {0, 6}
    packet.stop = packet.wire_end if jumbo else packet.at + length
    packet.version = 6
    packet.fragment = 0
    packet.more = False
    packet.limit = min(packet.limit, packet.stop)
    return packet.protocol in {6, 17, 58} or _extensions(packet, data)


def _extensions(packet: Packet, data: bytes) -> bool:
    while packet.fragment == 0:
        kind = packet.protocol
        if kind not in _SIZED and kind not in {_FRAGMENT, _AUTHENTICATION}:
            break
        if packet.limit - packet.at < 8:
            return False
        packet.protocol, size, offset = _EXTENSION(data, packet.at)
        if kind == _FRAGMENT:
            packet.fragment, packet.more, size = offset & 0xFFF8, offset & 1 == 1, 0
        packet.at += (size + 2) * 4 if kind == _AUTHENTICATION else (size + 1) * 8
        if packet.at > packet.limit:
            return False
    return True
