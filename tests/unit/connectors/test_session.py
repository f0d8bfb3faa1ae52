"""What a session believes of what comes over its channel, and what it tells of the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.errors import AgentError, AgentLost, Overdue

GARBAGE = [b"", b"hello", b"\xff\xfe", b"[]", b"7", b'{"id": "one"}', b'{"id": null}', b'{"id": 1', b"null"]


class Wire:
    """A channel whose other side is the test."""

    def __init__(self) -> None:
        self.sent: list[dict] = []
        self.closed = False

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self.come, self.end = on_line, on_end

    def send(self, data: bytes) -> None:
        self.sent.append(json.loads(data))

    def close(self) -> None:
        self.closed = True


def talk(body: Callable) -> None:
    async def whole() -> None:
        wire = Wire()
        await body(Session("romeo", wire), wire)

    asyncio.run(whole())


@pytest.mark.parametrize("line", GARBAGE)
def test_what_is_no_frame_ends_the_conversation_and_is_told_once(line: bytes) -> None:
    async def body(session: Session, wire: Wire) -> None:
        losses: list[AgentLost] = []
        session.on_lost = losses.append
        answer = session.ask(protocol.BEAT)
        wire.come(line)
        with pytest.raises(AgentLost, match="romeo: it sent what is no frame"):
            await answer
        wire.come(b'{"id": 1, "ok": 5}')
        wire.come(b"more")
        wire.end("")
        assert losses == [session.lost]
        assert wire.closed
        with pytest.raises(AgentLost):
            await session.ask(protocol.BEAT)

    talk(body)


def test_answers_to_what_nobody_asked_are_passed_over() -> None:
    async def body(session: Session, wire: Wire) -> None:
        answer = session.ask(protocol.BEAT)
        for line in (b'{"id": 99, "ok": 1}', b'{"ok": 2}', b'{"id": 0, "error": "x"}', b"{}"):
            wire.come(line)
        wire.come(b'{"id": 1, "ok": 3}')
        wire.come(b'{"id": 1, "ok": 4}')
        assert await answer == 3
        assert session.lost is None

    talk(body)


@pytest.mark.parametrize("error", ["no", 7, None, {"a": 1}])
def test_a_refusal_is_an_error_whatever_its_words_are(error: object) -> None:
    async def body(session: Session, wire: Wire) -> None:
        answer = session.ask(protocol.BEAT)
        wire.come(json.dumps({"id": 1, "error": error}).encode())
        with pytest.raises(AgentError, match="romeo: "):
            await answer

    talk(body)


def test_who_closes_a_session_is_not_told_that_it_ended() -> None:
    async def body(session: Session, wire: Wire) -> None:
        losses: list[AgentLost] = []
        session.on_lost = losses.append
        session.close()
        wire.end("")
        assert losses == []
        assert session.lost is not None

    talk(body)


def test_an_answer_that_nobody_waited_for_long_enough_still_comes() -> None:
    async def body(session: Session, wire: Wire) -> None:
        answer = session.ask(protocol.FIRE)
        with pytest.raises(Overdue, match="it was doing: think"):
            await session.wait_for_answer(answer, 0.0, "think")
        wire.come(b'{"id": 1, "ok": "late"}')
        assert await answer == "late"

    talk(body)


def test_the_end_says_why() -> None:
    async def body(session: Session, wire: Wire) -> None:
        wire.come(json.dumps({"tell": protocol.GOODBYE, "reason": "signal 15"}).encode())
        wire.end("")
        assert str(session.lost) == "romeo: its agent left: signal 15"

    talk(body)


UNCONFIRMED = b'{"tell": "unconfirmed", "number": %d, "what": "iptables -A INPUT -j DROP"}'


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


def confirmed(wire: Wire) -> list[int]:
    return [frame["number"] for frame in wire.sent if frame["ask"] == protocol.CONFIRM]


def test_a_change_is_confirmed_at_once_where_nothing_can_be_proved() -> None:
    async def body(session: Session, wire: Wire) -> None:
        wire.come(UNCONFIRMED % 4)
        await until(lambda: confirmed(wire))
        assert confirmed(wire) == [4]

    talk(body)


def test_one_proof_is_for_all_changes_that_came_before_it() -> None:
    async def body(session: Session, wire: Wire) -> None:
        begun: list[asyncio.Event] = []

        async def prove() -> None:
            begun.append(asyncio.Event())
            await begun[-1].wait()

        session.prove = prove
        for number in (1, 2):
            wire.come(UNCONFIRMED % number)
        await until(lambda: begun)
        wire.come(UNCONFIRMED % 3)
        assert confirmed(wire) == []
        begun[0].set()
        await until(lambda: len(begun) == 2)
        assert confirmed(wire) == [1, 2]
        begun[1].set()
        await until(lambda: len(confirmed(wire)) == 3)
        assert len(begun) == 2

    talk(body)


@pytest.mark.parametrize("error", [OSError("no way"), AgentError("romeo", "no way")])
def test_what_cannot_be_proved_is_not_confirmed_and_names_the_change_when_the_channel_ends(error: Exception) -> None:
    async def body(session: Session, wire: Wire) -> None:
        async def prove() -> None:
            raise error

        session.prove = prove
        wire.come(UNCONFIRMED % 1)
        await until(lambda: session.unproven)
        assert "no way" in session.unproven
        assert confirmed(wire) == []
        wire.end("")
        assert str(session.lost) == (
            "romeo: its agent vanished; what had just been done there may have cut the control connection, and is taken back: "
            "iptables -A INPUT -j DROP"
        )

    talk(body)


def test_what_was_confirmed_is_not_blamed_for_the_end() -> None:
    async def body(session: Session, wire: Wire) -> None:
        wire.come(UNCONFIRMED % 1)
        await until(lambda: confirmed(wire))
        wire.come(json.dumps({"id": wire.sent[-1]["id"], "ok": None}).encode())
        await asyncio.sleep(0)
        wire.end("")
        assert str(session.lost) == "romeo: its agent vanished"

    talk(body)


def test_who_closes_a_session_proves_nothing_more() -> None:
    async def body(session: Session, wire: Wire) -> None:
        proving: list[bool] = []

        async def prove() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                proving.append(False)

        session.prove = prove
        wire.come(UNCONFIRMED % 1)
        wire.come(b'{"tell": "unconfirmed", "number": "x"}')
        await asyncio.sleep(0)
        session.close()
        await until(lambda: proving)
        assert confirmed(wire) == []

    talk(body)
