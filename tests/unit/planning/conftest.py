"""What the tests of planning share: a topology with a router, its live hosts, and a scenario around one action or expectation."""

import pytest

from orchestrator.model.scenario import Guarded, HostAction, Scenario, Step
from orchestrator.model.topology import Facts, Host, LiveHost, Network, Port, Testbed, Topology
from orchestrator.model.words.values import Where
from orchestrator.planning import plan

HERE = Where(path="x.yaml", line=7)
FACTS = Facts(
    kernel="6.18.4-amd64", python="3.11.2", tools={"ss": "/bin/ss", "nc": "/bin/nc"}, sysctls={"net.ipv4.tcp_ecn": "2"}, features=("root",)
)


def line():
    """romeo - router - juliet, both families; the router's left address comes first."""
    left = (
        Port(host="romeo", interface="eth1", addresses=("10.0.1.100/24", "fd00:1::100/64")),
        Port(host="router", interface="eth1", addresses=("10.0.1.1/24", "fd00:1::1/64")),
    )
    right = (
        Port(host="router", interface="eth2", addresses=("10.0.2.1/24", "fd00:2::1/64")),
        Port(host="juliet", interface="eth1", addresses=("10.0.2.100/24", "fd00:2::100/64")),
    )
    networks = (
        Network(name="left", subnets=("10.0.1.0/24", "fd00:1::/64"), ports=left),
        Network(name="right", subnets=("10.0.2.0/24", "fd00:2::/64"), ports=right),
    )
    return Topology(name="line", hosts=(Host(name="romeo"), Host(name="router", forward=True), Host(name="juliet")), networks=networks)


def live(facts=FACTS, topology=None, **other):
    """The hosts of ``topology`` as found; ``other`` are the facts of single hosts."""
    wanted = topology or line()
    hosts = tuple(LiveHost(name=host.name, facts=other.get(host.name, facts)) for host in wanted.hosts)
    return Testbed(kind="netns", topology=wanted, hosts=hosts)


def scenario_of(*actions, expect=(), **fields):
    """One step with ``actions`` of romeo's, then expectations of the end."""
    step = Step(number=1, name="a step", where=HERE, actions=actions)
    guarded = tuple(one if isinstance(one, Guarded) else Guarded(expectation=one) for one in expect)
    return Scenario(**{"name": "x", "title": "X", "path": "x.yaml", "topology": "line", "steps": (step,), "expect": guarded, **fields})


def act(action, host="romeo", **fields):
    return HostAction(host=host, action=action, where=HERE, **fields)


@pytest.fixture
def bound():
    """Plan one action of romeo's; gives the action as it will be sent."""

    def planned(action, family="ipv4", host="romeo", **fields):
        return plan(scenario_of(act(action, host, **fields), family=family), live()).steps[0].actions[0]

    return planned


@pytest.fixture
def wanted():
    """Plan one expectation of the end."""

    def planned(expectation, family="ipv4", when=None):
        return plan(scenario_of(expect=(Guarded(expectation=expectation, when=when),), family=family), live()).expect[0]

    return planned


@pytest.fixture
def lacking():
    """Plan for hosts with these facts; gives why the run is skipped."""

    def planned(scenario, facts=FACTS, **other):
        return plan(scenario, live(facts, **other)).skip

    return planned
