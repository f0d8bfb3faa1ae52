"""What a person reads, held against texts that a person has read."""

import re

import pytest
from msgspec.structs import replace

from orchestrator.model.verdict import LadderLine, Report, StepLine, Value, Verdict
from orchestrator.model.words.values import Where
from orchestrator.reports.drawing.ink import Ink
from orchestrator.reports.drawing.suite import suite_row
from orchestrator.reports.terminal import fit, render, render_suite

CASES = ("pass", "fail", "inconclusive", "error", "skip", "ipv6", "states", "long", "udp")
COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.parametrize("case", CASES)
def test_a_report_reads_like_this(reports, golden, case):
    golden(f"{case}.txt", render(reports[case](), colour=False))


@pytest.mark.parametrize("case", ["fail", "states"])
def test_a_verbose_report_reads_like_this(reports, golden, case):
    golden(f"{case}-verbose.txt", render(reports[case](), colour=False, verbose=1))


def test_a_narrow_report_reads_like_this(reports, golden):
    golden("fail-narrow.txt", render(reports["fail"](), colour=False, width=48))


def test_a_suite_reads_like_this(reports, golden):
    golden("suite.txt", render_suite([reports[case]() for case in CASES], colour=False))


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_verbose_suite_tells_every_run(reports, verbose):
    text = render_suite([reports[case]() for case in CASES], colour=False, verbose=verbose)
    for case in CASES:
        assert render(reports[case](), colour=False, verbose=verbose) in text


def test_a_stream_without_arrows_gets_this(reports, golden):
    class Ascii:
        encoding = "ascii"

    text = fit(render(reports["fail"](), colour=False), Ascii())
    assert text.isascii()
    golden("fail-ascii.txt", text)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [40, 60, 80, 300])
def test_colours_and_widths_keep_their_promises(reports, case, width):
    report = reports[case]()
    for verbose in (0, 1):
        text = render(report, colour=False, width=width, verbose=verbose)
        assert COLOUR.sub("", render(report, colour=True, width=width, verbose=verbose)) == text
        assert all(line == line.rstrip() for line in text.splitlines())
        body = [line for line in text.splitlines() if "runs/" not in line and "orchestrate" not in line]
        assert max(map(len, body)) <= min(max(width, 48), 100)


def blank(**fields):
    return Report(
        **{
            "run_id": "1",
            "label": "x",
            "title": "t",
            "value": Value.PASSED,
            "status": "completed",
            "start_ns": 0,
            "took_ns": 1_000_000,
            **fields,
        }
    )


def test_a_report_of_nothing_is_a_headline():
    assert render(blank(), colour=False).split() == ["PASS", "x", "t", "1.0", "ms"]


def test_what_this_machine_could_not_give_is_told_of_a_good_run_too():
    note = "romeo, juliet: this machine refused a view of its own: mount(proc on /proc): Operation not permitted"
    report = Report(run_id="r", label="x", title="", value=Value.PASSED, status="completed", start_ns=0, took_ns=1, notes=(note,))
    assert note in " ".join(render(report, colour=False).split())


def test_an_empty_suite_says_so():
    assert render_suite([], colour=False) == "nothing ran"


def test_a_step_whose_verdict_failed_is_crossed_though_it_ended(reports):
    step = StepLine(number=3, name="", status="done", took_ns=1, hosts=("romeo",), typed=("a",))
    bad = Verdict(value=Value.FAILED, text="e", step=3)
    assert "  ✗  3  romeo" in render(blank(steps=(step,), verdicts=(bad,), value=Value.FAILED), colour=False)
    doubt = Verdict(value=Value.INCONCLUSIVE, text="e", step=3)
    assert "  ✓  3  romeo" in render(blank(steps=(step,), verdicts=(doubt,), value=Value.INCONCLUSIVE), colour=False)


def test_of_a_failed_step_the_call_that_failed_is_shown():
    typed = {"hosts": ("romeo", "romeo", "juliet"), "typed": ("a()", "b()", "c()")}
    failed = StepLine(number=1, name="", status="failed", took_ns=1, stopped_at=1, **typed)
    assert [row.split()[-5:] for row in render(blank(steps=(failed,)), colour=False).splitlines()[2:]] == [
        ["romeo", "…", "b()", "0.00", "ms"],
        ["juliet", "c()"],
    ]
    expected = replace(failed, status="done")
    assert "romeo   a(); b()" in render(blank(steps=(expected,)), colour=False)
    first = replace(failed, stopped_at=0)
    assert "romeo   a() " in render(blank(steps=(first,)), colour=False)


def test_a_line_of_a_megabyte_is_cut():
    long = "x" * 1_000_000
    bad = Verdict(value=Value.FAILED, text=long, saw=long, reason=f"y{long}", excerpt=(long,))
    for verbose in (0, 1, 2):
        text = render(blank(verdicts=(bad,), value=Value.FAILED), colour=False, verbose=verbose)
        assert len(text) < 2000
        assert "x..." in text


def test_a_reason_that_repeats_what_was_seen_takes_its_place():
    bad = Verdict(value=Value.FAILED, text="e", saw="raised OSError", reason="it raised OSError, which nobody expected")
    text = render(blank(verdicts=(bad,), value=Value.FAILED), colour=False)
    assert "saw       it raised OSError, which nobody expected" in text
    assert "because" not in text


def test_twice_verbose_tells_the_evidence_of_what_passed():
    good = Verdict(value=Value.PASSED, text="e", saw="two of them", reason="asked once", excerpt=("frame 1",))
    once, twice = (render(blank(verdicts=(good,)), colour=False, verbose=verbose) for verbose in (1, 2))
    assert "frame 1" not in once
    assert twice.splitlines()[3:6] == ["    saw       two of them", "    because   asked once", "    │ frame 1"]


def test_why_runs_were_skipped_is_told_once_and_whole(reports):
    skipped = [replace(reports["skip"](), label=label) for label in ("a", "b", "b")]
    assert render_suite(skipped, colour=False).splitlines() == [
        "",
        "- romeo's kernel 6.1.0 is older than 6.5, which the scenario needs (skips a, b)",
        "",
        "3 skipped",
    ]


def test_of_many_runs_that_failed_the_first_are_told_in_full(reports):
    failed = [replace(reports["fail"](), run_id=f"id{number}") for number in range(13)]
    text = render_suite(failed, colour=False)
    assert ("orchestrate show id9" in text, "orchestrate show id10" in text) == (True, False)
    assert "… 3 more" in text
    assert text.endswith("\n\n13 failed  in 48 ms")
    assert "orchestrate show id9" not in render_suite(failed, colour=False, known={"id9"})


def test_many_findings_are_bounded_until_somebody_asks():
    bad = tuple(Verdict(value=Value.FAILED, text=f"e{n}", where=Where(path="x.yaml", line=n)) for n in range(1, 9))
    report = blank(verdicts=bad, value=Value.FAILED)
    brief = render(report, colour=False)
    assert "… 3 more findings" in brief
    assert "x.yaml:6" not in brief
    assert "x.yaml:8" in render(report, colour=False, verbose=1)


def test_a_long_excerpt_is_bounded_until_somebody_asks():
    bad = Verdict(value=Value.FAILED, text="e", excerpt=tuple(f"line {n}" for n in range(30)))
    report = blank(verdicts=(bad,), value=Value.FAILED)
    assert "│ … 18 more lines" in render(report, colour=False)
    assert "line 29" in render(report, colour=False, verbose=1)


def test_lines_left_out_twice_are_counted_once(reports):
    report = reports["long"]()
    kept = render(report, colour=False, verbose=1)
    brief = render(report, colour=False)
    assert "… 210 more" in kept
    assert "… 237 more" in brief


def test_of_several_pairs_of_hosts_each_line_names_its_own():
    one = LadderLine(at_ns=0, left="romeo", right="juliet", rightward=True, text="S 0:0(0)", left_state="SYN_SENT")
    two = LadderLine(at_ns=0, left="romeo", right="hamlet", rightward=False, text="S. 0:0(0) ack 1", right_state="LISTEN")
    rows = render(blank(ladder=(one, two)), colour=False).splitlines()
    assert [row.split()[2] for row in rows if "S" in row and "──" in row] == ["romeo", "romeo"]
    assert rows[2].endswith("▶ juliet")
    assert rows[3].endswith("── hamlet LISTEN")


def test_a_payload_cannot_paint_the_screen():
    line = LadderLine(at_ns=0, left="a", right="b", rightward=True, text="udp \x1b[31m")
    bad = Verdict(value=Value.FAILED, text="e\x1b[2J", saw="\x07", excerpt=("\x1b]0;title\x07",))
    assert "\x1b" not in render(blank(ladder=(line,), verdicts=(bad,), value=Value.FAILED), colour=False)


def test_the_reason_of_a_run_is_told_once(reports):
    assert render(reports["error"](), colour=False).count("its channel ended") == 1
    assert render(reports["skip"](), colour=False).count("older than 6.5") == 1


def test_the_reason_of_a_run_that_a_step_tells_is_not_told_before_it():
    verdicts = [Verdict(value=Value.ERROR, text="e", reason=reason) for reason in ("step 1 ended the run: see there", "it cut the way")]
    told = render(blank(value=Value.ERROR, status="error", reason="romeo: it cut the way", verdicts=tuple(verdicts)), colour=False)
    assert told.count("it cut the way") == 1


def test_each_host_has_a_line_and_in_a_suite_the_first_stands_for_all():
    reason = "romeo: no room\njuliet: no python"
    report = blank(value=Value.ERROR, status="error", reason=reason, verdicts=(Verdict(value=Value.ERROR, text="e", reason=reason),))
    assert "    because   romeo: no room\n              juliet: no python\n" in render(report, colour=False)
    row = suite_row(Ink(colour=False, width=80), report, 4)
    assert ("romeo: no room" in row, "juliet" in row) == (True, False)


def test_what_the_run_ended_before_is_a_line_until_somebody_asks():
    steps = tuple(StepLine(number=number, name="", status=status, took_ns=1) for number, status in ((1, "failed"), (2, "missing")))
    failed = Verdict(value=Value.FAILED, text="it connects", step=1)
    missed = [Verdict(value=Value.INCONCLUSIVE, text=f"later {at}", step=2, reached=False) for at in range(9)]
    report = blank(value=Value.FAILED, status="failed", steps=steps, verdicts=(failed, *missed))
    told = render(report, colour=False)
    assert "\n\n  · 9 more expectations were not reached: the run ended in step 1\n\n  1 failed, 9 inconclusive" in told
    assert ("it connects" in told, "later" in told, "more findings" in told) == (True, False, False)
    whole = render(report, colour=False, verbose=1)
    assert whole.count("expected  later") == 9
    assert "not reached" not in whole


def test_what_a_failed_step_did_not_come_to_where_the_run_went_on():
    steps = tuple(StepLine(number=number, name="", status=status, took_ns=1) for number, status in ((1, "failed"), (2, "done")))
    missed = Verdict(value=Value.INCONCLUSIVE, text="later", step=1, reached=False)
    report = blank(value=Value.INCONCLUSIVE, status="failed", steps=steps, verdicts=(missed,))
    assert "  · 1 expectation was not reached: its step failed before" in render(report, colour=False)


def test_a_run_that_was_stopped_says_why_and_what_it_ended_before():
    stop = Verdict(value=Value.INCONCLUSIVE, text="the run completed", reason="interrupted by SIGINT")
    missed = Verdict(value=Value.INCONCLUSIVE, text="later", step=1, reached=False)
    report = blank(value=Value.INCONCLUSIVE, status="interrupted", reason="interrupted by SIGINT", verdicts=(stop, missed))
    assert render(report, colour=False).splitlines()[1:4] == [
        "  interrupted by SIGINT",
        "",
        "  · 1 expectation was not reached: the run ended before its first step",
    ]


def test_a_suite_that_was_stopped_counts_what_never_ran():
    stopped = blank(run_id="2", value=Value.INCONCLUSIVE, status="interrupted", reason="interrupted by SIGINT", start_ns=5_000_000)
    told = render_suite([blank(), stopped], colour=False, wanted=4)
    assert told.splitlines()[-1] == "1 passed, 1 interrupted, 2 not run  in 6.0 ms"
    assert render_suite([blank()], colour=False, wanted=1) == "1 passed  in 1.0 ms"


def test_a_run_that_could_not_be_kept_is_offered_to_nobody():
    report = blank(value=Value.ERROR, status="error", verdicts=(Verdict(value=Value.ERROR, text="the run", reason="the disk is full"),))
    assert "orchestrate show" not in render(report, colour=False)
    assert "orchestrate show" in render(replace(report, directory="runs/x/1"), colour=False)
