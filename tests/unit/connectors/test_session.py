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
