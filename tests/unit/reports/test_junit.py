"""CI servers can read it."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.verdict import Report, Value, Verdict
from orchestrator.reports.junit import junit


def document(*reports):
    return ET.fromstring(junit(reports).encode())


def report_of(*verdicts, **fields):
    base = {
        "run_id": "1",
        "label": "x",
        "title": "t",
        "value": Value.PASSED,
        "status": "completed",
        "start_ns": 0,
        "took_ns": 1_500_000_000,
    }
    return Report(**{**base, "verdicts": verdicts, **fields})


def test_a_suite_for_each_run_and_a_case_for_each_verdict(reports):
    root = document(reports["pass"](), reports["fail"]())
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        "testsuites",
        "8",
        "2",
        "0",
        "0",
    )
    passing, failing = root.findall("testsuite")
    assert (passing.get("name"), passing.get("tests"), passing.get("timestamp")) == ("connection-refused", "4", "2026-07-14T10:15:03")
    assert len(failing.findall("testcase/failure")) == 2
    assert passing.find("properties/property[@name='run_id']").get("value") == "7f3a9c"


def test_a_failure_tells_all_that_the_terminal_tells(reports):
    case = document(reports["fail"]()).findall(".//testcase")[1]
    assert (case.get("file"), case.get("line"), case.get("classname")) == ("scenarios/connection-refused.yaml", "22", "connection-refused")
    failure = case.find("failure")
    assert failure.get("message").startswith("line 2 wants juliet > romeo R.")
    assert "witness: wire" in failure.text
    assert "<- here" in failure.text


@pytest.mark.parametrize(
    ("case", "path", "kind"),
    [
        ("inconclusive", "error", "inconclusive"),
        ("error", "error", "error"),
        ("fail", "failure", "failed"),
        ("skip", "skipped", None),
    ],
)
def test_each_value_has_its_element(reports, case, path, kind):
    root = document(reports[case]())
    assert root.find(f".//testcase/{path}").get("type") == kind
    counter = {"error": "errors", "failure": "failures", "skipped": "skipped"}[path]
    assert int(root.get(counter)) == len(root.findall(f".//testcase/{path}"))


def test_a_run_that_broke_off_without_a_verdict_has_a_case_of_its_own():
    root = document(report_of(Verdict(value=Value.PASSED, text="a"), value=Value.ERROR, status="error", reason="juliet is gone"))
    assert [case.get("name") for case in root.iter("testcase")] == ["a", "the run itself"]
    assert root.find(".//error").get("message") == "juliet is gone"


def test_a_passed_case_is_empty_and_the_suite_has_its_seconds():
    root = document(report_of(Verdict(value=Value.PASSED, text="a", step=2)))
    case = root.find(".//testcase")
    assert (case.get("name"), len(case)) == ("step 2: a", 0)
    assert root.find("testsuite").get("time") == "1.500"


def test_no_run_at_all_is_still_a_document():
    assert document().get("tests") == "0"


@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_makes_a_document_that_parses(text):
    bad = Verdict(value=Value.FAILED, text=text, saw=text, reason=text, excerpt=(text,))
    root = ET.fromstring(junit([report_of(bad, title=text, label=text, value=Value.FAILED)]).encode("utf-8"))
    assert root.find(".//failure") is not None


def test_what_xml_allows_arrives_unchanged_and_the_rest_is_replaced():
    text = "<a> & \"b\" 'c' \u00fc \U0001f600"
    name = document(report_of(Verdict(value=Value.PASSED, text=text + "\x00\x1b\ufffe"))).find(".//testcase").get("name")
    assert name == text + "\ufffd\ufffd\ufffd"
