"""Lines of ``packets``."""

from __future__ import annotations

import pytest

from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.notation.segments import parse_line, parse_segment
from orchestrator.model.words.segments import End, Gap, OptionPattern, SegmentPattern


def test_a_whole_line():
    text = 'romeo.4000 > juliet@lan P. 1:13(12) ack 1 win * <nop,nop,TS val * ecr *> "Hello juliet"'
    assert parse_segment(text) == SegmentPattern(
        source=End(host="romeo", port=4000),
        destination=End(host="juliet", network="lan"),
        flags="P.",
        start=1,
        end=13,
        length=12,
        ack=1,
        options=(OptionPattern(name="nop"), OptionPattern(name="nop"), OptionPattern(name="TS", values=("*", "*"))),
        payload=b"Hello juliet",
        text=text,
    )


@pytest.mark.parametrize(
    ("rest", "fields"),
    [
        ("", {}),
        ("*", {}),
        ("S", {"flags": "S"}),
        (".S", {"flags": "S."}),
        ("none", {"flags": "none"}),
        ("SEW", {"flags": "SEW"}),
        ("0:0(0)", {"start": 0, "end": 0, "length": 0}),
        ("* 5:*(*)", {"start": 5}),
        ("P. *:*(12)", {"flags": "P.", "length": 12}),
        (". 1:7", {"flags": ".", "start": 1, "end": 7, "length": 6}),
        ("3:5(2)", {"start": 3, "end": 5, "length": 2}),
        ("ack 1", {"ack": 1}),
        (". ack * win 65535", {"flags": ".", "window": 65535}),
        ("S <>", {"flags": "S", "options": ()}),
        ("S <*>", {"flags": "S"}),
        ("S <mss 1460,sackOK,wscale *>", {"flags": "S", "options": ("mss 1460", "sackOK", "wscale *")}),
        (". <sack 1:13 25:37>", {"flags": ".", "options": ("sack 1 13 25 37",)}),
        ("S <ts val 1 ecr 0>", {"flags": "S", "options": ("TS 1 0",)}),
        ("S <tfo,eol>", {"flags": "S", "options": ("tfo", "eol")}),
        ("S <tfo *>", {"flags": "S", "options": ("tfo *",)}),
        ('"a b"', {"payload": b"a b"}),
        (r'"\x00\n"', {"payload": b"\x00\n"}),
        (r'b"\xff"', {"payload": b"\xff"}),
        ("'it'", {"payload": b"it"}),
        ('"é"', {"payload": "é".encode()}),
        ("udp", {"protocol": "udp"}),
        ('udp(5) "hello"', {"protocol": "udp", "length": 5, "payload": b"hello"}),
        ("icmp", {"protocol": "icmp"}),
        ("icmp 3", {"protocol": "icmp", "icmp_type": 3}),
        ("icmp 3/*", {"protocol": "icmp", "icmp_type": 3}),
        ("icmp 11/0", {"protocol": "icmp", "icmp_type": 11, "icmp_code": 0}),
    ],
)
def test_what_may_follow(rest, fields):
    if fields.get("options"):
        words = [option.split() for option in fields["options"]]
        fields |= {"options": tuple(OptionPattern(name=name, values=tuple(values)) for name, *values in words)}
    text = f"romeo > juliet {rest}".strip()
    assert parse_segment(text) == SegmentPattern(source=End(host="romeo"), destination=End(host="juliet"), text=text, **fields)


def test_marks_in_front():
    assert parse_line("...") == Gap()
    assert parse_line("? a > b S").optional
    assert parse_line("?a > b S").optional
    assert not parse_line("a > b S").optional


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("a > b SX", 6),
        ("a > b S 1:2(5)", 8),
        ("a > b S ack x", 12),
        ("a > b S ack", 8),
        ("a > b S win 4294967296", 12),
        ("a > b S <mss 1,>", 8),
        ("a > b S <mss 1", 8),
        ("a > b S <nop 1>", 8),
        ("a > b S S", 8),
        ('a > b P. "abc', 9),
        ("a > b P. 1:3(2) 'abc'", 16),
        ("a > b udp (3)", 10),
        ("a > b icmp 3/256", 11),
        ("a > b icmp x", 11),
        ("a b S", 0),
        ("a.0 > b S", 0),
        ("", 0),
    ],
)
def test_what_is_refused(text, offset):
    with pytest.raises(Misread) as caught:
        parse_line(text)
    assert caught.value.offset == offset
