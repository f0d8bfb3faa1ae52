"""What the captures say: segments, the connections they belong to, and each one's way from host to host."""

from __future__ import annotations

from orchestrator.model.tcp import State
from orchestrator.model.words.values import Json, Record

CLOCK_SLACK_NS = 1_000_000
"""What two readings of a clock may differ by, though nobody set it."""


class Option(Record, frozen=True, kw_only=True, gc=False):
    """A TCP option, named as tcpdump names it; ``values`` are its numbers.

    For ``sack``: left and right edges in turn, relative to the ISN of the data's sender where that is known.
    """

    name: str
    values: tuple[int, ...] = ()


class Quoted(Record, frozen=True, kw_only=True):
    """The segment inside an ICMP error: no segment of the wire, only a quotation."""

    protocol: str
    source: str
    destination: str
    source_port: int
    destination_port: int
    seq: int = 0


class Segment(Record, frozen=True, kw_only=True, gc=False):
    """One frame of one capture, from the network layer up.

    ``number`` is Wireshark's frame number. ``length`` counts payload bytes as the headers tell, ``payload`` holds those that were captured.
    ``relative_seq`` and ``relative_ack`` count from the ISNs, ``None`` where no SYN was seen. ``source_host`` is empty where the address is
    nobody's. ``protocol`` is ``tcp``, ``udp``, ``icmp`` (both families), ``arp`` or the IP protocol's number as text. ``fragment`` is the
    byte offset of a later IP fragment, which has no ports.
    """

    capture: str
    number: int
    at_ns: int
    protocol: str
    source: str
    destination: str
    source_host: str = ""
    destination_host: str = ""
    outgoing: bool = False
    interface: str = ""
    source_port: int = 0
    destination_port: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    relative_seq: int | None = None
    relative_ack: int | None = None
    window: int = 0
    urgent: int = 0
    length: int = 0
    payload: bytes = b""
    options: tuple[Option, ...] = ()
    icmp_type: int = 0
    icmp_code: int = 0
    quoted: Quoted | None = None
    ttl: int = 0
    fragment: int = 0
    more_fragments: bool = False
    version: int = 4
    text: str = ""
    """The segment in the notation of the language: ``romeo.51234 > juliet.4000 S 0:0(0) win 64240 <...>``."""


class Connection(Record, frozen=True, kw_only=True):
    """A TCP connection (or UDP flow): ``client`` sent the first SYN seen (the first datagram). Ends are ``address:port``, ISNs raw."""

    protocol: str
    client: str
    server: str
    client_host: str
    server_host: str
    client_isn: int | None = None
    server_isn: int | None = None


class Passage(Record, frozen=True, kw_only=True, gc=False):
    """One segment's way.

    Indexes into ``Evidence.segments`` of what its sender's and its receiver's capture saw, ``None`` where it did not.
    """

    sent: int | None = None
    received: int | None = None


class Transition(Record, frozen=True, kw_only=True):
    """A state entered by one end of a connection, and from what that is known: ``call``, ``wire`` or ``ss``."""

    at_ns: int
    state: State
    cause: str
    source: str


class History(Record, frozen=True, kw_only=True):
    """The states of one end of one connection (or of a listening socket), inferred from calls, wire and ``ss``.

    ``local`` and ``peer`` are ``address:port`` (``[address]:port`` for IPv6), ``peer`` empty for a listening socket. ``sockets`` are the
    names that the scenario has for it. The first transition is the state it began in. ``question`` is empty, or what these witnesses leave
    open.
    """

    host: str
    local: str
    peer: str
    sockets: tuple[str, ...] = ()
    transitions: tuple[Transition, ...] = ()
    question: str = ""


class Snapshot(Record, frozen=True, kw_only=True):
    """What a tool said on a host at one moment, parsed: a row for each socket, line, rule or counter.

    ``source`` is ``ss``, ``lsof``, ``netstat``, ``iptables``, ``ip6tables`` or ``nstat``; ``problem`` says why its words could not be read.
    """

    host: str
    step: int
    source: str
    at_ns: int
    rows: tuple[dict[str, Json], ...] = ()
    problem: str = ""


class CaptureEvidence(Record, frozen=True, kw_only=True):
    """How far one capture can be believed.

    ``problem`` is empty, or why nothing (more) could be read from it; ``filter`` is tcpdump's, empty where all was captured.
    ``clock_moved_ns`` is by how much the clock that timed its frames was set while it captured; ``clock_doubt`` says why its host's clock
    cannot be held against the others'.
    """

    host: str
    file: str
    frames: int = 0
    dropped: int = -1
    complete: bool = False
    filter: str = ""
    problem: str = ""
    clock_moved_ns: int = 0
    clock_doubt: str = ""

    @property
    def doubt(self) -> str:
        """Why it does not tell all, or not when; empty where it does."""
        if self.problem:
            return f"{self.host}'s capture cannot be read whole: {self.problem}"
        if self.dropped > 0:
            return f"{self.host}'s capture lost {self.dropped} frames"
        if abs(self.clock_moved_ns) > CLOCK_SLACK_NS:
            return f"the clock of {self.host} was set by {self.clock_moved_ns / 1e9:+.3f} s while it captured"
        if self.clock_doubt:
            return self.clock_doubt
        return "" if self.complete else f"{self.host}'s capture was cut short"


class ClockEvidence(Record, frozen=True, kw_only=True):
    """What is known in the end of the clock of one host that has its own.

    Every time of the host is moved by :meth:`moved` from the record's timeline to the evidence's, and is then true within ``error_ns``.
    From ``since_ns`` to ``until_ns`` the correction grows from ``shift_ns`` by ``drift_ns``; ``wander_ns`` of
    the error may be another one at another time. ``source`` is ``control channel`` or, where
    segments told more, ``captures``. ``unix_ns`` is by how much the host's Unix clock was ahead. ``doubt`` says why nothing of this can be
    believed, empty where it can. ``apart_ns`` is within what the clock can be held against that of each host named there, where captures
    know that better than both errors together.
    """

    host: str
    since_ns: int
    until_ns: int
    shift_ns: int = 0
    drift_ns: int = 0
    error_ns: int = 0
    wander_ns: int = 0
    source: str = "control channel"
    unix_ns: int = 0
    doubt: str = ""
    apart_ns: dict[str, int] = {}

    def moved(self, at_ns: int) -> int:
        """A time of this host, corrected; 0 (there is none) stays 0."""
        if not at_ns:
            return 0
        lasted_ns = self.until_ns - self.since_ns
        gone_ns = min(max(at_ns - self.since_ns, 0), lasted_ns)
        return at_ns + self.shift_ns + (self.drift_ns * gone_ns // lasted_ns if lasted_ns else 0)


class Evidence(Record, frozen=True, kw_only=True):
    """All that the wire told, what is inferred from it, and what tools said in snapshots.

    Segments are sorted by capture and then by frame; ``passages`` are in order of time. ``clocks`` has no entry for a host that has the
    controller's own clock.
    """

    captures: tuple[CaptureEvidence, ...] = ()
    segments: tuple[Segment, ...] = ()
    connections: tuple[Connection, ...] = ()
    passages: tuple[Passage, ...] = ()
    histories: tuple[History, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    clocks: tuple[ClockEvidence, ...] = ()

    def error_ns(self, host: str) -> int:
        """Within what the times of ``host`` are true on the common timeline; 0 for the controller's own clock."""
        return next((clock.error_ns for clock in self.clocks if clock.host == host), 0)

    def apart_ns(self, host: str, other: str) -> int:
        """Within what the order of something on ``host`` and something on ``other`` is known."""
        if host == other:
            return 0
        known = {clock.host: clock.apart_ns for clock in self.clocks}
        return known.get(host, {}).get(other, self.error_ns(host) + self.error_ns(other))
