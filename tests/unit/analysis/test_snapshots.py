"""Which samples become rows of evidence, and what becomes of words that cannot be read."""

from __future__ import annotations

import pytest

from orchestrator.analysis.snapshots import snapshots
from orchestrator.model.record import RunRecord, Sample

LISTENER = "tcp LISTEN 0 5 10.10.0.101:4000 0.0.0.0:* ino:1 sk:1 cgroup:/ <->\n"
RULES = '*filter\n:INPUT ACCEPT [0:0]\n[2:120] -A INPUT -p tcp -m comment --comment "orchestrate:ab:drop" -j DROP\nCOMMIT\n'


def sample(source: str, text: str, at_ns: int = 1, **more: object) -> Sample:
    return Sample(step=1, host="juliet", source=source, at_ns=at_ns, text=text, **more)


def run(*samples: Sample) -> RunRecord:
    return RunRecord(run_id="ab", label="x", status="completed", start_ns=0, end_ns=9, samples=samples)


@pytest.mark.parametrize(
    ("source", "text", "key", "value"),
    [
        ("ss", LISTENER, "local", "10.10.0.101:4000"),
        ("iptables", RULES, "packets", 2),
        ("ip6tables", RULES, "bytes", 120),
        ("nstat", "#kernel\nTcpActiveOpens                  7                  0.0\n", "value", 7),
        ("netstat", "tcp        0      0 10.10.0.101:4000        0.0.0.0:*               LISTEN      7/nc\n", "local", "10.10.0.101:4000"),
        ("lsof", "nc 7 root 3u IPv4 12 0t0 TCP *:4000 (LISTEN)\n", "pid", 7),
    ],
)
def test_each_tool_has_rows(source: str, text: str, key: str, value: object) -> None:
    (snapshot,) = snapshots(run(sample(source, text)))
    assert snapshot.problem == ""
    assert snapshot.rows[0][key] == value


def test_polls_that_came_too_early_are_left_in_the_record() -> None:
    early = sample("ss", "", 1, expectation=0)
    late = sample("ss", LISTENER, 2, expectation=0, holds=True)
    assert [snapshot.at_ns for snapshot in snapshots(run(early, late))] == [2]


def test_one_answer_to_two_expectations_is_one_snapshot() -> None:
    twice = [sample("ss", LISTENER, 5, expectation=index, holds=True) for index in (0, 1)]
    assert len(snapshots(run(*twice))) == 1


def test_output_of_programs_is_no_snapshot() -> None:
    assert snapshots(run(sample("output", "hello", holds=True))) == ()


def test_words_that_cannot_be_read_are_told_not_raised() -> None:
    (snapshot,) = snapshots(run(sample("ss", "tcp WHAT\n")))
    assert snapshot.rows == ()
    assert snapshot.problem
