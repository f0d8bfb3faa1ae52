"""What a person calls a run -> its folder.

Knows names, ids and ``latest``. The surprising fact: whatever else lies in the folder of the runs is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import StoreError, UsageError
from orchestrator.store.directory import LIVE, PLAN, RECORD, RunDirectory
from orchestrator.store.liveness import LiveRun, run_id


def kept_in(text: str) -> Path:
    """The folder that a person named for runs; it need not be there yet.

    :raises UsageError: it cannot be one.
    """
    try:
        file = next((path for path in (Path(text), *Path(text).parents) if path.exists() and not path.is_dir()), None)
    except PermissionError:
        file = None  # told when something is to be read or written there
    except OSError as error:
        raise UsageError(f"--runs {text}: {error.strerror}") from error
    if not _is_unicode(text):
        raise UsageError(f"--runs {text!r}: this name is no UTF-8, and reports could not say it")
    if file is not None or not text:
        raise UsageError(f"--runs {text or repr(text)}: {f'{file} is no folder' if file else 'that names no folder'}")
    return Path(text)


def _is_unicode(text: str) -> bool:
    with suppress(UnicodeEncodeError):
        text.encode()
        return True
    return False


def every_run(root: Path) -> Iterator[RunDirectory]:
    """All runs under ``root``, oldest first."""
    found = [path for path in root.glob("*/*") if path.is_dir() and not path.is_symlink() and "Z-" in path.name]
    return (RunDirectory(path) for path in sorted(found, key=lambda path: path.name))


def find_run(root: Path, wanted: str) -> RunDirectory:
    """A run by its folder, by (the begin of) its id, by ``<scenario>`` or ``latest`` for the newest.

    :raises UsageError: there is none, or several.
    """
    path = Path(wanted)
    if (path / PLAN).exists() or (path / RECORD).exists():
        return RunDirectory(path.resolve())
    runs = list(every_run(root))
    if wanted == "latest" and runs:
        return runs[-1]
    named = [run for run in runs if run.path.parent.name == wanted]
    if named:
        return named[-1]
    fitting = [run for run in runs if run.path.name == wanted or run.path.name.rpartition("Z-")[2].startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{len(fitting)} runs begin with {wanted!r}: give more of the id")
    if not runs:
        raise UsageError(f"no run is kept in {root}: start one with `orchestrate run FILE`, or name another folder with --runs")
    raise UsageError(f"no run is called {wanted!r} in {root}; `orchestrate ls` lists them")


def find_live(root: Path, host: str, wanted: str = "") -> tuple[RunDirectory, LiveRun]:
    """The run whose hosts are up, with a host of that name; ``wanted`` says which, as for :func:`find_run`.

    :raises UsageError: there is none, or several.
    """
    found = []
    for run in [find_run(root, wanted)] if wanted else every_run(root):
        with suppress(StoreError):  # most runs have none, and one of another version must not hide the others
            live = run.read(LIVE, LiveRun)
            if live.has(host):
                found.append((run, live))
    if len(found) > 1:
        names = "".join(f"\n  --run {run_id(run)}  {run.path.parent.name}" for run, _live in found)
        raise UsageError(f"{len(found)} runs keep a host {host} up; say whose is meant:{names}")
    if not found:
        raise UsageError(f"no host {host} is up in {wanted or root}: start one with `orchestrate run --keep FILE`")
    return found[0]


def names_of_runs(root: Path) -> list[str]:
    """What :func:`find_run` would find: ``latest``, scenarios, ids."""
    runs = list(every_run(root))
    return [*(["latest"] if runs else []), *sorted({run.path.parent.name for run in runs}), *(run_id(run) for run in reversed(runs))]


def live_hosts(root: Path) -> list[str]:
    """The names of all hosts that are up."""
    found: set[str] = set()
    for run in every_run(root):
        with suppress(StoreError):
            live = run.read(LIVE, LiveRun)
            found |= {host for host in (*live.hosts, *live.logins) if live.has(host)}
    return sorted(found)
