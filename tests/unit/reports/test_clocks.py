"""What a report says of the hosts' clocks, and that it says nothing where they are all one."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.model.evidence import ClockEvidence, Evidence
from orchestrator.model.verdict import Verdicts
from orchestrator.reports.summary import make_report
from orchestrator.reports.telling.clocks import clock_notes, clocks_line

ROMEO = ClockEvidence(host="romeo", since_ns=0, until_ns=0, error_ns=200_000, unix_ns=12_300_000)
JULIET = ClockEvidence(host="juliet", since_ns=0, until_ns=0, error_ns=300_000, unix_ns=-3_100_000_000, shift_ns=500, source="captures")


def test_a_line_tells_each_clock_its_error_and_where_more_than_the_channel_told():
    assert clocks_line((ROMEO, JULIET)) == "clocks: romeo +12.3 ms ± 0.2 ms, juliet -3.1 s ± 0.3 ms (captures)"
    assert clocks_line((replace(ROMEO, shift_ns=12_300_001),)) == "clocks: romeo -1e-06 ms ± 0.2 ms"
    assert clocks_line(()) == ""


def test_only_what_may_matter_is_a_note():
    assert clock_notes(Evidence()) == ()
    assert clock_notes(Evidence(clocks=(ROMEO,))) == ()
    assert clock_notes(Evidence(clocks=(ROMEO, JULIET))) == ()
    coarse = replace(JULIET, error_ns=20_000_000)
    assert clock_notes(Evidence(clocks=(ROMEO, coarse))) == (
        "what happened on romeo and juliet within 20.2 ms of each other has no known order: their clocks may be that far apart",
    )
    known = replace(ROMEO, apart_ns={"juliet": 90_000})
    assert clock_notes(Evidence(clocks=(known, coarse))) == (), "though neither is near to the controller's"
    assert clock_notes(Evidence(clocks=(replace(ROMEO, doubt="why"), replace(JULIET, doubt="why")))) == ("why",)


def test_a_report_holds_both(plans, make_record):
    plan = plans["refused"]()
    record = make_record(plan, 10, [])
    plain = make_report(plan, record, Evidence(), Verdicts(verdicts=()), "d")
    told = make_report(plan, record, Evidence(clocks=(ROMEO, replace(JULIET, doubt="why"))), Verdicts(verdicts=()), "d")
    assert told.fingerprint == f"{plain.fingerprint}; {clocks_line((ROMEO, JULIET))}"
    assert (plain.notes, told.notes) == ((), ("why",))
