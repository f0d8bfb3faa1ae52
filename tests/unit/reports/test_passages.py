"""Evidence becomes the lines of the ladder."""

import pytest

from orchestrator.model.evidence import ClockEvidence, Evidence, History, Option, Passage, Quoted, Segment, Transition
from orchestrator.model.tcp import ACK, PSH, RST, SYN, URG, State
from orchestrator.reports.telling.passages import ladder, segment_words

ORDER = ("romeo", "juliet")


def words(**fields):
    return segment_words(
        Segment(capture="romeo", number=1, at_ns=0, source="a", destination="b", **{"protocol": "tcp", "window": 1, **fields})
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"flags": SYN, "seq": 7, "relative_seq": 0}, "S 0:0(0)"),
        ({"flags": SYN, "seq": 7}, "S 7:7(0)"),
        ({"flags": RST | ACK, "relative_seq": 0, "relative_ack": 1}, "R. 0:0(0) ack 1"),
        ({"flags": RST, "relative_seq": 5, "ack": 9}, "R 5:5(0)"),
        (
            {"flags": PSH | ACK, "relative_seq": 1, "relative_ack": 1, "length": 12, "payload": b"Hello juliet"},
            'P. 1:13(12) ack 1 "Hello juliet"',
        ),
        ({"flags": PSH | ACK, "relative_seq": 1, "relative_ack": 1, "length": 4, "payload": b"a\r\n\x1b"}, "P. 1:5(4) ack 1"),
        ({"flags": PSH | ACK, "relative_seq": 1, "relative_ack": 1, "length": 900, "payload": b"x" * 900}, "P. 1:901(900) ack 1"),
        ({"flags": ACK, "relative_seq": 1, "relative_ack": 9, "window": 0}, ". 1:1(0) ack 9 win 0"),
        ({"flags": RST | ACK, "relative_seq": 0, "relative_ack": 1, "window": 0}, "R. 0:0(0) ack 1"),
        ({"flags": ACK | URG, "relative_seq": 1, "relative_ack": 1, "urgent": 3}, ".U 1:1(0) ack 1 urg 3"),
        ({"flags": ACK, "relative_seq": 1, "relative_ack": 1, "options": (Option(name="sack", values=(5, 9)),)}, ". 1:1(0) ack 1 sack"),
        ({"flags": 0, "relative_seq": 1}, "none 1:1(0)"),
        ({"protocol": "udp", "length": 2, "payload": b"hi"}, 'udp(2) "hi"'),
        ({"protocol": "udp", "length": 700, "fragment": 1480}, "udp fragment at 1480, 700 bytes"),
        ({"protocol": "icmp", "icmp_type": 3, "icmp_code": 3}, "icmp 3/3 port unreachable"),
        ({"protocol": "icmp", "icmp_type": 1, "icmp_code": 4, "version": 6}, "icmp 1/4 port unreachable"),
        ({"protocol": "icmp", "icmp_type": 9, "icmp_code": 9}, "icmp 9/9"),
    ],
)
def test_a_segment_is_told_in_the_notation_of_the_language(fields, text):
    assert words(**fields) == text


def test_both_states_stand_beside_each_segment(reports):
    states = [(line.text, line.left_state, line.right_state) for line in reports["states"]().ladder]
    assert states[0] == ("S 0:0(0)", "SYN_SENT", "SYN_RECEIVED")
    assert states[4] == ("S. 0:0(0) ack 1", "ESTABLISHED", "SYN_RECEIVED")
    assert states[-2:] == [("F. 1:1(0) ack 6", "LAST_ACK", "TIME_WAIT"), (". 6:6(0) ack 2", "CLOSED", "TIME_WAIT")]


def test_the_left_host_is_the_first_of_the_plan_whoever_sends(wire):
    wire = wire()
    wire.tcp("juliet", 1, SYN)
    (line,) = ladder(wire.evidence(), ORDER)
    assert (line.left, line.right, line.rightward) == ("romeo", "juliet", False)


def test_before_its_connection_exists_a_host_is_listening(wire):
    wire = wire()
    wire.tcp("romeo", 1, SYN, lost=True)
    wire.tcp("romeo", 1001, SYN)
    listening = wire.history("juliet", (0, State.LISTEN), peer=False)
    accepted = wire.history("juliet", (1001.02, State.SYN_RECEIVED))
    lines = ladder(wire.evidence(listening, accepted), ORDER)
    assert [line.right_state for line in lines] == ["LISTEN", "SYN_RECEIVED"]


def test_of_two_states_entered_at_one_instant_the_later_one_counts(wire):
    wire = wire()
    wire.tcp("romeo", 1, SYN)
    history = wire.history("romeo", (1, State.CLOSED), (1, State.SYN_SENT))
    assert ladder(wire.evidence(history), ORDER)[0].left_state == "SYN_SENT"


def test_ipv6_ends_are_found_in_brackets(reports):
    assert [line.left_state for line in reports["ipv6"]().ladder] == ["SYN_SENT", "CLOSED"]


def test_a_segment_is_lost_only_where_it_would_have_been_seen(wire):
    wire = wire()
    wire.tcp("romeo", 1, SYN, lost=True)
    whole = wire.evidence()
    assert ladder(whole, ORDER)[0].lost
    assert not ladder(wire.evidence(dropped=1), ORDER)[0].lost
    assert not ladder(type(whole)(segments=whole.segments, passages=whole.passages), ORDER)[0].lost


def test_a_segment_that_only_its_receiver_saw_is_not_lost(wire):
    wire = wire()
    wire.tcp("romeo", 1, SYN, unseen=True)
    assert not ladder(wire.evidence(), ORDER)[0].lost


def test_neighbour_discovery_and_strangers_are_no_part_of_the_conversation(wire):
    wire = wire("ipv6")
    wire.add("romeo", 1, protocol="icmp", icmp_type=135)
    wire.add("romeo", 2, protocol="arp")
    wire.tcp("romeo", 3, SYN, destination_host="")
    wire.add("romeo", 4, protocol="icmp", icmp_type=128)
    assert [line.text for line in ladder(wire.evidence(), ORDER)] == ["icmp 128/0 echo request"]


def test_a_long_ladder_keeps_its_ends_and_counts_the_rest(reports):
    lines = reports["long"]().ladder
    assert len(lines) == 41
    assert (lines[30].more, lines[30].text) == (210, "... 210 more")
    assert lines[31].text.startswith("P. 347521:")


def test_forty_one_lines_are_not_worth_leaving_one_out(wire):
    wire = wire()
    for index in range(41):
        wire.tcp("romeo", index, ACK)
    assert [line.more for line in ladder(wire.evidence(), ORDER)] == [0] * 41


def test_the_clients_port_tells_several_connections_apart(wire):
    wire = wire()
    wire.tcp("romeo", 1, SYN)
    wire.tcp("juliet", 2, SYN | ACK, ack=1)
    assert [line.text for line in ladder(wire.evidence(connections=2), ORDER)] == [":51234 S 0:0(0)", ":51234 S. 0:0(0) ack 1"]


def test_an_icmp_error_speaks_of_the_connection_that_it_quotes(wire):
    wire = wire()
    wire.tcp("romeo", 1, SYN)
    quoted = Quoted(protocol="tcp", source="10.10.0.100", destination="10.10.0.101", source_port=51234, destination_port=4000)
    wire.add("juliet", 2, protocol="icmp", source_port=0, destination_port=0, icmp_type=3, icmp_code=1, quoted=quoted)
    history = wire.history("romeo", (0.9, State.SYN_SENT), (2.02, State.CLOSED))
    assert [line.left_state for line in ladder(wire.evidence(history), ORDER)] == ["SYN_SENT", "CLOSED"]


@pytest.mark.parametrize(("error_ns", "told"), [(0, "LISTEN"), (40, "LISTEN"), (60, "")])
def test_the_state_of_a_host_that_did_not_see_the_segment_is_told_where_its_clock_can(error_ns, told):
    """A lost SYN that romeo sent at 1000; at 1100, by her own clock, juliet got another one."""
    ends = {
        "source": "a",
        "destination": "b",
        "source_port": 1,
        "destination_port": 2,
        "source_host": "romeo",
        "destination_host": "juliet",
    }
    syn = Segment(capture="romeo", number=1, at_ns=1000, protocol="tcp", outgoing=True, flags=SYN, **ends)
    entered = [(500, State.LISTEN), (1100, State.SYN_RECEIVED)]
    transitions = tuple(Transition(at_ns=at_ns, state=state, cause="", source="wire") for at_ns, state in entered)
    history = History(host="juliet", local="b:2", peer="a:1", transitions=transitions)
    clocks = tuple(ClockEvidence(host=host, since_ns=0, until_ns=0, error_ns=error_ns) for host in ORDER if error_ns)
    evidence = Evidence(segments=(syn,), passages=(Passage(sent=0),), histories=(history,), clocks=clocks)
    (line,) = ladder(evidence, ORDER)
    assert line.right_state == told
