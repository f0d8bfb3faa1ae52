"""Reports to JUnit's XML (the schema of Maven's Surefire, as CI servers read it): a suite for each run, a case for each verdict.

It does not import an XML library: writing needs five replacements. Surprising: what was inconclusive is an ``error`` of type
``inconclusive``, because CI servers know no fourth value and must not take it for a pass.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from orchestrator.model.verdict import Report, Value, Verdict
from orchestrator.reports.drawing.findings import place
from orchestrator.reports.terminal import render

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) allows in no way, not even escaped."""

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_TEXT_ESCAPES = str.maketrans({sign: _ESCAPES[sign] for sign in "&<>\r"})
_ATTRIBUTE_ESCAPES = str.maketrans(_ESCAPES)
_ELEMENTS = {
    Value.FAILED: ("failure", "failed"),
    Value.ERROR: ("error", "error"),
    Value.INCONCLUSIVE: ("error", "inconclusive"),
    Value.SKIPPED: ("skipped", ""),
}


def junit(reports: Sequence[Report]) -> str:
    """Write the whole document."""
    suites = [_suite(report) for report in reports]
    values = [case.value for report in reports for case in _cases(report)]
    took = _seconds(sum(report.took_ns for report in reports))
    head = _tag("testsuites", name="orchestrate", **_counts(values), time=took)
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>", ""])


def _suite(report: Report) -> str:
    cases = _cases(report)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(report.start_ns // 1_000_000_000))
    counts = _counts([case.value for case in cases])
    lines = [_tag("testsuite", name=report.label, **counts, time=_seconds(report.took_ns), timestamp=stamp)]
    lines += ["<properties>", *(_property(name, value) for name, value in _properties(report)), "</properties>"]
    lines += [_case(report, case) for case in cases]
    return "\n".join([*lines, f"<system-out>{_text(render(report, colour=False, verbose=1))}</system-out>", "</testsuite>"])


def _cases(report: Report) -> tuple[Verdict, ...]:
    """Every verdict; and the run itself, where it is worse than they are (it broke off) or there are none (it was skipped)."""
    if any(verdict.value is report.value for verdict in report.verdicts):
        return report.verdicts
    return (*report.verdicts, Verdict(value=report.value, text="the run itself", reason=report.reason or report.status))


def _counts(values: Sequence[Value]) -> dict[str, str]:
    kinds = [_ELEMENTS[value][0] for value in values if value in _ELEMENTS]
    counts = {"failures": kinds.count("failure"), "errors": kinds.count("error"), "skipped": kinds.count("skipped")}
    return {"tests": str(len(values)), **{name: str(count) for name, count in counts.items()}}


def _properties(report: Report) -> list[tuple[str, str]]:
    named = (("run_id", report.run_id), ("title", report.title), ("directory", report.directory), ("fingerprint", report.fingerprint))
    return [(name, value) for name, value in named if value]


def _property(name: str, value: str) -> str:
    return _tag("property", name=name, value=value)[:-1] + "/>"


def _case(report: Report, verdict: Verdict) -> str:
    where = {"file": verdict.where.path, "line": str(verdict.where.line)} if verdict.where else {}
    step = f"step {verdict.step}: " if verdict.step else ""
    head = _tag("testcase", classname=report.label, name=step + verdict.text, time="0.000", **where)
    if verdict.value not in _ELEMENTS:
        return head[:-1] + "/>"
    element, kind = _ELEMENTS[verdict.value]
    told = _tag(element, message=verdict.saw or verdict.reason or verdict.text, **({"type": kind} if kind else {}))
    return f"{head}{told}{_text(_details(verdict))}</{element}></testcase>"


def _details(verdict: Verdict) -> str:
    pairs = (
        ("at", place(verdict)),
        ("expected", verdict.text),
        ("saw", verdict.saw),
        ("because", verdict.reason),
        ("witness", verdict.witness),
    )
    return "\n".join([*(f"{name}: {value}" for name, value in pairs if value), *verdict.excerpt])


def _tag(element: str, /, **attributes: str) -> str:
    told = "".join(f' {key}="{_legal(value).translate(_ATTRIBUTE_ESCAPES)}"' for key, value in attributes.items())
    return f"<{element}{told}>"


def _text(text: str) -> str:
    return _legal(text).translate(_TEXT_ESCAPES)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.3f}"
