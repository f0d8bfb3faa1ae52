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


MATRIX = """scenario: filters
title: Filters
topology: two-hosts
matrix: {words: [tcp, "%s"]}
capture: {romeo: "${words}", juliet: "host ${juliet} and tcp"}
steps:
  - {host: romeo, call: sock = socket.socket()}
"""


def test_the_filters_of_every_variant_are_looked_at_with_addresses_for_names(tmp_path: Path) -> None:
    path = tmp_path / "filters.yaml"
    path.write_text(MATRIX % "port 4000")
    assert [job.scenario.label for job in load_jobs([path])] == ["filters[tcp]", "filters[port 4000]"]
    path.write_text(MATRIX % "tcp portt 4000")
    with pytest.raises(InputProblems, match="'tcp portt 4000'") as caught:
        load_jobs([path])
    assert [problem.line for problem in caught.value.problems] == [5]


def test_a_filter_with_a_nul_is_none() -> None:
    with pytest.raises(FilterRefused, match="NUL"):
        compile_filter("tcp\0")
