"""What a person mistypes is answered with its place, or with what was perhaps meant; never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.program import Program, scenario

pytestmark = pytest.mark.namespaces
REFUSED = (ROOT / "scenarios" / "connection-refused.yaml").read_text()


def written(program: Program, text: str) -> Path:
    path = program.folder / "connection-refused.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", ["run", "validate", "plan"])
def test_a_typo_is_told_with_its_place(program: Program, command: str) -> None:
    path = written(program, REFUSED.replace("    raises: ConnectionRefusedError", "    rases: ConnectionRefusedError"))
    line = REFUSED[: REFUSED.index("    raises:")].count("\n") + 1
    done = program.run(command, path)
    assert (done.code, done.out) == (65, "")
    assert done.err.startswith(f"{path}:{line}:5: unknown key 'rases'")
    assert "did you mean 'raises'?" in done.err
    assert not program.runs.exists()


def test_all_problems_of_all_files_are_told_at_once(program: Program) -> None:
    one = written(program, REFUSED.replace("raises:", "rases:").replace("romeo tries", "romeo: tries"))
    two = scenario(program.folder, "other", "topology: two-hosts\nsteps:\n  - {host: hamlet, run: ls}\n")
    done = program.run("run", one, two)
    assert done.code == 65
    assert {line.split(":")[0] for line in done.err.splitlines()} == {str(one), str(two)}


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"", b"- " * 3000, b"a: &a [*a]\n", b"\x00" * 50, b"{" * 2000])
def test_a_file_that_is_no_scenario(program: Program, data: bytes) -> None:
    path = program.folder / "odd.yaml"
    path.write_bytes(data)
    done = program.run("run", path)
    assert done.code == 65
    assert done.err.startswith(f"{path}:")


def test_an_unknown_scenario_is_answered_with_a_near_one(program: Program) -> None:
    done = program.run("run", "conection-refused")
    assert (done.code, done.out) == (64, "")
    assert "did you mean connection-refused" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [["run", "--job", "2", "connection-refused"], ["run"], ["run", "--jobs", "0", "connection-refused"], ["rum"], ["show", "--nonsense"]],
)
def test_a_command_line_that_does_not_fit(program: Program, words: list[str]) -> None:
    done = program.run(*words)
    assert (done.code, done.out) == (64, ""), done
    assert done.err


def test_a_bad_filter_is_told_with_its_place(program: Program) -> None:
    path = written(program, REFUSED.replace("capture: [romeo, juliet]", 'capture: {romeo: "tcp prt 4000"}'))
    done = program.run("run", path)
    assert done.code == 65
    assert done.err.startswith(f"{path}:6:")
    assert "tcpdump refuses the capture filter 'tcp prt 4000'" in done.err


def test_a_run_that_is_not_there(program: Program) -> None:
    for words in (["show", "nothing"], ["recheck", "nothing"], ["shell", "romeo"], ["show"]):
        done = program.run(*words)
        assert done.code == 64, words
        assert len(done.err.splitlines()) == 1


def test_places_that_can_hold_nothing_are_told_before_anything_runs(program: Program) -> None:
    (program.folder / "file").write_text("")
    places = (["--runs", str(program.folder / "file" / "x")], ["--runs", ""], ["--junit", "/nowhere/x"], ["--junit", str(program.folder)])
    for place in places:
        done = program.run("run", *place, "connection-refused")
        assert (done.code, done.out, len(done.err.splitlines())) == (64, "", 1), place
    assert not program.runs.exists()


@pytest.mark.parametrize("words", [["validate", "connection-refused"], ["run", "connection-refused"], ["ls"], ["schema"]])
def test_a_folder_that_was_removed_around_us(program: Program, words: list[str]) -> None:
    left = ["sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', str(program.folder / "gone")]
    made = Program(program.folder, before=left)
    done = made.run(*words)
    assert (done.code, done.out) == (64, "")
    assert done.err == "the folder that you are in was removed: change to one that is there\n"


def test_the_scenarios_that_can_be_run_by_name_are_listed(program: Program) -> None:
    scenario(program.folder, "mine", "topology: two-hosts\nsteps: [{host: romeo, run: ls}]\n")
    done = program.run("ls", "--scenarios", cwd=program.folder)
    assert done.code == 0
    rows = {line.split()[0]: line for line in done.out.splitlines() if line}
    assert set(rows) >= {path.stem for path in (ROOT / "scenarios").glob("*.yaml")} | {"mine"}
    assert rows["mine"].split(maxsplit=1)[1] == "Mine"
    assert rows["connection-refused"].endswith("TCP connection refused")
    assert done.out.splitlines()[-1] == f"from ., {ROOT / 'scenarios'}"


def test_a_file_that_cannot_be_read(ordinary: Program) -> None:
    path = written(ordinary, REFUSED)
    path.chmod(0)
    done = ordinary.run("run", path)
    assert (done.code, done.out, done.err) == (65, "", f"{path}:1:1: the file cannot be read: permission denied\n")


INVENTORY = """
all:
  hosts:
    romeo: {ansible_host: 192.0.2.1}
    juliet: {ansible_host: 192.0.2.2}
  children:
    left: {hosts: {romeo: {}}}
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["run", "--map", "romeo=node7", "connection-refused"],
            "--map says which machine of an inventory is which host: it needs --inventory",
        ),
        (["run", "-i", "INVENTORY", "--jobs", "2", "connection-refused"], "--jobs: the machines of an inventory are there once"),
        (["run", "-i", "INVENTORY", "--map", "romeo", "connection-refused"], "--map romeo: write HOST=MACHINE, like romeo=node7"),
        (["run", "-i", "INVENTORY", "--map", "romio=juliet", "connection-refused"], "has no host 'romio', did you mean 'romeo'?"),
        (["run", "-i", "INVENTORY", "--map", "romeo=julia", "connection-refused"], "has no machine 'julia', did you mean 'juliet'?"),
        (["run", "-i", "INVENTORY", "--map", "romeo=juliet", "connection-refused"], "no machine of"),
        (["doctor", "-i", "INVENTORY", "--limit", "hamlet"], "--limit hamlet: "),
        (["clean", "-i", "INVENTORY", "--limit", "lefd"], "--limit lefd: "),
    ],
)
def test_machines_that_nobody_can_mean_are_told_before_any_is_talked_with(program: Program, words: list[str], told: str) -> None:
    path = program.folder / "machines.yaml"
    path.write_text(INVENTORY)
    done = program.run(words[0], *(str(path) if word == "INVENTORY" else word for word in words[1:]))
    assert (done.code, done.out) == (64, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


def test_an_inventory_that_is_not_there(program: Program) -> None:
    done = program.run("run", "-i", "/nowhere/inventory.yaml", "connection-refused")
    assert done.code in (64, 65)
    assert "/nowhere/inventory.yaml" in done.err
    assert not program.runs.exists()


def test_what_could_move_the_cursor_is_shown_and_not_done(program: Program) -> None:
    done = program.run("run", "no\x07such\x1b]0;title")
    assert done.code == 64
    assert "no\\x07such\\x1b]0;title" in done.err
    assert not {"\x07", "\x1b"}.intersection(done.err)
