"""Which interface of a real machine is which, what is not as the topology wants it, and the sentences that say so."""

import msgspec
import pytest

from orchestrator.errors import TestbedError
from orchestrator.model.inventory import Machine
from orchestrator.model.topology import Host, Network, Port, Route, Topology
from orchestrator.testbeds.machines.matching import FoundRoute, Interface, Surveyed, match, survey_of

MAC = "02:00:5e:10:00:01"
CONTROL = Interface(name="ens3", mac="02:00:00:00:00:03", addresses=("198.18.1.2/24",))
FOUR, SIX = "10.10.1.100/24", "fd00:10:10:1::100/64"


def line(mtu=1500, mac="", **host):
    """romeo on the left of a router, by which juliet's network is reached."""
    romeo = Host(name="romeo", routes=(Route(to="default", via="10.10.1.1"), Route(to="default", via="fd00:10:10:1::1")), **host)
    left = Network(
        name="left",
        subnets=("10.10.1.0/24", "fd00:10:10:1::/64"),
        mtu=mtu,
        ports=(Port(host="romeo", interface="eth1", addresses=(FOUR, SIX), mac=mac),),
    )
    right = Network(name="right", subnets=("10.10.2.0/24", "fd00:10:10:2::/64"), ports=())
    return Topology(name="line", hosts=(romeo,), networks=(left, right))


def surveyed(*interfaces, routes=(), **more):
    return Surveyed(kernel="6.1", python="3.9.2", interfaces=(CONTROL, *interfaces), routes=tuple(routes), **more)


def ens7(**fields):
    return Interface(**{"name": "ens7", "mac": MAC, "addresses": (FOUR, SIX), **fields})


READY = (
    FoundRoute(version=4, to="default", via="198.18.1.1", interface="ens3"),
    FoundRoute(version=4, to="10.10.2.0/24", via="10.10.1.1", interface="ens7"),
    FoundRoute(version=6, to="fd00:10:10:2::/64", via="fd00:10:10:1::1", interface="ens7"),
)


def matched(found, topology=None, family="ipv4", **machine):
    topology = topology or line()
    return match(topology, family, topology.hosts[0], Machine(name="node7", **machine), found)


def refused(found, **more):
    with pytest.raises(TestbedError) as error:
        matched(found, **more)
    return str(error.value)


def words(live):
    return [" ".join(one.words) for one in live.setup]


def test_an_interface_is_found_by_its_address_whatever_its_name():
    live = matched(surveyed(ens7(), routes=READY))
    assert (live.machine, live.interfaces, live.setup, live.sysctl) == ("node7", {"eth1": "ens7"}, (), {})
    assert live.interface("eth1") == "ens7"
    assert live.sysctl_key("net.ipv4.conf.eth1.rp_filter") == "net.ipv4.conf.ens7.rp_filter"
    assert live.sysctl_key("net.ipv4.ip_forward") == "net.ipv4.ip_forward"
    assert live.facts.kernel == "6.1"


@pytest.mark.parametrize("machine", [{"macs": {"left": MAC.upper()}}, {}])
def test_an_interface_is_found_by_its_mac_and_set_up(machine):
    topology = line(mac="" if machine else MAC)
    live = matched(surveyed(ens7(addresses=(), up=False, mtu=9000)), topology, configure=True, **machine)
    assert words(live) == [
        "link set ens7 mtu 1500",
        "link set ens7 up",
        f"address add {FOUR} dev ens7",
        "route add 10.10.2.0/24 via 10.10.1.1",
    ]


def test_only_the_family_of_the_run_counts():
    found = surveyed(ens7(addresses=(FOUR,)), routes=READY[:2])
    assert matched(found).setup == ()
    assert words(matched(found, family="ipv6", configure=True)) == [
        f"address add {SIX} dev ens7 nodad",
        "route add fd00:10:10:2::/64 via fd00:10:10:1::1",
    ]


def test_what_may_not_be_set_is_told_with_the_lines_that_would():
    told = refused(surveyed(ens7()), topology=line(forward=True))
    assert "romeo (node7) is not set up as topology line wants it" in told
    assert "`configure: true` for node7" in told
    assert told.endswith("ip route add 10.10.2.0/24 via 10.10.1.1; sysctl -w net.ipv4.ip_forward=1")


def test_a_router_that_forwards_already_is_left_alone():
    found = surveyed(ens7(), routes=READY, sysctls={"net.ipv4.ip_forward": "1"})
    assert matched(found, line(forward=True)).sysctl == {}
    assert matched(surveyed(ens7(), routes=READY), line(forward=True), configure=True).sysctl == {"net.ipv4.ip_forward": "1"}


@pytest.mark.parametrize(
    ("route", "enough"),
    [
        (FoundRoute(version=4, to="10.10.0.0/16", via="10.10.1.1"), True),
        (FoundRoute(version=4, to="default", via="10.10.1.1"), True),
        (FoundRoute(version=4, to="10.10.0.0/16", via="10.10.1.9"), False),
        (FoundRoute(version=4, to="10.10.3.0/24", via="10.10.1.1"), False),
        (FoundRoute(version=6, to="default", via="fd00::1"), False),
    ],
)
def test_the_best_route_counts(route, enough):
    assert bool(matched(surveyed(ens7(), routes=(route,)), configure=True).setup) != enough


def test_a_route_to_one_prefix_is_set_as_it_is():
    topology = line()
    host = msgspec.structs.replace(topology.hosts[0], routes=(Route(to="10.9.0.0/16", via="10.10.1.1"),))
    topology = msgspec.structs.replace(topology, hosts=(host,))
    assert words(matched(surveyed(ens7()), topology, configure=True)) == ["route add 10.9.0.0/16 via 10.10.1.1"]


def test_no_interface_fits():
    told = refused(surveyed(ens7(addresses=())))
    assert "romeo (node7): no interface has 10.10.1.100 or fd00:10:10:1::100" in told
    assert f"There: ens3 02:00:00:00:00:03 198.18.1.2/24; ens7 {MAC}." in told
    assert "`macs: {left: ...}`" in told
    assert "no interface has the MAC address 02:00:00:00:00:99" in refused(surveyed(ens7()), macs={"left": "02:00:00:00:00:99"})
    assert "There: none." in refused(Surveyed())


def test_an_address_that_several_have_finds_none():
    assert "ens7, ens8 all have 10.10.1.100" in refused(surveyed(ens7(), ens7(name="ens8")))


def test_the_way_here_is_no_place_for_an_experiment():
    found = surveyed(ens7(), routes=READY, control={"address": "10.10.1.100", "interface": "ens7"})
    assert "ens7 carries the control connection" in refused(found)


def test_one_interface_is_on_one_network():
    topology = line()
    right = msgspec.structs.replace(topology.networks[1], ports=(Port(host="romeo", interface="eth2", addresses=("10.10.2.7/24",)),))
    topology = msgspec.structs.replace(topology, networks=(topology.networks[0], right))
    assert "ens7 would have to be on network right" in refused(surveyed(ens7(addresses=(FOUR, "10.10.2.7/24"))), topology=topology)


def test_a_machine_of_the_hosts_own_name_is_named_once():
    topology = line()
    with pytest.raises(TestbedError, match=r"^romeo is not set up"):
        match(topology, "ipv4", topology.hosts[0], Machine(name="romeo"), surveyed(ens7()))


def test_what_is_told_is_held_against_its_form():
    assert survey_of({"kernel": "6.1", "python": "3.8", "interfaces": [{"name": "ens7", "index": 3}]}, "romeo").interfaces[0].mtu == 1500
    with pytest.raises(TestbedError, match=r"romeo: what it tells of itself cannot be read: Expected `str`"):
        survey_of({"kernel": 6}, "romeo")
