"""The words of a plan -> what a host does: one generator for each kind of action, in the table ``ACTIONS``.

An action gets its host, its own fields, and what is kept of it while it runs; it gives what its result adds, or raises. Whether that was
expected is not known here. The surprising fact: an exception here is a result, so what was done before it must already be remembered.
"""

from __future__ import annotations

import errno

from orchestrator.agent.lean import signal
from orchestrator.agent.loop import now_ns
from orchestrator.agent.seeing import observe
from orchestrator.agent.tasks import Interrupted, Wait

from . import changes, programs
from .changes import ChangeRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.host import Host, Kept, Running
    from orchestrator.agent.tasks import Steps

    Fields = dict[str, Any]
    Added = Steps["Fields | None"]

CUTTING = ("iptables", "remove", "sysctl", "offload", "ip")  # what could cut the control connection of a real host
_PATIENCE_NS = 1_000_000
_OWN = ("id", "start_ns", "end_ns", "planned_ns")  # of a result: what an action that waits for another does not take over


def raised(error: Exception) -> Fields:
    """What was raised, as names: the classes up to Exception, the errno's name (errno(3)), the words."""
    names = [cls.__name__ for cls in type(error).__mro__ if issubclass(cls, Exception)]
    if "timeout" in names:  # socket.timeout, which Python 3.10 made TimeoutError
        names = ["TimeoutError" if name == "timeout" else name for name in names]
    number = getattr(error, "errno", None)
    return {"exceptions": names, "errno": errno.errorcode.get(number, "") if number else "", "message": str(error)}


def _calls(host: Host, action: Fields, running: Running) -> Added:
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
            entry.update(raised(error), status="raised")
            raise
        finally:
            entry["end_ns"] = now_ns()
            entry["sockets"] = [host.sockets.held[name].facts() for name in touched if name in host.sockets.held]
    last = running.calls[-1]
    return {"value": last.get("value")}


def _iptables(host: Host, action: Fields, running: Running) -> Added:
    comment = f"orchestrate:{host.run}:{action['name']}"
    words = list(action["words"])
    kept = yield from host.make(changes.rule(host.loop, action["tool"], words, comment))
    yield from host.confirm(f"{action['tool']} {' '.join(words)}", [kept])
    if kept is not None:
        host.rules[action["name"]] = kept
    return None


def _remove(host: Host, action: Fields, running: Running) -> Added:
    rule = host.rules.get(action["name"])
    if rule is None:
        raise ChangeRefused(f"no rule called {action['name']} is in place")
    yield from host.take_back(rule)
    del host.rules[action["name"]]
    # One that lets through what another stops: without it the others may cut the control connection, so these go too.
    yield from host.confirm(f"{', '.join(host.rules)} without {action['name']}", list(host.rules.values()))
    return None


def _sysctl(host: Host, action: Fields, running: Running) -> Added:
    made = []
    for key, value in action["values"].items() if host.guard is not None else ():
        changes.must_come_back(key, value)
    for key, value in action["values"].items():
        made.append((yield from host.make(changes.sysctl(key, value))))
    yield from host.confirm("; ".join(f"sysctl {key} = {value}" for key, value in action["values"].items()), made)
    return None


def _offload(host: Host, action: Fields, running: Running) -> Added:
    made = []
    for interface in action.get("interfaces", ()):
        for name, wanted in action["values"].items():
            made.append((yield from host.make(changes.offload(interface, name, wanted=bool(wanted)))))
    values = ", ".join(f"{name} {'on' if wanted else 'off'}" for name, wanted in action["values"].items())
    yield from host.confirm(f"offload {values} of {', '.join(action.get('interfaces', ()))}", made)
    return None


def _ip(host: Host, action: Fields, running: Running) -> Added:
    words = list(action["words"])
    made = yield from set_up(host, words)
    yield from host.confirm(f"ip {' '.join(words)}", made)
    return None


def set_up(host: Host, words: list[str]) -> Steps[list[Kept]]:
    """Make a change with ip(8), as a task; gives its undos, kept, as a look at the host gave them.

    :raises ChangeRefused: it cannot be made, or nobody would know how to take it back.
    """
    from orchestrator.agent.safety import network

    made: list[Kept] = []
    for undo in (yield from network.undos_of(host.loop, words)):
        kept = yield from host.remember(undo)
        made.append(kept)
    try:
        yield from changes.command(host.loop, ["ip", *words])
    except changes.Doubtful:
        raise
    except (ChangeRefused, OSError):
        for kept in made:
            host.forget(kept)
        raise
    return made


def _file(host: Host, action: Fields, running: Running) -> Added:
    yield from host.make(changes.file(host.folder, action["name"], action["text"], executable=bool(action.get("executable"))))
    return None


def _start(host: Host, action: Fields, running: Running) -> Added:
    program = programs.Program(host.loop, list(action["argv"]), action["name"])
    host.started.append(program)
    host.programs[action["name"]] = program
    ready = action.get("ready", {})
    try:
        yield from _wait_ready(program, ready.get("listening"), ready.get("output"))
    finally:
        running.result.update(_written(program))
    return {"value": program.status}


def _wait_ready(program: programs.Program, port: int | None, pattern: str | None) -> Steps[None]:
    """A listener is ready when the kernel shows it; a program that ends before it is ready never will be."""
    while True:
        if port is not None and observe.listening(port):
            return
        if pattern is not None and _found(pattern, program.stdout.text() + program.stderr.text()):
            return
        if port is None and pattern is None:
            return
        if program.status is not None:
            raise ChildProcessError(f"it ended with status {program.status} before it was ready: {program.stderr.text().strip()}")
        yield Wait(deadline=now_ns() + _PATIENCE_NS if port is not None else None, on=program)


def _found(pattern: str, text: str) -> bool:
    import re  # some milliseconds, and few labs wait for a pattern

    return re.search(pattern, text, re.MULTILINE) is not None


def _run(host: Host, action: Fields, running: Running) -> Added:
    program = programs.Program(host.loop, list(action["argv"]))
    host.started.append(program)  # also when it has ended: it may have left something running
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


def _written(program: programs.Program) -> Fields:
    return {"stdout": program.stdout.text(), "stderr": program.stderr.text(), "clipped": program.clipped}


def _type(host: Host, action: Fields, running: Running) -> Added:
    program = host.programs[action["to"]]
    if program.status is not None:
        raise ProcessLookupError(errno.ESRCH, f"{action['to']} has ended with status {program.status}")
    yield from program.write(action.get("text", "").encode())
    if action.get("eof"):
        program.end_input()
    return None


def _signal(host: Host, action: Fields, running: Running) -> Added:
    program = host.programs[action["to"]]
    program.kill(getattr(signal, "SIG" + action["signal"]))
    return None
    yield


def _snapshot(host: Host, action: Fields, running: Running) -> Added:
    texts: Fields = {}
    for tool in action["tools"]:
        texts[tool] = host.backdrop.without(tool, (yield from observe.ask(host.loop, tool)))
    return {"snapshots": texts, "sockets": host.sockets.facts()}


def _wait(host: Host, action: Fields, running: Running) -> Added:
    """Wait for a program's end or for a background action; its outcome becomes ours."""
    name = action["on"]
    if name in host.programs:
        program = host.programs[name]
        yield from programs.finish(program)
        return dict(_written(program), value=program.status)
    awaited = host.named[name]
    while not awaited.over:
        yield Wait(on=awaited)
    return {key: value for key, value in awaited.result.items() if key not in _OWN}


ACTIONS: dict[str, Callable[[Host, Fields, Running], Added]] = {
    "calls": _calls,
    "iptables": _iptables,
    "remove": _remove,
    "sysctl": _sysctl,
    "offload": _offload,
    "ip": _ip,
    "file": _file,
    "start": _start,
    "run": _run,
    "type": _type,
    "signal": _signal,
    "snapshot": _snapshot,
    "wait": _wait,
}
