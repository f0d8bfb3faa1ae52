"""Frames in, frames out: prepare, arm, fire, report; at the end of input, or at a deadline, undo and leave.

``serve(read_fd, write_fd, greeting)`` is the whole agent: over pipes, over SSH, and in the process 1 of a namespace host. Standard output
belongs
to the frames alone, so it is moved away before anything else could print to it. Private folders, captures and undos are made on demand: a
run that needs none pays for none.
"""

import base64
import json
import os

from . import capture, changes, observe, protocol
from .host import Host, private_folder
from .loop import READ, WRITE, Loop, Wait, calm, hurry, now_ns, spin_until

FLUSH_BYTES = 48 * 1024
FLUSH_NS = 250_000_000
LEAD_NS = 2_000_000
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Refusal(Exception):
    """The controller asked for something that this agent cannot do now."""


class Service:
    """One agent: its channel, its host, its captures."""

    def __init__(self, loop, source, sink):
        self.loop = loop
        self.source = source
        self.sink = sink
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.blocked = False
        self.program = {}
        self.host = Host(loop, "", "/")
        self.capture = None
        self.heard_ns = now_ns()
        self.deadline_ns = None
        self.leaving = False
        loop.watch(source, READ, self._readable)
        loop.call_at(now_ns() + int(protocol.SILENCE_S * 1e9), self._check_silence)

    # -- frames

    def tell(self, kind, **fields):
        """Say something unasked."""
        fields["tell"] = kind
        self._send(fields)

    def _send(self, frame):
        self.outbox += _encode(frame).encode()
        self.outbox += b"\n"
        if not self.blocked:
            self._flush()

    def _flush(self, _events=0):
        try:
            while self.outbox:
                del self.outbox[: os.write(self.sink, self.outbox)]
        except BlockingIOError:
            if not self.blocked:
                self.blocked = True
                self.loop.watch(self.sink, WRITE, self._flush)
            return
        except OSError:
            del self.outbox[:]
            self._leave("the channel ended")
        if self.blocked:
            self.blocked = False
            self.loop.unwatch(self.sink, self._flush)

    def _readable(self, _events):
        try:
            data = os.read(self.source, 262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.loop.unwatch(self.source, self._readable)
            self._leave("the channel ended")
            return
        self.heard_ns = now_ns()
        self.inbox += data
        while True:
            end = self.inbox.find(b"\n")
            if end < 0:
                break
            line = bytes(self.inbox[:end])
            del self.inbox[: end + 1]
            self._serve(line)
        if len(self.inbox) > protocol.MAX_FRAME_BYTES:
            self._leave("a frame is too long")

    def _serve(self, line):
        number = None
        try:
            frame = json.loads(line)
            number = frame.get("id")
            _ASKS[frame["ask"]](self, number, frame)
        except Exception as error:
            self.refuse(number, error)

    def answer(self, number, value=None):
        """The answer to ask ``number``."""
        self._send({"id": number, "ok": value})

    def refuse(self, number, error):
        """No answer, and why."""
        self._send({"id": number, "error": str(error) or type(error).__name__, "kind": type(error).__name__})

    def spawn(self, number, steps, deadline=None):
        """A task whose result is the answer to ask ``number``."""

        def done(value, error):
            if error is None:
                self.answer(number, value)
            else:
                self.refuse(number, error)

        self.loop.spawn(steps, done, deadline)

    # -- asks

    def _ask_beat(self, number, frame):
        """Both clocks, as a sign of life."""
        self.answer(number, observe.clock())

    def _ask_lines(self, number, frame):
        """Feed iproute2 its lines, write sysctls, then wait until the named interfaces work."""
        self.spawn(number, self._lines(frame), now_ns() + 20_000_000_000)

    def _lines(self, frame):
        for key, value in frame.get("sysctl", {}).items():
            changes.sysctl(key, value)
        if frame.get("lines"):
            yield from changes.command(self.loop, [frame.get("tool", "ip"), "-batch", "-"], "\n".join(frame["lines"]).encode() + b"\n")
        for interface in frame.get("interfaces", ()):
            while not observe.running(interface):
                yield Wait(deadline=now_ns() + 200_000)

    def _ask_prepare(self, number, frame):
        """The whole program of this host, before anything moves."""
        self.program = {action["id"]: action for action in frame["actions"]}
        folder = frame.get("folder")
        undo = None
        if folder is None and frame.get("private"):
            folder, undo = private_folder(frame["run"])
        self.host = Host(self.loop, frame["run"], folder or "/")
        self.host.remember(undo)
        if "deadline_ns" in frame:
            self.deadline_ns = now_ns() + frame["deadline_ns"]
            self.loop.call_at(self.deadline_ns, self._overdue, self.deadline_ns)
        for interface in frame.get("interfaces", ()):
            for name, wanted in frame.get("offload", {}).items():
                self.host.remember(changes.offload(interface, name, wanted))
        for key, value in frame.get("sysctl", {}).items():
            self.host.remember(changes.sysctl(key, value))
        self.answer(number)

    def _ask_capture(self, number, frame):
        """Begin to capture; the answer is the instant from which on nothing is missed."""
        self.capture = capture.Capture(frame["interfaces"], frame.get("filter", ""))
        self.loop.watch(self.capture.sock.fileno(), READ, self._frames)
        self.answer(number, {"ready_ns": now_ns()})
        self.loop.call_at(now_ns() + FLUSH_NS, self._flush_capture)

    def _frames(self, _events):
        if len(self.outbox) > 64 * FLUSH_BYTES:
            return  # the controller does not keep up; what the kernel then loses it counts
        self.capture.drain(64)
        if len(self.capture.pending) > FLUSH_BYTES:
            self._send_frames()

    def _send_frames(self):
        data = self.capture.take()
        if data:
            self.tell(protocol.PACKETS, data=base64.b64encode(data).decode("ascii"))

    def _flush_capture(self):
        if self.capture is not None:
            self._send_frames()
            self.loop.call_at(now_ns() + FLUSH_NS, self._flush_capture)

    def _ask_fire(self, number, frame):
        """Begin actions by id, now or at an instant; the answer comes when all have ended or run in the background."""
        ids, at = frame["actions"], frame.get("at", 0)
        missing = [name for name in ids if name not in self.program]
        if missing:
            raise Refusal("nothing was prepared as %s" % missing[0])
        if at:
            self.loop.call_at(at - LEAD_NS, self._armed, number, ids, at)
        else:
            self._fire(number, ids, 0)

    def _armed(self, number, ids, at):
        hurried = hurry()
        try:
            spin_until(at)
            self._fire(number, ids, at)
        finally:
            if hurried:
                calm()

    def _fire(self, number, ids, planned):
        results = []

        def arrive(result):
            results.append(result)
            if len(results) == len(ids):
                self.answer(number, results)

        for name in ids:
            prepared = self.program[name]
            if not prepared.get("background"):
                self.host.begin(prepared, planned, arrive)
                continue
            early = []
            running = self.host.begin(prepared, planned, lambda result, early=early: self._ended(result, early))
            early.append(True)
            arrive(_so_far(running))

    def _ended(self, result, early):
        if early:  # else the answer to its fire already tells its end
            self.tell(protocol.ENDED, result=result)

    def _ask_observe(self, number, frame):
        """The words of one observer, the sockets known at that moment, and when it was."""
        self.spawn(number, self._observe(frame), now_ns() + 10_000_000_000)

    def _observe(self, frame):
        tool = frame["tool"]
        if tool == "output":
            program = self.host.programs.get(frame["program"])
            if program is None:
                raise Refusal("no program is called %s" % frame["program"])
            text = program.stdout.text() + program.stderr.text()
        else:
            text = yield from observe.ask(self.loop, tool)
        return {"text": text, "at_ns": now_ns(), "sockets": self.host.sockets.facts()}

    def _ask_environment(self, number, frame):
        """The fingerprint of this host."""
        self.spawn(number, observe.environment(self.loop, frame.get("tools", ()), frame.get("interfaces", ())), now_ns() + 10_000_000_000)

    def _ask_hold(self, number, frame):
        """Stay as long as the controller is heard of."""
        self.deadline_ns = None
        self.answer(number)

    def _ask_seal(self, number, frame):
        """End the capture, before any host undoes what would still send segments."""
        self.answer(number, self._seal())

    def _seal(self):
        """What the capture came to; ``None`` where there is none."""
        if self.capture is None:
            return None
        taken, self.capture = self.capture, None
        self.loop.unwatch(taken.sock.fileno(), self._frames)
        taken.stop()
        data = taken.take()
        if data:
            self.tell(protocol.PACKETS, data=base64.b64encode(data).decode("ascii"))
        # Closing waits for the kernel (RCU, 7 to 15 ms): after the answer, off the user's path.
        self.loop.call_at(now_ns(), taken.sock.close)
        return {"frames": taken.frames, "dropped": taken.dropped, "end_ns": now_ns()}

    def _ask_finish(self, number, frame):
        """Interrupt what blocks, end the capture, undo everything, and say so."""
        self.deadline_ns = None
        self.spawn(number, self._finish())

    def _finish(self):
        answer = {"clock": observe.clock(), "capture": self._seal()}
        self.host.interrupt()
        answer["undone"], answer["not_undone"] = yield from self.host.undo()
        return answer

    # -- leaving

    def _check_silence(self):
        silence = int(protocol.SILENCE_S * 1e9)
        if now_ns() - self.heard_ns > silence:
            self._leave("the controller was silent for %d s" % protocol.SILENCE_S)
        else:
            self.loop.call_at(self.heard_ns + silence + 1, self._check_silence)

    def _overdue(self, deadline):
        if self.deadline_ns == deadline:
            self._leave("the run's deadline passed")

    def _leave(self, reason):
        if self.leaving:
            return
        self.leaving = True

        def done(value, error):
            undone = value.get("undone", []) if value else []
            self.tell(protocol.GOODBYE, reason=reason, undone=undone)
            self.loop.stop()

        self.loop.spawn(self._finish(), done, now_ns() + 10_000_000_000)


def _so_far(running):
    """The result of a background action at the moment its fire is answered: its end, if it has already ended."""
    if running.task.over:
        return running.result
    return dict(running.result, status="running", calls=[dict(call) for call in running.calls])


_ASKS = {
    protocol.BEAT: Service._ask_beat,
    protocol.LINES: Service._ask_lines,
    protocol.PREPARE: Service._ask_prepare,
    protocol.CAPTURE: Service._ask_capture,
    protocol.FIRE: Service._ask_fire,
    protocol.OBSERVE: Service._ask_observe,
    protocol.ENVIRONMENT: Service._ask_environment,
    protocol.HOLD: Service._ask_hold,
    protocol.SEAL: Service._ask_seal,
    protocol.FINISH: Service._ask_finish,
}


def serve(source, sink, **greeting):
    """Be the agent on two descriptors until told to leave."""
    os.set_blocking(source, False)
    os.set_blocking(sink, False)
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    loop = Loop()
    service = Service(loop, source, sink)
    service.tell(protocol.HELLO, version=protocol.VERSION, clock=observe.clock(), **dict(observe.identity(), **greeting))
    loop.run()
    service._flush()


def main():
    """Be the agent on standard input and output; whatever else prints goes to standard error."""
    sink = os.dup(1)
    os.dup2(2, 1)
    source = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    serve(source, sink)
