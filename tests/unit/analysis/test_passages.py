"""Each segment's way from capture to capture."""

import struct

import pytest


def ways(run, captures):
    evidence = run.evidence(captures)
    shown = []
    for way in evidence.passages:
        sent, received = (None if index is None else evidence.segments[index] for index in (way.sent, way.received))
        assert sent is None or sent.outgoing
        assert received is None or not received.outgoing
        shown.append(tuple(one and (one.capture, one.number) for one in (sent, received)))
    return shown


def test_there_and_back_in_order_of_time(run, talk):
    assert ways(run, talk.open().captures()) == [
        (("romeo", 1), ("juliet", 1)),
        (("juliet", 2), ("romeo", 2)),
        (("romeo", 3), ("juliet", 3)),
    ]


def test_what_was_lost_has_no_arrival_and_what_a_capture_missed_no_departure(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(2, "romeo", "S", window=1).say(3, "romeo", "S", window=2, seen=["juliet"])
    assert ways(run, talk.captures()) == [(("romeo", 1), None), (("romeo", 2), ("juliet", 1)), (None, ("juliet", 2))]


def test_of_identical_segments_the_lost_one_is_the_earlier(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(1001, "romeo", "S", seen=["romeo"]).say(1002, "romeo", "S", seen=["juliet"])
    assert ways(run, talk.captures()) == [(("romeo", 1), None), (("romeo", 2), ("juliet", 1))]


def test_identical_segments_that_all_arrive_keep_their_order(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(2, "romeo", "S", seen=["romeo"])
    talk.say(5, "romeo", "S", seen=["juliet"]).say(6, "romeo", "S", seen=["juliet"])
    assert ways(run, talk.captures()) == [(("romeo", 1), ("juliet", 1)), (("romeo", 2), ("juliet", 2))]


def test_one_that_arrived_before_the_next_was_sent_is_the_first(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(2, "romeo", "S", seen=["juliet"]).say(3, "romeo", "S", seen=["romeo"])
    assert ways(run, talk.captures()) == [(("romeo", 1), ("juliet", 1)), (("romeo", 2), None)]


def test_clocks_that_differ(run, talk):
    for at in (5, 6):
        talk.say(at, "romeo", "S", seen=["romeo"])
    for at in (1, 2, 3):
        talk.say(at, "romeo", "S", seen=["juliet"])
    found = ways(run, talk.captures())
    assert sorted(found, key=str) == sorted([(("romeo", 1), ("juliet", 1)), (("romeo", 2), ("juliet", 2)), (None, ("juliet", 3))], key=str)


def test_one_capture_that_began_late_is_matched_by_the_headers(run, talk):
    talk.say(1, "romeo", "S", seen=["romeo"]).say(1.1, "juliet", "S.", 0, 1, seen=["romeo"]).say(2, "romeo", "P.", 1, 1, b"abc")
    assert ways(run, talk.captures())[-1] == (("romeo", 3), ("juliet", 1))


@pytest.mark.parametrize("arrived", [0, 1])
def test_datagrams_are_told_apart_by_what_they_hold(run, wire, arrived):
    both = [wire.ethernet(wire.ipv4(wire.udp(data), protocol=17)) for data in (b"aa", b"bb")]
    captures = {"romeo": wire.pcap(*enumerate(both)), "juliet": wire.pcap((2, both[arrived]))}
    assert ways(run, captures) == [(("romeo", at + 1), ("juliet", 1) if at == arrived else None) for at in (0, 1)]


def test_a_segment_that_one_capture_cut_is_still_the_same(run, wire):
    frame = wire.ethernet(wire.ipv4(wire.tcp("P.", 1, 2, b"abcdefgh")))
    cut = struct.pack("<IIII", wire.BEGIN // 10**9, 5, len(frame) - 4, len(frame)) + frame[:-4]
    assert ways(run, {"romeo": wire.pcap((0, frame)), "juliet": wire.pcap() + cut}) == [(("romeo", 1), ("juliet", 1))]


def test_a_router_in_between_is_not_counted(run, wire):
    def hop(ttl, **way):
        return wire.sll2(wire.ipv4(wire.tcp("S", 1), "10.10.1.100", "10.10.2.100", ttl=ttl), **way)

    router = wire.pcap((1000, hop(64)), (2000, hop(63, direction=4)), link=276)
    captures = {
        "romeo": wire.pcap((0, hop(64, direction=4)), link=276),
        "router": router,
        "juliet": wire.pcap((3000, hop(63)), link=276),
    }
    assert ways(run, captures) == [(("romeo", 1), ("juliet", 1))]


def test_talk_of_the_wire_about_itself_is_left_out(run, wire):
    six = [wire.ethernet(wire.ipv6(bytes((kind,)) + bytes(23), following=58), 0x86DD) for kind in range(256)]
    four = [wire.ethernet(wire.ipv4(bytes((kind,)) + bytes(23), protocol=1)) for kind in range(256)]
    capture = {"romeo": wire.pcap(*((at * wire.MILLI, frame) for at, frame in enumerate((*six, *four))))}
    evidence = run.evidence(capture)
    assert len(evidence.segments) == 512
    left_out = set(range(512)) - {way.sent for way in evidence.passages}
    assert left_out == {130, 131, 132, 133, 134, 135, 136, 137, 143}


def test_what_goes_to_nobody_of_the_topology_and_what_is_no_talk_has_no_way(run, wire):
    outside = wire.ethernet(wire.ipv4(wire.tcp("S", 1), destination="192.0.2.1"))
    tunnel = wire.ethernet(wire.ipv4(b"xyz", protocol=47))
    assert ways(run, {"romeo": wire.pcap((0, outside), (1, tunnel))}) == []
