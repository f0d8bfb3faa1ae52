"""Which captured segments an expectation speaks of, and whether their capture can be believed.

Knows captures, steps and sockets, no patterns. The surprising fact: what a router forwards is in its capture twice, once on its way
in and once on its way out; it counts once, as it came in.
"""

from __future__ import annotations

from orchestrator.checks.captured.windows import spans
from orchestrator.model.evidence import CaptureEvidence, Evidence, Quoted, Segment
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord, SocketFacts
from orchestrator.model.words.expectations import CountExpectation, IcmpExpectation, PacketsExpectation

_PROTOCOLS = frozenset({"tcp", "udp", "icmp"})
_NEIGHBOURS = frozenset({*range(130, 138), 143})
"""ICMPv6 types of MLD and neighbour discovery (RFC 2710, 3810, 4861): talk of the wire about itself."""

_ANYWHERE = ("0.0.0.0:", "[::]:")


def untrusted(host: str, evidence: Evidence) -> str:
    """Why the capture of ``host`` cannot testify, empty where it can."""
    capture = _capture(host, evidence)
    return capture.doubt if capture else f"{host} captured nothing"


def filtered(host: str, evidence: Evidence) -> str:
    """Tell in words what may have passed ``host`` unseen, empty where its capture had no filter."""
    capture = _capture(host, evidence)
    return f"{host}'s capture was filtered by {capture.filter!r}" if capture and capture.filter else ""


def _capture(host: str, evidence: Evidence) -> CaptureEvidence | None:
    return next((one for one in evidence.captures if one.host == host), None)


def spoken_of(
    expectation: PacketsExpectation | CountExpectation | IcmpExpectation,
    plan: Plan,
    record: RunRecord,
    evidence: Evidence,
) -> list[list[Segment]] | str:
    """The segments that ``expectation`` is about, in order, or why that is not known.

    Several lists where clocks leave open to which step some belong, the likeliest first; see :func:`spans`.
    """
    host = expectation.capture
    why = untrusted(host, evidence)
    if why:
        return why
    routers = {one.name for one in plan.testbed.topology.hosts if one.forward}
    segments = [
        segment
        for segment in evidence.segments
        if segment.capture == host
        and _between_hosts(segment)
        and not (segment.outgoing and segment.source_host != host and host in routers)
    ]
    lasted = spans(expectation.step, host, record, evidence, (segment.at_ns for segment in segments))
    if isinstance(lasted, str):
        return lasted
    found = [[one for one in segments if one.at_ns >= since and (until is None or one.at_ns < until)] for since, until in lasted]
    if not isinstance(expectation, PacketsExpectation) or expectation.connection is None:
        return found
    return _of_connection(found, expectation.connection, expectation.connection_host, record, evidence)


def _between_hosts(segment: Segment) -> bool:
    if segment.protocol not in _PROTOCOLS or not segment.source_host or not segment.destination_host:
        return False
    return not (segment.protocol == "icmp" and segment.version == 6 and segment.icmp_type in _NEIGHBOURS)


def _of_connection(
    found: list[list[Segment]], name: str, host: str | None, record: RunRecord, evidence: Evidence
) -> list[list[Segment]] | str:
    pairs = _ends_of(name, host, record, evidence)
    if not pairs:
        return f"which connection {name!r} was is not known: no record gives its ends"
    return [[one for one in segments if any(_belongs(one, local, peer) for local, peer in pairs)] for segments in found]


def _ends_of(name: str, host: str | None, record: RunRecord, evidence: Evidence) -> set[tuple[str, str]]:
    """Every (local, peer) that a socket of this name had; ``peer`` is empty for one that listened."""
    pairs = {(one.local, one.peer) for one in evidence.histories if name in one.sockets and host in {None, one.host} and one.local}
    told = [(action.host, facts) for action in record.actions for call in action.calls for facts in call.sockets]
    told += [(sample.host, facts) for sample in record.samples for facts in sample.sockets]
    pairs |= {_pair(facts) for where, facts in told if facts.name == name and host in {None, where} and facts.local}
    whole = {pair for pair in pairs if pair[1]}
    return whole or {pair for pair in pairs if not pair[0].endswith(":0")}


def _pair(facts: SocketFacts) -> tuple[str, str]:
    return _plain(facts.local), _plain(facts.peer)


def _plain(end: str) -> str:
    """``[::ffff:10.0.0.1]:80`` as ``10.0.0.1:80``."""
    return end[8:].replace("]", "") if end.startswith("[::ffff:") and "." in end else end


def _belongs(segment: Segment, local: str, peer: str) -> bool:
    """Whether a segment, or what an ICMP message quotes, goes between these ends."""
    quoted = segment.quoted
    source, destination = _ends(quoted if quoted is not None else segment)
    if peer:
        return (local, peer) in {(source, destination), (destination, source)}
    if local.startswith(_ANYWHERE):
        port = local.rpartition(":")[2]
        return port in {source.rpartition(":")[2], destination.rpartition(":")[2]}
    return local in {source, destination}


def _ends(one: Segment | Quoted) -> tuple[str, str]:
    return _end(one.source, one.source_port), _end(one.destination, one.destination_port)


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
