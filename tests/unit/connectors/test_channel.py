"""Bytes of a socket as lines, whatever pieces they come in, and never more of a line than there may be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from orchestrator.connectors import channel
from orchestrator.connectors.channel import SocketChannel


class Heard:
    """All that a channel called back with."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.ends: list[str] = []


def heard(body: Callable[[socket.socket, SocketChannel, Heard], Awaitable[None]]) -> Heard:
    """What a channel tells while ``body`` has its other end; it ends when that is closed."""

    async def whole() -> Heard:
        ours, theirs = socket.socketpair()
        told, made = Heard(), SocketChannel(ours)
        made.listen(told.lines.append, told.ends.append)
        with theirs:
            await body(theirs, made, told)
        await rounds()
        return told

    return asyncio.run(whole())


async def rounds(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_lines_come_whole_whatever_pieces_they_come_in() -> None:
    async def body(other: socket.socket, _made: SocketChannel, _told: Heard) -> None:
        for piece in (b"on", b"e\ntwo\nth", b"ree\n", b"torn"):
            other.send(piece)
            await rounds()

    told = heard(body)
    assert told.lines == [b"one", b"two", b"three"]
    assert told.ends == [""]


@pytest.fixture
def ten_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "LONGEST_LINE_BYTES", 10)


@pytest.mark.usefixtures("ten_bytes")
def test_a_line_without_an_end_ends_the_channel_and_says_so() -> None:

    async def body(other: socket.socket, _made: SocketChannel, told: Heard) -> None:
        other.send(b"short\n0123456789")
        await rounds()
        assert told.ends == []
        other.send(b"0")
        await rounds()
        assert told.ends == ["it sent 10 bytes and more without a newline"]

    told = heard(body)
    assert told.lines == [b"short"]
    assert len(told.ends) == 1


def test_what_the_socket_does_not_take_at_once_is_sent_later() -> None:
    sent = b"x" * 3_000_000 + b"\n"

    async def body(other: socket.socket, made: SocketChannel, _told: Heard) -> None:
        other.setblocking(False)
        made.send(sent)
        made.send(b"end\n")
        came = b""
        async with asyncio.timeout(5):
            while not came.endswith(b"end\n"):
                try:
                    came += other.recv(1 << 20)
                except BlockingIOError:
                    await asyncio.sleep(0)
        assert came == sent + b"end\n"

    heard(body)
