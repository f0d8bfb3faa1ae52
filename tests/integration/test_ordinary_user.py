"""An ordinary user runs labs: without root, without sudo, without a server."""

from __future__ import annotations

import pytest

from tests.integration.program import Program

pytestmark = pytest.mark.namespaces


@pytest.mark.parametrize("name", ["connection-refused", "syn-rejected", "tcp-socket-lab"])
def test_an_ordinary_user_runs_a_lab(ordinary: Program, name: str) -> None:
    done = ordinary.run("run", name)
    assert (done.code, done.err) == (0, ""), done.out
    assert "passed" in done.out
    kept = ordinary.directories(name)
    assert kept
    if ordinary.before:
        assert {path.stat().st_uid for run in kept for path in run.iterdir()} == {65534}


def test_an_ordinary_user_sees_a_host_as_root_does(ordinary: Program, program: Program) -> None:
    """What a lab may rely on does not depend on who runs it: the same steps, the same ladder, the same verdicts."""
    told = []
    for who in (program, ordinary):
        assert who.run("run", "syn-rejected").code == 0
        report = who.stage("report")
        told.append([(verdict["text"], verdict["value"]) for verdict in report["verdicts"]])
    assert told[0] == told[1]
