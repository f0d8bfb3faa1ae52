"""Histories where a rule may have swallowed what a capture shows, and what ``ss`` adds or contradicts: nothing is ever guessed."""

import pytest
from msgspec.structs import replace

from orchestrator.model.words.actions import Ip, Run

OPEN = "CLOSED SYN_SENT ESTABLISHED"
CHILD = "LISTEN SYN_RECEIVED ESTABLISHED"
HERE, THERE = "10.10.0.100:40000", "10.10.0.101:4000"


def test_a_dropped_syn_ack_holds_syn_received_and_syn_sent(run, talk):
    run.drop("romeo", "-I INPUT -p tcp --tcp-flags SYN,ACK SYN,ACK -j DROP").remove(2000, "romeo")
    talk.say(1, "romeo", "S").say(1.1, "juliet", "S.", 0, 1).say(1001, "romeo", "S").say(1001.1, "juliet", "S.", 0, 1)
    asked = (
        "CLOSED SYN_SENT ? frame 4 of romeo's capture (juliet.4000 > romeo.40000 S. 0:0(0) ack 1 win 502) came while a rule was in force"
        " there, and nothing that romeo did next tells whether TCP got it"
    )
    captures = talk.captures()
    assert (run.states(captures, "romeo"), run.states(captures, "juliet")) == (asked, "LISTEN SYN_RECEIVED")
    talk.say(3001, "romeo", "S").say(3001.1, "juliet", "S.", 0, 1).say(3001.2, "romeo", ".", 1, 1)
    captures = talk.captures()
    assert (run.states(captures, "romeo"), run.states(captures, "juliet")) == (OPEN, CHILD)


def test_what_is_acknowledged_arrived(run, talk):
    run.drop("romeo", "-A INPUT -p udp -j DROP")
    talk.open().say(2, "juliet", "F.", 1, 1).say(42, "romeo", ".", 1, 2)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSE_WAIT"


@pytest.mark.parametrize("words", ["-I OUTPUT -p tcp -j DROP", "-t nat -A POSTROUTING -j MASQUERADE", "-A FORWARD -j DROP"])
def test_a_rule_on_the_way_out_raises_no_doubt(run, talk, words):
    run.drop("romeo", words)
    assert run.states(talk.open().say(2, "juliet", "R", 1).captures("romeo"), "romeo") == f"{OPEN} CLOSED"


@pytest.mark.parametrize("host", ["juliet", "router"])
def test_a_rule_on_another_host_raises_no_doubt(run, talk, host):
    run.drop(host)
    assert run.states(talk.open().say(2, "juliet", "R", 1).captures("romeo"), "romeo") == f"{OPEN} CLOSED"


@pytest.mark.parametrize(("start", "removed", "doubted"), [(1.5, 3, True), (2, 3, True), (2.1, 3, False), (1, 1.9, False), (1, 2, True)])
def test_a_rule_raises_doubt_as_long_as_it_is_in_force(run, talk, start, removed, doubted):
    run.rule(start, "romeo", "-I INPUT -j DROP").remove(removed, "romeo")
    states = run.states(talk.open(0.1).say(2, "juliet", "R", 1).captures("romeo"), "romeo")
    assert states.startswith(f"{OPEN} ?") if doubted else states == f"{OPEN} CLOSED"


@pytest.mark.parametrize(("at", "doubted"), [(1.5, True), (2.5, False), (3.5, True), (4.5, False), (5.5, True)])
def test_a_rule_of_the_same_name_again_is_another_one(run, talk, at, doubted):
    run.remove(3.2, "romeo", "other")
    for start in (1, 3, 5):
        run.rule(start, "romeo", "-I INPUT -j DROP")
        if start < 5:
            run.remove(start + 1, "romeo")
    states = run.states(talk.open(0.1).say(at, "juliet", "R", 1).captures("romeo"), "romeo")
    assert states.startswith(f"{OPEN} ?") if doubted else states == f"{OPEN} CLOSED"


@pytest.mark.parametrize(("at", "doubted"), [(0.5, True), (2.5, False)])
def test_a_route_that_was_changed_raises_doubt(run, talk, at, doubted):
    run.act(at, "romeo", Ip(words=("route", "add", "blackhole", "10.10.0.101")))
    states = run.states(talk.open().say(2, "juliet", "R", 1).captures("romeo"), "romeo")
    assert states.startswith(f"{OPEN} ?") if doubted else states == f"{OPEN} CLOSED"


def test_a_rule_that_a_program_put_in_raises_doubt(run, talk):
    run.act(0.5, "romeo", Run(argv=("sh", "-c", "/usr/sbin/iptables -A INPUT -j DROP")))
    assert "? frame 4" in run.states(talk.open().say(2, "juliet", "R", 1).captures("romeo"), "romeo")


@pytest.mark.parametrize(
    ("then", "path"),
    [
        (lambda run, talk: None, f"{OPEN} ?"),
        (lambda run, talk: talk.say(3, "romeo", "P.", 1, 1, b"alive"), OPEN),
        (lambda run, talk: talk.say(3, "romeo", "R", 1), f"{OPEN} ?"),
        (lambda run, talk: run.call(3, 4, "romeo", "sock.recv(1)", "recv", "sock", **run.failed("ECONNRESET")), f"{OPEN} CLOSED"),
        (lambda run, talk: run.call(1, 2, "romeo", "sock.recv(1)", "recv", "sock", **run.failed("ECONNRESET")), f"{OPEN} CLOSED"),
        (lambda run, talk: run.call(1, 1.9, "romeo", "sock.recv(1)", "recv", "sock", **run.failed("EAGAIN")), f"{OPEN} ?"),
        (
            lambda run, talk: run.call(3, 4, "romeo", "sock.recv(1)", "recv", "sock", **run.failed("ECONNRESET")).ss(
                50, "romeo", f"ESTAB {HERE} {THERE}"
            ),
            f"{OPEN} CLOSED",
        ),
        (lambda run, talk: run.ss(50, "romeo"), f"{OPEN} CLOSED"),
        (lambda run, talk: run.ss(2, "romeo"), f"{OPEN} CLOSED"),
        (lambda run, talk: run.ss(1.999, "romeo"), f"{OPEN} ?"),
        (lambda run, talk: run.ss(7, "romeo", f"ESTAB {HERE} {THERE}"), f"{OPEN} ?"),
        (lambda run, talk: run.ss(7.001, "romeo", f"ESTAB {HERE} {THERE}"), OPEN),
        (lambda run, talk: run.ss(1.5, "romeo", f"ESTAB {HERE} {THERE}"), f"{OPEN} ?"),
        (lambda run, talk: run.ss(50, "romeo", f"ESTAB {HERE} {THERE}"), OPEN),
    ],
)
def test_a_doubtful_reset(run, talk, then, path):
    run.made().connect(peer=THERE)
    run.drop("romeo")
    talk.open().say(2, "juliet", "R", 1)
    then(run, talk)
    states = run.states(talk.captures("romeo"), "romeo", "sock")
    assert states.startswith(path) if path.endswith("?") else states == path


@pytest.mark.parametrize(
    ("then", "path"),
    [
        (lambda run, talk: talk, f"{OPEN} FIN_WAIT_1 ?"),
        (lambda run, talk: talk.say(200, "romeo", "F.", 1, 1), f"{OPEN} FIN_WAIT_1"),
        (lambda run, talk: run.ss(50, "romeo", f"FIN-WAIT-2 {HERE} {THERE}"), f"{OPEN} FIN_WAIT_1 FIN_WAIT_2"),
        (lambda run, talk: run.ss(50, "romeo", f"FIN-WAIT-1 {HERE} {THERE}"), f"{OPEN} FIN_WAIT_1"),
    ],
)
def test_a_doubtful_ack_of_our_fin(run, talk, then, path):
    run.drop("romeo")
    talk.open().say(2, "romeo", "F.", 1, 1).say(3, "juliet", ".", 1, 2)
    then(run, talk)
    states = run.states(talk.captures("romeo"), "romeo")
    assert states.startswith(path) if path.endswith("?") else states == path


@pytest.mark.parametrize(
    ("then", "path"),
    [
        (lambda run, talk: talk, f"{OPEN} ?"),
        (lambda run, talk: talk.say(9, "romeo", "P.", 1, 1, b"x"), OPEN),
        (lambda run, talk: talk.say(3, "romeo", "P.", 1, 1, b"x"), f"{OPEN} ?"),
        (lambda run, talk: talk.say(3.001, "romeo", "P.", 1, 1, b"x"), OPEN),
        (lambda run, talk: talk.say(9, "romeo", "P", 1, data=b"x"), f"{OPEN} ?"),
        (lambda run, talk: run.call(2.1, 9, "romeo", "sock.recv(1)", "recv", "sock", status="timeout"), f"{OPEN} ?"),
        (lambda run, talk: run.call(2.1, 2.2, "romeo", "sock.recv(1)", "recv", "sock", value={"bytes": ""}), f"{OPEN} CLOSE_WAIT"),
    ],
)
def test_a_doubtful_fin(run, talk, then, path):
    run.made().connect(peer=THERE)
    run.drop("romeo")
    talk.open().say(2, "juliet", "F.", 1, 1)
    then(run, talk)
    states = run.states(talk.captures("romeo"), "romeo", "sock")
    assert states.startswith(path) if path.endswith("?") else states == path


@pytest.mark.parametrize(
    ("end", "told", "path"),
    [
        (1.5, {}, OPEN),
        (5, {"status": "blocked"}, "CLOSED SYN_SENT ?"),
        (1.5, {"status": "raised", "errno": "EINPROGRESS"}, "CLOSED SYN_SENT ?"),
    ],
)
def test_a_doubtful_answer_to_a_syn(run, talk, end, told, path):
    run.made().connect(end=end, **told)
    run.drop("romeo")
    states = run.states(talk.say(1, "romeo", "S").say(1.1, "juliet", "S.", 0, 1).captures("romeo"), "romeo", "sock")
    assert states.startswith(path) if path.endswith("?") else states == path


def test_a_connect_that_ends_later_shows_no_fin(run, talk):
    run.made().connect(end=9, peer=THERE)
    run.drop("romeo")
    assert run.states(talk.open().say(2, "juliet", "F.", 1, 1).captures("romeo"), "romeo", "sock").startswith(f"{OPEN} ?")


@pytest.mark.parametrize(("isn", "flags"), [(2**32 - 50, "P"), (2**32 - 1, "S"), (2**32 - 2, "S")])
def test_what_carries_no_ack_shows_nothing_to_have_arrived(run, talk, isn, flags):
    run.drop("romeo")
    talk.isn["juliet"] = isn  # the acknowledgment number of a segment without ACK is 0, and lies ahead of this
    talk.say(1, "romeo", "S").say(1.1, "juliet", "S" if flags == "S" else "S.", 0, 1).say(9, "romeo", flags, 0 if flags == "S" else 1)
    assert run.states(talk.captures("romeo"), "romeo").startswith("CLOSED SYN_SENT ?")


def test_a_fin_that_arrived_only_the_second_time(run, talk):
    run.drop("romeo").remove(100, "romeo")
    talk.open().say(2, "juliet", "F.", 1, 1).say(50, "romeo", "P.", 1, 1, b"x").say(200, "juliet", "F.", 1, 2).say(
        200.1, "romeo", ".", 2, 2
    )
    (history,) = run.evidence(talk.captures("romeo")).histories
    assert (history.transitions[-1].state, history.transitions[-1].at_ns % 1_000_000_000) == ("CLOSE_WAIT", 200_000_000)


def test_a_fin_behind_a_hole_that_a_rule_tore(run, talk):
    run.drop("romeo").remove(100, "romeo")
    talk.open().say(2, "juliet", "P.", 1, 1, b"lost").say(150, "juliet", "F.", 5, 1).say(152, "romeo", ".", 1, 1)
    talk.say(200, "juliet", "P.", 1, 1, b"lost").say(200.1, "romeo", ".", 1, 6)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSE_WAIT"


def test_a_doubtful_last_ack_is_shown_by_accept(run, talk):
    run.drop("juliet")
    captures = run.accepted(talk).captures("juliet")
    assert run.states(captures, "juliet", "conn") == CHILD


def test_an_accept_that_ends_later_shows_no_fin(run, talk):
    run.drop("juliet")
    captures = run.accepted(talk).say(3, "romeo", "F.", 1, 1).captures("juliet")
    assert run.states(captures, "juliet", "conn").startswith(f"{CHILD} ?")


def test_a_reset_made_by_a_rule_is_not_tcps_own(run, talk):
    run.made().connect(peer=THERE)
    run.drop("romeo", "-I INPUT -p tcp -j REJECT --reject-with tcp-reset")
    talk.open().say(2, "juliet", "P.", 1, 1, b"x").say(2.05, "romeo", "R", 1)
    assert "?" in run.states(talk.captures("romeo"), "romeo", "sock")
    talk.say(9, "romeo", "P.", 1, 1, b"alive")
    assert run.states(talk.captures("romeo"), "romeo", "sock") == OPEN


def test_a_reset_by_close_is_tcps_own_also_behind_a_rule(run, talk):
    run.made().connect(peer=THERE)
    run.drop("romeo")
    run.close(3)
    captures = talk.open().say(3.05, "romeo", "R.", 1, 1).captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} CLOSED"


@pytest.mark.parametrize(("at", "told"), [(2.9, True), (3, True), (3.001, False), (9, False)])
def test_a_close_long_after_a_reset_did_not_send_it(run, talk, at, told):
    run.made().connect(peer=THERE)
    run.drop("romeo")
    run.close(at)
    states = run.states(talk.open().say(2, "romeo", "R.", 1, 1).captures("romeo"), "romeo", "sock")
    assert states == f"{OPEN} CLOSED" if told else "?" in states


def test_a_doubtful_icmp_error(run, talk, wire):
    run.drop("romeo")
    talk.say(1, "romeo", "S")
    message = b"\3\1" + bytes(6) + wire.ipv4(wire.tcp("S", 1000)[:8])
    talk.frames["romeo"].append((2 * wire.MILLI, wire.ethernet(wire.ipv4(message, wire.JULIET, wire.ROMEO, protocol=1))))
    assert "?" in run.states(talk.captures("romeo"), "romeo")
    run.made().connect(end=2.2, **run.failed("EHOSTUNREACH"))
    assert run.states(talk.captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_a_syn_that_a_rule_answers_by_icmp_never_came_to_tcp(run, talk, wire):
    run.drop("juliet", "-I INPUT -p tcp -j REJECT")
    talk.say(1, "romeo", "S")
    message = b"\3\3" + bytes(6) + wire.ipv4(wire.tcp("S", 1000)[:8])
    talk.frames["juliet"].append((2 * wire.MILLI, wire.ethernet(wire.ipv4(message, wire.JULIET, wire.ROMEO, protocol=1))))
    assert run.evidence(talk.captures("juliet")).histories == ()


# What ss says.


def closed_down(talk):
    return talk.open().say(2, "romeo", "F.", 1, 1).say(2.1, "juliet", "F.", 1, 2).say(2.2, "romeo", ".", 2, 2)


def test_time_wait_ends_when_ss_does_not_list_it_any_more(run, talk):
    run.ss(50_000, "romeo", f"TIME-WAIT {HERE} {THERE}").ss(65_000, "romeo")
    assert run.states(closed_down(talk).captures("romeo"), "romeo") == f"{OPEN} FIN_WAIT_1 TIME_WAIT CLOSED"


def test_a_socket_that_is_gone_without_a_word(run, talk):
    run.ss(500, "romeo", f"ESTAB {HERE} {THERE}").ss(600, "romeo")
    assert run.states(talk.open().captures("romeo"), "romeo") == f"{OPEN} CLOSED"


def test_a_sample_that_lacks_what_is_seen_again_is_a_contradiction(run, talk):
    run.ss(500, "romeo")
    talk.open().say(900, "romeo", "P.", 1, 1, b"x")
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} ? ss showed CLOSED on romeo when the other witnesses make it ESTABLISHED"


def test_a_sample_that_lacks_what_a_later_one_has_is_a_contradiction(run, talk):
    run.ss(500, "romeo").ss(600, "romeo", f"ESTAB {HERE} {THERE}")
    assert "? ss showed CLOSED on romeo" in run.states(talk.open().captures("romeo"), "romeo")


def test_what_ss_says_of_udp_is_not_said_of_tcp(run, talk):
    run.ss(500, "romeo", f"ESTAB {HERE} {THERE}")
    run.samples[-1] = replace(run.samples[-1], text=run.samples[-1].text.replace("tcp", "udp"))
    assert run.states(talk.open().captures("romeo"), "romeo") == f"{OPEN} CLOSED"


@pytest.mark.parametrize(("at", "path"), [(21.999, OPEN), (22, f"{OPEN} CLOSED"), (500, f"{OPEN} CLOSED")])
def test_what_was_active_a_moment_ago_is_not_gone(run, talk, at, path):
    run.ss(at, "romeo")
    assert run.states(talk.open().say(2, "romeo", "P.", 1, 1, b"x").captures("romeo"), "romeo") == path


@pytest.mark.parametrize(
    ("at", "state", "contradicts"),
    [
        (300.999, "FIN-WAIT-1", True),
        (301, "FIN-WAIT-1", False),
        (321, "ESTAB", False),
        (421, "ESTAB", False),
        (421.001, "ESTAB", True),
        (101, "CLOSE-WAIT", True),
        (100.999, "CLOSE-WAIT", False),  # what was before the history's beginning is not known
    ],
)
def test_how_far_a_sample_and_what_it_shows_may_be_apart(run, talk, at, state, contradicts):
    run.ss(at, "romeo", f"{state} {HERE} {THERE}")
    states = run.states(talk.open().say(321, "romeo", "F.", 1, 1).captures("romeo"), "romeo")
    assert ("? ss showed" in states) is contradicts


def test_a_sample_that_contradicts(run, talk):
    run.ss(500, "romeo", f"CLOSE-WAIT {HERE} {THERE}")
    assert run.states(talk.open().captures("romeo"), "romeo").endswith(
        "? ss showed CLOSE_WAIT on romeo when the other witnesses make it ESTABLISHED"
    )


def test_a_sample_of_an_earlier_use_of_the_four_tuple_is_not_held_against_it(run, talk):
    run.ss(0.1, "romeo", f"TIME-WAIT {HERE} {THERE}")
    talk.open(200)
    assert run.states(talk.captures("romeo"), "romeo") == OPEN


def test_a_request_that_the_kernel_forgot_is_no_contradiction(run, talk):
    run.ss(500, "juliet").ss(1005, "juliet", f"SYN-RECV {THERE} {HERE}")
    talk.say(1, "romeo", "S").say(1.1, "juliet", "S.", 0, 1).say(1001, "romeo", "S").say(1001.1, "juliet", "S.", 0, 1)
    assert run.states(talk.captures("juliet"), "juliet") == "LISTEN SYN_RECEIVED"


def test_a_syn_whose_answer_was_dropped_on_the_way_out_is_shown_by_ss(run, talk):
    run.ss(2, "juliet", f"SYN-RECV {THERE} {HERE}")
    assert run.states(talk.say(1, "romeo", "S").captures("juliet"), "juliet") == "LISTEN SYN_RECEIVED"


def test_a_programs_listening_socket(run, wire):
    run.ss(1, "juliet").ss(5, "juliet", "LISTEN 0.0.0.0:5555 0.0.0.0:*").ss(9, "juliet")
    (history,) = run.evidence({"juliet": wire.pcap()}).histories
    assert (history.local, history.peer, [one.state for one in history.transitions]) == ("0.0.0.0:5555", "", ["LISTEN", "CLOSED"])


def test_a_sample_that_cannot_be_read_says_nothing(run, talk):
    run.ss(500, "romeo")
    run.samples[-1] = replace(run.samples[-1], text="tcp torn")
    assert run.states(talk.open().captures("romeo"), "romeo") == OPEN
