"""Histories inferred from the wire alone, as for programs that have no calls."""

import pytest

OPEN = "CLOSED SYN_SENT ESTABLISHED"
CHILD = "LISTEN SYN_RECEIVED ESTABLISHED"
HERE, THERE = "10.10.0.100:40000", "10.10.0.101:4000"


def both(run, talk):
    captures = talk.captures()
    return run.states(captures, "romeo"), run.states(captures, "juliet")


def test_open_and_close_one_after_the_other(run, talk):
    talk.open().say(2, "romeo", "F.", 1, 1).say(42, "juliet", ".", 1, 2).say(50, "juliet", "F.", 1, 2).say(50.1, "romeo", ".", 2, 2)
    assert both(run, talk) == (f"{OPEN} FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT", f"{CHILD} CLOSE_WAIT LAST_ACK CLOSED")


def test_fin_and_ack_in_one_segment(run, talk):
    talk.open().say(2, "romeo", "F.", 1, 1).say(2.1, "juliet", "F.", 1, 2).say(2.2, "romeo", ".", 2, 2)
    assert both(run, talk) == (f"{OPEN} FIN_WAIT_1 TIME_WAIT", f"{CHILD} CLOSE_WAIT LAST_ACK CLOSED")


def test_simultaneous_close(run, talk):
    talk.open().say(2, "romeo", "F.", 1, 1, seen=["romeo"]).say(2, "juliet", "F.", 1, 1, seen=["juliet"])
    talk.say(2.05, "romeo", "F.", 1, 1, seen=["juliet"]).say(2.05, "juliet", "F.", 1, 1, seen=["romeo"])
    talk.say(2.1, "romeo", ".", 2, 2).say(2.1, "juliet", ".", 2, 2)
    assert both(run, talk) == (f"{OPEN} FIN_WAIT_1 CLOSING TIME_WAIT", f"{CHILD} FIN_WAIT_1 CLOSING TIME_WAIT")


def test_a_fin_that_crosses_ours_on_the_way_in(run, talk):
    talk.open().say(2, "romeo", "F.", 1, 1, seen=["juliet"]).say(2.01, "juliet", "F.", 1, 1)
    talk.say(2.02, "juliet", ".", 2, 2).say(2.1, "romeo", ".", 2, 2)
    assert run.states(talk.captures("juliet"), "juliet") == f"{CHILD} FIN_WAIT_1 CLOSING TIME_WAIT"


def test_simultaneous_open(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(1, "juliet", "S", seen=["juliet"])
    talk.say(1.05, "romeo", "S", seen=["juliet"]).say(1.05, "juliet", "S", seen=["romeo"]).say(1.1, "romeo", "S.", 0, 1).say(
        1.11, "juliet", "S.", 0, 1
    )
    assert both(run, talk) == ("CLOSED SYN_SENT SYN_RECEIVED ESTABLISHED",) * 2


def test_simultaneous_open_that_the_last_ack_completes(run, talk):
    talk.say(1, "romeo", "S").say(1.01, "juliet", "S").say(1.1, "romeo", "S.", 0, 1).say(1.2, "juliet", ".", 1, 1)
    assert run.states(talk.captures("romeo"), "romeo") == "CLOSED SYN_SENT SYN_RECEIVED ESTABLISHED"


def test_refused(run, talk):
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    captures = talk.captures()
    assert run.states(captures, "romeo") == "CLOSED SYN_SENT CLOSED"
    assert [one.host for one in run.evidence(captures).histories] == ["romeo"]  # nobody listened on juliet: no end there


@pytest.mark.parametrize("ack", [2, None])
def test_a_reset_that_does_not_acknowledge_the_syn_refuses_nothing(run, talk, ack):
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R" if ack is None else "R.", -5000, ack or 0)
    assert run.states(talk.captures("romeo"), "romeo") == "CLOSED SYN_SENT"


def test_a_reset_with_the_next_number_kills_and_another_is_challenged(run, talk):
    talk.open().say(2, "juliet", "R", 5)
    assert run.states(talk.captures("romeo"), "romeo") == OPEN
    talk.say(2.1, "romeo", ".", 1, 1).say(3, "juliet", "R", 1)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSED"


def test_an_abort(run, talk):
    talk.open().say(2, "romeo", "P.", 1, 1, b"unread").say(3, "juliet", "R.", 1, 7)
    assert both(run, talk) == (f"{OPEN} CLOSED", f"{CHILD} CLOSED")


def test_a_reset_sent_in_syn_sent_moves_nothing(run, talk):
    talk.say(1, "romeo", "S").say(1.1, "juliet", ".", 1, 99).say(1.2, "romeo", "R", 99).say(2, "romeo", "S")
    assert run.states(talk.captures("romeo"), "romeo") == "CLOSED SYN_SENT"


def test_a_child_that_is_reset_in_syn_received_is_back_in_listen(run, talk):
    talk.say(1, "romeo", "S").say(1.1, "juliet", "S.", 0, 1).say(1.2, "romeo", "R", 1)
    assert run.states(talk.captures("juliet"), "juliet") == "LISTEN SYN_RECEIVED LISTEN"


def test_a_syn_that_nobody_answers_makes_no_end(run, talk):
    talk.say(1, "romeo", "S").say(1001, "romeo", "S")
    assert [one.host for one in run.evidence(talk.captures()).histories] == ["romeo"]


def test_a_last_ack_that_a_full_backlog_drops(run, talk):
    talk.open().say(1001, "juliet", "S.", 0, 1)
    assert run.states(talk.captures("juliet"), "juliet") == "LISTEN SYN_RECEIVED"
    talk.say(1001.1, "romeo", ".", 1, 1)
    assert run.states(talk.captures("juliet"), "juliet") == CHILD


def test_old_and_doubled_segments_move_nothing(run, talk):
    talk.open().say(2, "juliet", "F.", 1, 1).say(2.1, "romeo", ".", 1, 2).say(3, "juliet", "F.", 1, 1).say(3.1, "romeo", ".", 1, 2)
    talk.say(4, "juliet", "S.", 0, 1).say(5, "juliet", ".", 1, 1).say(6, "romeo", "S")
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSE_WAIT"


def test_a_fin_ahead_of_its_data_waits_for_it(run, talk):
    talk.open().say(2, "juliet", "F.", 11, 1, b"cd").say(2.1, "romeo", ".", 1, 1)
    assert run.states(talk.captures("romeo"), "romeo") == OPEN
    talk.say(3, "juliet", "P.", 5, 1, b"efghij").say(4, "juliet", "P.", 1, 1, b"abcd").say(4.1, "romeo", ".", 1, 14)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo") == f"{OPEN} CLOSE_WAIT"
    (history,) = run.evidence(captures).histories
    assert history.transitions[-1].at_ns % 1_000_000_000 == 4_000_000


def test_data_that_only_the_acknowledgment_tells_of(run, talk):
    talk.open().say(3, "romeo", ".", 1, 50).say(4, "juliet", "F.", 50, 1).say(4.1, "romeo", ".", 1, 51)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSE_WAIT"


def test_an_icmp_error_ends_syn_sent(run, talk, wire):
    talk.say(1, "romeo", "S")
    quoted = wire.ipv4(wire.tcp("S", 1000)[:8])
    for at, kind in ((2, 5), (3, 3)):
        message = bytes((kind, 1)) + bytes(6) + quoted
        talk.frames["romeo"].append((at * wire.MILLI, wire.ethernet(wire.ipv4(message, wire.JULIET, wire.ROMEO, protocol=1))))
    (history,) = run.evidence(talk.captures("romeo")).histories
    assert [one.state for one in history.transitions] == ["CLOSED", "SYN_SENT", "CLOSED"]
    assert history.transitions[-1].at_ns == wire.BEGIN + 3 * wire.MILLI


def test_a_capture_that_began_late_asks(run, talk):
    talk.say(1, "romeo", "P.", 1, 1, b"x")
    assert run.states(talk.captures("romeo"), "romeo") == " ? the connection began before romeo's capture did"


def test_each_transition_says_when_and_from_what(run, talk, wire):
    (history,) = run.evidence(talk.open().captures("romeo")).histories
    assert [(one.at_ns - wire.BEGIN, one.source) for one in history.transitions] == [
        (1_000_000, "wire"),
        (1_000_000, "wire"),
        (1_100_000, "wire"),
    ]
    assert history.transitions[-1].cause == "received SYN,ACK: juliet.4000 > romeo.40000 S. 0:0(0) ack 1 win 502"
    assert (history.local, history.peer, history.sockets) == (HERE, THERE, ())


def test_a_fin_that_is_repeated_may_bring_the_ack_of_ours(run, talk):
    talk.open().say(2, "juliet", "F.", 1, 1, seen=["romeo"]).say(2.01, "romeo", "F.", 1, 1).say(2.02, "romeo", ".", 2, 2)
    talk.say(200, "juliet", "F.", 1, 2)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} FIN_WAIT_1 CLOSING TIME_WAIT"


def test_the_ends_own_acks_say_what_is_expected_next(run, talk):
    talk.say(1, "romeo", "S", seen=[]).say(1.1, "juliet", "S.", 0, 1).say(2, "romeo", ".", 1, 1, seen=[]).say(3, "romeo", "R", 1)
    assert run.states(talk.captures("juliet"), "juliet") == "LISTEN SYN_RECEIVED LISTEN"


def test_a_segment_without_any_flag_moves_nothing(run, talk):
    assert run.states(talk.open().say(2, "romeo", "none", 1).say(3, "juliet", "none", 1).captures("romeo"), "romeo") == OPEN
