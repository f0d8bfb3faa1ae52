"""Frames over two descriptors: bytes in -> lines, frames -> bytes out, never waiting for the other side.

What a frame says is not known here. What the controller does not take at once is kept and sent as it takes more. The surprising fact: both
descriptors may be one and the same socket, and are watched for each direction by itself.
"""

from __future__ import annotations

import os

from .lean import encode
from .loop import READ, WRITE, now_ns
from .protocol import MAX_FRAME_BYTES
from .tasks import Wait, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop import Loop
    from .tasks import Steps, Task

    Frame = dict[str, Any]

CLOG_BYTES = 3 << 20
READ_BYTES = 65_536  # beyond malloc's threshold (mallopt(3)) each read would map memory and give it back: 12 us


class Channel:
    """The way to the controller and back. ``on_line`` gets each line without its end, ``on_end`` why there will be no more."""

    def __init__(self, loop: Loop, source: int, sink: int, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self.loop = loop
        self.source = source
        self.sink = sink
        self.heard_ns = now_ns()
        self.waiting: list[Task] = []
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._blocked = False
        self._on_line = on_line
        self._on_end = on_end
        loop.watch(source, READ, self._readable)

    @property
    def clogged(self) -> bool:
        """Whether so much waits to be taken that only what must be said should be added."""
        return len(self._outbox) > CLOG_BYTES

    def send(self, frame: Frame) -> None:
        """Send at once what the controller takes, and the rest when it takes more; into an ended channel, nothing."""
        self._outbox += encode(frame).encode()
        self._outbox += b"\n"
        if not self._blocked:
            self._flush()

    def wait_emptied(self) -> Steps[None]:
        """Wait as a task until the controller has taken all, or will never."""
        while self._outbox:
            yield Wait(on=self)

    def _flush(self, _events: int = 0) -> None:
        try:
            while self._outbox:
                del self._outbox[: os.write(self.sink, self._outbox)]
        except BlockingIOError:
            if not self._blocked:
                self._blocked = True
                self.loop.watch(self.sink, WRITE, self._flush)
            return
        except OSError:
            del self._outbox[:]
            if self.source != self.sink:  # else reading tells that it ended, after the other side's last words
                self._on_end("the channel ended")
        if self._blocked:
            self._blocked = False
            self.loop.unwatch(self.sink, self._flush)
        wake(self.waiting)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self.source, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end("the channel ended")
            return
        self.heard_ns = now_ns()
        first, *others = data.split(b"\n")
        self._inbox += first
        for piece in others:
            line, self._inbox = self._inbox, bytearray(piece)
            self._on_line(bytes(line))
        if len(self._inbox) > MAX_FRAME_BYTES:
            self._end("a frame is too long")

    def _end(self, reason: str) -> None:
        self.loop.unwatch(self.source, self._readable)
        self._inbox = bytearray()
        self._on_end(reason)
