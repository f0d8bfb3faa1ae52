"""The captures of a run, its plan and its record become one :class:`Evidence`.

Knows the stages of the analysis and their order, nothing else. The surprising fact: a capture that lost frames is still read in
full; whether it can be believed is written beside it and is for others to weigh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.analysis.clocks import retimed, with_captures, with_control_channel
from orchestrator.analysis.connections import connections
from orchestrator.analysis.histories import histories
from orchestrator.analysis.passages import passages
from orchestrator.analysis.snapshots import snapshots
from orchestrator.analysis.wire.capture import Reading, read_capture
from orchestrator.analysis.wire.ends import Names
from orchestrator.model.evidence import CaptureEvidence, ClockEvidence, Evidence, Segment
from orchestrator.model.plan import Plan
from orchestrator.model.record import CaptureRecord, HostRecord, RunRecord
from orchestrator.model.topology import Topology


def analyse(plan: Plan, record: RunRecord, captures: Mapping[str, bytes]) -> Evidence:
    """All that ``captures`` (bytes by the host that captured) tell of a run; never raises because of what the bytes are."""
    measured = with_control_channel(record)
    desk = _Desk(plan, record, captures)
    readings = desk.read(measured)
    clocks = with_captures(measured, _trusted(record, readings))
    if clocks != measured:
        readings = desk.read(clocks)
    record = retimed(record, clocks)
    kept = _captures(record, readings, {clock.host: clock.doubt for clock in clocks})
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
        clocks=clocks,
    )


class _Desk:
    """The captures, ready to be read with what is known of their hosts' clocks."""

    def __init__(self, plan: Plan, record: RunRecord, captures: Mapping[str, bytes]) -> None:
        self._captures = sorted(captures.items())
        self._names = Names(_hosts_by_address(plan.testbed.topology))
        self._told = {host.name: host for host in record.hosts}
        self._shifts = {capture.host: capture.shift_ns for capture in record.captures}

    def read(self, clocks: Sequence[ClockEvidence]) -> dict[str, Reading]:
        """Every capture, its frames on the common timeline."""
        known = {clock.host: clock for clock in clocks}
        return {
            host: read_capture(host, data, self._names, _interfaces(self._told.get(host)), self._retime(host, known.get(host)))
            for host, data in self._captures
        }

    def _retime(self, host: str, clock: ClockEvidence | None) -> Callable[[int], int] | None:
        shift_ns = self._shifts.get(host, 0)
        return None if clock is None else lambda at_ns: clock.moved(at_ns + shift_ns)


def _trusted(record: RunRecord, readings: Mapping[str, Reading]) -> list[Segment]:
    """The segments of every capture that lacks none: what it does not show did not pass."""
    whole = {capture.host for capture in _captures(record, readings, {}) if not capture.doubt}
    return [segment for host, reading in readings.items() if host in whole for segment in reading.segments]


def _captures(record: RunRecord, readings: Mapping[str, Reading], doubts: Mapping[str, str]) -> tuple[CaptureEvidence, ...]:
    recorded = {capture.host: capture for capture in record.captures}
    hosts = sorted({*recorded, *readings})
    return tuple(
        _capture(recorded.get(host) or CaptureRecord(host=host, file=""), readings.get(host), doubts.get(host, "")) for host in hosts
    )


def _capture(told: CaptureRecord, reading: Reading | None, clock_doubt: str) -> CaptureEvidence:
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
        clock_doubt=clock_doubt,
    )


def _interfaces(host: HostRecord | None) -> dict[int, str]:
    """Interfaces' names by the kernel's index, where the record has them (``{"eth1": "2"}``)."""
    return {int(index): name for name, index in (host.interfaces if host else {}).items() if index.isdecimal()}


def _hosts_by_address(topology: Topology) -> dict[str, str]:
    return {address.partition("/")[0]: port.host for network in topology.networks for port in network.ports for address in port.addresses}
