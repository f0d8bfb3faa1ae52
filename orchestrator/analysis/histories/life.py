"""One end of one connection: its segments, calls and samples, in order of time, drive the state machine.

Knows what each witness may say and when it is doubted; what the standard allows is the machine's business. The surprising fact: a
call and its segment are the same event seen twice, and whichever comes first moves the machine, because the table lets the second
one move nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from orchestrator.analysis.histories.happenings import Happening, Kind, happenings
from orchestrator.analysis.histories.machine import Event, follow
from orchestrator.analysis.histories.proof import SETTLED_NS, Scene, arrived
from orchestrator.analysis.histories.sockets import Deed
from orchestrator.analysis.histories.witnesses import Doubts
from orchestrator.model.evidence import Transition
from orchestrator.model.tcp import State

_T = TypeVar("_T")

_EVENTS = {
    Kind.SYN_OUT: Event.ACTIVE_OPEN,
    Kind.SYN_ACK_OUT: Event.RCV_SYN,
    Kind.FIN_OUT: Event.CLOSE,
    Kind.RST_OUT: Event.ABORT,
    Kind.SYN_IN: Event.RCV_SYN,
    Kind.SYN_ACK_IN: Event.RCV_SYN_ACK,
    Kind.ACK_OF_SYN_IN: Event.RCV_ACK_OF_SYN,
    Kind.FIN_IN: Event.RCV_FIN,
    Kind.ACK_OF_FIN_IN: Event.RCV_ACK_OF_FIN,
    Kind.ACK_OF_FIN_OUT: Event.RCV_FIN,
    Kind.RST_IN: Event.RCV_RST,
    Kind.ERROR_IN: Event.ABORT,
}
_OUT = frozenset({Kind.SYN_OUT, Kind.SYN_ACK_OUT, Kind.FIN_OUT, Kind.ACK_OF_FIN_OUT})
_NOT_ABORTED = frozenset({State.SYN_SENT, State.SYN_RECEIVED, State.TIME_WAIT})
"""States in which a RST goes out in answer to a stray segment, and TCP stays where it is (RFC 9293 section 3.10.7.3 and 3.10.7.4)."""

_NOT_OVER = frozenset({"", "EINPROGRESS", "EALREADY", "EAGAIN", "EWOULDBLOCK", "EINTR", "EISCONN"})
_NEVER_BEGUN = frozenset({"ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EACCES", "EPERM", "EINVAL", "EAFNOSUPPORT"})
_FATAL = frozenset({"ETIMEDOUT", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"})
_AT_ONCE_NS = 100_000_000
_BEFORE_NS, _AFTER_NS = 100_000_000, 20_000_000
"""How far a sample's time may lie behind and before what it shows."""

_SHUT_RD, _SHUT_WR = 0, 1
_LINGER = (1, 13)
"""SOL_SOCKET and SO_LINGER."""


class Life:
    """The states of one end. ``passive``: it begins in LISTEN."""

    def __init__(self, scene: Scene, doubts: Doubts, host: str, *, passive: bool = False) -> None:
        self.scene = scene
        self.doubts = doubts
        self.host = host
        self.passive = passive
        self.seen = happenings(scene.segments, scene.local)
        self.state = State.LISTEN if passive else State.CLOSED
        self.transitions: list[Transition] = []
        self.question = ""

    def begin(self, at_ns: int, cause: str, source: str) -> None:
        """Say since when and by what the first state is known."""
        self.transitions.append(Transition(at_ns=at_ns, state=self.state, cause=cause, source=source))

    def live(self) -> None:
        """Take in everything that was seen, in order of time."""
        steps: list[tuple[int, int, Callable[[], None]]] = []
        for deed in self.scene.deeds:
            steps.append((deed.record.start_ns, 0, _bind(self._begun, deed)))
            steps.append((deed.record.end_ns, 2, _bind(self._ended, deed)))
        steps += [(seen.at_ns, 1, _bind(self._wire, seen)) for seen in self.seen]
        steps += [(at_ns, 3, _bind(self._missed, at_ns)) for at_ns, state in self.scene.samples if state is None]
        steps.sort(key=lambda step: step[:2])
        for _at_ns, _order, take in steps:
            take()
        self._contradicted()

    def ask(self, question: str) -> None:
        """Keep what the witnesses leave open; the first question stands."""
        self.question = self.question or question

    def _move(self, event: Event, at_ns: int, cause: str, source: str) -> None:
        after = follow(self.state, event, passive=self.passive)
        if after is not None:
            self.state = after
            self.transitions.append(Transition(at_ns=at_ns, state=after, cause=cause, source=source))

    # What the wire shows.

    def _wire(self, seen: Happening) -> None:
        event = _EVENTS[seen.kind]
        if seen.kind is Kind.FIN_IN and seen.closes and self.state is State.FIN_WAIT_1:
            event = Event.RCV_FIN_AND_ACK
        if self._means(seen, event):
            self._move(event, seen.at_ns, _cause(seen), "wire")
        if seen.kind is Kind.FIN_IN and seen.closes and self._means(seen, Event.RCV_ACK_OF_FIN):
            self._move(Event.RCV_ACK_OF_FIN, seen.at_ns, _cause(seen), "wire")

    def _means(self, seen: Happening, event: Event) -> bool:
        """Whether ``seen`` moves the machine by ``event``: possible here, acceptable, and not dropped behind the capture."""
        after = follow(self.state, event, passive=self.passive)
        if after is None or not self._acceptable(seen):
            return False
        if seen.kind in _OUT:
            return True
        doubtful = self.doubts.at(seen.at_ns)
        told = arrived(self.scene, seen, self.state, after) if doubtful or self._must_be_shown(seen) else True
        if told is None and doubtful:
            self.ask(
                f"frame {seen.segment.number} of {self.host}'s capture ({seen.segment.text}) came while a rule was in force there, "
                f"and nothing that {self.host} did next tells whether TCP got it",
            )
            return False
        return told is True or (told is None and seen.kind is not Kind.SYN_IN)

    def _must_be_shown(self, seen: Happening) -> bool:
        """What follows is asked even where no rule was in force: a full backlog drops SYNs and last ACKs, and two FINs may cross."""
        return seen.kind in {Kind.ACK_OF_SYN_IN, Kind.FIN_IN} or (seen.kind is Kind.SYN_IN and self.state is State.LISTEN)

    def _acceptable(self, seen: Happening) -> bool:
        if seen.kind is Kind.RST_OUT:
            return self.state not in _NOT_ABORTED
        if seen.kind is Kind.ERROR_IN:
            unreachable = 3 if seen.segment.version == 4 else 1
            return self.state is State.SYN_SENT and not seen.segment.outgoing and seen.segment.icmp_type == unreachable
        if seen.kind is not Kind.RST_IN:
            return True
        if seen.exact is None:
            self.ask(f"whether the RST in frame {seen.segment.number} was acceptable is open: no SYN of its sender was captured")
        return seen.exact is True

    # What the calls say.

    def _begun(self, deed: Deed) -> None:
        at_ns, text = deed.record.start_ns, deed.record.text
        match deed.method:
            case "connect" | "connect_ex":
                if not self._never_left(deed):
                    self._move(Event.ACTIVE_OPEN, at_ns, text, "call")
            case "shutdown":
                if deed.record.status == "done" and self._finishes(deed):
                    self._move(Event.CLOSE, at_ns, text, "call")
            case "close":
                self._close(deed)
            case _:
                pass

    def _never_left(self, deed: Deed) -> bool:
        """Whether a connect failed before TCP was asked: there was no route or no port to send a SYN from."""
        record = deed.record
        at_once = record.end_ns - record.start_ns < _AT_ONCE_NS
        sent = any(self._near(Kind.SYN_OUT, record.start_ns, record.end_ns))
        return deed.error in _NEVER_BEGUN and at_once and not sent and not self.doubts.ruled(record.start_ns)

    def _finishes(self, deed: Deed) -> bool:
        """Whether a shutdown ends the sending side. On a listener SHUT_RD counts, in SYN_SENT any does (inet_shutdown of Linux)."""
        how = deed.arguments[0] if deed.arguments else _SHUT_WR
        if self.state is State.LISTEN:
            return how != _SHUT_WR
        return how != _SHUT_RD or self.state is State.SYN_SENT

    def _close(self, deed: Deed) -> None:
        record = deed.record
        if any(self._near(Kind.RST_OUT, record.start_ns, record.end_ns)) and self.state not in _NOT_ABORTED:
            return  # data was unread, or SO_LINGER was zero: the RST itself is the event
        lingering = any(other.method == "setsockopt" and other.arguments[:2] == _LINGER for other in self.scene.deeds)
        finished = any(seen.kind is Kind.FIN_OUT for seen in self.seen)
        if lingering and not finished and self.state in {State.ESTABLISHED, State.CLOSE_WAIT}:
            self.ask(f"{record.text} with SO_LINGER sent neither FIN nor RST that the capture shows")
        self._move(Event.CLOSE, record.start_ns, record.text, "call")

    def _ended(self, deed: Deed) -> None:
        record = deed.record
        if deed.error and deed.error not in _NOT_OVER:
            self._failed(deed)
        elif record.status == "done" and deed.method == "listen":
            self._move(Event.PASSIVE_OPEN, record.end_ns, record.text, "call")
        elif record.status == "done" and not deed.error and deed.method in {"connect", "connect_ex"}:
            self._opened(deed, Event.RCV_SYN_ACK, Kind.SYN_ACK_IN, Kind.SYN_IN)
        elif record.status == "done" and deed.method == "accept" and self.passive:
            self._opened(deed, Event.RCV_SYN, Kind.SYN_ACK_OUT)
            self._opened(deed, Event.RCV_ACK_OF_SYN, Kind.ACK_OF_SYN_IN)

    def _opened(self, deed: Deed, event: Event, *kinds: Kind) -> None:
        """A call that succeeded says that the connection is open, where the wire does not say so itself within moments."""
        at_ns = deed.record.end_ns
        if not any(any(self._near(kind, at_ns, at_ns)) for kind in kinds):
            self._move(event, at_ns, deed.record.text, "call")

    def _failed(self, deed: Deed) -> None:
        at_ns = deed.record.end_ns
        connecting = deed.method in {"connect", "connect_ex"}
        if connecting and self.state not in {State.SYN_SENT, State.SYN_RECEIVED}:
            return
        if connecting or (deed.error in _FATAL and self.state is not State.LISTEN):
            self._move(Event.ABORT, at_ns, f"{deed.record.text}: {deed.error}", "call")

    def _near(self, kind: Kind, start_ns: int, end_ns: int) -> Iterator[Happening]:
        least, most = start_ns - SETTLED_NS, end_ns + SETTLED_NS
        return (seen for seen in self.seen if seen.kind is kind and least <= seen.at_ns <= most)

    # What ss says.

    def _missed(self, at_ns: int) -> None:
        """``ss`` does not list it, and nobody saw it again: it is gone."""
        if self.state in {State.CLOSED, State.LISTEN} or self._active_after(at_ns - _AFTER_NS):
            return
        event = Event.TIMEOUT if self.state is State.TIME_WAIT else Event.ABORT
        self._move(event, at_ns, "ss does not list it any more", "ss")

    def _active_after(self, at_ns: int) -> bool:
        return (
            (bool(self.transitions) and self.transitions[-1].at_ns > at_ns)
            or any(segment.at_ns > at_ns for segment in self.scene.segments[-1:])
            or any(when > at_ns and state is not None for when, state in self.scene.samples)
        )

    def _contradicted(self) -> None:
        for at_ns, state in self.scene.samples:
            held = self._held(at_ns - _BEFORE_NS, at_ns + _AFTER_NS)
            shown = State.CLOSED if state is None else state
            # LISTEN is the listener's own line, and a connection request that the kernel forgot comes back with the next SYN.
            unlisted = {State.LISTEN, State.SYN_RECEIVED} if state is None else set()
            if held and shown not in held and not unlisted & held:
                self.ask(f"ss showed {shown} on {self.host} when the other witnesses make it {' or '.join(sorted(held))}")
                return

    def _held(self, since_ns: int, until_ns: int) -> set[State]:
        """The states that the end was in during this time; none before it began."""
        held: set[State] = set()
        for index, transition in enumerate(self.transitions):
            following = self.transitions[index + 1] if index + 1 < len(self.transitions) else None
            if transition.at_ns <= until_ns and (following is None or following.at_ns >= since_ns):
                held.add(transition.state)
        return held if self.transitions and self.transitions[0].at_ns <= since_ns else set()


def _bind(function: Callable[[_T], None], value: _T) -> Callable[[], None]:
    return lambda: function(value)


def _cause(seen: Happening) -> str:
    return f"{seen.kind}: {seen.segment.text}"
