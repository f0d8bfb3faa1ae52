"""What reports say of things that few labs have."""

import io

from orchestrator.model.plan import HostPlan
from orchestrator.model.words.actions import Act
from orchestrator.reports.planned import render_plan
from orchestrator.reports.progress import _Watched
from orchestrator.reports.telling.sheet import typed


def test_a_host_without_a_capture(make_plan):
    hosts = (HostPlan(name="romeo"), HostPlan(name="juliet", capture="tcp", interfaces=("eth1", "eth2")))
    lines = [line for line in render_plan(make_plan("x", "X", (), hosts=hosts)).splitlines() if "apture" in line]
    assert [" ".join(line.split()) for line in lines] == ["romeo 10.10.0.100 no capture", "juliet 10.10.0.101 captures tcp on eth1, eth2"]


def test_an_action_that_no_lab_sheet_knows_is_told_by_its_tag():
    class Dance(Act, frozen=True, kw_only=True, tag="dance"):
        pass

    assert typed(Dance()) == ("dance",)


def test_a_screen_that_was_closed_stays_empty(plans):
    stream = io.StringIO()
    watched = _Watched(stream, several=False)
    watched.run_begins(plans["refused"]())
    watched.close()
    watched._appear()  # the timer had fired already, and waited for the lock
    assert watched._live is None
    assert stream.getvalue() == ""
