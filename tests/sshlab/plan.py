"""A topology -> what each machine of a lab is to be: names of interfaces, MAC addresses, addresses, the lines for iproute2. Starts nothing.

Interfaces are named as a real machine's are (``ens7``, ``enp8s0``), never as the topology's, and differently from machine to machine: who
looks for ``eth1`` fails here, as on a real machine. The surprising fact: machines know the bastion's MAC address beforehand (a permanent
neighbour), so that a control connection that is cut looks like a silent firewall and not like a machine that answers no ARP.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from orchestrator.model.topology import Host, Network, Topology

MOST_MACHINES = 240
MANAGEMENT = "ens3"
UPLINK = "ens4"
_FIRST_INDEX = 1000
_NAMES = ("ens7", "enp8s0", "ens9", "enp10s0", "enp6s0f0", "ens11", "enp12s0", "ens13")
_ADMIN_RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:InstanceServices - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "lab-orchestrator of the administrator, not of any run" -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --dport 22 -m comment --comment "ssh from the bastion" -j ACCEPT
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -m comment --comment "orchestrate:0000: see the manual" -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
"""


@dataclass(frozen=True, kw_only=True)
class Nic:
    """A machine's interface on an experiment network; ``addresses`` carry their prefix lengths and are what the topology wants there."""

    network: str
    name: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What one machine is to be. ``address`` is on the management network; ``lines`` are for ``ip -batch`` inside the machine."""

    name: str
    address: str
    mac: str
    nics: tuple[Nic, ...] = ()
    lines: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    hosts: str = ""
    rules: str = ""
    ahead_s: int = 0
    """How far its monotonic and boot-time clocks are ahead of ours; 0: they are ours."""
    awaits: list[str] = field(default_factory=list)
    """Addresses whose SSH banner this machine waits for, before it says that it is up."""


@dataclass(frozen=True, kw_only=True)
class Blueprints:
    """A whole lab. ``lines`` are for ``ip -batch`` where the bridges are; ``{romeo}`` stands in them for a process id."""

    number: int
    bastion: Blueprint
    machines: tuple[Blueprint, ...]
    lines: list[str]

    def record(self) -> dict[str, Any]:
        """What the keeper reads, fit for JSON."""
        return {"number": self.number, "lines": self.lines, "machines": [asdict(one) for one in (self.bastion, *self.machines)]}


def draw(
    topology: Topology, number: int, *, bare: bool = False, admin_rules: bool = False, gateway: bool = False, clocks: bool = False
) -> Blueprints:
    """The lab of this number: its networks are 198.18.NUMBER.0/24 (management) and 198.19.NUMBER.0/30 (starter and bastion)."""
    networks = _Networks(number)
    forwards = {host.name: host.forward for host in topology.hosts}
    machines, nics = [], _nics(topology)
    bastion_mac = _mac()
    for order, host in enumerate(topology.hosts):
        own = tuple(nics[host.name])
        address = networks.machine(order)
        lines = [*_management(f"{address}/24"), f"neighbour add {networks.inner} lladdr {bastion_mac} dev {MANAGEMENT} nud permanent"]
        if bare:  # they have been up before, as any real machine's: the first time leaves a queueing discipline behind
            lines += [f"link set {nic.name} {state}" for nic in own for state in ("up", "down")]
        else:
            lines += [line for nic in own for line in _configured(nic)]
            lines += _routes(topology, host, instead_of_default=gateway)
        if gateway:
            lines.append(f"route add default via {networks.inner} dev {MANAGEMENT} proto dhcp metric 100")
        one = Blueprint(
            name=host.name,
            address=address,
            mac=_mac(),
            nics=own,
            lines=lines,
            sysctls=_sysctls(forward=forwards[host.name] and not bare),
            hosts=_hosts(host.name),
            rules=_ADMIN_RULES if admin_rules else "",
            ahead_s=random.randrange(3600, 1_000_000) * (order + 1) if clocks else 0,
        )
        machines.append(one)
    bastion = _bastion(networks, bastion_mac, machines)
    return Blueprints(number=number, bastion=bastion, machines=tuple(machines), lines=_links(topology, [bastion, *machines]))


def _routes(topology: Topology, host: Host, *, instead_of_default: bool) -> list[str]:
    """Where the management network has the default route, a default route of the topology becomes one to each of its far networks."""
    near = {subnet for network, _port in topology.ports(host.name) for subnet in network.subnets}
    far = [subnet for network in topology.networks for subnet in network.subnets if subnet not in near]
    lines = []
    for route in host.routes:
        if route.to == "default" and instead_of_default:
            lines += [f"route add {subnet} via {route.via}" for subnet in far if (":" in subnet) == (":" in route.via)]
        else:
            lines.append(f"route add {route.to} via {route.via}")
    return lines


class _Networks:
    def __init__(self, number: int) -> None:
        self.number = number
        self.inner = f"198.18.{number}.1"
        self.outer = f"198.19.{number}.2"

    def machine(self, order: int) -> str:
        return f"198.18.{self.number}.{order + 10}"


def _bastion(networks: _Networks, mac: str, machines: list[Blueprint]) -> Blueprint:
    lines = [*_management(f"{networks.inner}/24"), f"address add {networks.outer}/30 dev {UPLINK}", f"link set {UPLINK} up"]
    lines += [f"neighbour add {one.address} lladdr {one.mac} dev {MANAGEMENT} nud permanent" for one in machines]
    hosts = _hosts("bastion") + "".join(f"{one.address} {one.name}\n" for one in machines)
    awaits = [one.address for one in machines]
    return Blueprint(
        name="bastion", address=networks.outer, mac=mac, lines=lines, sysctls=_sysctls(forward=False), hosts=hosts, awaits=awaits
    )


def _management(address: str) -> list[str]:
    return ["link set lo up", f"address add {address} dev {MANAGEMENT}", f"link set {MANAGEMENT} up"]


def _configured(nic: Nic) -> list[str]:
    nodad = {address: " nodad" if ":" in address else "" for address in nic.addresses}
    lines = [f"address add {address} dev {nic.name}{nodad[address]}" for address in nic.addresses]
    return [f"link set {nic.name} mtu {nic.mtu} up", *lines]


def _sysctls(*, forward: bool) -> dict[str, str]:
    """Set whatever this machine's own are: a new namespace begins with IPv4's settings of the first one."""
    value = "1" if forward else "0"
    return {
        "net.ipv4.ip_forward": value,
        "net.ipv6.conf.all.forwarding": value,
        "net.ipv6.conf.all.accept_dad": "0",
        "net.ipv6.conf.default.accept_dad": "0",
    }


def _hosts(name: str) -> str:
    return f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n"


def _nics(topology: Topology) -> dict[str, list[Nic]]:
    found: dict[str, list[Nic]] = {host.name: [] for host in topology.hosts}
    for order, host in enumerate(topology.hosts):
        for place, (network, port) in enumerate(topology.ports(host.name)):
            name = _NAMES[(order + place) % len(_NAMES)]
            nic = Nic(network=network.name, name=name, mac=_mac(), mtu=network.mtu, addresses=port.addresses)
            found[host.name].append(nic)
    return found


def _mac() -> str:
    """One of those that OpenStack gives to its machines, as FABRIC's are."""
    return "fa:16:3e:" + ":".join(f"{random.randrange(256):02x}" for _ in range(3))


def _links(topology: Topology, everybody: list[Blueprint]) -> list[str]:
    """Each end gets an index of its own: equal ones make the kernel tell a link's coming up late (see orchestrator.testbeds.iproute)."""
    indexes = count(_FIRST_INDEX)
    lines = ["link add management type bridge stp_state 0 mcast_snooping 0", "link set management up"]
    bastion = everybody[0].address
    for one in everybody:
        end = port_of(one.address)
        peer = f"name {MANAGEMENT} index {next(indexes)} address {one.mac} netns {{{one.name}}}"
        lines += [f"link add name {end} index {next(indexes)} type veth peer {peer}", f"link set {end} master management up"]
    lines.append(f"link set {port_of(bastion)} type bridge_slave isolated on")  # who is isolated too is cut from it
    named = {one.name: one for one in everybody}
    for number, network in enumerate(topology.networks, start=1):
        lines += _segment(number, network, named, indexes)
    return lines


def port_of(address: str) -> str:
    """The bridge's port of the machine with this address on the management network (or of the bastion)."""
    last = int(ipaddress.ip_address(address)) & 0xFF
    return f"m{last}"


def _segment(number: int, network: Network, named: dict[str, Blueprint], indexes: Iterator[int]) -> list[str]:
    ends = []
    for port in network.ports:
        nic = next(nic for nic in named[port.host].nics if nic.network == network.name)
        ends.append(f"name {nic.name} index {next(indexes)} address {nic.mac} netns {{{port.host}}}")
    if len(ends) == 2:
        return [f"link add {ends[0]} type veth peer {ends[1]}"]
    bridge = f"br{number}"
    lines = [f"link add {bridge} type bridge stp_state 0 mcast_snooping 0", f"link set {bridge} up"]
    for order, end in enumerate(ends, start=1):
        mine = f"p{number}.{order}"
        lines += [
            f"link add name {mine} index {next(indexes)} mtu {network.mtu} type veth peer {end}",
            f"link set {mine} master {bridge} up",
        ]
    return lines
