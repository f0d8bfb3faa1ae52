"""What is no TCP becomes a :class:`Segment` too: UDP, ICMP with what it quotes, ARP, later fragments, and the rest by its number.

Knows flows and pairs of hosts, no states. The surprising fact: an ICMP error is noted in the TCP connection that it quotes, because it
may end that connection, but what it quotes is no segment of the wire.
"""

from __future__ import annotations

import struct

from orchestrator.analysis.wire.ends import ICMP, ICMPV6, PORTS, TCP, UDP, Ends
from orchestrator.analysis.wire.flows import Flow
from orchestrator.analysis.wire.frames import Packet
from orchestrator.model.evidence import Quoted, Segment

_QUOTING = {4: frozenset({3, 4, 5, 11, 12}), 6: frozenset({1, 2, 3, 4})}
"""ICMP types that quote the datagram they speak of (RFC 792, RFC 4443)."""

_UDP = struct.Struct("!4sHxx").unpack_from
_SEQ = struct.Struct("!I").unpack_from
_ARP = struct.Struct("!HHBBH6s4s6s4s").unpack_from


class DatagramReader:
    """Makes the segments of one capture that are not TCP's."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends

    def udp(self, packet: Packet, data: bytes, index: int) -> Segment | None:
        """Make a segment of a UDP datagram, or of the first fragment of one."""
        at = packet.at
        if packet.limit - at < 8:
            return None
        ports, claimed = _UDP(data, at)
        flow = self._ends.flow(UDP, packet.addresses, ports)
        track = flow.track or self._ends.tracks.begin(flow, "udp", packet.at_ns)
        track.indexes.append(index)
        # A first fragment carries the whole datagram's length; each segment counts what it brings itself.
        stop = packet.stop if packet.more or claimed < 8 else min(packet.stop, at + claimed)
        length = stop - at - 8
        text = f"{flow.label}udp({length}){_fragment_text(packet)}"
        payload = data[at + 8 : min(stop, packet.limit)]
        ports_of = flow.source_port, flow.destination_port
        return self._segment(packet, flow, protocol="udp", text=text, length=length, payload=payload, ports=ports_of)

    def icmp(self, packet: Packet, data: bytes, index: int) -> Segment | None:
        """Make a segment of an ICMP or ICMPv6 message. Its payload begins behind the checksum: an echo's identifier is part of it."""
        at = packet.at
        if packet.limit - at < 4:
            return None
        kind, code = data[at], data[at + 1]
        quoted = self._quoted(packet, data, at + 8, index) if kind in _QUOTING[packet.version] else None
        pair = self._ends.pair(packet.addresses)
        return self._segment(
            packet,
            pair,
            protocol="icmp",
            text=f"{pair.label}icmp {kind}/{code}{_fragment_text(packet)}",
            length=packet.stop - at - 4,
            payload=data[at + 4 : packet.limit],
            icmp=(kind, code),
            quoted=quoted,
        )

    def _quoted(self, packet: Packet, data: bytes, at: int, index: int) -> Quoted | None:
        version = packet.version
        least, of_addresses, of_protocol = (20, slice(at + 12, at + 20), at + 9) if version == 4 else (40, slice(at + 8, at + 40), at + 6)
        if packet.limit - at < least:
            return None
        start = at + (data[at] & 15) * 4 if version == 4 else at + 40
        addresses, protocol, whole = data[of_addresses], data[of_protocol], packet.limit - start >= 8
        half = len(addresses) // 2
        ports = data[start : start + 4]
        source_port, destination_port = PORTS(ports) if whole and protocol in {TCP, UDP} else (0, 0)
        flow = self._ends.tcp_flows.get(addresses + ports) if whole and protocol == TCP else None
        if flow is not None and flow.track is not None:
            flow.track.indexes.append(index)
        return Quoted(
            protocol=_protocol_name(protocol, version),
            source=self._ends.names.of(addresses[:half])[0],
            destination=self._ends.names.of(addresses[half:])[0],
            source_port=source_port,
            destination_port=destination_port,
            seq=_SEQ(data, start + 4)[0] if whole and protocol == TCP else 0,
        )

    def other(self, packet: Packet, data: bytes) -> Segment:
        """Make a segment of a later fragment (which has no ports), or of a protocol that is known by its number only."""
        pair = self._ends.pair(packet.addresses)
        name = _protocol_name(packet.protocol, packet.version)
        length = packet.stop - packet.at
        said = name if name in {"tcp", "udp", "icmp"} else f"proto-{name}"
        text = f"{pair.label}{said}({length}){_fragment_text(packet)}"
        return self._segment(packet, pair, protocol=name, text=text, length=length, payload=data[packet.at : packet.limit])

    def arp(self, packet: Packet, data: bytes) -> Segment | None:
        """Make a segment of an ARP message for IPv4 (RFC 826): who asks or answers is the source, who is asked (for) the destination."""
        if packet.limit - packet.at < 28:
            return None
        _hardware, kind, _, size, operation, _, sender, _, target = _ARP(data, packet.at)
        if kind != 0x0800 or size != 4:
            return None
        pair = self._ends.pair(sender + target)
        packet.version, packet.ttl, packet.fragment, packet.more = 4, 0, 0, False
        said = {1: "arp who-has", 2: "arp is-at"}.get(operation, f"arp {operation}")
        return self._segment(packet, pair, protocol="arp", text=pair.label + said, length=0, payload=b"")

    def _segment(  # noqa: PLR0913 - the fields in which the protocols differ
        self,
        packet: Packet,
        flow: Flow,
        *,
        protocol: str,
        text: str,
        length: int,
        payload: bytes,
        ports: tuple[int, int] = (0, 0),
        icmp: tuple[int, int] = (0, 0),
        quoted: Quoted | None = None,
    ) -> Segment:
        return Segment(
            capture=self._ends.capture,
            number=packet.number,
            at_ns=packet.at_ns,
            protocol=protocol,
            source=flow.source,
            destination=flow.destination,
            source_host=flow.source_host,
            destination_host=flow.destination_host,
            outgoing=flow.ours if packet.outgoing is None else packet.outgoing,
            interface=self._ends.interfaces.get(packet.interface, ""),
            source_port=ports[0],
            destination_port=ports[1],
            length=length,
            payload=payload,
            icmp_type=icmp[0],
            icmp_code=icmp[1],
            quoted=quoted,
            ttl=packet.ttl,
            fragment=packet.fragment,
            more_fragments=packet.more,
            version=packet.version,
            text=text,
        )


def _protocol_name(number: int, version: int) -> str:
    names = {TCP: "tcp", UDP: "udp", ICMP if version == 4 else ICMPV6: "icmp"}
    return names.get(number, str(number))


def _fragment_text(packet: Packet) -> str:
    if not packet.fragment and not packet.more:
        return ""
    return f" frag {packet.fragment}{'+' if packet.more else ''}"
