"""What lies above the network layer becomes a :class:`Segment`, read by whoever knows its protocol.

Knows protocol numbers only. The surprising fact: a later fragment has no transport header, whatever its protocol.
"""

from __future__ import annotations

from orchestrator.analysis.wire.datagrams import DatagramReader
from orchestrator.analysis.wire.ends import ICMP, ICMPV6, TCP, UDP, Ends
from orchestrator.analysis.wire.frames import Packet
from orchestrator.analysis.wire.tcp import TcpReader
from orchestrator.model.evidence import Segment


class SegmentReader:
    """Makes the segments of one capture."""

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
