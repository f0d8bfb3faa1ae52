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


def test_machines_behind_one_trouble_are_told_together():
    unknown = Finding(subject="ssh", level=Level.BAD, told="the host key of bastion gate is not known")
    cut_off = [Checkup(machine=name, findings=(unknown,)) for name in ("romeo", "juliet")]
    assert render_checkups([cut_off[0], POOR, cut_off[1]], colour=False, width=80).splitlines()[:3] == [
        "✗  romeo, juliet",
        "   ✗  ssh  the host key of bastion gate is not known",
        "",
    ]
    assert render_checkups([POOR, BAD, *cut_off], colour=False, width=80).endswith("1 of 4 machines can run labs")
    assert len(json.loads(checkups_json(cut_off))["machines"]) == 2
    many = [Checkup(machine=f"node{number}", findings=(unknown,)) for number in range(50)]
    rows = render_checkups(many, colour=False, width=60).splitlines()
    assert " ".join(row[3:] for row in rows[:-3]).split(", ") == [checkup.machine for checkup in many]
    assert all(len(row) <= 60 for row in rows)
