"""Topologies as they come up: bridges, routers, families, impaired links."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from orchestrator.agent import protocol
from orchestrator.errors import AgentError, Unsupported
from orchestrator.loading import load_topology
from orchestrator.model.topology import Host, LinkProperties, Network, Port, Topology
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.netns import Namespaces
from tests.conftest import ROOT

pytestmark = pytest.mark.namespaces
KNOCK = """
import errno, socket, sys
family, *_, address = socket.getaddrinfo(sys.argv[1], 9, type=socket.SOCK_STREAM)[0]
sock = socket.socket(family)
sock.settimeout(5)
if family == socket.AF_INET:
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[2]))
print(errno.errorcode[sock.connect_ex(address)])
"""


def pair(link: LinkProperties) -> Topology:
    ports = tuple(Port(host=name, interface="eth1", addresses=(f"10.8.0.{n}/24",)) for n, name in ((1, "a"), (2, "b")))
    network = Network(name="lan", subnets=("10.8.0.0/24",), ports=ports, link=link)
    return Topology(name="pair", hosts=(Host(name="a"), Host(name="b")), networks=(network,))


def up(server: ForkServer, topology: Topology, body: Callable[[Namespaces], Awaitable[None]], family: str = "ipv4") -> None:
    async def whole() -> None:
        testbed = Namespaces(server, topology, family)
        await testbed.up()
        try:
            await body(testbed)
        finally:
            await testbed.down()

    asyncio.run(whole())


async def on(testbed: Namespaces, host: str, *words: str) -> str:
    """What a program prints on a host, run by its agent, so that it works for an ordinary user too."""
    session = testbed.sessions[host]
    action = {"id": "1", "timeout_ns": 20_000_000_000, "action": {"do": "run", "argv": list(words)}}
    await session.ask(protocol.PREPARE, run="test", actions=[action], folder="/")
    (result,) = await session.ask(protocol.FIRE, actions=["1"])
    return result["stdout"] + result["stderr"]


async def knock(testbed: Namespaces, host: str, target: str, hops: int = 64) -> str:
    """What comes of a connect to a port that nobody listens on; a bare machine has no ping."""
    shown = await on(testbed, host, sys.executable, "-I", "-S", "-c", KNOCK, target, str(hops))
    return shown.strip()


@pytest.mark.parametrize("name", ["two-hosts", "line", "segment-4", "nat", "two-hosts-mtu-1300"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_neighbours_answer_by_name(server: ForkServer, name: str, family: str) -> None:
    topology = load_topology(ROOT / "topologies" / f"{name}.yaml")

    async def body(testbed: Namespaces) -> None:
        for network in topology.networks:
            first, *others = [port.host for port in network.ports]
            for other in others:
                near = [address.split("/")[0] for port in network.ports if port.host == other for address in port.addresses]
                target = next(address for address in near if (":" in address) == (family == "ipv6"))
                assert await knock(testbed, first, target) == "ECONNREFUSED"

    up(server, topology, body, family)


def test_a_router_forwards_and_names_resolve_across_it(server: ForkServer) -> None:
    topology = load_topology(ROOT / "topologies" / "line.yaml")

    async def body(testbed: Namespaces) -> None:
        assert await knock(testbed, "romeo", "juliet", hops=1) == "EHOSTUNREACH"
        assert await knock(testbed, "romeo", "juliet", hops=2) == "ECONNREFUSED"

    up(server, topology, body)


def test_a_host_has_its_name_its_interfaces_and_its_processes_only(server: ForkServer) -> None:
    async def body(testbed: Namespaces) -> None:
        assert (await on(testbed, "a", "hostname")).strip() == "a"
        assert "eth1" in await on(testbed, "a", "ip", "-br", "link")
        assert len((await on(testbed, "a", "ps", "-e", "-o", "pid=")).splitlines()) == 2

    up(server, pair(LinkProperties()), body)


def test_a_rate_is_set_where_the_topology_asks(server: ForkServer) -> None:
    async def body(testbed: Namespaces) -> None:
        assert "rate 1Mbit" in await on(testbed, "a", "tc", "qdisc", "show", "dev", "eth1")

    up(server, pair(LinkProperties(rate_bits=1_000_000)), body)


def test_delay_works_or_says_that_this_kernel_cannot(server: ForkServer) -> None:
    async def body(testbed: Namespaces) -> None:
        assert "netem" in await on(testbed, "a", "tc", "qdisc", "show", "dev", "eth1")

    refused = ""
    try:
        up(server, pair(LinkProperties(delay_ns=10_000_000)), body)
    except Unsupported as error:
        refused = str(error)
    if refused:
        assert "cannot impair the links of topology pair" in refused
        pytest.skip(f"this kernel has no netem: {refused}")


def test_a_line_that_iproute2_refuses_is_told_in_its_words(server: ForkServer) -> None:
    async def body(testbed: Namespaces) -> None:
        with pytest.raises(AgentError, match="a: ip -batch"):
            await testbed.sessions["a"].ask(protocol.LINES, tool="ip", lines=["address add 10.8.0.1/24 dev nowhere"])

    up(server, pair(LinkProperties()), body)


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_an_interface_has_the_mac_that_the_topology_says(server: ForkServer, names: str) -> None:
    macs = {name: f"02:00:5e:10:00:0{number}" if name != "b" else "" for number, name in enumerate(names, start=1)}
    ports = tuple(Port(host=name, interface="eth1", addresses=(f"10.8.0.{ord(name)}/24",), mac=macs[name]) for name in names)
    network = Network(name="lan", subnets=("10.8.0.0/24",), ports=ports)

    async def body(testbed: Namespaces) -> None:
        for name, mac in macs.items():
            shown = (await on(testbed, name, "cat", "/sys/class/net/eth1/address", "/sys/class/net/eth1/addr_assign_type")).split()
            if mac:
                assert shown == [mac, "3"]  # NET_ADDR_SET
        assert await knock(testbed, "a", f"10.8.0.{ord('b')}") == "ECONNREFUSED"

    up(server, Topology(name="macs", hosts=tuple(Host(name=name) for name in names), networks=(network,)), body)
