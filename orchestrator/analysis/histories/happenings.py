"""The segments of one connection, as one of its ends sent and received them, become what may move its state machine.

Knows sequence numbers (RFC 9293 section 3.4) and no states. The surprising fact: that a segment was captured on its way in does not
say that TCP got it, since a capture stands before the INPUT chain; so each happening keeps its place among the segments, where its
proof is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from orchestrator.model.evidence import Segment
from orchestrator.model.tcp import ACK, FIN, RST, SYN

_TURNS = SYN | FIN | RST
_MODULUS = 0xFFFFFFFF
_HALF = 0x80000000
_KEPT = 64
"""How many inbound ACKs of one thing are kept: more of them prove nothing more."""


class Kind(StrEnum):
    """What was seen, from the end's own point of view."""

    SYN_OUT = "sent SYN"
    SYN_ACK_OUT = "sent SYN,ACK"
    FIN_OUT = "sent FIN"
    RST_OUT = "sent RST"
    SYN_IN = "received SYN"
    SYN_ACK_IN = "received SYN,ACK"
    ACK_OF_SYN_IN = "received ACK of SYN"
    FIN_IN = "received FIN"
    ACK_OF_FIN_IN = "received ACK of FIN"
    ACK_OF_FIN_OUT = "sent ACK of FIN"
    RST_IN = "received RST"
    ERROR_IN = "received ICMP error"


class Happening(Struct, frozen=True, kw_only=True):
    """One thing seen. ``position`` is its place among the connection's segments.

    ``closes`` says of a FIN that the same segment acknowledges ours. ``exact`` says of a RST that its number is the very next one expected
    (``None``: not known, no SYN was seen), as RFC 9293 section 3.10.7.4 wants it.
    """

    at_ns: int
    kind: Kind
    segment: Segment
    position: int
    closes: bool = False
    exact: bool | None = None


def happenings(segments: Sequence[Segment], local: tuple[str, int]) -> list[Happening]:
    """All that ``segments`` (of one connection, in order) tell about its end at ``local`` (address, port)."""
    return _Reader(local).read(segments)


def at_least(number: int, least: int) -> bool:
    """``number >= least`` in sequence space."""
    return (number - least) & _MODULUS < _HALF


class _Reader:
    def __init__(self, local: tuple[str, int]) -> None:
        self.address, self.port = local
        self.found: list[Happening] = []
        self.next_in: int | None = None
        self.isn: int | None = None
        self.fin_out: int | None = None
        self.fin_in: tuple[int, Segment] | None = None
        self.fin_acknowledged = False
        self.ahead: dict[int, int] = {}
        self.acks_of_syn = 0
        self.acks_of_fin = 0

    def read(self, segments: Sequence[Segment]) -> list[Happening]:
        port, address = self.port, self.address
        for position, segment in enumerate(segments):
            if segment.protocol != "tcp":
                self._note(Kind.ERROR_IN, segment, position)
            elif segment.source_port == port and segment.source == address:
                if segment.flags & _TURNS or self._tells or segment.ack != self.next_in:
                    self._sent(segment, position)
            elif segment.length or segment.flags & _TURNS or self._tells:
                self._received(segment, position)
            # What is left says nothing new: in mid-connection, every ACK of a bulk transfer.
        return self.found

    @property
    def _tells(self) -> bool:
        """Whether a bare ACK may tell something: the handshake is not over, or a FIN is under way."""
        return self.acks_of_syn < _KEPT or self.fin_out is not None or self.fin_in is not None

    def _note(self, kind: Kind, segment: Segment, position: int, *, closes: bool = False, exact: bool | None = None) -> None:
        self.found.append(Happening(at_ns=segment.at_ns, kind=kind, segment=segment, position=position, closes=closes, exact=exact))

    def _sent(self, segment: Segment, position: int) -> None:
        flags = segment.flags
        if flags & RST:
            self._note(Kind.RST_OUT, segment, position)
            return
        if flags & SYN:
            self.isn = segment.seq
            self._note(Kind.SYN_ACK_OUT if flags & ACK else Kind.SYN_OUT, segment, position)
        else:
            self.acks_of_syn = _KEPT
        if flags & ACK:
            self._acknowledge(segment, position)
        if flags & FIN:
            self.fin_out = (segment.seq + segment.length) & _MODULUS
            self._note(Kind.FIN_OUT, segment, position)

    def _acknowledge(self, segment: Segment, position: int) -> None:
        if self.next_in is None or not at_least(self.next_in, segment.ack):
            self.next_in = segment.ack  # the end itself says that it has more than this capture saw come
        if self.fin_in is not None and not self.fin_acknowledged and at_least(segment.ack, self.fin_in[0] + 1):
            self.fin_acknowledged = True
            self._note(Kind.ACK_OF_FIN_OUT, segment, position)

    def _received(self, segment: Segment, position: int) -> None:
        flags = segment.flags
        if flags & RST:
            self._reset(segment, position)
            return
        if flags & SYN:
            self._synchronise(segment, position)
        elif flags & ACK and self.acks_of_syn < _KEPT and self.isn is not None and at_least(segment.ack, self.isn + 1):
            self.acks_of_syn += 1
            self._note(Kind.ACK_OF_SYN_IN, segment, position)
        acks_fin = flags & ACK and self.fin_out is not None and at_least(segment.ack, self.fin_out + 1)
        finished = self._advance(segment) if segment.length or flags & FIN else None
        if finished is not None:
            self.found.append(
                Happening(at_ns=segment.at_ns, kind=Kind.FIN_IN, segment=finished, position=position, closes=bool(acks_fin)),
            )
        elif acks_fin and self.acks_of_fin < _KEPT:
            self.acks_of_fin += 1
            self._note(Kind.ACK_OF_FIN_IN, segment, position)

    def _synchronise(self, segment: Segment, position: int) -> None:
        flags = segment.flags
        if self.next_in is None or not flags & ACK:
            self.next_in = (segment.seq + 1) & _MODULUS
        if not flags & ACK:
            self._note(Kind.SYN_IN, segment, position)
        elif self.isn is not None and segment.ack == (self.isn + 1) & _MODULUS:
            self._note(Kind.SYN_ACK_IN, segment, position)

    def _reset(self, segment: Segment, position: int) -> None:
        expected = self.next_in
        if expected is None:
            # SYN_SENT: "if the ACK bit is on ... acceptable if it acknowledges the SYN" (RFC 9293 section 3.10.7.3).
            exact = bool(segment.flags & ACK and self.isn is not None and segment.ack == (self.isn + 1) & _MODULUS)
            self._note(Kind.RST_IN, segment, position, exact=exact if self.isn is not None else None)
        else:
            self._note(Kind.RST_IN, segment, position, exact=segment.seq == expected)

    def _advance(self, segment: Segment) -> Segment | None:
        """Move on over data that is in order, also what had come too early; the FIN's segment when the FIN's turn has come."""
        start = (segment.seq + (1 if segment.flags & SYN else 0)) & _MODULUS
        end = (start + segment.length) & _MODULUS
        if segment.flags & FIN:
            if self.fin_in is not None and self.next_in == (end + 1) & _MODULUS:
                return segment  # sent again: the first one may have been dropped behind the capture
            self.fin_in = end, segment
        if self.next_in is None:
            return None
        if at_least(self.next_in, start):
            if at_least(end, self.next_in):
                self.next_in = end
        else:
            self.ahead[start] = end
        if self.ahead:
            self._catch_up()
        return self._finished()

    def _catch_up(self) -> None:
        for start in sorted(self.ahead, key=lambda start: (start - (self.next_in or 0) + _HALF) & _MODULUS):
            if not at_least(self.next_in or 0, start):
                break
            end = self.ahead.pop(start)
            if at_least(end, self.next_in or 0):
                self.next_in = end

    def _finished(self) -> Segment | None:
        if self.fin_in is None:
            return None
        if self.next_in == self.fin_in[0]:
            self.next_in = (self.fin_in[0] + 1) & _MODULUS
            return self.fin_in[1]
        return None
