"""Sequence numbers wrap at 2**32 (RFC 9293 section 3.4): whatever the ISNs are, evidence is the same but for the raw numbers."""

import struct

import pytest

from orchestrator.analysis.histories.happenings import Kind, at_least, happenings

WRAPPING = [2**32 - 1, 2**32 - 2, 2**32 - 5, 2**32 - 9, 2**31 - 1, 2**31, 2**31 - 5, 0]


def closed_with_holes(talk):
    sack = b"\1\1\5\x0a" + struct.pack("!II", (talk.isn["juliet"] + 5) % 2**32, (talk.isn["juliet"] + 9) % 2**32)
    talk.open().say(2, "juliet", "P.", 5, 1, b"efgh").say(2.1, "romeo", ".", 1, 1, options=sack)
    talk.say(3, "juliet", "F.", 9, 1, b"ij").say(3.1, "romeo", ".", 1, 1)
    talk.say(4, "juliet", "P.", 1, 1, b"abcd").say(4.1, "romeo", ".", 1, 12)
    return talk.say(5, "romeo", "F.", 1, 12, b"x").say(5.1, "juliet", ".", 12, 2).say(5.2, "juliet", ".", 12, 3)


def crossing(talk):
    talk.open().say(2, "romeo", "F.", 1, 1, seen=["juliet"]).say(2.01, "juliet", "F.", 1, 1)
    return talk.say(2.02, "juliet", ".", 2, 2).say(2.1, "romeo", ".", 2, 2)


def refused(talk):
    return talk.say(1, "romeo", "S").say(1.1, "juliet", "R.", -talk.isn["juliet"], 1)


def reset_behind_a_fin(talk):
    return talk.open().say(2, "juliet", "F.", 1, 1, b"x").say(2.05, "juliet", "R", 2).say(2.1, "juliet", "R", 4).say(2.2, "juliet", "R", 3)


def told(run, talk):
    evidence = run.evidence(talk.captures())
    ways = [(one.host, one.local, one.question, *(two.state for two in one.transitions)) for one in evidence.histories]
    return [(one.text, one.relative_seq, one.relative_ack, one.options) for one in evidence.segments], ways


@pytest.mark.parametrize("isn", WRAPPING)
@pytest.mark.parametrize("story", [closed_with_holes, crossing, refused, reset_behind_a_fin])
def test_no_history_depends_on_the_isn(run, talk, story, isn):
    expected = told(run, story(talk))
    assert any(len(way) > 5 for way in expected[1])
    for name in ("romeo", "juliet"):
        other = type(talk)()
        other.isn[name] = isn
        assert told(run, story(other)) == expected


def test_a_reset_behind_a_fin_counts_the_fin(run, talk):
    captures = reset_behind_a_fin(talk).captures("romeo")
    (history,) = run.evidence(captures).histories
    assert [one.state for one in history.transitions][-2:] == ["CLOSE_WAIT", "CLOSED"]
    assert history.transitions[-1].at_ns % 1_000_000_000 == 2_200_000


def test_an_acknowledgment_number_without_the_flag_acknowledges_nothing(run, talk):
    talk.isn["romeo"] = 2**32 - 50  # a segment without ACK carries 0, which lies ahead of these numbers
    talk.say(1, "romeo", "S").say(1.1, "juliet", "none", 1).say(1.2, "juliet", "R", 1)
    assert run.states(talk.captures("romeo"), "romeo") == "CLOSED SYN_SENT"
    talk.say(1.3, "juliet", "S.", 0, 1).say(1.4, "romeo", ".", 1, 1).say(2, "romeo", "F.", 1, 1).say(3, "juliet", "P", 1, data=b"x")
    assert run.states(talk.captures("romeo"), "romeo") == "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1"


@pytest.mark.parametrize(("number", "least", "holds"), [(5, 5, True), (4, 5, False), (3, 2**32 - 3, True), (2**32 - 3, 3, False)])
def test_order_in_sequence_space(number, least, holds):
    assert at_least(number, least) is holds
    assert at_least((least + 2**31 - 1) % 2**32, least)
    assert not at_least((least + 2**31) % 2**32, least)


def test_of_many_acknowledgments_of_one_thing_only_the_first_are_kept(run, talk):
    talk.say(1, "romeo", "S").say(1.1, "juliet", "S.", 0, 1).say(1.2, "juliet", ".", 1, 1)
    for at in range(99):
        talk.say(2 + at, "juliet", ".", 1, 1)
    talk.say(200, "romeo", "F.", 1, 1)
    for at in range(99):
        talk.say(201 + at, "juliet", ".", 1, 2)
    kinds = [one.kind for one in happenings(run.evidence(talk.captures("romeo")).segments, ("10.10.0.100", 40000))]
    assert (kinds.count(Kind.ACK_OF_SYN_IN), kinds.count(Kind.ACK_OF_FIN_IN)) == (64, 64)
