"""What a run started on this host, found again and ended: by descent from the guardian, and by the run's id in the environment.

Nothing here knows undos. The surprising fact: a daemon that forked twice is nobody's child, except where an ancestor is a *subreaper*
(prctl(2), PR_SET_CHILD_SUBREAPER). Agent and guardian both are: what one of them leaves behind comes to the other.
"""

from __future__ import annotations

import os
import time

from orchestrator.agent.lean import signal
from orchestrator.agent.loop import now_ns
from orchestrator.agent.tasks import Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.agent.tasks import Steps

LABEL = "ORCHESTRATE_RUN"
END_NS = 4_000_000_000
CLOSED_NS = 10_000_000_000
"""How long a controller may keep a connection with no agent at its end; it makes another one where it needs one again."""
_CLOSING_S = 0.05
_PAUSE_NS = 3_000_000
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> bool:
    """Become the parent of whatever our descendants leave behind; gives whether that was possible."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat (proc(5)) from the third on: state, parent, ...; empty where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def since(pid: int) -> int:
    """When a process began, in clock ticks since the host did: with its number, who it is. 0 where there is none, or only its remains."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else 0


def is_stopped(pid: int) -> bool:
    """Whether it was stopped (SIGSTOP), so that it will answer nothing."""
    return _stat(pid)[:1] in (["T"], ["t"])


def parent(pid: int) -> int:
    """Its parent, 0 where there is none."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def go_on(pid: int) -> None:
    """Wake a process that was stopped: sudo(8) stops with what it started, and nobody would tell it that this has ended."""
    if pid > 1 and is_stopped(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except OSError:
            pass


def let_go(*, cut_off: bool) -> None:
    """Leave nothing waiting for us. ``cut_off``: nor the sshd(8) that serves us, which else waits until TCP gives the dead connection up.

    Where the controller is still heard of, somebody stays who sees to it that it closes the connection, or comes back over it.
    """
    go_on(os.getppid())
    server, session = _server()
    if cut_off:
        _hang_up(server)
    elif server and os.fork() == 0:
        try:
            _see_it_closed(server, session)
        finally:
            os._exit(0)


def _server() -> tuple[dict[str, int], int]:
    """The sshd that serves our channel and no other, and its child that led to us; nobody where we were not started so.

    There is at most sudo(8) between, because whatever shell there was has become what it was to run (see ``launch``): whoever is farther
    away serves a person.
    """
    session, above = os.getpid(), os.getppid()
    while _name(above) == "sudo":
        session, above = above, parent(above)
    return (who(above), session) if above > 1 and _name(above).startswith("sshd") else ({}, 0)


def _hang_up(server: dict[str, int]) -> None:
    if lives(server):
        try:
            os.kill(server["pid"], signal.SIGTERM)
        except OSError:
            pass


def _see_it_closed(server: dict[str, int], session: int) -> None:
    """Wait until our sshd has gone, or has another session, whose guardian does the same; end it when neither comes about in time."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    until = now_ns() + CLOSED_NS
    while lives(server) and set(_how_to_list_children(server["pid"])(server["pid"])) <= {session}:
        if now_ns() > until:
            _hang_up(server)
            return
        time.sleep(_CLOSING_S)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def lives(who: dict[str, int]) -> bool:
    """Whether the process of this ``pid`` still is the one that began ``since``."""
    return bool(who) and since(who["pid"]) == who["since"] != 0


def who(pid: int) -> dict[str, int]:
    """What tells a process from another that may get its number later."""
    return {"pid": pid, "since": since(pid)}


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root: int) -> list[int]:
    """Everything that descends from ``root`` and has not ended."""
    children = _how_to_list_children(root)
    found: list[int] = []
    parents = [root]
    while parents:
        born = children(parents.pop())
        found += born
        parents += born
    return found


def _how_to_list_children(pid: int) -> Callable[[int], list[int]]:
    return _children_of if os.path.exists(f"/proc/{pid}/task/{pid}/children") else _found_children()


def _children_of(pid: int) -> list[int]:
    """Its children that have not ended, as the kernel lists them (proc(5), CONFIG_PROC_CHILDREN)."""
    born: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="utf-8") as file:
                born += map(int, file.read().split())
    except OSError:
        pass  # it ended meanwhile, and its children are somebody else's: looked at again
    return [child for child in born if since(child)]


def _found_children() -> Callable[[int], list[int]]:
    """The same from all that there is, for a kernel that keeps no list."""
    children: dict[int, list[int]] = {}
    for pid in _all():
        fields = _stat(pid)
        if fields and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(pid)
    return lambda pid: children.get(pid, [])


def labelled(run: str) -> list[int]:
    """Everything that was started with the run's id in its environment, but not ourselves."""
    label = f"{LABEL}={run}\0".encode()
    found = []
    for pid in _all():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if label in file.read() and pid != os.getpid() and since(pid):
                    found.append(pid)
        except OSError:
            continue
    return found


def left_by(run: str, *, adopts: bool) -> Callable[[], list[int]]:
    """What finds all that this process and its descendants started; where orphans do not come to us (``adopts``), by the run's id."""
    return lambda: descendants(os.getpid()) + ([] if adopts or not run else labelled(run))


def end(find: Callable[[], list[int]]) -> Steps[list[str]]:
    """Kill what ``find`` finds until it finds nothing, but not for ever: as a task, which gives what could not be ended, in words."""
    until = now_ns() + END_NS
    while True:
        left = find()
        if not left or now_ns() > until:
            return [f"process {pid} is still there" for pid in left]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        yield Wait(deadline=now_ns() + _PAUSE_NS)
