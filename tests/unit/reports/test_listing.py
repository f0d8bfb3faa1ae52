"""Stored runs, found again."""

from orchestrator.reports.listing import Row, judged_again, render_runs, render_scenarios, render_show, row_of


def test_runs_are_listed_like_this(reports, golden):
    rows = [row_of(reports[case]()) for case in ("pass", "fail", "inconclusive", "error", "skip", "ipv6")]
    broken = Row(run_id="0000aa", start_ns=1_784_024_103_000_000_000, label="syn-dropped")
    golden("ls.txt", render_runs([*rows, broken], colour=False))


def test_no_runs_are_said_to_be_none():
    assert render_runs([], colour=False) == "no runs are stored here yet"


def test_a_stored_run_is_shown_in_full(reports, golden):
    golden("show.txt", render_show(reports["inconclusive"](), colour=False))


def test_the_time_gives_way_to_names(reports):
    rows = [row_of(reports["pass"]()), row_of(reports["ipv6"]())]
    by_width = {width: render_runs(rows, False, width).splitlines()[-1] for width in (80, 63, 59, 52, 45)}
    assert {width: len(line) for width, line in by_width.items() if not line.endswith("connection-refused[ipv6]")} == {45: 45}
    assert "2026-07-14 10:15  " in render_runs(rows, False, 69)
    assert "2026-07-14" not in by_width[52]


def test_whose_expectations_judged_again(reports):
    report = reports["pass"]()
    assert judged_again(report, "x.yaml").endswith(" UTC, judged again by the expectations of x.yaml")
    assert judged_again(report, "").endswith("the expectations that it ran with")


def test_scenarios_are_listed_with_titles_and_folders():
    shown = render_scenarios({"bind": "Bind a port", "refused": "Nobody listens"}, {"scenarios", "more"}, colour=False)
    assert shown == "bind     Bind a port\nrefused  Nobody listens\n\nfrom more, scenarios"
    assert render_scenarios({}, (), colour=False) == "no scenarios here"
