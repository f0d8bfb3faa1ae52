"""Whether TCP really got what a capture shows coming in: what the host did next tells.

Knows one end's segments, calls and samples; moves nothing itself. The surprising fact: there are three answers. ``True``: it must
have arrived. ``False``: it cannot have. ``None``: nothing that was seen tells, and then nobody may guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from orchestrator.analysis.histories.happenings import Happening, Kind, at_least
from orchestrator.analysis.histories.sockets import Deed
from orchestrator.model.evidence import Segment
from orchestrator.model.tcp import ACK, FIN, RST, SYN, State

SETTLED_NS = 5_000_000
"""How long after a segment a sample may still show the state before it."""

CROSSING_NS = 1_000_000
"""How long after a segment came in one may go out that was made before it."""

_RESET_ERRORS = frozenset({"ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EPIPE"})
_DROPPED = {
    Kind.SYN_ACK_IN: SYN,
    Kind.ACK_OF_SYN_IN: SYN | ACK,
    Kind.ACK_OF_FIN_IN: FIN,
    Kind.ERROR_IN: SYN,
}
"""What is sent again where this did not arrive."""


class Scene(Struct, frozen=True, kw_only=True):
    """One end of a connection and all who saw it."""

    local: tuple[str, int]
    segments: Sequence[Segment]
    deeds: Sequence[Deed]
    samples: Sequence[tuple[int, State | None]]


def arrived(scene: Scene, seen: Happening, before: State, after: State) -> bool | None:
    """Whether ``seen``, which leads from ``before`` to ``after``, reached TCP (of a RST that was sent: whether TCP itself sent it)."""
    verdicts = [*_by_wire(scene, seen), *_by_calls(scene, seen), *_by_samples(scene, seen, before, after)]
    return min(verdicts, key=lambda verdict: verdict[0])[1] if verdicts else None


def _by_wire(scene: Scene, seen: Happening) -> Iterator[tuple[int, bool]]:
    for at in range(seen.position + 1, len(scene.segments)):
        segment = scene.segments[at]
        if segment.protocol != "tcp":
            # An ICMP error of ours that quotes the SYN is a rule's answer: it never came to TCP.
            told = False if seen.kind is Kind.SYN_IN and segment.outgoing else None
        else:
            told = _reply_tells(seen, segment) if (segment.source, segment.source_port) == scene.local else None
        if told is not None:
            yield segment.at_ns, told
            return


def _reply_tells(seen: Happening, reply: Segment) -> bool | None:  # noqa: PLR0911 - one line for each kind of testimony
    flags, kind = reply.flags, seen.kind
    if kind in {Kind.RST_IN, Kind.RST_OUT}:
        return None if flags & RST else False
    if flags & RST:
        return False if kind is Kind.SYN_IN else None
    if kind is Kind.SYN_IN:
        return True if flags & SYN and flags & ACK and reply.ack == (seen.segment.seq + 1) & 0xFFFFFFFF else None
    if kind is Kind.FIN_IN:
        return _acknowledges(seen, reply)
    if _DROPPED[kind] in {flags & (SYN | ACK), flags & FIN}:
        return False
    if kind is Kind.SYN_ACK_IN:
        acknowledges = flags & ACK and not flags & SYN and at_least(reply.ack, seen.segment.seq + 1)
        return True if acknowledges else None
    return True if kind is Kind.ACK_OF_SYN_IN and not flags & SYN else None


def _acknowledges(seen: Happening, reply: Segment) -> bool | None:
    if not reply.flags & ACK:
        return None
    if at_least(reply.ack, seen.segment.seq + seen.segment.length + 1):
        return True
    # A FIN of ours that does not acknowledge theirs was sent before TCP had theirs: both closed at once.
    return False if reply.flags & FIN or reply.at_ns > seen.at_ns + CROSSING_NS else None


def _by_calls(scene: Scene, seen: Happening) -> Iterator[tuple[int, bool]]:
    for deed in scene.deeds:
        if deed.record.end_ns < seen.at_ns:
            continue
        told = _deed_tells(deed, seen)
        if told is not None:
            yield deed.record.end_ns, told
            return


def _deed_tells(deed: Deed, seen: Happening) -> bool | None:
    kind = seen.kind
    if kind is Kind.RST_OUT:
        closing = deed.method == "close" and deed.record.start_ns <= seen.at_ns + CROSSING_NS
        return True if closing else None
    if kind in {Kind.RST_IN, Kind.ERROR_IN}:
        return True if deed.error in _RESET_ERRORS or (kind is Kind.ERROR_IN and deed.error) else None
    if deed.record.status != "done" or deed.error:
        return None
    if deed.method in {"connect", "connect_ex"}:
        return True if kind in {Kind.SYN_ACK_IN, Kind.ACK_OF_SYN_IN} else None
    if deed.method == "accept":
        return True if kind is Kind.ACK_OF_SYN_IN else None
    return True if deed.method == "recv" and kind is Kind.FIN_IN and deed.record.value == {"bytes": ""} else None


def _by_samples(scene: Scene, seen: Happening, before: State, after: State) -> Iterator[tuple[int, bool]]:
    for at_ns, state in scene.samples:
        if at_ns < seen.at_ns:
            continue
        shown = State.CLOSED if state is None else state
        if shown is after:
            yield at_ns, True
            return
        if shown is before and at_ns > seen.at_ns + SETTLED_NS:
            yield at_ns, False
            return
