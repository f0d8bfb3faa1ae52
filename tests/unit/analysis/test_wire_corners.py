"""Frames that end where something else begins, and more options than are remembered."""

import struct

from orchestrator.analysis.wire import notation


def test_a_tag_with_nothing_behind_it_is_no_segment(see, wire):
    whole = wire.ethernet(wire.ipv4(wire.tcp("S", 1)), tags=(0x8100,))
    cut = bytes(12) + struct.pack("!HH", 0x8100, 7)
    assert [one.text.split()[3] for one in see(cut, whole, cut[:-1])] == ["S"]


def test_an_ipv6_packet_that_is_shorter_than_its_header_says(see, wire):
    whole = wire.ethernet(wire.ipv6(wire.tcp("S", 1)), 0x86DD)
    assert len(see(whole)) == 1
    assert see(wire.ethernet(wire.ipv6(wire.tcp("S", 1)), 0x86DD)[: 14 + 39]) == ()


def test_what_is_called_ipv6_and_is_not_is_no_segment(see, wire):
    version = bytes([0x40])
    packet = wire.ipv6(wire.tcp("S", 1))
    assert see(wire.ethernet(version + packet[1:], 0x86DD)) == ()


def test_more_options_than_are_remembered(monkeypatch):
    monkeypatch.setattr(notation, "_CACHED", 2)
    reader = notation.OptionReader()
    raws = [bytes([2, 4]) + struct.pack("!H", mss) for mss in (1000, 1100, 1200, 1000)]
    assert [reader.read(raw, None)[1] for raw in raws] == [notation.options_text(notation.parse(raw)) for raw in raws]
    assert [reader.read(raw, None)[0][0].values for raw in raws] == [(1000,), (1100,), (1200,), (1000,)]


def test_an_ipv4_header_longer_than_the_packet_it_begins(see, wire):
    segment = wire.tcp("S", 1)
    texts = [see(wire.ethernet(wire.ipv4(segment, total=total)))[0:1] for total in (40, 19, 1)]
    assert [len(found) for found in texts] == [1, 0, 0]
    options = bytes([1, 1, 1, 0])
    assert len(see(wire.ethernet(wire.ipv4(segment, options=options)))) == 1
    assert see(wire.ethernet(wire.ipv4(segment, options=options, total=23))) == ()
