"""Plan, record and captures become a history of states for every end of every connection.

Knows which socket of the scenario's is which connection of the wire. The surprising fact: a refused connect has no peer that the
kernel would name, so a connect is joined to its segments by the address it aimed at and by its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.analysis.histories.life import Life
from orchestrator.analysis.histories.proof import Scene
from orchestrator.analysis.histories.sockets import Deed, NamedSocket, named_sockets
from orchestrator.analysis.histories.witnesses import Doubts, Kernel
from orchestrator.analysis.wire.capture import Reading
from orchestrator.analysis.wire.flows import Flow, Track
from orchestrator.model.evidence import History, Segment, Transition
from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord
from orchestrator.model.tcp import ACK, SYN, State

_SLACK_NS = 50_000_000
"""How far the clock of the calls and that of the capture may be apart."""

_ANYWHERE = ("0.0.0.0:", "[::]:")


def histories(plan: Plan, record: RunRecord, readings: Mapping[str, Reading], troubles: Mapping[str, str]) -> tuple[History, ...]:
    """The history of every end, host by host. ``troubles`` says of a host's capture why it does not tell all."""
    sockets = named_sockets(plan, record)
    found: list[History] = []
    for host in plan.hosts:
        mine = [sock for sock in sockets if sock.host == host.name and sock.protocol == "tcp"]
        found += _Host(plan, record, host.name, readings.get(host.name), troubles.get(host.name, "")).histories(mine)
    return tuple(found)


class _Host:
    """One host and all that testifies of its sockets."""

    def __init__(self, plan: Plan, record: RunRecord, name: str, reading: Reading | None, trouble: str) -> None:
        self.name = name
        self.trouble = trouble
        self.segments: Sequence[Segment] = reading.segments if reading else ()
        self.kernel = Kernel(record, name)
        self.doubts = Doubts(plan, record, name)
        tracks = [track for track in (reading.tracks if reading else ()) if track.protocol == "tcp"]
        self.flows = {id(track): flow for track in tracks if (flow := _near_flow(track, name))}
        """What this host sends in each connection of its own."""
        self.tracks = [track for track in tracks if id(track) in self.flows]
        self.claimed: set[int] = set()

    def histories(self, sockets: Sequence[NamedSocket]) -> Iterator[History]:
        owned = [(sock, self._tracks_of(sock)) for sock in sockets]
        for sock, tracks in owned:
            yield self._named(sock, tracks, sockets)
        yield from self._listeners(sockets)
        for track in self.tracks:
            if id(track) not in self.claimed:
                yield from self._unnamed(track, sockets)

    def _tracks_of(self, sock: NamedSocket) -> list[Track]:
        """Find the connections on the wire that this socket was, and claim them for it."""
        found: list[Track] = []
        if sock.listener is not None:
            found = [
                track for track in self.tracks if self._is(track, sock.local, sock.peer) and track.first_ns <= sock.made.end_ns + _SLACK_NS
            ][-1:]
        for deed in sock.did("connect", "connect_ex"):
            found += [track for track in self.tracks if id(track) not in self.claimed and self._fits(track, deed)][:1]
            self.claimed.update(id(track) for track in found)
        self.claimed.update(id(track) for track in found)
        return found

    def _is(self, track: Track, local: str, peer: str) -> bool:
        return id(track) not in self.claimed and self._same(track, local, peer)

    def _fits(self, track: Track, deed: Deed) -> bool:
        """Whether ``track`` may be what a connect began: its target, its own end where that is known, and its time."""
        flow = self.flows[id(track)]
        own = deed.local if not deed.local.startswith(_ANYWHERE) and not deed.local.endswith(":0") else ""
        last_ns = self.segments[track.indexes[-1]].at_ns
        in_time = track.first_ns <= deed.record.end_ns + _SLACK_NS and last_ns >= deed.record.start_ns - _SLACK_NS
        return flow.back.end == deed.target and own in {"", flow.end} and in_time

    def _named(self, sock: NamedSocket, tracks: Sequence[Track], sockets: Sequence[NamedSocket]) -> History:
        flow = self.flows[id(tracks[-1])] if tracks else None
        local, peer = (flow.end, flow.back.end) if flow else (sock.local, sock.peer or _target(sock))
        deeds = list(sock.deeds)
        if sock.listener is not None:
            deeds.insert(0, Deed(method="accept", record=sock.made, local=sock.local))
        life = Life(self._scene(tracks, local, peer, deeds), self.doubts, self.name, passive=sock.listener is not None)
        if sock.listener is not None:
            life.begin(*self._passive_since(tracks, local, sockets, sock.made.start_ns))
        else:
            life.begin(sock.made.start_ns, sock.made.text, "call")
        life.live()
        self._doubt(life, sock, tracks)
        return self._history(life, local, peer, (sock.name,))

    def _doubt(self, life: Life, sock: NamedSocket, tracks: Sequence[Track]) -> None:
        """Ask where the wire should have testified and did not."""
        opened = sock.listener is not None or any(
            deed.record.status == "done" and not deed.error for deed in sock.did("connect", "connect_ex")
        )
        began = opened or any(sock.did("connect", "connect_ex"))
        if began and self.trouble:
            life.ask(self.trouble)
        elif opened and not tracks:
            life.ask(f"{self.name}'s capture shows no segment of {sock.name}")

    def _unnamed(self, track: Track, sockets: Sequence[NamedSocket]) -> Iterator[History]:
        """Infer a connection that no name of the scenario's is for: a program's, or one that nobody has accepted."""
        flow = self.flows[id(track)]
        own = [self.segments[index] for index in track.indexes]
        opened = [one for one in own if one.flags & SYN]
        if not opened:
            text = f"the connection began before {self.name}'s capture did"
            yield History(host=self.name, local=flow.end, peer=flow.back.end, question=self.trouble or text)
            return
        active = any(one.outgoing and not one.flags & ACK for one in opened)
        life = Life(self._scene([track], flow.end, flow.back.end, ()), self.doubts, self.name, passive=not active)
        if active:
            life.begin(opened[0].at_ns, "a program's socket", "wire")
        else:
            life.begin(*self._passive_since([track], flow.end, sockets, opened[0].at_ns))
        life.live()
        if self.trouble:
            life.ask(self.trouble)
        if len(life.transitions) > 1 or life.question:
            yield self._history(life, flow.end, flow.back.end, ())

    def _scene(self, tracks: Sequence[Track], local: str, peer: str, deeds: Sequence[Deed]) -> Scene:
        segments = [self.segments[index] for track in tracks for index in track.indexes]
        address, _, port = local.rpartition(":")
        since = tracks[0].first_ns if tracks else 0
        again = [
            track.first_ns for track in self.tracks if track not in tracks and track.first_ns > since and self._same(track, local, peer)
        ]
        until = min(again, default=None)
        samples = [(at_ns, state) for at_ns, state in self.kernel.of(local, peer) if until is None or at_ns < until] if local else []
        return Scene(local=(address.strip("[]"), int(port or 0)), segments=segments, deeds=deeds, samples=samples)

    def _same(self, track: Track, local: str, peer: str) -> bool:
        flow = self.flows[id(track)]
        return (flow.end, flow.back.end) == (local, peer)

    def _passive_since(self, tracks: Sequence[Track], local: str, sockets: Iterable[NamedSocket], at_ns: int) -> tuple[int, str, str]:
        """Since when LISTEN is known that a passive connection began in, and by what."""
        first_ns = min((track.first_ns for track in tracks), default=at_ns)
        port = local.rpartition(":")[2]
        listens = [deed.record for sock in sockets if sock.local.rpartition(":")[2] == port for deed in sock.did("listen")]
        before = [record for record in listens if record.status == "done" and record.end_ns <= first_ns + _SLACK_NS]
        if before:
            last = max(before, key=lambda record: record.end_ns)
            return last.end_ns, last.text, "call"
        return first_ns, "a SYN was answered", "wire"

    def _listeners(self, sockets: Sequence[NamedSocket]) -> Iterator[History]:
        """Tell of programs' listening sockets, from the first time that ``ss`` lists each to the first time that it does not."""
        named = {sock.local for sock in sockets if any(sock.did("listen"))}
        for local in sorted(self.kernel.listeners() - named):
            transitions: list[Transition] = []
            for at_ns, state in self.kernel.of(local, ""):
                shown = State.CLOSED if state is None else state
                if (transitions and transitions[-1].state is not shown) or (not transitions and shown is State.LISTEN):
                    transitions.append(
                        Transition(at_ns=at_ns, state=shown, cause="ss lists it" if state else "ss does not list it any more", source="ss")
                    )
            yield History(host=self.name, local=local, peer="", transitions=tuple(transitions))

    def _history(self, life: Life, local: str, peer: str, names: tuple[str, ...]) -> History:
        return History(
            host=self.name,
            local=local,
            peer=peer,
            sockets=names,
            transitions=tuple(life.transitions),
            question=life.question,
        )


def _near_flow(track: Track, host: str) -> Flow | None:
    """The direction that ``host`` sends, ``None`` where neither end is its own."""
    if track.client.source_host == host:
        return track.client
    return track.client.back if track.client.destination_host == host else None


def _target(sock: NamedSocket) -> str:
    return next((deed.target for deed in sock.did("connect", "connect_ex")), "")
