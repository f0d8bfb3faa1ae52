"""What tools print on a real host, without the lines about sockets that are not the lab's. The lines are recorded ones."""

from __future__ import annotations

import pytest

from orchestrator.agent.seeing import observe
from orchestrator.agent.seeing.backdrop import Backdrop

SIX = "2001:db8:1234:5678:9abc:def0:1234:5678"

SS = """\
tcp LISTEN 0      128                                           *:22                                           *:*     users:(("sshd",pid=3549,fd=3)) ino:63 sk:1244b cgroup:/ v6only:0 <-> skmem:(r0)
tcp ESTAB  0      0                               192.168.100.200:60984                          192.168.100.200:22    users:(("python3",pid=3549,fd=5)) ino:66 sk:1244a cgroup:/ <-> skmem:(r0)
tcp ESTAB  0      0      [2001:db8:1234:5678:9abc:def0:1234:5678]:22    [2001:db8:1234:5678:9abc:def0:1234:5678]:43568 users:(("sshd",pid=3549,fd=6)) ino:66 sk:1244d cgroup:/ <-> skmem:(r0)
tcp ESTAB  0      0                      [::ffff:192.168.100.200]:22                    [::ffff:192.168.100.200]:60984 users:(("sshd",pid=3549,fd=7)) ino:67 sk:1244e cgroup:/ <-> skmem:(r0)
udp UNCONN 0      0                       192.168.100.200%ens3:68                                      0.0.0.0:*     users:(("dhclient",pid=400,fd=7)) ino:9 sk:9 cgroup:/ <-> skmem:(r0)
tcp ESTAB  0      0                                  10.10.0.100:40000                               10.10.0.101:4000  users:(("python3",pid=1,fd=4)) ino:70 sk:1250 cgroup:/ <-> skmem:(r0)
"""  # noqa: E501  as recorded
NETSTAT = """\
Active Internet connections (servers and established)
Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name
tcp        0      0 192.168.100.200:60984   192.168.100.200:22      ESTABLISHED 3549/python3
tcp6       0      0 :::22                   :::*                    LISTEN      3549/sshd
tcp6       0      0 2001:db8:1234:5678:9:22 2001:db8:1234:567:43568 ESTABLISHED 3549/sshd: alice@pts
tcp6       0      0 192.168.100.200:22      192.168.100.200:60984   ESTABLISHED 3549/sshd
tcp6       0      0 2001:db8:1234::1:4000   :::*                    LISTEN      1/python3
tcp        0      0 10.10.0.100:40000       10.10.0.101:4000        ESTABLISHED 1/python3
"""
LSOF = """\
COMMAND  PID USER   FD   TYPE   DEVICE SIZE/OFF NODE NAME
sshd    3549 root    3u  IPv6 13566063      0t0  TCP *:22 (LISTEN)
sshd    3549 root    6u  IPv6 13566066      0t0  TCP [2001:db8:1234:5678:9abc:def0:1234:5678]:22->[2001:db8:1234:5678:9abc:def0:1234:5678]:43568 (ESTABLISHED)
sshd    3549 root    7u  IPv6 13566067      0t0  TCP 192.168.100.200:22->192.168.100.200:60984 (ESTABLISHED)
python3    1 root    4u  IPv4 13566070      0t0  TCP 10.10.0.100:40000->10.10.0.101:4000 (ESTABLISHED)
"""  # noqa: E501  as recorded
TEXTS = {"ss": SS, "netstat": NETSTAT, "lsof": LSOF}


def taken(monkeypatch, control="", **texts):
    """A backdrop of what tools said before; one without a text is not there."""

    def ask(_loop, tool):
        if tool not in texts:
            raise FileNotFoundError(2, "No such file or directory", tool)
        return texts[tool]
        yield

    monkeypatch.setattr(observe, "ask", ask)
    backdrop = Backdrop(control)
    assert list(backdrop.take(None, ["lsof", "ss", "netstat", "iptables"])) == []
    return backdrop


def lines(text):
    return text.splitlines()


@pytest.mark.parametrize(
    ("tool", "control", "gone"),
    [
        ("ss", "192.168.100.200", [1, 3, 4]),
        ("ss", SIX, [2]),
        ("netstat", "192.168.100.200", [2, 5]),
        ("netstat", SIX, [4]),
        ("netstat", "2001:db8:1234::1", [6]),
        ("netstat", "2001:db8:1234:5679::1", []),
        ("lsof", "192.168.100.200", [3]),
        ("lsof", SIX, [2]),
        ("ss", "10.10.0.1", []),
        ("netstat", "10.10.0.1", []),
        ("lsof", "10.10.0.1", []),
    ],
)
def test_the_control_connections_address_is_not_the_labs(tool, control, gone):
    whole = lines(TEXTS[tool])
    assert lines(Backdrop(control).without(tool, TEXTS[tool])) == [line for number, line in enumerate(whole) if number not in gone]


@pytest.mark.parametrize("tool", TEXTS)
def test_what_was_there_before_is_not_the_labs(monkeypatch, tool):
    *before, _fresh = lines(TEXTS[tool])
    backdrop = taken(monkeypatch, **{tool: "\n".join(before)})
    headings = [line for line in before if line.split()[0] in ("COMMAND", "Active", "Proto")]
    assert lines(backdrop.without(tool, TEXTS[tool])) == [*headings, _fresh]


def test_a_socket_that_changed_is_still_the_same(monkeypatch):
    backdrop = taken(monkeypatch, **TEXTS)
    assert backdrop.without("ss", SS.replace("ESTAB ", "CLOSE-WAIT ").replace(",fd=", ",fd=1")) == ""
    moved = NETSTAT.replace("0      0 10.10", "7      9 10.10").replace("4000        ESTABLISHED", "4000        FIN_WAIT2  ")
    assert lines(backdrop.without("netstat", moved)) == lines(NETSTAT)[:2]
    assert lines(backdrop.without("lsof", LSOF.replace("ESTABLISHED", "CLOSE_WAIT"))) == lines(LSOF)[:1]


def test_an_old_ss_that_tells_no_cookie_is_known_by_both_ends(monkeypatch):
    text = "".join(line.partition(" ino:")[0] + "\n" for line in lines(SS))
    backdrop = taken(monkeypatch, ss=text)
    fresh = "tcp ESTAB 0 0 10.10.0.100:40001 10.10.0.101:4000\n"
    assert backdrop.without("ss", text + fresh) == fresh


def test_where_nothing_is_known_nothing_is_left_out(monkeypatch):
    assert Backdrop().without("ss", SS) == SS
    backdrop = taken(monkeypatch)
    assert all(backdrop.without(tool, text) == text for tool, text in TEXTS.items())
    assert taken(monkeypatch, ss=SS).without("netstat", NETSTAT) == NETSTAT


def test_rules_and_counters_are_the_hosts():
    rules = "-A INPUT -s 192.168.100.200 -j ACCEPT\n"
    assert Backdrop("192.168.100.200").without("iptables", rules) == rules
