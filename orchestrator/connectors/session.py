"""A conversation with one agent: every ask gets its answer or an error that names the host.

Both testbeds (which ask for addresses) and the engine (which asks for actions) talk through it. What comes from a host is data: it is
decoded, checked for its form, and never trusted to name a file or a function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from orchestrator.agent import protocol
from orchestrator.connectors.channel import Channel
from orchestrator.errors import AgentError, AgentLost, OrchestratorError, Overdue, Unsupported

Frame = dict[str, Any]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
GREETING_S = 10.0
_MOST_DOUBTS = 64
LEAVE_S = 12.0
"""A little more than an agent takes at the most to undo."""


class Session:
    """The conversation with the agent on ``host``. ``hello`` is its greeting, once :meth:`greeted` has returned."""

    def __init__(self, host: str, channel: Channel) -> None:
        self.host = host
        self.hello: Frame = {}
        self.on_tell: Callable[[Frame], None] = _ignore
        self.on_lost: Callable[[AgentLost], None] = _ignore_loss
        """Told once, when the channel ends otherwise than by :meth:`close`."""
        self.lost: AgentLost | None = None
        self.overdue = False
        """Whether it once did not answer in time; then it is not waited for so long again."""
        self.refusal: OSError | None = None
        """What the system refused when it was to become a host."""
        self.goodbye = ""
        self.prove: Callable[[], Awaitable[None]] | None = None
        """Opens one more connection to the host, all the way, and closes it again; raises where that is not possible.

        It is called after each change that could cut the control connection. ``None``: such a change is confirmed at once."""
        self.unproven = ""
        """Why the newest change that could cut the control connection was not confirmed."""
        self._doubts: dict[int, str] = {}
        self._proving: asyncio.Task[None] | None = None
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._greeting: asyncio.Future[None] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._serial = 0
        self._beat: asyncio.TimerHandle | None = None
        self._leaving = False
        channel.listen(self._line, self._ended)

    async def greeted(self, patience_s: float = GREETING_S) -> Frame:
        """Wait for the agent's greeting.

        :raises AgentError: it does not come, or it speaks another version.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._greeting), patience_s)
        except TimeoutError:
            raise AgentError(self.host, f"the agent did not greet within {patience_s:g} s") from None
        if self.hello.get("version") != protocol.VERSION:
            raise AgentError(self.host, f"the agent speaks version {self.hello.get('version')!r:.80}, not {protocol.VERSION}")
        match self.hello.get("clock"):
            case [int(), int()]:
                pass
            case _:
                raise AgentError(self.host, "the agent greets without its clocks")
        self._schedule_beat()
        return self.hello

    @property
    def unix_offset_ns(self) -> int:
        """What to add to the host's monotonic clock for Unix time."""
        monotonic, unix = self.hello["clock"]
        return int(unix) - int(monotonic)

    def ask(self, verb: str, **fields: Any) -> asyncio.Future[Any]:
        """Ask at once; the future gives the answer.

        :raises AgentError: (by the future) the agent refused; :class:`AgentLost` when its channel ended first.
        :raises Unsupported: (by the future) the host lacks what was asked for.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.lost is not None:
            future.set_exception(self.lost)
            return future
        self._serial += 1
        self._waiting[self._serial] = future
        fields["id"] = self._serial
        fields["ask"] = verb
        self._channel.send(_encode(fields) + b"\n")
        return future

    async def wait_for_answer(self, answer: asyncio.Future[Any], patience_s: float, doing: str) -> Any:
        """Wait for the ``answer`` to an ask, but not for ever. Who stops to wait has not stopped the ask: its answer may still come.

        :raises Overdue: it did not come in time; says what the host was ``doing``.
        :raises AgentError: as :meth:`ask`.
        """
        try:
            async with asyncio.timeout(patience_s):
                return await asyncio.shield(answer)
        except TimeoutError:
            self.overdue = True
            raise Overdue(self.host, f"it did not report within {patience_s:.1f} s; it was doing: {doing}") from None

    async def leave(self, patience_s: float = LEAVE_S) -> None:
        """End the conversation politely: the agent undoes what is left and goes, and with it whoever watches over it. Then close."""
        if self.lost is None:
            gone: asyncio.Future[None] = self._loop.create_future()
            self.on_lost = lambda _lost: gone.set_result(None) if not gone.done() else None
            self._leaving = True
            self._channel.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(gone, patience_s)
        self.close()

    def close(self) -> None:
        """End the conversation; the agent undoes what it may have left and leaves."""
        if self._beat is not None:
            self._beat.cancel()
        if self._proving is not None:
            self._proving.cancel()
        self._channel.close()
        self.on_lost = _ignore_loss
        self._fail("the conversation was closed")

    def _schedule_beat(self) -> None:
        self._beat = self._loop.call_later(protocol.HEARTBEAT_S, self._send_beat)

    def _send_beat(self) -> None:
        if self.lost is None:
            self.ask(protocol.BEAT).add_done_callback(_forget)
            self._schedule_beat()

    def _line(self, line: bytes) -> None:
        if self.lost is not None:
            return  # of what came together with the end, or with what was no frame, nothing counts
        frame = _frame(line)
        if frame is None:
            self._channel.close()
            self._fail(f"it sent what is no frame: {line[:80]!r}")
            return
        if "tell" in frame:
            self._told(frame)
            return
        future = self._waiting.pop(frame.get("id", 0), None)
        if future is None or future.done():
            return
        if "error" in frame:
            future.set_exception(self._refused(frame))
        else:
            future.set_result(frame.get("ok"))

    def _refused(self, frame: Frame) -> AgentError | Unsupported:
        if frame.get("kind") == protocol.LACKING:
            return Unsupported(f"{self.host}: {frame['error']}")
        return AgentError(self.host, str(frame["error"]))

    def _told(self, frame: Frame) -> None:
        if frame["tell"] == protocol.HELLO:
            if not self._greeting.done():  # what a run rests on does not change in the midst of it
                self.hello = frame
                self._greeting.set_result(None)
        elif frame["tell"] == protocol.FAILED:
            if "errno" in frame:
                self.refusal = OSError(frame["errno"], str(frame.get("text")))
            self._fail(str(frame.get("text")))
        elif frame["tell"] == protocol.GOODBYE:
            self.goodbye = str(frame.get("reason", ""))
            if not self._leaving:
                self._ended("")  # of its channel's end a guardian that goes on to the last may tell only later
        elif frame["tell"] == protocol.UNCONFIRMED:
            self._doubt(frame)
        else:
            self.on_tell(frame)

    def _doubt(self, frame: Frame) -> None:
        """It has made a change that could cut the control connection, and takes it back unless we say soon that we still reach it."""
        number = frame.get("number")
        if not isinstance(number, int):
            return
        if len(self._doubts) >= _MOST_DOUBTS:
            self._channel.close()
            self._fail(f"it tells of more than {_MOST_DOUBTS} changes at once that could cut the control connection")
            return
        self._doubts[number] = str(frame.get("what", ""))
        if self._proving is None:
            self._proving = self._loop.create_task(self._prove())

    async def _prove(self) -> None:
        """One proof for all changes that came before it began."""
        try:
            asked: set[int] = set()
            while numbers := self._doubts.keys() - asked:
                asked |= numbers
                if await self._is_reached():
                    for number in sorted(numbers):
                        self.ask(protocol.CONFIRM, number=number).add_done_callback(partial(self._confirmed, number))
                else:
                    self._loop.call_later(2 * protocol.CONFIRM_S, self._forget_doubts, numbers)  # it has taken them back by then
        finally:
            self._proving = None

    @property
    def doubted(self) -> bool:
        """Whether a change may just have cut the control connection, and is not taken back yet."""
        return bool(self._doubts)

    def _forget_doubts(self, numbers: set[int]) -> None:
        for number in numbers:
            self._doubts.pop(number, None)

    async def _is_reached(self) -> bool:
        if self.prove is None:
            return True
        try:
            async with asyncio.timeout(protocol.CONFIRM_S):
                await self.prove()
        except TimeoutError:
            self.unproven = f"no new connection came about within {protocol.CONFIRM_S:g} s"
        except (OrchestratorError, OSError) as error:
            self.unproven = str(error)
        else:
            return True
        return False

    def _confirmed(self, number: int, answer: asyncio.Future[Any]) -> None:
        _forget(answer)
        if self.lost is None:
            self._doubts.pop(number, None)

    def _ended(self, reason: str) -> None:
        text = reason or (f"its agent left: {self.goodbye}" if self.goodbye else "its agent vanished")
        if self._doubts:
            done = "; ".join(self._doubts.values())
            text += f"; what had just been done there may have cut the control connection, and is taken back: {done}"
        self._fail(text)

    def _fail(self, text: str) -> None:
        if self.lost is not None:
            return
        self.lost = AgentLost(self.host, text)
        for future in [self._greeting, *self._waiting.values()]:
            if not future.done():
                future.set_exception(self.lost)
                future.add_done_callback(_forget)
        self._waiting.clear()
        self.on_lost(self.lost)


def _frame(line: bytes) -> Frame | None:
    """The frame that a line holds, if it holds one."""
    try:
        frame = _decode(line)
    except (msgspec.DecodeError, RecursionError):  # which many brackets bring about
        return None
    return frame if isinstance(frame, dict) and isinstance(frame.get("id", 0), int) else None


def _ignore(_frame: Frame) -> None:
    """Nobody listens yet."""


def _ignore_loss(_lost: AgentLost) -> None:
    """Nobody listens yet."""


def _forget(future: asyncio.Future[Any]) -> None:
    """Look at the exception, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()
