"""The one process channel of a machine -> a channel of lines: the agent on the other side, and what it and its shell say beside.

Callbacks, not streams: a stream costs a task switch on each line. What comes before the agent's own first line is noise of a login shell.
Standard error is for people, but a line of JSON there is the last word of a guardian whose agent died in the middle of a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncssh
import msgspec

from orchestrator.connectors.channel import Lines
from orchestrator.connectors.ssh.refusals import readable

NOISE_BYTES = 65_536
"""A shell that says more than this before the agent is one that never lets it begin."""
WORDS_BYTES = 4096
LAST_WORDS_S = 12.0
"""How long a guardian may hold standard error after its agent has ended: it undoes, and says so."""
_decode = msgspec.json.Decoder().decode


class AgentProcess(asyncssh.SSHClientSession[bytes]):
    """A channel over one process. ``marker`` is the line that the pushed program begins with."""

    def __init__(self, marker: bytes, why_lost: Callable[[Exception], str]) -> None:
        self.status: int | None = None
        self.signal = ""
        self.begun = False
        """Whether the pushed program runs."""
        self.noise = b""
        self.words = b""
        """The last that it said on standard error."""
        self.ended = False
        self._marker = marker
        self._why_lost = why_lost
        self._lines = Lines()
        self._errors = Lines()
        self._on_line: Callable[[bytes], None] = _ignore_line
        self._on_end: Callable[[str], None] = _ignore_end
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._limit: asyncio.TimerHandle | None = None

    def listen(self, on_line: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """Begin to call back. Nothing of the agent can have been missed: it is not pushed yet."""
        self._on_line = on_line
        self._on_end = on_end
        if self.ended:
            on_end(self.ending())

    def send(self, data: bytes) -> None:
        """Send all of ``data``; what the other side does not take yet waits in the channel."""
        if self._channel is not None and not self.ended:
            try:
                self._channel.write(data)
            except OSError:
                return  # the end is told by itself

    def end(self) -> None:
        """End the process's input, and go on to listen."""
        if self._channel is not None and not self.ended:
            with suppress(OSError):
                self._channel.write_eof()

    def close(self) -> None:
        """End the process's input; no callback comes any more."""
        self._on_line, self._on_end = _ignore_line, _ignore_end
        if self._limit is not None:
            self._limit.cancel()
        if self._channel is not None:
            self._channel.close()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Bytes of standard output, or of standard error."""
        if datatype is not None:
            self._error_received(data)
            return
        for line in self._lines.take(data):
            if self.begun:
                self._on_line(line)
            elif line == self._marker:
                self.begun = True
            else:
                self.noise = (self.noise + line + b"\n")[:NOISE_BYTES]
        if self._lines.overlong:
            self._stop(self._lines.overlong)
        elif len(self.noise) >= NOISE_BYTES:
            self._stop(f"its login shell printed {NOISE_BYTES} bytes and more before the agent began")

    def _error_received(self, data: bytes) -> None:
        for line in self._errors.take(data):
            if line.startswith(b'{"') and _tells(line):
                self._on_line(line)
            else:
                self.words = (self.words + line + b"\n")[-WORDS_BYTES:]
        if self._errors.overlong:
            self._stop(self._errors.overlong)

    def exit_status_received(self, status: int) -> None:
        """It ended by itself."""
        self.status = status
        self._wait_for_last_words()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002, FBT001
        """It was killed."""
        self.signal = signal
        self._wait_for_last_words()

    def eof_received(self) -> bool:
        """No more output; how it ended is still to come."""
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed: all that there was has been received."""
        self._stop("" if exc is None else self._why_lost(exc))

    @property
    def left(self) -> bool:
        """Whether the process itself has ended, and not the way to it."""
        return self.status is not None or bool(self.signal)

    def ending(self) -> str:
        """How the process ended, "" where it left in good order."""
        said = self.last_words()
        tail = f"; its last words: {said}" if said else ""
        if self.signal:
            return f"its agent was killed by SIG{self.signal}{tail}"
        if self.status:
            return f"its agent ended with status {self.status}{tail}"
        return ""

    def last_words(self) -> str:
        """The last line of standard error, also where it was not ended."""
        text = (self.words + self._errors.rest()).decode(errors="replace").strip()
        last = text.splitlines()[-1] if text else ""
        return readable(last)

    def _wait_for_last_words(self) -> None:
        if self._limit is None:
            self._limit = asyncio.get_running_loop().call_later(LAST_WORDS_S, self._stop, "")

    def _stop(self, reason: str) -> None:
        if self.ended:
            return
        self.ended = True
        on_end = self._on_end
        self.close()
        on_end(reason or self.ending())


def _tells(line: bytes) -> bool:
    try:
        frame = _decode(line)
    except msgspec.DecodeError:
        return False
    return isinstance(frame, dict) and isinstance(frame.get("tell"), str) and isinstance(frame.get("id", 0), int)


def _ignore_line(_line: bytes) -> None:
    """Nobody listens yet, or any more."""


def _ignore_end(_reason: str) -> None:
    """As above."""
