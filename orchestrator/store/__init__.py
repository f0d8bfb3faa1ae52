"""What is kept of runs, and found again: folders, captures, and whether a run goes on."""

from orchestrator.store.captures import CaptureFiles, read_captures
from orchestrator.store.directory import EVIDENCE, FAULT, INPUTS, LIVE, PLAN, RECHECK_PLAN, RECORD, REPORT, VERDICTS, RunDirectory
from orchestrator.store.liveness import LiveRun, began_ns, born, going_on, must_have, run_id, state
from orchestrator.store.search import every_run, find_live, find_run, kept_in, live_hosts, names_of_runs

__all__ = [
    "EVIDENCE",
    "FAULT",
    "INPUTS",
    "LIVE",
    "PLAN",
    "RECHECK_PLAN",
    "RECORD",
    "REPORT",
    "VERDICTS",
    "CaptureFiles",
    "LiveRun",
    "RunDirectory",
    "began_ns",
    "born",
    "every_run",
    "find_live",
    "find_run",
    "going_on",
    "kept_in",
    "live_hosts",
    "must_have",
    "names_of_runs",
    "read_captures",
    "run_id",
    "state",
]
