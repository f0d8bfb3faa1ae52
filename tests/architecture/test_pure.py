"""The pure floors do nothing but think, and their unit tests show it without a process, a network or a sleep.

What a unit test does is watched while it runs (``tests/unit/conftest.py``); here stands who may do otherwise, and that the watch is kept.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORCHESTRATOR, UNIT = ROOT / "orchestrator", ROOT / "tests" / "unit"
PURE = (
    "model",
    "planning",
    "readings",
    "loading",
    "analysis",
    "checks",
    "reports",
    "testbeds/iproute.py",
    "testbeds/machines/matching.py",
    "testbeds/machines/diagnosis.py",
    "testbeds/preparing/packages.py",
    "store",
    "errors.py",
    "connectors/bundle.py",
)
# Modules of the standard library through which a program starts others, talks to them, or waits.
WORLDLY = {
    "asyncio",
    "concurrent",
    "ctypes",
    "http",
    "multiprocessing",
    "pty",
    "select",
    "selectors",
    "signal",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "urllib",
}
# Pure module that imports one of them all the same: which, and what for.
EXCEPTIONS: dict[str, tuple[str, str]] = {
    "analysis/wire/ends.py": ("socket", "inet_ntop, which opens nothing"),
    "loading/notation/places.py": ("socket", "inet_ntop and inet_pton, which open nothing"),
}
# Unit tests that may start programs (mark `impure`), and the programs.
IMPURE = {
    "analysis/test_golden.py::test_tcpdump_prints_the_same_flags_lengths_and_options": "tcpdump",
    "analysis/test_golden.py::test_tshark_reads_the_same": "tshark",
    "loading/test_speed.py::test_what_is_not_imported": "python",
    "reports/test_progress.py::test_watching_a_log_imports_no_rich": "python",
    "test_purity.py::test_a_marked_test_may": "true",
}

# Unit tests that sleep, and why.
SLEEPERS = {"reports/test_progress.py": "looks again and again, with a bound, at a terminal that another thread draws on"}


def modules():
    for name in PURE:
        path = ORCHESTRATOR / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_there_is_something_to_look_at():
    assert len(list(modules())) > 60


def test_a_pure_floor_imports_nothing_worldly():
    found = {str(path.relative_to(ORCHESTRATOR)): sorted(set(imported(path)) & WORLDLY) for path in modules()}
    assert {name: names for name, names in found.items() if names} == {name: [module] for name, (module, _why) in EXCEPTIONS.items()}


def calls(path):
    """Every call in ``path`` by its dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_no_unit_test_sleeps():
    names = {str(path.relative_to(UNIT)): set(calls(path)) for path in UNIT.rglob("*.py")}
    assert {name for name, called in names.items() if called & {"time.sleep", "sleep"}} == set(SLEEPERS)


def collected(*words):
    command = [sys.executable, "-m", "pytest", "tests/unit", "--collect-only", "-p", "no:cacheprovider", *words]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    return {line.removeprefix("tests/unit/").partition("[")[0] for line in lines if "::" in line}


def test_who_may_start_programs():
    others = {name for name in collected("-m", "impure") if not name.startswith("agent/")}  # an agent starts programs: that is its work
    assert others == set(IMPURE)


def test_every_unit_test_is_watched(tmp_path):
    """A test put into the folder is refused a process: nothing there escapes the watch by where it stands."""
    (tmp_path / "conftest.py").write_text((UNIT / "conftest.py").read_text())
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(
        "import os\n\ndef test_it():\n    try:\n        os.system('true')\n    except Exception:\n        pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "assert ['os.system'] == []" in run.stdout
