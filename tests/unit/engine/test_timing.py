"""When steps are due, and a clock that nobody can set."""

from __future__ import annotations

import time

import pytest

from orchestrator.engine.timing import LEAD_NS, Clock, Timetable
from orchestrator.model.scenario import Timing
from tests.unit.engine.conftest import SECOND, a_step

NOW = 100 * SECOND


class Stopped(Clock):
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.offset_ns = 0
        self.at_ns = NOW

    def now_ns(self) -> int:
        return self.at_ns


@pytest.fixture
def clock() -> Stopped:
    return Stopped()


@pytest.fixture
def times(clock: Stopped) -> Timetable:
    return Timetable(clock, {"server": 7 * SECOND}.get)


def at(seconds: int) -> Timing:
    return Timing(since="", delay_ns=seconds * SECOND)


def test_a_step_without_a_time_is_due_at_once(times: Timetable) -> None:
    assert times.due(a_step(1)) == 0


def test_what_happens_together_is_due_soon_enough_for_every_host(times: Timetable) -> None:
    assert times.due(a_step(1, together=True)) == NOW + LEAD_NS


def test_at_counts_from_the_begin_of_the_first_step(times: Timetable, clock: Stopped) -> None:
    times.begins()
    clock.at_ns += SECOND
    times.begins()
    assert times.due(a_step(2, at(5))) == NOW + 5 * SECOND


def test_a_first_step_that_is_timed_begins_the_count_itself(times: Timetable, clock: Stopped) -> None:
    """Of two steps ``at: 1s`` and ``at: 2s`` the second comes a second after the first."""
    first = times.due(a_step(1, at(1)))
    assert first == NOW + LEAD_NS + SECOND
    clock.at_ns = first - LEAD_NS
    times.begins()
    times.ends()
    assert times.due(a_step(2, at(2))) == first + SECOND


def test_after_counts_from_the_end_of_the_step_before(times: Timetable, clock: Stopped) -> None:
    times.begins()
    clock.at_ns += 3 * SECOND
    times.ends()
    clock.at_ns += SECOND
    assert times.due(a_step(2, Timing(since="-", delay_ns=SECOND))) == NOW + 4 * SECOND


def test_after_a_name_counts_from_its_begin(times: Timetable) -> None:
    assert times.due(a_step(2, Timing(since="server", delay_ns=SECOND))) == 8 * SECOND


@pytest.mark.parametrize("since", ["-", "what never began"])
def test_what_never_began_counts_from_now(times: Timetable, since: str) -> None:
    assert times.due(a_step(1, Timing(since=since, delay_ns=SECOND))) == NOW + LEAD_NS + SECOND


def test_setting_the_machines_clock_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now_ns()
    assert abs(before - time.time_ns()) < SECOND
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert before <= clock.now_ns() < before + 60 * SECOND


def test_hosts_that_are_far_away_are_told_earlier(times: Timetable) -> None:
    times.lead_ns += SECOND
    assert times.due(a_step(1, together=True)) == NOW + LEAD_NS + SECOND
