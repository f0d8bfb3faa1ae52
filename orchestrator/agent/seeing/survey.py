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
        "held": _held() if can("root") else "",
    }


def _held() -> str:
    """Which run has this host, for people; empty where none has. Without a run's folder there is none, and none is made."""
    from orchestrator.agent.safety import state

    facts = state.holder() if os.path.isdir(state.place()) else {}
    return f"{state.named(facts)} has this host" if facts else ""


def survey(tools: Iterable[str], features: Iterable[str]) -> Facts:
    """The facts of this host.

    ``interfaces`` are ``{"name", "index", "mac", "mtu", "up", "addresses": ["10.10.0.100/24"], "offloads": {"tso": True}}``, ``routes`` are
    ``{"version", "to", "via", "interface"}``. ``control`` is ``{"address", "interface"}`` of the connection that brought us, if one did.

    :raises OSError: the kernel does not tell.
    """
    from orchestrator.agent.doing.changes import OFFLOADS, read_offload

    from . import netlink

    interfaces = netlink.interfaces()
    for interface in interfaces:
        states = {name: read_offload(interface["name"], name) for name in OFFLOADS}
        interface["offloads"] = {name: state for name, state in states.items() if state is not None}
    return {
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "tools": {name: path for name in tools for path in [which(name)] if path},
        "features": [name for name in features if can(name)],
        "interfaces": interfaces,
        "routes": netlink.routes(),
        "control": _control(interfaces),
    }


def _control(interfaces: list[Facts]) -> Facts:
    """Our end of the SSH connection, and the interface that has its address (none where a translator is between)."""
    address = our_end()
    holders = [one["name"] for one in interfaces if address in (held.partition("/")[0] for held in one["addresses"])]
    return {"address": address, "interface": holders[0] if holders else ""} if address else {}


def our_end() -> str:
    """Our address of the connection that brought us: ``SSH_CONNECTION``'s third word, in the nearest ancestor's environment."""
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
