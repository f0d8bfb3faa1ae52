"""Random segments, made by scapy and read by us: an independent judge of every field."""

from __future__ import annotations

import logging
import random

import pytest

logging.getLogger("scapy").setLevel(logging.ERROR)
scapy = pytest.importorskip("scapy.all")

OPTIONS = [
    ("MSS", 1460), ("NOP", None), ("SAckOK", b""), ("Timestamp", (7, 8)), ("WScale", 9), ("SAck", (100, 200)),
    ("SAck", (100, 200, 300, 400)),
    ("EOL", None),
]  # fmt: skip
NAMES = {"MSS": "mss", "NOP": "nop", "SAckOK": "sackOK", "Timestamp": "TS", "WScale": "wscale", "SAck": "sack", "EOL": "eol"}


def ethernet():
    """A header with both addresses given: scapy would ask the network for a missing one."""
    return scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def segment(dice: random.Random):
    version = dice.choice((4, 6))
    if version == 4:
        network = scapy.IP(
            src="10.10.0.100", dst="10.10.0.101", ttl=dice.randrange(1, 256), options=dice.choice(([], [scapy.IPOption(b"\x01" * 4)]))
        )
    else:
        network = scapy.IPv6(src="fd00::100", dst="fd00::101", hlim=dice.randrange(1, 256))
        if dice.random() < 0.3:
            network = network / scapy.IPv6ExtHdrDestOpt() / scapy.IPv6ExtHdrHopByHop()
    transport = scapy.TCP(
        sport=dice.randrange(1, 65536),
        dport=dice.randrange(1, 65536),
        seq=dice.randrange(2**32),
        ack=dice.randrange(2**32),
        flags=dice.randrange(256) & ~2,  # without SYN, so that numbers stay raw
        window=dice.randrange(65536),
        urgptr=dice.randrange(65536),
        options=dice.sample(OPTIONS, dice.randrange(4)),
    )
    frame = ethernet() / scapy.Dot1Q(vlan=5) if dice.random() < 0.2 else ethernet()
    return frame / network / transport / scapy.Raw(dice.randbytes(dice.randrange(60)))


def test_random_segments(see):
    dice = random.Random(793)
    sent = [scapy.Ether(bytes(segment(dice))) for _ in range(300)]
    found = see(*(bytes(one) for one in sent))
    assert len(found) == len(sent)
    for mine, theirs in zip(found, sent, strict=True):
        tcp = theirs[scapy.TCP]
        assert (mine.source_port, mine.destination_port, mine.seq, mine.ack) == (tcp.sport, tcp.dport, tcp.seq, tcp.ack)
        assert (mine.flags, mine.window, mine.urgent) == (int(tcp.flags), tcp.window, tcp.urgptr)
        assert mine.payload == bytes(tcp.payload)
        names = [NAMES[name] for name, _value in tcp.options]
        names = names[: names.index("eol") + 1] if "eol" in names else names
        assert [option.name for option in mine.options][: len(names)] == names
        network = theirs[scapy.IP] if mine.version == 4 else theirs[scapy.IPv6]
        assert mine.ttl == (network.ttl if mine.version == 4 else network.hlim)
        assert (mine.source, mine.destination) == (network.src, network.dst)


def test_random_datagrams_and_messages(see):
    dice = random.Random(768)
    for _ in range(50):
        data = dice.randbytes(dice.randrange(80))
        ends = scapy.IP(src="10.10.0.100", dst="10.10.0.101")
        datagram = ends / scapy.UDP(sport=5, dport=6) / scapy.Raw(data)
        error = ends / scapy.ICMP(type=3, code=dice.randrange(16)) / bytes(datagram)
        one, other = see(bytes(ethernet() / datagram), bytes(ethernet() / error))
        assert (one.payload, one.length, one.source_port) == (data, len(data), 5)
        assert (other.icmp_code, other.quoted.destination_port) == (error[scapy.ICMP].code, 6)
