"""Programs can read it, and its shape stays."""

import json

from orchestrator.reports.machine import report_json

RUN = [
    "run_id",
    "label",
    "title",
    "value",
    "status",
    "reason",
    "directory",
    "captures",
    "start_ns",
    "took_ns",
    "fingerprint",
    "notes",
    "steps",
    "ladder",
    "verdicts",
]


def test_the_shape_is_the_documented_one(reports):
    document = json.loads(report_json([reports["fail"](), reports["skip"]()]))
    assert list(document) == ["format", "version", "value", "exit_code", "tally", "runs"]
    assert [list(run) for run in document["runs"]] == [RUN, RUN]
    run = document["runs"][0]
    assert list(run["steps"][0]) == ["number", "name", "status", "took_ns", "typed"]
    assert list(run["ladder"][0]) == ["after_ns", "from", "to", "from_state", "to_state", "text", "lost", "left_out"]
    verdict = ["value", "expectation", "witness", "step", "path", "line", "column", "saw", "reason", "excerpt"]
    assert list(run["verdicts"][0]) == verdict


def test_every_documented_field_is_in_the_documentation(pytestconfig, reports):
    text = (pytestconfig.rootpath / "docs" / "reports.md").read_text(encoding="utf-8")
    run = json.loads(report_json([reports["fail"]()]))["runs"][0]
    fields = [*run, *run["steps"][0], *run["ladder"][0], *run["verdicts"][0]]
    assert [field for field in fields if f"`{field}`" not in text] == []


def test_the_worst_run_gives_the_value_and_the_exit_code(reports):
    document = json.loads(report_json([reports[case]() for case in ("pass", "fail", "skip")]))
    assert (document["value"], document["exit_code"]) == ("failed", 1)
    assert document["tally"] == {"passed": 1, "skipped": 1, "inconclusive": 0, "failed": 1, "error": 0}


def test_the_ladder_goes_from_sender_to_receiver(reports):
    syn, reset = json.loads(report_json([reports["fail"]()]))["runs"][0]["ladder"][:2]
    assert (syn["from"], syn["to"], syn["from_state"], syn["lost"]) == ("romeo", "juliet", "SYN_SENT", False)
    assert (reset["from"], reset["to_state"], reset["lost"], reset["after_ns"]) == ("juliet", "SYN_SENT", True, 1_420_000)


def test_it_is_text_with_a_newline_at_its_end(reports):
    assert report_json([reports["pass"]()]).endswith(b"}\n")
    assert json.loads(report_json([]))["value"] == "inconclusive"
