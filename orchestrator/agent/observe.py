"""What a host can see of itself: the tools' own words, its kernel, its settings. Nothing here changes anything.

An observer is a tool's name and the arguments a lab sheet would give it; parsing is the controller's trade. The surprising fact: a
listener is
looked up in ``/proc/net``, where the kernel shows it at once, because asking a tool would take a hundred times as long.
"""

import os
import platform
import socket
import struct

from .changes import OFFLOADS, read_offload, read_sysctl
from .programs import output

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
    "iptables": ["iptables", "-V"],
    "lsof": ["lsof", "-v"],
    "netstat": ["netstat", "-V"],
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


def ask(loop, tool):
    """What ``tool`` prints, as a task. An exit status that only says "nothing found" (lsof) is no error."""
    status, out, err = yield from output(loop, OBSERVERS[tool])
    if status != 0 and err.strip() and not out:
        raise OSError(0, "%s: %s" % (tool, err.strip()))
    return out


def environment(loop, tools, interfaces):
    """The fingerprint of this host, as a task: kernel, Python, the versions of ``tools``, the sysctls that matter, offloads."""
    facts = {"kernel": platform.release(), "python": platform.python_version()}
    for key in SYSCTLS:
        value = read_sysctl(key)
        if value is not None:
            facts[key] = value
    for interface in interfaces:
        facts["offload." + interface] = _offloads(interface)
    for tool in tools:
        if tool in VERSIONS:
            facts[tool] = yield from _version(loop, VERSIONS[tool])
    return facts


def _version(loop, argv):
    try:
        _status, out, err = yield from output(loop, argv)
    except OSError:
        return "missing"
    lines = (out or err).strip().splitlines()
    line = next((line for line in lines if "revision" in line or "," in line or " " in line), "")
    return line.strip()[:100]


def _offloads(interface):
    states = [(name, read_offload(interface, name)) for name in OFFLOADS]
    return " ".join("%s:%s" % (name, "on" if state else "off") for name, state in states if state is not None)


def listening(port):
    """Whether some socket listens on (TCP) or is bound to (UDP) ``port`` in this host's network."""
    tail = ":%04X" % port
    for table, state in (("tcp", _LISTEN), ("tcp6", _LISTEN), ("udp", _UNCONNECTED), ("udp6", _UNCONNECTED)):
        try:
            with open("/proc/self/net/" + table) as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == state and fields[1].endswith(tail):
                return True
    return False


def interfaces():
    """The names of this host's interfaces."""
    return [name for _index, name in socket.if_nameindex()]


def running(interface):
    """Whether an interface is up and its link works (IFF_UP and IFF_RUNNING of netdevice(7))."""
    import fcntl

    request = struct.pack("16sH14s", interface.encode(), 0, b"")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock.fileno(), 0x8913, request)
    return struct.unpack_from("16sH", answer)[1] & _FLAGS_UP_RUNNING == _FLAGS_UP_RUNNING


def clock():
    """This host's monotonic and Unix clocks, read as one: ``[monotonic_ns, unix_ns]``, the tightest of a few tries."""
    import time

    best = None
    for _ in range(5):
        before = time.monotonic_ns()
        unix = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, (before + after) // 2, unix)
    return [best[1], best[2]]


def identity():
    """Who greets."""
    return {"pid": os.getpid(), "uid": os.geteuid(), "python": platform.python_version(), "hostname": socket.gethostname()}
