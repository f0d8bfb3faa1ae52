"""A stored run is judged again: without hosts, from what was kept, also by changed expectations, and also where evidence has been lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.conftest import NOBODY
from tests.integration.program import Program
from tests.integration.test_missing import limited

pytestmark = pytest.mark.namespaces
REFUSED = (ROOT / "scenarios" / "connection-refused.yaml").read_text()


@pytest.fixture
def ran(program: Program) -> Program:
    """The program with one stored run."""
    assert program.run("run", "connection-refused").code == 0
    return program


def changed(program: Program, old: str, new: str) -> Path:
    assert REFUSED.count(old) == 1
    path = program.folder / "connection-refused.yaml"
    path.write_text(REFUSED.replace(old, new))
    return path


def test_the_same_run_gives_the_same_verdicts(ran: Program) -> None:
    before = ran.stage("verdicts")
    done = ran.run("recheck", "latest")
    assert done.code == 0
    assert "judged again by the expectations that it ran with\n" in done.out
    assert ran.stage("verdicts") == before


def test_changed_expectations_judge_the_run_anew(ran: Program) -> None:
    wrong = changed(ran, "juliet.4000 > romeo R. 0:0(0) ack 1", "juliet.4000 > romeo S. 0:0(0) ack 1")
    failed = ran.run("recheck", "latest", "--scenario", wrong)
    assert failed.code == 1, failed
    assert failed.out.startswith("run ")
    assert f"judged again by the expectations of {wrong}\n" in failed.out
    assert ran.stage("report")["value"] == "failed"
    right = changed(ran, "juliet.4000 > romeo R. 0:0(0) ack 1", "juliet.4000 > romeo R.")
    assert ran.run("recheck", "latest", "--scenario", right).code == 0


def test_an_expectation_that_was_not_waited_for_has_not_failed(ran: Program) -> None:
    """The run went on when the socket was absent: nobody knows what a second of patience would have shown."""
    live = changed(ran, "absent: true", "state: ESTABLISHED")
    unknown = ran.run("recheck", "latest", "--scenario", live)
    assert unknown.code == 2, unknown
    (told,) = [verdict for verdict in ran.stage("report")["verdicts"] if verdict["value"] == "inconclusive"]
    assert "it was asked for only 0" in told["reason"]
    assert told["reason"].endswith("of its 1 s of patience")
    assert ran.run("run", live).code == 1
    assert ran.run("recheck", "latest").code == 1
    other = changed(ran, "absent: true", "state: FIN_WAIT_1")
    waited = ran.run("recheck", "latest", "--scenario", other)
    assert waited.code == 1, waited


def test_other_steps_are_another_run(ran: Program) -> None:
    before = ran.stage("plan")
    other = changed(ran, '(("juliet", 4000))', '(("juliet", 4001))')
    done = ran.run("recheck", "latest", "--scenario", other)
    assert (done.code, done.out) == (64, "")
    assert done.err == f"{other} has other steps than the run: only expectations can be changed for a recheck; run it anew\n"
    assert ran.stage("plan") == before
    done = ran.run("recheck", "latest", "--scenario", "open-socket")
    assert done.code == 64
    assert "holds no connection-refused, which is what was run" in done.err


def test_a_damaged_capture_proves_nothing(ran: Program) -> None:
    capture = ran.directories()[-1] / "romeo-tcp-connection-refused.pcap"
    whole = capture.read_bytes()
    for damaged in (whole[:-7], b"", random.Random(1).randbytes(len(whole)), None):
        if damaged is None:
            capture.unlink()
        else:
            capture.write_bytes(damaged)
        done = ran.run("recheck", "latest")
        assert done.code == 2, done
        told = [verdict for verdict in ran.stage("report")["verdicts"] if verdict["value"] == "inconclusive"]
        assert told
        assert all(len(verdict["reason"].split()) > 3 for verdict in told)
    capture.write_bytes(whole)
    assert ran.run("recheck", "latest").code == 0


@pytest.mark.parametrize("name", ["record.json", "plan.json"])
def test_a_stage_that_cannot_be_read(ran: Program, name: str) -> None:
    for text in ("", "{", "null", '{"run_id": 3}'):
        (ran.directories()[-1] / name).write_text(text)
        done = ran.run("recheck", "latest")
        assert done.code == 3, (text, done)
        assert name in done.err
        assert len(done.err.splitlines()) == 1


def test_no_host_is_needed(ordinary: Program) -> None:
    """Judged again by somebody who could not make a single namespace."""
    assert ordinary.run("run", "connection-refused").code == 0
    if not ordinary.before:
        pytest.skip("needs root, to set a limit")
    limited(ordinary, "user", NOBODY)
    assert ordinary.run("run", "open-socket").code == 3
    assert ordinary.run("recheck", "connection-refused").code == 0


def test_a_run_of_somebody_else_is_judged_and_left_as_it_is(ordinary: Program) -> None:
    assert ordinary.run("run", "connection-refused").code == 0
    (folder,) = ordinary.directories()
    folder.chmod(0o555)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = ordinary.run("recheck", "latest")
    folder.chmod(0o755)
    assert (done.code, done.err) == (0, "")
    assert "this judgement is not kept: the folder of the run may not be written" in done.out
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
