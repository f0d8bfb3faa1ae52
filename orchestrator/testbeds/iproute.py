"""A topology -> the lines that iproute2 needs to make it, host by host. Pure; ``orchestrate plan`` shows the same lines that run.

A network of two hosts is one veth pair between them; of more, a bridge in the switch's namespace. Real hosts that are to be configured take
the same lines of :func:`host_lines`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from orchestrator.model.topology import Network, Port, Topology

_FIRST_INDEX = 1000


def switch_lines(topology: Topology, pids: Mapping[str, int]) -> tuple[str, ...]:
    """The links, made in the switch's namespace; ``pids`` are the hosts' process ids as it sees them.

    Each end gets an interface index that differs from its peer's. Where both are equal, as they would be in two fresh namespaces, the
    kernel takes the link's coming up for nothing urgent and tells it up to a second late (``linkwatch_urgent_event`` of
    net/core/link_watch.c).
    """
    indexes = count(_FIRST_INDEX)
    lines: list[str] = []
    for number, network in enumerate(topology.networks, start=1):
        lines += _pair(network, pids, indexes) if len(network.ports) == 2 else _bridge(number, network, pids, indexes)
    return tuple(lines)


def _pair(network: Network, pids: Mapping[str, int], indexes: Iterator[int]) -> list[str]:
    one, two = (_end(port, network, pids, indexes) for port in network.ports)
    return [f"link add {one} type veth peer {two}"]


def _bridge(number: int, network: Network, pids: Mapping[str, int], indexes: Iterator[int]) -> list[str]:
    bridge = f"br{number}"
    lines = [f"link add {bridge} mtu {network.mtu} type bridge stp_state 0 mcast_snooping 0", f"link set {bridge} up"]
    for order, port in enumerate(network.ports, start=1):
        end = f"p{number}.{order}"
        host = _end(port, network, pids, indexes)
        lines += [
            f"link add name {end} index {next(indexes)} mtu {network.mtu} type veth peer {host}",
            f"link set {end} master {bridge} up",
        ]
    return lines


def _end(port: Port, network: Network, pids: Mapping[str, int], indexes: Iterator[int]) -> str:
    """A host's end of its link. Its MAC is given here and not by :func:`host_lines`: a real interface keeps the one it has."""
    mac = f" address {port.mac}" if port.mac else ""
    return f"name {port.interface} index {next(indexes)}{mac} mtu {network.mtu} netns {pids[port.host]}"


def host_lines(topology: Topology, host: str) -> tuple[str, ...]:
    """Addresses, links up, then routes, made in the host's own namespace."""
    lines = ["link set lo up"]
    for _network, port in topology.ports(host):
        lines += [f"address add {address} dev {port.interface}{' nodad' if ':' in address else ''}" for address in port.addresses]
        lines.append(f"link set {port.interface} up")
    for wanted in topology.hosts:
        if wanted.name == host:
            lines += [f"route add {route.to} via {route.via}" for route in wanted.routes]
    return tuple(lines)


def impairments(topology: Topology, host: str) -> tuple[str, ...]:
    """The lines for ``tc`` (also of iproute2) that make the host's links as bad as the topology wants them."""
    return tuple(line for network, port in topology.ports(host) for line in _impair(network, port.interface))


def _impair(network: Network, interface: str) -> list[str]:
    """What the network does to its segments, at each sender.

    Netem for delay and loss, tbf for the rate, as its child where both are asked for.
    """
    link = network.link
    lines: list[str] = []
    parent = "root handle 1:"
    if link.delay_ns or link.loss_millis:
        delay = f" delay {link.delay_ns // 1000}us" if link.delay_ns else ""
        loss = f" loss {link.loss_millis / 1000:g}%" if link.loss_millis else ""
        lines.append(f"qdisc add dev {interface} {parent} netem{delay}{loss}")
        parent = "parent 1: handle 2:"
    if link.rate_bits:
        lines.append(f"qdisc add dev {interface} {parent} tbf rate {link.rate_bits}bit burst 32kbit latency 400ms")
    return lines


def sysctls(topology: Topology, host: str) -> dict[str, str]:
    """What makes a host forward, where it should, and keeps IPv6's own chatter off hosts that have no IPv6 address."""
    forwards = any(wanted.forward for wanted in topology.hosts if wanted.name == host)
    if not topology.addresses(host, 6):
        return {"net.ipv6.conf.all.disable_ipv6": "1"} | ({"net.ipv4.ip_forward": "1"} if forwards else {})
    return {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"} if forwards else {}
