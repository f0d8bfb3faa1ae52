"""Live expectations on samples: each that holds beside one that does not."""

from pathlib import Path

import pytest

from orchestrator.model.plan import Plan
from orchestrator.model.record import Sample, SocketFacts
from orchestrator.model.tcp import State
from orchestrator.model.topology import Host, Network, Port, Testbed, Topology
from orchestrator.model.words.expectations import (
    OutputExpectation,
    Place,
    RuleExpectation,
    SocketExpectation,
    SocketPattern,
    ToolExpectation,
)
from orchestrator.model.words.values import Comparison, Where
from orchestrator.readings.live import held, source_of

GOLDEN = Path(__file__).parents[2] / "golden"
HERE = Where(path="x.yaml", line=1)
ADDRESSES = {"romeo": ("10.10.0.100/24", "fd00::100/64"), "juliet": ("10.10.0.101/24", "fd00::101/64")}
TOPOLOGY = Topology(
    name="two-hosts",
    hosts=tuple(Host(name=name) for name in ADDRESSES),
    networks=(
        Network(
            name="lan",
            subnets=("10.10.0.0/24", "fd00::/64"),
            ports=tuple(Port(host=name, interface="eth1", addresses=addresses) for name, addresses in ADDRESSES.items()),
        ),
    ),
)
ROMEO, JULIET = "10.10.0.100:40000", "10.10.0.101:4000"


def is_(number: int, operator: str = "==") -> Comparison:
    return Comparison(operator=operator, low=number)


def plan(family: str = "ipv4") -> Plan:
    testbed = Testbed(kind="netns", topology=TOPOLOGY, hosts=())
    return Plan(scenario="x", label="x", title="", family=family, testbed=testbed, hosts=(), steps=(), timeout_ns=1)


def ss(name: str) -> str:
    return (GOLDEN / "ss" / f"iproute2-6.1-{name}.txt").read_text()


def sample(text: str, *facts: SocketFacts) -> Sample:
    return Sample(step=1, host="juliet", source="ss", at_ns=0, text=text, sockets=facts)


def place(text: str) -> Place:
    host, _, port = text.rpartition(":")
    return Place(host=host or None, port=int(port)) if port.isdecimal() else Place(host=text)


def wanted(name: str | None = None, local: str | None = None, peer: str | None = None, **fields) -> SocketExpectation:
    pattern = SocketPattern(name=name, local=place(local) if local else None, peer=place(peer) if peer else None)
    return SocketExpectation(where=HERE, host="juliet", within_ns=0, socket=pattern, **fields)


def facts(name: str = "sock", **fields) -> SocketFacts:
    return SocketFacts(name=name, **fields)


def test_every_expectation_has_a_source():
    tool = ToolExpectation(where=HERE, host="juliet", tool="nstat", pattern="TcpOutRsts", within_ns=0)
    rule = RuleExpectation(where=HERE, host="juliet", rule="r", within_ns=0)
    output = OutputExpectation(where=HERE, host="juliet", program="p", pattern="x", within_ns=0)
    assert [source_of(one) for one in (wanted("sock"), rule, tool, output)] == ["ss", "iptables", "nstat", "output"]


# -- sockets by name


@pytest.mark.parametrize(
    "known",
    [
        facts(inode=11469),
        facts(inode=99999, cookie=7),
        facts(cookie=7, closed=True),
        facts(local=ROMEO, peer=JULIET),
        facts(local="[::ffff:10.10.0.100]:40000", peer="[::ffff:10.10.0.101]:4000"),
    ],
)
def test_a_named_socket_is_found_by_inode_cookie_or_ends(known):
    opinion = held(plan(), wanted("sock", states=(State.FIN_WAIT_2,)), sample(ss("ipv4-half-closed"), known))
    assert opinion.holds
    assert opinion.saw == f"FIN_WAIT_2 {ROMEO} -> {JULIET}"
    assert len(opinion.excerpt) == 1
    assert opinion.excerpt[0].startswith("tcp FIN-WAIT-2")
    assert not held(plan(), wanted("sock", states=(State.CLOSE_WAIT,)), sample(ss("ipv4-half-closed"), known)).holds


def test_the_last_socket_of_the_name_is_meant():
    known = (facts(inode=11517), facts("other", inode=11464), facts(inode=11469))
    assert held(plan(), wanted("sock"), sample(ss("ipv4-half-closed"), *known)).saw.startswith("FIN_WAIT_2")


def test_a_name_that_is_not_made_yet_never_holds():
    for expectation in (wanted("sock"), wanted("sock", absent=True), wanted("sock", states=(State.CLOSED,)), wanted("sock", count=is_(0))):
        opinion = held(plan(), expectation, sample("", facts("other")))
        assert (opinion.holds, opinion.saw) == (False, "no socket named sock on juliet yet")


def test_a_time_wait_is_found_by_its_four_tuple():
    known = facts(inode=11469, cookie=4711, local=ROMEO, peer=JULIET)
    assert held(plan(), wanted("sock", states=(State.TIME_WAIT,), timer="timewait"), sample(ss("ipv4-time-wait"), known)).holds
    other = facts(inode=11469, cookie=4711, local="10.10.0.100:40001", peer=JULIET)
    opinion = held(plan(), wanted("sock", states=(State.TIME_WAIT,)), sample(ss("ipv4-time-wait"), other))
    assert (opinion.holds, opinion.saw) == (False, "no such socket among 3")


def test_another_socket_with_the_same_ends_is_not_ours():
    taken_over = facts(inode=1, cookie=2, local=ROMEO, peer=JULIET, closed=True)
    assert held(plan(), wanted("sock", absent=True), sample(ss("ipv4-unaccepted"), taken_over)).holds
    known_by_cookie = facts(cookie=2, local=ROMEO, peer=JULIET, closed=True)
    assert held(plan(), wanted("sock", absent=True), sample(ss("ipv4-unaccepted"), known_by_cookie)).holds
    waiting = facts(inode=1, cookie=2, local=JULIET, peer=ROMEO, closed=True)
    assert held(plan(), wanted("sock", absent=True), sample(ss("ipv4-unaccepted"), waiting)).holds
    assert not held(plan(), wanted("sock", absent=True), sample(ss("ipv4-unaccepted"), facts(inode=11469))).holds


def test_a_socket_without_a_port_has_no_ends():
    assert held(plan(), wanted("sock", states=(State.CLOSED,)), sample(ss("ipv4-syn"), facts(local="0.0.0.0:0"))).holds


def test_a_named_udp_socket_is_sought_among_udp_sockets():
    udp = facts(protocol="udp", inode=11466)
    opinion = held(plan(), wanted("sock", states=(State.CLOSED,)), sample(ss("ipv4-syn"), udp))
    assert (opinion.holds, opinion.saw) == (True, "CLOSED 10.10.0.101:53")
    assert not held(plan(), wanted("sock", states=(State.ESTABLISHED,)), sample(ss("ipv4-syn"), udp)).holds


# -- sockets by pattern


@pytest.mark.parametrize(
    ("local", "peer", "state"),
    [
        ("juliet:4000", None, State.LISTEN),
        (None, "juliet:4000", State.TIME_WAIT),
        ("juliet:4003", "romeo", State.SYN_RECEIVED),
        ("10.10.0.100:40002", None, State.SYN_SENT),
        ("romeo:40003", "10.10.0.101:4003", State.SYN_SENT),
        (":4001", None, State.LISTEN),
        ("0.0.0.0:4001", None, State.LISTEN),
        ("*:4001", None, State.LISTEN),
    ],
)
def test_a_pattern_finds_its_socket(local, peer, state):
    assert held(plan(), wanted(local=local, peer=peer, states=(state,)), sample(ss("ipv4-syn"))).holds
    assert not held(plan(), wanted(local=local, peer=peer, states=(State.ESTABLISHED,)), sample(ss("ipv4-syn"))).holds


def test_a_pattern_speaks_of_the_familys_addresses():
    expectation = wanted(local="juliet:4000", states=(State.LISTEN,))
    assert held(plan("ipv6"), expectation, sample(ss("ipv6-syn"))).holds
    assert not held(plan("ipv4"), expectation, sample(ss("ipv6-syn"))).holds
    assert held(plan("ipv6"), wanted(local="*:4001", states=(State.LISTEN,)), sample(ss("ipv6-syn"))).holds


def test_an_ipv4_address_in_ipv6_clothes_is_an_ipv4_address():
    text = "tcp ESTAB 0 0 [::ffff:10.10.0.101]:4000 [::ffff:10.10.0.100]:40000 ino:1 sk:1"
    assert held(plan(), wanted(local="juliet:4000", peer="romeo", states=(State.ESTABLISHED,)), sample(text)).holds
    assert not held(plan(), wanted(peer="juliet"), sample(text)).holds


def test_a_socket_bound_to_any_address_is_at_no_host():
    opinion = held(plan(), wanted(local="juliet:4001", states=(State.LISTEN,)), sample(ss("ipv4-syn")))
    assert (opinion.holds, opinion.saw) == (False, "no such socket among 8, but LISTEN 0.0.0.0:4001")


def test_a_pattern_with_a_peer_means_no_listener():
    assert held(plan(), wanted(peer="*", absent=True), sample(ss("ipv4-syn"))).holds
    text = "tcp LISTEN 0 5 10.10.0.101:4000 0.0.0.0:* ino:1"
    assert held(plan(), wanted(peer="romeo", absent=True), sample(text)).holds
    assert not held(plan(), wanted(local="juliet:4000", absent=True), sample(text)).holds


def test_exactly_one_socket_must_match():
    opinion = held(plan(), wanted(local=":4000", states=(State.LISTEN,)), sample(ss("ipv4-unaccepted")))
    assert not opinion.holds
    assert opinion.saw == f"2 sockets fit: LISTEN {JULIET}; ESTABLISHED {JULIET} -> {ROMEO}"
    assert len(opinion.excerpt) == 2


def test_no_socket_at_all():
    opinion = held(plan(), wanted(peer="romeo", states=(State.ESTABLISHED,)), sample(ss("ipv4-nothing")))
    assert (opinion.holds, opinion.saw, opinion.excerpt) == (False, "no such socket among 0", ())


# -- closed, absent, count


def test_closed_is_what_ss_does_not_list():
    closed = wanted(local="juliet:9", states=(State.CLOSED,))
    assert held(plan(), closed, sample(ss("ipv4-syn"))).holds
    assert not held(plan(), wanted(local="juliet:4000", states=(State.CLOSED,)), sample(ss("ipv4-syn"))).holds
    assert held(plan(), closed, sample("tcp UNCONN 0 0 10.10.0.101:9 0.0.0.0:* ino:1")).holds
    assert held(plan(), wanted("sock", states=(State.CLOSED,)), sample(ss("ipv4-syn"), facts(inode=1))).holds


def test_a_closed_socket_has_no_queue_no_timer_and_no_holder():
    unlisted = sample(ss("ipv4-syn"), facts(inode=1))
    for good in ({"timer": "none"}, {"fd": False}, {}):
        assert held(plan(), wanted("sock", states=(State.CLOSED,), **good), unlisted).holds
    for bad in ({"timer": "on"}, {"fd": True}, {"recv_q": is_(0)}, {"send_q": is_(0)}, {"cwnd": is_(10)}):
        assert not held(plan(), wanted("sock", states=(State.CLOSED,), **bad), unlisted).holds


def test_an_unconnected_udp_socket_must_be_there():
    assert held(plan(), wanted(local="juliet:53", protocol="udp", states=(State.CLOSED,)), sample(ss("ipv4-syn"))).holds
    assert not held(plan(), wanted(local="juliet:54", protocol="udp", states=(State.CLOSED,)), sample(ss("ipv4-syn"))).holds
    assert not held(plan(), wanted(local="juliet:53", states=(State.LISTEN,)), sample(ss("ipv4-syn"))).holds


def test_absent():
    assert held(plan(), wanted(peer="juliet:9", absent=True), sample(ss("ipv4-syn"))).holds
    opinion = held(plan(), wanted(peer="juliet:4002", absent=True), sample(ss("ipv4-syn")))
    assert (opinion.holds, opinion.saw) == (False, "SYN_SENT 10.10.0.100:40002 -> 10.10.0.101:4002")
    assert len(opinion.excerpt) == 1


def test_absent_in_a_state():
    assert held(plan(), wanted(peer="juliet:4002", absent=True, states=(State.ESTABLISHED,)), sample(ss("ipv4-syn"))).holds
    assert not held(plan(), wanted(peer="juliet:4002", absent=True, states=(State.SYN_SENT,)), sample(ss("ipv4-syn"))).holds


def test_count():
    opinion = held(plan(), wanted(count=is_(4), states=(State.LISTEN,)), sample(ss("ipv4-syn")))
    assert opinion.holds
    assert opinion.saw == "4 of 8 sockets (4 LISTEN, 2 SYN_SENT, 1 SYN_RECEIVED, 1 TIME_WAIT)"
    assert not held(plan(), wanted(count=is_(5), states=(State.LISTEN,)), sample(ss("ipv4-syn"))).holds
    assert held(plan(), wanted(count=is_(3), peer="juliet"), sample(ss("ipv4-syn"))).holds
    assert all(line.startswith("tcp LISTEN") for line in opinion.excerpt)
    assert len(held(plan(), wanted(count=is_(1), peer="juliet", states=(State.CLOSING,)), sample(ss("ipv4-syn"))).excerpt) == 3
    none = held(plan(), wanted(count=is_(1), peer="juliet:9"), sample(ss("ipv4-syn")))
    assert (none.holds, none.saw) == (False, "0 sockets")


# -- fields


@pytest.mark.parametrize(
    ("local", "good", "bad", "saw"),
    [
        ("juliet:4006", {"recv_q": is_(114176)}, {"recv_q": is_(0)}, "Recv-Q 114176"),
        ("romeo:40006", {"send_q": is_(0, ">")}, {"send_q": is_(0)}, "Send-Q 45568"),
        ("romeo:40006", {"timer": "persist"}, {"timer": "none"}, "timer persist"),
        ("juliet:4006", {"timer": "off"}, {"timer": "on"}, "timer none"),
        ("romeo:40005", {"cwnd": is_(1)}, {"cwnd": is_(10)}, "cwnd 1"),
        ("romeo:40005", {"fd": True}, {"fd": False}, "held by python3 (pid 1, fd 14)"),
    ],
)
def test_fields_of_a_socket(local, good, bad, saw):
    text = ss("ipv4-retransmitting")
    peer = "romeo" if local.startswith("juliet") else "juliet"
    opinion = held(plan(), wanted(local=local, peer=peer, **good), sample(text))
    assert opinion.holds
    assert opinion.saw.endswith(f", {saw}")
    assert not held(plan(), wanted(local=local, peer=peer, **bad), sample(text)).holds


def test_a_connection_that_nobody_accepted_has_no_descriptor():
    text = ss("ipv4-unaccepted")
    opinion = held(plan(), wanted(local="juliet:4000", peer="romeo", fd=False), sample(text))
    assert (opinion.holds, opinion.saw) == (True, f"ESTABLISHED {JULIET} -> {ROMEO}, held by no process")
    assert not held(plan(), wanted(local="juliet:4000", peer="romeo", fd=True), sample(text)).holds


def test_a_holder_that_ss_may_not_see_proves_nothing():
    text = sample("tcp ESTAB 0 0 10.10.0.101:4000 10.10.0.100:40000 ino:5 sk:1")
    opinion = held(plan(), wanted(peer="romeo", fd=False), text)
    assert (opinion.holds, opinion.saw.endswith("held by a process that ss does not show")) == (False, True)
    assert not held(plan(), wanted(peer="romeo", fd=True), text).holds


def test_a_window_that_ss_does_not_tell_does_not_hold():
    opinion = held(plan(), wanted(local="juliet:4003", peer="romeo", cwnd=is_(0, ">=")), sample(ss("ipv4-syn")))
    assert (opinion.holds, opinion.saw.endswith("cwnd unknown")) == (False, True)


def test_a_text_that_cannot_be_read_proves_nothing():
    opinion = held(plan(), wanted(peer="romeo", absent=True), sample("tcp ESTAB 0"))
    assert not opinion.holds
    assert opinion.problem == opinion.saw == "ss printed a line that does not have its columns: 'tcp ESTAB 0'"


# -- rules, tools, output


def rule(name: str, **fields) -> RuleExpectation:
    return RuleExpectation(where=HERE, host="juliet", rule=name, within_ns=0, **fields)


def test_the_counters_of_a_rule():
    text = sample((GOLDEN / "rules" / "ipv4-retransmitting.txt").read_text())
    opinion = held(plan(), rule("lose-syn", packets=is_(2, ">="), bytes=is_(240)), text)
    assert (opinion.holds, opinion.saw) == (True, "4 packets, 240 bytes")
    assert opinion.excerpt[0].startswith("[4:240] -A INPUT")
    assert not held(plan(), rule("lose-syn", packets=is_(5, ">=")), text).holds
    assert not held(plan(), rule("lose-syn", bytes=is_(1)), text).holds
    assert held(plan(), rule("lose-syn"), text).holds


def test_a_rule_that_is_not_there():
    text = sample((GOLDEN / "rules" / "ipv4-retransmitting.txt").read_text())
    opinion = held(plan(), rule("lose"), text)
    assert (opinion.holds, opinion.saw) == (False, "no rule named lose among 5")


def test_a_rule_in_both_tools_counts_together():
    line = "[1:60] -A INPUT -m comment --comment orchestrate:r:lose -j DROP\n"
    assert held(plan(), rule("lose", packets=is_(2)), sample(line * 2)).holds
    assert held(plan(), rule("lose", packets=is_(1)), sample(line)).saw == "1 packet, 60 bytes"


def tool(name: str, pattern: str, **fields) -> ToolExpectation:
    return ToolExpectation(where=HERE, host="juliet", tool=name, pattern=pattern, within_ns=0, **fields)


@pytest.mark.parametrize(("name", "file"), [("lsof", "lsof/ipv4-accepted.txt"), ("netstat", "netstat/ipv4-half-closed.txt")])
def test_lines_that_fit(name, file):
    text = sample((GOLDEN / file).read_text())
    assert held(plan(), tool(name, r"10\.10\.0\.101:4000.*LISTEN"), text).holds
    assert not held(plan(), tool(name, r"10\.10\.0\.101:4009"), text).holds
    assert held(plan(), tool(name, "LISTEN", count=is_(2)), text).holds
    opinion = held(plan(), tool(name, "LISTEN", count=is_(3)), text)
    assert (opinion.holds, opinion.saw, len(opinion.excerpt)) == (False, "2 lines of 7 fit", 2)
    assert held(plan(), tool(name, "4009", absent=True), text).holds
    assert not held(plan(), tool(name, "LISTEN", absent=True), text).holds
    assert held(plan(), tool(name, "(?i)^(command|proto|active)", absent=True), text).holds


def test_a_pattern_that_is_none_proves_nothing():
    opinion = held(plan(), tool("lsof", "("), sample("a line\n"))
    assert (opinion.holds, "missing )" in opinion.problem) == (False, True)


def test_a_counter_has_grown():
    before, after = ((GOLDEN / "nstat" / f"ipv4-{name}.txt").read_text() for name in ("nothing", "retransmitting"))
    opinion = held(plan(), tool("nstat", "TcpActiveOpens", count=is_(5)), sample(after), before)
    assert (opinion.holds, opinion.saw) == (True, "TcpActiveOpens grew by 5")
    assert len(opinion.excerpt) == 1
    assert not held(plan(), tool("nstat", "TcpActiveOpens"), sample(after), after).holds
    assert held(plan(), tool("nstat", "TcpActiveOpens", absent=True), sample(after), after).holds
    assert held(plan(), tool("nstat", "TcpActiveOpens"), sample(after)).holds


def test_a_counter_that_no_kernel_has():
    text = sample((GOLDEN / "nstat" / "ipv4-nothing.txt").read_text())
    opinion = held(plan(), tool("nstat", "TcpActive", absent=True), text)
    assert (opinion.holds, opinion.saw) == (False, "this kernel has no counter named TcpActive, did you mean TcpActiveOpens?")


def test_output_so_far():
    wrote = OutputExpectation(where=HERE, host="juliet", program="server", pattern="^hello$", within_ns=0)
    opinion = held(plan(), wrote, sample("listening\nhello\n"))
    assert (opinion.holds, opinion.saw) == (True, "server wrote 2 lines, the last is 'hello'")
    opinion = held(plan(), wrote, sample("hello juliet\n"))
    assert (opinion.holds, opinion.excerpt) == (False, ("hello juliet",))
    assert held(plan(), wrote, sample("")).saw == "server wrote nothing"
