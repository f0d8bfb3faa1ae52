"""What a host can alter. Every change says before it is made how it is undone, as data.

A :class:`Change` is an undo and what makes the change; who makes it remembers the undo first. How an undo is carried out is the matter of
safety/undoing.py, when that of the host. The surprising fact: a tool that was interrupted or killed may have done its work, so what it was
to do counts as done until somebody has looked.
"""

from __future__ import annotations

import fcntl
import os

from orchestrator.agent.lean import socket, struct

from .programs import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

    Undo = dict[str, Any]

SIOCETHTOOL = 0x8946
_TOGGLES = {  # ethtool.h: ETHTOOL_G* and ETHTOOL_S* of each offload's short name
    "rx": (0x14, 0x15),
    "tx": (0x16, 0x17),
    "sg": (0x18, 0x19),
    "tso": (0x1E, 0x1F),
    "gso": (0x23, 0x24),
    "gro": (0x2B, 0x2C),
}
OFFLOADS = tuple(_TOGGLES)
_FORWARD = "net.ipv4.ip_forward"
_FORWARD_6 = "net.ipv6.conf.all.forwarding"
_PUT_IN = ("-A", "--append", "-I", "--insert")


class ChangeRefused(Exception):
    """The host's own tool or kernel refused; the text is its word."""


class Lacking(ChangeRefused):
    """This host has no such thing to change: no scenario's fault, and no agent's."""


class Unable(ChangeRefused):
    """This host cannot give what a run itself needs, as room for its files: no outcome of a lab."""


class Doubtful(ChangeRefused):
    """The host's own tool was killed: nobody knows whether it had done its work."""


class Change:
    """Something to alter: ``undo`` is known before ``make()``, a task that raises where it could not.

    ``in_parts``: whether a refused change may have been made in part, so that its undo has to stay.
    """

    __slots__ = ("in_parts", "make", "undo")

    def __init__(self, undo: Undo, make: Callable[[], Steps[object]], *, in_parts: bool = False) -> None:
        self.undo = undo
        self.make = make
        self.in_parts = in_parts


def command(loop: Loop, argv: list[str], stdin: bytes = b"") -> Steps[str]:
    """Run a privileged tool as a task; gives its output.

    :raises ChangeRefused: it ended with anything but 0.
    """
    status, out, err = yield from output(loop, argv, stdin)
    if status != 0:
        raise refused(argv, status, out, err)
    return out


def refused(argv: list[str], status: int, out: str, err: str) -> ChangeRefused:
    """A tool's refusal in its own words."""
    text = (err or out).strip() or f"exit status {status}"
    return (ChangeRefused if status >= 0 else Doubtful)(f"{' '.join(argv)}: {text}")


def _at_once(do: Callable[..., object], *arguments: Any, **named: Any) -> Callable[[], Steps[None]]:
    """What waits for nothing, as a task."""

    def steps() -> Steps[None]:
        do(*arguments, **named)
        return
        yield

    return steps


def rule(loop: Loop, tool: str, words: list[str], comment: str) -> Change:
    """Put in a rule of iptables(8), of which exactly this one is taken out again. ``words`` are its own; ``comment`` marks it as ours.

    :raises ChangeRefused: it does not append or insert a rule, so there is no taking it out.
    """
    ours = ["-m", "comment", "--comment", comment]
    out = removal(words) + ours
    undo = {"do": "rule", "text": f"{tool} {' '.join(out)}", "tool": tool, "words": out, "question": removal(words, "-C") + ours}
    return Change(undo, lambda: command(loop, [tool, "-w", "3", *words, *ours]))


def removal(rule: list[str], verb: str = "-D") -> list[str]:
    """The words that delete what ``rule`` puts in: ``-I INPUT 2 ...`` is deleted as ``-D INPUT ...``; or that do ``verb`` to it.

    :raises ChangeRefused: it puts no rule in.
    """
    at = next((i for i, word in enumerate(rule) if word in _PUT_IN), len(rule))
    if at + 1 >= len(rule):
        raise ChangeRefused(f"only a rule that is appended (-A CHAIN) or inserted (-I CHAIN) can be taken out again: {' '.join(rule)}")
    rest = rule[at + 2 :]
    if rest and rest[0].isdigit():
        rest = rest[1:]
    return [*rule[:at], verb, rule[at + 1], *rest]


def sysctl_path(key: str) -> str:
    """The file of a kernel parameter; dots inside an interface's name are written as slashes, as sysctl(8) does.

    :raises Lacking: there can be no such parameter.
    """
    path = key.replace("/", "\0").replace(".", "/").replace("\0", ".")
    if ".." in path.split("/"):
        raise Lacking(f"this kernel has no {key}")
    return "/proc/sys/" + path


def read_sysctl(key: str) -> str | None:
    """Its value, white space folded, or ``None`` where this kernel has none."""
    try:
        with open(sysctl_path(key), encoding="utf-8", errors="backslashreplace") as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def sysctl(key: str, value: object) -> Change:
    """Set a kernel parameter; the undo writes the old value back, and those of the parameters that the kernel sets along with it.

    :raises Lacking: this kernel has none of that name.
    """
    old = read_sysctl(key)
    if old is None:
        raise Lacking(f"this kernel has no {key}")
    along = _along(key)
    undo = {"do": "sysctl", "text": f"{key} = {old}", "key": key, "value": old, "along": along}
    if key == _FORWARD_6 and str(value) != "0":
        listening = _listening_to_routers()
        along.update(listening)
        return Change(undo, _at_once(_forward_6, value, tuple(listening)))
    return Change(undo, _at_once(write_sysctl, key, value))


def _listening_to_routers() -> dict[str, str]:
    """The interfaces that take default routes from routers only as long as they forward nothing (ip-sysctl.rst, ``accept_ra``)."""
    keys = [f"net.ipv6.conf.{one.replace('.', '/')}.accept_ra" for one in os.listdir(sysctl_path("net.ipv6.conf"))]
    return {key: "1" for key in sorted(keys) if ".conf.default." not in key and read_sysctl(key) == "1"}


def _forward_6(value: object, listening: tuple[str, ...]) -> None:
    """A host that begins to forward throws such routes away, and would not get them back with the old value: so it listens all the same."""
    for key in listening:
        write_sysctl(key, "2")
    write_sysctl(_FORWARD_6, value)


def _along(key: str) -> dict[str, str]:
    """What the kernel sets when ``key`` is set, and as it is now (ip-sysctl.rst: ``ip_forward``, ``conf/all/*``).

    Of the forwarding of all interfaces also whether redirects are accepted: switched off again, it has them accepted by a router and
    by a host whose administrator has forbidden it.
    """
    family, _, rest = key.partition(".conf.") if ".conf." in key else ("net.ipv4", "", "all.forwarding" if key == _FORWARD else "")
    scope, _, name = rest.partition(".")
    if scope not in ("all", "default") or "/" in family:
        return {}
    try:
        scopes = sorted(os.listdir(sysctl_path(f"{family}.conf")))
    except OSError:
        return {}
    keys = [f"{family}.conf.{one.replace('.', '/')}.{name}" for one in scopes]
    if (family, name) == ("net.ipv4", "forwarding"):
        keys += [_FORWARD, "net.ipv4.conf.all.accept_redirects"]
    values = {one: read_sysctl(one) for one in keys if one != key}
    return {one: value for one, value in values.items() if value is not None}


def must_come_back(key: str, value: object) -> None:
    """On a host that the kernel does not clear up: nothing may go with a parameter that its old value does not bring back.

    :raises ChangeRefused: IPv6 would be taken off interfaces, and with it the addresses and routes that others have set there.
    """
    if key.endswith(".disable_ipv6") and str(value) != "0" and read_sysctl(key) == "0":
        raise ChangeRefused(f"{key} = {value}: nobody knows how to take this back, as addresses and routes go with it")


def write_sysctl(key: str, value: object) -> None:
    """Set a kernel parameter.

    :raises ChangeRefused: the kernel does not let it be set so.
    """
    try:
        with open(sysctl_path(key), "w", encoding="utf-8") as file:
            file.write(str(value))
    except OSError as error:
        raise ChangeRefused(f"{key} = {value}: {error.strerror}") from error


def _ethtool(interface: str, number: int, value: int = 0) -> int:
    import array  # brings all of collections along

    data = array.array("I", [number, value])
    request = struct.pack("16sP", interface.encode(), data.buffer_info()[0])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)
    finally:
        sock.close()
    return data[1]


def read_offload(interface: str, name: str) -> bool | None:
    """Whether an offload is on (ethtool.h, ``ETHTOOL_G*``); ``None`` where the driver does not say."""
    try:
        return bool(_ethtool(interface, _TOGGLES[name][0]))
    except OSError:
        return None


def offload(interface: str, name: str, *, wanted: bool) -> Change | None:
    """Switch an offload (as ``ethtool -K`` does); gives ``None`` where it already is so or the driver has none to switch off.

    :raises ChangeRefused: there is no such offload.
    """
    if name not in _TOGGLES:
        raise ChangeRefused(f"no offload is called {name}; there are {', '.join(_TOGGLES)}")
    was = read_offload(interface, name)
    if was == wanted or (was is None and not wanted):
        return None
    text = f"ethtool -K {interface} {name} {'on' if was else 'off'}"
    undo = {"do": "offload", "text": text, "interface": interface, "name": name, "wanted": bool(was)}
    return Change(undo, _at_once(set_offload, interface, name, wanted=wanted))


def set_offload(interface: str, name: str, *, wanted: bool) -> None:
    """Switch an offload.

    :raises ChangeRefused: the driver does not let it be switched.
    """
    try:
        _ethtool(interface, _TOGGLES[name][1], int(wanted))
    except OSError as error:
        raise ChangeRefused(f"ethtool -K {interface} {name} {'on' if wanted else 'off'}: {error.strerror}") from error


def file(folder: str, name: str, text: str, *, executable: bool) -> Change:
    """Put a text, as UTF-8, into the run's private folder; the undo takes it out, and minds not if somebody already has.

    :raises ChangeRefused: ``name`` is no plain file name. Making it raises :class:`Unable` where there is no room for it.
    """
    if not name or "/" in name or name in (".", ".."):
        raise ChangeRefused(f"{name!r} is no plain file name")
    path = os.path.join(folder, name)
    return Change({"do": "file", "text": f"rm {path}", "path": path}, _at_once(_write_file, path, text, executable), in_parts=True)


def _write_file(path: str, text: str, executable: bool) -> None:  # noqa: FBT001  a flag of the file
    try:
        with open(path, "w", encoding="utf-8") as target:
            target.write(text)
        os.chmod(path, 0o700 if executable else 0o600)
    except OSError as error:
        raise Unable(f"{path}: {error.strerror}") from error


def private_folder(run: str, bases: tuple[str, ...] = ()) -> Change:
    """A folder that only we can enter, under an unguessable name, which becomes the working directory; its undo has its ``path``.

    It is in the first of ``bases`` whose file system lets programs run, or else where temporary files go: ``/run`` often does not.
    """
    usual = (os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp")  # noqa: S108  the name in it is not predictable
    candidates = [base for base in (*bases, *usual) if os.path.isdir(base)]
    base = next((base for base in candidates if not os.statvfs(base).f_flag & os.ST_NOEXEC), candidates[0])
    path = os.path.join(base, f"orchestrate-{run}-{os.urandom(8).hex()}")
    return Change({"do": "folder", "text": f"rm -r {path}", "path": path}, _at_once(_enter_new, path))


def _enter_new(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
        os.chdir(path)
    except OSError as error:
        raise Unable(f"{path}: {error.strerror}") from error
