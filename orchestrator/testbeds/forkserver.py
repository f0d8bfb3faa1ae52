"""A small process that forks hosts: it has the agent loaded, so a host costs a fork and not the start of an interpreter.

::

    controller -- fork --> keeper -- fork --> fork server (process 1 of a PID namespace) -- fork --> host (process 1 of its own) ...

It starts before the event loop and before the controller's heavy imports, which then load while it makes itself ready. When the controller
ends,
however it ends, the keeper is killed, with it the fork server, and with a process 1 the kernel kills its whole namespace: nothing can be
left. The
surprising fact: a PID namespace can be unshared for one child only; ``setns`` back to the own one makes it ready for the next.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import sys

MAX_MESSAGE_BYTES = 65_536
SWITCH = ""
"""The name of a host that is none: it holds the bridges of a testbed, and sees its neighbours' process ids."""


class ForkServer:
    """The controller's end: ask for hosts, get their channels and process handles."""

    def __init__(self) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._keeper = _fork()
        if self._keeper == 0:
            self._sock.close()
            _keep(theirs)
        theirs.close()

    def spawn(self, name: str, hosts: str) -> tuple[socket.socket, int, int]:
        """Fork one host: its channel, its pidfd, and its process id as the switch sees it.

        :raises OSError: the fork server could not; its text says what was refused.
        """
        self._sock.send(json.dumps({"name": name, "hosts": hosts}).encode())
        answer, fds, _flags, _address = socket.recv_fds(self._sock, MAX_MESSAGE_BYTES, 2)
        if not answer:
            raise OSError("the process that makes hosts has ended")
        frame = json.loads(answer)
        if "error" in frame:
            for fd in fds:
                os.close(fd)
            raise OSError(frame["errno"], frame["error"])
        channel, pidfd = fds
        return socket.socket(fileno=channel), pidfd, frame["pid"]

    def close(self) -> None:
        """End it, and every host with it."""
        self._sock.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._keeper, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._keeper, 0)


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    return os.fork()


def _keep(sock: socket.socket) -> None:
    """The keeper: hold the namespaces that the fork server is process 1 of, and go when it goes."""
    from orchestrator.testbeds import namespaces

    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)  # or a pipe behind the controller's output would stay open as long as we live
        if os.geteuid() != 0:
            namespaces.become_root_of_own()
        namespaces.die_with_parent()
        namespaces.unshare(namespaces.CLONE_NEWPID, "PID namespace")
        child = os.fork()
    except OSError as error:
        _refuse_all(sock, error)
    if child == 0:
        _serve(sock)
    sock.close()
    os.waitpid(child, 0)
    os._exit(0)


def _refuse_all(sock: socket.socket, error: OSError) -> None:
    """Answer the first request with what the system refused."""
    with contextlib.suppress(OSError):
        if sock.recv(MAX_MESSAGE_BYTES):
            sock.send(json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode())
    os._exit(1)


def _serve(sock: socket.socket) -> None:
    """The fork server: one request, one host, until the controller ends the conversation."""
    from orchestrator.testbeds import namespaces

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps (sigaction(2), SA_NOCLDWAIT's effect)
    namespaces.die_with_parent()
    from orchestrator.agent import service  # noqa: F401  loaded once, here, for all hosts

    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    while request := sock.recv(MAX_MESSAGE_BYTES):
        frame = json.loads(request)
        try:
            _spawn(sock, own, frame["name"], frame["hosts"])
        except OSError as error:
            sock.send(json.dumps({"error": error.strerror or str(error), "errno": error.errno}).encode())
    os._exit(0)


def _spawn(sock: socket.socket, own: int, name: str, hosts: str) -> None:
    from orchestrator.testbeds import namespaces

    ours, theirs = socket.socketpair()
    if name != SWITCH:
        namespaces.unshare(namespaces.CLONE_NEWPID, "PID namespace")
    pid = os.fork()
    if pid == 0:
        sock.close()
        ours.close()
        os.close(own)
        _be_host(theirs, name, hosts)
    try:
        if name != SWITCH:
            namespaces.setns(own, namespaces.CLONE_NEWPID, "PID namespace")
        pidfd = os.pidfd_open(pid)
        fds = array.array("i", [ours.fileno(), pidfd])
        sock.sendmsg([json.dumps({"pid": pid}).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        os.close(pidfd)
    finally:
        ours.close()
        theirs.close()


def _be_host(channel: socket.socket, name: str, hosts: str) -> None:
    """Never returns: become the host, then be its agent."""
    from orchestrator.agent import protocol, service
    from orchestrator.testbeds import namespaces

    try:
        namespaces.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        fd = channel.fileno()
        try:
            if name == SWITCH:
                namespaces.become_switch()
                left_out: tuple[str, ...] = ()
            else:
                left_out = namespaces.become_host(name, hosts)
        except OSError as error:
            text = json.dumps({"tell": protocol.FAILED, "text": error.strerror or str(error), "errno": error.errno})
            channel.sendall(text.encode() + b"\n")
            os._exit(1)
        service.serve(fd, fd, left_out=list(left_out))
    finally:
        os._exit(0)
