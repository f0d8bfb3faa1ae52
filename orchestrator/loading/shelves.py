"""Where scenarios and topologies lie: the current folder, ``scenarios/`` and ``topologies/`` in it, and what came with the package."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from orchestrator.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(kind: str) -> Path:
    """The folder of the ``scenarios`` or ``topologies`` that ship: inside the installed package, or beside it in a checkout."""
    inside = _PACKAGE / "data" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def topology_folders() -> tuple[Path, ...]:
    """Where a topology is looked for by name, nearest first."""
    return (Path("topologies"), shipped("topologies"))


def scenario_folders() -> tuple[Path, ...]:
    """Where a scenario is looked for by name, nearest first."""
    return (Path(), Path("scenarios"), shipped("scenarios"))


def every_scenario() -> dict[str, Path]:
    """Every scenario that can be run by its bare name, and its file."""
    found = [path for folder in reversed(scenario_folders()) for path in folder.glob("*.yaml") if path.is_file()]
    return dict(sorted({path.stem: path for path in found if _said(path, "scenario") == path.stem}.items()))


def title_of(path: Path) -> str:
    """The title that a scenario's file gives, without reading the rest of it."""
    return _said(path, "title")


def _said(path: Path, key: str) -> str:
    """The text beside a key at the top of a file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    value = next((line.partition(":")[2] for line in lines if line.startswith(f"{key}:")), "").partition(" #")[0].strip()
    return value[1:-1] if value[:1] in {"'", '"'} and value[:1] == value[-1:] else value


def find_scenario(name: str) -> Path:
    """The file that ``name`` means: a path, or a bare name with or without ``.yaml``.

    :raises UsageError: there is none; says where it was looked for and what comes near.
    """
    folders = scenario_folders()
    bare = "/" not in name
    for folder in folders if bare else (Path(),):
        for path in (folder / name, folder / f"{name}.yaml"):
            if path.is_file():
                return _not_a_topology(path)
    raise UsageError(_not_found(name, folders if bare else (Path(),)))


def _not_a_topology(path: Path) -> Path:
    with suppress(OSError):
        keys = {line.partition(":")[0] for line in path.read_text(encoding="utf-8", errors="replace").splitlines()}
        if {"topology", "hosts"} <= keys and not {"scenario", "steps"} & keys:
            raise UsageError(f"{path} is a topology and no scenario: name a scenario that runs on it")
    return path


def _not_found(name: str, folders: tuple[Path, ...]) -> str:
    from difflib import get_close_matches

    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    if Path(name).is_dir():
        return f"{name} is a directory: name the scenarios in it, {Path(name) / '*.yaml'}"
    near = get_close_matches(Path(name).stem, known, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no scenario {name!r} in {', '.join(dict.fromkeys(str(folder.resolve()) for folder in folders))}{hint}"
