"""The plan around the bound words: hosts, steps, deadlines and conditions."""

import pytest

from orchestrator.model.plan import HostPlan
from orchestrator.model.scenario import CaptureWish, Condition, Guarded, Scenario, Step, SysctlWish, Timing
from orchestrator.model.words import actions, expectations
from orchestrator.planning import ACTION_TIMEOUT_NS, HONEST_WIRE, plan
from tests.unit.planning.conftest import FACTS, HERE, act, live, scenario_of

SECOND = 1_000_000_000
NOTHING = actions.Snapshot(tools=("ss",))


def test_what_the_plan_takes_over():
    scenario = scenario_of(variant={"family": "ipv6"}, family="ipv6", timeout_ns=7, waits_ns=5, on_failure="continue")
    planned = plan(scenario, live())
    assert (planned.scenario, planned.label, planned.title, planned.family) == ("x", "x[ipv6]", "X", "ipv6")
    assert (planned.timeout_ns, planned.on_failure, planned.testbed) == (12, "continue", live())
    assert planned.skip is None


def test_a_step_and_its_actions_are_numbered():
    timing = Timing(since="-", delay_ns=5)
    look = expectations.PathExpectation(where=HERE, host="romeo", socket="s", states=())
    step = Step(
        number=3,
        name="to ${juliet}",
        where=HERE,
        actions=(act(NOTHING), act(NOTHING, "juliet", name="looking", background=True)),
        together=True,
        timing=timing,
        expect=(Guarded(expectation=look),),
    )
    planned = plan(Scenario(name="x", title="X", path="x.yaml", topology="line", steps=(step,)), live()).steps[0]
    assert (planned.number, planned.name, planned.where, planned.together, planned.timing) == (3, "to 10.0.2.100", HERE, True, timing)
    assert [(one.id, one.host, one.name, one.background, one.where) for one in planned.actions] == [
        ("3.1", "romeo", None, False, HERE),
        ("3.2", "juliet", "looking", True, HERE),
    ]
    assert planned.expect == (look,)
    assert planned.skip is None


# -- deadlines


def test_an_action_has_five_seconds(bound):
    assert bound(NOTHING).timeout_ns == 5 * SECOND == ACTION_TIMEOUT_NS


def test_what_runs_in_the_background_has_the_whole_run():
    scenario = scenario_of(act(NOTHING, background=True), timeout_ns=60 * SECOND, waits_ns=10 * SECOND)
    assert plan(scenario, live()).steps[0].actions[0].timeout_ns == 70 * SECOND


@pytest.mark.parametrize("background", [True, False])
def test_a_program_has_five_seconds_to_be_ready(bound, background):
    assert bound(actions.Start(argv=("nc",), name="nc"), background=background).timeout_ns == 5 * SECOND


@pytest.mark.parametrize("action", [NOTHING, actions.Start(argv=("nc",), name="nc")])
@pytest.mark.parametrize("background", [True, False])
def test_a_deadline_of_its_own(bound, action, background):
    assert bound(action, background=background, timeout_ns=77).timeout_ns == 77


# -- hosts


def hosts(**fields):
    return {host.name: host for host in plan(scenario_of(**fields), live()).hosts}


def test_what_hosts_are_told_when_nothing_is_said():
    honest = {"tso": False, "gso": False, "gro": False, "tx": False, "rx": False}
    assert list(hosts().values()) == [
        HostPlan(name="romeo", interfaces=("eth1",), offload=honest),
        HostPlan(name="router", interfaces=("eth1", "eth2"), offload=honest),
        HostPlan(name="juliet", interfaces=("eth1",), offload=honest),
    ]


def test_captures_and_their_filters():
    wishes = (CaptureWish(host="romeo"), CaptureWish(host="juliet", filter="host ${romeo} or ${router@right}"))
    assert {name: host.capture for name, host in hosts(capture=wishes).items()} == {
        "romeo": "",
        "router": None,
        "juliet": "host 10.0.1.100 or 10.0.2.1",
    }


def test_sysctls_of_all_and_of_one_where_they_are():
    wishes = (
        SysctlWish(host="all", key="net.ipv4.tcp_ecn", value="1"),
        SysctlWish(host="romeo", key="net.ipv4.tcp_sack", value="0"),
        SysctlWish(host="romeo", key="net.ipv4.tcp_ecn", value="0"),
        SysctlWish(host="all", key="net.ipv4.gone", value="0", if_present=True),
        SysctlWish(host="juliet", key="net.ipv4.tcp_ecn", value="2", if_present=True),
    )
    assert {name: host.sysctl for name, host in hosts(sysctl=wishes).items()} == {
        "romeo": {"net.ipv4.tcp_ecn": "0", "net.ipv4.tcp_sack": "0"},
        "router": {"net.ipv4.tcp_ecn": "1"},
        "juliet": {"net.ipv4.tcp_ecn": "2"},
    }


@pytest.mark.parametrize("host", ["romeo", "router", "juliet"])
def test_a_sysctl_is_pinned_where_that_very_host_has_it(host):
    having = {host: type(FACTS)(kernel="6.18.4", python="3.11.2", tools={}, sysctls={"net.ipv4.rare": "1"})}
    wish = SysctlWish(host="all", key="net.ipv4.rare", value="0", if_present=True)
    planned = plan(scenario_of(sysctl=(wish,)), live(**having)).hosts
    assert {one.name: one.sysctl for one in planned if one.sysctl} == {host: {"net.ipv4.rare": "0"}}
    assert {one.name: one.if_present for one in planned if one.if_present} == {host: ("net.ipv4.rare",)}


def test_offloads_that_a_scenario_asks_for():
    assert hosts(offload={"tso": True})["router"].offload == {**HONEST_WIRE, "tso": True}


# -- conditions


CONDITIONS = [
    (None, None),
    (Condition(family="ipv4"), None),
    (Condition(family="ipv6"), "only for ipv6"),
    (Condition(kernel=">= 6.5"), None),
    (Condition(kernel="< 6.5"), "only for kernel < 6.5, that of romeo is 6.18.4-amd64"),
    (Condition(sysctl="net.ipv4.tcp_ecn"), None),
    (Condition(sysctl="net.ipv4.gone"), "romeo has no net.ipv4.gone"),
    (Condition(family="ipv6", kernel="< 6.5"), "only for ipv6"),
    (Condition(family="ipv4", kernel=">= 6.5", sysctl="net.ipv4.gone"), "romeo has no net.ipv4.gone"),
]


@pytest.mark.parametrize(("when", "why"), CONDITIONS)
def test_a_condition_that_does_not_hold_skips_with_its_reason(when, why, wanted):
    step = Step(number=1, name="", where=HERE, when=when)
    planned = plan(Scenario(name="x", title="X", path="x.yaml", topology="line", steps=(step,)), live())
    assert planned.steps[0].skip == why
    assert planned.skip is None
    look = expectations.PathExpectation(where=HERE, host="romeo", socket="s", states=())
    assert wanted(look, when=when).skip == why


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_condition_of_the_other_family(family):
    other = {"ipv4": "ipv6", "ipv6": "ipv4"}[family]
    steps = tuple(Step(number=number, name="", where=HERE, when=Condition(family=one)) for number, one in enumerate((family, other)))
    planned = plan(Scenario(name="x", title="X", path="x.yaml", topology="line", steps=steps, family=family), live())
    assert [step.skip for step in planned.steps] == [None, f"only for {other}"]


def test_conditions_ask_the_first_hosts_kernel():
    step = Step(number=1, name="", where=HERE, when=Condition(kernel=">= 6.5"))
    old = type(FACTS)(kernel="5.10.0", python="3.9")
    planned = plan(Scenario(name="x", title="X", path="x.yaml", topology="line", steps=(step,)), live(romeo=old))
    assert planned.steps[0].skip == "only for kernel >= 6.5, that of romeo is 5.10.0"


OLD = type(FACTS)(kernel="5.10.0", python="3.9")
LOOKS = [
    expectations.SocketExpectation(where=HERE, host="juliet", socket=expectations.SocketPattern(), within_ns=1),
    expectations.PacketsExpectation(where=HERE, capture="juliet"),
    expectations.IcmpExpectation(where=HERE, capture="juliet", source="romeo", type=3),
    expectations.PathExpectation(where=HERE, host="juliet", socket="s", states=()),
]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: type(look).__name__)
def test_a_condition_asks_the_host_that_is_looked_at(look):
    guarded = Guarded(expectation=look, when=Condition(kernel=">= 6.5"))
    step = Step(number=1, name="", where=HERE, when=Condition(kernel=">= 6.5"), expect=(guarded,))
    scenario = scenario_of(steps=(step,))
    here, there = plan(scenario, live(romeo=OLD)).steps[0], plan(scenario, live(juliet=OLD)).steps[0]
    assert (here.skip, here.expect[0].skip) == (None, None)
    assert (there.skip, there.expect[0].skip) == ("only for kernel >= 6.5, that of juliet is 5.10.0",) * 2


def test_a_condition_asks_every_host_that_acts():
    ran = [act(actions.Run(argv=("true",)), host) for host in ("router", "juliet")]
    step = Step(number=1, name="", where=HERE, when=Condition(sysctl="net.ipv4.tcp_ecn"), actions=tuple(ran))
    scenario = scenario_of(steps=(step,))
    assert plan(scenario, live(romeo=OLD)).steps[0].skip is None
    assert plan(scenario, live(juliet=OLD)).steps[0].skip == "juliet has no net.ipv4.tcp_ecn"
