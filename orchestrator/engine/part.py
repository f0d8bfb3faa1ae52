"""One host's part in a run: its actions prepared, fired, and at the end its capture sealed and its changes undone, all in the record.

Knows no step and no order; what it cannot do it raises or, at the end, says. The surprising fact: a report counts whenever it comes, also
after the run has stopped to wait for it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.engine.clocks import measure
from orchestrator.engine.recorder import Recorder, reading
from orchestrator.engine.timing import Clock
from orchestrator.errors import AgentError, AgentLost, OrchestratorError, Overdue, StoreError
from orchestrator.model.plan import HostPlan, Plan, PlannedAction
from orchestrator.model.record import ActionRecord, CaptureRecord, HostClock, HostRecord
from orchestrator.model.words.actions import Action, Ip, Iptables, Offload, Remove, Run, Snapshot, Start, Sysctl, typed
from orchestrator.model.words.expectations import Live, ToolExpectation
from orchestrator.readings import live

_GRACE_S = 2.0
_PREPARE_S = 10.0
_FINISH_S = 10.0
_CUT_S = protocol.CONFIRM_S + 15.0
"""A change that cuts the control connection is taken back when it was not confirmed, and TCP tries anew, ever more rarely, until then."""
_SPARE_NS = 30_000_000_000
"""What a host grants a run beyond its deadline, before it takes its controller for gone."""

_ALWAYS = ("ip", "ss", "iptables")


class Keeper(Protocol):
    """Who keeps the bytes of captures."""

    def write(self, host: str, data: bytes) -> None:
        """Append to the capture of ``host``."""

    def name(self, host: str) -> str:
        """The plain name of its file."""


class Part:
    """What one host does in a run, and what is known of it: ``record``, and its ``capture`` if it has one.

    ``stop`` is told what the run cannot go on with. ``clock`` is given where the host has another one, which is then measured against it;
    ``away_ns`` is the longest round trip that this took.
    """

    def __init__(  # noqa: PLR0913 - all that a part rests on
        self,
        wanted: HostPlan,
        session: Session,
        recorder: Recorder,
        keeper: Keeper,
        stop: Callable[[OrchestratorError], None],
        *,
        clock: Clock | None = None,
    ) -> None:
        self.away_ns = 0
        self.host = wanted.name
        self.record = HostRecord(name=wanted.name, left_out=tuple(map(str, session.hello.get("left_out", ()))))
        self.capture: CaptureRecord | None = None
        self._plan = recorder.plan
        self._wanted = wanted
        self._session = session
        self._recorder = recorder
        self._keeper = keeper
        self._stop = stop
        self._clock = clock
        self._frames_offset_ns: int | None = None
        self._environment: asyncio.Future[Any] | None = None
        session.on_tell = self._told

    # -- before the first step

    async def prepare(self) -> None:
        """Send the whole program of this host, and begin to capture.

        :raises AgentError: it cannot be prepared.
        """
        session = self._session
        if self._clock is not None:
            await self._set_by(self._clock)
        prepared = session.ask(protocol.PREPARE, **self._program())
        capturing = self._capture()
        self._environment = session.ask(protocol.ENVIRONMENT, tools=_tools(self._plan, self.host), interfaces=self._wanted.interfaces)
        await session.wait_for_answer(prepared, _PREPARE_S + (_CUT_S if self._clock is not None else 0), "prepare its actions")
        if capturing is not None:
            self._captures(await session.wait_for_answer(capturing, _PREPARE_S, "begin to capture"))

    async def _set_by(self, clock: Clock) -> None:
        """Learn what this host's clock is by the controller's; from now on all its times rest on it."""
        measured = await measure(self._session, clock, _PREPARE_S)
        self._recorder.offsets[self.host] = measured.reading.offset_ns
        self._know(clock=HostClock(before=measured.reading, unix_ns=measured.unix_ns))
        self.away_ns = measured.slowest_ns

    def _program(self) -> dict[str, Any]:
        steps = [step for step in self._plan.steps if step.skip is None]
        actions = [_prepared(action) for step in steps for action in step.actions if action.host == self.host]
        return {
            "run": self._recorder.run_id,
            "actions": actions,
            "deadline_ns": self._plan.timeout_ns + _SPARE_NS,
            "sysctl": self._wanted.sysctl,
            "if_present": self._wanted.if_present,
            "offload": self._wanted.offload,
            "interfaces": self._wanted.interfaces,
            "setup": [{"words": one.words} for one in self._wanted.setup],
            "folder": self._session.hello.get("folder"),
            "private": any(action["action"]["do"] in ("file", "start", "run") for action in actions),
            "backdrop": self._looks(actions),
            "neighbours": self._neighbours([action["action"]["do"] for action in actions]),
        }

    def _looks(self, actions: Sequence[Mapping[str, Any]]) -> list[str]:
        """The tools that this host is looked at with, where it has sockets that are not the lab's."""
        if self._plan.testbed.kind == "netns":
            return []
        snapshots = {tool for action in actions if action["action"]["do"] == "snapshot" for tool in action["action"]["tools"]}
        asked = {live.source_of(e) for step in self._plan.steps for e in step.expect if isinstance(e, Live) and e.host == self.host}
        return sorted(snapshots | asked)

    def _neighbours(self, acts: Sequence[str]) -> str:
        """The names that programs may call other hosts by; hosts of this machine have them from the beginning."""
        foreign = self._plan.testbed.kind != "netns" and any(act in ("start", "run") for act in acts)
        return self._plan.testbed.topology.neighbours(self._plan.family) if foreign else ""

    def _capture(self) -> asyncio.Future[Any] | None:
        if self._wanted.capture is None:
            return None
        self.capture = CaptureRecord(host=self.host, file=self._keeper.name(self.host), filter=self._wanted.capture)
        return self._session.ask(protocol.CAPTURE, interfaces=self._wanted.interfaces, filter=self._wanted.filter_program)

    def _captures(self, told: Mapping[str, Any]) -> None:
        """It captures from an instant on, on interfaces with these indexes."""
        with reading(self.host, "since when it captures"):
            self._know_capture(ready_ns=told["ready_ns"] + self._offset_ns)
            if self._clock is not None:
                monotonic, unix = told["clock"]
                self._frames_offset_ns = int(unix) - int(monotonic)
                self._know_capture(shift_ns=self._offset_ns - self._frames_offset_ns)
            self._know(interfaces={str(name): str(int(index)) for name, index in told["indexes"].items()})

    def _know(self, **facts: Any) -> None:
        self.record = msgspec.structs.replace(self.record, **facts)

    def _know_capture(self, **facts: Any) -> None:
        if self.capture is not None:
            self.capture = msgspec.structs.replace(self.capture, **facts)

    @property
    def _offset_ns(self) -> int:
        return self._recorder.offsets[self.host]

    # -- in a step

    async def fire(self, actions: Sequence[PlannedAction], instant_ns: int, clock: Clock) -> list[ActionRecord]:
        """Fire ``actions`` of this host, at an instant in Unix ns or (0) at once; gives what they came to.

        :raises AgentError: the host did not report, or not on all of them. What it reports later is recorded all the same.
        """
        begin_ns = max(clock.now_ns(), instant_ns)
        at = instant_ns - self._offset_ns if instant_ns else 0
        answer = self._session.ask(protocol.FIRE, actions=[action.id for action in actions], at=at)
        longest_ns = max(0 if action.background else action.timeout_ns for action in actions)
        patience_s = (begin_ns - clock.now_ns() + longest_ns) / 1e9 + _GRACE_S + self._cutting_s(actions)
        doing = "; ".join(typed(action.action) for action in actions)
        self._recorder.fired(actions, begin_ns)
        try:
            results = await self._session.wait_for_answer(answer, patience_s, doing)
        except (AgentLost, Overdue) as error:
            self._recorder.give_up(actions, str(error), clock.now_ns())
            answer.add_done_callback(self._late)
            raise
        except AgentError as error:
            self._recorder.give_up(actions, str(error), clock.now_ns())
            raise
        except asyncio.CancelledError:
            answer.add_done_callback(self._late)
            raise
        told = self._reported(results)
        if {record.id for record in told} != {action.id for action in actions}:
            raise AgentError(self.host, f"it did not report on all of: {doing}")
        return told

    def _cutting_s(self, actions: Sequence[PlannedAction]) -> float:
        """How much longer to wait where an action may cut the control connection: until it is taken back, and TCP has tried anew."""
        cutting = self._clock is not None and any(
            isinstance(action.action, Iptables | Remove | Ip | Sysctl | Offload) for action in actions
        )
        return _CUT_S if cutting else 0.0

    def _late(self, answer: asyncio.Future[Any]) -> None:
        """A report that nobody waits for any more."""
        with suppress(OrchestratorError, asyncio.CancelledError):  # the run has ended for another reason already
            self._reported(answer.result())

    def _reported(self, results: Any) -> list[ActionRecord]:
        with reading(self.host, "its report"):
            return [self._recorder.action(self.host, result) for result in results]

    def _told(self, frame: Mapping[str, Any]) -> None:
        try:
            if frame["tell"] == protocol.PACKETS:
                self._keeper.write(self.host, base64.b64decode(frame["data"], validate=True))
            elif frame["tell"] == protocol.ENDED:
                self._recorder.action(self.host, frame["result"])
        except (StoreError, AgentError) as error:
            self._stop(error)
        except (binascii.Error, KeyError, TypeError, ValueError) as error:
            self._stop(AgentError(self.host, f"it told what cannot be read: {error}"))

    # -- the end

    async def seal(self) -> None:
        """End the capture, and hold the host's clock against the controller's once more.

        A host that cannot any more has an incomplete one, and tells why when it is to finish.
        """
        with suppress(OrchestratorError):
            told = await self._session.wait_for_answer(self._session.ask(protocol.SEAL), self._last_patience_s, "end its capture")
            if told is not None:
                self._captured(told)
            if self._clock is not None and self.record.clock is not None and self.record.clock.after is None:
                measured = await measure(self._session, self._clock, self._last_patience_s)
                self._know(clock=msgspec.structs.replace(self.record.clock, after=measured.reading))

    def _captured(self, told: Mapping[str, Any]) -> None:
        """Its capture has ended, and every byte of it has come."""
        with reading(self.host, "what its capture came to"):
            monotonic, unix = told["clock"]
            begun = self._frames_offset_ns
            self._know_capture(
                frames=int(told["frames"]),
                dropped=int(told["dropped"]),
                end_ns=int(told["end_ns"]) + self._offset_ns,
                clock_moved_ns=int(unix) - int(monotonic) - (self._offset_ns if begun is None else begun),
                complete=True,
            )

    async def finish(self, clock: Clock) -> str:
        """Interrupt what blocks and undo every change; gives why that did not go well, if so."""
        session = self._session
        try:
            answer = await session.wait_for_answer(session.ask(protocol.FINISH), self._last_patience_s, "undo its changes")
            self._undone(answer)
            await self._keep_environment()
        except OrchestratorError as error:
            self._know(lost=str(error))
            self._recorder.lose(self.host, str(error), clock.now_ns())
            return str(error)
        return ""

    def _undone(self, told: Mapping[str, Any]) -> None:
        """It has put everything back, or says what it could not."""
        with reading(self.host, "what it undid"):
            self._know(undone=tuple(map(str, told["undone"])), not_undone=tuple(map(str, told["not_undone"])))

    @property
    def _last_patience_s(self) -> float:
        """A host that was overdue once, in a step or at the end, is not waited for so long again."""
        return _GRACE_S if self._session.overdue else _FINISH_S

    async def _keep_environment(self) -> None:
        if self._environment is None:
            return
        try:
            facts = await self._session.wait_for_answer(self._environment, self._last_patience_s, "describe its environment")
        except (AgentLost, Overdue):
            raise
        except AgentError as error:
            facts = {"unknown": str(error)}
        with reading(self.host, "its environment"):
            self._know(environment={str(key): str(value) for key, value in facts.items()})


def _prepared(action: PlannedAction) -> dict[str, Any]:
    """One action in the agent's form."""
    return {
        "id": action.id,
        "name": action.name,
        "background": action.background,
        "timeout_ns": action.timeout_ns,
        "action": msgspec.to_builtins(action.action, builtin_types=(bytes,)),
    }


def _tools(plan: Plan, host: str) -> list[str]:
    """The programs that belong in the fingerprint: what every lab rests on and what this one uses.

    One machine's hosts share them, so the first host asks, and only it.
    """
    if plan.testbed.kind == "netns" and host != plan.hosts[0].name:
        return []
    steps = [step for step in plan.steps if step.skip is None]
    used = {tool for step in steps for action in step.actions for tool in _used(action.action)}
    used |= {expectation.tool for step in steps for expectation in step.expect if isinstance(expectation, ToolExpectation)}
    used |= {"tcpdump" for wanted in plan.hosts if wanted.capture}
    return [*_ALWAYS, *sorted(used.difference(_ALWAYS))]


def _used(action: Action) -> tuple[str, ...]:
    match action:
        case Start(argv=argv) | Run(argv=argv):
            return argv[:1]
        case Snapshot(tools=tools):
            return tools
        case Iptables(tool=tool):
            return (tool,)
        case _:
            return ()
