"""Which connection on the wire is which socket of the scenario's, and in which listen it began: by ends and by time."""

import pytest

HERE, THERE = "10.10.0.100:40000", "10.10.0.101:4000"


def ends(run, captures):
    return {one.sockets: (one.local, one.peer) for one in run.evidence(captures).histories}


def test_a_programs_connection_elsewhere_is_not_the_sockets_own(run, talk):
    run.made().connect(local="", **run.failed("ECONNREFUSED"))
    for at, ports in ((0.95, (41000, 5000)), (1, (40000, 4000)), (1.2, (42000, 6000))):
        talk.say(at, "romeo", "S", ports=ports)
    assert ends(run, talk.captures("romeo"))["sock",] == (HERE, THERE)
    assert len(run.evidence(talk.captures("romeo")).histories) == 3


def test_two_sockets_that_aim_at_one_port_have_a_connection_each(run, talk):
    for name in ("one", "two"):
        run.made("romeo", name)
        arguments = ({"tuple": ["juliet", 4000]},)
        run.call(0.5, 9, "romeo", f"{name}.connect(...)", "connect", name, arguments=arguments, **run.failed("ETIMEDOUT"))
    talk.say(1, "romeo", "S").say(1.1, "romeo", "S", ports=(41000, 4000))
    assert ends(run, talk.captures("romeo")) == {("one",): (HERE, THERE), ("two",): ("10.10.0.100:41000", THERE)}


@pytest.mark.parametrize(
    ("called", "at", "own"), [((1, 2), 52, True), ((1, 2), 52.001, False), ((51, 60), 1, True), ((51.001, 60), 1, False)]
)
def test_how_far_a_connect_and_its_segments_may_be_apart(run, talk, called, at, own):
    run.made().connect(*called, **run.failed("ECONNREFUSED"))
    histories = ends(run, talk.say(at, "romeo", "S").captures("romeo"))
    assert (() not in histories) is own


@pytest.mark.parametrize(("at", "own"), [(54.9, True), (55, True), (55.001, False)])
def test_how_long_after_accept_its_connection_may_begin(run, talk, at, own):
    run.accepted(type(talk)())
    assert (() not in ends(run, talk.open(at).captures("juliet"))) is own


@pytest.mark.parametrize(("end", "source"), [(50.9, "call"), (51, "call"), (51.001, "wire"), (400, "wire")])
def test_a_listen_that_ended_long_after_the_syn_is_not_where_the_connection_began(run, talk, end, source):
    run.made("juliet", "server").call(0.2, end, "juliet", "server.listen()", "listen", "server", local="0.0.0.0:4000")
    histories = run.evidence(talk.open(1).captures("juliet")).histories
    assert [one.transitions[0].source for one in histories if one.peer] == [source]


def test_a_connection_began_in_the_last_listen_before_it(run, talk, wire):
    captures = run.accepted(talk).captures("juliet")
    run.made("juliet", "other").call(7, 7.1, "juliet", "other.listen()", "listen", "other", local="0.0.0.0:5000")
    run.made("juliet", "again").call(90, 91, "juliet", "again.listen()", "listen", "again", local="0.0.0.0:4000")
    conn = next(one for one in run.evidence(captures).histories if "conn" in one.sockets)
    assert (conn.transitions[0].cause, conn.transitions[0].at_ns) == ("server.listen()", wire.BEGIN + 300_000)


def test_the_last_listen_is_the_last_in_time_whichever_socket_was_made_first(run, talk, wire):
    for name in ("server", "other"):
        run.made("juliet", name)
    run.call(0.2, 0.25, "juliet", "other.listen()", "listen", "other", local="0.0.0.0:4000")
    run.call(0.3, 0.35, "juliet", "other.close()", "close", "other")
    run.call(0.4, 0.5, "juliet", "server.listen()", "listen", "server", local="0.0.0.0:4000")
    (history,) = [one for one in run.evidence(talk.open().captures("juliet")).histories if one.peer]
    assert (history.transitions[0].cause, history.transitions[0].at_ns) == ("server.listen()", wire.BEGIN + 500_000)
