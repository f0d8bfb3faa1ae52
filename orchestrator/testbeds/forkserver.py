"""A small process that forks hosts: it has the agent loaded, so a host costs a fork and not the start of an interpreter.

::

    controller -- fork --> keeper -- fork --> fork server (process 1 of a PID namespace) -- fork --> host (process 1 of its own) ...

It starts before the event loop and before the controller's heavy imports, which then load while it makes itself ready. When the controller
ends, however it ends, the keeper is killed, with it the fork server, and with a process 1 the kernel kills its whole namespace: nothing can
be left. The surprising fact: a PID namespace can be unshared for one child only; ``setns`` back to the own one makes it ready for the next.
"""

from __future__ import annotations

import array
import contextlib
import errno
import json
import os
import signal
import socket
import sys

TYPE_CHECKING = False  # type checkers know the name; the module typing would cost a run several milliseconds here
if TYPE_CHECKING:
    from typing import NoReturn

MAX_MESSAGE_BYTES = 65_536
SWITCH = ""
"""The name of a host that is none: it holds the bridges of a testbed, and sees its neighbours' process ids."""

_ANSWER_S = 10.0
"""So long a fork may take: the controller waits for it and does nothing else, not even end."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ForkServer:
    """The controller's end: ask for hosts, get their channels and process handles."""

    def __init__(self) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._keeper = _fork()
        if self._keeper == 0:
            self._sock.close()
            _keep(theirs)
        theirs.close()
        self._sock.settimeout(_ANSWER_S)

    def spawn(self, name: str, hosts: str) -> tuple[socket.socket, int, int]:
        """Fork one host: its channel, its pidfd, and its process id as the switch sees it.

        :raises OSError: the fork server could not; its text says what was refused.
        :raises TestbedError: it has ended, or does not answer.
        """
        answer, fds = self._ask(json.dumps({"name": name, "hosts": hosts}).encode())
        frame = json.loads(answer)
        if "error" not in frame and len(fds) < 2:  # they were given, and we had no room for them (unix(7), MSG_CTRUNC)
            frame = {"error": os.strerror(errno.EMFILE), "errno": errno.EMFILE}
        if "error" in frame:
            for fd in fds:
                os.close(fd)
            raise OSError(frame["errno"], frame["error"])
        channel, pidfd = fds
        return socket.socket(fileno=channel), pidfd, frame["pid"]

    def _ask(self, request: bytes) -> tuple[bytes, list[int]]:
        """Its answer and what came with it. Once it was late it is asked no more: its next answer would be to another request."""
        answer, why = b"", "has ended"
        try:
            self._sock.send(request)
            answer, fds, _flags, _address = socket.recv_fds(self._sock, MAX_MESSAGE_BYTES, 2)
        except ConnectionError:
            pass
        except TimeoutError:
            self._sock.shutdown(socket.SHUT_RDWR)
            why = f"did not answer within {_ANSWER_S:g} s: it is stopped, or this machine has too much to do"
        if not answer:
            from orchestrator.errors import TestbedError

            raise TestbedError(f"the process that makes hosts {why}")
        return answer, fds

    def close(self) -> None:
        """End it, and every host with it."""
        self._sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._keeper, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._keeper, 0)


def _fork() -> int:
    """Fork; the child has no moment in which a signal meant for the controller would end it with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    pid = os.fork()
    if pid == 0:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _keep(sock: socket.socket) -> NoReturn:
    """The keeper: hold the namespaces that the fork server is process 1 of, and go when it goes."""
    try:
        _keep_server(sock)
    except ConnectionError:
        pass  # the controller has gone
    except Exception:  # noqa: BLE001  told like any other, but never on the controller's own way out
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _keep_server(sock: socket.socket) -> None:
    from orchestrator.agent.doing import view
    from orchestrator.testbeds import namespaces

    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)  # or a pipe behind the controller's output would stay open as long as we live
        if os.geteuid() != 0:
            namespaces.become_root_of_own()
        namespaces.die_with_parent()
        view.unshare(namespaces.CLONE_NEWPID, "PID namespace")
        child = os.fork()
    except OSError as error:
        _refuse_all(sock, error)
        return
    if child == 0:
        _serve(sock)
        return
    sock.close()
    os.waitpid(child, 0)


def _refuse_all(sock: socket.socket, error: OSError) -> None:
    """Answer every request with what the system refused."""
    while sock.recv(MAX_MESSAGE_BYTES):
        _refuse(sock, error)


def _refuse(sock: socket.socket, error: OSError) -> None:
    sock.send(json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode())


def _serve(sock: socket.socket) -> None:
    """The fork server: one request, one host, until the controller ends the conversation."""
    from orchestrator.testbeds import namespaces

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps (sigaction(2), SA_NOCLDWAIT's effect)
    namespaces.die_with_parent()
    from orchestrator.agent import service  # noqa: F401  loaded once, here, for all hosts

    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    while request := sock.recv(MAX_MESSAGE_BYTES):
        frame = json.loads(request)
        try:
            _spawn(sock, own, frame["name"], frame["hosts"])
        except OSError as error:
            _refuse(sock, error)


def _fork_process_one(own: int) -> int:
    """Fork process 1 of a new PID namespace; whatever happens, our next child is born into our own (``own``) again."""
    from orchestrator.agent.doing import view
    from orchestrator.testbeds import namespaces

    view.unshare(namespaces.CLONE_NEWPID, "PID namespace")
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            namespaces.setns(own, namespaces.CLONE_NEWPID, "PID namespace")
    return pid


def _spawn(sock: socket.socket, own: int, name: str, hosts: str) -> None:
    ours, theirs = socket.socketpair()
    try:
        pid = os.fork() if name == SWITCH else _fork_process_one(own)
        if pid == 0:
            sock.close()
            ours.close()
            os.close(own)
            _be_host(theirs, name, hosts)
        pidfd = os.pidfd_open(pid)
        fds = array.array("i", [ours.fileno(), pidfd])
        sock.sendmsg([json.dumps({"pid": pid}).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        os.close(pidfd)
    finally:
        ours.close()
        theirs.close()


def _be_host(channel: socket.socket, name: str, hosts: str) -> NoReturn:
    """Never returns: become the host, then be its agent. What goes wrong with either is told, never printed."""
    from orchestrator.agent import service
    from orchestrator.testbeds import namespaces

    try:
        namespaces.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        fd = channel.fileno()
        try:
            greeting: dict[str, object] = namespaces.become_switch() if name == SWITCH else namespaces.become_host(name, hosts)
        except OSError as error:
            _tell_failure(channel, text=error.strerror or str(error), errno=error.errno)
        else:
            service.serve(fd, fd, greeting)
    except Exception as error:  # noqa: BLE001  a host's process ends here, and in nobody else's traceback
        _tell_failure(channel, text=f"a fault in the agent: {type(error).__name__}: {error}")
    finally:
        os._exit(0)


def _tell_failure(channel: socket.socket, **fields: object) -> None:
    """The last words on a channel; whether anybody still hears them is not ours to know."""
    from orchestrator.agent import protocol

    with contextlib.suppress(OSError):
        channel.sendall(json.dumps({"tell": protocol.FAILED, **fields}).encode() + b"\n")
