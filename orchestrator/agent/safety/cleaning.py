"""What runs left on this host -> nothing, and an account of it: journals first, then rules and folders by their label.

Whoever is alive is told by itself, and ended only when it is named. A label is the run's id in a rule's comment or in a folder's name; what
has none is never touched. The surprising fact: the rules are listed before the journals are read, because a run writes its journal first,
so a rule in the list whose run has no journal belongs to nobody alive.
"""

from __future__ import annotations

import os
import re

from orchestrator.agent.doing.changes import ChangeRefused, command
from orchestrator.agent.lean import signal
from orchestrator.agent.loop import now_ns
from orchestrator.agent.tasks import Wait

from . import processes, state, undoing
from .journal import Journal, Told, journals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

LEAVE_NS = 20_000_000_000
_KILLED_NS = 3_000_000_000
_LOOK_NS = 20_000_000
_COMMENT = re.compile(r"orchestrate:([0-9a-f]{8,32}):\S+")
"""As actions.py writes it: the id of a run, a name. Whoever else begins a comment so has words in it."""
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')  # in quotes every mark may be behind a backslash, also where a shell's could not
_FOLDER = re.compile(undoing.FOLDER + r"([0-9a-f]{1,32})-[0-9a-f]{16}")
_TOOLS = ("iptables", "ip6tables")


def clean(loop: Loop, run: str, *, everything: bool) -> Steps[dict[str, Any]]:
    """Clean up after the dead; after ``run`` alone where it is given, even if it lives; after ``everything``; as a task.

    ``{"runs": [{"run", "who", "since_ns", "alive", "undone", "not_undone", "reason"}], "rules": [text], "folders": [path]}``

    :raises ValueError: ``run`` is no id of a run. :raises Unsafe: the folder of locks and journals is not ours alone.
    """
    if run:
        state.checked(run)
    rules = yield from _rules(loop)
    folder = state.folder()
    try:
        told = yield from _clean_runs(loop, folder, run, everything=everything)
        known = {journal.run for journal in journals(folder)} | {state.holder().get("run")}
        gone = []
        for owner, text, argv in rules:
            if owner not in known and run in ("", owner) and (yield from _taken_out(loop, argv)):
                gone.append(text)
        return {"runs": told, "rules": gone, "folders": (yield from _clean_folders(loop, folder, run, known))}
    finally:
        _free()


def _clean_runs(loop: Loop, folder: str, run: str, *, everything: bool) -> Steps[list[dict[str, Any]]]:
    told = []
    holder = state.holder()
    if holder and (everything or holder.get("run") == run):
        yield from _end(holder)
    alive = state.holder()
    if alive and alive.get("run") != run:
        told.append(_account(alive, alive=True, reason="it is going on"))
    for journal in [journal for journal in journals(folder) if journal.run != alive.get("run") and run in ("", journal.run)]:
        account = yield from _clean_run(loop, journal, named=everything or journal.run == run)
        told.append(account)
    return told


def _free() -> None:
    """Take away what is left of the lock of somebody who was killed, and the folder if it is empty; not where somebody is alive."""
    try:
        state.Lock({}).release()
    except (state.Held, OSError):
        pass


def _account(
    facts: dict[str, Any], *, alive: bool, reason: str, undone: list[str] | None = None, failed: list[str] | None = None
) -> dict[str, Any]:
    known = {"run": facts.get("run", ""), "who": facts.get("who", ""), "since_ns": facts.get("since_ns", 0)}
    return dict(known, alive=alive, undone=undone or [], not_undone=failed or [], reason=reason)


def _end(facts: dict[str, Any]) -> Steps[None]:
    """End a run that is alive: ask its guardian, wait for the lock, and kill what does not answer."""
    asked = _signal(facts, ("guardian",), signal.SIGTERM)
    if asked and not processes.is_stopped(facts["guardian"]["pid"]):
        yield from _wait_free(facts["run"], LEAVE_NS)
    if state.holder().get("run") == facts["run"]:
        above = processes.parent(facts["guardian"]["pid"]) if processes.lives(facts.get("guardian") or {}) else 0
        _signal(facts, ("guardian", "agent"), signal.SIGKILL)
        processes.go_on(above)
        yield from _wait_free(facts["run"], _KILLED_NS)


def _signal(facts: dict[str, Any], names: tuple[str, ...], number: int) -> bool:
    """Signal those of a run's processes that still are who they were; gives whether there was one."""
    found = False
    for name in names:
        who = facts.get(name) or {}
        if processes.lives(who):
            try:
                os.kill(who["pid"], number)
                found = True
            except OSError:
                pass
    return found


def _wait_free(run: str, patience_ns: int) -> Steps[None]:
    until = now_ns() + patience_ns
    while state.holder().get("run") == run and now_ns() < until:
        yield Wait(deadline=now_ns() + _LOOK_NS)


def _clean_run(loop: Loop, journal: Told, *, named: bool) -> Steps[dict[str, Any]]:
    """One dead run: what is left of its processes, its undos, its journal."""
    _signal(journal.facts, ("agent",), signal.SIGKILL)
    still = yield from processes.end(lambda: processes.labelled(journal.run))
    pages = Journal(os.path.dirname(journal.path), journal.run)
    undone, failed = yield from undoing.all_back(loop, journal.undos, lambda number: pages.try_to_write({"forget": number}))
    failed = still + failed
    if named or not failed:
        pages.remove()
    else:
        pages.close()
    reason = journal.outcome.get("ended", "its agent and its guardian were killed")
    return _account(journal.facts, alive=False, reason=reason, undone=journal.outcome.get("undone", []) + undone, failed=failed)


# -- by label


def _rules(loop: Loop) -> Steps[list[tuple[str, str, list[str]]]]:
    """``(run, text, words that take it out)`` of each rule with our label; none where there is no tool, or no right to list them."""
    found = []
    for tool in _TOOLS:
        try:
            text = yield from command(loop, [tool + "-save"])
        except (OSError, ChangeRefused):
            continue
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith("-A ") and "orchestrate:" in line:
                owner, words = _labelled(line)
                if owner:
                    found.append((owner, f"{tool} -t {table} {line}", [tool, "-w", "3", "-t", table, "-D", *words[1:]]))
    return found


def _labelled(line: str) -> tuple[str, list[str]]:
    """The run whose comment a line of iptables-save(8) carries, and the line's words; empty where it carries none of ours."""
    words = [re.sub(r"\\(.)", r"\1", quoted) if quoted else bare for quoted, bare in _WORD.findall(line)]
    owners = [_COMMENT.fullmatch(words[i + 1]) for i in range(len(words) - 1) if words[i] == "--comment"]
    return (owners[0].group(1), words) if len(owners) == 1 and owners[0] is not None else ("", words)


def _taken_out(loop: Loop, argv: list[str]) -> Steps[bool]:
    try:
        yield from command(loop, argv)
    except (OSError, ChangeRefused):
        return False  # whoever made it has taken it out meanwhile
    return True


def _clean_folders(loop: Loop, folder: str, run: str, known: set[str | None]) -> Steps[list[str]]:
    gone = []
    for base in dict.fromkeys((folder, os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp")):  # noqa: S108  where private folders are made
        for name in _names(base):
            match = _FOLDER.fullmatch(name)
            path = os.path.join(base, name)
            if match is None or match.group(1) in known or run not in ("", match.group(1)) or not _is_ours(path):
                continue
            undone, _failed = yield from undoing.all_back(loop, {0: {"do": "folder", "text": path, "path": path}}, lambda _number: None)
            gone += undone
    return gone


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _is_ours(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return False
