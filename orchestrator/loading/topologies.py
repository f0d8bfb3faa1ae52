"""The document of a topology -> ``Topology``, its addresses held against its subnets.

Does not open files and makes no network. The surprising fact: interfaces are numbered here, ``eth1`` on, in the order in which a host's
networks are listed; ``eth0`` is left to the host's own way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from orchestrator.loading.keys.topology import TOPOLOGY
from orchestrator.loading.kinds.scalars import Marked
from orchestrator.loading.kinds.shapes import Entry
from orchestrator.loading.kinds.tables import Fields
from orchestrator.loading.notation.macs import like_a_mac, mac_of
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.source.documents import Node
from orchestrator.loading.source.problems import Complaints, Refused, suggestion
from orchestrator.loading.source.reader import Reader
from orchestrator.model.topology import Host, LinkProperties, Network, Port, Route, Topology
from orchestrator.model.words.values import Where

Subnet: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address
_LEAST_MTU_IPV6 = 1280  # RFC 8200 section 5
_NOT_FOR_HOSTS = {  # RFC 6890, RFC 4291 section 2.4
    "loopback": (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
    "multicast": (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8")),
    "link-local": (IPv6Network("fe80::/10"),),
    "'this network'": (IPv4Network("0.0.0.0/8"), IPv6Network("::/128")),
}


def read_topology(document: Node, path: str, complaints: Complaints) -> Topology | None:
    """The topology in ``document``; ``None`` where too little of it can be read. What is wrong goes to ``complaints``."""
    reader = Reader(path, complaints)
    before = len(complaints)
    with suppress(Refused):
        fields = TOPOLOGY.read(document, reader)
        _check_name(fields, reader)
        drawing = _Drawing(fields, reader)
        networks = tuple(drawing.network(entry) for entry in fields.get("networks", ()))
        hosts = tuple(drawing.host(entry) for entry in fields.get("hosts", ()))
        if len(complaints) == before:
            return Topology(name=fields.get("topology"), about=fields.get("about", ""), hosts=hosts, networks=networks, path=path)
    return None


def _check_name(fields: Fields, reader: Reader) -> None:
    name, file = fields.get("topology"), reader.path.rpartition("/")[2]
    if name and file.endswith((".yaml", ".yml")) and file.rpartition(".")[0] != name:
        reader.complain(fields.place("topology"), f"the topology is called '{name}', its file '{file}': they must be the same")


class _Placed(NamedTuple):
    """A subnet or an address, whose it is, and where that is said."""

    value: Subnet | Address
    owner: str
    where: Where


class _Drawing:
    """Makes networks, then hosts, and remembers what was given out."""

    def __init__(self, fields: Fields, reader: Reader) -> None:
        self._reader = reader
        self._known = None if "hosts" in fields.broken else {entry.key for entry in fields.get("hosts", ())}
        self._whole = not fields.broken
        self._subnets: list[_Placed] = []
        self._addresses: dict[Address, _Placed] = {}
        self._places: dict[str, list[Subnet]] = {}
        self._interfaces: dict[str, int] = {}

    def network(self, entry: Entry) -> Network:
        """One network, with its ports."""
        fields: Fields = entry.value
        subnets = self._own_subnets(entry)
        mtu = fields.get("mtu", 1500)
        if mtu < _LEAST_MTU_IPV6 and any(subnet.version == 6 for subnet in subnets):
            self._reader.complain(fields.place("mtu"), f"IPv6 wants an MTU of {_LEAST_MTU_IPV6} at least")
        known = len(subnets) == len(fields.get("subnets", ())) > 0
        ports = tuple(port for host in fields.get("hosts", ()) for port in self._port(host, subnets, known=known))
        self._check_macs(ports, {host.key: host for host in fields.get("hosts", ())})
        link = LinkProperties(rate_bits=fields.get("rate", 0), delay_ns=fields.get("delay", 0), loss_millis=fields.get("loss", 0))
        return Network(name=entry.key, subnets=tuple(str(subnet) for subnet in subnets), ports=ports, mtu=mtu, link=link)

    def _own_subnets(self, entry: Entry) -> tuple[Subnet, ...]:
        """The prefixes of a network: one per family, none that another network has."""
        own: dict[int, Subnet] = {}
        for marked in entry.value.get("subnets", ()):
            with suppress(Refused):
                subnet = self._subnet(marked)
                if subnet.version in own:
                    self._reader.refuse(marked.where, f"{entry.key} has an IPv{subnet.version} prefix already: one per family")
                self._check_overlap(subnet, entry.key, marked.where)
                own[subnet.version] = subnet
        return tuple(own.values())

    def _subnet(self, marked: Marked) -> Subnet:
        try:
            subnet = ip_network(marked.value)
        except ValueError as error:
            meant = f", did you mean '{ip_network(marked.value, strict=False)}'?" if "host bits" in str(error) else ""
            hint = meant or ": write one like 10.10.0.0/24 or fd00:10:10::/64"
            self._reader.refuse(marked.where, f"'{marked.value}' is no prefix{hint}")
        if "/" not in marked.value or subnet.num_addresses < 4:
            self._reader.refuse(marked.where, f"'{marked.value}' has no room for two hosts: give a prefix length, like 10.10.0.0/24")
        for use, prefixes in _NOT_FOR_HOSTS.items():
            for prefix in prefixes:
                if prefix.version == subnet.version and prefix.overlaps(subnet):
                    self._reader.refuse(marked.where, f"{subnet} cannot be a lab's prefix: {prefix} is for {use} addresses")
        return subnet

    def _check_overlap(self, subnet: Subnet, name: str, where: Where) -> None:
        for other in self._subnets:
            if other.value.version == subnet.version and subnet.overlaps(other.value):  # type: ignore[arg-type]
                self._reader.complain(where, f"the prefix {subnet} overlaps {other.value} of {other.owner}")
        self._subnets.append(_Placed(subnet, name, where))

    def _port(self, entry: Entry, subnets: tuple[Subnet, ...], *, known: bool) -> Iterator[Port]:
        """The port of one host on one network; where its prefixes are not all ``known``, an address may be in the others."""
        host = entry.key
        if self._known is not None and host not in self._known:
            self._reader.complain(entry.key_where, f"there is no host '{host}' under 'hosts'{suggestion(host, self._known)}")
            return
        self._places.setdefault(host, []).extend(subnets)
        self._interfaces[host] = self._interfaces.get(host, 0) + 1
        addresses, mac = [], ""
        for marked in entry.value:
            with suppress(Refused):
                if like_a_mac(marked.value):
                    mac = self._mac(marked, host, mac)
                else:
                    addresses.append(self._address(marked, host, subnets, known=known))
        yield Port(host=host, interface=f"eth{self._interfaces[host]}", addresses=tuple(addresses), mac=mac, where=entry.key_where)

    def _mac(self, marked: Marked, host: str, before: str) -> str:
        """The MAC of a port, which has one at most."""
        if before:
            self._reader.refuse(marked.where, f"{host} has the MAC {before} here already: an interface has one")
        try:
            return mac_of(marked.value)
        except Misread as error:
            self._reader.refuse(marked.where, str(error))

    def _check_macs(self, ports: tuple[Port, ...], entries: dict[str, Entry]) -> None:
        """No two interfaces of one network have the same; a router may have one of its own on two networks."""
        owners: dict[str, str] = {}
        for port in ports:
            owner = owners.setdefault(port.mac, port.host) if port.mac else port.host
            if owner != port.host:
                where = next(marked.where for marked in entries[port.host].value if marked.value.lower() == port.mac)
                self._reader.complain(where, f"the MAC {port.mac} is {owner}'s already on this network")

    def _address(self, marked: Marked, host: str, subnets: tuple[Subnet, ...], *, known: bool) -> str:
        """The address with its prefix length, held against the network's prefixes."""
        text, _, length = marked.value.partition("/")
        try:
            address = ip_address(text)
        except ValueError:
            self._reader.refuse(marked.where, f"'{marked.value}' is no address")
        subnet = next((subnet for subnet in subnets if subnet.version == address.version), None)
        if not known and (subnet is None or address not in subnet):
            raise Refused
        if subnet is None or address not in subnet:
            self._reader.refuse(marked.where, f"{host}'s address {text} is outside the network's prefix{_shown(subnets)}")
        if length and length != str(subnet.prefixlen):
            self._reader.refuse(marked.where, f"the network's prefix has length {subnet.prefixlen}, not {length}: leave it out")
        if address == subnet.network_address:
            self._reader.refuse(marked.where, f"{text} is the address of the network itself")
        if subnet.version == 4 and address == subnet.broadcast_address:
            self._reader.refuse(marked.where, f"{text} is the network's broadcast address")
        taken = self._addresses.get(address)
        if taken:
            self._reader.refuse(marked.where, f"the address {text} is {taken.owner}'s already (line {taken.where.line})")
        self._addresses[address] = _Placed(address, host, marked.where)
        return f"{address}/{subnet.prefixlen}"

    def host(self, entry: Entry) -> Host:
        """One host, its routes held against its neighbours; networks come first."""
        fields: Fields = entry.value
        if entry.key not in self._places and self._whole:
            self._reader.complain(entry.key_where, f"{entry.key} is on no network")
        routes = []
        for marked in fields.get("routes", ()):
            with suppress(Refused):
                routes.append(self._route(entry.key, marked.value))
        return Host(name=entry.key, forward=fields.get("forward", False), routes=tuple(routes))

    def _route(self, host: str, fields: Fields) -> Route:
        if "to" not in fields or "via" not in fields:
            raise Refused
        to, text = fields.get("to"), fields.get("via")
        try:
            via = ip_address(text)
        except ValueError:
            self._reader.refuse(fields.place("via"), f"'{text}' is no address")
        if to != "default":
            to = self._prefix(fields, via)
        neighbour = self._addresses.get(via)
        near = any(via.version == subnet.version and via in subnet for subnet in self._places.get(host, ()))
        if self._whole and (neighbour is None or neighbour.owner == host or not near):
            self._reader.refuse(fields.place("via"), f"{text} is not a neighbour's address: {host} cannot reach it without a route")
        return Route(to=to, via=str(via), where=fields.where)

    def _prefix(self, fields: Fields, via: Address) -> str:
        """The prefix that a route leads to."""
        text, where = fields.get("to"), fields.place("to")
        try:
            to = ip_network(text)
        except ValueError:
            self._reader.refuse(where, f"'{text}' is no prefix: write one like 10.10.2.0/24, or default")
        if to.version != via.version:
            self._reader.refuse(where, f"a route to {text} cannot go by {via}: they are of different families")
        return str(to)


def _shown(subnets: tuple[Subnet, ...]) -> str:
    return f" ({' and '.join(str(subnet) for subnet in subnets)})" if subnets else ""
