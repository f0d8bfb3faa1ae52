"""Addresses stand where names stood, in every action and every expectation, in both families."""

import re

import msgspec
import pytest

from orchestrator.agent.protocol import encode_value
from orchestrator.model.tcp import State
from orchestrator.model.words import actions, expectations
from orchestrator.model.words.segments import End, Gap, SegmentPattern
from orchestrator.model.words.values import Comparison
from orchestrator.planning import plan
from tests.unit.planning.conftest import HERE, act, live, scenario_of

JULIET = {"ipv4": "10.0.2.100", "ipv6": "fd00:2::100"}
FAMILIES = pytest.mark.parametrize("family", ["ipv4", "ipv6"])


def call(method, *arguments, text="sock.x()", **fields):
    encoded = tuple(argument if isinstance(argument, dict) else encode_value(argument) for argument in arguments)
    return actions.Calls(calls=(actions.Call(text=text, method=method, receiver="sock", arguments=encoded, **fields),))


def only(planned):
    (made,) = planned.action.calls
    return made


# -- addresses of calls


@FAMILIES
@pytest.mark.parametrize("method", ["bind", "connect", "connect_ex"])
def test_a_hosts_name_is_its_address_of_the_family(bound, method, family):
    assert only(bound(call(method, ("juliet", 4000)), family)).arguments == ({"tuple": [JULIET[family], 4000]},)


def test_the_last_argument_of_sendto_is_the_address(bound):
    one = only(bound(call("sendto", b"hi", ("juliet", 53))))
    two = only(bound(call("sendto", b"hi", 0, ("juliet", 53))))
    assert [one.arguments[-1], two.arguments[-1]] == [{"tuple": ["10.0.2.100", 53]}] * 2
    assert one.arguments[0] == encode_value(b"hi")
    assert two.arguments[1] == 0


@pytest.mark.parametrize("text", ["", "0.0.0.0", "10.9.9.9", "localhost", "::1"])
def test_an_address_is_taken_as_it_is(bound, text):
    assert only(bound(call("connect", (text, 1)))).arguments == ({"tuple": [text, 1]},)


@FAMILIES
@pytest.mark.parametrize(("name", "ends"), [("router", ("10.0.1.1", "fd00:1::1")), ("router@right", ("10.0.2.1", "fd00:2::1"))])
def test_a_host_of_two_networks(bound, name, ends, family):
    address = ends[family == "ipv6"]
    assert only(bound(call("connect", (name, 1)), family)).arguments == ({"tuple": [address, 1]},)
    assert bound(actions.Run(argv=("ping", f"${{{name}}}")), family).action.argv == ("ping", address)


def test_flow_and_scope_stay(bound):
    assert only(bound(call("connect", ("juliet", 1, 2, 3)), "ipv6")).arguments == ({"tuple": ["fd00:2::100", 1, 2, 3]},)


@pytest.mark.parametrize("value", [{"tuple": []}, {"tuple": [7, 1]}, "path", {"constant": "AF_INET"}])
def test_what_is_no_address_stays(bound, value):
    made = actions.Calls(calls=(actions.Call(text="", method="connect", arguments=(value,)),))
    assert only(bound(made)).arguments == (value,)


@pytest.mark.parametrize("method", ["send", "socket.socket", "listen", "close", "bind"])
def test_a_call_without_arguments_or_addresses_stays(bound, method):
    assert only(bound(call(method))) == call(method).calls[0]


def test_a_name_that_is_no_address_is_not_replaced(bound):
    assert only(bound(call("send", b"juliet"))).arguments == (encode_value(b"juliet"),)
    assert only(bound(call("setsockopt", 1, 2, {"or": [{"constant": "MSG_OOB"}]}))).arguments == (1, 2, {"or": [{"constant": "MSG_OOB"}]})


def test_text_in_calls_holds_addresses_too(bound):
    made = only(bound(call("sendall", b"GET http://${juliet}/ \xff", text="sock.sendall(b'GET http://${juliet}/')")))
    assert made.arguments == (encode_value(b"GET http://10.0.2.100/ \xff"),)
    assert made.text == "sock.sendall(b'GET http://10.0.2.100/')"
    assert only(bound(call("send", "${juliet}"))).arguments == ("10.0.2.100",)
    assert only(bound(call("send", (b"${juliet}", [1, "${romeo}"])))).arguments == (encode_value((b"10.0.2.100", [1, "10.0.1.100"])),)


def test_every_call_of_a_list_is_bound(bound):
    listed = actions.Calls(calls=(*call("bind", ("romeo", 0)).calls, *call("connect", ("juliet", 1)).calls))
    addresses = [made.arguments[0]["tuple"][0] for made in bound(listed).action.calls]
    assert addresses == ["10.0.1.100", "10.0.2.100"]


# -- texts of the other actions


@FAMILIES
@pytest.mark.parametrize(
    ("action", "field"),
    [
        (actions.Iptables(tool="iptables", words=("-s", "${juliet}"), name="wall"), "words"),
        (actions.Start(argv=("-s", "${juliet}"), name="server"), "argv"),
        (actions.Run(argv=("-s", "${juliet}")), "argv"),
    ],
)
def test_words_are_bound(bound, action, field, family):
    planned = bound(action, family).action
    assert getattr(planned, field) == ("-s", JULIET[family])
    assert type(planned) is type(action)
    assert getattr(planned, "name", None) == getattr(action, "name", None)


@pytest.mark.parametrize("action", [actions.Type(to="nc", text="a ${juliet}\n", eof=True), actions.File(name="f", text="a ${juliet}\n")])
def test_texts_are_bound(bound, action):
    planned = bound(action).action
    assert planned.text == "a 10.0.2.100\n"
    assert getattr(planned, "eof", True) is True


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("no names", "no names"),
        ("${juliet}", "10.0.2.100"),
        ("${romeo}-${juliet}", "10.0.1.100-10.0.2.100"),
        ("${router@left} ${router@right}", "10.0.1.1 10.0.2.1"),
        ("$${juliet}", "${juliet}"),
        ("$$${juliet}", "$${juliet}"),
        ("${nobody}", "${nobody}"),
        ("${juliet@left}", "${juliet@left}"),
        ("${juliet", "${juliet"),
        ("$juliet {juliet}", "$juliet {juliet}"),
    ],
)
def test_what_stands_for_an_address(bound, text, filled):
    assert bound(actions.Type(to="nc", text=text)).action.text == filled


def test_a_program_that_is_ready_when_it_writes_an_address(bound):
    start = actions.Start(argv=("server",), name="server", ready=actions.Ready(output="on ${juliet}:\\d+"))
    assert bound(start).action.ready == actions.Ready(output=r"on 10\.0\.2\.100:\d+")
    listening = actions.Ready(listening=4000)
    assert bound(actions.Start(argv=("server",), name="server", ready=listening)).action.ready == listening
    assert bound(actions.Start(argv=("server",), name="server")).action.ready == actions.Ready()


@pytest.mark.parametrize(
    ("text", "family", "planned"),
    [
        ("route add default via ${juliet}", "ipv4", "route add default via 10.0.2.100"),
        ("route add default via ${juliet}", "ipv6", "-6 route add default via fd00:2::100"),
        ("route add default dev eth1", "ipv4", "route add default dev eth1"),
        ("r add default dev eth1", "ipv6", "-6 r add default dev eth1"),
        ("route add blackhole 10.9.0.0/16", "ipv6", "route add blackhole 10.9.0.0/16"),
        ("route del fd00:9::/48", "ipv4", "-6 route del fd00:9::/48"),
        ("-4 route del default", "ipv6", "-4 route del default"),
        ("address add fd00:2::7/64 dev eth1", "ipv6", "address add fd00:2::7/64 dev eth1"),
        ("link set eth1 down", "ipv6", "link set eth1 down"),
    ],
)
def test_words_of_ip_are_of_the_family_that_they_speak_of(bound, text, family, planned):
    assert bound(actions.Ip(words=tuple(text.split())), family).action == actions.Ip(words=tuple(planned.split()))


def test_interfaces_in_words_of_ip_are_called_as_on_the_host():
    testbed = live()
    hosts = tuple(msgspec.structs.replace(host, interfaces={"eth1": "ens7"}) for host in testbed.hosts)
    scenario = scenario_of(act(actions.Ip(words=("link", "set", "eth1", "down"))))
    made = plan(scenario, msgspec.structs.replace(testbed, hosts=hosts)).steps[0].actions[0]
    assert made.action == actions.Ip(words=("link", "set", "ens7", "down"))


def test_offloads_are_those_of_all_the_hosts_interfaces_unless_some_are_named(bound):
    every = actions.Offload(values={"tso": True})
    assert bound(every).action.interfaces == ("eth1",)
    assert bound(every, host="router").action.interfaces == ("eth1", "eth2")
    some = actions.Offload(values={"tso": True}, interfaces=("eth2",))
    assert bound(some, host="router").action == some


@pytest.mark.parametrize(
    "action",
    [
        actions.Remove(name="wall"),
        actions.Signal(to="nc", signal="INT"),
        actions.Sysctl(values={"net.ipv4.tcp_sack": "0"}),
        actions.Snapshot(tools=("ss",)),
        actions.Wait(on="connecting"),
    ],
)
def test_the_others_are_sent_as_they_are(bound, action):
    assert bound(action).action == action


@pytest.mark.parametrize(("family", "tool"), [("ipv4", "iptables"), ("ipv6", "ip6tables")])
def test_a_snapshot_of_the_rules_is_one_of_the_family_s(bound, family, tool):
    assert bound(actions.Snapshot(tools=("ss", "iptables", "nstat")), family).action.tools == ("ss", tool, "nstat")


# -- what actions give


def returned(bound, value, family="ipv4"):
    outcome = expectations.Outcome(returns=encode_value(value), has_return=True, where=HERE)
    planned = bound(call("recvfrom", 100), family, outcome=outcome).outcome
    assert (planned.has_return, planned.where) == (True, HERE)
    return planned.returns


@FAMILIES
def test_a_returned_address_may_be_named(bound, family):
    assert returned(bound, ("juliet", 4000), family) == {"tuple": [JULIET[family], 4000]}
    assert returned(bound, (b"juliet", ("juliet", 4000)), family) == {"tuple": [encode_value(b"juliet"), {"tuple": [JULIET[family], 4000]}]}
    assert returned(bound, ("${juliet}", 1), family) == {"tuple": [JULIET[family], 1]}
    assert returned(bound, b"I am ${juliet}", family) == encode_value(f"I am {JULIET[family]}".encode())


@pytest.mark.parametrize("value", [None, 3, "juliet", b"juliet", [1, "x"], (4000, "juliet")])
def test_other_results_stay(bound, value):
    assert returned(bound, value) == encode_value(value)


def test_an_action_without_an_outcome_has_none(bound):
    assert bound(actions.Run(argv=("true",))).outcome is None


def test_what_a_program_writes_is_a_regular_expression(bound):
    outcome = bound(actions.Run(argv=("ping",)), outcome=expectations.Outcome(stdout="from ${juliet}: .*")).outcome
    assert outcome.stdout == r"from 10\.0\.2\.100: .*"
    assert re.search(outcome.stdout, "from 10.0.2.100: ttl=64")
    assert not re.search(outcome.stdout, "from 10a0b2c100: ttl=64")
    assert bound(actions.Run(argv=("ping",)), outcome=expectations.Outcome(raises="OSError")).outcome.stdout is None


# -- expectations


def tool(**fields):
    return expectations.ToolExpectation(where=HERE, host="romeo", tool="lsof", within_ns=1, **fields)


@FAMILIES
def test_patterns_are_bound(wanted, family):
    escaped = re.escape(JULIET[family])
    assert wanted(tool(pattern="TCP.*${juliet}"), family).pattern == f"TCP.*{escaped}"
    output = expectations.OutputExpectation(where=HERE, host="romeo", program="nc", pattern="^${juliet}$", within_ns=1)
    assert wanted(output, family).pattern == f"^{escaped}$"


def test_an_escape_in_a_pattern(wanted):
    assert wanted(tool(pattern="$${juliet} ${nobody}")).pattern == "${juliet} ${nobody}"


def test_what_a_report_calls_it_is_bound(wanted):
    assert wanted(tool(pattern="x", text="romeo: lsof shows ${juliet}")).text == "romeo: lsof shows 10.0.2.100"


def segment(payload=None, text=""):
    return SegmentPattern(source=End(host="romeo"), destination=End(host="juliet"), payload=payload, text=text)


def test_payloads_are_bound(wanted):
    lines = (segment(b"to ${juliet}\xff", 'romeo > juliet P. "to ${juliet}"'), Gap(), segment(text="romeo > juliet S"))
    planned = wanted(expectations.PacketsExpectation(where=HERE, capture="romeo", lines=lines))
    assert planned.lines == (segment(b"to 10.0.2.100\xff", 'romeo > juliet P. "to 10.0.2.100"'), *lines[1:])
    count = expectations.CountExpectation(
        where=HERE, capture="romeo", match=segment(b"${romeo}"), count=Comparison(operator=">=", low=3), step=1
    )
    assert wanted(count).match.payload == b"10.0.1.100"
    assert wanted(count).count == count.count


@pytest.mark.parametrize(
    "expectation",
    [
        expectations.SocketExpectation(
            where=HERE,
            host="romeo",
            socket=expectations.SocketPattern(peer=expectations.Place(host="juliet")),
            within_ns=1,
            states=(State.LISTEN,),
        ),
        expectations.RuleExpectation(where=HERE, host="romeo", rule="wall", within_ns=1, packets=Comparison(operator=">", low=0)),
        expectations.IcmpExpectation(where=HERE, capture="romeo", source="juliet", type=3),
        expectations.PathExpectation(where=HERE, host="romeo", socket="sock", states=(State.CLOSED,)),
    ],
)
def test_the_other_expectations_stay(wanted, expectation):
    assert wanted(expectation) == expectation
