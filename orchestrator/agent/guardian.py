"""The process that stays beside the agent on a real host, and undoes when the agent cannot.

::

    sshd -- python3: the guardian -- fork --> the agent, on standard input and output
                +---------- socket pair ----------+

The agent tells each undo before it makes the change, and every second that it lives. When it dies, or is silent because it was stopped,
the guardian kills it and everything that it left, undoes in reverse, writes what became of the run into the journal, says goodbye on
standard error (standard output may end in the middle of a line), lets go of the lock, and leaves. What a change is it does not know: undos
are data. The surprising fact: silence is counted in looks, not in time, so a guardian that was stopped together with its agent, and goes
on with it, does not kill it.
"""

from __future__ import annotations

import os
import time

from . import protocol, service
from .channel import Channel
from .lean import decode, encode, name_of_signal, signal, socket
from .loop import Loop, caught, now_ns
from .safety import processes, state, undoing
from .safety.journal import Journal, journals
from .tasks import Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

    from .tasks import Steps

    Frame = dict[str, Any]

LOOK_NS = 1_000_000_000
LOOKS = 10
"""So many looks without a sign of life, and the agent counts as stopped."""
SPARE_NS = 4_000_000_000
ASKED_NS = 10_000_000_000
"""How long the agent may take to leave when it was asked to."""
LAST_WORDS_S = 2
FATE_NS = 1_000_000_000
LONGEST_WORDS = 30_000
LINGER_NS = 5_000_000_000
"""How long the outcome of a run waits for its controller to ask; with all that comes before it is less than half a minute."""
KEEP_NS = 24 * 3600 * 1_000_000_000
"""How old an outcome is that a guardian left which was killed while it waited."""


class Guardian:
    """One agent's guardian, at its end ``fd`` of their socket pair; ``agent`` is the agent's process id."""

    def __init__(self, loop: Loop, fd: int, agent: int) -> None:
        self.undos: dict[int, Frame] = {}
        self.facts: Frame = {}
        self._loop = loop
        self._agent = agent
        self._lock: Any = None
        self._journal: Any = None
        self._adopts = False
        self._doubts: dict[int, str] = {}
        self._missed = 0
        self._heard = True
        self._bye: Frame | None = None
        self._ending = False
        os.set_blocking(fd, False)
        self._status: int | None = None
        self.channel = Channel(loop, fd, fd, self._line, lambda _reason: self.take_over(""))
        loop.on_exit(agent, self._agent_ended)
        loop.on_signal = self._signalled
        loop.call_at(now_ns() + LOOK_NS, self._look)

    # -- what the agent asks

    def _line(self, line: bytes) -> None:
        frame = decode(line)
        self._heard = True
        try:
            answer = _ASKS[frame["ask"]](self, frame)
        except Exception as error:
            if "id" in frame:
                text = str(error) if not isinstance(error, OSError) else _no_journal(error)
                self._send({"id": frame["id"], "error": text, "kind": type(error).__name__})
        else:
            if "id" in frame:
                self._send({"id": frame["id"], "ok": answer})

    def _send(self, frame: Frame) -> None:
        if not self._ending:
            self.channel.send(frame)

    def _beat(self, _frame: Frame) -> None:
        """It lives."""

    def _hold(self, frame: Frame) -> Frame:
        run = state.checked(frame["run"])
        now_unix_ns = time.time_ns()
        facts: Frame = {"run": run, "who": str(frame["who"])[:200], "since_ns": now_unix_ns}
        facts.update(guardian=processes.who(os.getpid()), agent=processes.who(self._agent))
        lock = state.Lock(facts)
        try:
            for told in journals(lock.folder):
                told.must_be_empty()
                if told.run == run or now_unix_ns - os.lstat(told.path).st_mtime_ns > KEEP_NS:
                    os.unlink(told.path)
            self._journal = Journal(lock.folder, run, facts)
        except Exception:
            lock.release()
            raise
        self._lock, self.facts = lock, facts
        self._adopts = not frame["programs"] or processes.adopt_orphans()
        return dict(facts, lock=lock.path, journal=self._journal.path, folder=lock.folder, adopts=self._adopts)

    def _remember(self, frame: Frame) -> None:
        self._journal.write({"remember": frame["number"], "undo": frame["undo"]})
        self.undos[frame["number"]] = frame["undo"]

    def _forget(self, frame: Frame) -> None:
        if self.undos.pop(frame["forget"], None) is not None:
            self._journal.try_to_write({"forget": frame["forget"]})

    def _doubt(self, frame: Frame) -> None:
        self._doubts[frame["number"]] = frame["what"]
        self._loop.call_at(now_ns() + int(protocol.CONFIRM_S * 1e9) + SPARE_NS, self._despair, frame["number"])

    def _settle(self, frame: Frame) -> None:
        self._doubts.pop(frame["number"], None)

    def _despair(self, number: int) -> None:
        if number in self._doubts:
            self.take_over(f"the agent {self._stopped('was silent')} and did not take back a change that was not confirmed")

    def _take_bye(self, frame: Frame) -> None:
        self._bye = frame

    # -- the end

    def _signalled(self, number: int) -> None:
        """Asked to end: the agent undoes and leaves by itself, if it can."""
        reason = f"signal {number}"
        self._send({"leave": reason})
        self._loop.call_at(now_ns() + ASKED_NS, self.take_over, f"{reason}, and the agent did not leave")

    def _look(self) -> None:
        self._missed = 0 if self._heard else self._missed + 1
        self._heard = False
        if self._missed >= LOOKS:
            self.take_over(f"the agent {self._stopped('was silent: its host has too much to do')}")
        elif not self._ending:
            self._loop.call_at(now_ns() + LOOK_NS, self._look)

    def _stopped(self, otherwise: str) -> str:
        return "was stopped (SIGSTOP)" if processes.is_stopped(self._agent) else otherwise

    def _agent_ended(self, status: int) -> None:
        self._status = status

    def _fate(self) -> Steps[str]:
        """How the agent ended by itself, which is known a moment after its end of the socket pair was closed."""
        until = now_ns() + FATE_NS
        while self._status is None and now_ns() < until:
            yield Wait(deadline=now_ns() + FATE_NS // 256)
        if self._status is not None and os.WIFSIGNALED(self._status):
            return "the agent was killed by " + name_of_signal(os.WTERMSIG(self._status))
        return "the agent died"

    def take_over(self, reason: str) -> None:
        """End the agent, if it has not ended (then without a ``reason``), and do what it can do no more. Once."""
        if not self._ending:
            self._ending = True
            self._loop.spawn(self._end(reason), lambda _value, _error: self._loop.stop())

    def _end(self, reason: str) -> Steps[None]:
        _kill(self._agent)
        still = yield from processes.end(processes.left_by(self.facts.get("run", ""), adopts=self._adopts))
        undone, failed = yield from undoing.all_back(self._loop, dict(self.undos), lambda number: self._forget({"forget": number}))
        failed = still + failed
        reason = reason or (yield from self._fate())
        bye = self._bye or {}
        if self._doubts:
            reason += f"; not confirmed was: {'; '.join(self._doubts.values())}"
        outcome = {"reason": bye.get("reason", reason), "undone": bye.get("undone", []) + undone, "not_undone": failed}
        nothing_to_tell = bool(bye) and not failed and (bye["finished"] or not outcome["undone"])
        self._close_journal(outcome, quiet=nothing_to_tell)
        if not bye:
            _say(dict(outcome, tell=protocol.GOODBYE))
        if self._lock is not None:
            self._lock.release()
        _hang_up()
        processes.let_go(cut_off=bool(bye.get("cut_off")))
        if self._journal is not None and not (nothing_to_tell or failed):
            yield from self._wait_to_be_asked()

    def _wait_to_be_asked(self) -> Steps[None]:
        """Keep the outcome for a controller that has lost us and comes back to ask, but not for ever: nothing of a run is to stay."""
        until = now_ns() + LINGER_NS
        while now_ns() < until and os.path.exists(self._journal.path):
            yield Wait(deadline=now_ns() + LINGER_NS // 32)
        self._journal.vanish()

    def _close_journal(self, outcome: Frame, *, quiet: bool) -> None:
        if self._journal is None:
            return
        if quiet:
            self._journal.remove()
            return
        self._journal.try_to_write({"ended": outcome["reason"], "undone": outcome["undone"], "not_undone": outcome["not_undone"]})
        self._journal.close()


_ASKS: dict[str, Callable[[Guardian, Frame], Any]] = {
    "beat": Guardian._beat,  # noqa: SLF001  the class's own table
    "hold": Guardian._hold,  # noqa: SLF001
    "remember": Guardian._remember,  # noqa: SLF001
    "forget": Guardian._forget,  # noqa: SLF001
    "doubt": Guardian._doubt,  # noqa: SLF001
    "settle": Guardian._settle,  # noqa: SLF001
    "bye": Guardian._take_bye,  # noqa: SLF001
}


def _no_journal(error: OSError) -> str:
    return f"no room for the journal in {state.place()}: {error.strerror}"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _say(frame: Frame) -> None:
    """The last words, on standard error; whoever does not read them does not keep us."""
    data = encode(frame).encode()
    if len(data) > LONGEST_WORDS:
        data = encode(dict(frame, undone=[f"{len(frame['undone'])} changes"])).encode()
    signal.signal(signal.SIGALRM, _enough)
    signal.alarm(LAST_WORDS_S)
    try:
        os.write(2, data + b"\n")
    except OSError:
        pass
    signal.alarm(0)


def _hang_up() -> None:
    """Let go of standard error, or the controller would wait for more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def _enough(_signal: int, _frame: FrameType | None) -> None:
    raise OSError("nobody listens")


def main() -> None:
    """Fork the agent onto standard input and output, and be its guardian."""
    signal.alarm(0)  # whoever launched us had a limit for our coming
    ours, theirs = socket.socketpair()
    agent = os.fork()
    if agent == 0:
        ours.close()
        _be_agent(theirs)
    theirs.close()
    _be_guardian(ours, agent)


def _be_agent(sock: socket.socket) -> NoReturn:
    status = 1
    try:
        os.setsid()
        service.main(sock.fileno())
        status = 0
    finally:
        os._exit(status)


def _be_guardian(sock: socket.socket, agent: int) -> None:
    try:
        os.setsid()
    except OSError:
        pass  # sshd has done it
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, caught)
    loop = Loop()
    guardian = Guardian(loop, sock.fileno(), agent)
    while True:
        try:
            loop.run()
        except Exception as error:
            guardian.take_over(f"a fault in the guardian: {type(error).__name__}: {error}")
        else:
            os._exit(0)  # there is nothing to tidy, and tidying takes longer than all else that is left
