"""A small plan, and a session whose other side is the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.scenario import Timing
from orchestrator.model.topology import Host, Testbed, Topology
from orchestrator.model.words.actions import Run
from orchestrator.model.words.values import Where

HERE = Where(path="x.yaml", line=1)
SECOND = 1_000_000_000


def an_action(number: int, *, background: bool = False) -> PlannedAction:
    return PlannedAction(
        id=f"{number}.1",
        host="romeo",
        action=Run(argv=("true",)),
        where=HERE,
        timeout_ns=SECOND,
        background=background,
        name=f"run-{number}",
    )


def a_step(number: int, timing: Timing | None = None, **more: Any) -> PlannedStep:
    return PlannedStep(number=number, name=f"step-{number}", where=HERE, timing=timing, **more)


def a_plan(*steps: PlannedStep, timeout_ns: int = 10 * SECOND) -> Plan:
    return Plan(
        scenario="x",
        label="x",
        title="x",
        family="ipv4",
        testbed=Testbed(kind="netns", topology=Topology(name="t", hosts=(Host(name="romeo"),), networks=()), hosts=()),
        hosts=(HostPlan(name="romeo", capture=""),),
        steps=steps or (a_step(1, actions=(an_action(1),)),),
        timeout_ns=timeout_ns,
    )


class Agent:
    """The other side of a session. ``answers`` gives, for each word that is asked, what is answered; one that it lacks waits."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.left_out: list[str] = []
        self.numbers: dict[str, int] = {}
        self.answers: dict[str, Any] = {
            protocol.PREPARE: None,
            protocol.ENVIRONMENT: {"kernel": "6.1"},
            protocol.CAPTURE: {"ready_ns": 1, "indexes": {"eth1": 2}},
            protocol.SEAL: {"frames": 0, "dropped": 0, "end_ns": 5, "clock": [0, 0]},
            protocol.FINISH: {"undone": [], "not_undone": []},
        }

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self.come, self.end = on_line, on_end

    def send(self, data: bytes) -> None:
        frame = json.loads(data)
        self.asked.append(frame)
        self.numbers[frame["ask"]] = frame["id"]
        if frame["ask"] in self.answers:
            self.answer(frame["ask"], self.answers[frame["ask"]])

    def answer(self, word: str, value: Any) -> None:
        self.come(json.dumps({"id": self.numbers[word], "ok": value}).encode())

    def tell(self, word: str, **fields: Any) -> None:
        self.come(json.dumps({"tell": word, **fields}).encode())

    def close(self) -> None:
        """Nothing is to be closed."""

    def session(self) -> Session:
        made = Session("romeo", self)
        made.hello = {"clock": [0, 0], "folder": None, "left_out": self.left_out}
        return made


class Kept:
    """A keeper of captures."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, host: str, data: bytes) -> None:
        self.data += data

    def name(self, host: str) -> str:
        return f"{host}.pcap"


class Unwatched:
    """A watcher that does nothing."""

    def step_begins(self, step: PlannedStep) -> None: ...

    def step_waits(self, step: PlannedStep, text: str, begins_in_s: float = 0) -> None: ...

    def step_ends(self, step: PlannedStep, record: object) -> None: ...


@pytest.fixture
def agent() -> Agent:
    return Agent()
