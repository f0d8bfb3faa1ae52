"""What a scenario needs, said or implied, and the sentence that a run is skipped with where it is not there."""

import msgspec
import pytest

from orchestrator.model.scenario import CaptureWish, Condition, Guarded, Needs, Scenario, Step, SysctlWish
from orchestrator.model.topology import Host, Network, Port, Topology
from orchestrator.model.words import actions, expectations
from orchestrator.planning import kernel_fits, needs, plan, unvouched
from tests.unit.planning.conftest import FACTS, HERE, act, live, scenario_of


def tools(*acts, **fields):
    return needs(scenario_of(*acts, **fields)).tools


def socket():
    return expectations.SocketExpectation(where=HERE, host="romeo", socket=expectations.SocketPattern(), within_ns=1)


@pytest.mark.parametrize(
    ("action", "implied"),
    [
        (actions.Iptables(tool="iptables", words=(), name="r"), ("iptables",)),
        (actions.Iptables(tool="ip6tables", words=(), name="r"), ("ip6tables",)),
        (actions.Start(argv=("nc", "-l"), name="nc"), ("nc",)),
        (actions.Run(argv=("ping", "/x")), ("ping",)),
        (actions.Run(argv=("ping", "${juliet}")), ("ping",)),
        (actions.Run(argv=("/bin/sh", "-c", "x")), ()),
        (actions.Start(argv=("./server",), name="s"), ()),
        (actions.Run(argv=("${tool}",)), ()),
        (actions.Snapshot(tools=("ss", "lsof")), ("lsof", "ss")),
        (actions.Ip(words=("link", "set", "eth1", "down")), ("ip",)),
        (actions.Remove(name="r"), ()),
        (actions.Calls(calls=()), ()),
    ],
)  # fmt: skip
def test_tools_that_actions_imply(action, implied):
    assert tools(act(action)) == implied


@pytest.mark.parametrize(
    ("expectation", "implied"),
    [
        (socket(), ("ss",)),
        (expectations.RuleExpectation(where=HERE, host="romeo", rule="r", within_ns=1), ("iptables",)),
        (expectations.ToolExpectation(where=HERE, host="romeo", tool="nstat", pattern="x", within_ns=1), ("nstat",)),
        (expectations.OutputExpectation(where=HERE, host="romeo", program="nc", pattern="x", within_ns=1), ()),
        (expectations.PacketsExpectation(where=HERE, capture="romeo"), ()),
    ],
)
def test_tools_that_expectations_imply(expectation, implied):
    assert tools(expect=(expectation,)) == implied
    step = Step(number=1, name="", where=HERE, expect=(Guarded(expectation=expectation),))
    assert needs(Scenario(name="x", title="", path="", topology="", steps=(step,))).tools == implied


def test_what_is_said_and_what_is_implied_is_asked_once():
    said = Needs(tools=("ss", "dig"), features=("netem",), kernel=">= 6.5", sysctls=("net.b",))
    wishes = (SysctlWish(host="all", key="net.a", value="1"), SysctlWish(host="romeo", key="net.b", value="1"))
    guarded = Guarded(expectation=socket(), when=Condition(sysctl="net.c", family="ipv4"))
    step = Step(number=1, name="", where=HERE, when=Condition(sysctl="net.d"))
    scenario = scenario_of(expect=(guarded,), steps=(step,), needs=said, sysctl=wishes)
    assert needs(scenario) == Needs(
        tools=("dig", "ss"), features=("netem",), kernel=">= 6.5", sysctls=("net.a", "net.b", "net.c", "net.d"), rights=True
    )


@pytest.mark.parametrize(
    ("action", "rights"),
    [
        (actions.Ip(words=("link", "set", "eth1", "down")), True),
        (actions.Iptables(tool="iptables", words=(), name="r"), True),
        (actions.Sysctl(values={}), True),
        (actions.Offload(values={}), True),
        (actions.Run(argv=("ping",)), True),
        (actions.Start(argv=("nc",), name="nc"), True),
        (actions.Calls(calls=()), False),
        (actions.Snapshot(tools=("ss",)), False),
        (actions.File(name="f", text=""), False),
    ],
)
def test_what_alters_a_host_takes_an_administrators_rights(action, rights):
    assert needs(scenario_of(act(action))).rights is rights


@pytest.mark.parametrize(
    ("fields", "rights"),
    [
        ({}, False),
        ({"needs": Needs(features=("root",))}, True),
        ({"needs": Needs(features=("netem",))}, False),
        ({"offload": {"tso": True}}, True),
        ({"sysctl": (SysctlWish(host="all", key="net.a", value="1"),)}, True),
        ({"capture": (CaptureWish(host="romeo"),)}, True),
        ({"expect": (expectations.RuleExpectation(where=HERE, host="romeo", rule="r", within_ns=1),)}, True),
        ({"expect": (socket(),)}, False),
    ],
)
def test_what_a_scenario_says_of_itself_may_take_rights(fields, rights):
    assert needs(scenario_of(**fields)).rights is rights


# -- why a run is skipped


@pytest.mark.parametrize(
    ("tool", "package"),
    [
        ("ethtool", "ethtool"),
        ("ip6tables", "iptables"),
        ("iptables", "iptables"),
        ("lsof", "lsof"),
        ("netstat", "net-tools"),
        ("nstat", "iproute2"),
        ("python3", "python3"),
        ("dig", "bind9-dnsutils"),
        ("ping", "iputils-ping"),
    ],
)
def test_a_tool_that_is_missing_is_named_with_its_package(lacking, tool, package):
    assert lacking(scenario_of(needs=Needs(tools=(tool,)))) == f"romeo has no {tool}: install the package {package}"


@pytest.mark.parametrize(("tool", "package"), [("nc", "netcat-openbsd"), ("ss", "iproute2")])
def test_one_host_without_it_is_enough(lacking, tool, package):
    bare = msgspec.structs.replace(FACTS, tools={})
    scenario = scenario_of(needs=Needs(tools=(tool,)))
    assert lacking(scenario) is None
    assert lacking(scenario, juliet=bare) == f"juliet has no {tool}: install the package {package}"


def test_a_program_that_nobody_knows_has_no_package(lacking):
    assert lacking(scenario_of(needs=Needs(tools=("ecoh",)))) == "romeo has no ecoh: install it, or check the spelling"


def test_programs_that_nobody_vouches_for():
    ran = act(actions.Run(argv=("ecoh", "hello"))), act(actions.Run(argv=("nc",))), act(actions.Start(argv=("./x",), name="x"))
    own = act(actions.File(name="server.py", text="")), act(actions.Start(argv=("server.py",), name="s"))
    assert list(unvouched(scenario_of(*ran, *own))) == [("ecoh", HERE, False), ("server.py", HERE, True)]
    assert list(unvouched(scenario_of(*ran, needs=Needs(tools=("ecoh",))))) == []


def test_a_feature(lacking):
    assert lacking(scenario_of(needs=Needs(features=("root",)))) is None
    assert lacking(scenario_of(needs=Needs(features=("root", "netem")))) == (
        "romeo lacks what the scenario needs: netem (the kernel's module sch_netem)"
    )


def test_a_sysctl(lacking):
    sentence = "romeo has no net.ipv4.gone (kernel 6.18.4-amd64)"
    assert lacking(scenario_of(needs=Needs(sysctls=("net.ipv4.tcp_ecn",)))) is None
    assert lacking(scenario_of(needs=Needs(sysctls=("net.ipv4.gone",)))) == sentence
    assert lacking(scenario_of(sysctl=(SysctlWish(host="all", key="net.ipv4.gone", value="1"),))) == sentence


def test_a_sysctl_that_may_be_missing(lacking):
    assert lacking(scenario_of(sysctl=(SysctlWish(host="all", key="net.ipv4.gone", value="1", if_present=True),))) is None
    step = Step(number=1, name="", where=HERE, when=Condition(sysctl="net.ipv4.gone"))
    assert lacking(scenario_of(steps=(step,))) is None
    both = SysctlWish(host="all", key="net.ipv4.gone", value="1", if_present=True)
    assert lacking(scenario_of(steps=(step,), sysctl=(both,))) is None


def test_a_sysctl_is_asked_of_the_host_that_gets_it(lacking):
    having = msgspec.structs.replace(FACTS, sysctls={"net.ipv4.conf.eth2.rp_filter": "1"})
    wish = SysctlWish(host="router", key="net.ipv4.conf.eth2.rp_filter", value="0")
    assert lacking(scenario_of(sysctl=(wish,)), router=having) is None
    everywhere = msgspec.structs.replace(wish, host="all")
    assert lacking(scenario_of(sysctl=(everywhere,)), router=having) == "romeo has no net.ipv4.conf.eth2.rp_filter (kernel 6.18.4-amd64)"


def test_a_sysctl_that_a_step_sets(lacking):
    setting = act(actions.Sysctl(values={"net.ipv4.gone": "1"}), "juliet")
    assert needs(scenario_of(setting)).sysctls == ("net.ipv4.gone",)
    assert lacking(scenario_of(setting)) == "juliet has no net.ipv4.gone (kernel 6.18.4-amd64)"
    having = msgspec.structs.replace(FACTS, sysctls={"net.ipv4.gone": "1"})
    assert lacking(scenario_of(setting), juliet=having) is None
    only = Step(number=1, name="", where=HERE, when=Condition(sysctl="net.ipv4.gone"), actions=(setting,))
    assert lacking(scenario_of(steps=(only,))) is None


def test_a_kernel(lacking):
    assert lacking(scenario_of(needs=Needs(kernel=">= 6.5"))) is None
    assert lacking(scenario_of(needs=Needs(kernel=">= 7.0"))) == "romeo runs kernel 6.18.4-amd64, the scenario needs >= 7.0"


@pytest.mark.parametrize(("family", "other", "address"), [("ipv6", "ipv4", "10.0.0.2/24"), ("ipv4", "ipv6", "fd00::2/64")])
def test_a_family_without_addresses_is_said_before_all_else(family, other, address):
    ports = (
        Port(host="romeo", interface="eth1", addresses=("10.0.0.1/24", "fd00::1/64")),
        Port(host="juliet", interface="eth1", addresses=(address,)),
    )
    lan = Topology(name="lan", hosts=(Host(name="romeo"), Host(name="juliet")), networks=(Network(name="n", subnets=(), ports=ports),))
    scenario = scenario_of(needs=Needs(tools=("dig",)), family=family)
    assert plan(scenario, live(topology=lan)).skip == f"topology lan gives juliet no address of {family}"
    without = scenario_of(needs=Needs(tools=("dig",)), family=other)
    assert plan(without, live(topology=lan)).skip == "romeo has no dig: install the package bind9-dnsutils"


# -- kernels


@pytest.mark.parametrize(
    ("release", "wanted", "fits"),
    [
        ("6.18.4-amd64", ">= 6.5", True),
        ("6.18.4-amd64", ">= 6.18", True),
        ("6.18.4-amd64", ">= 6.18.4", True),
        ("6.18.4-amd64", ">= 6.18.5", False),
        ("6.18.4-amd64", ">= 6.19", False),
        ("6.9.0", ">= 6.10", False),
        ("6.18.4", "> 6.18", False),
        ("6.18.4", "> 6.18.3", True),
        ("6.18.4", "> 6", False),
        ("6.18.4", "> 6.19", False),
        ("6.18.4", "<= 6.19", True),
        ("6.18.4", "== 6.19", False),
        ("6.18.4", "!= 6.19", True),
        ("6-rc1", "== 6.0.0", True),
        ("6-rc1", "!= 6.0.0", False),
        ("6.18.4", "<= 6.18", True),
        ("6.18.4", "<= 6.18.3", False),
        ("6.18.4", "< 6.18", False),
        ("6.18.4", "< 6.19", True),
        ("6.18.4", "< 7", True),
        ("6.18.4", "== 6.18", True),
        ("6.18.4", "== 6.18.3", False),
        ("6.18.4", "!= 6.18", False),
        ("6.18.4", "!= 6.17", True),
        ("6.18.4", " 6.5", True),
        ("6.18.4", "6.5", True),
        ("6.18.4", "7", False),
        ("6.18-rc1", ">= 6.18.0", True),
        ("6.18-rc1", "== 6.18.0", True),
        ("7-rc1", "< 7.0.1", True),
        ("5.15.167.4-microsoft-standard-WSL2", ">= 5.15.167", True),
        ("6.18.4", "=< 6.5", False),
    ],
)
def test_kernel_fits(release, wanted, fits):
    assert kernel_fits(release, wanted) is fits


# -- what is left out here needs nothing

OLD, NEW = Condition(kernel="< 3"), Condition(kernel=">= 3")


@pytest.mark.parametrize(("when", "text"), [(OLD, None), (NEW, "romeo has no dig: install the package bind9-dnsutils")])
@pytest.mark.parametrize("place", ["step", "expectation of a step", "expectation of the end"])
def test_the_programs_of_what_is_left_out(lacking, when, text, place):
    digging = Guarded(expectation=expectations.ToolExpectation(where=HERE, host="romeo", tool="dig", pattern="x", within_ns=1), when=when)
    steps = {
        "step": Step(number=1, name="", where=HERE, actions=(act(actions.Run(argv=("dig",))),), when=when),
        "expectation of a step": Step(number=1, name="", where=HERE, expect=(digging,)),
    }
    ending = (digging,) if place not in steps else ()
    scenario = scenario_of(steps=(steps[place],) if place in steps else (), expect=ending)
    assert needs(scenario).tools == ("dig",)
    assert lacking(scenario) == text


@pytest.mark.parametrize(("when", "text"), [(OLD, None), (NEW, "juliet has no net.ipv4.gone (kernel 6.18.4-amd64)")])
def test_the_parameters_of_what_is_left_out(lacking, when, text):
    setting = act(actions.Sysctl(values={"net.ipv4.gone": "1"}), "juliet")
    assert lacking(scenario_of(steps=(Step(number=1, name="", where=HERE, actions=(setting,), when=when),))) == text


def test_a_program_under_a_condition_is_not_taken_for_misspelt(lacking):
    ran = act(actions.Run(argv=("frobnicate",)))
    assert list(unvouched(scenario_of(steps=(Step(number=1, name="", where=HERE, actions=(ran,), when=OLD),)))) == []
