"""An undo as data -> what takes the change back: one generator for each kind of undo, in the table ``UNDOS``.

An undo is a record that JSON can hold: ``{"do": kind, "text": ..., ...}``. So it can be known to the guardian and to a journal before the
change is made, and whoever finds it can carry it out. Each is good from before the change on and as often as one likes: it looks first,
and finds that there is nothing to do. Only what we made is ever taken out: our rules are deleted word for word, with the comment that
carries the run's id; never a chain, a table or a rule by pattern. The surprising fact: only who saw a change succeed may skip the look
(``certain``), because a tool that was interrupted may have done its work.
"""

from __future__ import annotations

import errno
import os

from orchestrator.agent.doing import changes
from orchestrator.agent.doing.programs import output
from orchestrator.agent.loop import now_ns
from orchestrator.agent.tasks import Wait, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps, Task

    Undo = dict[str, Any]

ONE_NS = 4_000_000_000
ALL_NS = 6_000_000_000
"""Twice this, for the agent and then its guardian, and the silence before it, is less than half a minute."""
AT_LEISURE_NS = 8_500_000_000
"""Where nothing has happened, and the controller waits for the answer."""
LEAST_NS = 300_000_000
_NO_SUCH_RULE = 1  # iptables -C; 2 is bad usage, 4 a lock that somebody else held
FOLDER = "orchestrate-"
_WITH_ITS_LINK = ("route out", "address out", "link")


def carry_out(loop: Loop, undo: Undo, *, certain: bool = False) -> Steps[None]:
    """Take one change back, as a task.

    :raises ChangeRefused: the host refused; the change may still be there.
    """
    kind = UNDOS.get(undo["do"])
    if kind is None:
        raise changes.ChangeRefused(f"nobody here knows how to undo: {undo.get('text') or undo['do']}")
    yield from kind(loop, undo, certain)


def all_back(loop: Loop, undos: dict[int, Undo], forget: Callable[[int], object]) -> Steps[tuple[list[str], list[str]]]:
    """Carry out ``undos``, the highest number first, each for a few seconds at the most and all within ``ALL_NS``.

    Gives ``(undone, not undone)`` in words. What hangs first leaves a moment for each of the others.

    ``forget`` is called with the number of each that was carried out.
    """
    undone: list[str] = []
    failed: list[str] = []
    until = now_ns() + ALL_NS
    for number in sorted(undos, reverse=True):
        undo = undos[number]
        try:
            yield from within(loop, carry_out(loop, undo), patience_ns(until))
            forget(number)
            undone.append(undo["text"])
        except Exception as error:
            failed.append(f"{undo.get('text', undo)} ({error})")
    return undone, failed


def patience_ns(until_ns: int) -> int:
    """How long one undo may take, where all of them should be done ``until_ns``."""
    return max(LEAST_NS, min(ONE_NS, until_ns - now_ns()))


class _News:
    """Somebody to be woken when a task is over."""

    def __init__(self) -> None:
        self.waiting: list[Task] = []


def within(loop: Loop, steps: Steps[Any], patience_ns: int) -> Steps[Any]:
    """Do ``steps`` as a task that is interrupted when it takes too long, and wait for it; a tool that hangs is ended with it."""
    outcome: list[tuple[Any, Exception | None]] = []
    news = _News()

    def over(value: object, error: Exception | None) -> None:
        outcome.append((value, error))
        wake(news.waiting)

    loop.spawn(steps, over, now_ns() + patience_ns)
    while not outcome:
        yield Wait(on=news)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _rule(loop: Loop, undo: Undo, certain: bool) -> Steps[None]:  # noqa: FBT001  the table's signature
    tool = [undo["tool"], "-w", "3"]
    if not certain:
        argv = tool + undo["question"]
        status, out, err = yield from output(loop, argv)
        if status == _NO_SUCH_RULE:
            return
        if status != 0:
            raise changes.refused(argv, status, out, err)
    yield from changes.command(loop, tool + undo["words"])


def _sysctl(loop: Loop, undo: Undo, certain: bool) -> Steps[None]:  # noqa: FBT001
    if changes.read_sysctl(undo["key"]) is not None:  # else its interface has gone, and it with that
        changes.write_sysctl(undo["key"], undo["value"])
    for key, value in undo.get("along", {}).items():
        if changes.read_sysctl(key) not in (None, value):
            changes.write_sysctl(key, value)
    return
    yield


def _offload(loop: Loop, undo: Undo, certain: bool) -> Steps[None]:  # noqa: FBT001
    try:
        changes.set_offload(undo["interface"], undo["name"], wanted=undo["wanted"])
    except changes.ChangeRefused as error:
        if getattr(error.__cause__, "errno", 0) != errno.ENODEV:  # else the interface has gone, and its offloads with it
            raise
    return
    yield


def _file(loop: Loop, undo: Undo, certain: bool) -> Steps[None]:  # noqa: FBT001
    try:
        os.unlink(undo["path"])
    except FileNotFoundError:
        pass
    return
    yield


def _folder(loop: Loop, undo: Undo, certain: bool) -> Steps[None]:  # noqa: FBT001
    """With all that is in it; only a folder of ours, by name and by owner."""
    import shutil

    path = undo["path"]
    os.chdir("/")
    try:
        owner = os.lstat(path).st_uid
    except FileNotFoundError:
        return
    if owner != os.geteuid() or not os.path.basename(path).startswith(FOLDER):
        raise changes.ChangeRefused(f"{path} is not ours")
    shutil.rmtree(path)
    return
    yield


def _network(loop: Loop, undo: Undo, certain: bool) -> Steps[None]:  # noqa: FBT001
    """Of addresses, routes and links; few runs need what is known of them."""
    from . import network

    try:
        yield from network.UNDOS[undo["do"]](loop, undo)
    except changes.ChangeRefused as error:
        if undo["do"] not in _WITH_ITS_LINK or not _says_no_link(str(error)):
            raise  # else it went with its interface


def _says_no_link(text: str) -> bool:
    """Whether these are ip(8)'s words for an interface that is not there: ``Device "ens7" does not exist``."""
    return 'Device "' in text and '" does not exist' in text


UNDOS: dict[str, Callable[[Loop, Undo, bool], Steps[None]]] = {
    "rule": _rule,
    "sysctl": _sysctl,
    "offload": _offload,
    "file": _file,
    "folder": _folder,
    "route out": _network,
    "route back": _network,
    "address out": _network,
    "address back": _network,
    "link": _network,
    "mtu": _network,
}
