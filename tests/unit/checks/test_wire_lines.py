"""One line of ``packets`` against one segment, and many lines against many, made by hand."""

from __future__ import annotations

import random
import re

import pytest

from orchestrator.checks.captured.lines import Line, line_text
from orchestrator.checks.captured.sequence import parting
from orchestrator.model.evidence import Option, Segment
from orchestrator.model.tcp import ACK, PSH, SYN
from orchestrator.model.topology import Host, Network, Port, Topology
from orchestrator.model.words.segments import End, Gap, OptionPattern, SegmentPattern


def network(name, host, address):
    return Network(name=name, subnets=(), ports=(Port(host=host, interface="eth1", addresses=(f"{address}/24",)),))


TOPOLOGY = Topology(
    name="t",
    hosts=(Host(name="romeo"), Host(name="juliet")),
    networks=(network("left", "romeo", "10.0.1.100"), network("right", "juliet", "10.0.2.100")),
)
ROMEO = {"source": "10.0.1.100", "destination": "10.0.2.100", "source_host": "romeo", "destination_host": "juliet"}


def seg(**fields):
    told = {
        "protocol": "tcp",
        "flags": ACK,
        "relative_seq": 0,
        "relative_ack": 1,
        "window": 502,
        "source_port": 40000,
        "destination_port": 4000,
    }
    return Segment(**{"capture": "romeo", "number": 1, "at_ns": 0, **ROMEO, **told, **fields})


def pattern(**fields):
    return SegmentPattern(**{"source": End(host="romeo"), "destination": End(host="juliet"), **fields})


def fits(line, segment):
    return Line(line, TOPOLOGY).fits(segment)


DATA = seg(
    flags=PSH | ACK,
    relative_seq=1,
    length=12,
    payload=b"Hello juliet",
    options=(Option(name="nop"), Option(name="nop"), Option(name="TS", values=(7, 8))),
)


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"start": 1, "end": 13, "length": 12, "ack": 1, "window": 502}, None),
        ({"start": 2}, "sequence number is 1, not 2"),
        ({"end": 14}, "end is 13, not 14"),
        ({"length": 11}, "length is 12, not 11"),
        ({"ack": 2}, "ack is 1, not 2"),
        ({"window": 503}, "window is 502, not 503"),
        ({"flags": ".P"}, None),
        ({"flags": "."}, "flags are P., not ."),
        ({"payload": b"Hello juliet"}, None),
        ({"payload": b"Hello"}, "payload is 'Hello juliet', not 'Hello'"),
        ({"options": ()}, "options are <nop,nop,TS 7 8>"),
        ({"options": (OptionPattern(name="nop"), OptionPattern(name="nop"), OptionPattern(name="TS", values=("*", "8")))}, None),
        ({"options": (OptionPattern(name="nop"), OptionPattern(name="nop"), OptionPattern(name="TS"))}, None),
        ({"options": (OptionPattern(name="nop"), OptionPattern(name="nop"), OptionPattern(name="TS", values=("7", "9")))}, "options are"),
        ({"options": (OptionPattern(name="nop"), OptionPattern(name="TS"), OptionPattern(name="nop"))}, "options are"),
        ({"protocol": "udp"}, "it is tcp, not udp"),
        ({"source": End(host="juliet")}, "it comes from romeo, not juliet"),
        ({"destination": End(host="nobody")}, "it goes to juliet, not nobody"),
        ({"source": End(host="romeo", port=40000)}, None),
        ({"source": End(host="romeo", port=40001)}, "source port is 40000, not 40001"),
        ({"destination": End(host="juliet", port=4001)}, "destination port is 4000, not 4001"),
        ({"destination": End(host="juliet", network="right")}, None),
        ({"destination": End(host="juliet", network="left")}, "it goes to juliet, not juliet@left"),
    ],
)
def test_each_field_of_a_line(fields, difference):
    line = pattern(**fields)
    differences = list(Line(line, TOPOLOGY).differences(DATA))
    assert fits(line, DATA) is (difference is None)
    assert differences == [] if difference is None else differences[0].startswith(difference)


def test_numbers_are_raw_where_no_syn_was_seen():
    raw = seg(relative_seq=None, relative_ack=None, seq=777, ack=888)
    assert fits(pattern(flags=".", start=777, end=777, ack=888), raw)
    assert not fits(pattern(flags=".", start=0), raw)


def test_an_ack_is_only_there_with_its_flag():
    assert list(Line(pattern(ack=0), TOPOLOGY).differences(seg(flags=SYN, relative_ack=None))) == ["ack is absent, not 0"]


def test_icmp_and_udp_lines():
    assert fits(pattern(protocol="icmp", icmp_type=3), seg(protocol="icmp", icmp_type=3, icmp_code=3))
    assert not fits(pattern(protocol="icmp", icmp_type=3, icmp_code=1), seg(protocol="icmp", icmp_type=3, icmp_code=3))
    assert fits(pattern(protocol="udp", length=12), seg(protocol="udp", length=12))
    assert not fits(pattern(protocol="udp", length=13), seg(protocol="udp", length=12))


def test_sack_blocks_may_be_written_with_a_colon():
    segment = seg(options=(Option(name="sack", values=(501, 601)),))
    for values, good in ((("501:601",), True), (("501", "601"), True), (("501:*",), True), (("501:602",), False), (("501",), False)):
        assert fits(pattern(options=(OptionPattern(name="sack", values=values),)), segment) is good


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (Gap(), "..."),
        (
            pattern(
                source=End(host="romeo", port=1),
                destination=End(host="juliet", network="right"),
                flags="S",
                start=0,
                length=0,
                ack=3,
                window=9,
                optional=True,
            ),
            "? romeo.1 > juliet@right S 0:*(0) ack 3 win 9",
        ),
        (pattern(protocol="icmp", icmp_type=3), "romeo > juliet icmp 3/*"),
        (pattern(protocol="udp", length=12), "romeo > juliet udp(12)"),
        (pattern(text="as it was written"), "as it was written"),
    ],
)
def test_the_text_of_a_line(line, text):
    assert line_text(line) == text


# Lines in order.


@pytest.mark.parametrize(
    ("lines", "segments", "good"),
    [
        ("", "", True),
        ("", "a", False),
        ("a", "a", True),
        ("a", "", False),
        ("ab", "ba", False),
        ("ab", "abb", False),
        ("a?b", "b", True),
        ("a?b", "ab", True),
        ("a?b", "aab", False),
        ("a?a?a?", "aa", True),
        (".", "abc", True),
        (".", "", True),
        ("a.b", "ab", True),
        ("a.b", "abab", True),
        ("a.b", "aba", False),
        (".a.b.", "cacbc", True),
        (".a.b.", "cbca", False),
        ("a?.a?b", "ccb", True),
        ("..", "ab", True),
    ],
)
def test_sequences(lines, segments, good):
    assert (parting(made(lines), [letter(one) for one in segments]) is None) is good


def letter(name):
    return seg(window=ord(name))


def made(lines):
    found = []
    for one in re.findall(r"\w\??|\.", lines):
        line = None if one == "." else Line(pattern(window=ord(one[0]), optional="?" in one), TOPOLOGY)
        found.append(line)
    return found


def test_sequences_against_regular_expressions():
    dice = random.Random(4)
    fit = 0
    for _ in range(2000):
        lines = "".join(dice.choice(("a", "b", "a?", "b?", ".")) for _ in range(dice.randrange(6)))
        segments = "".join(dice.choice("ab") for _ in range(dice.randrange(7)))
        expected = re.fullmatch(lines.replace(".", "[ab]*"), segments) is not None
        assert (parting(made(lines), [letter(one) for one in segments]) is None) is expected, (lines, segments)
        fit += expected
    assert 200 < fit < 1800


def test_many_gaps_cost_no_more_than_one():
    lines, segments = made("." + "a." * 60 + "z"), [letter("a")] * 3000
    assert parting(lines, segments) is not None
