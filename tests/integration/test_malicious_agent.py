"""An agent that lies in every field: it writes nowhere but into its own capture, ends no controller, and is never the reason for a pass."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import store
from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.engine.lockstep import Lockstep
from orchestrator.errors import AgentError
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.record import RunRecord
from orchestrator.model.topology import Facts, Host, LiveHost, Testbed, Topology
from orchestrator.model.verdict import Report, Value
from orchestrator.model.words.actions import Run
from orchestrator.model.words.values import Where
from orchestrator.pipeline.concluding import conclude
from tests.unit.engine.conftest import Unwatched

HERE = Where(path="x.yaml", line=1)
SECOND = 1_000_000_000
HOSTS = ("romeo", "juliet")
GOOD: dict[str, Any] = {
    protocol.PREPARE: None,
    protocol.ENVIRONMENT: {"kernel": "6.1"},
    protocol.CAPTURE: {"ready_ns": 1, "clock": [0, 0], "indexes": {"eth1": 2}},
    protocol.SEAL: {"frames": 0, "dropped": 0, "end_ns": 5, "clock": [0, 0]},
    protocol.FINISH: {"undone": [], "not_undone": []},
    protocol.BEAT: [1, 1],
}
DONE = {"status": "done", "start_ns": 5, "end_ns": 9, "value": 0, "stdout": ""}
EVIL = [
    json.loads("[" * 600 + "]" * 600), [{"id": "2.1", **DONE, "value": json.loads("[" * 600 + "]" * 600)}],
    "../../x", "/etc/passwd", "x" * 100_000, "\0", "\x1b[2J", "", None, True, -1, 2**70, 1e308, [], {}, [[]], {"../../x": "../../y"},
    ["../../x", None], {"tuple": [{"socket": "../../x"}]}, {"bytes": "!!!"}, {"id": "1.1", **DONE}, [{"id": "1.1", **DONE}],
    [{"id": "2.1", "status": {}, "start_ns": "x"}], [{"id": "2.1", **DONE, "snapshots": {"../../x": "y"}, "calls": [{"start_ns": 1}]}],
]  # fmt: skip


def plan() -> Plan:
    """Romeo's part is honest; juliet's is to end in 0, and its capture is kept."""
    steps = []
    for number, host in enumerate(HOSTS, start=1):
        action = PlannedAction(
            id=f"{number}.1", host=host, action=Run(argv=("true",)), where=HERE, timeout_ns=SECOND // 50, name=f"run-{number}"
        )
        steps.append(PlannedStep(number=number, name=host, where=HERE, actions=(action,)))
    live = tuple(LiveHost(name=name, facts=Facts(kernel="6.1", python="3.11")) for name in HOSTS)
    topology = Topology(name="t", hosts=tuple(Host(name=name) for name in HOSTS), networks=())
    return Plan(
        scenario="x", label="x", title="x", family="ipv4", steps=tuple(steps), timeout_ns=SECOND,
        testbed=Testbed(kind="ssh", topology=topology, hosts=live),
        hosts=tuple(HostPlan(name=name, capture="", interfaces=("eth1",)) for name in HOSTS),
    )  # fmt: skip


class Peer:
    """A host's end of the conversation; ``evil(frame)`` gives the lines that it sends instead of the answer, ``None`` for the answer."""

    def __init__(self, host: str, evil: Callable[[dict[str, Any]], list[bytes] | None]) -> None:
        self._evil = evil
        self._host = host
        self.closed = False

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self.come, self._end = on_line, on_end

    def send(self, data: bytes) -> None:
        frame = json.loads(data)
        lines = self._evil(frame)
        if lines is None:
            answer = [{"id": frame["actions"][0], **DONE}] if frame["ask"] == protocol.FIRE else GOOD.get(frame["ask"])
            lines = [json.dumps({"id": frame["id"], "ok": answer}).encode()]
        for line in lines:
            if not self.closed:
                self.come(line)

    def end(self) -> None:
        self._end("")

    def close(self) -> None:
        self.closed = True

    def session(self) -> Session:
        made = Session(self._host, self)
        self.come(json.dumps({"tell": protocol.HELLO, "version": protocol.VERSION, "clock": [1, 1]}).encode())
        return made


def honest(_frame: dict[str, Any]) -> None:
    """Answer."""


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def run(tmp_path: Path, evil: Callable[[dict[str, Any]], list[bytes] | None]) -> Report:
    """A whole run with such a juliet, to its report; nothing else than the files of a run are there afterwards."""
    directory = store.RunDirectory.create(tmp_path / "runs", "x", "ab12", 1)
    before = everything(tmp_path)

    async def whole() -> RunRecord:
        captures = store.CaptureFiles(directory.path, "x", HOSTS)
        sessions = {"romeo": Peer("romeo", honest).session(), "juliet": Peer("juliet", evil).session()}
        try:
            async with asyncio.timeout(20):
                engine = Lockstep(plan(), "ab12", sessions, captures, Unwatched())
                return await engine.finish(await engine.run())
        finally:
            captures.close()
            for session in sessions.values():
                session.close()

    record = asyncio.run(whole())
    directory.write(store.RECORD, record)
    report = conclude(plan(), record, directory)
    names = {path.relative_to(tmp_path).as_posix() for path in everything(tmp_path) - before}
    folder = directory.path.relative_to(tmp_path).as_posix()
    allowed = {"record.json", "evidence.json", "verdicts.json", "report.json", "romeo-tcp-x.pcap", "juliet-tcp-x.pcap"}
    assert names <= {f"{folder}/{name}" for name in allowed}
    return report


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for who does not answer."""
    for name in ("_GRACE_S", "_PREPARE_S", "_FINISH_S"):
        monkeypatch.setattr(f"orchestrator.engine.part.{name}", 0.05)
    monkeypatch.setattr("orchestrator.engine.part._CUT_S", 0.05)


def complete(tmp_path: Path) -> set[str]:
    """The hosts whose captures a check may rely on."""
    record = json.loads((tmp_path / "runs" / "x" / "latest" / "record.json").read_text())
    return {capture["host"] for capture in record["captures"] if capture.get("complete")}


def test_an_honest_one_passes(tmp_path: Path) -> None:
    assert run(tmp_path, honest).value is Value.PASSED
    assert complete(tmp_path) == set(HOSTS)


@pytest.mark.parametrize("evil", EVIL, ids=lambda value: repr(value)[:30])
def test_an_evil_report_is_no_pass(tmp_path: Path, evil: Any) -> None:
    def answer(frame: dict[str, Any]) -> list[bytes] | None:
        return [json.dumps({"id": frame["id"], "ok": evil}).encode()] if frame["ask"] == protocol.FIRE else None

    assert run(tmp_path, answer).value in (Value.ERROR, Value.FAILED)


ASIDE = (protocol.PREPARE, protocol.ENVIRONMENT, protocol.SEAL)
"""Nothing that the plan expects rests on these answers: it asks for no segment."""


@pytest.mark.parametrize("word", [protocol.PREPARE, protocol.CAPTURE, protocol.ENVIRONMENT, protocol.SEAL, protocol.FINISH, protocol.BEAT])
@pytest.mark.parametrize("evil", EVIL, ids=lambda value: repr(value)[:30])
def test_an_evil_answer_ends_nothing_but_the_run(tmp_path: Path, word: str, evil: Any) -> None:
    def answer(frame: dict[str, Any]) -> list[bytes] | None:
        return [json.dumps({"id": frame["id"], "ok": evil}).encode()] if frame["ask"] == word else None

    report = run(tmp_path, answer)
    assert report.value is Value.ERROR or word in ASIDE
    assert complete(tmp_path) <= ({"romeo"} if word == protocol.SEAL else set(HOSTS))


PACKETS = base64.b64encode(b"\xd4\xc3\xb2\xa1 no capture").decode()
TELLS = [
    {"tell": "packets", "data": PACKETS, "host": "romeo", "name": "../../x", "file": "/tmp/x"},
    *({"tell": "packets", "data": evil} for evil in EVIL),
    {"tell": "packets"},
    *({"tell": "ended", "result": evil} for evil in EVIL),
    {"tell": "ended"},
    {"tell": "hello", "version": 99, "clock": None, "folder": "../../x"},
    {"tell": "goodbye", "reason": ["../../x"]},
    {"tell": "failed", "errno": "../../x", "text": {}},
    {"tell": ["../../x"]},
    *({"tell": "unconfirmed", "number": evil, "what": evil} for evil in EVIL),
    {"id": 999, "ok": "an answer that nobody asked for"},
    {"id": -1, "error": [], "kind": {}},
    {"id": True, "ok": 1},
]


@pytest.mark.parametrize("tell", TELLS, ids=lambda value: json.dumps(value)[:50])
def test_an_evil_tell_ends_nothing_but_the_run(tmp_path: Path, tell: dict[str, Any]) -> None:
    def answer(frame: dict[str, Any]) -> list[bytes] | None:
        good = {"id": frame["id"], "ok": GOOD.get(frame["ask"])}
        return [json.dumps(tell).encode(), json.dumps(good).encode()] if frame["ask"] in (protocol.CAPTURE, protocol.FIRE) else None

    assert run(tmp_path, answer).value in (Value.ERROR, Value.FAILED)  # its report of the step is none


@pytest.mark.parametrize("line", [b"", b"\0", b"[" * 100_000, b"\xff\xfe", b'{"id":' + b"9" * 5000 + b"}", b"{" * 10])
def test_what_is_no_frame_is_an_error(tmp_path: Path, line: bytes) -> None:
    assert run(tmp_path, lambda frame: [line] if frame["ask"] == protocol.FIRE else None).value is Value.ERROR


def test_a_flood_of_changes_to_confirm_ends_the_conversation(tmp_path: Path) -> None:
    flood = [json.dumps({"tell": "unconfirmed", "number": number, "what": "x"}).encode() for number in range(100_000)]
    report = run(tmp_path, lambda frame: flood if frame["ask"] == protocol.FIRE else None)
    assert report.value is Value.ERROR
    assert "changes at once" in report.reason


@pytest.mark.parametrize("seed", range(60))
def test_random_evil(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)

    def answer(frame: dict[str, Any]) -> list[bytes] | None:
        if frame["ask"] == protocol.FIRE or dice.random() < 0.4:
            lines = [json.dumps(dice.choice(TELLS)) for _ in range(dice.randrange(4))]
            return [
                line.encode() for line in [*lines, json.dumps({"id": frame["id"], dice.choice(["ok", "error", "x"]): dice.choice(EVIL)})]
            ]
        return None

    assert run(tmp_path, answer).value in (Value.ERROR, Value.FAILED)


@pytest.mark.parametrize("clock", [None, 1, [1], ["1", 2], [1.5, 2], {"0": 1}])
def test_a_greeting_without_clocks_is_refused(clock: Any) -> None:
    async def whole() -> None:
        peer = Peer("juliet", honest)
        session = Session("juliet", peer)
        peer.come(json.dumps({"tell": protocol.HELLO, "version": protocol.VERSION, "clock": clock}).encode())
        with pytest.raises(AgentError, match="juliet: the agent greets without its clocks"):
            await session.greeted()

    asyncio.run(whole())
