"""Asks in, answers out: prepare, arm, fire, report; at the end of input, or at a deadline, undo and leave.

``serve(source, sink, greeting)`` is the whole agent: over pipes, over SSH, and in the process 1 of a namespace host. What the actions are
is not known here. The surprising fact: standard output belongs to the frames alone, so it is moved away before anything else could print to
it. Private folders, captures and undos are made on demand: a run that needs none pays for none.
"""

from __future__ import annotations

import os

from . import protocol
from .channel import Channel
from .doing import changes
from .doing.actions import set_up
from .host import Host
from .lean import decode, signal
from .loop import Loop, calm, caught, hurry, now_ns, spin_until
from .safety import undoing
from .seeing import capture, observe
from .seeing.backdrop import Backdrop
from .tasks import Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .channel import Frame
    from .host import Kept
    from .loop import Timer
    from .safety.guard import Guard
    from .tasks import Steps, Task

NOBODY = 0  # answers what came without a number; no ask has it
LEAD_NS = 2_000_000
UNDO_NS = 9_000_000_000  # just less than a controller waits
LEAVE_NS = 10_000_000_000  # then the guardian goes on; with the silence before it is less than half a minute
LAST_WORDS_NS = 2_000_000_000
SETUP_NS = 20_000_000_000
LOOK_NS = 10_000_000_000
LINK_NS = 200_000
CLEAN_NS = 60_000_000_000
SILENCE_NS = int(protocol.SILENCE_S * 1e9)


class Refusal(Exception):
    """The controller asked for something that this agent cannot do now."""


class Service:
    """One agent: its channel, its host, its capture. Each ask ``number`` is answered once, by what it asked for or by why not."""

    def __init__(self, loop: Loop, source: int, sink: int, guard: int | None = None) -> None:
        self.loop = loop
        self.program: dict[str, Frame] = {}
        self.host = Host(loop, "", "/")
        self.guard: Guard | None = None
        self.deadline_ns: int | None = None
        self.leaving = False
        self._feed: capture.Feed | None = None
        self._armed: dict[int, Timer] = {}
        self._preparing: Task | None = None
        self._finished = True
        self._cut_off = False
        self.channel = Channel(loop, source, sink, self._serve, self.leave)
        if guard is not None:
            from .safety.guard import Guard

            self.guard = Guard(loop, guard, self.leave, self.tell)
        loop.call_at(now_ns() + SILENCE_NS, self._check_silence)

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something unasked."""
        self.channel.send(dict(fields, tell=kind))

    def _serve(self, line: bytes) -> None:
        number = NOBODY
        try:
            frame = decode(line)
            number = int(frame.get("id", NOBODY))
            if self.leaving:
                self._refuse(number, Refusal("the agent is leaving"))
            elif self.guard is not None and frame["ask"] not in (_HARMLESS if self.guard.held is None else _ASKS):
                self._refuse(number, Refusal(f"{frame['ask']}: this host was not taken for a run yet ({protocol.GUARD} comes first)"))
            else:
                _ASKS[frame["ask"]](self, number, frame)
        except Exception as error:
            self._refuse(number, error)

    def _answer(self, number: int, value: object = None) -> None:
        self.channel.send({"id": number, "ok": value})

    def _refuse(self, number: int, error: Exception) -> None:
        self.channel.send({"id": number, "error": str(error) or type(error).__name__, "kind": getattr(error, "kind", type(error).__name__)})

    def _spawn(self, number: int, steps: Steps[Any], patience_ns: int) -> Task:
        """A task whose result is the answer to ask ``number``."""

        def done(value: object, error: Exception | None) -> None:
            if error is None:
                self._answer(number, value)
            else:
                self._refuse(number, error)

        return self.loop.spawn(steps, done, now_ns() + patience_ns)

    def beat(self, number: int, frame: Frame) -> None:
        """Both clocks, as a sign of life."""
        self._answer(number, observe.clock())

    def lines(self, number: int, frame: Frame) -> None:
        """Feed iproute2 its lines, write sysctls, then wait until the named interfaces work."""
        self._spawn(number, self._lines(frame), SETUP_NS)

    def _lines(self, frame: Frame) -> Steps[None]:
        for key, value in frame.get("sysctl", {}).items():
            if changes.read_sysctl(key) is not None:  # a kernel without IPv6 need not be told to keep still
                changes.write_sysctl(key, value)
        if frame.get("lines"):
            yield from changes.command(self.loop, [frame.get("tool", "ip"), "-batch", "-"], "\n".join(frame["lines"]).encode() + b"\n")
        for interface in frame.get("interfaces", ()):
            while not observe.running(interface):
                yield Wait(deadline=now_ns() + LINK_NS)

    def take(self, number: int, frame: Frame) -> None:
        """From now on this host is one run's alone; the answer has the facts of its lock."""
        if self.guard is None:
            raise Refusal("this agent has no guardian: it was not started for a host that needs one")
        self._spawn(number, self.guard.hold(frame["run"], frame.get("who", ""), programs=bool(frame.get("programs", True))), LOOK_NS)

    def confirm(self, number: int, frame: Frame) -> None:
        """The control connection survived a change."""
        if self.guard is None:
            raise Refusal("nothing waits to be confirmed")
        self.guard.confirm(frame["number"])
        self._answer(number)

    def clean(self, number: int, frame: Frame) -> None:
        """Take back what runs left on this host that are dead, or that are named; say what was found."""
        from .safety.cleaning import clean

        self._spawn(number, clean(self.loop, frame.get("run", ""), everything=bool(frame.get("all"))), CLEAN_NS)

    def prepare(self, number: int, frame: Frame) -> None:
        """The whole program of this host, before anything moves; what an earlier one left is undone first."""
        if self.guard is not None and self.guard.held is not None and self.guard.held["run"] != frame["run"]:
            raise Refusal(f"this host was taken for run {self.guard.held['run']}, not for {frame['run']}")
        self._preparing = self._spawn(number, self._prepare(frame), UNDO_NS if self.guard is None else SETUP_NS)

    def _prepare(self, frame: Frame) -> Steps[None]:
        program = {action["id"]: action for action in frame["actions"]}
        self._disarm()
        self.host.interrupt()
        _undone, failed = yield from self.host.undo(undoing.AT_LEISURE_NS)
        if failed or self.leaving:  # who leaves would not undo what begins now
            raise Refusal("; ".join(["an earlier run is not undone", *failed]))
        self.program = program
        self._finished = False
        self.host = host = Host(self.loop, frame["run"], frame.get("folder") or "/", self.guard)
        if frame.get("folder") is None and frame.get("private"):
            folder = changes.private_folder(host.run, self._folders())
            yield from host.make(folder)
            host.folder = folder.undo["path"]
        if frame.get("neighbours"):
            from .doing.view import name_neighbours

            name_neighbours(host.folder, frame["neighbours"])
        if "deadline_ns" in frame:
            self.deadline_ns = now_ns() + frame["deadline_ns"]
            self.loop.call_at(self.deadline_ns, self._overdue, self.deadline_ns)
        made = yield from self._set_up(frame)
        words = [" ".join(line["words"]) for line in frame.get("setup", ())] + [f"{k} = {v}" for k, v in frame.get("sysctl", {}).items()]
        yield from host.confirm("; ".join(["what was set up before the run", *words]), made)
        if frame.get("backdrop"):
            from .seeing.survey import our_end

            host.backdrop = Backdrop(our_end())
            yield from host.backdrop.take(self.loop, frame["backdrop"])

    def _folders(self) -> tuple[str, ...]:
        held = self.guard.held if self.guard is not None else None
        return (held["folder"],) if held else ()

    def _set_up(self, frame: Frame) -> Steps[list[Kept | None]]:
        """What the topology wants of this host: words of ip(8), offloads, sysctls."""
        host = self.host
        made: list[Kept | None] = []
        for line in frame.get("setup", ()):
            made += yield from set_up(host, line["words"])
        for interface in frame.get("interfaces", ()):
            for name, wanted in frame.get("offload", {}).items():
                made.append((yield from host.make(changes.offload(interface, name, wanted=bool(wanted)))))
        for key, value in frame.get("sysctl", {}).items():
            if key not in frame.get("if_present", ()) or changes.read_sysctl(key) is not None:
                made.append((yield from host.make(changes.sysctl(key, value))))
        return made

    def capture(self, number: int, frame: Frame) -> None:
        """Begin to capture; the answer is the instant from which on nothing is missed, both clocks, and each interface's index."""
        if self._feed is not None:
            raise Refusal("a capture is under way")
        begun = capture.Capture(frame["interfaces"], frame.get("filter", ""))
        self._feed = capture.Feed(self.loop, self.channel, begun)
        self._answer(number, {"ready_ns": now_ns(), "clock": observe.clock(), "indexes": begun.indexes})

    def fire(self, number: int, frame: Frame) -> None:
        """Begin actions by id, now or at an instant; the answer comes when all have ended or run in the background."""
        missing = [name for name in frame["actions"] if name not in self.program]
        if missing:
            raise Refusal(f"nothing was prepared as {missing[0]}")
        prepared, at = [self.program[name] for name in frame["actions"]], frame.get("at", 0)
        if at:
            self._armed[number] = self.loop.call_at(at - LEAD_NS, self._fire_at, number, prepared, at)
        else:
            self._fire(number, prepared, 0)

    def _fire_at(self, number: int, prepared: list[Frame], at: int) -> None:
        del self._armed[number]
        hurried = hurry()
        try:
            spin_until(at)
            self._fire(number, prepared, at)
        except Exception as error:
            self._refuse(number, error)
        finally:
            if hurried:
                calm()

    def _fire(self, number: int, prepared: list[Frame], planned: int) -> None:
        def ended(result: Frame) -> None:
            self.tell(protocol.ENDED, result=result)

        self.host.fire(prepared, planned, lambda results: self._answer(number, results), ended)

    def observe(self, number: int, frame: Frame) -> None:
        """The words of one observer, the sockets known at that moment, and when it was."""
        self._spawn(number, self._observe(frame), LOOK_NS)

    def _observe(self, frame: Frame) -> Steps[Frame]:
        answer: Frame = {}
        if frame["tool"] == "output":
            program = self.host.programs.get(frame["program"])
            if program is None:
                raise Refusal(f"no program is called {frame['program']}")
            answer["text"] = program.stdout.text() + program.stderr.text()
            answer["clipped"] = program.clipped
        else:
            text = yield from observe.ask(self.loop, frame["tool"])
            answer["text"] = self.host.backdrop.without(frame["tool"], text)
        return dict(answer, at_ns=now_ns(), sockets=self.host.sockets.facts())

    def environment(self, number: int, frame: Frame) -> None:
        """The fingerprint of this host."""
        self._spawn(number, observe.environment(self.loop, frame.get("tools", ()), frame.get("interfaces", ())), LOOK_NS)

    def survey(self, number: int, frame: Frame) -> None:
        """What this host has and can do; touches nothing."""
        from .seeing.survey import health, survey  # a host of the controller's own machine is never asked

        facts = {}
        if frame.get("health"):
            facts = health(frame.get("tools", ()), frame.get("features", ()))
        elif frame.get("network"):
            facts = survey(frame.get("tools", ()), frame.get("features", ()))
        values = {key: changes.read_sysctl(key) for key in frame.get("sysctls", ())}
        self._answer(number, dict(facts, sysctls={key: value for key, value in values.items() if value is not None}))

    def hold(self, number: int, frame: Frame) -> None:
        """Stay as long as the controller is heard of."""
        self.deadline_ns = None
        self._answer(number)

    def seal(self, number: int, frame: Frame) -> None:
        """End the capture, before any host undoes what would still send segments; ``None`` where there is none."""
        self._answer(number, self._seal())

    def _seal(self) -> Frame | None:
        feed, self._feed = self._feed, None
        return dict(feed.seal(), clock=observe.clock()) if feed is not None else None

    def finish(self, number: int, frame: Frame) -> None:
        """Interrupt what blocks, end the capture, undo everything, and say so."""
        self.deadline_ns = None
        self._spawn(number, self._finish(undoing.AT_LEISURE_NS), UNDO_NS)

    def _finish(self, patience_ns: int) -> Steps[Frame]:
        self._disarm()
        answer: Frame = {}
        self._seal()
        if self._preparing is not None and not self._finished:
            self._preparing.interrupt("blocked")  # or it would go on to alter what is being put back
        self.host.interrupt()
        answer["undone"], answer["not_undone"] = yield from self.host.undo(patience_ns)
        self._finished = self._finished or not self.leaving
        return answer

    def _disarm(self) -> None:
        for number, timer in self._armed.items():
            timer.cancel()
            self._refuse(number, Refusal("the run ended before its instant"))
        self._armed.clear()

    def leave(self, reason: str) -> None:
        """Finish and go, soon; in no case later than ``LEAVE_NS``."""
        if not self.leaving:
            self.leaving = True
            # Not at once: whoever found out that we have to may be in the midst of what is then interrupted.
            self.loop.call_at(now_ns(), self._leave, reason)
            self.loop.call_at(now_ns() + LEAVE_NS + LAST_WORDS_NS, self.loop.stop)

    def _leave(self, reason: str) -> None:
        if self.guard is not None and self.guard.unconfirmed:
            reason += f"; this was not confirmed, and may be what cut the control connection: {'; '.join(self.guard.unconfirmed.values())}"
        self.loop.spawn(self._finish(undoing.ALL_NS), lambda value, error: self._say_goodbye(reason, value or {}), now_ns() + LEAVE_NS)

    def _say_goodbye(self, reason: str, finished: Frame) -> None:
        if self.guard is not None and self.guard.gone:
            reason = self.guard.gone  # with it went our input, and which of both is heard of first is chance
        undone, failed = finished.get("undone", []), finished.get("not_undone", [])
        self.tell(protocol.GOODBYE, reason=reason, undone=undone, not_undone=failed)
        if self.guard is not None:
            self.guard.bye(reason, undone, failed, finished=self._finished, cut_off=self._cut_off)
        self.loop.spawn(self.channel.wait_emptied(), lambda _value, _error: self.loop.stop(), now_ns() + LAST_WORDS_NS)

    def _check_silence(self) -> None:
        heard_ns = self.channel.heard_ns
        if now_ns() - heard_ns > SILENCE_NS:
            self._cut_off = True
            self.leave(f"the controller was silent for {protocol.SILENCE_S:g} s")
        else:
            self.loop.call_at(heard_ns + SILENCE_NS + 1, self._check_silence)

    def _overdue(self, deadline: int) -> None:
        if self.deadline_ns == deadline:
            self.leave("the run's deadline passed")


_ASKS: dict[str, Callable[[Service, Any, Frame], None]] = {
    protocol.BEAT: Service.beat,
    protocol.LINES: Service.lines,
    protocol.PREPARE: Service.prepare,
    protocol.CAPTURE: Service.capture,
    protocol.FIRE: Service.fire,
    protocol.OBSERVE: Service.observe,
    protocol.ENVIRONMENT: Service.environment,
    protocol.SURVEY: Service.survey,
    protocol.HOLD: Service.hold,
    protocol.SEAL: Service.seal,
    protocol.FINISH: Service.finish,
    protocol.GUARD: Service.take,
    protocol.CONFIRM: Service.confirm,
    protocol.CLEAN: Service.clean,
}
# What an agent does on a real host before it was taken for a run: it alters nothing there.
_HARMLESS = (
    protocol.BEAT, protocol.OBSERVE, protocol.ENVIRONMENT, protocol.HOLD, protocol.SEAL, protocol.FINISH, protocol.SURVEY, protocol.GUARD,
    protocol.CLEAN,
)  # fmt: skip


def serve(source: int, sink: int, greeting: Frame | None = None, guard: int | None = None) -> None:
    """Be the agent on two descriptors until told to leave; they are made non-blocking, and stay open. ``guard``: the way to its guardian.

    A signal that asks to end (signal(7)) is a reason to undo and leave, unless whoever started us has it ignored.
    """
    os.set_blocking(source, False)
    os.set_blocking(sink, False)
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    loop = Loop()
    service = Service(loop, source, sink, guard)
    loop.on_signal = lambda number: service.leave(f"signal {number}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, caught)
    service.tell(protocol.HELLO, version=protocol.VERSION, clock=observe.clock(), **dict(observe.identity(), **(greeting or {})))
    run(loop, service)


def run(loop: Loop, service: Service) -> None:
    """Serve until the service has left: a fault of our own is a reason to undo and leave, never to leave a host altered."""
    while True:
        try:
            loop.run()
        except Exception as error:
            service.leave(f"a fault in the agent: {type(error).__name__}: {error}")
        else:
            return


def main(guard: int | None = None) -> None:
    """Be the agent on standard input and output; whatever else prints goes to standard error."""
    sink = os.dup(1)
    os.dup2(2, 1)
    source = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    serve(source, sink, guard=guard)
