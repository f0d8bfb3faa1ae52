"""Histories of the sockets that a scenario names: calls and wire together, and the questions asked where one of them is missing."""

import pytest
from msgspec.structs import replace

from orchestrator.model.record import CallRecord, CaptureRecord, SocketFacts

OPEN = "CLOSED SYN_SENT ESTABLISHED"
CHILD = "LISTEN SYN_RECEIVED ESTABLISHED"
MILLI = 1_000_000
HERE, THERE = "10.10.0.100:40000", "10.10.0.101:4000"


def test_a_reset_whose_number_nobody_knows_asks(run, talk):
    run.made().connect(peer=THERE)
    assert "? whether the RST in frame 1 was acceptable is open" in run.states(
        talk.say(9, "juliet", "R", 1).captures("romeo"), "romeo", "sock"
    )


def test_a_socket_that_could_not_be_made_and_names_that_nothing_made(run, wire):
    run.call(0, 0.1, "romeo", "sock = socket.socket(9, 9)", "socket.socket", names=("sock",), **run.failed("EAFNOSUPPORT"))
    run.close(1)
    assert run.evidence({"romeo": wire.pcap()}).histories == ()


def test_an_address_that_is_no_inet_address(run, wire):
    run.made()
    run.call(1, 2, "romeo", "sock.connect('/run/x')", "connect", "sock", arguments=("/run/x",), **run.failed("EINVAL"))
    (history,) = run.evidence({"romeo": wire.pcap()}).histories
    assert (history.peer, [one.state for one in history.transitions]) == ("", ["CLOSED"])


def test_what_a_sample_knows_of_a_named_socket_counts(run, talk):
    run.made().connect(local="")
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
    run.made().call(
        1, 2, "romeo", "sock.connect_ex(...)", "connect_ex", "sock", arguments=({"tuple": ["juliet", 4000]},), local=HERE, value=value
    )
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock").partition(" ?")[0] == path


def test_calls_beyond_the_plans_own_are_known_by_their_sockets(run, talk):
    run.made().connect(peer=THERE)
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
    run.made()
    histories = run.evidence({"romeo": wire.pcap()}).histories
    assert [(one.sockets, [two.state for two in one.transitions]) for one in histories] == [(("sock",), ["CLOSED"])]
    assert histories[0].transitions[0].source == "call"


def test_a_listening_socket_until_it_is_closed(run, wire):
    run.made()
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
    run.made()
    run.call(3, 4, "romeo", "sock.listen()", "listen", "sock", local="10.10.0.100:4000")
    run.close(5, "shutdown", how)
    assert " ".join(one.state for one in run.evidence({}).histories[0].transitions) == path


def test_connect_and_shutdown_come_from_the_calls(run, talk):
    run.made().connect(peer=THERE)
    run.close(2, "shutdown", {"constant": "SHUT_WR"})
    talk.open().say(2.05, "romeo", "F.", 1, 1).say(2.1, "juliet", ".", 1, 2)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} FIN_WAIT_1 FIN_WAIT_2"
    (history,) = run.evidence(captures).histories
    assert [one.source for one in history.transitions] == ["call", "call", "wire", "call", "wire"]


def test_shutting_down_the_receiving_side_moves_nothing(run, talk):
    run.made().connect(peer=THERE)
    run.close(2, "shutdown", 0)
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == OPEN


@pytest.mark.parametrize("local", [HERE, "0.0.0.0:0", ""])
def test_a_refused_connect_is_found_by_what_it_aimed_at(run, talk, local):
    run.made().connect(local=local, **run.failed("ECONNREFUSED"))
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo", "sock") == "CLOSED SYN_SENT CLOSED"
    assert run.evidence(captures).histories[0].peer == THERE


def test_connect_ex_gives_its_error_as_a_number(run, talk):
    run.made().call(
        0.9, 9, "romeo", "sock.connect_ex(...)", "connect_ex", "sock", arguments=({"tuple": ["juliet", 4000]},), local=HERE, value=110
    )
    talk.say(1, "romeo", "S")
    assert run.states(talk.captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_a_syn_that_never_left(run, wire):
    run.made().connect(end=5000, **run.failed("ETIMEDOUT"))
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_a_connect_that_still_blocks(run, wire):
    run.made().connect(end=5000, status="blocked")
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == "CLOSED SYN_SENT"


@pytest.mark.parametrize(("end", "path"), [(1, "CLOSED"), (100.899, "CLOSED"), (100.9, "CLOSED SYN_SENT CLOSED")])
def test_no_route_at_once_is_no_syn_and_late_it_was_one(run, wire, end, path):
    run.made().connect(end=end, **run.failed("EHOSTUNREACH"))
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == path


@pytest.mark.parametrize(
    ("start", "removed", "path"),
    [(0, 5, "SYN_SENT CLOSED"), (0.9, 5, "SYN_SENT CLOSED"), (0, 0.9, "SYN_SENT CLOSED"), (0, 0.8, ""), (0.95, 5, "")],
)
def test_a_rule_may_have_rejected_at_once(run, wire, start, removed, path):
    run.rule(start, "romeo", "-I OUTPUT -p tcp -j REJECT").remove(removed, "romeo")
    run.made().connect(end=1, **run.failed("EHOSTUNREACH"))
    assert run.states({"romeo": wire.pcap()}, "romeo", "sock") == f"CLOSED {path}".strip()


def test_a_syn_that_left_before_the_route_was_lost(run, talk):
    run.made().connect(end=1, **run.failed("EHOSTUNREACH"))
    assert run.states(talk.say(0.95, "romeo", "S").captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_an_impatient_connect_stays_in_syn_sent(run, talk):
    run.made().connect(end=100, status="raised", exceptions=("TimeoutError", "OSError", "Exception"))
    run.close(200)
    assert run.states(talk.say(1, "romeo", "S").captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


def test_one_socket_tried_twice_has_one_history(run, talk):
    run.made().connect(end=1.2, **run.failed("ECONNREFUSED"))
    run.connect(start=200, end=201, peer=THERE)
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    talk.isn["romeo"] = 77_000
    captures = talk.open(200.1).captures("romeo")
    assert run.states(captures, "romeo", "sock") == "CLOSED SYN_SENT CLOSED SYN_SENT ESTABLISHED"


def test_a_socket_that_failed_at_once_after_it_had_been_refused_was_not_in_syn_sent_again(run, talk):
    run.made().connect(end=1.2, **run.failed("ECONNREFUSED"))
    run.connect(start=200, end=200.1, **run.failed("ENETUNREACH"))
    talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -5000, 1)
    assert run.states(talk.captures("romeo"), "romeo", "sock") == "CLOSED SYN_SENT CLOSED"


@pytest.mark.parametrize(("at", "source"), [(3, "wire"), (15, "wire"), (15.001, "call")])
def test_how_near_to_a_call_its_segment_must_be(run, talk, at, source):
    run.made().connect(start=0.9, end=10, peer=THERE)
    captures = talk.say(1, "romeo", "S").say(at, "juliet", "S.", 0, 1).captures("romeo")
    (history,) = run.evidence(captures).histories
    assert (history.transitions[-1].state, history.transitions[-1].source) == ("ESTABLISHED", source)


def test_an_accepted_socket_began_in_listen(run, talk, wire):
    captures = run.accepted(talk).captures("juliet")
    assert run.states(captures, "juliet", "conn") == CHILD
    conn = next(one for one in run.evidence(captures).histories if "conn" in one.sockets)
    assert (conn.transitions[0].source, conn.transitions[0].at_ns) == ("call", wire.BEGIN + 300_000)


def test_accept_alone_tells_without_a_capture_and_a_question_stays(run, talk):
    run.accepted(talk)
    assert run.states({}, "juliet", "conn") == f"{CHILD} ? juliet captured nothing"


def test_a_capture_that_shows_nothing_of_an_open_connection_asks(run, wire):
    run.made().connect(peer=THERE)
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
    run.made().connect(peer=THERE)
    run.captures["romeo"] = CaptureRecord(host="romeo", file="romeo.pcap", **trouble)
    assert f"? romeo's capture {said}" in run.states(talk.open().captures("romeo"), "romeo", "sock")


def test_close_with_unread_data_is_a_reset_and_not_a_fin(run, talk):
    run.made().connect(peer=THERE)
    run.close(3)
    talk.open().say(2, "juliet", "P.", 1, 1, b"x").say(2.1, "romeo", ".", 1, 2).say(3.05, "romeo", "R.", 1, 2)
    captures = talk.captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_lingering_close_of_which_nothing_is_seen_asks(run, talk):
    run.made().connect(peer=THERE)
    run.call(2, 2.1, "romeo", "sock.setsockopt(...)", "setsockopt", "sock", arguments=(1, 13, {"bytes": ""}), local=HERE, peer=THERE)
    run.close(3)
    assert "? sock.close() with SO_LINGER" in run.states(talk.open().captures("romeo"), "romeo", "sock")


def test_a_fin_that_never_leaves_is_still_fin_wait_1(run, talk):
    run.made().connect(peer=THERE)
    run.close(3)
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == f"{OPEN} FIN_WAIT_1"


def test_a_connection_that_timed_out(run, talk):
    run.made().connect(peer=THERE)
    run.call(2, 9000, "romeo", "sock.recv(9)", "recv", "sock", **run.failed("ETIMEDOUT"))
    assert run.states(talk.open().captures("romeo"), "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_reset_is_told_once_by_wire_and_call(run, talk):
    run.made().connect(peer=THERE)
    run.call(2, 3.1, "romeo", "sock.recv(9)", "recv", "sock", **run.failed("ECONNRESET"))
    captures = talk.open().say(3, "juliet", "R", 1).captures("romeo")
    assert run.states(captures, "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_reset_that_the_kernel_took_though_it_was_not_the_next_number(run, talk):
    # Linux takes one at the right edge of what it has selectively acknowledged (tcp_validate_incoming).
    run.made().connect(peer=THERE)
    run.call(2, 3.1, "romeo", "sock.recv(9)", "recv", "sock", **run.failed("ECONNRESET"))
    talk.open().say(2, "juliet", "P.", 5, 1, b"efgh").say(3, "juliet", "R", 9)
    assert run.states(talk.captures("romeo"), "romeo", "sock") == f"{OPEN} CLOSED"


def test_a_name_bound_again_is_another_socket(run, talk):
    run.made().connect(peer=THERE)
    run.close(2)
    run.call(3, 3.1, "romeo", "sock = socket.socket()", "socket.socket", names=("sock",), cookie=99)
    talk.open().say(2.05, "romeo", "F.", 1, 1)
    histories = run.evidence(talk.captures("romeo")).histories
    assert [[two.state for two in one.transitions][-1] for one in histories if one.sockets] == ["FIN_WAIT_1", "CLOSED"]


def test_mapped_addresses_are_the_wires_own(run, talk):
    run.made().connect(local="[::ffff:10.10.0.100]:40000", peer="[::ffff:10.10.0.101]:4000")
    captures = talk.open().captures("romeo")
    assert run.states(captures, "romeo", "sock") == OPEN
