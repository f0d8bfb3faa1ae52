"""Which sockets of an ``ss`` reading an expectation means, and whether they are as it says.

Knows the plan's addresses and what the host's process told of its own sockets; never asks a host. What surprises: a CLOSED TCP
socket is one that ``ss`` does not list (newer kernels can list bound ones; they are passed over, so that every kernel says the same).
"""

from __future__ import annotations

from orchestrator.model.plan import Plan
from orchestrator.model.record import Sample, SocketFacts
from orchestrator.model.tcp import State
from orchestrator.model.words.expectations import Place, SocketExpectation
from orchestrator.model.words.values import Comparison, Record
from orchestrator.readings.ss import SocketReading, sockets

_NO_TIMER = ("none", "off")
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, never bound
_NEVER_ORPHANS = (State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED)
_EXCERPT_LINES = 8


class Held(Record, frozen=True, kw_only=True):
    """Whether an expectation holds on one sample.

    ``saw`` is a short sentence of what was there, ``excerpt`` the raw lines it rests on. ``problem`` is empty, or why the sample
    could not be read: then ``holds`` is false and proves nothing.
    """

    holds: bool
    saw: str = ""
    excerpt: tuple[str, ...] = ()
    problem: str = ""


def socket_held(plan: Plan, expectation: SocketExpectation, sample: Sample) -> Held:
    """Judge ``expectation`` on ``sample``, the text of ``ss -tuanpoeimOH``.

    :raises EvidenceError: the text cannot be read.
    """
    name = expectation.socket.name
    listed = tuple(reading for reading in sockets(sample.text) if (reading.protocol, reading.state) != ("tcp", State.CLOSED))
    if name is None:
        listed = tuple(reading for reading in listed if reading.protocol == expectation.protocol)
        return _judge(expectation, tuple(reading for reading in listed if _fits_pattern(plan, expectation, reading)), listed)
    facts = _last_named(sample.sockets, name)
    if facts is None:
        return Held(holds=False, saw=f"no socket named {name} on {expectation.host} yet")
    listed = tuple(reading for reading in listed if reading.protocol == facts.protocol)
    return _judge(expectation, _own(facts, listed), listed)


def _judge(expectation: SocketExpectation, meant: tuple[SocketReading, ...], listed: tuple[SocketReading, ...]) -> Held:
    fitting = tuple(reading for reading in meant if _fits(expectation, reading))
    if expectation.absent:
        return Held(holds=not fitting, saw=_tell(expectation, fitting, listed), excerpt=_lines(fitting))
    if expectation.count is not None:
        return Held(holds=expectation.count.holds(len(fitting)), saw=_tally(fitting, meant), excerpt=_lines(fitting or meant))
    if not meant:
        return Held(holds=_fits_unlisted(expectation), saw=_tell(expectation, (), listed), excerpt=_lines(listed))
    return Held(holds=len(meant) == 1 and bool(fitting), saw=_tell(expectation, meant, listed), excerpt=_lines(meant))


def _last_named(facts: tuple[SocketFacts, ...], name: str) -> SocketFacts | None:
    return next((one for one in reversed(facts) if one.name == name), None)


def _own(facts: SocketFacts, listed: tuple[SocketReading, ...]) -> tuple[SocketReading, ...]:
    """Find the reading that is the socket of ``facts``: by inode, else by cookie, else by its two ends."""
    for reading in listed:
        if facts.inode and reading.inode == facts.inode:
            return (reading,)
    for reading in listed:
        if facts.cookie and reading.cookie == facts.cookie:
            return (reading,)
    return tuple(reading for reading in listed if _left_behind(facts, reading))[:1]


def _left_behind(facts: SocketFacts, reading: SocketReading) -> bool:
    """Tell whether it has the same ends; what has an inode, or may yet be accepted, is another socket that took the ends over."""
    same = _has_port(facts.local) and (_split(facts.local), _split(facts.peer)) == (_split(reading.local), _split(reading.peer))
    if not (facts.inode or facts.cookie):
        return same
    return same and not reading.inode and reading.state not in _NEVER_ORPHANS


def _fits_pattern(plan: Plan, expectation: SocketExpectation, reading: SocketReading) -> bool:
    pattern = expectation.socket
    return _at(plan, pattern.local, reading.local) and _at(plan, pattern.peer, reading.peer)


def _at(plan: Plan, place: Place | None, end: str) -> bool:
    """Whether ``end`` is at ``place``. A socket bound to any address is at a port, at no host."""
    if place is None:
        return True
    if not end:
        return False
    address, port = _split(end)
    if place.port is not None and str(place.port) != port:
        return False
    return place.host is None or address in _addresses(plan, place.host)


def _addresses(plan: Plan, host: str) -> tuple[str, ...]:
    if host == "*":
        return _ANY_ADDRESS
    return plan.addresses(host) or (_plain(host),)


def _split(end: str) -> tuple[str, str]:
    address, _, port = end.rpartition(":")
    return _plain(address), port


def _has_port(end: str) -> bool:
    return _split(end)[1] not in {"", "0"}


def _plain(address: str) -> str:
    """Without brackets and zone; an IPv4 address in IPv6's clothes (RFC 4291 section 2.5.5.2) is that IPv4 address."""
    bare = address.strip("[]").partition("%")[0].lower()
    mapped = bare.removeprefix("::ffff:")
    return mapped if "." in mapped else bare


def _fits(expectation: SocketExpectation, reading: SocketReading) -> bool:
    return (
        (not expectation.states or reading.state in expectation.states)
        and _compares(expectation.recv_q, reading.recv_q)
        and _compares(expectation.send_q, reading.send_q)
        and _compares(expectation.cwnd, _cwnd(reading))
        and _has_timer(expectation, reading.timer)
        and _has_holder(expectation, reading)
    )


def _fits_unlisted(expectation: SocketExpectation) -> bool:
    """Judge a socket that is not listed: closed, no timer, no queue. Whoever names no UDP socket wants to see one."""
    closed = State.CLOSED in expectation.states and (expectation.protocol == "tcp" or expectation.socket.name is not None)
    unknowable = (expectation.recv_q, expectation.send_q, expectation.cwnd) != (None, None, None)
    return closed and not unknowable and expectation.fd is not True and _has_timer(expectation, "")


def _compares(wanted: Comparison | None, number: int | None) -> bool:
    return wanted is None or (number is not None and wanted.holds(number))


def _cwnd(reading: SocketReading) -> int | None:
    text = reading.info.get("cwnd", "")
    return int(text) if text.isdecimal() else None


def _has_timer(expectation: SocketExpectation, timer: str) -> bool:
    wanted = expectation.timer
    return wanted is None or (not timer if wanted in _NO_TIMER else timer == wanted)


def _has_holder(expectation: SocketExpectation, reading: SocketReading) -> bool:
    """Judge ``fd``. An inode without a process is a descriptor that ``ss`` was not permitted to see: it proves neither."""
    if expectation.fd is None:
        return True
    return bool(reading.processes) if expectation.fd else not reading.processes and not reading.inode


def _lines(readings: tuple[SocketReading, ...]) -> tuple[str, ...]:
    return tuple(reading.line for reading in readings[:_EXCERPT_LINES])


def _tally(fitting: tuple[SocketReading, ...], meant: tuple[SocketReading, ...]) -> str:
    """``2 of 3 sockets (1 TIME_WAIT, 2 ESTABLISHED)``."""
    states = [reading.state for reading in meant]
    by_state = ", ".join(f"{states.count(state)} {state}" for state in State if state in states)
    return f"{len(fitting)} of {len(meant)} sockets ({by_state})" if meant else "0 sockets"


def _tell(expectation: SocketExpectation, meant: tuple[SocketReading, ...], listed: tuple[SocketReading, ...]) -> str:
    if len(meant) == 1:
        return _describe(expectation, meant[0])
    if meant:
        return f"{len(meant)} sockets fit: " + "; ".join(_ends(reading) for reading in meant[:_EXCERPT_LINES])
    near = [_ends(reading) for reading in listed if _is_near(expectation, reading)][:3]
    return f"no such socket among {len(listed)}" + (f", but {'; '.join(near)}" if near else "")


def _is_near(expectation: SocketExpectation, reading: SocketReading) -> bool:
    """Whether a port that was asked for is there, at whatever address."""
    pattern = expectation.socket
    wanted = ((pattern.local, reading.local), (pattern.peer, reading.peer))
    return any(place is not None and place.port is not None and str(place.port) == _split(end)[1] for place, end in wanted)


def _ends(reading: SocketReading) -> str:
    return f"{reading.state} {reading.local}" + (f" -> {reading.peer}" if reading.peer else "")


def _describe(expectation: SocketExpectation, reading: SocketReading) -> str:
    """State and ends, and whatever else was asked about."""
    holders = ", ".join(f"{one.name} (pid {one.pid}, fd {one.fd})" for one in reading.processes)
    unseen = "a process that ss does not show" if reading.inode else "no process"
    told = (
        (expectation.recv_q, f"Recv-Q {reading.recv_q}"),
        (expectation.send_q, f"Send-Q {reading.send_q}"),
        (expectation.timer, f"timer {reading.timer or 'none'}"),
        (expectation.cwnd, f"cwnd {reading.info.get('cwnd', 'unknown')}"),
        (expectation.fd, f"held by {holders or unseen}"),
    )
    return ", ".join([_ends(reading), *(text for wanted, text in told if wanted is not None)])
