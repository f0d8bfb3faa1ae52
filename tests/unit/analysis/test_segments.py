"""Frames of every kind become segments, with the text that the language would write."""

import struct

import pytest

from orchestrator.model.evidence import Option, Quoted
from orchestrator.model.tcp import ACK, PSH


def text(see, wire, segment, **fields):
    return see(wire.ethernet(wire.ipv4(segment, **fields)))[0].text


def test_a_tcp_segment_in_full(see, wire):
    options = b"\1\1\x08\x0a" + struct.pack("!II", 1, 2)
    syn = wire.ethernet(wire.ipv4(wire.tcp("S", 100, ports=(51234, 4000))))
    answer = wire.ethernet(wire.ipv4(wire.tcp("S.", 900, 101, ports=(4000, 51234)), wire.JULIET, wire.ROMEO))
    data = wire.ethernet(wire.ipv4(wire.tcp("P.", 101, 901, b"Hello juliet", (51234, 4000), options)))
    segment = see(syn, answer, data)[2]
    assert segment.text == "romeo.51234 > juliet.4000 P. 1:13(12) ack 1 win 502 <nop,nop,TS val 1 ecr 2>"
    assert (segment.number, segment.at_ns, segment.capture) == (3, wire.BEGIN + 2 * wire.MILLI, "romeo")
    assert (segment.seq, segment.ack, segment.relative_seq, segment.relative_ack) == (101, 901, 1, 1)
    assert (segment.flags, segment.payload, segment.length, segment.ttl) == (PSH | ACK, b"Hello juliet", 12, 64)
    assert segment.options == (Option(name="nop"), Option(name="nop"), Option(name="TS", values=(1, 2)))
    assert segment.outgoing


def test_numbers_are_raw_where_no_syn_was_seen(see, wire):
    segment = see(wire.ethernet(wire.ipv4(wire.tcp(".", 77, 88))))[0]
    assert segment.text == "romeo.40000 > juliet.4000 . 77:77(0) ack 88 win 502"
    assert (segment.relative_seq, segment.relative_ack) == (None, None)


def test_numbers_wrap(see, wire):
    frames = [wire.tcp("S", 2**32 - 3), wire.tcp("P.", 2**32 - 2, 5, b"abcdef"), wire.tcp(".", 4, 5)]
    assert [one.relative_seq for one in see(*(wire.ethernet(wire.ipv4(frame)) for frame in frames))] == [0, 1, 7]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\2\4\5\xb4\4\2\1\3\3\7\0\0", "<mss 1460,sackOK,nop,wscale 7,eol>"),
        (b"\1\1\5\x0a" + struct.pack("!II", 600, 700), "<nop,nop,sack 600:700>"),
        (b"\5\x12" + struct.pack("!IIII", 600, 700, 800, 900) + b"\1\0", "<sack 600:700 800:900,nop,eol>"),
        (b"\5\2\1\1", "<sack,nop,nop>"),
        (b"\x22\x06abcd\1\1", "<tfo 0x61626364,nop,nop>"),
        (b"\xfd\4ab", "<unknown-253 0x6162>"),
        (b"\2\3\5\1", "<malformed 0x020305,nop>"),
        (b"\2\x09\5\1", "<malformed 0x02090501>"),
        (b"\1\1\1\2", "<nop,nop,nop,malformed 0x02>"),
        (b"\x1c\4\0\x64", "<uto 100>"),
        (b"\5\3\1\1", "<malformed 0x050301,nop>"),
    ],
)
def test_options(see, wire, raw, expected):
    assert text(see, wire, wire.tcp(".", 1, 2, options=raw)).endswith(f"win 502 {expected}")


def test_sack_edges_are_relative_to_the_datas_own_isn(see, wire):
    syn = wire.tcp("S", 1000)
    sack = wire.tcp(".", 1, 1001, ports=(4000, 40000), options=b"\1\1\5\x0a" + struct.pack("!II", 1501, 1601))
    segment = see(wire.ethernet(wire.ipv4(syn)), wire.ethernet(wire.ipv4(sack, wire.JULIET, wire.ROMEO)))[1]
    assert segment.text.endswith("ack 1 win 502 <nop,nop,sack 501:601>")
    assert segment.options[2].values == (501, 601)


def test_flags_and_urgent_pointer(see, wire):
    assert text(see, wire, wire.tcp("P.U", 1, 2, b"ab", urgent=2)) == "romeo.40000 > juliet.4000 P.U 1:3(2) ack 2 win 502 urg 2"
    assert " SEW 0:0(0) win" in text(see, wire, wire.tcp("SEW", 5))
    assert " none 5:5(0) win" in text(see, wire, wire.tcp("none", 5))
    assert " P. 1:3(2) ack 2 win 502 <nop" in text(see, wire, wire.tcp("P.", 1, 2, b"ab", options=b"\1" * 4, urgent=2))


@pytest.mark.parametrize("flags", ["PU", "SEW", "R", "F", "none"])
def test_a_number_that_acknowledges_nothing_is_not_told(see, wire, flags):
    answer = wire.ethernet(wire.ipv4(wire.tcp("S.", 900, 101, ports=(4000, 40000)), wire.JULIET, wire.ROMEO))
    segment = see(wire.ethernet(wire.ipv4(wire.tcp("S", 100))), answer, wire.ethernet(wire.ipv4(wire.tcp(flags, 100, 901))))[2]
    assert (segment.relative_seq, segment.ack, segment.relative_ack) == (0, 901, None)
    assert "ack" not in segment.text


def test_a_header_that_cannot_be_is_no_segment(see, wire):
    short = bytearray(wire.tcp(".", 1, 2))
    short[12] = 0x40
    long = bytearray(wire.tcp(".", 1, 2))
    long[12] = 0xF0
    cut = wire.tcp(".", 1, 2)[:19]
    assert see(*(wire.ethernet(wire.ipv4(bytes(one))) for one in (short, long, cut))) == ()


def test_ipv4_options_tags_and_padding(see, wire):
    datagram = wire.ipv4(wire.tcp(".", 1, 2, b"xy"), options=b"\1" * 4)
    tagged = wire.ethernet(datagram, tags=(0x8100, 0x88A8))
    padded = wire.ethernet(datagram) + bytes(9)
    assert [one.length for one in see(tagged, padded)] == [2, 2]
    assert [one.payload for one in see(tagged, padded)] == [b"xy", b"xy"]


def test_a_total_length_of_zero_means_the_whole_frame(see, wire):
    assert see(wire.ethernet(wire.ipv4(wire.tcp(".", 1, 2, b"abc"), total=0)))[0].length == 3


@pytest.mark.parametrize("at", [0, 2, 14])
def test_a_network_header_that_cannot_be_is_no_segment(see, wire, at):
    datagram = bytearray(wire.ipv4(wire.tcp(".", 1, 2)))
    if at == 14:
        datagram = datagram[:19]
    else:
        datagram[at] = {0: 0x44, 2: 0}[at]
        datagram[at + 1] = 19 if at else datagram[1]
    assert see(wire.ethernet(bytes(datagram))) == ()


def test_link_types(see, wire):
    datagram = wire.ipv4(wire.tcp("S", 1))
    six = wire.ipv6(wire.tcp("S", 1))
    assert see(wire.sll(datagram), wire.sll(six, 0x86DD, 4), link=113)[1].outgoing
    assert see(datagram, six, link=101)[1].version == 6
    tagged = wire.sll2(struct.pack("!HH", 7, 0x0800) + datagram, kind=0x8100)
    assert see(wire.sll2(datagram), tagged, link=276)[1].text == "romeo.40000 > juliet.4000 S 1:1(0) win 502".replace("1:1", "0:0")
    assert see(wire.sll(datagram)[:15], link=113) == see(wire.sll2(datagram)[:19], link=276) == see(b"", link=101) == ()
    assert see(wire.ethernet(datagram)[:13]) == see(wire.ethernet(b"\0\1", tags=(0x8100,))[:18]) == ()


@pytest.mark.parametrize("size", range(120))
def test_a_frame_of_any_length_in_any_link_layer(see, wire, size):
    four, six = wire.ipv4(wire.tcp(".", 1, 2, bytes(size))), wire.ipv6(wire.tcp(".", 1, 2, bytes(size)))
    for link, dress in ((1, wire.ethernet), (113, wire.sll), (276, wire.sll2), (101, lambda packet, _kind=0: packet)):
        for frame in (dress(four), dress(six, 0x86DD)):
            assert [(one.length, one.seq) for one in see(frame, link=link)] == [(size, 1)]


@pytest.mark.parametrize("direction", range(8))
def test_only_the_packet_type_outgoing_goes_out(see, wire, direction):
    datagram = wire.ipv4(wire.tcp("S", 1))
    for frame, link in ((wire.sll(datagram, direction=direction), 113), (wire.sll2(datagram, direction=direction), 276)):
        assert [one.outgoing for one in see(frame, link=link)] == [direction == 4]


def test_the_packet_type_says_which_way(see, wire):
    datagram = wire.ipv4(wire.tcp("S", 1), wire.JULIET, wire.ROMEO)
    assert [one.outgoing for one in see(wire.sll2(datagram), wire.sll2(datagram, direction=4), link=276)] == [False, True]
    assert not see(wire.ethernet(datagram))[0].outgoing


def test_interfaces_by_the_kernels_index(wire, run):
    from msgspec.structs import replace

    from orchestrator.analysis import analyse
    from orchestrator.model.record import HostRecord

    captures = {"romeo": wire.pcap((0, wire.sll2(wire.ipv4(wire.tcp("S", 1)), interface=3)), link=276)}
    record = replace(run.record(captures), hosts=(HostRecord(name="romeo", interfaces={"eth1": "2", "eth2": "3", "mtu": "x"}),))
    assert analyse(run.plan(), record, captures).segments[0].interface == "eth2"


def test_ipv6_with_extension_headers(see, wire):
    segment = wire.tcp("S", 1)
    hop = struct.pack("!BB6x", 60, 0)
    options = struct.pack("!BB30x", 51, 3)
    authentication = struct.pack("!BB30x", 44, 6)
    fragment = struct.pack("!BBHI", 6, 0, 1, 9)
    frame = wire.ethernet(wire.ipv6(hop + options + authentication + fragment + segment, following=0), 0x86DD)
    found = see(frame)[0]
    assert (found.text, found.version, found.more_fragments) == ("romeo.40000 > juliet.4000 S 0:0(0) win 502", 6, True)


@pytest.mark.parametrize("cut", [60, 50])
def test_ipv6_headers_that_are_cut_are_no_segment(see, wire, cut):
    frame = wire.ethernet(wire.ipv6(struct.pack("!BB6x", 6, 9) + bytes(8), following=0), 0x86DD)
    assert see(frame[:cut]) == see(frame) == see(wire.ethernet(bytes(40), 0x86DD)) == see(wire.ethernet(bytes(39), 0x86DD)) == ()


def test_ipv6_jumbograms_are_measured_by_the_frame(see, wire):
    assert see(wire.ethernet(wire.ipv6(wire.tcp(".", 1, 2, b"abcd"), length=0), 0x86DD))[0].length == 4


def test_udp(see, wire):
    assert text(see, wire, wire.udp(b"hello, world"), protocol=17) == "romeo.40000 > juliet.4000 udp(12)"
    segment = see(wire.ethernet(wire.ipv4(wire.udp(b"hello, world") + b"..", protocol=17)))[0]
    assert (segment.length, segment.payload, segment.source_port) == (12, b"hello, world", 40000)
    assert (segment.icmp_type, segment.icmp_code, segment.flags, segment.quoted) == (0, 0, 0, None)
    assert see(wire.ethernet(wire.ipv4(b"1234567", protocol=17))) == ()


@pytest.mark.parametrize(("claimed", "length"), [(0, 3), (7, 3), (8, 0), (10, 2), (11, 3), (12, 3), (65535, 3)])
def test_a_datagram_is_as_long_as_it_says_if_that_can_be(see, wire, claimed, length):
    (segment,) = see(wire.ethernet(wire.ipv4(wire.udp(b"abc", length=claimed), protocol=17)))
    assert (segment.length, segment.payload) == (length, b"abc"[:length])


def test_headers_with_nothing_behind_them(see, wire):
    udp, tcp, icmp = wire.udp(b""), wire.tcp(".", 1, 2), b"\x08\0\0\0"
    assert [
        one.length for one in see(*(wire.ethernet(wire.ipv4(one, protocol=at)) for at, one in ((17, udp), (6, tcp), (1, icmp), (47, b""))))
    ] == [0] * 4
    frames = [wire.ethernet(wire.ipv6(one, following=at), 0x86DD) for at, one in ((17, udp), (6, tcp), (58, b"\x80\0\0\0"), (59, b""))]
    assert [(one.length, one.ttl) for one in see(*frames)] == [(0, 64)] * 4


def test_only_tcp_and_hop_by_hop_may_have_no_length_in_ipv6(see, wire):
    option = struct.pack("!BB6x", 6, 0)
    frames = [wire.ipv6(wire.udp(b"abc"), following=17, length=0), wire.ipv6(option + wire.tcp(".", 1, 2, b"abcd"), following=0, length=0)]
    assert [(one.protocol, one.length) for one in see(*(wire.ethernet(one, 0x86DD) for one in frames))] == [("tcp", 4)]


def test_fragments(see, wire):
    first = wire.ipv4(wire.udp(b"a" * 16, length=100), protocol=17, fragment=0x2000)
    middle = wire.ipv4(b"b" * 24, protocol=17, fragment=0x2003)
    last = wire.ipv4(b"c" * 5, protocol=17, fragment=6)
    found = see(*(wire.ethernet(one) for one in (first, middle, last)))
    assert [one.text for one in found] == [
        "romeo.40000 > juliet.4000 udp(16) frag 0+",
        "romeo > juliet udp(24) frag 24+",
        "romeo > juliet udp(5) frag 48",
    ]
    assert [one.fragment for one in found] == [0, 24, 48]
    assert found[1].source_port == 0


@pytest.mark.parametrize(("protocol", "said"), [(1, "icmp"), (6, "tcp"), (17, "udp"), (58, "proto-58"), (47, "proto-47")])
def test_later_fragments_of_ipv4_and_what_they_are_called(see, wire, protocol, said):
    (found,) = see(wire.ethernet(wire.ipv4(b"abc", protocol=protocol, fragment=0x3FFF)))
    assert (found.text, found.fragment, found.more_fragments) == (f"romeo > juliet {said}(3) frag 65528+", 65528, True)
    assert (found.payload, found.source_port, found.ttl) == (b"abc", 0, 64)


@pytest.mark.parametrize(("protocol", "said"), [(58, "icmp"), (6, "tcp"), (17, "udp"), (1, "proto-1")])
def test_later_fragments_of_ipv6_and_what_they_are_called(see, wire, protocol, said):
    for offset, more in ((0xFFF8, ""), (0xFFFE, ""), (0xFFF9, "+")):
        later = struct.pack("!BBHI", protocol, 0, offset, 9) + b"abc"
        (found,) = see(wire.ethernet(wire.ipv6(later, following=44), 0x86DD))
        assert (found.text, found.fragment) == (f"romeo > juliet {said}(3) frag 65528{more}", 65528)
        assert found.more_fragments is bool(more)


@pytest.mark.parametrize("bits", [0x8000, 0x4000])
def test_reserved_and_do_not_fragment_are_no_fragments(see, wire, bits):
    (found,) = see(wire.ethernet(wire.ipv4(wire.udp(b"abc"), protocol=17, fragment=bits)))
    assert (found.text, found.fragment, found.more_fragments) == ("romeo.40000 > juliet.4000 udp(3)", 0, False)


@pytest.mark.parametrize(("version", "quoting"), [(4, {3, 4, 5, 11, 12}), (6, {1, 2, 3, 4})])
def test_which_messages_quote(see, wire, version, quoting):
    network, protocol = (wire.ipv4, {"protocol": 1}) if version == 4 else (wire.ipv6, {"following": 58})
    quoted = network(wire.tcp("S", 4711)[:8])
    frames = [
        wire.ethernet(network(bytes((kind, 0)) + bytes(6) + quoted, **protocol), 0x0800 if version == 4 else 0x86DD) for kind in range(256)
    ]
    found = see(*frames)
    assert [one.icmp_type for one in found] == list(range(256))
    assert {one.icmp_type for one in found if one.quoted} == quoting


@pytest.mark.parametrize("missing", range(9))
def test_a_quotation_tells_ports_only_with_all_of_eight_bytes(see, wire, missing):
    for network, protocol, kind, ether in ((wire.ipv4, {"protocol": 1}, 3, 0x0800), (wire.ipv6, {"following": 58}, 1, 0x86DD)):
        quoted = network(wire.tcp("S", 4711)[: 8 - missing])
        (segment,) = see(wire.ethernet(network(bytes((kind, 3)) + bytes(6) + quoted, **protocol), ether))
        told = segment.quoted.source_port, segment.quoted.destination_port, segment.quoted.seq
        assert told == ((0, 0, 0) if missing else (40000, 4000, 4711))


def test_a_quotation_with_options_and_one_that_ends_in_its_addresses(see, wire):
    quoted = wire.ipv4(wire.udp(b"", ports=(1, 2)), protocol=17, options=b"\1" * 8)
    cut = wire.ipv4(b"")[:19]
    torn = b"\x4f" + wire.ipv4(wire.tcp("S", 1))[1:]  # fifteen words of header are claimed, and ten are there
    whole, none, short = see(*(wire.ethernet(wire.ipv4(b"\3\3" + bytes(6) + one, protocol=1)) for one in (quoted, cut, torn)))
    assert (short.quoted.protocol, short.quoted.source_port, short.quoted.seq) == ("tcp", 0, 0)
    assert (whole.quoted.protocol, whole.quoted.source_port, whole.quoted.destination_port, whole.quoted.seq) == ("udp", 1, 2, 0)
    assert none.quoted is None


def test_icmp_quotes_and_what_it_quotes_is_no_segment(see, wire):
    quoted = wire.ipv4(wire.tcp("S", 4711, ports=(1, 2))[:8])
    frame = wire.ethernet(wire.ipv4(b"\3\3\0\0\0\0\0\0" + quoted, wire.JULIET, wire.ROMEO, protocol=1))
    (segment,) = see(frame)
    assert segment.text == "juliet > romeo icmp 3/3"
    assert (segment.icmp_type, segment.icmp_code) == (3, 3)
    assert segment.quoted == Quoted(protocol="tcp", source=wire.ROMEO, destination=wire.JULIET, source_port=1, destination_port=2, seq=4711)


def test_icmpv6_quotes_too(see, wire):
    quoted = wire.ipv6(wire.udp(b"x", ports=(1, 2)), following=17)
    frame = wire.ethernet(wire.ipv6(b"\1\4\0\0\0\0\0\0" + quoted, "fd00::101", "fd00::100", following=58), 0x86DD)
    segment = see(frame)[0]
    assert segment.text == "juliet > romeo icmp 1/4"
    assert segment.quoted == Quoted(protocol="udp", source="fd00::100", destination="fd00::101", source_port=1, destination_port=2)


def test_icmp_without_a_whole_quotation(see, wire):
    for quoted in (b"", wire.ipv4(b"short", protocol=6), wire.ipv4(bytes(8), protocol=1)):
        segment = see(wire.ethernet(wire.ipv4(b"\3\1\0\0\0\0\0\0" + quoted, protocol=1)))[0]
        assert (segment.quoted.source_port if segment.quoted else None) == (0 if quoted else None)
    echo = see(wire.ethernet(wire.ipv4(b"\x08\0\0\0\0\1\0\2data", protocol=1)))[0]
    assert (echo.text, echo.payload, echo.quoted) == ("romeo > juliet icmp 8/0", b"\0\1\0\2data", None)
    assert (echo.length, echo.source_port, echo.destination_port) == (8, 0, 0)
    assert see(wire.ethernet(wire.ipv4(b"\x08\0\0\0" + bytes(200), protocol=1)))[0].length == 200
    assert see(wire.ethernet(wire.ipv4(b"\3\1\0", protocol=1))) == ()


def test_arp(see, wire):
    ask = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, bytes(6), bytes((10, 10, 0, 100)), bytes(6), bytes((10, 10, 0, 101)))
    answer = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, bytes(6), bytes((10, 10, 0, 101)), bytes(6), bytes((10, 10, 0, 100)))
    odd = ask[:6] + b"\0\3" + ask[8:]
    found = see(
        *(wire.ethernet(one, 0x0806) for one in (ask, answer, odd, ask[:27], ask[:2] + b"\x86\xdd" + ask[4:], ask[:2] + b"\0\1" + ask[4:]))
    )
    assert [one.text for one in found] == ["romeo > juliet arp who-has", "juliet > romeo arp is-at", "romeo > juliet arp 3"]
    assert found[0].protocol == "arp"
    assert (found[0].version, found[0].ttl, found[0].fragment, found[0].more_fragments, found[0].length) == (4, 0, 0, False, 0)


def test_other_protocols_and_nobodys_addresses(see, wire):
    found = see(wire.ethernet(wire.ipv4(b"xyz", "192.0.2.1", "192.0.2.2", protocol=47)), wire.ethernet(b"??", 0x88CC))
    assert [(one.text, one.protocol, one.source_host) for one in found] == [("192.0.2.1 > 192.0.2.2 proto-47(3)", "47", "")]
    assert text(see, wire, wire.tcp("S", 1), source="192.0.2.1") == "192.0.2.1.40000 > juliet.4000 S 0:0(0) win 502"
