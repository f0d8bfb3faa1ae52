"""Socket calls as a lab types them, on sockets that outlive the step that made them.

The kernel's sockets are all non-blocking; whether a call *seems* to block is what ``settimeout`` and ``setblocking`` said, as in Python
itself. So each call is a task that can be interrupted by its deadline while its socket stays open and its SYN stays out. Whether an outcome
was expected is not known here. The surprising fact: close(2) waits on a non-blocking socket too where SO_LINGER says so; it gets a thread.
"""

from __future__ import annotations

import _thread
import errno
import os

from orchestrator.agent import protocol
from orchestrator.agent.lean import accept, partial, socket, struct
from orchestrator.agent.loop import READ, WRITE, now_ns
from orchestrator.agent.tasks import Wait, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.agent.tasks import Steps, T, Task

LINGER = struct.Struct("ii")  # struct linger of socket(7): whether, and how many seconds
LOOK_AGAIN_NS = 1_000_000
_MOVES = {"connect", "connect_ex", "bind", "accept", "listen", "sendto", "send", "sendall"}
_PATIENCE = {"settimeout", "setblocking", "gettimeout"}
_AT_ONCE = socket.MSG_OOB | socket.MSG_DONTWAIT | protocol.CONSTANTS["MSG_ERRQUEUE"]  # never block, whatever the socket's patience


class Held:
    """A socket with a name: how patient it is (``timeout`` in seconds, ``None`` blocks) and who it was, also after it is closed."""

    def __init__(self, name: str, sock: socket.socket) -> None:
        self.name = name
        self.sock = sock
        self.timeout = sock.gettimeout()
        self.local = ""
        self.peer = ""
        self.closed = False
        self.waiting: list[Task] = []
        self.stream = sock.type == socket.SOCK_STREAM
        self.fd = sock.fileno()
        self.inode = os.fstat(self.fd).st_ino
        self.cookie = _cookie(sock)
        sock.setblocking(False)

    def settimeout(self, value: float | None) -> None:
        """As a socket's: seconds, 0 for not at all, ``None`` for ever."""
        if value is not None and int(value * 1e9) < 0:  # int() refuses what is no time at all
            raise ValueError("Timeout value out of range")
        self.timeout = value

    def setblocking(self, flag: object) -> None:
        """As a socket's."""
        self.timeout = None if flag else 0.0

    def gettimeout(self) -> float | None:
        """As a socket's."""
        return self.timeout

    def refresh(self) -> None:
        """Ask the kernel for both ends; what it no longer tells is kept."""
        if not self.closed:
            self.local = _end(self.sock.getsockname) or self.local
            self.peer = _end(self.sock.getpeername) or self.peer

    def facts(self) -> dict[str, Any]:
        """What the record keeps of it."""
        return {
            "name": self.name,
            "fd": self.fd if not self.closed else -1,
            "inode": self.inode if not self.closed else 0,
            "cookie": self.cookie,
            "protocol": "tcp" if self.stream else "udp",
            "local": self.local,
            "peer": self.peer,
            "closed": self.closed,
        }


def _cookie(sock: socket.socket) -> int:
    try:
        return int(struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, protocol.CONSTANTS["SO_COOKIE"], 8))[0])
    except OSError:
        return 0


def _end(ask: Callable[[], Any]) -> str:
    try:
        address = ask()
    except OSError:
        return ""
    if not isinstance(address, tuple) or len(address) < 2:
        return ""
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


class Sockets:
    """All the sockets of a run on this host, by name."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}

    def facts(self) -> list[dict[str, Any]]:
        """Every named socket as it is now."""
        for held in self.held.values():
            held.refresh()
        return [held.facts() for held in self.held.values()]

    def close(self) -> None:
        """Close what is still open, without waiting for anything: who would linger does so without us."""
        for held in self.held.values():
            if not held.closed:
                if _lingers(held.sock):
                    held.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.pack(0, 0))
                held.closed = True
                held.sock.close()
                wake(held.waiting)

    def call(self, call: dict[str, Any]) -> Steps[tuple[object, list[str]]]:
        """One call of a scenario as a task: gives ``(value, names of the sockets it touched)``; raises what the call raises.

        :raises NameError: there is no such socket, or the table of protocol.py has no such call.
        """
        method, names = call["method"], call.get("names", ())
        if method not in protocol.CALLS:
            raise NameError(f"no call is named {method}")
        arguments = [protocol.decode_value(argument) for argument in call.get("arguments", ())]
        if method == "socket.socket":
            held = self._hold(names[0] if names else "_", _new(arguments))
            return {"socket": held.name}, [held.name]
        receiver = self.held.get(call["receiver"])
        if receiver is None:
            raise NameError(f"no socket is called {call['receiver']}")
        if method in _CALLS:
            value = yield from _CALLS[method](receiver, *arguments)
        else:
            value = getattr(receiver if method in _PATIENCE else receiver.sock, method)(*arguments)
        if method in _MOVES:
            receiver.refresh()
        if method == "accept":
            return self._accepted(value, names, receiver)
        return protocol.encode_value(value), [receiver.name]

    def _hold(self, name: str, sock: socket.socket) -> Held:
        self.held[name] = Held(name, sock)
        return self.held[name]

    def _accepted(self, value: tuple[socket.socket, object], names: list[str], listener: Held) -> tuple[object, list[str]]:
        sock, address = value
        held = self._hold(names[0] if names else "_", sock)
        held.refresh()
        return {"tuple": [{"socket": held.name}, protocol.encode_value(address)]}, [listener.name, held.name]


def _new(arguments: list[Any]) -> socket.socket:
    sock = socket.socket(*arguments)
    if sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6):
        # A lab is run again while the last run's TIME_WAIT still stands; a scenario may switch it off.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def _limit(held: Held, at_once: int = 0) -> int | None:
    """When the patience of a call that begins now is over (monotonic ns): never (``None``), or before it began (0)."""
    if at_once or held.timeout == 0:
        return 0
    return None if held.timeout is None else now_ns() + int(held.timeout * 1e9)


def _pause(held: Held, events: int, limit: int | None) -> Steps[None]:
    """Wait for the socket; who waits for one that is closed meanwhile is told so."""
    came = yield Wait(held.fd, events, limit, on=held)
    if held.closed:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    if not came:
        raise socket.timeout("timed out")


def _retry(held: Held, events: int, attempt: Callable[[], T], limit: int | None) -> Steps[T]:
    """Try until the kernel does not say "later", or until ``limit``."""
    while True:
        try:
            return attempt()
        except BlockingIOError:
            if limit == 0:
                raise
        yield from _pause(held, events, limit)


def _connect_ex(held: Held, address: Any) -> Steps[int]:
    code = held.sock.connect_ex(address)
    if code not in (errno.EINPROGRESS, errno.EALREADY) or held.timeout == 0:
        return code
    held.refresh()
    try:
        yield from _pause(held, WRITE, _limit(held))
    except socket.timeout:
        return errno.EAGAIN
    return held.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _connect(held: Held, address: Any) -> Steps[None]:
    code = yield from _connect_ex(held, address)
    if code == errno.EAGAIN and held.timeout:
        raise socket.timeout("timed out")
    if code:
        raise OSError(code, os.strerror(code))


def _recv(held: Held, size: int, flags: int = 0) -> Steps[bytes]:
    if flags & socket.MSG_WAITALL and held.stream and not flags & _AT_ONCE:
        return _receive_all(held, size, flags & ~socket.MSG_WAITALL)
    return _retry(held, READ, lambda: held.sock.recv(size, flags), _limit(held, flags & _AT_ONCE))


def _recvfrom(held: Held, size: int, flags: int = 0) -> Steps[tuple[bytes, Any]]:
    return _retry(held, READ, lambda: held.sock.recvfrom(size, flags), _limit(held, flags & _AT_ONCE))


def _receive_all(held: Held, size: int, flags: int) -> Steps[bytes]:
    data, limit = bytearray(), _limit(held)
    while len(data) < size:
        part = yield from _retry(held, READ, partial(held.sock.recv, size - len(data), flags), limit)
        if not part:
            break
        data += part
    return bytes(data)


def _send(held: Held, data: bytes, flags: int = 0) -> Steps[int]:
    """A socket that blocks takes all of it (send(2)); after an error it says what it had taken, and the next call meets the error."""
    limit = _limit(held, flags & socket.MSG_DONTWAIT)
    if limit is not None or not held.stream:
        return (yield from _retry(held, WRITE, lambda: held.sock.send(data, flags), limit))
    rest = memoryview(data)
    while True:
        try:
            rest = rest[(yield from _retry(held, WRITE, partial(held.sock.send, rest, flags), None)) :]
        except OSError:
            if len(rest) == len(data):
                raise
            return len(data) - len(rest)
        if not rest:
            return len(data)


def _sendall(held: Held, data: bytes, flags: int = 0) -> Steps[None]:
    rest, limit = memoryview(data), _limit(held)
    while rest:
        rest = rest[(yield from _retry(held, WRITE, partial(held.sock.send, rest, flags), limit)) :]


def _sendto(held: Held, data: bytes, *rest: Any) -> Steps[int]:
    at_once = rest[0] & socket.MSG_DONTWAIT if len(rest) > 1 else 0
    return _retry(held, WRITE, lambda: held.sock.sendto(data, *rest), _limit(held, at_once))


def _lingers(sock: socket.socket) -> bool:
    """Whether close(2) would wait for what is not acknowledged yet."""
    return all(LINGER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.size)))


def _close(held: Held) -> Steps[None]:
    held.refresh()
    slow = not held.closed and _lingers(held.sock)
    held.closed = True
    closed: list[bool] = []

    def close() -> None:
        try:
            held.sock.close()
        finally:
            closed.append(True)

    if slow:
        _thread.start_new_thread(close, ())
    else:
        close()
    wake(held.waiting)
    while not closed:
        yield Wait(deadline=now_ns() + LOOK_AGAIN_NS)


_CALLS: dict[str, Callable[..., Steps[Any]]] = {
    "connect": _connect,
    "connect_ex": _connect_ex,
    "accept": lambda held: _retry(held, READ, lambda: accept(held.sock), _limit(held)),
    "recv": _recv,
    "recvfrom": _recvfrom,
    "send": _send,
    "sendall": _sendall,
    "sendto": _sendto,
    "close": _close,
}
