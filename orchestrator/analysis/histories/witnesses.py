"""What stands beside the wire when a history is inferred: ``ss`` samples by four-tuple, and when a rule may have swallowed what came in.

Knows plan and record, no state machine. The surprising fact: a sample that lacks a connection is testimony too, because ``ss -a`` lists
every state but CLOSED.
"""

from __future__ import annotations

from orchestrator.analysis.histories.sockets import plain_end
from orchestrator.errors import EvidenceError
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.tcp import State
from orchestrator.model.words.actions import Ip, Iptables, Remove, Run, Start
from orchestrator.readings.ss import sockets

_OUTWARD = frozenset({"OUTPUT", "POSTROUTING", "FORWARD"})
_TOOLS = ("iptables", "ip6tables", "nft")


class Kernel:
    """All that ``ss`` said on one host: the state of each (local, peer) at each time it was asked."""

    def __init__(self, record: RunRecord, host: str) -> None:
        parsed: dict[str, dict[tuple[str, str], State] | None] = {}
        self.samples: list[tuple[int, dict[tuple[str, str], State]]] = []
        for sample in record.samples:
            if sample.host != host or sample.source != "ss":
                continue
            if sample.text not in parsed:
                parsed[sample.text] = _states(sample.text)
            states = parsed[sample.text]
            if states is not None:
                self.samples.append((sample.at_ns, states))
        self.samples.sort(key=lambda sample: sample[0])

    def of(self, local: str, peer: str) -> list[tuple[int, State | None]]:
        """Each time ``ss`` was asked and the state it gave this socket, ``None`` where it did not list it."""
        return [(at_ns, states.get((local, peer))) for at_ns, states in self.samples]

    def listeners(self) -> set[str]:
        """Every local end that was ever in LISTEN."""
        return {local for _at_ns, states in self.samples for (local, _peer), state in states.items() if state is State.LISTEN}


def _states(text: str) -> dict[tuple[str, str], State] | None:
    try:
        readings = sockets(text)
    except EvidenceError:
        return None  # a sample that cannot be read whole must not say that a socket is gone
    return {(plain_end(one.local), plain_end(one.peer)): one.state for one in readings if one.protocol == "tcp"}


class Doubts:
    """When a segment that a host's capture shows coming in may still have been dropped before TCP got it."""

    def __init__(self, plan: Plan, record: RunRecord, host: str) -> None:
        times = {action.id: (action.start_ns, action.end_ns) for action in record.actions}
        removed: list[tuple[int, str]] = []
        begun: list[tuple[int, str, bool]] = []
        for action in (action for step in plan.steps for action in step.actions if action.host == host and action.id in times):
            start_ns, end_ns = times[action.id]
            match action.action:
                case Iptables(words=words, name=name):
                    begun.append((start_ns, name, not _OUTWARD & set(words)))
                case Remove(name=name):
                    removed.append((end_ns, name))
                case Ip():
                    begun.append((start_ns, "", True))  # without a way back a SYN is not answered, and is dropped
                case Run(argv=argv) | Start(argv=argv) if any(word.rpartition("/")[2] in _TOOLS for word in " ".join(argv).split()):
                    begun.append((start_ns, "", True))
                case _:
                    pass
        self._spans = [(begin, _first(removed, name, begin), inward) for begin, name, inward in begun]

    def at(self, at_ns: int) -> bool:
        """Whether a rule on the way in was in force."""
        return any(inward and start <= at_ns and (end is None or at_ns <= end) for start, end, inward in self._spans)

    def ruled(self, at_ns: int) -> bool:
        """Whether any rule was in force, whichever way."""
        return any(start <= at_ns and (end is None or at_ns <= end) for start, end, _inward in self._spans)


def _first(removed: list[tuple[int, str]], name: str, since_ns: int) -> int | None:
    """When the rule of this name that was made at ``since_ns`` was removed: later ones may have its name."""
    return min((at_ns for at_ns, other in removed if other == name and at_ns >= since_ns), default=None)
