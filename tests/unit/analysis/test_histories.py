"""Histories inferred from the wire alone, from calls with it, and from ``ss``; and the questions that are asked instead of guessing."""

import pytest
from msgspec.structs import replace

from orchestrator.model.record import CallRecord, CaptureRecord, SocketFacts
from orchestrator.model.words.actions import Run

OPEN = "CLOSED SYN_SENT ESTABLISHED"
CHILD = "LISTEN SYN_RECEIVED ESTABLISHED"
MILLI = 1_000_000
HERE, THERE = "10.10.0.100:40000", "10.10.0.101:4000"


def both(run, talk):
    captures = talk.captures()
    return run.states(captures, "romeo"), run.states(captures, "juliet")


# The wire alone: programs have no calls.


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


# Calls.


def made(run, host="romeo", name="sock"):
    return run.call(0, 0.1, host, f"{name} = socket.socket()", "socket.socket", names=(name,))


def connect(run, start=0.9, end=1.5, local=HERE, **told):
    return run.call(
        start,
        end,
        "romeo",
        'sock.connect(("juliet", 4000))',
        "connect",
        "sock",
        arguments=({"tuple": ["10.10.0.101", 4000]},),
        local=local,
        **told,
    )


def failed(errno, **more):
    return {"status": "raised", "errno": errno, "exceptions": ("OSError", "Exception"), **more}


def close(run, at, how="close", *arguments, host="romeo", name="sock"):
    return run.call(at, at + 0.2, host, f"{name}.{how}()", how, name, arguments=arguments, local=HERE, peer=THERE)


def test_a_reset_whose_number_nobody_knows_asks(run, talk):
    connect(made(run), peer=THERE)
    assert "? whether the RST in frame 1 was acceptable is open" in run.states(
        talk.say(9, "juliet", "R", 1).captures("romeo"), "romeo", "sock"
    )


def test_a_socket_that_could_not_be_made_and_names_that_nothing_made(run, wire):
    run.call(0, 0.1, "romeo", "sock = socket.socket(9, 9)", "socket.socket", names=("sock",), **failed("EAFNOSUPPORT"))
    close(run, 1)
    assert run.evidence({"romeo": wire.pcap()}).histories == ()


def test_an_address_that_is_no_inet_address(run, wire):
    made(run)
    run.call(1, 2, "romeo", "sock.connect('/run/x')", "connect", "sock", arguments=("/run/x",), **failed("EINVAL"))
    (history,) = run.evidence({"romeo": wire.pcap()}).histories
    assert (history.peer, [one.state for one in history.transitions]) == ("", ["CLOSED"])


def test_what_a_sample_knows_of_a_named_socket_counts(run, talk):
    connect(made(run), local="")
    facts = SocketFacts(name="sock", cookie=1, local=HERE, peer=THERE)
    stranger = SocketFacts(name="sock", cookie=77, local="10.0.0.9:1", peer="10.0.0.9:2")
    run.ss(50, "romeo", f"ESTAB {HERE} {THERE}")
    run.samples[-1] = replace(run.samples[-1], sockets=(facts, stranger))
    (history,) = run.evidence(talk.captures()).histories
    assert (history.local, history.peer) == (HERE, THERE)


def test_an_accepted_socket_whose_name_was_thrown_away(run, talk):
    run.call(0, 0.1, "juliet", "server = socket.socket()", "socket.socket", names=("server",))
    run.call(0.4, 5, "juliet", "server.accept()", "accept", "server")
    histories = run.evidence(talk.open().captures("juliet")).histories
    assert {one.sockets for one in histories} == {("server",), ()}


@pytest.mark.parametrize(
    ("value", "path"), [(0, OPEN), (111, "CLOSED SYN_SENT CLOSED"), (115, "CLOSED SYN_SENT"), (4711, "CLOSED SYN_SENT CLOSED")]
)
def test_what_connect_ex_returns(run, wire, value, path):
    made(run).call(
        1, 2, "romeo", "sock.connect_ex(...)", "connect_ex", "sock", arguments=({"tuple": ["juliet", 4000]},), local=HERE, value=value
    )
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock").partition(" ?")[0] == path


def test_calls_beyond_the_plans_own_are_known_by_their_sockets(run, talk):
    connect(made(run), peer=THERE)
    first = run.records[-1]
    shut = CallRecord(
        text="sock.shutdown(...)",
        method="shutdown",
        status="done",
        start_ns=first.end_ns + MILLI,
        end_ns=first.end_ns + MILLI,
        sockets=first.calls[0].sockets,
    )
    run.records[-1] = replace(first, calls=(*first.calls, shut))
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == f"{OPEN} FIN_WAIT_1"


def test_a_socket_that_was_never_used(run, wire):
    made(run)
    histories = run.evidence({"romeo": wire.pcap()}).histories
    assert [(one.sockets, [two.state for two in one.transitions]) for one in histories] == [(("sock",), ["CLOSED"])]
    assert histories[0].transitions[0].source == "call"


def test_a_listening_socket_until_it_is_closed(run, wire):
    made(run)
    run.call(1, 2, "romeo", 'sock.bind(("romeo", 4000))', "bind", "sock", local="10.10.0.100:4000")
    run.call(3, 4, "romeo", "sock.listen()", "listen", "sock", local="10.10.0.100:4000")
    run.ss(5, "romeo", "LISTEN 10.10.0.100:4000 0.0.0.0:*")
    (history,) = run.evidence({}).histories
    assert ([one.state for one in history.transitions], history.local, history.peer, history.question) == (
        ["CLOSED", "LISTEN"],
        "10.10.0.100:4000",
        "",
        "",
    )
    run.call(6, 7, "romeo", "sock.close()", "close", "sock")
    assert [one.state for one in run.evidence({}).histories[0].transitions] == ["CLOSED", "LISTEN", "CLOSED"]


@pytest.mark.parametrize(("how", "path"), [(0, "CLOSED LISTEN CLOSED"), (1, "CLOSED LISTEN"), (2, "CLOSED LISTEN CLOSED")])
def test_shutting_down_a_listener(run, how, path):
    made(run)
    run.call(3, 4, "romeo", "sock.listen()", "listen", "sock", local="10.10.0.100:4000")
    close(run, 5, "shutdown", how)
    assert " ".join(one.state for one in run.evidence({}).histories[0].transitions) == path


def test_connect_and_shutdown_come_from_the_calls(run, talk):
    connect(made(run), peer=THERE)
    close(run, 2, "shutdown", {"constant": "SHUT_WR"})
    talk.open().say(2.05, "romeo", "F.", 1, 1).say(2.1, "juliet", ".", 1, 2)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} FIN_WAIT_1 FIN_WAIT_2"
    (history,) = run.evidence(captures).histories
    assert [one.source for one in history.transitions] == ["call", "call", "wire", "call", "wire"]


def test_shutting_down_the_receiving_side_moves_nothing(run, talk):
    connect(made(run), peer=THERE)
    close(run, 2, "shutdown", 0)
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == OPEN


@pytest.mark.parametrize("local", [HERE, "0.0.0.0:0", ""])
def test_a_refused_connect_is_found_by_what_it_aimed_at(run, talk, local):
    connect(made(run), local=local, **failed("ECONNREFUSED"))
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo", "sock") == "CLOSED SYN_SENT CLOSED"
    assert run.evidence(captures).histories[0].peer == THERE


def test_connect_ex_gives_its_error_as_a_number(run, talk):
    made(run).call(
        0.9, 9, "romeo", "sock.connect_ex(...)", "connect_ex", "sock", arguments=({"tuple": ["juliet", 4000]},), local=HERE, value=110
    )
    talk.say(1, "romeo", "S")
    assert run.states(talk.captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_a_syn_that_never_left(run, wire):
    connect(made(run), end=5000, **failed("ETIMEDOUT"))
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_a_connect_that_still_blocks(run, wire):
    connect(made(run), end=5000, status="blocked")
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == "CLOSED SYN_SENT"


@pytest.mark.parametrize(("end", "path"), [(1, "CLOSED"), (3000, "CLOSED SYN_SENT CLOSED")])
def test_no_route_at_once_is_no_syn_and_late_it_was_one(run, wire, end, path):
    connect(made(run), end=end, **failed("EHOSTUNREACH"))
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == path


def test_a_rule_may_have_rejected_at_once(run, wire):
    run.rule(0, "romeo", "-I OUTPUT -p tcp -j REJECT")
    connect(made(run), end=1, **failed("EHOSTUNREACH"))
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_an_impatient_connect_stays_in_syn_sent(run, talk):
    connect(made(run), end=100, status="raised", exceptions=("TimeoutError", "OSError", "Exception"))
    close(run, 200)
    assert run.states(talk.say(1, "romeo", "S").captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_one_socket_tried_twice_has_one_history(run, talk):
    connect(made(run), end=1.2, **failed("ECONNREFUSED"))
    connect(run, start=200, end=201, peer=THERE)
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    talk.isn["romeo"] = 77_000
    captures = talk.open(200.1).captures("romeo")
    assert run.states(captures, "romeo", "sock") == "CLOSED SYN_SENT CLOSED SYN_SENT ESTABLISHED"


def accepted(run, talk):
    run.call(0, 0.1, "juliet", "server = socket.socket()", "socket.socket", names=("server",))
    run.call(0.2, 0.3, "juliet", "server.listen()", "listen", "server", local="0.0.0.0:4000")
    run.call(0.4, 5, "juliet", "conn, _ = server.accept()", "accept", "server", names=("conn", "_"), local=THERE, peer=HERE)
    return talk.open()


def test_an_accepted_socket_began_in_listen(run, talk, wire):
    captures = accepted(run, talk).captures("juliet")
    assert run.states(captures, "juliet", "conn") == CHILD
    conn = next(one for one in run.evidence(captures).histories if "conn" in one.sockets)
    assert (conn.transitions[0].source, conn.transitions[0].at_ns) == ("call", wire.BEGIN + 300_000)


def test_accept_alone_tells_without_a_capture_and_a_question_stays(run, talk):
    accepted(run, talk)
    assert run.states({}, "juliet", "conn") == f"{CHILD} ? juliet captured nothing"


def test_a_capture_that_shows_nothing_of_an_open_connection_asks(run, wire):
    connect(made(run), peer=THERE)
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == f"{OPEN} ? romeo's capture shows no segment of sock"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"dropped": 3, "complete": True}, "lost 3 frames"),
        ({}, "was cut short"),
        ({"complete": True, "frames": 9}, "cannot be read whole: 9 frames"),
    ],
)
def test_a_capture_that_cannot_be_trusted_asks(run, talk, trouble, said):
    connect(made(run), peer=THERE)
    run.captures["romeo"] = CaptureRecord(host="romeo", file="romeo.pcap", **trouble)
    assert f"? romeo's capture {said}" in run.states(talk.open().captures("romeo"), "romeo", "sock")


def test_close_with_unread_data_is_a_reset_and_not_a_fin(run, talk):
    connect(made(run), peer=THERE)
    close(run, 3)
    talk.open().say(2, "juliet", "P.", 1, 1, b"x").say(2.1, "romeo", ".", 1, 2).say(3.05, "romeo", "R.", 1, 2)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_lingering_close_of_which_nothing_is_seen_asks(run, talk):
    connect(made(run), peer=THERE)
    run.call(2, 2.1, "romeo", "sock.setsockopt(...)", "setsockopt", "sock", arguments=(1, 13, {"bytes": ""}), local=HERE, peer=THERE)
    close(run, 3)
    assert "? sock.close() with SO_LINGER" in run.states(talk.open().captures("romeo"), "romeo", "sock")


def test_a_fin_that_never_leaves_is_still_fin_wait_1(run, talk):
    connect(made(run), peer=THERE)
    close(run, 3)
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == f"{OPEN} FIN_WAIT_1"


def test_a_connection_that_timed_out(run, talk):
    connect(made(run), peer=THERE)
    run.call(2, 9000, "romeo", "sock.recv(9)", "recv", "sock", **failed("ETIMEDOUT"))
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_reset_is_told_once_by_wire_and_call(run, talk):
    connect(made(run), peer=THERE)
    run.call(2, 3.1, "romeo", "sock.recv(9)", "recv", "sock", **failed("ECONNRESET"))
    captures = talk.open().say(3, "juliet", "R", 1).captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_name_bound_again_is_another_socket(run, talk):
    connect(made(run), peer=THERE)
    close(run, 2)
    run.call(3, 3.1, "romeo", "sock = socket.socket()", "socket.socket", names=("sock",), cookie=99)
    talk.open().say(2.05, "romeo", "F.", 1, 1)
    histories = run.evidence(talk.captures("romeo")).histories
    assert [[two.state for two in one.transitions][-1] for one in histories if one.sockets] == ["FIN_WAIT_1", "CLOSED"]


def test_mapped_addresses_are_the_wires_own(run, talk):
    connect(made(run), local="[::ffff:10.10.0.100]:40000", peer="[::ffff:10.10.0.101]:4000")
    captures = talk.open().captures("romeo")
    assert run.states(captures, "romeo", "sock") == OPEN


# Rules that may have swallowed what a capture shows.


def drop(run, host, words="-I INPUT -p tcp -j DROP"):
    return run.rule(0.5, host, words)


def test_a_dropped_syn_ack_holds_syn_received_and_syn_sent(run, talk):
    drop(run, "romeo", "-I INPUT -p tcp --tcp-flags SYN,ACK SYN,ACK -j DROP").remove(2000, "romeo")
    talk.say(1, "romeo", "S").say(1.1, "juliet", "S.", 0, 1).say(1001, "romeo", "S").say(1001.1, "juliet", "S.", 0, 1)
    asked = (
        "CLOSED SYN_SENT ? frame 4 of romeo's capture (juliet.4000 > romeo.40000 S. 0:0(0) ack 1 win 502) came while a rule was in force"
        " there, and nothing that romeo did next tells whether TCP got it"
    )
    assert both(run, talk) == (asked, "LISTEN SYN_RECEIVED")
    talk.say(3001, "romeo", "S").say(3001.1, "juliet", "S.", 0, 1).say(3001.2, "romeo", ".", 1, 1)
    assert both(run, talk) == (OPEN, CHILD)


def test_what_is_acknowledged_arrived(run, talk):
    drop(run, "romeo", "-A INPUT -p udp -j DROP")
    talk.open().say(2, "juliet", "F.", 1, 1).say(42, "romeo", ".", 1, 2)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSE_WAIT"


@pytest.mark.parametrize("words", ["-I OUTPUT -p tcp -j DROP", "-t nat -A POSTROUTING -j MASQUERADE", "-A FORWARD -j DROP"])
def test_a_rule_on_the_way_out_raises_no_doubt(run, talk, words):
    drop(run, "romeo", words)
    assert run.states(talk.open().say(2, "juliet", "R", 1).captures("romeo"), "romeo") == f"{OPEN} CLOSED"


def test_a_rule_that_a_program_put_in_raises_doubt(run, talk):
    run.act(0.5, "romeo", Run(argv=("sh", "-c", "/usr/sbin/iptables -A INPUT -j DROP")))
    assert "? frame 4" in run.states(talk.open().say(2, "juliet", "R", 1).captures("romeo"), "romeo")


@pytest.mark.parametrize(
    ("then", "path"),
    [
        (lambda run, talk: None, f"{OPEN} ?"),
        (lambda run, talk: talk.say(3, "romeo", "P.", 1, 1, b"alive"), OPEN),
        (lambda run, talk: talk.say(3, "romeo", "R", 1), f"{OPEN} ?"),
        (lambda run, talk: run.call(3, 4, "romeo", "sock.recv(1)", "recv", "sock", **failed("ECONNRESET")), f"{OPEN} CLOSED"),
        (lambda run, talk: run.ss(50, "romeo"), f"{OPEN} CLOSED"),
        (lambda run, talk: run.ss(50, "romeo", f"ESTAB {HERE} {THERE}"), OPEN),
    ],
)
def test_a_doubtful_reset(run, talk, then, path):
    connect(made(run), peer=THERE)
    drop(run, "romeo")
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
    drop(run, "romeo")
    talk.open().say(2, "romeo", "F.", 1, 1).say(3, "juliet", ".", 1, 2)
    then(run, talk)
    states = run.states(talk.captures("romeo"), "romeo")
    assert states.startswith(path) if path.endswith("?") else states == path


@pytest.mark.parametrize(
    ("then", "path"),
    [
        (lambda run, talk: talk, f"{OPEN} ?"),
        (lambda run, talk: talk.say(9, "romeo", "P.", 1, 1, b"x"), OPEN),
        (lambda run, talk: talk.say(2.5, "romeo", "P.", 1, 1, b"x"), f"{OPEN} ?"),
        (lambda run, talk: run.call(2.1, 2.2, "romeo", "sock.recv(1)", "recv", "sock", value={"bytes": ""}), f"{OPEN} CLOSE_WAIT"),
    ],
)
def test_a_doubtful_fin(run, talk, then, path):
    connect(made(run), peer=THERE)
    drop(run, "romeo")
    talk.open().say(2, "juliet", "F.", 1, 1)
    then(run, talk)
    states = run.states(talk.captures("romeo"), "romeo", "sock")
    assert states.startswith(path) if path.endswith("?") else states == path


def test_a_fin_that_arrived_only_the_second_time(run, talk):
    drop(run, "romeo").remove(100, "romeo")
    talk.open().say(2, "juliet", "F.", 1, 1).say(50, "romeo", "P.", 1, 1, b"x").say(200, "juliet", "F.", 1, 2).say(
        200.1, "romeo", ".", 2, 2
    )
    (history,) = run.evidence(talk.captures("romeo")).histories
    assert (history.transitions[-1].state, history.transitions[-1].at_ns % 1_000_000_000) == ("CLOSE_WAIT", 200_000_000)


def test_a_fin_behind_a_hole_that_a_rule_tore(run, talk):
    drop(run, "romeo").remove(100, "romeo")
    talk.open().say(2, "juliet", "P.", 1, 1, b"lost").say(150, "juliet", "F.", 5, 1).say(152, "romeo", ".", 1, 1)
    talk.say(200, "juliet", "P.", 1, 1, b"lost").say(200.1, "romeo", ".", 1, 6)
    assert run.states(talk.captures("romeo"), "romeo") == f"{OPEN} CLOSE_WAIT"


def test_a_doubtful_last_ack_is_shown_by_accept(run, talk):
    drop(run, "juliet")
    captures = accepted(run, talk).captures("juliet")
    assert run.states(captures, "juliet", "conn") == CHILD


def test_a_reset_made_by_a_rule_is_not_tcps_own(run, talk):
    connect(made(run), peer=THERE)
    drop(run, "romeo", "-I INPUT -p tcp -j REJECT --reject-with tcp-reset")
    talk.open().say(2, "juliet", "P.", 1, 1, b"x").say(2.05, "romeo", "R", 1)
    assert "?" in run.states(talk.captures("romeo"), "romeo", "sock")
    talk.say(9, "romeo", "P.", 1, 1, b"alive")
    assert run.states(talk.captures("romeo"), "romeo", "sock") == OPEN


def test_a_reset_by_close_is_tcps_own_also_behind_a_rule(run, talk):
    connect(made(run), peer=THERE)
    drop(run, "romeo")
    close(run, 3)
    captures = talk.open().say(3.05, "romeo", "R.", 1, 1).captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_doubtful_icmp_error(run, talk, wire):
    drop(run, "romeo")
    talk.say(1, "romeo", "S")
    message = b"\3\1" + bytes(6) + wire.ipv4(wire.tcp("S", 1000)[:8])
    talk.frames["romeo"].append((2 * wire.MILLI, wire.ethernet(wire.ipv4(message, wire.JULIET, wire.ROMEO, protocol=1))))
    assert "?" in run.states(talk.captures("romeo"), "romeo")
    connect(made(run), end=2.2, **failed("EHOSTUNREACH"))
    assert run.states(talk.captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_a_syn_that_a_rule_answers_by_icmp_never_came_to_tcp(run, talk, wire):
    drop(run, "juliet", "-I INPUT -p tcp -j REJECT")
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
