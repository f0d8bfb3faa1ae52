"""What a topology's file becomes."""

from __future__ import annotations

import pytest

from orchestrator.loading import load_topology
from orchestrator.model.topology import LinkProperties


@pytest.mark.parametrize(
    ("name", "host", "addresses"),
    [
        ("two-hosts", "romeo", ("10.10.0.100", "fd00:10:10::100")),
        ("two-hosts", "juliet", ("10.10.0.101", "fd00:10:10::101")),
        ("line", "romeo", ("10.10.1.100", "fd00:10:10:1::100")),
        ("line", "juliet", ("10.10.2.100", "fd00:10:10:2::100")),
        ("segment-4", "ophelia", ("10.10.0.103", "fd00:10:10::103")),
        ("nat", "alice", ("192.168.1.100", "fd00:192:168:1::100")),
    ],
)
def test_addresses_of_those_that_ship(name, host, addresses, root):
    topology = load_topology(root / "topologies" / f"{name}.yaml")
    assert (*topology.addresses(host, 4), *topology.addresses(host, 6)) == addresses


def test_a_router_has_its_interfaces_in_order(root):
    topology = load_topology(root / "topologies" / "line.yaml")
    assert [(network.name, port.interface) for network, port in topology.ports("router")] == [("left", "eth1"), ("right", "eth2")]
    assert [host.forward for host in topology.hosts] == [False, True, False]
    assert [(route.to, route.via) for route in topology.hosts[0].routes] == [("default", "10.10.1.1"), ("default", "fd00:10:10:1::1")]


def test_what_a_network_does(tmp_path):
    path = tmp_path / "slow.yaml"
    path.write_text(
        "topology: slow\nhosts: {a: {}, b: {routes: [{to: 10.9.0.1/32, via: 10.0.0.1}]}}\nnetworks:\n  n:\n    subnets: 10.0.0.0/24\n"
        "    mtu: 1300\n    rate: 1mbit\n    delay: 10ms\n    loss: 0.5%\n    hosts: {a: 10.0.0.1/24, b: []}\n"
    )
    network = load_topology(path).networks[0]
    assert (network.mtu, network.link) == (1300, LinkProperties(rate_bits=1_000_000, delay_ns=10_000_000, loss_millis=500))
    assert [port.addresses for port in network.ports] == [("10.0.0.1/24",), ()]


def test_a_mac_beside_the_addresses(tmp_path):
    path = tmp_path / "macs.yaml"
    path.write_text(
        "topology: macs\nhosts: {a: , b: , c: }\nnetworks:\n"
        '  n: {subnets: [10.0.0.0/24, "1:2:3:4::/64"], hosts: {a: [10.0.0.1, 02:00:00:00:00:0A], b: "02:00:00:00:00:0b",'
        ' c: "1:2:3:4:5:6:7:8"}}\n'
        '  m: {subnets: 10.0.1.0/24, hosts: {a: "02:00:00:00:00:0a", b: 10.0.1.2}}\n'
    )
    networks = load_topology(path).networks
    assert [(port.mac, port.addresses) for port in networks[0].ports] == [
        ("02:00:00:00:00:0a", ("10.0.0.1/24",)),
        ("02:00:00:00:00:0b", ()),
        ("", ("1:2:3:4:5:6:7:8/64",)),
    ]
    assert [port.mac for port in networks[1].ports] == ["02:00:00:00:00:0a", ""]
