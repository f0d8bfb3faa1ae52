"""What tools print at the edges, and what readings say where nothing was printed."""

import pytest

from orchestrator.errors import EvidenceError
from orchestrator.model.record import ActionRecord
from orchestrator.model.words.expectations import Outcome
from orchestrator.model.words.values import Record
from orchestrator.readings import lsof, nstat, outcome, rules, ss

ROW = "tcp {state} 0 0 10.0.0.1:{port} 10.0.0.2:9"


def row(port, state="ESTAB"):
    return ROW.format(port=port, state=state)


def test_each_socket_has_the_details_below_it_and_no_other():
    text = "\n".join([row(1), "\t ino:11 sk:1", row(2), "\t ino:22", " sk:2", row(3), row(4), "\t ino:44"])
    assert [(one.local, one.inode, one.cookie) for one in ss.sockets(text)] == [
        ("10.0.0.1:1", 11, 1),
        ("10.0.0.1:2", 22, 2),
        ("10.0.0.1:3", 0, 0),
        ("10.0.0.1:4", 44, 0),
    ]


def test_details_without_a_socket_are_passed_over():
    assert [one.local for one in ss.sockets(f"\t ino:1\n{row(2)}\n")] == ["10.0.0.1:2"]


def test_a_socket_that_ss_says_little_of():
    (one,) = ss.sockets(row(1))
    assert (one.timer, one.timer_ns, one.retransmissions) == ("", 0, 0)
    assert (one.uid, one.inode, one.cookie, one.processes, one.info) == (0, 0, 0, (), {})


@pytest.mark.parametrize(
    ("text", "timer_ns"),
    [
        ("119min", 7_140_000_000_000),
        ("1min5sec", 65_000_000_000),
        ("59sec", 59_000_000_000),
        ("1.500ms", 1_500_000_000),
        ("508ms", 508_000_000),
        ("", 0),
    ],
)
def test_what_remains_of_a_timer(text, timer_ns):
    (one,) = ss.sockets(f"{row(1)} timer:(keepalive,{text},3)")
    assert (one.timer, one.timer_ns, one.retransmissions) == ("keepalive", timer_ns, 3)


@pytest.mark.parametrize("line", ["# a comment", ":INPUT ACCEPT [0:0]", "COMMIT", " COMMIT ", "", "   "])
def test_lines_of_iptables_save_that_are_no_rules(line):
    assert rules.rules(f"*filter\n{line}\n") == ()


@pytest.mark.parametrize("line", ["AAA", "BYE", "COMMITTED", "ZZZ", "iptables: not found"])
def test_lines_that_iptables_save_does_not_print(line):
    with pytest.raises(EvidenceError) as caught:
        rules.rules(f"*filter\n{line}\n")
    assert str(caught.value) == f"this is no line of iptables-save: {line!r}"


def test_a_line_of_another_form_has_nothing_but_itself():
    (one,) = lsof.entries("x y z")
    assert one == lsof.OpenSocket(line="x y z", command="", pid=0, user="", fd=-1, protocol="", local="", peer="", state="")


@pytest.mark.parametrize("status", ["blocked", "lost", "raised", "timeout", "running", ""])
def test_nothing_is_returned_by_what_did_not_come_to_its_end(status):
    told = ActionRecord(id="1.1", host="romeo", step=1, status=status, start_ns=0, end_ns=0, value=7)
    assert not outcome.returns(Outcome(returns=7, has_return=True), told)
    assert not outcome.returns(Outcome(any_return=True), told)
    assert outcome.gave(told) == ("raised an exception" if status == "raised" else "returned 7")


REFUSED = (
    "iptables -w 5 -I INPUT -m nosuch -j DROP -m comment --comment orchestrate:dbf37933:rule-1: iptables v1.8.9 (nf_tables): "
    "Couldn't load match `nosuch':No such file or directory\n\nTry `iptables -h' or 'iptables --help' for more information."
)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (REFUSED, "iptables v1.8.9 (nf_tables): Couldn't load match `nosuch':No such file or directory"),
        ("ethtool -K eth1 gro on: Operation not supported", "ethtool -K eth1 gro on: Operation not supported"),
    ],
)
def test_a_change_that_was_refused_is_told_in_the_words_of_the_tool(message, words):
    names = ("ChangeRefused", "Exception")
    told = ActionRecord(id="1.1", host="romeo", step=1, status="raised", start_ns=0, end_ns=0, exceptions=names, message=message)
    assert outcome.gave(told) == f"was refused: {words}"


KINDS = [kind for kind in Record.__subclasses__() if kind.__module__.startswith("orchestrator.readings.")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_readings_are_records(kind):
    assert kind.__struct_config__.frozen
    with pytest.raises(TypeError, match="Extra positional arguments"):
        kind("in its place")


def test_there_are_readings():
    assert {lsof.OpenSocket, rules.FirewallRule, ss.SocketReading} <= set(KINDS)


def test_a_counter_by_its_exact_name():
    counters = nstat.counters("TcpActiveOpens 3 0.0\nTcpPassiveOpens 4 0.0\n")
    assert (counters["TcpActiveOpens"], counters["TcpPassiveOpens"]) == (3, 4)
