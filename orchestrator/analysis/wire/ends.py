"""Addresses and ports become ends with names: hosts, flows between two ends, pairs of hosts. Each is worked out once per capture.

Knows the topology only as names of addresses. The surprising fact: a flow is found by the packed bytes of its header, never by text,
because that lookup happens for every segment.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from orchestrator.analysis.wire.flows import Flow, Tracks

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
PORTS = struct.Struct("!HH").unpack


class Names:
    """Packed addresses as text and as hosts, each worked out once."""

    __slots__ = ("_hosts", "_known")

    def __init__(self, hosts: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._known: dict[bytes, tuple[str, str]] = {}

    def of(self, packed: bytes) -> tuple[str, str]:
        """The address as text and the host that has it, empty if none has."""
        known = self._known.get(packed)
        if known is None:
            text = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
            known = self._known[packed] = text, self._hosts.get(text, "")
        return known


class Ends:
    """All ends that the capture of host ``capture`` has met. ``interfaces`` are names by the kernel's index."""

    def __init__(self, capture: str, names: Names, interfaces: Mapping[int, str]) -> None:
        self.capture = capture
        self.names = names
        self.interfaces = interfaces
        self.tracks = Tracks()
        self.tcp_flows: dict[bytes, Flow] = {}
        self._flows: dict[tuple[int, bytes], Flow] = {}
        self._pairs: dict[bytes, Flow] = {}

    def tcp_flow(self, addresses: bytes, ports: bytes) -> Flow:
        """Make the flow of a TCP segment whose key ``tcp_flows`` does not hold yet."""
        flow = self.flow(TCP, addresses, ports)
        half = len(addresses) // 2
        self.tcp_flows[addresses + ports] = flow
        self.tcp_flows[addresses[half:] + addresses[:half] + ports[2:] + ports[:2]] = flow.back
        return flow

    def flow(self, protocol: int, addresses: bytes, ports: bytes) -> Flow:
        """Find or make the flow, and the opposite one with it."""
        flow = self._flows.get((protocol, addresses + ports))
        if flow is None:
            half = len(addresses) // 2
            flow, back = self._new_flow(addresses, ports), self._new_flow(addresses[half:] + addresses[:half], ports[2:] + ports[:2])
            self._flows[protocol, addresses[half:] + addresses[:half] + ports[2:] + ports[:2]] = back
            self._flows[protocol, addresses + ports] = flow.joined(back)
        return flow

    def _new_flow(self, addresses: bytes, ports: bytes) -> Flow:
        half = len(addresses) // 2
        source, source_host = self.names.of(addresses[:half])
        destination, destination_host = self.names.of(addresses[half:])
        return Flow(source, destination, (source_host, destination_host), PORTS(ports), self.capture)

    def pair(self, addresses: bytes) -> Flow:
        """Find what two hosts share beneath ports: names, and the label without ports."""
        pair = self._pairs.get(addresses)
        if pair is None:
            pair = self._pairs[addresses] = self._new_flow(addresses, bytes(4))
            pair.label = f"{pair.source_host or pair.source} > {pair.destination_host or pair.destination} "
        return pair
