"""Files, functions, classes and folders stay small enough to be read at once; an exception stands below, with its reason."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "orchestrator").rglob("*.py"))
FILE_LINES = 400
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 10
FOLDER_MODULES = 8
PUBLIC_METHODS = 7

# Folder below orchestrator/: how many modules it may hold, and why.
LARGE_FOLDERS: dict[str, tuple[int, str]] = {
    "loading/notation": (9, "one module for each notation that a text in a file may have"),
}
# Class: how many public methods it may have, and why.
LARGE_CLASSES: dict[str, tuple[int, str]] = {
    "agent/host.py: Host": (9, "actions and their undos, which an interrupted action must not part"),
    "agent/safety/guard.py: Guard": (9, "one method for each word between an agent and its guardian"),
    "agent/loop.py: Loop": (8, "the whole of a small event loop: files, times, children, and its own end"),
    "agent/service.py: Service": (16, "one method for each word of the protocol that a controller may ask"),
    "connectors/ssh/process.py: AgentProcess": (13, "a channel's three, asyncssh's six callbacks, and how it ended, in three words"),
    "testbeds/hosts.py: Hosts": (8, "all that a run asks of its hosts, whichever they are: three looks, and five words of their life"),
    "engine/recorder.py: Recorder": (11, "one method for each kind of thing that a record holds"),
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"}


def functions(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node):
    return node.end_lineno - node.lineno + 1


def test_there_is_something_to_measure():
    assert len(SOURCES) > 10


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_are_short(path):
    assert path.read_text().count("\n") <= FILE_LINES
    assert {node.name: length(node) for node in functions(path) if length(node) > FUNCTION_LINES} == {}


def test_the_median_function_is_short():
    assert statistics.median(length(node) for path in SOURCES for node in functions(path)) <= MEDIAN_FUNCTION_LINES


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_has_one_subject(folder):
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    most, _reason = LARGE_FOLDERS.get(str(folder.relative_to(ROOT / "orchestrator")), (FOLDER_MODULES, ""))
    if folder.name != "orchestrator":
        assert len(modules) <= most, modules


def classes():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield f"{path.relative_to(ROOT / 'orchestrator')}: {node.name}", [item for item in node.body if is_public_method(item)]


def test_a_class_has_one_job():
    crowded = {name: len(public) for name, public in classes() if len(public) > LARGE_CLASSES.get(name, (PUBLIC_METHODS, ""))[0]}
    assert crowded == {}


def test_an_exception_that_is_no_longer_needed_is_gone():
    folders = {name: len(list((ROOT / "orchestrator" / name).glob("*.py"))) - 1 for name in LARGE_FOLDERS}
    assert [name for name, modules in folders.items() if modules <= FOLDER_MODULES] == []
    sizes = {name: len(public) for name, public in classes()}
    assert [name for name in LARGE_CLASSES if sizes.get(name, 0) <= PUBLIC_METHODS] == []


def is_public_method(item):
    return isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_")


def test_no_name_says_nothing():
    assert [path for path in SOURCES if VAGUE & {path.stem, path.parent.name}] == []


def test_every_module_says_what_it_is():
    assert [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []
