"""What a real machine told of itself, and a topology -> the host that it can be, or every reason why it can't. Pure.

An interface is found by its MAC where one is given, else by an address that the topology wants, never by its name. What is not as the
topology wants it is set for the length of a run where the inventory says ``configure: true``, and else refused with the lines that would
set it. The surprising fact: only the family of the run counts; a machine without IPv6 is good enough for IPv4.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import msgspec

from orchestrator.errors import TestbedError
from orchestrator.model.inventory import Machine
from orchestrator.model.topology import Alteration, Facts, Host, LiveHost, Network, Port, Topology, ip_version
from orchestrator.model.words.values import Record

FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
"""What makes a host a router, for each family."""


class Interface(Record, frozen=True, kw_only=True):
    """An interface as it was found."""

    name: str
    mac: str = ""
    mtu: int = 1500
    up: bool = True
    addresses: tuple[str, ...] = ()
    offloads: dict[str, bool] = {}


class FoundRoute(Record, frozen=True, kw_only=True):
    """A route as it was found, ``via`` empty for a neighbouring network."""

    version: int
    to: str
    via: str = ""
    interface: str = ""


class Surveyed(Record, frozen=True, kw_only=True):
    """What the agent on a machine told: :func:`orchestrator.agent.seeing.survey.survey`, in types."""

    kernel: str = ""
    python: str = ""
    tools: dict[str, str] = {}
    sysctls: dict[str, str] = {}
    features: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[FoundRoute, ...] = ()
    control: dict[str, str] = {}

    @property
    def facts(self) -> Facts:
        """What a plan asks about."""
        return Facts(kernel=self.kernel, python=self.python, tools=self.tools, sysctls=self.sysctls, features=self.features)


def match(topology: Topology, family: str, host: Host, machine: Machine, found: Surveyed) -> LiveHost:
    """The host that ``machine`` can be.

    :raises TestbedError: an interface is not found, or something is not as it should be and may not be set; says all of it, and what to do.
    """
    matching = _Matching(topology, family, host, machine, found)
    interfaces = matching.interfaces()
    alterations, settings = tuple(matching.alterations(interfaces)), matching.settings()
    if (alterations or settings) and not machine.configure:
        lines = [f"ip {' '.join(one.words)}" for one in alterations] + [f"sysctl -w {key}={value}" for key, value in settings.items()]
        raise TestbedError(
            f"{matching.who} is not set up as topology {topology.name} wants it. Say `configure: true` for {machine.name} in the inventory,"
            f" and each run sets this and puts it back; or let its administrator type: {'; '.join(lines)}"
        )
    return LiveHost(
        name=host.name,
        facts=found.facts,
        machine=machine.name,
        interfaces=interfaces,
        setup=alterations,
        sysctl=settings,
        configure=machine.configure,
    )


class _Matching:
    """One host, one machine."""

    def __init__(self, topology: Topology, family: str, host: Host, machine: Machine, found: Surveyed) -> None:
        self._topology = topology
        self._version = ip_version(family)
        self._host = host
        self._machine = machine
        self._found = found
        self._by_name = {interface.name: interface for interface in found.interfaces}
        self.who = host.name if host.name == machine.name else f"{host.name} ({machine.name})"

    # -- which interface is which

    def interfaces(self) -> dict[str, str]:
        """The topology's names -> those that were found."""
        found: dict[str, str] = {}
        for network, port in self._topology.ports(self._host.name):
            interface = self._interface(network, port)
            if interface.name in found.values():
                raise TestbedError(f"{self.who}: {interface.name} would have to be on network {network.name} and on another one too")
            if interface.name == self._found.control.get("interface"):
                raise TestbedError(
                    f"{self.who}: {interface.name} carries the control connection, so network {network.name} cannot be on it:"
                    " its capture would capture its own way here. Give the experiment an interface of its own"
                )
            found[port.interface] = interface.name
        return found

    def _interface(self, network: Network, port: Port) -> Interface:
        mac = self._machine.macs.get(network.name, port.mac).lower()
        if mac:
            fitting = [one for one in self._found.interfaces if one.mac.lower() == mac]
            wanted = f"the MAC address {mac}"
        else:
            addresses = {_bare(address) for address in port.addresses}
            fitting = [one for one in self._found.interfaces if addresses.intersection(map(_bare, one.addresses))]
            wanted = " or ".join(map(_bare, port.addresses)) or "an address (the topology gives it none)"
        if len(fitting) != 1:
            raise TestbedError(self._told_of(network, wanted, fitting))
        return fitting[0]

    def _told_of(self, network: Network, wanted: str, fitting: list[Interface]) -> str:
        """Why no interface is the one on ``network``."""
        if fitting:
            several = ", ".join(one.name for one in fitting)
            return f"{self.who}: {several} all have {wanted}; name the one on network {network.name} by `macs` in the inventory"
        there = "; ".join(_told(one) for one in self._found.interfaces if one.mac) or "none"
        return (
            f"{self.who}: no interface has {wanted}, by which the one on network {network.name} is found. There: {there}. Give it the"
            f" address, or name it in the inventory by its MAC address, `macs: {{{network.name}: ...}}`, with `configure: true` to have"
            " addresses set for each run"
        )

    # -- what is not as it should be

    def alterations(self, interfaces: dict[str, str]) -> Iterator[Alteration]:
        """What ``ip`` has to be told, in this order."""
        for network, port in self._topology.ports(self._host.name):
            yield from self._link(network, port, self._by_name[interfaces[port.interface]])
        for route in self._host.routes:
            if _version_of(route.via) == self._version:
                yield from self._route(route.to, route.via)

    def _link(self, network: Network, port: Port, interface: Interface) -> Iterator[Alteration]:
        name = interface.name
        if interface.mtu != network.mtu:
            yield Alteration(words=("link", "set", name, "mtu", str(network.mtu)))
        if not interface.up:  # before its addresses, of which the IPv6 ones would go when it goes down again
            yield Alteration(words=("link", "set", name, "up"))
        for address in port.addresses:
            if _version_of(address) == self._version and address not in interface.addresses:
                tail = ("nodad",) if self._version == 6 else ()
                words = ("address", "add", address, "dev", name)
                yield Alteration(words=(*words, *tail))

    def _route(self, to: str, via: str) -> Iterator[Alteration]:
        """Leave the machine's default route alone, by which the control connection goes: of the experiment, the other networks suffice."""
        for prefix in self._elsewhere() if to == "default" else (str(ip_network(to)),):
            best = max((route for route in self._found.routes if _covers(route, prefix)), key=_length, default=None)
            if best is None or best.via != via:
                yield Alteration(words=("route", "add", prefix, "via", via))

    def _elsewhere(self) -> list[str]:
        """The topology's prefixes that the host has no interface on."""
        here = {network.name for network, _port in self._topology.ports(self._host.name)}
        others = [prefix for network in self._topology.networks if network.name not in here for prefix in network.subnets]
        return [prefix for prefix in others if ip_network(prefix).version == self._version]

    def settings(self) -> dict[str, str]:
        """The kernel parameters to set."""
        key = FORWARDING[self._version == 6]
        return {key: "1"} if self._host.forward and self._found.sysctls.get(key, "0") == "0" else {}


def survey_of(told: object, machine: str) -> Surveyed:
    """What a machine told, in types.

    :raises TestbedError: it is not in the form that it should have.
    """
    try:
        return msgspec.convert(told, Surveyed)
    except msgspec.ValidationError as error:
        raise TestbedError(f"{machine}: what it tells of itself cannot be read: {error}") from None


def _covers(route: FoundRoute, prefix: str) -> bool:
    wanted = ip_network(prefix)
    if route.version != wanted.version:
        return False
    return route.to == "default" or wanted.subnet_of(ip_network(route.to, strict=False))  # type: ignore[arg-type]  # of one version


def _length(route: FoundRoute) -> int:
    return -1 if route.to == "default" else ip_network(route.to, strict=False).prefixlen


def _version_of(address: str) -> int:
    return 6 if ":" in address else 4


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _told(interface: Interface) -> str:
    return " ".join((interface.name, interface.mac, *interface.addresses))
