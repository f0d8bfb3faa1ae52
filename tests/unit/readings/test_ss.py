"""The text of ``ss``: real outputs against what was noted of them and against ``netstat`` of the same moment; other versions by hand."""

from pathlib import Path

import pytest

from orchestrator.errors import EvidenceError
from orchestrator.model.tcp import State, state_named
from orchestrator.readings import netstat
from orchestrator.readings.ss import Holder, SocketReading, sockets

GOLDEN = Path(__file__).parents[2] / "golden"
TEXTS = sorted((GOLDEN / "ss").glob("*.txt"))
SECOND_NS = 1_000_000_000


def one(line: str) -> SocketReading:
    (reading,) = sockets(line)
    return reading


def noted(reading: SocketReading) -> str:
    held = ",".join(f"{one.name}/{one.pid}/{one.fd}" for one in reading.processes) or "-"
    timer = f"{reading.timer}/{reading.timer_ns // 1_000_000}ms/{reading.retransmissions}" if reading.timer else "-"
    info = f"cwnd={reading.info.get('cwnd', '-')} congestion={reading.info.get('congestion', '-')}"
    ends = f"{reading.local} {reading.peer or '-'}"
    first = f"{reading.protocol} {reading.state} {reading.recv_q} {reading.send_q}"
    return f"{first} {ends} {held} {timer} ino={reading.inode} sk={reading.cookie} {info}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_a_real_output_reads_as_noted(path):
    assert [noted(reading) for reading in sockets(path.read_text())] == path.with_suffix(".expected").read_text().splitlines()


@pytest.mark.parametrize("name", sorted(path.stem for path in (GOLDEN / "netstat").glob("*.txt")))
def test_ss_and_netstat_of_the_same_moment_agree(name):
    def unbracketed(end):
        return end.replace("[", "").replace("]", "")

    (path,) = (path for path in TEXTS if path.stem.endswith(name))
    by_ss = {
        (one.protocol, unbracketed(one.local), unbracketed(one.peer), one.state, one.state != State.LISTEN and (one.recv_q, one.send_q))
        for one in sockets(path.read_text())
    }
    by_netstat = set()
    for one in netstat.entries((GOLDEN / "netstat" / f"{name}.txt").read_text()):
        state = state_named(one.state) if one.state else State.CLOSED
        peer = "" if one.peer.endswith(":*") else one.peer
        by_netstat.add((one.protocol[:3], one.local, peer, state, state != State.LISTEN and (one.recv_q, one.send_q)))
    assert len(by_ss) > 5
    assert by_ss == by_netstat


def test_every_word_of_an_established_connection():
    (path,) = (path for path in TEXTS if path.stem.endswith("ipv6-retransmitting"))
    (reading,) = (one for one in sockets(path.read_text()) if one.local == "[fd00::100]:40005")
    assert (reading.timer, reading.timer_ns, reading.retransmissions) == ("on", 1_500_000_000, 3)
    assert reading.processes == (Holder(name="python3", pid=1, fd=14),)
    wanted = {
        "rto": "1632",
        "backoff": "3",
        "rtt": "0.109/0.054",
        "retrans": "1/4",
        "send": "2402348624bps",
        "pacing_rate": "68655551952bps",
    }
    assert wanted.items() <= reading.info.items()
    assert {"ts": "", "sack": "", "app_limited": "", "direction": "<->", "congestion": "bbr", "cgroup": "/"}.items() <= reading.info.items()
    assert reading.info["skmem"] == "(r0,rb131072,t0,tb3939840,f3164,w932,o0,bl0,d0)"
    assert not {"ino", "sk", "uid", "users", "timer"} & reading.info.keys()


def test_the_padding_of_a_terminal_changes_nothing():
    line = "tcp   LISTEN 0      5           0.0.0.0:22        0.0.0.0:*     ino:7 sk:1f"
    padded = one(line + " " * 200)
    assert padded == one(line)
    assert (padded.inode, padded.cookie, padded.line) == (7, 31, line)


def test_the_details_on_a_line_of_their_own_belong_to_the_socket_before():
    text = (
        "Netid  State   Recv-Q  Send-Q    Local Address:Port      Peer Address:Port  Process\n"
        'tcp    ESTAB   0       0         10.0.0.1:22             10.0.0.2:50000     users:(("sshd",pid=9,fd=4)) uid:1000 ino:77 sk:2 <->\n'
        "\t skmem:(r0,rb1) cubic wscale:7,7 rto:204 cwnd:10 ssthresh:7\n"
        "tcp    LISTEN  0       128       10.0.0.1:22             0.0.0.0:*\n"
    )
    connected, listening = sockets(text)
    assert (connected.info["ssthresh"], connected.info["congestion"], connected.uid, connected.inode) == ("7", "cubic", 1000, 77)
    assert (listening.state, listening.send_q, listening.peer) == (State.LISTEN, 128, "")


@pytest.mark.parametrize(
    ("local", "peer", "wanted"),
    [
        ("10.0.0.1%eth1:80", "0.0.0.0:*", ("10.0.0.1:80", "")),
        ("[fe80::1]%eth1:80", "[fe80::2]%eth1:81", ("[fe80::1]:80", "[fe80::2]:81")),
        ("[fe80::1%eth1]:80", "[::]:*", ("[fe80::1]:80", "")),
        ("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:81", ("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:81")),
        ("*:80", "*:*", ("[::]:80", "")),
        ("*:80", "0.0.0.0:*", ("0.0.0.0:80", "")),
        ("*%eth1:80", "*:*", ("[::]:80", "")),
        ("::1:80", "::1:81", ("[::1]:80", "[::1]:81")),
        ("127.0.0.53%lo:53", "0.0.0.0:*", ("127.0.0.53:53", "")),
    ],
)
def test_ends_of_every_kind(local, peer, wanted):
    reading = one(f"tcp ESTAB 0 0 {local} {peer} ino:1 sk:1")
    assert (reading.local, reading.peer) == wanted


@pytest.mark.parametrize(
    ("printed", "nanoseconds"),
    [
        ("119min", 119 * 60 * SECOND_NS),
        ("1min5sec", 65 * SECOND_NS),
        ("59sec", 59 * SECOND_NS),
        ("1.500ms", 1_500_000_000),
        ("9.008ms", 9_008_000_000),
        ("508ms", 508_000_000),
        ("", 0),
    ],
)
def test_remaining_times(printed, nanoseconds):
    assert one(f"tcp ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 timer:(keepalive,{printed},2) ino:1").timer_ns == nanoseconds


def test_several_holders_and_strange_names():
    line = 'tcp LISTEN 0 5 10.0.0.1:1 0.0.0.0:* users:(("a (b) ino:9",pid=3,fd=4),("nc",pid=5,fd=3)) ino:1 sk:2'
    reading = one(line)
    assert reading.processes == (Holder(name="a (b) ino:9", pid=3, fd=4), Holder(name="nc", pid=5, fd=3))
    assert reading.inode == 1


def test_holders_of_an_old_version():
    assert one('tcp LISTEN 0 5 10.0.0.1:1 0.0.0.0:* users:(("nc",12,3))').processes == (Holder(name="nc", pid=12, fd=3),)


def test_a_cookie_that_is_a_pointer():
    assert one("tcp ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 ino:1 sk:ffff8880123400c0 -->").cookie == 0xFFFF8880123400C0


def test_a_bound_socket_of_a_newer_kernel_is_closed():
    assert one("tcp BOUND-INACTIVE 0 0 10.0.0.1:1 0.0.0.0:* ino:1").state is State.CLOSED


def test_headers_and_other_families_are_passed_over():
    text = "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\nu_str ESTAB 0 0 * 1 * 2\nState Recv-Q\n\n"
    assert sockets(text) == ()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("tcp ESTAB 0", "does not have its columns"),
        ("tcp WAITING 0 0 10.0.0.1:1 10.0.0.2:2", "'WAITING' is not a valid State"),
        ("tcp ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 ino:x", "invalid literal"),
        ("tcp ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 timer:(on,soon,0)", "timer that cannot be read: 'soon'"),
    ],
)
def test_a_socket_that_cannot_be_read_is_not_passed_over(line, complaint):
    with pytest.raises(EvidenceError, match=complaint):
        sockets(line)
