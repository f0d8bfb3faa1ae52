"""What a host can see of itself: the tools' own words, its kernel, its settings. Nothing here changes anything.

An observer is a tool's name and the arguments a lab sheet would give it; parsing is the controller's trade. The surprising fact: a
listener is looked up in ``/proc/net``, where the kernel shows it at once, because asking a tool would take a hundred times as long.
"""

from __future__ import annotations

import os
import sys
import time

from orchestrator.agent.doing.changes import OFFLOADS, read_offload, read_sysctl
from orchestrator.agent.doing.programs import output
from orchestrator.agent.lean import socket, struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

OBSERVERS = {
    "ss": ["ss", "-tuanpoeimOH"],
    "lsof": ["lsof", "-n", "-P", "-i"],
    "netstat": ["netstat", "-tuanp"],
    "iptables": ["iptables-save", "-c"],
    "ip6tables": ["ip6tables-save", "-c"],
    "nstat": ["nstat", "-asz"],
}

VERSIONS = {
    "ip": ["ip", "-V"],
    "ss": ["ss", "-V"],
    "nstat": ["nstat", "-V"],
    "iptables": ["iptables", "-V"],
    "ip6tables": ["ip6tables", "-V"],
    "lsof": ["lsof", "-v"],
    "netstat": ["netstat", "-V"],
    "tcpdump": ["tcpdump", "--version"],
}

SYSCTLS = (
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_moderate_rcvbuf",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem",
)

_LISTEN = "0A"
_UNCONNECTED = "07"
_FLAGS_UP_RUNNING = 0x1 | 0x40


def ask(loop: Loop, tool: str) -> Steps[str]:
    """What ``tool`` prints, as a task. An exit status that only says "nothing found" (lsof) is no error.

    :raises OSError: it is not there, or it failed and printed nothing but why. :raises KeyError: it is no observer.
    """
    status, out, err = yield from output(loop, OBSERVERS[tool])
    if status != 0 and err.strip() and not out:
        raise OSError(0, f"{tool}: {err.strip()}")
    return out


def environment(loop: Loop, tools: Iterable[str], interfaces: Iterable[str]) -> Steps[dict[str, str]]:
    """The fingerprint of this host, as a task: kernel, Python, ``tools``, the sysctls that matter, offloads.

    A tool tells its version; of any other program the file tells which of several it is (``nc`` may be ``/bin/nc.openbsd``).
    """
    facts = {"kernel": os.uname().release, "python": _python()}
    for key in SYSCTLS:
        value = read_sysctl(key)
        if value is not None:
            facts[key] = value
    for interface in interfaces:
        facts["offload." + interface] = _offloads(interface)
    for tool in tools:
        found = (yield from _version(loop, VERSIONS[tool])) if tool in VERSIONS else _file(tool)
        if found:
            facts[tool] = found
    return facts


def _file(program: str) -> str:
    """The file that a name on the path stands for, all links followed; empty where there is none."""
    paths = [os.path.join(folder, program) for folder in os.get_exec_path()]
    return next((os.path.realpath(path) for path in paths if os.access(path, os.X_OK)), "")


def _python() -> str:
    """As platform.python_version() says it, which costs 2 ms to import."""
    return sys.version.split()[0]


def _version(loop: Loop, argv: list[str]) -> Steps[str]:
    try:
        _status, out, err = yield from output(loop, argv)
    except OSError:
        return "missing"
    line = next((line for line in (out or err).splitlines() if any(map(str.isdigit, line))), "unknown")
    return line.strip()[:100]


def _offloads(interface: str) -> str:
    states = [(name, read_offload(interface, name)) for name in OFFLOADS]
    return " ".join(f"{name}:{'on' if state else 'off'}" for name, state in states if state is not None)


def listening(port: int) -> bool:
    """Whether some socket listens on (TCP) or is bound to (UDP) ``port`` in this host's network (proc(5), ``/proc/net/tcp``)."""
    tail = f":{port:04X}"
    for table, state in (("tcp", _LISTEN), ("tcp6", _LISTEN), ("udp", _UNCONNECTED), ("udp6", _UNCONNECTED)):
        try:
            with open("/proc/self/net/" + table, encoding="utf-8") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == state and fields[1].endswith(tail):
                return True
    return False


def running(interface: str) -> bool:
    """Whether an interface is up and its link works (IFF_UP and IFF_RUNNING of netdevice(7)).

    :raises OSError: there is no such interface.
    """
    import fcntl

    request = struct.pack("16sH14s", interface.encode(), 0, b"")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        answer = fcntl.ioctl(sock.fileno(), 0x8913, request)
    finally:
        sock.close()
    flags: int = struct.unpack_from("16sH", answer)[1]
    return flags & _FLAGS_UP_RUNNING == _FLAGS_UP_RUNNING


def clock() -> list[int]:
    """This host's monotonic and Unix clocks, read as one: ``[monotonic_ns, unix_ns]``, the tightest of a few tries."""
    tries = []
    for _ in range(5):
        before = time.monotonic_ns()
        unix = time.time_ns()
        after = time.monotonic_ns()
        tries.append((after - before, (before + after) // 2, unix))
    return list(min(tries)[1:])


def identity() -> dict[str, Any]:
    """Who greets: process and user id, the versions of Python, the host's name."""
    return {"pid": os.getpid(), "uid": os.geteuid(), "python": _python(), "hostname": socket.gethostname()}
