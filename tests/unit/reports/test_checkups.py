"""What a doctor found on machines, as a table and as JSON."""

import json

import pytest

from orchestrator.model.inventory import Checkup, Finding, Level
from orchestrator.reports.drawing.checkups import render_checkups
from orchestrator.reports.machine import checkups_json

SSH = Finding(subject="ssh", level=Level.GOOD, told="reached")
TOOLS = Finding(subject="tools", level=Level.POOR, told="missing: nc", advice="`orchestrate prepare` installs netcat-openbsd")
PYTHON = Finding(subject="python", level=Level.BAD, told="3.7 is too old", advice="install Python 3.8 or newer")
POOR = Checkup(machine="node7", findings=(SSH, TOOLS), packages=("netcat-openbsd",))
BAD = Checkup(machine="node8", findings=(SSH, PYTHON))


def test_a_block_for_each_machine():
    assert render_checkups([POOR, BAD], colour=False, width=80).splitlines() == [
        "!  node7",
        "   ✓  ssh    reached",
        "   !  tools  missing: nc",
        "             `orchestrate prepare` installs netcat-openbsd",
        "",
        "✗  node8",
        "   ✓  ssh     reached",
        "   ✗  python  3.7 is too old",
        "              install Python 3.8 or newer",
        "",
        "1 of 2 machines can run labs",
    ]


def test_one_machine_is_no_machines():
    assert render_checkups([POOR], colour=False, width=80).endswith("1 of 1 machine can run labs")


@pytest.mark.parametrize("width", [40, 60, 500])
def test_lines_are_folded_and_nothing_is_lost(width):
    long = Finding(subject="kernel", level=Level.POOR, told=" ".join(f"word{number}" for number in range(60)))
    text = render_checkups([Checkup(machine="node7", findings=(long,))], colour=False, width=width)
    assert [word for word in text.split() if word.startswith("word")] == long.told.split()
    assert all(len(line) <= width for line in text.splitlines()[:-1])


def test_colours_are_of_the_levels():
    text = render_checkups([POOR, BAD], colour=True, width=80)
    assert all(f"\x1b[{number}m" in text for number in (31, 32, 33))


def test_programs_read_the_same():
    document = json.loads(checkups_json([POOR, BAD]))
    assert [(row["machine"], row["level"]) for row in document["machines"]] == [("node7", "poor"), ("node8", "bad")]
    assert document["machines"][0]["packages"] == ["netcat-openbsd"]
    assert document["machines"][1]["findings"][1] == {
        "subject": "python",
        "level": "bad",
        "told": "3.7 is too old",
        "advice": "install Python 3.8 or newer",
    }
