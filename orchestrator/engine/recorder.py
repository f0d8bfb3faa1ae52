"""What agents say of actions and samples, step by step -> a run record that can be taken at any moment, also of a run cut short.

All times are moved here from each host's monotonic clock to Unix time. Nothing that a host sends names a file or a key of ours: ids that
the plan does not know are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from orchestrator.errors import AgentError
from orchestrator.model.plan import Plan, PlannedAction
from orchestrator.model.record import ActionRecord, CallRecord, CaptureRecord, HostRecord, RunRecord, Sample, SocketFacts, StepRecord
from orchestrator.model.words.actions import Run

Frame = Mapping[str, Any]


_POLLS_KEPT = 64


@contextmanager
def reading(host: str, what: str) -> Iterator[None]:
    """Within it, ``what`` a host said is read.

    :raises AgentError: it is not in the form that it should have.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # msgspec's are ValueErrors
        raise AgentError(host, f"{what} cannot be read: {type(error).__name__}: {error}") from None


class Recorder:
    """Collects what is done in one run. ``offsets`` are what to add to each host's clock for Unix time."""

    def __init__(self, plan: Plan, run_id: str, start_ns: int) -> None:
        self.plan = plan
        self.run_id = run_id
        self.start_ns = start_ns
        self.offsets: dict[str, int] = {}
        self._samples: list[Sample | None] = []
        self._polls: dict[tuple[int, str, str, int], list[int]] = {}
        self._actions: dict[str, ActionRecord] = {}
        self._steps: dict[int, StepRecord] = {}
        self._planned: dict[str, tuple[int, PlannedAction]] = {
            action.id: (step.number, action) for step in plan.steps for action in step.actions
        }

    def fired(self, actions: Sequence[PlannedAction], start_ns: int) -> None:
        """A host is told to begin ``actions``; until it reports, that is all that is known of them."""
        for action in actions:
            self._actions[action.id] = ActionRecord(
                id=action.id,
                host=action.host,
                step=self._planned[action.id][0],
                status="running",
                start_ns=start_ns,
                end_ns=0,
                background=action.background,
                name=action.name,
            )

    def action(self, host: str, result: Frame) -> ActionRecord:
        """Take over the result of an action; the last one of an id stays, but what was given up stays given up.

        :raises AgentError: the host speaks of an action that is not its own, or not in the form of a result.
        """
        key = result.get("id") if isinstance(result, dict) else result
        step, planned = self._planned.get(str(key), (0, None))
        if planned is None or planned.host != host:
            raise AgentError(host, f"it reports on an action that it was not given: {key!r}")
        with reading(host, f"its report on action {planned.id}"):
            record = self._action(host, step, planned, result)
            snapshots = dict(result.get("snapshots", {}))
        before = self._actions.get(planned.id)
        if before is not None and before.status != "running" and record.status == "running":
            return before  # its end was told before the answer to its fire
        if before is not None and before.status == "lost":
            told = f"{before.message}; later it reported: {record.status} {record.message}".rstrip()
            record = msgspec.structs.replace(record, status="lost", message=told)
        self._actions[planned.id] = record
        for tool, text in snapshots.items():
            self.keep(self.sample(step, host, tool, {"text": text, "at_ns": result["end_ns"], "sockets": result.get("sockets", ())}))
        return record

    def _action(self, host: str, step: int, planned: PlannedAction, result: Frame) -> ActionRecord:
        offset = self.offsets.get(host, 0)
        calls = tuple(self._call(call, offset) for call in result.get("calls", ()))
        kept = ("status", "value", "errno", "message", "stdout", "stderr", "clipped")
        fields = {key: result[key] for key in kept if key in result}
        if isinstance(planned.action, Run) and not isinstance(result.get("value"), int | None):
            raise TypeError("an exit status is a number")
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
        running = [key for key, record in self._actions.items() if record.host == host and record.status == "running"]
        self.give_up([self._planned[key][1] for key in running], reason, now_ns)

    def give_up(self, actions: Sequence[PlannedAction], reason: str, now_ns: int) -> None:
        """No report came of these, and nobody waits for it any more."""
        for action in actions:
            record = self._actions[action.id]
            if record.status == "running":
                self._actions[action.id] = msgspec.structs.replace(record, status="lost", end_ns=now_ns, message=reason)

    def sample(self, step: int, host: str, source: str, answer: Frame, expectation: int = -1) -> Sample:
        """What an observer said, as a record; :meth:`keep` keeps it.

        :raises AgentError: it is not in the form of an answer.
        """
        with reading(host, f"what {source} said"):
            return self._sample(step, host, source, answer, expectation)

    def _sample(self, step: int, host: str, source: str, answer: Frame, expectation: int) -> Sample:
        return msgspec.convert(
            {
                "step": step,
                "host": host,
                "source": source,
                "expectation": expectation,
                "at_ns": answer["at_ns"] + self.offsets.get(host, 0),
                "text": answer["text"],
                "clipped": answer.get("clipped", False),
                "sockets": msgspec.convert(answer.get("sockets", ()), tuple[SocketFacts, ...]),
            },
            Sample,
        )

    def keep(self, sample: Sample) -> None:
        """Take over a sample. Of a poll that goes on for long the first ones and the last ones stay, so that memory has a bound."""
        key = (sample.step, sample.host, sample.source, sample.expectation)
        kept = self._polls.setdefault(key, [])
        if len(kept) >= _POLLS_KEPT:
            self._samples[kept.pop(_POLLS_KEPT // 2)] = None
        kept.append(len(self._samples))
        self._samples.append(sample)

    def step(self, record: StepRecord) -> None:
        """A step has ended, or will never begin."""
        self._steps[record.number] = record

    def began(self, action_name: str) -> int | None:
        """When the action or step called so began, in Unix ns."""
        for record in self._actions.values():
            if record.name == action_name:
                return record.start_ns
        numbers = [step.number for step in self.plan.steps if step.name == action_name]
        return self._steps[numbers[0]].start_ns if numbers and numbers[0] in self._steps else None

    def record(
        self, status: str, reason: str, end_ns: int, hosts: Sequence[HostRecord] = (), captures: Sequence[CaptureRecord] = ()
    ) -> RunRecord:
        """The run as it is known now; ``hosts`` and ``captures`` are known to others."""
        missing = [StepRecord(number=step.number, status="missing") for step in self.plan.steps if step.number not in self._steps]
        blocked = {key: _still(record, end_ns) for key, record in self._actions.items()}
        return RunRecord(
            run_id=self.run_id,
            label=self.plan.label,
            status=status,
            reason=reason,
            start_ns=self.start_ns,
            end_ns=end_ns,
            hosts=tuple(hosts),
            captures=tuple(captures),
            steps=tuple(sorted([*self._steps.values(), *missing], key=lambda step: step.number)),
            actions=tuple(blocked[key] for key in self._planned if key in blocked),
            samples=tuple(sample for sample in self._samples if sample is not None),
        )


def _still(record: ActionRecord, end_ns: int) -> ActionRecord:
    """An action without an end was still under way when the run ended."""
    return msgspec.structs.replace(record, status="blocked", end_ns=end_ns) if record.status == "running" else record
