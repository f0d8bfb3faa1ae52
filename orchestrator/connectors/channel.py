"""A connected socket -> lines, both ways, on the event loop.

Knows nothing of what the lines say. It reads and writes the socket itself (``add_reader``), because a stream of asyncio's costs a task
switch on each line, which is most of what a step may cost.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

READ_BYTES = 65_536  # beyond malloc's threshold (mallopt(3)) each read would map memory and give it back: 12 us
LONGEST_LINE_BYTES = 64 * 1024 * 1024
"""A host that sends more without a newline is not talking with us any more."""


class Channel(Protocol):
    """What a session needs of the way to a host."""

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """Call back with each line, without its newline, and once at the end: with why, or "" where the other side has ended it."""

    def send(self, data: bytes) -> None:
        """Send all of ``data``, now or as soon as the other side takes it."""

    def end(self) -> None:
        """Send no more, and go on to listen until the other side ends it; the agent behind it undoes and leaves."""

    def close(self) -> None:
        """End the channel; the agent behind it undoes and leaves."""


class Lines:
    """Bytes as they come -> whole lines."""

    def __init__(self) -> None:
        self._inbox = bytearray()

    @property
    def overlong(self) -> str:
        """What to say where what waits for its newline is longer than any line may be; else empty."""
        return f"it sent {LONGEST_LINE_BYTES} bytes and more without a newline" if len(self._inbox) > LONGEST_LINE_BYTES else ""

    def rest(self) -> bytes:
        """What waits for its newline."""
        return bytes(self._inbox)

    def take(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their newlines."""
        searched = len(self._inbox)
        self._inbox += data
        last = self._inbox.rfind(b"\n", searched)
        if last < 0:
            return []
        whole = bytes(self._inbox[:last])
        del self._inbox[: last + 1]
        return whole.split(b"\n")


class SocketChannel:
    """A channel over a connected stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._lines = Lines()
        self._outbox = bytearray()
        self._on_line: Callable[[bytes], None] = _ignore_line
        self._on_end: Callable[[str], None] = _ignore_end

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """Begin to read."""
        self._on_line = on_line
        self._on_end = on_end
        self._loop.add_reader(self._fd, self._readable)

    def send(self, data: bytes) -> None:
        """Send at once what the socket takes, and the rest when it takes more."""
        if self._fd < 0:
            return
        if not self._outbox:
            try:
                data = data[self._sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return  # the reader meets the end, and tells
            if not data:
                return
            self._loop.add_writer(self._fd, self._writable)
        self._outbox += data

    def end(self) -> None:
        """Close it for writing; what is still to be sent is given up."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            self._outbox.clear()
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket; no callback comes any more."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._sock.close()
            self._fd = -1

    def _writable(self) -> None:
        try:
            del self._outbox[: self._sock.send(self._outbox)]
        except BlockingIOError:
            return
        except OSError:
            self._outbox.clear()
        if not self._outbox:
            self._loop.remove_writer(self._fd)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end("")
            return
        for line in self._lines.take(data):
            self._on_line(line)
        if self._lines.overlong:
            self._end(self._lines.overlong)

    def _end(self, reason: str) -> None:
        self.close()
        self._on_end(reason)


def _ignore_line(_line: bytes) -> None:
    """Nobody listens yet."""


def _ignore_end(_reason: str) -> None:
    """Nobody listens yet."""
