"""Programs on this host: started without a shell, typed to, listened to, signalled, reaped.

Each gets a session of its own and default signals. What it writes is kept up to a bound; what goes over is read and thrown away, so that
a program that floods its output neither blocks nor fills memory, and the record says that it was clipped. What a program means is not known
here. The surprising fact: a process group outlives its leader, and the leader's number is free again only when the group is empty too.
"""

from __future__ import annotations

import errno
import os

from orchestrator.agent.lean import signal
from orchestrator.agent.loop import READ, WRITE, now_ns
from orchestrator.agent.tasks import Wait, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps, Task

KEPT_BYTES = 1 << 20
_DEFAULTS = {signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT}


class Stream:
    """One output of a program, read as it comes; ``changed`` is called after each piece and at its end."""

    def __init__(self, loop: Loop, fd: int, changed: Callable[[], object]) -> None:
        self.loop = loop
        self.fd = fd
        self.kept = bytearray()
        self.clipped = False
        self._changed = changed
        os.set_blocking(fd, False)
        loop.watch(fd, READ, self.read)

    def read(self, _events: int = 0) -> None:
        """Take what is there; close at its end."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        else:
            room = KEPT_BYTES - len(self.kept)
            self.kept += data[:room]
            self.clipped = self.clipped or len(data) > room
        self._changed()

    def drain(self) -> None:
        """Take what a program left behind when it ended, but do not wait for a grandchild that still holds the pipe."""
        while self.fd >= 0:
            before = len(self.kept)
            self.read()
            if len(self.kept) == before:
                return

    def close(self) -> None:
        """Listen no more."""
        if self.fd >= 0:
            self.loop.unwatch(self.fd, self.read)
            os.close(self.fd)
            self.fd = -1

    def text(self) -> str:
        """What was kept; bytes that are no UTF-8 are shown in hexadecimal, after a backslash."""
        return self.kept.decode("utf-8", "backslashreplace")


class Program:
    """A program under way or ended (``status`` is its exit status, negative for the signal that ended it).

    :raises OSError: it could not be started (posix_spawnp(3)); nothing is left open then.
    """

    def __init__(self, loop: Loop, argv: list[str], name: str = "") -> None:
        self.loop = loop
        self.argv = argv
        self.name = name
        self.status: int | None = None
        self.ended_ns = 0
        self.waiting: list[Task] = []
        self.pid, self.input, out, err = _start(argv)
        os.set_blocking(self.input, False)
        self.stdout = Stream(loop, out, self._wake)
        self.stderr = Stream(loop, err, self._wake)
        loop.on_exit(self.pid, self._ended)

    @property
    def clipped(self) -> bool:
        """Whether some of its output was thrown away."""
        return self.stdout.clipped or self.stderr.clipped

    def _ended(self, status: int) -> None:
        self.ended_ns = now_ns()
        self.stdout.drain()
        self.stderr.drain()
        self.status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        self.end_input()
        self._wake()

    def _wake(self) -> None:
        wake(self.waiting)

    def write(self, data: bytes) -> Steps[None]:
        """Type to it, as a task.

        :raises BrokenPipeError: it does not listen, or no longer.
        """
        view = memoryview(data)
        while view:
            if self.input < 0:
                raise BrokenPipeError(errno.EPIPE, "the program's input has ended")
            try:
                view = view[os.write(self.input, view) :]
            except BlockingIOError:
                yield Wait(self.input, WRITE, on=self)

    def end_input(self) -> None:
        """Its input ends here (as Control-D); who is still typing is told."""
        if self.input >= 0:
            os.close(self.input)
            self.input = -1
            self._wake()

    def kill(self, number: int) -> None:
        """Signal its process group (kill(2)).

        :raises ProcessLookupError: it has ended.
        """
        if self.status is not None:
            raise ProcessLookupError(errno.ESRCH, "the program has ended")
        os.killpg(self.pid, number)

    def close(self) -> None:
        """End it for good, with everything it left in its process group."""
        if self.status is None or not _exists(self.pid):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except OSError:
                pass
        self.end_input()
        self.stdout.close()
        self.stderr.close()


def _exists(pid: int) -> bool:
    """Whether ``pid`` is a process: for a program that was reaped, a stranger, whose group is not ours to kill."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _start(argv: list[str]) -> tuple[int, int, int, int]:
    """Start it with three pipes; gives its process id and our ends: its input, its output, its errors."""
    ends: list[int] = []
    try:
        for _ in range(3):
            ends.extend(os.pipe())
        stdin, to_stdin, from_stdout, stdout, from_stderr, stderr = ends
        pid = _spawn(argv, stdin, stdout, stderr)
    except Exception:
        for fd in ends:
            os.close(fd)
        raise
    for fd in (stdin, stdout, stderr):
        os.close(fd)
    return pid, to_stdin, from_stdout, from_stderr


def _spawn(argv: list[str], stdin: int, stdout: int, stderr: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    environment = dict(os.environ, PYTHONUNBUFFERED="1", LC_ALL="C.UTF-8")
    try:
        return os.posix_spawnp(argv[0], argv, environment, setsid=True, file_actions=actions, setsigdef=_DEFAULTS, setsigmask=())
    except NotImplementedError:  # a C library without POSIX_SPAWN_SETSID
        return os.posix_spawnp(argv[0], argv, environment, setpgroup=0, file_actions=actions, setsigdef=_DEFAULTS, setsigmask=())


def finish(program: Program) -> Steps[int]:
    """Wait as a task until ``program`` has ended; gives its status."""
    while program.status is None:
        yield Wait(on=program)
    return program.status


def output(loop: Loop, argv: list[str], stdin: bytes = b"") -> Steps[tuple[int, str, str]]:
    """Run a tool to its end as a task: ``(status, stdout, stderr)``.

    :raises OSError: it could not be started. Whatever ends the task ends the tool too.
    """
    program = Program(loop, argv)
    try:
        try:
            yield from program.write(stdin)
        except BrokenPipeError:
            pass  # it gave up before it had read everything; its status and its words say why
        program.end_input()
        status = yield from finish(program)
    finally:
        program.close()
    if program.clipped:
        raise OSError(0, f"{argv[0]} wrote more than {KEPT_BYTES} bytes")
    return status, program.stdout.text(), program.stderr.text()
