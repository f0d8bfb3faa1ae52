"""Capture filters: refused before anything is touched, honoured by every capture."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.filters import FilterRefused, compile_filter
from orchestrator.errors import InputProblems
from orchestrator.pipeline.jobs import load_jobs
from tests.conftest import ROOT


def test_a_filter_becomes_a_program_for_ethernet() -> None:
    lines = compile_filter("tcp port 4000").splitlines()
    assert int(lines[0]) == len(lines) - 1


@pytest.mark.parametrize("text", ["tcp portt 4000", "-h", "host nowhere.invalid.", "wlan type mgt"])
def test_what_is_no_filter_is_refused_in_tcpdumps_words(text: str) -> None:
    with pytest.raises(FilterRefused, match=r"\S"):
        compile_filter(text)


def test_every_bad_filter_is_a_problem_with_its_place(tmp_path: Path) -> None:
    text = (ROOT / "scenarios" / "connection-refused.yaml").read_text()
    path = tmp_path / "connection-refused.yaml"
    path.write_text(text.replace("capture: [romeo, juliet]", "capture: {romeo: tcp portt 1, juliet: nonsense here}"))
    with pytest.raises(InputProblems) as caught:
        load_jobs([path])
    assert [problem.line for problem in caught.value.problems] == [6, 6]
