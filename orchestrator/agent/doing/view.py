"""A view of a real host that this agent and its programs alone have: ``/etc/hosts`` with the names of the topology in front.

A mount namespace of our own; the host's own file is not touched, and nothing has to be put back: the view goes with the last process that
has it. Also the system calls for it, and for whoever makes hosts of namespaces. The surprising fact: what the host mounts meanwhile still
comes to us (``MS_SLAVE``), and what it unmounts still goes.
"""

from __future__ import annotations

import os

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 0x1000, 0x4000, 0x40000, 0x80000
_HOSTS = "/etc/hosts"

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes


def check(result: int, what: str) -> None:
    """A system call's result.

    :raises OSError: it failed; names what was refused.
    """
    if result != 0:
        import ctypes

        code = ctypes.get_errno()
        raise OSError(code, what + ": " + os.strerror(code))


def unshare(flags: int, what: str) -> None:
    """Leave the namespaces named by ``flags`` for new ones (unshare(2)).

    :raises OSError: that is not permitted.
    """
    check(_libc().unshare(flags), "unshare(" + what + ")")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Attach a file system (mount(2)).

    :raises OSError: that is not permitted, or there is no such file system.
    """
    import ctypes

    result = _libc().mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None)
    check(result, "mount(" + (kind or "bind") + " on " + target + ")")


def _libc() -> ctypes.CDLL:
    import ctypes  # some milliseconds, and not in every Python: Debian's python3-minimal has none

    return ctypes.CDLL(None, use_errno=True)


def name_neighbours(folder: str, names: str) -> None:
    """From now on the ``names`` (hosts(5)) go before the host's own, for us and what we start; ``folder`` takes the file.

    :raises OSError: that is not permitted. :raises ImportError: this Python cannot make such system calls.
    """
    with open(_HOSTS, encoding="utf-8", errors="surrogateescape") as file:
        own = file.read()
    path = folder + "/hosts"
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(names + own)
    os.chmod(path, 0o644)
    unshare(CLONE_NEWNS, "mount namespace")
    mount("none", "/", "", MS_REC | MS_SLAVE)
    mount(path, _HOSTS, "", MS_BIND)
