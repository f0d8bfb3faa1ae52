"""What a host can alter. Every change gives its undo, and every undo says in a line what it put back.

An undo is a pair ``(text, steps)``: ``steps()`` is a task that raises when it could not. Only what we made is ever taken out: our rules are
deleted word for word, with the comment that carries the run's id; never a chain, a table or a rule by pattern. When to undo is the host's
affair. The surprising fact: a tool that was interrupted may have done its work, so a rule's undo is known before the rule is put in.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct

from .programs import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import Loop
    from .tasks import Steps

    Undo = tuple[str, Callable[[], Steps[None]]]

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
_PUT_IN = ("-A", "--append", "-I", "--insert")
_NO_SUCH_RULE = 1  # iptables -C; 2 is bad usage, 4 a lock that somebody else held


class ChangeRefused(Exception):
    """The host's own tool or kernel refused; the text is its word."""


class Lacking(ChangeRefused):
    """This host has no such thing to change: no scenario's fault, and no agent's."""


def command(loop: Loop, argv: list[str], stdin: bytes = b"") -> Steps[str]:
    """Run a privileged tool as a task; gives its output.

    :raises ChangeRefused: it ended with anything but 0.
    """
    status, out, err = yield from output(loop, argv, stdin)
    if status != 0:
        raise _refused(argv, status, out, err)
    return out


def _refused(argv: list[str], status: int, out: str, err: str) -> ChangeRefused:
    text = (err or out).strip() or f"exit status {status}"
    return ChangeRefused(f"{' '.join(argv)}: {text}")


class PacketRule:
    """A rule of iptables(8), of which exactly this one is taken out again.

    ``words`` are the rule's own; ``comment`` marks it as ours. ``undo`` is good from the beginning, also where the rule was never put in.

    :raises ChangeRefused: it does not append or insert a rule, so there is no taking it out.
    """

    def __init__(self, loop: Loop, tool: str, words: list[str], comment: str) -> None:
        self._loop = loop
        self._tool = [tool, "-w", "5"]
        ours = ["-m", "comment", "--comment", comment]
        self._rule = words + ours
        self._removal = removal(words) + ours
        self._question = removal(words, "-C") + ours
        self._certain = False
        self.undo: Undo = (f"{tool} {' '.join(self._removal)}", self.take_out)

    def put_in(self) -> Steps[None]:
        """Put it in, as a task.

        :raises ChangeRefused: the tool refused; the rule is not there.
        """
        yield from command(self._loop, self._tool + self._rule)
        self._certain = True

    def take_out(self) -> Steps[None]:
        """Take it out, as a task; where a tool was interrupted, so that nobody knows, look first.

        :raises ChangeRefused: the tool refused; the rule may still be there.
        """
        if not self._certain and not (yield from self._is_there()):
            return
        self._certain = False
        yield from command(self._loop, self._tool + self._removal)

    def _is_there(self) -> Steps[bool]:
        argv = self._tool + self._question
        status, out, err = yield from output(self._loop, argv)
        if status not in (0, _NO_SUCH_RULE):
            raise _refused(argv, status, out, err)
        return status == 0


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
    """The file of a kernel parameter; dots inside an interface's name are written as slashes, as sysctl(8) does."""
    return "/proc/sys/" + key.replace("/", "\0").replace(".", "/").replace("\0", ".")


def read_sysctl(key: str) -> str | None:
    """Its value, white space folded, or ``None`` where this kernel has none."""
    try:
        with open(sysctl_path(key), encoding="utf-8", errors="backslashreplace") as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def sysctl(key: str, value: object) -> Undo:
    """Set a kernel parameter; the undo writes the old value back.

    :raises Lacking: this kernel has none of that name. :raises ChangeRefused: it does not let it be set so.
    """
    old = read_sysctl(key)
    if old is None:
        raise Lacking(f"this kernel has no {key}")
    before = old
    _write_sysctl(key, value)

    def undo() -> Steps[None]:
        _write_sysctl(key, before)
        return
        yield

    return f"{key} = {before}", undo


def _write_sysctl(key: str, value: object) -> None:
    try:
        with open(sysctl_path(key), "w", encoding="utf-8") as file:
            file.write(str(value))
    except OSError as error:
        raise ChangeRefused(f"{key} = {value}: {error.strerror}") from error


def _ethtool(interface: str, number: int, value: int = 0) -> int:
    data = array.array("I", [number, value])
    request = struct.pack("16sP", interface.encode(), data.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)
    return data[1]


def read_offload(interface: str, name: str) -> bool | None:
    """Whether an offload is on (ethtool.h, ``ETHTOOL_G*``); ``None`` where the driver does not say."""
    try:
        return bool(_ethtool(interface, _TOGGLES[name][0]))
    except OSError:
        return None


def offload(interface: str, name: str, *, wanted: bool) -> Undo | None:
    """Switch an offload (as ``ethtool -K`` does); gives ``None`` where it already is so or the driver has none to switch off.

    :raises ChangeRefused: there is no such offload, or the driver does not let it be switched.
    """
    if name not in _TOGGLES:
        raise ChangeRefused(f"no offload is called {name}; there are {', '.join(_TOGGLES)}")
    was = read_offload(interface, name)
    if was == wanted or (was is None and not wanted):
        return None
    _set_offload(interface, name, wanted=wanted)

    def undo() -> Steps[None]:
        _set_offload(interface, name, wanted=bool(was))
        return
        yield

    return f"ethtool -K {interface} {name} {'on' if was else 'off'}", undo


def _set_offload(interface: str, name: str, *, wanted: bool) -> None:
    try:
        _ethtool(interface, _TOGGLES[name][1], int(wanted))
    except OSError as error:
        raise ChangeRefused(f"ethtool -K {interface} {name} {'on' if wanted else 'off'}: {error.strerror}") from error


def file(folder: str, name: str, text: str, *, executable: bool) -> Undo:
    """Put a text, as UTF-8, into the run's private folder; the undo takes it out, and minds not if somebody already has.

    :raises ChangeRefused: ``name`` is no plain file name. :raises OSError: the file cannot be written.
    """
    if not name or "/" in name or name in (".", ".."):
        raise ChangeRefused(f"{name!r} is no plain file name")
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as target:
        target.write(text)
    os.chmod(path, 0o700 if executable else 0o600)

    def undo() -> Steps[None]:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return
        yield

    return f"rm {path}", undo
