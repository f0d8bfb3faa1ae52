"""The captures of a run, its plan and its record become one :class:`Evidence`.

Knows the stages of the analysis and their order, nothing else. The surprising fact: a capture that lost frames is still read in
full; whether it can be believed is written beside it and is for others to weigh.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.analysis.connections import connections
from orchestrator.analysis.histories import histories
from orchestrator.analysis.passages import passages
from orchestrator.analysis.snapshots import snapshots
from orchestrator.analysis.wire.capture import Reading, read_capture
from orchestrator.analysis.wire.ends import Names
from orchestrator.model.evidence import CaptureEvidence, Evidence
from orchestrator.model.plan import Plan
from orchestrator.model.record import CaptureRecord, HostRecord, RunRecord
from orchestrator.model.topology import Topology


def analyse(plan: Plan, record: RunRecord, captures: Mapping[str, bytes]) -> Evidence:
    """All that ``captures`` (bytes by the host that captured) tell of a run; never raises because of what the bytes are."""
    names = Names(_hosts_by_address(plan.testbed.topology))
    told = {host.name: host for host in record.hosts}
    readings = {host: read_capture(host, data, names, _interfaces(told.get(host))) for host, data in sorted(captures.items())}
    kept = _captures(record, readings)
    troubles = {host.name: f"{host.name} captured nothing" for host in plan.hosts if host.name not in readings}
    troubles.update({capture.host: capture.doubt for capture in kept})
    segments = tuple(segment for reading in readings.values() for segment in reading.segments)
    return Evidence(
        captures=kept,
        segments=segments,
        connections=connections(track for reading in readings.values() for track in reading.tracks),
        passages=passages(segments),
        histories=histories(plan, record, readings, troubles),
        snapshots=snapshots(record),
    )


def _captures(record: RunRecord, readings: Mapping[str, Reading]) -> tuple[CaptureEvidence, ...]:
    recorded = {capture.host: capture for capture in record.captures}
    hosts = sorted({*recorded, *readings})
    return tuple(_capture(recorded.get(host) or CaptureRecord(host=host, file=""), readings.get(host)) for host in hosts)


def _capture(told: CaptureRecord, reading: Reading | None) -> CaptureEvidence:
    problem = "the capture's file is missing" if reading is None else reading.problem
    frames = reading.frames if reading else 0
    if not problem and frames < told.frames:
        problem = f"{told.frames} frames were written, {frames} are left"
    return CaptureEvidence(
        host=told.host,
        file=told.file,
        frames=frames,
        dropped=told.dropped,
        complete=told.complete,
        filter=told.filter,
        problem=problem,
        clock_moved_ns=told.clock_moved_ns,
    )


def _interfaces(host: HostRecord | None) -> dict[int, str]:
    """Interfaces' names by the kernel's index, where the record has them (``{"eth1": "2"}``)."""
    return {int(index): name for name, index in (host.interfaces if host else {}).items() if index.isdecimal()}


def _hosts_by_address(topology: Topology) -> dict[str, str]:
    return {address.partition("/")[0]: port.host for network in topology.networks for port in network.ports for address in port.addresses}
