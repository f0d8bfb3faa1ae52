"""What agents say, step by step -> a run record that can be taken at any moment, also of a run cut short.

All times are moved here from each host's monotonic clock to Unix time. Nothing that a host sends names a file or a key of ours: ids that
the plan does not know are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orchestrator.errors import AgentError
from orchestrator.model.plan import Plan, PlannedAction
from orchestrator.model.record import ActionRecord, CallRecord, CaptureRecord, HostRecord, RunRecord, Sample, SocketFacts, StepRecord

Frame = Mapping[str, Any]


_POLLS_KEPT = 64


class Recorder:
    """Collects one run."""

    def __init__(self, plan: Plan, run_id: str, start_ns: int) -> None:
        self.plan = plan
        self.run_id = run_id
        self.start_ns = start_ns
        self.offsets: dict[str, int] = {}
        self.samples: list[Sample | None] = []
        self._polls: dict[tuple[int, str, str, int], list[int]] = {}
        self.captures: dict[str, CaptureRecord] = {}
        self.hosts: dict[str, HostRecord] = {host.name: HostRecord(name=host.name) for host in plan.hosts}
        self._actions: dict[str, ActionRecord] = {}
        self._steps: dict[int, StepRecord] = {}
        self._planned: dict[str, tuple[int, PlannedAction]] = {
            action.id: (step.number, action) for step in plan.steps for action in step.actions
        }

    def action(self, host: str, result: Frame) -> ActionRecord:
        """Take over the result of an action; the last one of an id stays.

        :raises AgentError: the host speaks of an action that is not its own, or not in the form of a result.
        """
        step, planned = self._planned.get(str(result.get("id")), (0, None))
        if planned is None or planned.host != host:
            raise AgentError(host, f"it reports on an action that it was not given: {result.get('id')!r}")
        try:
            record = self._action(host, step, planned, result)
        except (msgspec.ValidationError, TypeError, KeyError) as error:
            raise AgentError(host, f"its report on action {planned.id} cannot be read: {error}") from None
        before = self._actions.get(planned.id)
        if before is not None and before.status != "running" and record.status == "running":
            return before  # its end was told before the answer to its fire
        self._actions[planned.id] = record
        for tool, text in result.get("snapshots", {}).items():
            self.keep(self.sample(step, host, tool, {"text": text, "at_ns": result["end_ns"], "sockets": result.get("sockets", ())}))
        return record

    def _action(self, host: str, step: int, planned: PlannedAction, result: Frame) -> ActionRecord:
        offset = self.offsets.get(host, 0)
        calls = tuple(self._call(call, offset) for call in result.get("calls", ()))
        kept = ("status", "value", "errno", "message", "stdout", "stderr", "clipped")
        fields = {key: result[key] for key in kept if key in result}
        return msgspec.convert(
            {
                **fields,
                "id": planned.id,
                "host": host,
                "step": step,
                "name": planned.name,
                "background": planned.background,
                "start_ns": result["start_ns"] + offset,
                "end_ns": result["end_ns"] + offset if "end_ns" in result else 0,
                "planned_ns": result["planned_ns"] + offset if result.get("planned_ns") else 0,
                "exceptions": tuple(result.get("exceptions", ())),
                "calls": calls,
            },
            ActionRecord,
        )

    @staticmethod
    def _call(call: Frame, offset: int) -> CallRecord:
        moved = {**call, "start_ns": call["start_ns"] + offset, "end_ns": call["end_ns"] + offset if "end_ns" in call else 0}
        return msgspec.convert(moved, CallRecord)

    def lose(self, host: str, reason: str, now_ns: int) -> None:
        """The host is gone: what it was doing has no end."""
        self.hosts[host] = msgspec.structs.replace(self.hosts[host], lost=reason)
        for key, record in self._actions.items():
            if record.host == host and record.status == "running":
                self._actions[key] = msgspec.structs.replace(record, status="lost", end_ns=now_ns, message=reason)

    def overdue(self, action: PlannedAction, status: str, message: str, now_ns: int) -> None:
        """No report came of an action that was fired."""
        if action.id not in self._actions:
            step = self._planned[action.id][0]
            self._actions[action.id] = ActionRecord(
                id=action.id, host=action.host, step=step, status=status, start_ns=now_ns, end_ns=now_ns, message=message, name=action.name
            )

    def sample(self, step: int, host: str, source: str, answer: Frame, expectation: int = -1) -> Sample:
        """What an observer said, as a record; :meth:`keep` keeps it.

        :raises AgentError: it is not in the form of an answer.
        """
        try:
            return self._sample(step, host, source, answer, expectation)
        except (msgspec.ValidationError, TypeError, KeyError, AttributeError) as error:
            raise AgentError(host, f"what {source} said cannot be read: {error}") from None

    def _sample(self, step: int, host: str, source: str, answer: Frame, expectation: int) -> Sample:
        return msgspec.convert(
            {
                "step": step,
                "host": host,
                "source": source,
                "expectation": expectation,
                "at_ns": answer["at_ns"] + self.offsets.get(host, 0),
                "text": answer["text"],
                "sockets": msgspec.convert(answer.get("sockets", ()), tuple[SocketFacts, ...]),
            },
            Sample,
        )

    def keep(self, sample: Sample) -> None:
        """Take over a sample. Of a poll that goes on for long the first ones and the last ones stay, so that memory has a bound."""
        key = (sample.step, sample.host, sample.source, sample.expectation)
        kept = self._polls.setdefault(key, [])
        if len(kept) >= _POLLS_KEPT:
            self.samples[kept.pop(_POLLS_KEPT // 2)] = None
        kept.append(len(self.samples))
        self.samples.append(sample)

    def step(self, record: StepRecord) -> None:
        """A step has ended, or will never begin."""
        self._steps[record.number] = record

    def captures_since(self, host: str, monotonic_ns: int, indexes: Mapping[str, int]) -> None:
        """A host captures from this instant on, on interfaces with these indexes."""
        ready_ns = monotonic_ns + self.offsets[host]
        self.captures[host] = msgspec.structs.replace(self.captures[host], ready_ns=ready_ns)
        named = {str(name): str(int(index)) for name, index in indexes.items()}
        self.hosts[host] = msgspec.structs.replace(self.hosts[host], interfaces=named)

    def environment(self, host: str, facts: Mapping[str, str]) -> None:
        """A host's fingerprint has come."""
        text = {str(key): str(value) for key, value in facts.items()}
        self.hosts[host] = msgspec.structs.replace(self.hosts[host], environment=text)

    def undone(self, host: str, answer: Frame) -> None:
        """A host has put everything back, or says what it could not."""
        undone, failed = tuple(map(str, answer.get("undone", ()))), tuple(map(str, answer.get("not_undone", ())))
        self.hosts[host] = msgspec.structs.replace(self.hosts[host], undone=undone, not_undone=failed)

    def began(self, action_name: str) -> int | None:
        """When the action or step called so began, in Unix ns."""
        for record in self._actions.values():
            if record.name == action_name:
                return record.start_ns
        numbers = [step.number for step in self.plan.steps if step.name == action_name]
        return self._steps[numbers[0]].start_ns if numbers and numbers[0] in self._steps else None

    def record(self, status: str, reason: str, end_ns: int) -> RunRecord:
        """The run as it is known now."""
        missing = [StepRecord(number=step.number, status="missing") for step in self.plan.steps if step.number not in self._steps]
        blocked = {key: _still(record, end_ns) for key, record in self._actions.items()}
        return RunRecord(
            run_id=self.run_id,
            label=self.plan.label,
            status=status,
            reason=reason,
            start_ns=self.start_ns,
            end_ns=end_ns,
            hosts=tuple(self.hosts.values()),
            captures=tuple(self.captures.values()),
            steps=tuple(sorted([*self._steps.values(), *missing], key=lambda step: step.number)),
            actions=tuple(blocked[key] for key in self._planned if key in blocked),
            samples=tuple(sample for sample in self.samples if sample is not None),
        )


def _still(record: ActionRecord, end_ns: int) -> ActionRecord:
    """An action without an end was still under way when the run ended."""
    return msgspec.structs.replace(record, status="blocked", end_ns=end_ns) if record.status == "running" else record
