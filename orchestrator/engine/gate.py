"""Whether the next step may begin: what actions gave, and whether live expectations hold yet.

Every sample taken is recorded with what was made of it, so that the checks can judge it again. A poll asks each host once for each tool,
however many expectations wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.engine.recorder import Recorder
from orchestrator.engine.watching import Watcher
from orchestrator.model.plan import Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord
from orchestrator.model.words.actions import typed
from orchestrator.model.words.expectations import Live, OutputExpectation, ToolExpectation
from orchestrator.readings import live, outcome

_FIRST_PAUSE_S = 0.001
_LAST_PAUSE_S = 0.05
_OBSERVER_S = 11.0
"""A second more than a host gives its observers."""

Waiting = dict[int, Live]


class Gate:
    """What one run asks its hosts before it goes on."""

    def __init__(self, plan: Plan, sessions: Mapping[str, Session], recorder: Recorder, watcher: Watcher) -> None:
        self._plan = plan
        self._sessions = sessions
        self._recorder = recorder
        self._watcher = watcher
        self._baselines: dict[str, str] = {}
        self._awaited = outcome.awaited(plan)

    def unmet(self, actions: Sequence[PlannedAction], records: Sequence[ActionRecord]) -> str:
        """Why what the actions gave is not what was expected; empty where it is."""
        by_id = {record.id: record for record in records}
        for action in actions:
            record = by_id.get(action.id)
            if record is not None and record.status != "running":
                reason = outcome.unmet(action, record, self._awaited.get(action.id, action))
                if reason:
                    return f"{action.host}: {typed(action.action)}: {reason}"
        return ""

    async def take_baselines(self) -> None:
        """The counters of ``nstat`` before the first step, on each host where an expectation speaks of them."""
        hosts = {e.host for step in self._plan.steps for e in step.expect if isinstance(e, ToolExpectation) and e.tool == "nstat"}
        for host in sorted(hosts):
            sample = self._recorder.sample(0, host, "nstat", await self._observed(host, "nstat"))
            self._recorder.keep(sample)
            self._baselines[host] = sample.text

    async def wait_for_expectations(self, step: PlannedStep) -> str:
        """Poll until every live expectation of the step holds; gives what did not hold within its patience, empty if all did."""
        waiting: Waiting = {index: e for index, e in enumerate(step.expect) if isinstance(e, Live) and e.skip is None}
        begin, pause = time.monotonic_ns(), _FIRST_PAUSE_S
        while waiting:
            asked_ns = time.monotonic_ns()
            answers = await self._ask(waiting)
            for index, expectation in list(waiting.items()):
                saw = self._judge(step, index, expectation, answers[self._question(expectation)])
                if saw is None:
                    del waiting[index]
                elif asked_ns - begin >= expectation.within_ns:
                    return f"{expectation.text}: {saw}"
            if waiting:
                self._watcher.step_waits(step, next(iter(waiting.values())).text)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE_S)
        return ""

    def _judge(self, step: PlannedStep, index: int, expectation: Live, answer: Any) -> str | None:
        """Record one sample; gives what was seen instead, ``None`` where the expectation holds."""
        sample = self._recorder.sample(step.number, expectation.host, live.source_of(expectation), answer, index)
        held = live.held(self._plan, expectation, sample, self._baselines.get(expectation.host, ""))
        self._recorder.keep(msgspec.structs.replace(sample, holds=held.holds, saw=held.saw))
        return None if held.holds else held.saw

    async def _ask(self, waiting: Waiting) -> dict[tuple[str, str, str], Any]:
        """Ask each host once for each tool, however many expectations wait for it."""
        questions = list(dict.fromkeys(self._question(expectation) for expectation in waiting.values()))
        answers = await asyncio.gather(*(self._observed(*question) for question in questions))
        return dict(zip(questions, answers, strict=True))

    async def _observed(self, host: str, tool: str, program: str = "") -> Any:
        session = self._sessions[host]
        answer = session.ask(protocol.OBSERVE, tool=tool, program=program)
        return await session.wait_for_answer(answer, _OBSERVER_S, f"ask {tool} what it sees")

    def _question(self, expectation: Live) -> tuple[str, str, str]:
        """Whom to ask, with which tool, about which program."""
        tool = live.source_of(expectation)
        if tool == "iptables" and self._plan.family == "ipv6":
            tool = "ip6tables"
        return expectation.host, tool, expectation.program if isinstance(expectation, OutputExpectation) else ""
