"""Mutants of the pure floors, and whether the unit tests notice them: ``python -m tests.mutation.run [FLOOR...] [--all]``.

Cosmic-ray makes and tries the mutants; this script gives it a copy of the checkout (it changes files in place), chooses, and counts.
Chosen are only mutants that could be noticed and could be missed: an operator of an annotation, of a type alias or of a pattern is never
worked out, or breaks the import whatever the tests are, and would only move the score. The survivors are written to ``mutants/``, as diffs.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("floors.toml")
DIFFS = ROOT / "mutants"
COPIED = ("orchestrator", "tests", "scenarios", "topologies", "docs", "pyproject.toml", "README.md")
PYTEST = "-x -q -p no:cacheprovider"
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": ".hypothesis"}
COLUMNS = f"{'floor':<10}{'mutants':>9}{'tried':>7}{'killed':>8}{'slow':>6}{'broken':>8}{'alive':>7}{'score':>8}{'took':>9}"


class Spans:
    """Where in one module an operator is worked out when the code runs, as opposed to when it is read."""

    def __init__(self, path):
        self._lines = path.read_text().splitlines()
        tree = ast.parse(path.read_text())
        unread = [node for node in ast.walk(tree) for node in self._unread(node)]
        hidden = {id(below) for node in unread for below in ast.walk(node)}
        binary = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and id(node) not in hidden]
        self._operators = [(self._end(node.left), self._begin(node.right)) for node in binary]
        self._unread_spans = [(self._begin(node), self._end(node)) for node in unread]

    @staticmethod
    def _unread(node):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node.returns
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias":
            yield node.value
        if isinstance(node, ast.Module):
            plain = (item.value for item in node.body if isinstance(item, ast.Assign) and isinstance(item.value, ast.BinOp))
            yield from (
                value for value in plain if {type(below) for below in ast.walk(value)} <= {ast.BinOp, ast.BitOr, ast.Name, ast.Load}
            )

    def _column(self, line, offset):
        return len(self._lines[line - 1].encode()[:offset].decode())

    def _begin(self, node):
        return node.lineno, self._column(node.lineno, node.col_offset)

    def _end(self, node):
        return node.end_lineno, self._column(node.end_lineno, node.end_col_offset)

    def matters(self, mutation):
        """Whether the mutant could be noticed, and could be missed."""
        at = tuple(mutation.start_pos)
        if "BinaryOperator" in mutation.operator_name:
            return any(begin <= at < end for begin, end in self._operators)
        return not any(begin <= at < end for begin, end in self._unread_spans)


def copied(folder):
    """The checkout, without what git ignores, to be changed at will."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / name)


def cosmic_ray(folder, *words):
    program = Path(sys.executable).parent / "cosmic-ray"
    subprocess.run([program, *words], cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def configured(folder, floor, wanted):
    """Cosmic-ray's configuration for one floor, with five times as long as the sound code takes for each mutant."""
    words = f"{sys.executable} -m pytest {PYTEST} {' '.join(wanted['tests'])}"
    began = time.monotonic()
    sound = subprocess.run(words.split(), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if sound.returncode != 0:
        sys.exit(f"the tests of {floor} fail without a mutant:\n{sound.stdout[-2000:]}")
    modules = [str(path.relative_to(folder)) for name in wanted["modules"] for path in sources(folder / name)]
    lines = [
        "[cosmic-ray]",
        f"module-path = {modules}",
        f"timeout = {5 * (time.monotonic() - began) + 2:.1f}",
        "excluded-modules = []",
        f"test-command = {words!r}",
        "[cosmic-ray.distributor]",
        "name = 'local'",
    ]
    (folder / f"{floor}.toml").write_text("\n".join(lines) + "\n")


def sources(path):
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def chosen(database, folder, floor, sample, seed):
    """How many mutants matter; all but the sample are marked as skipped."""
    spans, items = {}, {}
    for item in database.work_items:
        (mutation,) = item.mutations
        module = mutation.module_path
        if module not in spans:
            spans[module] = Spans(folder / module)
        if spans[module].matters(mutation):
            items[str(module), mutation.operator_name, mutation.occurrence] = item.job_id
    ordered = [items[key] for key in sorted(items)]
    keep = set(ordered if sample is None or sample >= len(ordered) else random.Random(f"{seed} {floor}").sample(ordered, sample))
    for job in [item.job_id for item in database.work_items if item.job_id not in keep]:
        database.set_result(job, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    return len(ordered), len(keep)


def outcome(result):
    """``slow``: it ran into the time limit; ``broken``: no test could even be collected."""
    text = result.output or ""
    if result.worker_outcome is not WorkerOutcome.NORMAL:
        return "error"
    if result.test_outcome is TestOutcome.SURVIVED:
        return "alive"
    if text.strip() == "timeout":
        return "slow"
    return "broken" if "during collection" in text or "ImportError while loading conftest" in text or "no tests ran" in text else "killed"


def run(folder, floor, wanted, seed, *, everything):
    """Try one floor; gives the counts and the diffs of the survivors."""
    began = time.monotonic()
    session = folder / f"{floor}.sqlite"
    configured(folder, floor, wanted)
    cosmic_ray(folder, "init", f"{floor}.toml", str(session))
    with use_db(session, WorkDB.Mode.open) as database:
        mutants, tried = chosen(database, folder, floor, None if everything else wanted["sample"], seed)
    cosmic_ray(folder, "exec", f"{floor}.toml", str(session))
    counts, diffs = Counter(mutants=mutants, tried=tried), []
    with use_db(session, WorkDB.Mode.open) as database:
        for _job, result in database.results:
            if result.worker_outcome is WorkerOutcome.SKIPPED:
                continue
            end = outcome(result)
            counts[end] += 1
            diffs += [result.diff or ""] if end == "alive" else []
            if end == "error":
                print(result.output)
    return counts, sorted(diffs), time.monotonic() - began


def row(floor, counts, took):
    judged = counts["tried"] - counts["broken"] - counts["error"]
    score = f"{100 * (judged - counts['alive']) / judged:.1f} %" if judged else "-"
    cells = (
        f"{counts[name]:>{width}}"
        for name, width in (("mutants", 9), ("tried", 7), ("killed", 8), ("slow", 6), ("broken", 8), ("alive", 7))
    )
    return f"{floor:<10}{''.join(cells)}{score:>8}{took:>7.0f} s"


def main():
    config = tomllib.loads(CONFIG.read_text())
    parser = argparse.ArgumentParser(description="mutants of the pure floors, and whether the unit tests notice them")
    parser.add_argument("floors", nargs="*", choices=[[], *config["floors"]], metavar="FLOOR", help="default: every floor of floors.toml")
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample (hours)")
    parser.add_argument("--seed", type=int, default=config["seed"], help="chooses the sample")
    asked = parser.parse_args()
    DIFFS.mkdir(exist_ok=True)
    print(COLUMNS, flush=True)
    whole, took = Counter(), 0.0
    for floor in asked.floors or config["floors"]:
        with tempfile.TemporaryDirectory(prefix="mutants-") as name:
            copied(Path(name))
            counts, diffs, seconds = run(Path(name), floor, config["floors"][floor], asked.seed, everything=asked.all)
        (DIFFS / f"{floor}.diff").write_text("\n".join(diffs))
        print(row(floor, counts, seconds), flush=True)
        whole, took = whole + counts, took + seconds
    print(row("all", whole, took))


if __name__ == "__main__":
    main()
