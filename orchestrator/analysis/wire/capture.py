"""The bytes of one host's capture become its segments and the connections they belong to.

Knows what of a frame can be read and what not; damage ends the reading, and what was read before it is kept. The surprising fact: a
frame that is no IP or ARP is passed over in silence, but an IP frame that was cut too short to read makes the capture questionable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from orchestrator.analysis.wire.datagrams import DatagramReader
from orchestrator.analysis.wire.ends import ICMP, ICMPV6, TCP, UDP, Ends, Names
from orchestrator.analysis.wire.flows import Track
from orchestrator.analysis.wire.frames import ARP, IPV4, IPV6, Packet, link_reader, read_ipv4, read_ipv6
from orchestrator.analysis.wire.pcap import frames, link_type
from orchestrator.analysis.wire.tcp import TcpReader
from orchestrator.errors import EvidenceError
from orchestrator.model.evidence import Segment

_NETWORKS = {IPV4: read_ipv4, IPV6: read_ipv6}


class Reading(Struct, frozen=True, kw_only=True):
    """What one capture told. ``problem`` is empty, or why it did not tell all."""

    host: str
    segments: list[Segment]
    tracks: list[Track]
    frames: int
    problem: str


def read_capture(
    host: str, data: bytes, names: Names, interfaces: Mapping[int, str], retime: Callable[[int], int] | None = None
) -> Reading:
    """All that can be read from ``data``; never raises, whatever the bytes are. ``retime`` puts a frame's time on the run's timeline."""
    ends = Ends(host, names, interfaces)
    segments: list[Segment] = []
    packet = Packet()
    packet.number = packet.interface = 0
    try:
        problem = _read(data, _SegmentReader(ends), packet, segments, retime)
    except EvidenceError as error:
        problem = str(error)
    return Reading(host=host, segments=segments, tracks=ends.tracks.all, frames=packet.number, problem=problem)


def _read(data: bytes, reader: _SegmentReader, packet: Packet, segments: list[Segment], retime: Callable[[int], int] | None) -> str:
    read_link, read_segment, read_arp = link_reader(link_type(data)), reader.read, reader.arp
    problem = ""
    for at_ns, start, end, original in frames(data):
        packet.number += 1
        packet.at_ns = at_ns if retime is None else retime(at_ns)
        packet.at, packet.limit, packet.wire_end = start, end, start + original
        segment = None
        if read_link(packet, data):
            read_network = _NETWORKS.get(packet.kind)
            if read_network is not None and read_network(packet, data):
                segment = read_segment(packet, data, len(segments))
            elif packet.kind == ARP:
                segment = read_arp(packet, data)
        if segment is not None:
            segments.append(segment)
        elif not problem and end - start < original:
            problem = f"byte {start}: frame {packet.number} was captured too short to read ({end - start} of {original} bytes)"
    return problem


class _SegmentReader:
    """Gives each header to whoever knows its protocol; a later fragment has none, whatever its protocol."""

    def __init__(self, ends: Ends) -> None:
        self._tcp = TcpReader(ends).read
        self._datagrams = DatagramReader(ends)
        self.arp = self._datagrams.arp

    def read(self, packet: Packet, data: bytes, index: int) -> Segment | None:
        """The segment behind the network header read last, the ``index``-th of its capture; ``None`` where it is damaged or cut."""
        protocol = packet.protocol
        if packet.fragment == 0:
            if protocol == TCP:
                return self._tcp(packet, data, index)
            if protocol == UDP:
                return self._datagrams.udp(packet, data, index)
            if protocol == (ICMP if packet.version == 4 else ICMPV6):
                return self._datagrams.icmp(packet, data, index)
        return self._datagrams.other(packet, data)
