"""What is wanted (Topology) and what was found (Testbed): two records, never one."""

from __future__ import annotations

import re

from orchestrator.model.words.values import Record, Where


def ip_version(family: str) -> int:
    """6 for ``ipv6``, else 4."""
    return 6 if family == "ipv6" else 4


_OF_INTERFACE = re.compile(r"(net\.ipv[46]\.(?:conf|neigh))\.([^.]+)\.([^.]+)")


class LinkProperties(Record, frozen=True, kw_only=True):
    """What a network does to its segments; 0 and ``None`` mean: nothing.

    ``rate_bits`` per second (tbf), ``delay_ns`` one way and ``loss_millis`` in thousandths of a percent (netem).
    """

    rate_bits: int = 0
    delay_ns: int = 0
    loss_millis: int = 0


class Port(Record, frozen=True, kw_only=True):
    """A host's place on a network: ``interface`` is ``eth1``, ``eth2``, ... in the order of the networks.

    ``addresses`` carry their prefix length: ``10.10.0.100/24``. ``mac`` is in small letters, empty where any will do.
    """

    host: str
    interface: str
    addresses: tuple[str, ...]
    mac: str = ""
    where: Where | None = None


class Network(Record, frozen=True, kw_only=True):
    """One broadcast domain. ``subnets`` are its prefixes, at most one per family."""

    name: str
    subnets: tuple[str, ...]
    ports: tuple[Port, ...]
    mtu: int = 1500
    link: LinkProperties = LinkProperties()


class Route(Record, frozen=True, kw_only=True):
    """``to`` is a prefix or ``default``, ``via`` a neighbour's address."""

    to: str
    via: str
    where: Where | None = None


class Host(Record, frozen=True, kw_only=True):
    """A host that is wanted. ``forward`` turns it into a router, for both families."""

    name: str
    forward: bool = False
    routes: tuple[Route, ...] = ()


class Topology(Record, frozen=True, kw_only=True):
    """The network a scenario runs on."""

    name: str
    about: str = ""
    hosts: tuple[Host, ...]
    networks: tuple[Network, ...]
    path: str = ""

    def ports(self, host: str) -> tuple[tuple[Network, Port], ...]:
        """Each place of ``host``, in the order of its interfaces."""
        return tuple((network, port) for network in self.networks for port in network.ports if port.host == host)

    def addresses(self, host: str, version: int, network: str | None = None) -> tuple[str, ...]:
        """The bare addresses of ``host`` in one IP version, first interface first; on one network where it is named."""
        return tuple(
            address.partition("/")[0]
            for place, port in self.ports(host)
            if network in (None, place.name)
            for address in port.addresses
            if (":" in address) == (version == 6)
        )

    def neighbours(self, family: str) -> str:
        """The text of ``/etc/hosts``: every host by its first address of the run's family, so that ``nc juliet`` tries no other."""
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        for host in self.hosts:
            lines += [f"{address} {host.name}" for address in self.addresses(host.name, ip_version(family))[:1]]
        return "\n".join(lines) + "\n"


class Facts(Record, frozen=True, kw_only=True):
    """What a host can do, found before anything was touched.

    ``kernel`` as ``uname -r`` prints it; ``tools`` are the programs found on its path, with their full names; ``sysctls`` those asked
    about that exist, with their values; ``features`` likewise (:data:`~orchestrator.model.scenario.FEATURES`).
    """

    kernel: str
    python: str
    tools: dict[str, str] = {}
    sysctls: dict[str, str] = {}
    features: tuple[str, ...] = ()


class Alteration(Record, frozen=True, kw_only=True):
    """What makes a host a little more like its topology wants it: ip(8)'s words. What puts it back, the host finds out before."""

    words: tuple[str, ...]


class LiveHost(Record, frozen=True, kw_only=True):
    """A host that was found: where it runs and what it can do.

    Of a real one: the ``machine`` of the inventory, the ``interfaces`` that it has for those of the topology (``{"eth1": "ens7"}``; where
    one is not named, it is called as there), and what is altered for the length of a run, because it may be and is not as it should be:
    ``setup`` and ``sysctl``. ``configure`` is whether it may be.
    """

    name: str
    facts: Facts
    machine: str = ""
    interfaces: dict[str, str] = {}
    setup: tuple[Alteration, ...] = ()
    sysctl: dict[str, str] = {}
    configure: bool = True

    def interface(self, wanted: str) -> str:
        """What the topology's interface is called here."""
        return self.interfaces.get(wanted, wanted)

    def sysctl_key(self, key: str) -> str:
        """A kernel parameter with its interface as it is called here: ``net.ipv4.conf.eth1.rp_filter`` may be that of ``ens7``."""
        own = _OF_INTERFACE.fullmatch(key)
        return f"{own[1]}.{self.interface(own[2]).replace('.', '/')}.{own[3]}" if own else key


class Testbed(Record, frozen=True, kw_only=True):
    """The hosts that a plan is made for, and how they are reached (``netns``, ``ssh``)."""

    __test__ = False  # its name begins like a test class of pytest's

    kind: str
    topology: Topology
    hosts: tuple[LiveHost, ...]
