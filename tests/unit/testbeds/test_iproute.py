"""The lines that make a topology, exactly as iproute2 takes them and `plan` shows them."""

import pytest

from orchestrator.model.topology import Host, LinkProperties, Network, Port, Route, Topology
from orchestrator.testbeds import iproute


def port(host, *addresses, interface="eth1"):
    return Port(host=host, interface=interface, addresses=addresses)


def topology(*networks, hosts=("romeo", "juliet")):
    return Topology(name="t", hosts=tuple(one if isinstance(one, Host) else Host(name=one) for one in hosts), networks=networks)


ROMEO, JULIET = port("romeo", "10.0.0.1/24", "fd00::1/64"), port("juliet", "10.0.0.2/24", "fd00::2/64")
PIDS = {"romeo": 11, "juliet": 12, "hamlet": 13, "ophelia": 14}


def lan(*ports, **fields):
    return Network(name=fields.pop("name", "lan"), subnets=(), ports=ports or (ROMEO, JULIET), **fields)


# -- links


def test_two_hosts_are_joined_by_a_pair():
    assert iproute.switch_lines(topology(lan()), PIDS) == (
        "link add name eth1 index 1000 mtu 1500 netns 11 type veth peer name eth1 index 1001 mtu 1500 netns 12",
    )


def test_a_mac_is_given_to_the_hosts_end():
    ports = [
        Port(host=host, interface="eth1", addresses=(), mac=f"02:00:00:00:00:0{n}") for n, host in enumerate(("romeo", "juliet", "hamlet"))
    ]
    assert iproute.switch_lines(topology(lan(ports[0], JULIET)), PIDS) == (
        "link add name eth1 index 1000 address 02:00:00:00:00:00 mtu 1500 netns 11 type veth peer name eth1 index 1001 mtu 1500 netns 12",
    )
    assert iproute.switch_lines(topology(lan(*ports)), PIDS)[4] == (
        "link add name p1.2 index 1003 mtu 1500 type veth peer name eth1 index 1002 address 02:00:00:00:00:01 mtu 1500 netns 12"
    )


def test_four_hosts_by_a_bridge():
    ports = [port(host) for host in ("romeo", "juliet", "hamlet", "ophelia")]
    assert iproute.switch_lines(topology(lan(*ports, mtu=1300)), PIDS) == (
        "link add br1 mtu 1300 type bridge stp_state 0 mcast_snooping 0",
        "link set br1 up",
        "link add name p1.1 index 1001 mtu 1300 type veth peer name eth1 index 1000 mtu 1300 netns 11",
        "link set p1.1 master br1 up",
        "link add name p1.2 index 1003 mtu 1300 type veth peer name eth1 index 1002 mtu 1300 netns 12",
        "link set p1.2 master br1 up",
        "link add name p1.3 index 1005 mtu 1300 type veth peer name eth1 index 1004 mtu 1300 netns 13",
        "link set p1.3 master br1 up",
        "link add name p1.4 index 1007 mtu 1300 type veth peer name eth1 index 1006 mtu 1300 netns 14",
        "link set p1.4 master br1 up",
    )


def test_a_host_alone_hangs_on_a_bridge():
    assert iproute.switch_lines(topology(lan(ROMEO)), PIDS)[2:] == (
        "link add name p1.1 index 1001 mtu 1500 type veth peer name eth1 index 1000 mtu 1500 netns 11",
        "link set p1.1 master br1 up",
    )


def test_networks_are_numbered_and_no_index_stands_twice():
    three = [port(host) for host in ("romeo", "juliet", "hamlet")]
    second = lan(port("romeo", interface="eth2"), port("juliet", interface="eth2"), mtu=9000, name="second")
    lines = iproute.switch_lines(topology(lan(*three), second, lan(*three, name="third")), PIDS)
    assert lines[8] == "link add name eth2 index 1006 mtu 9000 netns 11 type veth peer name eth2 index 1007 mtu 9000 netns 12"
    assert lines[9] == "link add br3 mtu 1500 type bridge stp_state 0 mcast_snooping 0"
    assert [line.split()[3] for line in lines if line.startswith("link add name p3")] == ["p3.1", "p3.2", "p3.3"]
    words = " ".join(lines).split()
    indexes = [words[place + 1] for place, word in enumerate(words) if word == "index"]
    assert len(indexes) == len(set(indexes)) == 14


def test_no_network_no_line():
    assert iproute.switch_lines(topology(), PIDS) == ()


# -- hosts


def test_addresses_links_and_then_routes():
    routes = (Route(to="default", via="10.0.0.254"), Route(to="fd00:2::/64", via="fd00::254"))
    wanted = topology(
        lan(),
        lan(port("romeo", "10.0.2.1/24", interface="eth2"), port("juliet"), name="second"),
        hosts=(Host(name="romeo", routes=routes), Host(name="juliet", routes=(Route(to="default", via="10.0.0.9"),))),
    )
    assert iproute.host_lines(wanted, "romeo") == (
        "link set lo up",
        "address add 10.0.0.1/24 dev eth1",
        "address add fd00::1/64 dev eth1 nodad",
        "link set eth1 up",
        "address add 10.0.2.1/24 dev eth2",
        "link set eth2 up",
        "route add default via 10.0.0.254",
        "route add fd00:2::/64 via fd00::254",
    )


@pytest.mark.parametrize("host", ["alice", "romeo", "zoe"])
def test_each_host_gets_its_own_routes_and_no_others(host):
    hosts = tuple(Host(name=name, routes=(Route(to="default", via=f"via-{name}"),)) for name in ("alice", "romeo", "zoe"))
    read_elsewhere = "".join(list(host))  # equal, and not the same object
    assert iproute.host_lines(topology(hosts=hosts), read_elsewhere) == ("link set lo up", f"route add default via via-{host}")


@pytest.mark.parametrize("host", ["alice", "romeo", "zoe"])
def test_each_host_forwards_by_its_own_wish(host):
    for router in ("alice", "romeo", "zoe"):
        hosts = tuple(Host(name=name, forward=name == router) for name in ("alice", "romeo", "zoe"))
        pinned = iproute.sysctls(topology(hosts=hosts), "".join(list(host)))
        assert ("net.ipv4.ip_forward" in pinned) is (host == router)


def test_a_host_on_no_network():
    assert iproute.host_lines(topology(hosts=("hamlet",)), "hamlet") == ("link set lo up",)


# -- forwarding and IPv6


@pytest.mark.parametrize(
    ("addresses", "forward", "pinned"),
    [
        (("10.0.0.1/24", "fd00::1/64"), False, {}),
        (("10.0.0.1/24",), False, {"net.ipv6.conf.all.disable_ipv6": "1"}),
        (("10.0.0.1/24", "fd00::1/64"), True, {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}),
        (("10.0.0.1/24",), True, {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv4.ip_forward": "1"}),
        (("fd00::1/64",), False, {}),
    ],
)
def test_sysctls(addresses, forward, pinned):
    hosts = (Host(name="romeo", forward=forward), Host(name="juliet", forward=not forward))
    assert iproute.sysctls(topology(lan(port("romeo", *addresses), JULIET), hosts=hosts), "romeo") == pinned


# -- links that are bad


@pytest.mark.parametrize(
    ("link", "lines"),
    [
        ({}, ()),
        ({"delay_ns": 10_000_000}, ("qdisc add dev eth1 root handle 1: netem delay 10000us",)),
        ({"loss_millis": 1500}, ("qdisc add dev eth1 root handle 1: netem loss 1.5%",)),
        ({"loss_millis": 1}, ("qdisc add dev eth1 root handle 1: netem loss 0.001%",)),
        ({"loss_millis": 100_000}, ("qdisc add dev eth1 root handle 1: netem loss 100%",)),
        ({"delay_ns": 1000, "loss_millis": 20_000}, ("qdisc add dev eth1 root handle 1: netem delay 1us loss 20%",)),
        ({"rate_bits": 1_000_000}, ("qdisc add dev eth1 root handle 1: tbf rate 1000000bit burst 32kbit latency 400ms",)),
        (
            {"delay_ns": 5_000_000, "rate_bits": 1},
            (
                "qdisc add dev eth1 root handle 1: netem delay 5000us",
                "qdisc add dev eth1 parent 1: handle 2: tbf rate 1bit burst 32kbit latency 400ms",
            ),
        ),
    ],
)
def test_impairments(link, lines):
    assert iproute.impairments(topology(lan(link=LinkProperties(**link))), "romeo") == lines
    assert iproute.impairments(topology(lan(link=LinkProperties(**link))), "hamlet") == ()


def test_each_interface_has_its_own_networks_link():
    slow = lan(port("romeo", interface="eth2"), port("juliet", interface="eth2"), name="slow", link=LinkProperties(delay_ns=1000))
    assert iproute.impairments(topology(lan(), slow), "romeo") == ("qdisc add dev eth2 root handle 1: netem delay 1us",)


# -- names


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("ipv4", "127.0.0.1 localhost\n::1 localhost\n10.0.0.1 romeo\n10.0.0.2 juliet\n"),
        ("ipv6", "127.0.0.1 localhost\n::1 localhost\nfd00::1 romeo\n"),
    ],
)
def test_hosts_know_each_other_in_one_family_by_the_first_address(family, text):
    second = lan(port("romeo", "10.0.2.1/24", "fd00:2::1/64", interface="eth2"), port("juliet"), name="second")
    wanted = topology(lan(ROMEO, port("juliet", "10.0.0.2/24")), second, hosts=("romeo", "juliet", "nobody"))
    assert wanted.neighbours(family) == text
