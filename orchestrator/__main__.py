"""The program ``orchestrate``, also as ``python -m orchestrator``: its standard streams, then its commands.

For ``run`` the process that makes hosts is forked before anything else is imported: it is then small, and gets ready while this one
imports the rest. Surprising: standard output may lose its reader (``| head -1``) in the middle of a run, and the run goes on to its
verdict; only what there is to say goes nowhere. And Ctrl-C never raises ``KeyboardInterrupt``, which is lost with a traceback wherever
Python happens to be in a callback of its own, as it often is while it imports.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys

TYPE_CHECKING = False  # type checkers know the name; the module typing would cost a run several milliseconds here
if TYPE_CHECKING:
    from typing import NoReturn

    from _typeshed import ReadableBuffer


class _Outlet(io.FileIO):
    """A standard stream that nobody may be reading any more, or whose disk may be full."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, to the null device once there is no reader."""
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if error.errno != errno.EPIPE:
                _refuse(error)
        return memoryview(data).nbytes


def _refuse(error: OSError) -> NoReturn:
    from orchestrator.errors import OrchestratorError

    raise OrchestratorError(f"cannot write to the standard output: {error.strerror}") from error


def _prepare_streams() -> None:
    """Standard streams that can be used, whatever the program was started with (``>&-`` leaves none)."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, or our first socket would
            os.set_inheritable(null, True)
            stream = open(null, "w" if number else "r", encoding="utf-8")  # noqa: SIM115  as long as the program
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # or the number would be free again when `sys.stdout` is replaced
    told = sys.stdout
    buffer = io.BufferedWriter(_Outlet(told.fileno(), "wb", closefd=False))
    sys.stdout = io.TextIOWrapper(buffer, encoding=told.encoding, errors=told.errors, line_buffering=bool(told.line_buffering))


def _leave_on_signals() -> None:
    """Until runs answer them, and after them, there is nothing to keep or to undo: the process that makes hosts ends with this one."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is usual:  # whoever started us may have it ignored
            signal.signal(number, lambda *_: os._exit(130))


def main() -> None:
    """Begin."""
    _leave_on_signals()
    _prepare_streams()
    server = None
    if sys.argv[1:2] == ["run"]:
        from orchestrator.testbeds.forkserver import ForkServer

        server = ForkServer()
    from orchestrator.cli import main as commands

    commands(server)


if __name__ == "__main__":
    main()
