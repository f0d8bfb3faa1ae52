"""Text -> model: scenarios, topologies and inventories, every problem found at once and shown with path, line and column.

The front of this folder. Below it, ``source`` makes marked nodes of bytes, ``keys`` holds the one table of keys, made of ``kinds``, that
both reader and the JSON Schema come from, ``notation`` knows the small languages inside texts, ``script`` makes records of steps and
expectations. The surprising fact: no function here returns half a result; either everything is right or
:class:`~orchestrator.errors.InputProblems` tells all that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.loading.scenarios import read_scenarios
from orchestrator.loading.source.documents import LARGEST_BYTES, Mapping, Node, Scalar, read_document
from orchestrator.loading.source.problems import Complaints, Enough, Refused, suggestion
from orchestrator.loading.topologies import read_topology
from orchestrator.model.scenario import Scenario
from orchestrator.model.topology import Topology
from orchestrator.model.words.values import Where

if TYPE_CHECKING:
    from pathlib import Path  # the caller has it; a pure reader of text does not pay for it

    from orchestrator.model.inventory import Inventory


_VARIABLE_FILES = (".yaml", ".yml", ".json")


class Loaded(NamedTuple):
    """A scenario's variants, in the order of its matrix, the topology that they run on, and the bytes of both files, by path."""

    scenarios: tuple[Scenario, ...]
    topology: Topology
    files: dict[str, bytes]


def load_scenario(path: Path, folders: Sequence[Path]) -> Loaded:
    """Read the scenario in ``path`` and its topology.

    A topology's name is looked for in ``folders`` and beside the scenario (``../topologies``); a name that ends in ``.yaml`` is a path
    from the scenario's folder or from here.

    :raises InputProblems: all that is wrong with either file.
    """
    complaints = Complaints()
    scenarios: tuple[Scenario, ...] = ()
    topology = None
    files: dict[str, bytes] = {}
    with suppress(Refused, Enough):
        document = read_document(_content(path, complaints, files), str(path), complaints)
        topology = _topology_of(document, path, folders, complaints, files)
        scenarios = read_scenarios(document, str(path), topology, complaints)
    complaints.settle()
    assert topology is not None  # noqa: S101 - without one there was a complaint
    return Loaded(scenarios, topology, files)


def load_topology(path: Path) -> Topology:
    """Read the topology in ``path``.

    :raises InputProblems: all that is wrong with it.
    """
    complaints = Complaints()
    topology = _topology_in(path, complaints, {})
    complaints.settle()
    assert topology is not None  # noqa: S101 - without one there was a complaint
    return topology


def load_inventory(path: Path) -> Inventory:
    """Read the inventory in ``path``, in Ansible's YAML form; ``group_vars`` and ``host_vars`` beside it are looked for, and refused.

    :raises InputProblems: all that is wrong with it.
    """
    from orchestrator.loading.inventory import form_problem, read_inventory

    complaints = Complaints()
    inventory = None
    with suppress(Refused, Enough):
        content = _content(path, complaints, {})
        wrong = form_problem(str(path), content)
        if wrong:
            complaints.add(Where(path=str(path), line=1), wrong)
            raise Refused
        inventory = read_inventory(read_document(content, str(path), complaints), str(path), complaints)
        if inventory:
            _check_beside(path, inventory, complaints)
    complaints.settle()
    assert inventory is not None  # noqa: S101 - without one there was a complaint
    return inventory


def _check_beside(path: Path, inventory: Inventory, complaints: Complaints) -> None:
    """Complain about each file of variables that Ansible would read too (its plugin host_group_vars)."""
    from orchestrator.loading.inventory import beside_problem

    for kind in ("group_vars", "host_vars"):
        folder = path.parent / kind
        try:
            entries = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            complaints.add(Where(path=str(folder), line=1), f"Ansible's variables may be in there, and it cannot be read: {error.strerror}")
            continue
        for entry in entries:
            stem = entry.name if entry.is_dir() or entry.suffix not in _VARIABLE_FILES else entry.stem
            wrong = beside_problem(kind, stem, inventory)
            if wrong:
                complaints.add(Where(path=str(entry), line=1), wrong)


def read_scenario(text: str, path: str, topology: Topology) -> tuple[Scenario, ...]:
    """The variants of the scenario in ``text``, which reports call ``path``; opens nothing.

    :raises InputProblems: all that is wrong with it.
    """
    complaints = Complaints()
    scenarios: tuple[Scenario, ...] = ()
    with suppress(Refused, Enough):
        document = read_document(text.encode("utf-8", "surrogateescape"), path, complaints)
        scenarios = read_scenarios(document, path, topology, complaints)
    complaints.settle()
    return scenarios


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of scenarios: what the loader refuses by structure, it refuses."""
    from orchestrator.loading.keys.schema import scenario_schema

    return scenario_schema()


def topology_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of topologies."""
    from orchestrator.loading.keys import schema as written

    return written.topology_schema()


def inventory_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of inventories."""
    from orchestrator.loading.keys import schema as written

    return written.inventory_schema()


def _content(path: Path, complaints: Complaints, files: dict[str, bytes]) -> bytes:
    """The bytes of a file, one more than is allowed at most; kept in ``files`` too, so that nobody need read it again."""
    try:
        with path.open("rb") as file:
            files[str(path)] = file.read(LARGEST_BYTES + 1)
            return files[str(path)]
    except OSError as error:
        complaints.add(Where(path=str(path), line=1), f"the file cannot be read: {(error.strerror or str(error)).lower()}")
        raise Refused from None


def _topology_in(path: Path, complaints: Complaints, files: dict[str, bytes]) -> Topology | None:
    with suppress(Refused, Enough):
        return read_topology(read_document(_content(path, complaints, files), str(path), complaints), str(path), complaints)
    return None


def _topology_of(document: Node, path: Path, folders: Sequence[Path], complaints: Complaints, files: dict[str, bytes]) -> Topology | None:
    """The topology that the scenario names; ``None`` after a complaint, or where the scenario's own reader will complain."""
    node = document.value("topology") if isinstance(document, Mapping) else None
    if not isinstance(node, Scalar) or node.tag != "str" or not node.text or "\0" in node.text:
        return None
    name, beside = node.text, path.parent
    if name.endswith(".yaml"):
        candidates = [beside / name, type(path)(name)]
    else:
        candidates = [folder / f"{name}.yaml" for folder in (*folders, beside / ".." / "topologies")]
    for candidate in candidates:
        if candidate.is_file():
            return _topology_in(candidate, complaints, files)
    known = {file.stem for candidate in candidates for file in candidate.parent.glob("*.yaml")} if not name.endswith(".yaml") else ()
    looked = ", ".join(dict.fromkeys(str(candidate) for candidate in candidates))
    where = Where(path=str(path), line=node.line, column=node.column)
    complaints.add(where, f"there is no topology '{name}'{suggestion(name, known)} (looked for {looked})")
    return None


__all__ = ["Loaded", "inventory_schema", "load_inventory", "load_scenario", "load_topology", "read_scenario", "schema", "topology_schema"]
