"""Real captures, made on namespaces by Linux 6.18, and the segments and states they must give. A case is added by adding its files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.model.tcp import FIN

BEGIN_NS = 1_700_000_000_000_000_000
"""From when the times of the hand-made runs count."""

CAPTURES = Path(__file__).resolve().parents[2] / "golden" / "captures"
CASES = sorted({path.name.partition(".")[0] for path in CAPTURES.glob("*.pcap")})
FILES = sorted(CAPTURES.glob("*.pcap"))


def captures(case):
    return {path.name.split(".")[1]: path.read_bytes() for path in sorted(CAPTURES.glob(f"{case}.*.pcap"))}


def told(evidence):
    lines = []
    for capture in evidence.captures:
        lines.append(f"# {capture.host}")
        assert capture.problem == ""
        own = [one for one in evidence.segments if one.capture == capture.host]
        lines += [f"{one.number:>3} {'>' if one.outgoing else '<'} {one.text}" for one in own]
    lines += [f"{one.host} {one.local} {one.peer}: {' '.join(two.state for two in one.transitions)}" for one in evidence.histories]
    return "\n".join(lines) + "\n"


def hold_fins_back(run, case):
    """Put the rule into the plan that held both FINs back for a tenth of a second, until both had been sent."""
    first_ns = next(one.at_ns for one in run.evidence(captures(case)).segments if one.flags & FIN)
    at_ms = (first_ns - BEGIN_NS) / 1e6
    for host in ("romeo", "juliet"):
        run.rule(at_ms - 10, host, "-I INPUT -p tcp --tcp-flags FIN FIN -j DROP").remove(at_ms + 150, host)


@pytest.mark.parametrize("case", CASES)
def test_segments_and_states(case, run):
    if case == "simultaneous-close":
        hold_fins_back(run, case)
    expected = CAPTURES / f"{case}.expected"
    assert expected.exists(), told(run.evidence(captures(case)))
    assert told(run.evidence(captures(case))) == expected.read_text()


def test_there_are_cases():
    assert len(CASES) >= 11


@pytest.mark.parametrize("case", CASES)
def test_every_segment_that_was_sent_arrived(case, run):
    for passage in run.evidence(captures(case)).passages:
        assert passage.sent is not None
        assert passage.received is not None


def _fields(path, *names):
    argv = ["tshark", "-r", str(path), "-T", "fields", *(word for name in names for word in ("-e", name))]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in text.splitlines()]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("case", ["conversation", "through-a-router", "tuple-reuse", "connection-refused-ipv6"])
def test_tshark_reads_the_same(case, run):
    evidence = run.evidence(captures(case))
    for path in FILES:
        if path.name.partition(".")[0] != case:
            continue
        host = path.name.split(".")[1]
        mine = [
            [one.number, one.source_port, one.destination_port, one.seq, one.length, one.window]
            for one in evidence.segments
            if one.capture == host and one.protocol == "tcp"
        ]
        rows = _fields(path, "frame.number", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.len", "tcp.window_size_value")
        assert mine == [[int(cell) for cell in row] for row in rows if row[1]]


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_tcpdump_prints_the_same_flags_lengths_and_options(path, run):
    argv = ["tcpdump", "-n", "-t", "-S", "-r", str(path), "tcp"]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    evidence = run.evidence({path.name.split(".")[1]: path.read_bytes()})
    segments = [one for one in evidence.segments if one.protocol == "tcp"]
    assert len(lines) == len(segments)
    for line, segment in zip(lines, segments, strict=True):
        flags = segment.text.split(" ")[3]
        assert f"Flags [{flags}]" in line
        assert f"length {segment.length}" in line
        stamps = [option.values for option in segment.options if option.name == "TS"]
        assert all(f"TS val {val} ecr {ecr}" in line for val, ecr in stamps)
