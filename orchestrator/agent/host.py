"""A host's work: the prepared actions, under way and done, and what has to be undone.

Knows nothing of frames. Every action is a task that ends in a result, a plain dict that the controller's record takes over: ``status`` is
``done``, ``raised``, ``timeout`` or ``blocked``; what TCP did (an exception of a socket call) is a result like any other.
"""

import os
import re
import signal

from . import changes, observe, programs
from .changes import ChangeRefused
from .loop import Interrupted, Wait, now_ns, wake
from .sockets import Sockets

_PATIENCE_NS = 1_000_000


class Running:
    """One action under way or over: its result so far, and who waits for it."""

    def __init__(self, prepared):
        self.prepared = prepared
        self.result = {"id": prepared["id"]}
        self.calls = []
        self.waiting = []
        self.task = None


class Host:
    """All that one run does on this host."""

    def __init__(self, loop, run, folder):
        self.loop = loop
        self.run = run
        self.folder = folder
        self.sockets = Sockets()
        self.programs = {}
        self.named = {}
        self.rules = {}
        self.undos = []
        self.running = {}

    def begin(self, prepared, planned, done):
        """Start an action; ``done(result)`` is called when it is over, which may be at once."""
        running = Running(prepared)
        self.running[prepared["id"]] = running
        if prepared.get("name"):
            self.named[prepared["name"]] = running
        running.result.update(start_ns=now_ns(), planned_ns=planned, status="done")
        deadline = running.result["start_ns"] + prepared["timeout_ns"]

        def over(value, error):
            running.result["end_ns"] = now_ns()
            running.result.update(_outcome(value, error))
            if running.calls:
                running.result["calls"] = running.calls
            done(running.result)
            wake(running.waiting)

        running.task = self.loop.spawn(ACTIONS[prepared["action"]["do"]](self, prepared["action"], running), over, deadline)
        return running

    def interrupt(self):
        """Stop whatever still blocks; each is recorded as ``blocked``."""
        for running in list(self.running.values()):
            if running.task is not None:
                running.task.interrupt("blocked")

    def remember(self, undo):
        """Keep an undo until the end; ``None`` is nothing to undo."""
        if undo is not None:
            self.undos.append(undo)

    def undo(self):
        """Everything back, last first, as a task: ``(undone, not undone)`` in words."""
        self.sockets.close()
        for program in self.programs.values():
            program.close()
        undone, failed = [], []
        while self.undos:
            text, steps = self.undos.pop()
            try:
                yield from steps()
                undone.append(text)
            except Exception as error:
                failed.append("%s (%s)" % (text, error))
        return undone, failed


def _outcome(value, error):
    if error is None:
        return value or {}
    if isinstance(error, Interrupted):
        return {"status": error.status}
    return dict(_raised(error), status="raised")


def _raised(error):
    """What was raised, as names: the classes up to Exception, the errno's name, the words."""
    import errno

    names = [cls.__name__ for cls in type(error).__mro__ if issubclass(cls, Exception)]
    if "timeout" in names:  # socket.timeout, which Python 3.10 made TimeoutError
        names = ["TimeoutError" if name == "timeout" else name for name in names]
    number = getattr(error, "errno", None)
    return {"exceptions": names, "errno": errno.errorcode.get(number, ""), "message": str(error)}


def _calls(host, action, running):
    for call in action["calls"]:
        entry = {"text": call["text"], "method": call["method"], "status": "done", "start_ns": now_ns()}
        running.calls.append(entry)
        touched = [call.get("receiver")]
        try:
            entry["value"], touched = yield from host.sockets.call(call)
        except Interrupted as stop:
            entry["status"] = stop.status
            raise
        except Exception as error:
            entry.update(_raised(error), status="raised")
            raise
        finally:
            entry["end_ns"] = now_ns()
            entry["sockets"] = [host.sockets.held[name].facts() for name in touched if name in host.sockets.held]
    last = running.calls[-1]
    return {"value": last.get("value")}


def _iptables(host, action, running):
    comment = "orchestrate:%s:%s" % (host.run, action["name"])
    undo = yield from changes.iptables(host.loop, action["tool"], action["words"], comment)
    host.rules[action["name"]] = undo
    host.remember(undo)


def _remove(host, action, running):
    undo = host.rules.pop(action["name"], None)
    if undo is None:
        raise ChangeRefused("no rule called %s is in place" % action["name"])
    yield from undo[1]()
    host.undos.remove(undo)


def _sysctl(host, action, running):
    for key, value in action["values"].items():
        host.remember(changes.sysctl(key, value))
    return
    yield


def _offload(host, action, running):
    for interface in action.get("interfaces", ()):
        for name, wanted in action["values"].items():
            host.remember(changes.offload(interface, name, wanted))
    return
    yield


def _file(host, action, running):
    host.remember(changes.file(host.folder, action["name"], action["text"], action.get("executable", False)))
    return
    yield


def _start(host, action, running):
    program = programs.Program(host.loop, list(action["argv"]), action["name"])
    host.programs[action["name"]] = program
    ready = action.get("ready", {})
    try:
        yield from _wait_ready(program, ready.get("listening"), ready.get("output"))
    finally:
        running.result.update(_written(program))
    return {"value": program.status}


def _wait_ready(program, port, pattern):
    """A listener is ready when the kernel shows it; a program that ends before it is ready never will be."""
    while True:
        if port is not None and observe.listening(port):
            return
        if pattern is not None and re.search(pattern, program.stdout.text() + program.stderr.text(), re.MULTILINE):
            return
        if port is None and pattern is None:
            return
        if program.status is not None:
            raise ChildProcessError("it ended with status %d before it was ready: %s" % (program.status, program.stderr.text().strip()))
        yield Wait(deadline=now_ns() + _PATIENCE_NS if port is not None else None, on=program)


def _run(host, action, running):
    program = programs.Program(host.loop, list(action["argv"]))
    name = running.prepared.get("name")
    if name:
        host.programs[name] = program
    else:
        program.end_input()
    try:
        yield from programs.finish(program)
    finally:
        running.result.update(_written(program))
        if program.status is None:
            program.close()
    return {"value": program.status}


def _written(program):
    return {"stdout": program.stdout.text(), "stderr": program.stderr.text(), "clipped": program.clipped}


def _type(host, action, running):
    program = host.programs[action["to"]]
    if program.status is not None:
        raise ProcessLookupError(3, "%s has ended with status %d" % (action["to"], program.status))
    yield from program.write(action.get("text", "").encode())
    if action.get("eof"):
        program.end_input()


def _signal(host, action, running):
    program = host.programs[action["to"]]
    program.kill(getattr(signal, "SIG" + action["signal"]))
    return
    yield


def _snapshot(host, action, running):
    texts = {}
    for tool in action["tools"]:
        texts[tool] = yield from observe.ask(host.loop, tool)
    return {"snapshots": texts, "sockets": host.sockets.facts()}


def _wait(host, action, running):
    """Wait for a program's end or for a background action; its outcome becomes ours."""
    name = action["on"]
    if name in host.programs:
        program = host.programs[name]
        yield from programs.finish(program)
        return dict(_written(program), value=program.status)
    awaited = host.named[name]
    while awaited.task is None or not awaited.task.over:
        yield Wait(on=awaited)
    skipped = ("id", "start_ns", "end_ns", "planned_ns")
    return {key: value for key, value in awaited.result.items() if key not in skipped}


ACTIONS = {
    "calls": _calls,
    "iptables": _iptables,
    "remove": _remove,
    "sysctl": _sysctl,
    "offload": _offload,
    "file": _file,
    "start": _start,
    "run": _run,
    "type": _type,
    "signal": _signal,
    "snapshot": _snapshot,
    "wait": _wait,
}


def private_folder(run):
    """A folder that only we can enter, under an unguessable name, and the undo that takes it away with all that is in it."""
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="orchestrate-%s-" % run)
    os.chdir(folder)

    def undo():
        os.chdir("/")
        shutil.rmtree(folder)
        return
        yield

    return folder, ("rm -r %s" % folder, undo)
