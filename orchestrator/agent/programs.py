"""Programs on this host: started without a shell, typed to, listened to, signalled, reaped.

Each gets a session of its own and default signals. What it writes is kept up to a bound; what goes over is read and thrown away, so that
a program that floods its output neither blocks nor fills memory, and the record says that it was clipped.
"""

import os
import signal

from .loop import READ, WRITE, Wait, now_ns, wake

KEPT_BYTES = 1 << 20
_DEFAULTS = {signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT}


class Stream:
    """One output of a program, read as it comes."""

    def __init__(self, loop, fd, changed):
        self.loop = loop
        self.fd = fd
        self.kept = bytearray()
        self.clipped = False
        self._changed = changed
        os.set_blocking(fd, False)
        loop.watch(fd, READ, self.read)

    def read(self, _events=0):
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

    def drain(self):
        """Take what a program left behind when it ended, but do not wait for a grandchild that still holds the pipe."""
        while self.fd >= 0:
            before = len(self.kept)
            self.read()
            if len(self.kept) == before:
                return

    def close(self):
        """Listen no more."""
        if self.fd >= 0:
            self.loop.unwatch(self.fd, self.read)
            os.close(self.fd)
            self.fd = -1

    def text(self):
        """What was kept, with bad bytes shown."""
        return self.kept.decode("utf-8", "backslashreplace")


class Program:
    """A program under way or ended (``status`` is its exit status, negative for the signal that ended it)."""

    def __init__(self, loop, argv, name=""):
        self.loop = loop
        self.argv = argv
        self.name = name
        self.status = None
        self.ended_ns = 0
        self.waiting = []
        ends = [os.pipe() for _ in range(3)]
        try:
            self.pid = _start(argv, ends[0][0], ends[1][1], ends[2][1])
        except OSError:
            for pair in ends:
                os.close(pair[0])
                os.close(pair[1])
            raise
        for fd in (ends[0][0], ends[1][1], ends[2][1]):
            os.close(fd)
        self.input = ends[0][1]
        os.set_blocking(self.input, False)
        self.stdout = Stream(loop, ends[1][0], self._wake)
        self.stderr = Stream(loop, ends[2][0], self._wake)
        loop.on_exit(self.pid, self._ended)

    @property
    def clipped(self):
        """Whether some of its output was thrown away."""
        return self.stdout.clipped or self.stderr.clipped

    def _ended(self, status):
        self.ended_ns = now_ns()
        self.stdout.drain()
        self.stderr.drain()
        self.status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        self.end_input()
        self._wake()

    def _wake(self):
        wake(self.waiting)

    def write(self, data):
        """Type to it, as a task; BrokenPipeError if it no longer listens."""
        view = memoryview(data)
        while view:
            if self.input < 0:
                raise BrokenPipeError(32, "the program's input has ended")
            try:
                view = view[os.write(self.input, view) :]
            except BlockingIOError:
                yield Wait(self.input, WRITE)

    def end_input(self):
        """Its input ends here (as Control-D)."""
        if self.input >= 0:
            os.close(self.input)
            self.input = -1

    def kill(self, number):
        """Signal its whole session; ProcessLookupError if it has ended."""
        if self.status is not None:
            raise ProcessLookupError(3, "the program has ended")
        os.killpg(self.pid, number)

    def close(self):
        """End it for good, with everything it started in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass
        self.end_input()
        self.stdout.close()
        self.stderr.close()


def _start(argv, stdin, stdout, stderr):
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    environment = dict(os.environ, PYTHONUNBUFFERED="1", LC_ALL="C.UTF-8")
    options = {"file_actions": actions, "setsigdef": _DEFAULTS, "setsigmask": ()}
    try:
        return os.posix_spawnp(argv[0], argv, environment, setsid=True, **options)
    except NotImplementedError:  # a C library without POSIX_SPAWN_SETSID
        return os.posix_spawnp(argv[0], argv, environment, setpgroup=0, **options)


def finish(program):
    """Wait as a task until ``program`` has ended; gives its status."""
    while program.status is None:
        yield Wait(on=program)
    return program.status


def output(loop, argv, stdin=b""):
    """Run a tool to its end as a task: ``(status, stdout, stderr)``."""
    program = Program(loop, argv)
    try:
        yield from program.write(stdin)
        program.end_input()
        yield from finish(program)
    finally:
        program.close()
    return program.status, program.stdout.text(), program.stderr.text()
