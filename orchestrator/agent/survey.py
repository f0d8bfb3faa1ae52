"""What a real host has and can do, found without touching anything: programs, parameters, features, interfaces, routes.

Whether that is enough is not known here. Also asked, without any agent, about the machine of the controller. The surprising fact: the way
by which the controller came is read from the environment of our ancestors, because sudo hides it from ours (sshd(8), ``SSH_CONNECTION``).
"""

from __future__ import annotations

import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .loop import Loop
    from .tasks import Steps

    Facts = dict[str, Any]

TRACED = "/events/sock/inet_sock_set_state/enable"
_ANCESTORS = 8
_MATCHES = ("comment", "conntrack", "statistic")
_MANAGERS = ("apt-get", "dnf")
_ROOMS = ("/", "/run", "/tmp")  # noqa: S108  looked at, not written to


def which(name: str) -> str:
    """Where a program is on a host's path; empty where it is missing."""
    if "/" in name:
        return name if _is_program(name) else ""
    return next((path for folder in folders() if _is_program(path := folder + "/" + name)), "")


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def folders() -> list[str]:
    """Where programs are looked for: the path, and where the administrator's are, which an ordinary user's path may lack."""
    return [*os.environ.get("PATH", os.defpath).split(":"), "/usr/sbin", "/sbin"]


def can(feature: str) -> bool:
    """Whether this host can do what the word says.

    ``root``, ``trace``, ``packet`` (see frames), a match of iptables (``comment``, ``conntrack``, ``statistic``), or a queueing discipline.
    """
    if feature == "root":
        return os.geteuid() == 0
    if feature == "trace":
        return any(os.access(folder + TRACED, os.W_OK) for folder in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"))
    if feature == "packet":
        return _sees_frames()
    if feature in _MATCHES:
        return has_module("xt_" + feature, option="NETFILTER_XT_MATCH_" + feature.upper())
    return has_module("sch_" + feature)


def _sees_frames() -> bool:
    """Whether a packet socket may be opened; without a protocol it is never given a frame (packet(7))."""
    import socket

    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True


def has_module(name: str, root: str = "", option: str = "") -> bool:
    """Whether the kernel has a module: loaded, built in, or on the disk to be loaded; ``True`` where nothing tells.

    ``option`` is its name in the kernel's configuration, where that does not follow from its own.
    """
    if os.path.isdir(f"{root}/sys/module/{name}"):
        return True
    lists = [text(f"{root}/lib/modules/{os.uname().release}/{file}") for file in ("modules.builtin", "modules.dep")]
    if any(f"/{name}.ko" in listed for listed in lists):
        return True
    configured = _configuration(f"{root}/proc/config.gz")
    key = "CONFIG_" + (option or "NET_" + name.upper())
    wanted = "y" if any(lists) else "[ym]"  # a container sees none of the machine's modules, which are loaded for it nevertheless
    return re.search(f"^{key}={wanted}$", configured, re.MULTILINE) is not None or not (configured or any(lists))


def _configuration(path: str) -> str:
    """How the kernel was configured, where it tells (``CONFIG_IKCONFIG_PROC``)."""
    import gzip

    try:
        with gzip.open(path, "rt", encoding="ascii", errors="replace") as file:
            return file.read()
    except (OSError, EOFError):
        return ""


def text(path: str) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def health(tools: Iterable[str], features: Iterable[str]) -> Facts:
    """What a doctor asks: programs, features, rights, and how much room there is (bytes, by folder)."""
    rooms = {folder: os.statvfs(folder) for folder in _ROOMS if os.path.isdir(folder)}
    return {
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "manager": next((name for name in _MANAGERS if which(name)), ""),
        "release": "el8" if "platform:el8" in text("/etc/os-release") else "",
        "root": can("root"),
        "tools": {name: path for name in tools for path in [which(name)] if path},
        "features": [name for name in features if can(name)],
        "free_bytes": {folder: room.f_bavail * room.f_frsize for folder, room in rooms.items()},
    }


def survey(loop: Loop, tools: Iterable[str], features: Iterable[str]) -> Steps[Facts]:
    """The facts of this host, as a task.

    ``interfaces`` are ``{"name", "index", "mac", "mtu", "up", "addresses": ["10.10.0.100/24"], "offloads": {"tso": True}}``, ``routes``
    ``{"to", "via", "interface"}``, ``control`` is ``{"address", "interface"}`` of the connection that brought us, if there is one.
    """
    from .changes import OFFLOADS, read_offload

    interfaces = [_interface(told) for told in (yield from _told(loop, ["address", "show"]))]
    for interface in interfaces:
        states = {name: read_offload(interface["name"], name) for name in OFFLOADS}
        interface["offloads"] = {name: state for name, state in states.items() if state is not None}
    routes = [dict(route, version=4) for route in (yield from _told(loop, ["-4", "route", "show"]))]
    routes += [dict(route, version=6) for route in (yield from _told(loop, ["-6", "route", "show"]))]
    return {
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "tools": {name: path for name in tools for path in [which(name)] if path},
        "features": [name for name in features if can(name)],
        "interfaces": interfaces,
        "routes": [_route(route) for route in routes],
        "control": _control(interfaces),
    }


def _told(loop: Loop, words: list[str]) -> Steps[list[Facts]]:
    """What ``ip -j`` tells; nothing where it tells nothing, as of IPv6 on a kernel without.

    :raises OSError: there is no ip, or it cannot tell in JSON (iproute2 before 4.13).
    """
    import json  # not needed by who only looks for programs

    from .programs import output

    status, out, err = yield from output(loop, ["ip", "-j", *words])
    if status != 0 and "-6" not in words:
        raise OSError(0, f"ip -j {' '.join(words)}: {err.strip()}")
    return [told for told in json.loads(out or "[]") if told]


def _interface(told: Facts) -> Facts:
    addresses = [f"{address['local']}/{address['prefixlen']}" for address in told.get("addr_info", ()) if "local" in address]
    return {
        "name": told["ifname"],
        "index": told["ifindex"],
        "mac": told.get("address", "") if told.get("link_type") == "ether" else "",
        "mtu": told["mtu"],
        "up": "UP" in told["flags"],
        "addresses": addresses,
    }


def _route(told: Facts) -> Facts:
    return {"version": told["version"], "to": told["dst"], "via": told.get("gateway", ""), "interface": told.get("dev", "")}


def _control(interfaces: list[Facts]) -> Facts:
    """Our end of the SSH connection, and the interface that has its address (none where a translator is between)."""
    address = our_end()
    holders = [one["name"] for one in interfaces if address in (held.partition("/")[0] for held in one["addresses"])]
    return {"address": address, "interface": holders[0] if holders else ""} if address else {}


def our_end() -> str:
    """Our address of the connection the controller came by: ``SSH_CONNECTION``'s third word, of the nearest ancestor's environment."""
    pid = str(os.getpid())
    for _ in range(_ANCESTORS):
        found = re.search(r"(?:^|\0)SSH_CONNECTION=\S+ \S+ (\S+)", text(f"/proc/{pid}/environ"))
        if found:
            return found[1].rpartition("::ffff:")[2] if "." in found[1] else found[1].partition("%")[0]
        parent = re.search(r"^PPid:\s*(\d+)", text(f"/proc/{pid}/status"), re.MULTILINE)
        if parent is None or parent[1] == "0":
            break
        pid = parent[1]
    return ""
