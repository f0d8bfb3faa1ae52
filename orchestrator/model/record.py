"""What happened: every action, sample and capture of a run, with times in integer nanoseconds.

Times named ``*_ns`` are Unix time on one timeline that begins with the run: monotonic clocks, moved by an offset that is taken once. Hosts
of the controller's own machine share its clock and its offset; any other host has its own, measured before the first step
(``HostRecord.clock``). What is learnt of it later, at the end of the run and from captures, moves no time here: ``Evidence.clocks`` has it.
The surprising fact: frames in captures alone are timed by the kernel's Unix clock; ``CaptureRecord.shift_ns`` puts them on the timeline.
Where somebody sets that clock meanwhile, ``CaptureRecord.clock_moved_ns`` tells, and nobody believes the capture's times.
"""

from __future__ import annotations

from orchestrator.model.words.values import Json, Record


class SocketFacts(Record, frozen=True, kw_only=True):
    """One socket as the host's own process saw it after a call.

    ``inode`` and ``cookie`` (SO_COOKIE) find it in ``ss -e``; ``local`` and ``peer`` are ``address:port`` (``[address]:port`` for IPv6),
    empty where the kernel has none; a closed socket keeps the ends it had.
    """

    name: str
    fd: int = -1
    inode: int = 0
    cookie: int = 0
    protocol: str = "tcp"
    local: str = ""
    peer: str = ""
    closed: bool = False


class CallRecord(Record, frozen=True, kw_only=True):
    """One socket call: ``value`` is what it returned (wire form) unless ``exception`` says what it raised.

    ``exceptions`` are the class names from the raised one up to ``Exception``; ``status`` is ``done``, ``raised``, ``timeout`` (its
    deadline interrupted it; the socket stayed open) or ``blocked`` (still blocked when the run ended).
    """

    text: str
    status: str
    start_ns: int
    end_ns: int
    value: Json = None
    exceptions: tuple[str, ...] = ()
    errno: str = ""
    message: str = ""
    sockets: tuple[SocketFacts, ...] = ()
    method: str = ""


class ActionRecord(Record, frozen=True, kw_only=True):
    """One action as it ended. ``status`` is ``done``, ``raised``, ``timeout``, ``blocked`` or ``lost`` (its host went away).

    ``planned_ns`` is the instant it was to fire, 0 where it was to fire at once; ``start_ns - planned_ns`` is its lateness. For programs,
    ``value`` is the exit status, ``stdout`` and ``stderr`` what they wrote (bounded; ``clipped`` tells).
    """

    id: str
    host: str
    step: int
    status: str
    start_ns: int
    end_ns: int
    planned_ns: int = 0
    background: bool = False
    name: str | None = None
    value: Json = None
    exceptions: tuple[str, ...] = ()
    errno: str = ""
    message: str = ""
    stdout: str = ""
    stderr: str = ""
    clipped: bool = False
    calls: tuple[CallRecord, ...] = ()


class Sample(Record, frozen=True, kw_only=True):
    """What a host said when a live expectation (or a snapshot) asked.

    ``source`` is the tool (``ss``, ``lsof``, ``netstat``, ``iptables``, ``nstat``, ``output``), ``text`` its raw words; of a
    program's output the begin, where ``clipped`` says that it wrote more. ``expectation`` is the index within the step's ``expect``, -1 for
    a snapshot; ``sockets`` are the names known on that host then. ``holds`` and ``saw`` are what the engine made of it: the gate's opinion,
    not a verdict.
    """

    step: int
    host: str
    source: str
    at_ns: int
    text: str
    clipped: bool = False
    expectation: int = -1
    holds: bool = False
    saw: str = ""
    sockets: tuple[SocketFacts, ...] = ()


class StepRecord(Record, frozen=True, kw_only=True):
    """One step. ``status`` is ``done``, ``failed`` (``reason`` says at what), ``skipped`` or ``missing`` (the run ended before it)."""

    number: int
    status: str
    start_ns: int = 0
    end_ns: int = 0
    reason: str = ""


class CaptureRecord(Record, frozen=True, kw_only=True):
    """One capture. ``file`` is its plain name in the run directory; ``dropped`` is the kernel's own count of lost frames, -1 if unknown.

    ``shift_ns``, added to the times in the file, gives the record's timeline; it is 0 on the controller's own machine, whose Unix clock
    began that timeline. ``clock_moved_ns`` is by how much its host's Unix clock, which times the frames, was set while it captured.
    """

    host: str
    file: str
    ready_ns: int = 0
    end_ns: int = 0
    frames: int = 0
    dropped: int = -1
    filter: str = ""
    complete: bool = False
    shift_ns: int = 0
    clock_moved_ns: int = 0


class ClockReading(Record, frozen=True, kw_only=True):
    """A host's clock held against the controller's, over the control channel.

    At ``at_ns`` of the run's timeline, ``offset_ns`` added to the host's monotonic clock gave that timeline, true within ``error_ns`` (half
    of the round trip) whichever way the trip was slow.
    """

    at_ns: int
    offset_ns: int
    error_ns: int


class HostClock(Record, frozen=True, kw_only=True):
    """The clock of a host that has one of its own.

    ``before`` was taken before the first step, and every time of this host in the record rests on it; ``after`` after the last step,
    ``None`` where the host was gone. ``unix_ns`` is by how much the host's Unix clock was ahead of the run's timeline at first.
    """

    before: ClockReading
    after: ClockReading | None = None
    unix_ns: int = 0


class HostRecord(Record, frozen=True, kw_only=True):
    """What a host was like and how it was left: its environment (kernel, tools, sysctls, offloads), what was undone, what was not.

    ``left_out`` says what this machine could not give it of a view of its own (``/proc``, ``/etc/hosts``). ``fate`` is what the guardian
    of a host that was ``lost`` told afterwards: why it put everything back. ``clock`` is ``None`` where the
    host has the controller's own clock.
    """

    name: str
    environment: dict[str, str] = {}
    interfaces: dict[str, str] = {}
    left_out: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()
    lost: str = ""
    fate: str = ""
    clock: HostClock | None = None


class RunRecord(Record, frozen=True, kw_only=True):
    """A run, whole or cut short.

    ``status`` is ``completed``, ``failed``, ``interrupted``, ``error`` or ``skipped``; ``reason`` says why. ``overran``: its own deadline
    ended it.
    """

    run_id: str
    label: str
    status: str
    start_ns: int
    end_ns: int
    reason: str = ""
    overran: bool = False
    hosts: tuple[HostRecord, ...] = ()
    captures: tuple[CaptureRecord, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()
    samples: tuple[Sample, ...] = ()
