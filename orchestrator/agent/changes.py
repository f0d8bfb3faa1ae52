"""What a host can alter. Every change gives its undo, and every undo says in a line what it put back.

An undo is a pair ``(text, steps)``: ``steps()`` is a task that raises when it could not. Only what we made is ever taken out: our rules are
deleted word for word, with the comment that carries the run's id; never a chain, a table or a rule by pattern.
"""

import array
import fcntl
import os
import socket
import struct

from .programs import output

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


class ChangeRefused(Exception):
    """The host's own tool or kernel refused; the text is its word."""


def command(loop, argv, stdin=b""):
    """Run a privileged tool as a task; gives its output.

    :raises ChangeRefused: it ended with anything but 0.
    """
    status, out, err = yield from output(loop, argv, stdin)
    if status != 0:
        text = (err or out).strip() or "exit status %d" % status
        raise ChangeRefused("%s: %s" % (" ".join(argv), text))
    return out


def iptables(loop, tool, words, comment):
    """Put a rule in; the undo takes exactly that one out."""
    rule = list(words) + ["-m", "comment", "--comment", comment]
    yield from command(loop, [tool, "-w", "5"] + rule)
    removal = _removal(rule)
    return "%s %s" % (tool, " ".join(removal)), lambda: command(loop, [tool, "-w", "5"] + removal)


def _removal(rule):
    """The words that delete what ``rule`` put in: ``-I INPUT 2 ...`` is deleted as ``-D INPUT ...``."""
    at = next(i for i, word in enumerate(rule) if word in _PUT_IN)
    rest = rule[at + 2 :]
    if rest and rest[0].isdigit():
        rest = rest[1:]
    return rule[:at] + ["-D", rule[at + 1]] + rest


def sysctl_path(key):
    """The file of a kernel parameter; dots inside an interface's name are written as slashes, as sysctl(8) does."""
    return "/proc/sys/" + key.replace("/", "\\0").replace(".", "/").replace("\\0", ".")


def read_sysctl(key):
    """Its value, white space folded, or ``None`` where this kernel has none."""
    try:
        with open(sysctl_path(key)) as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def sysctl(key, value):
    """Set a kernel parameter; the undo writes the old value back."""
    old = read_sysctl(key)
    if old is None:
        raise ChangeRefused("this kernel has no %s" % key)
    _write_sysctl(key, value)

    def undo():
        _write_sysctl(key, old)
        return
        yield

    return "%s = %s" % (key, old), undo


def _write_sysctl(key, value):
    try:
        with open(sysctl_path(key), "w") as file:
            file.write(str(value))
    except OSError as error:
        raise ChangeRefused("%s = %s: %s" % (key, value, error.strerror))


def _ethtool(interface, number, value=0):
    data = array.array("I", [number, value])
    request = struct.pack("16sP", interface.encode(), data.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)
    return data[1]


def read_offload(interface, name):
    """Whether an offload is on; ``None`` where the driver does not say."""
    try:
        return bool(_ethtool(interface, _TOGGLES[name][0]))
    except OSError:
        return None


def offload(interface, name, wanted):
    """Switch an offload (as ``ethtool -K`` does); gives ``None`` where it already is so or the driver has none to switch off."""
    if name not in _TOGGLES:
        raise ChangeRefused("no offload is called %s; there are %s" % (name, ", ".join(_TOGGLES)))
    was = read_offload(interface, name)
    if was == wanted or (was is None and not wanted):
        return None
    _set_offload(interface, name, wanted)

    def undo():
        _set_offload(interface, name, was)
        return
        yield

    return "ethtool -K %s %s %s" % (interface, name, "on" if was else "off"), undo


def _set_offload(interface, name, wanted):
    try:
        _ethtool(interface, _TOGGLES[name][1], int(bool(wanted)))
    except OSError as error:
        raise ChangeRefused("ethtool -K %s %s %s: %s" % (interface, name, "on" if wanted else "off", error.strerror))


def file(folder, name, text, executable):
    """Put a text into the run's private folder; the undo takes it out."""
    if not name or "/" in name or name in (".", ".."):
        raise ChangeRefused("%r is no plain file name" % name)
    path = os.path.join(folder, name)
    with open(path, "w") as target:
        target.write(text)
    os.chmod(path, 0o700 if executable else 0o600)

    def undo():
        os.unlink(path)
        return
        yield

    return "rm %s" % path, undo
