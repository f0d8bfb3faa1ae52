"""A TCP header becomes a :class:`Segment`, its numbers relative to its connection's ISNs.

Knows flows and options, states not at all. The surprising fact: numbers become relative while reading, because a frozen record is made
once; so a segment that was captured before its connection's SYN keeps raw numbers.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from orchestrator.analysis.wire.ends import Ends
from orchestrator.analysis.wire.flows import Flow, settle
from orchestrator.analysis.wire.frames import Packet
from orchestrator.analysis.wire.notation import FLAGS, NO_OPTIONS, OptionReader
from orchestrator.model.evidence import Segment
from orchestrator.model.tcp import ACK, RST, SYN, URG

_MODULUS = 0xFFFFFFFF
_TCP = struct.Struct("!4sIIHHxxH").unpack_from

_Header: TypeAlias = tuple[bytes, int, int, int, int, int]


class TcpReader:
    """Makes the TCP segments of one capture."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._flows = ends.tcp_flows
        self._options = OptionReader()

    def read(self, packet: Packet, data: bytes, index: int) -> Segment | None:
        """The segment at ``packet.at``, the ``index``-th of its capture; ``None`` where its header is damaged or cut."""
        at = packet.at
        if packet.limit - at < 20:
            return None
        header = ports, seq, ack, bits, _window, _urgent = _TCP(data, at)
        start = at + (bits >> 12) * 4
        if start < at + 20 or start > packet.stop:
            return None
        flow = self._flows.get(packet.addresses + ports) or self._ends.tcp_flow(packet.addresses, ports)
        flags = bits & 255
        if flow.shelf is not None:
            settle(flow, ack, flags)
        if flags & SYN:
            self._ends.tracks.synchronise(flow, seq, flags, packet.at_ns)
        track = flow.track or self._ends.tracks.begin(flow, "tcp", packet.at_ns)
        if flags & RST:
            track.closed = True
        track.indexes.append(index)
        return self._segment(packet, data, flow, header, start)

    def _segment(self, packet: Packet, data: bytes, flow: Flow, header: _Header, start: int) -> Segment:
        _ports, seq, ack, bits, window, urgent = header
        flags, length, outgoing, ends = bits & 255, packet.stop - start, packet.outgoing, self._ends
        isn, other = flow.isn, flow.back.isn
        whole = packet.at + 20 < start <= packet.limit
        options, options_text, _sack = self._options.read(data[packet.at + 20 : start], other) if whole else NO_OPTIONS
        relative_seq = None if isn is None else (seq - isn) & _MODULUS
        relative_ack = None if other is None or not flags & ACK else (ack - other) & _MODULUS
        first = seq if relative_seq is None else relative_seq
        acks = f" ack {ack if relative_ack is None else relative_ack}" if flags & ACK else ""
        urge = f" urg {urgent}" if flags & URG else ""
        text = f"{flow.label}{FLAGS[flags]} {first}:{(first + length) & _MODULUS}({length}){acks} win {window}{urge}{options_text}"
        # fmt: off
        return Segment(
            capture=ends.capture, number=packet.number, at_ns=packet.at_ns, protocol="tcp",
            source=flow.source, destination=flow.destination, source_host=flow.source_host, destination_host=flow.destination_host,
            outgoing=flow.ours if outgoing is None else outgoing, interface=ends.interfaces.get(packet.interface, ""),
            source_port=flow.source_port, destination_port=flow.destination_port, flags=flags, seq=seq, ack=ack,
            relative_seq=relative_seq, relative_ack=relative_ack, window=window, urgent=urgent, length=length,
            payload=data[start : packet.limit] if length else b"", options=options,
            ttl=packet.ttl, more_fragments=packet.more, version=packet.version, text=text,
        )
        # fmt: on
