"""What the records can tell of themselves: labels, addresses, verdicts, and actions in a line."""

from itertools import permutations

import pytest

from orchestrator.model.plan import Plan
from orchestrator.model.scenario import Scenario
from orchestrator.model.topology import Host, Network, Port, Testbed, Topology
from orchestrator.model.verdict import EXIT_CODES, Value, Verdict, Verdicts, worst
from orchestrator.model.words import actions

# -- a scenario's label


@pytest.mark.parametrize(
    ("variant", "label"), [({}, "x"), ({"family": "ipv6"}, "x[ipv6]"), ({"family": "ipv6", "port": "80"}, "x[ipv6,80]")]
)
def test_a_variant_is_in_the_label(variant, label):
    assert Scenario(name="x", title="", path="", topology="", steps=(), variant=variant).label == label


# -- a topology's addresses


def port(host, interface, *addresses):
    return Port(host=host, interface=interface, addresses=addresses)


LINE = Topology(
    name="line",
    hosts=(Host(name="router"),),
    networks=(
        Network(name="left", subnets=(), ports=(port("router", "eth1", "fd00:1::1/64", "10.0.1.1/24"), port("romeo", "eth1"))),
        Network(name="right", subnets=(), ports=(port("juliet", "eth1"), port("router", "eth2", "10.0.2.1/24", "10.0.2.2/24"))),
    ),
)


def test_the_places_of_a_host_in_the_order_of_its_interfaces():
    assert [(network.name, place.interface) for network, place in LINE.ports("router")] == [("left", "eth1"), ("right", "eth2")]
    assert LINE.ports("nobody") == ()


@pytest.mark.parametrize(
    ("version", "network", "addresses"),
    [
        (4, None, ("10.0.1.1", "10.0.2.1", "10.0.2.2")),
        (6, None, ("fd00:1::1",)),
        (4, "right", ("10.0.2.1", "10.0.2.2")),
        (6, "left", ("fd00:1::1",)),
        (6, "right", ()),
        (4, "nowhere", ()),
    ],
)
def test_bare_addresses_by_version_and_network(version, network, addresses):
    assert LINE.addresses("router", version, network) == addresses


@pytest.mark.parametrize(("family", "addresses"), [("ipv4", ("10.0.1.1", "10.0.2.1", "10.0.2.2")), ("ipv6", ("fd00:1::1",))])
def test_a_plan_knows_the_addresses_of_its_family(family, addresses):
    testbed = Testbed(kind="netns", topology=LINE, hosts=())
    made = Plan(scenario="x", label="x", title="", family="".join(list(family)), testbed=testbed, hosts=(), steps=(), timeout_ns=1)
    assert made.addresses("router") == addresses
    assert made.addresses("router", "left") == addresses[:1]


# -- verdicts


def test_the_worst_of_two_whatever_the_order():
    order = [Value.PASSED, Value.INCONCLUSIVE, Value.FAILED, Value.ERROR]
    for better, worse in permutations(order, 2):
        assert worst((better, worse)) is max(better, worse, key=order.index)


def test_a_skip_beside_others():
    assert worst((Value.SKIPPED,)) is Value.SKIPPED
    assert worst((Value.SKIPPED, Value.PASSED)) is Value.PASSED
    assert worst((Value.PASSED, Value.SKIPPED, Value.INCONCLUSIVE)) is Value.INCONCLUSIVE
    assert worst((Value.SKIPPED, Value.FAILED)) is Value.FAILED
    assert worst((Value.SKIPPED, Value.SKIPPED)) is Value.SKIPPED


def test_nothing_judged_is_no_pass():
    assert worst(()) is Value.INCONCLUSIVE
    assert Verdicts().value is Value.INCONCLUSIVE


def test_the_verdicts_of_a_run():
    made = Verdicts(verdicts=(Verdict(value=Value.PASSED, text="a"), Verdict(value=Value.FAILED, text="b")))
    assert made.value is Value.FAILED
    assert made.verdicts[0].witness == "harness"


def test_exit_codes():
    assert {value.value: code for value, code in EXIT_CODES.items()} == {
        "passed": 0,
        "skipped": 2,
        "inconclusive": 2,
        "failed": 1,
        "error": 3,
    }


# -- actions in a line


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (actions.Calls(calls=(actions.Call(text="a()", method="a"), actions.Call(text="b()", method="b"))), "b()"),
        (actions.Iptables(tool="ip6tables", words=("-I", "INPUT"), name="r"), "ip6tables -I INPUT"),
        (actions.Start(argv=("nc", "-l"), name="server"), "nc -l"),
        (actions.Ip(words=("link", "set", "eth1", "up")), "ip link set eth1 up"),
        (actions.Run(argv=("ping", "juliet")), "ping juliet"),
        (actions.Type(to="nc", text="bye"), "type to nc"),
        (actions.Signal(to="nc", signal="INT"), "signal INT to nc"),
        (actions.Wait(on="connecting"), "wait for connecting"),
        (actions.Remove(name="wall"), "remove wall"),
        (actions.File(name="server.py", text=""), "file server.py"),
        (actions.Snapshot(tools=("ss", "lsof")), "snapshot ss lsof"),
        (actions.Sysctl(values={"net.a": "1", "net.b": "2"}), "sysctl net.a=1 net.b=2"),
        (actions.Offload(values={"tso": True}), "offload tso=True"),
    ],
)
def test_an_action_as_it_was_typed(action, line):
    assert actions.typed(action) == line


def test_the_agents_word_for_each_action():
    kinds = (one for one in actions.Act.__subclasses__())
    words = {one.__struct_config__.tag for one in kinds}
    assert {"calls", "iptables", "remove", "start", "run", "type", "signal", "file", "sysctl", "offload", "ip", "snapshot", "wait"} <= words
