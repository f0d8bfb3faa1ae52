"""Stored runs, found again."""

from orchestrator.reports.listing import Row, render_runs, render_show, row_of


def test_runs_are_listed_like_this(reports, golden):
    rows = [row_of(reports[case]()) for case in ("pass", "fail", "inconclusive", "error", "skip", "ipv6")]
    broken = Row(run_id="0000aa", start_ns=1_784_024_103_000_000_000, label="syn-dropped")
    golden("ls.txt", render_runs([*rows, broken], colour=False))


def test_no_runs_are_said_to_be_none():
    assert render_runs([], colour=False) == "no runs are stored here yet"


def test_a_stored_run_is_shown_in_full(reports, golden):
    golden("show.txt", render_show(reports["inconclusive"](), colour=False))
