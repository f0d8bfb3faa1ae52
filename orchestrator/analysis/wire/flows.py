"""Which connection a segment belongs to, and from which ISN its numbers count.

A :class:`Flow` is one direction between two ends, a :class:`Track` one connection as one capture saw it. Knows nothing of states.
The surprising fact: a SYN in the middle of a connection may begin a new one on the same four-tuple or be a stray that is only
challenged (RFC 5961 section 4); which of them it was is told by the next answer, so the old connection is kept on a shelf until
then.
"""

from __future__ import annotations

from orchestrator.model.tcp import ACK, RST, SYN

_MODULUS = 0xFFFFFFFF


class Track:
    """One connection (or UDP flow) as one capture saw it.

    ``indexes`` point into that capture's segments. ``tentative``: it began with a SYN amid another one and waits for its answer.
    """

    __slots__ = (
        "begins_with_syn", "client", "client_isn", "closed", "first_ns",
        "indexes", "protocol", "server_isn", "tentative",
    )  # fmt: skip

    def __init__(self, protocol: str, client: Flow, at_ns: int, *, begins_with_syn: bool) -> None:
        self.protocol = protocol
        self.client = client
        self.client_isn: int | None = None
        self.server_isn: int | None = None
        self.closed = False
        self.tentative = False
        self.begins_with_syn = begins_with_syn
        self.first_ns = at_ns
        self.indexes: list[int] = []

    def isn_of(self, flow: Flow) -> int | None:
        """The ISN of the side that sends ``flow``."""
        return self.client_isn if flow is self.client else self.server_isn


class Flow:
    """All that goes from one end to another: what each segment of it repeats, and what its numbers count from."""

    __slots__ = (
        "back", "destination", "destination_host", "destination_port", "isn", "label", "ours", "shelf",
        "source", "source_host", "source_port", "track",
    )  # fmt: skip

    def __init__(self, source: str, destination: str, hosts: tuple[str, str], ports: tuple[int, int], capture: str) -> None:
        self.source, self.destination = source, destination
        self.source_host, self.destination_host = hosts
        self.source_port, self.destination_port = ports
        self.ours = hosts[0] == capture
        self.label = f"{hosts[0] or source}.{ports[0]} > {hosts[1] or destination}.{ports[1]} "
        self.isn: int | None = None
        self.track: Track | None = None
        self.shelf: tuple[Track, int | None, int | None] | None = None
        self.back = self

    @property
    def end(self) -> str:
        """The sending end, ``address:port``."""
        return _end(self.source, self.source_port)

    def joined(self, back: Flow) -> Flow:
        """This flow, made one pair with the opposite one."""
        self.back, back.back = back, self
        return self


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Tracks:
    """The connections of one capture, in the order in which they began."""

    __slots__ = ("all",)

    def __init__(self) -> None:
        self.all: list[Track] = []

    def begin(self, flow: Flow, protocol: str, at_ns: int, *, syn: bool = False) -> Track:
        """Begin a connection that ``flow`` opens."""
        track = Track(protocol, flow, at_ns, begins_with_syn=syn)
        flow.track = flow.back.track = track
        flow.isn = flow.back.isn = None
        self.all.append(track)
        return track

    def synchronise(self, flow: Flow, seq: int, flags: int, at_ns: int) -> Track:
        """Take in a segment with SYN: learn its ISN, or begin a new connection with it."""
        track = flow.track
        if track is None:
            track = self.begin(flow, "tcp", at_ns, syn=True)
        elif not flags & ACK and flow.isn != seq and (flow.isn is not None or track.closed or not track.begins_with_syn):
            track = self._renew(flow, track, seq, at_ns)
        _set_isn(flow, track, seq)
        return track

    def _renew(self, flow: Flow, old: Track, seq: int, at_ns: int) -> Track:
        shelf = flow.shelf
        kept = None if old.closed else (old, flow.isn, flow.back.isn)
        if shelf is not None and shelf[0].isn_of(flow) == seq:
            _place(flow, shelf)
            track = shelf[0]
        else:
            track = self.begin(flow, "tcp", at_ns, syn=True)
        track.tentative = kept is not None
        flow.shelf = flow.back.shelf = _as_seen_by(flow, kept)
        return track


def _as_seen_by(flow: Flow, kept: tuple[Track, int | None, int | None] | None) -> tuple[Track, int | None, int | None] | None:
    """Order a shelf's numbers by client and server of its own track, so that either flow can take it down."""
    if kept is None:
        return None
    track, mine, other = kept
    return (track, mine, other) if flow is track.client else (track, other, mine)


def _place(flow: Flow, shelf: tuple[Track, int | None, int | None]) -> None:
    track, client_isn, server_isn = shelf
    flow.track = flow.back.track = track
    track.client.isn, track.client.back.isn = client_isn, server_isn


def settle(flow: Flow, ack: int, flags: int) -> None:
    """Decide by an answer to a SYN in mid-connection which of the two connections lives; called while there is a shelf."""
    track, shelf = flow.track, flow.shelf
    if track is None or shelf is None or not track.tentative or flow is track.client or not flags & ACK:
        return
    if track.client_isn is not None and ack == (track.client_isn + 1) & _MODULUS:
        flow.shelf = flow.back.shelf = None
        track.tentative = False
    elif not flags & (SYN | RST):
        flow.shelf = flow.back.shelf = (track, track.client_isn, track.server_isn)
        track.tentative = False
        _place(flow, shelf)


def _set_isn(flow: Flow, track: Track, seq: int) -> None:
    flow.isn = seq
    if flow is track.client:
        track.client_isn = seq
    else:
        track.server_isn = seq
