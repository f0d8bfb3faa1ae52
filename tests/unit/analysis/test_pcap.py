"""Capture files: every flavour is read, every kind of damage is told with its byte, and what stood before it is kept."""

import struct

import pytest

from orchestrator.analysis.wire.pcap import frames, link_type
from orchestrator.errors import EvidenceError


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [True, False])
def test_both_byte_orders_and_both_clocks(wire, order, nano):
    data = wire.pcap((5_000, b"abc"), (1_000_006_000, b"defgh"), order=order, nano=nano)
    found = list(frames(data))
    assert [at_ns - wire.BEGIN for at_ns, *_ in found] == [5_000, 1_000_006_000]
    assert [data[start:end] for _, start, end, _ in found] == [b"abc", b"defgh"]
    assert [original for *_, original in found] == [3, 5]


@pytest.mark.parametrize("link", [1, 101, 113, 276])
def test_link_types(wire, link):
    assert link_type(wire.pcap(link=link)) == link


def test_the_high_bits_of_the_link_type_speak_of_something_else(wire):
    assert link_type(wire.pcap(link=1 | 0x50000000)) == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "byte 0: the capture ends inside its own header"),
        (bytes(24), "byte 0: 00000000 is not how a pcap file begins"),
        (b"\x0a\x0d\x0d\x0a" + bytes(30), "byte 0: this is pcapng"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 105), "byte 20: frames of link type 105 cannot be read"),
    ],
)
def test_no_capture_at_all(data, text):
    with pytest.raises(EvidenceError, match=r"^byte \d") as raised:
        link_type(data)
    assert str(raised.value).startswith(text)


@pytest.mark.parametrize(
    ("cut", "text"),
    [
        (1, "byte 46: the capture ends inside a frame (6 bytes promised, 5 there)"),
        (7, "byte 46: the capture ends inside a frame's header"),
        (21, "byte 46: the capture ends inside a frame's header"),
    ],
)
def test_a_cut_is_told_and_what_stands_before_it_is_kept(wire, cut, text):
    data = wire.pcap((0, b"whole!"), (1, b"second"))
    kept = []
    with pytest.raises(EvidenceError) as raised:
        kept.extend(frames(data[:-cut]))
    assert str(raised.value) == text
    assert len(kept) == 1


def test_a_cut_anywhere(wire):
    data = wire.pcap(*((at, bytes(at)) for at in range(20)))
    ends = [end for *_, end, _ in frames(data)]
    for cut in range(24, len(data)):
        kept = []
        if cut in {24, *ends}:
            kept.extend(frames(data[:cut]))
        else:
            with pytest.raises(EvidenceError, match="the capture ends inside a frame"):
                kept.extend(frames(data[:cut]))
        assert len(kept) == sum(end <= cut for end in ends)


def test_a_cut_between_two_frames_is_no_damage(wire):
    assert len(list(frames(wire.pcap((0, b"whole!"), (1, b"second"))[:-22]))) == 1


def test_a_frame_that_is_too_long_is_damage(wire):
    data = wire.pcap() + struct.pack("<IIII", 0, 0, 262_145, 1) + bytes(262_145)
    with pytest.raises(EvidenceError, match="byte 24: a frame claims 262145 bytes"):
        list(frames(data))


def test_the_longest_frame_and_the_shortest_capture(wire):
    data = wire.pcap() + struct.pack("<IIII", 0, 0, 262_144, 1) + bytes(262_144)
    assert [end - start for _, start, end, _ in frames(data)] == [262_144]
    assert list(frames(data[:24])) == []
    with pytest.raises(EvidenceError, match="byte 23: the capture ends inside its own header"):
        list(frames(data[:23]))


def test_damage_becomes_a_problem_of_the_capture(wire, run):
    good = wire.ethernet(wire.ipv4(wire.tcp("S", 1)))
    evidence = run.evidence({"romeo": wire.pcap((0, good), (1, good))[:-3]})
    assert len(evidence.segments) == 1
    assert evidence.captures[0].frames == 1
    assert evidence.captures[0].problem.startswith("byte 94: the capture ends inside a frame")


def test_missing_bytes_and_missing_frames_are_problems(wire, run):
    from orchestrator.model.record import CaptureRecord

    record = run.record({"romeo": b"", "juliet": b""})
    record = type(record)(
        run_id="r",
        label="x",
        status="completed",
        start_ns=0,
        end_ns=0,
        captures=(CaptureRecord(host="romeo", file="r.pcap", frames=2), CaptureRecord(host="juliet", file="j.pcap")),
    )
    from orchestrator.analysis import analyse

    evidence = analyse(run.plan(), record, {"romeo": wire.pcap((0, b"x" * 20))})
    assert {one.host: one.problem for one in evidence.captures} == {
        "romeo": "2 frames were written, 1 are left",
        "juliet": "the capture's file is missing",
    }


def test_a_frame_captured_too_short_to_read_is_a_problem(wire, run):
    whole = wire.ethernet(wire.ipv4(wire.tcp("S", 1)))
    data = wire.pcap() + struct.pack("<IIII", 0, 0, 40, len(whole)) + whole[:40]
    assert run.evidence({"romeo": data}).captures[0].problem == "byte 40: frame 1 was captured too short to read (40 of 54 bytes)"
