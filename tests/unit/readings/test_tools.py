"""The texts of lsof, netstat, iptables-save and nstat."""

from pathlib import Path

import pytest

from orchestrator.errors import EvidenceError
from orchestrator.readings import lsof, netstat, nstat
from orchestrator.readings.rules import rules

GOLDEN = Path(__file__).parents[2] / "golden"


def text(name: str) -> str:
    return (GOLDEN / name).read_text()


def test_lsof_tells_descriptors():
    entries = lsof.entries(text("lsof/ipv6-syn.txt"))
    assert len(entries) == 9
    assert all(entry.protocol in {"tcp", "udp"} and entry.local for entry in entries)
    last = entries[-1]
    assert (last.command, last.pid, last.user, last.fd) == ("nc", 111, "root", 3)
    assert (last.protocol, last.local, last.peer, last.state) == ("tcp", "[fd00::101]:5555", "", "LISTEN")
    assert (entries[7].peer, entries[7].state) == ("[fd00::101]:4003", "SYN_SENT")


def test_lsof_does_not_tell_a_connection_nobody_accepted():
    waiting = [entry.local for entry in lsof.entries(text("lsof/ipv4-unaccepted.txt")) if entry.state == "ESTABLISHED"]
    accepted = [entry.local for entry in lsof.entries(text("lsof/ipv4-accepted.txt")) if entry.state == "ESTABLISHED"]
    assert waiting == ["10.10.0.100:40000"]
    assert accepted == ["10.10.0.100:40000", "10.10.0.101:4000"]


def test_lsof_keeps_a_line_of_another_form_whole():
    (entry,) = lsof.entries("COMMAND PID USER\n\nstrange line \n")
    assert (entry.line, entry.protocol, entry.fd) == ("strange line", "", -1)


def test_netstat_tells_states_and_holders():
    entries = netstat.entries(text("netstat/ipv4-syn.txt"))
    by_local = {entry.local: entry for entry in entries if entry.protocol == "tcp" and entry.state != "LISTEN"}
    assert by_local["10.10.0.101:4003"].state == "SYN_RECV"
    assert by_local["10.10.0.100:40002"].send_q == 1
    assert (by_local["10.10.0.100:40000"].state, by_local["10.10.0.100:40000"].holder) == ("TIME_WAIT", "-")
    unconnected = entries[-1]
    assert (unconnected.protocol, unconnected.local, unconnected.state, unconnected.holder) == ("udp", "0.0.0.0:5353", "", "1/python3")


def test_netstat_keeps_a_line_of_another_form_whole():
    (entry,) = netstat.entries("Active Internet connections\nProto Recv-Q\nraw 0 0\n")
    assert (entry.line, entry.protocol) == ("raw 0 0", "")


@pytest.mark.parametrize(("family", "octets"), [("ipv4", 240), ("ipv6", 320)])
def test_rules_with_their_counters(family, octets):
    found = rules(text(f"rules/{family}-retransmitting.txt"))
    ours = {rule.name: rule for rule in found if rule.run_id == "01hzy"}
    assert list(ours) == ["silence", "lose-synack", "lose-syn"]
    assert (ours["lose-syn"].packets, ours["lose-syn"].bytes) == (4, octets)
    assert (ours["lose-syn"].table, ours["lose-syn"].chain, ours["lose-syn"].words[-2:]) == ("filter", "INPUT", ("-j", "DROP"))
    quoted, masquerade = found[3:]
    assert (quoted.comment, quoted.name, quoted.chain) == ('with "quotes" and spaces', "", "OUTPUT")
    assert (masquerade.table, masquerade.comment) == ("nat", "")


def test_a_rule_name_may_hold_colons():
    (rule,) = rules("*filter\n[1:2] -A INPUT -m comment --comment orchestrate:r1:a:b -j DROP\nCOMMIT\n")
    assert (rule.run_id, rule.name) == ("r1", "a:b")


def test_a_rule_that_ends_in_the_word_comment():
    (rule,) = rules("[1:2] -A INPUT -m string --comment")
    assert rule.comment == ""


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("-A INPUT -j DROP", "no counters, was it printed by iptables-save -c"), ("Fatal: try again", "no line of iptables-save")],
)
def test_what_is_no_saved_rule(line, complaint):
    with pytest.raises(EvidenceError, match=complaint):
        rules(f"*filter\n:INPUT ACCEPT [0:0]\n{line}\nCOMMIT\n")


def test_counters():
    counters = nstat.counters(text("nstat/ipv4-retransmitting.txt"))
    assert len(counters) == 393
    assert counters["TcpActiveOpens"] == 5
    assert counters["TcpExtListenOverflows"] == 0


def test_increase_since_the_begin():
    before, after = text("nstat/ipv4-nothing.txt"), text("nstat/ipv4-retransmitting.txt")
    assert nstat.increase(after, before, "TcpActiveOpens") == 5
    assert nstat.increase(after, after, "TcpActiveOpens") == 0
    assert nstat.increase(after, "", "TcpActiveOpens") == 5


def test_a_counter_of_one_icmp_type_appears_late():
    before, after = text("nstat/ipv4-nothing.txt"), text("nstat/ipv4-retransmitting.txt")
    assert "Icmp6OutType133" not in nstat.counters(before)
    assert nstat.increase(after, before, "Icmp6OutType133") == nstat.counters(after)["Icmp6OutType133"] > 0
    assert nstat.increase(before, before, "IcmpMsgOutType3") == 0


def test_a_counter_that_no_kernel_has():
    assert nstat.increase(text("nstat/ipv4-nothing.txt"), "", "TcpExtNoSuch") is None


@pytest.mark.parametrize("line", ["TcpActiveOpens", "nstat: cannot open history"])
def test_what_is_no_counter(line):
    with pytest.raises(EvidenceError, match="no line of nstat"):
        nstat.counters(line)
