"""Socket calls as a lab types them, on sockets that outlive the step that made them.

The kernel's sockets are all non-blocking; whether a call *seems* to block is what ``settimeout`` and ``setblocking`` said, as in Python
itself.
So each call is a task that can be interrupted by its deadline while its socket stays open and its SYN stays out.
"""

import errno
import os
import socket
import struct

from . import protocol
from .loop import READ, WRITE, Wait, now_ns

SO_COOKIE = protocol.CONSTANTS["SO_COOKIE"]
_MOVES = {"connect", "connect_ex", "bind", "accept", "listen", "sendto", "send", "sendall"}


class Held:
    """A socket with a name: how patient it is (``timeout`` in seconds, ``None`` blocks) and who it was, also after it is closed."""

    def __init__(self, name, sock):
        self.name = name
        self.sock = sock
        self.timeout = None
        self.local = ""
        self.peer = ""
        self.closed = False
        self.stream = sock.type == socket.SOCK_STREAM
        self.fd = sock.fileno()
        self.inode = os.fstat(self.fd).st_ino
        self.cookie = _cookie(sock)
        sock.setblocking(False)

    def refresh(self):
        """Ask the kernel for both ends; what it no longer tells is kept."""
        if self.closed:
            return
        self.local = _end(self.sock.getsockname) or self.local
        self.peer = _end(self.sock.getpeername) or self.peer

    def facts(self):
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


def _cookie(sock):
    try:
        return struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
    except OSError:
        return 0


def _end(ask):
    try:
        address = ask()
    except OSError:
        return ""
    if not isinstance(address, tuple) or len(address) < 2:
        return ""
    host = "[%s]" % address[0] if ":" in address[0] else address[0]
    return "%s:%d" % (host, address[1])


class Sockets:
    """All the sockets of a run on this host, by name."""

    def __init__(self):
        self.held = {}

    def facts(self):
        """Every named socket as it is now."""
        for held in self.held.values():
            held.refresh()
        return [held.facts() for held in self.held.values()]

    def close(self):
        """Close what is still open, without waiting for anything."""
        for held in self.held.values():
            if not held.closed:
                held.sock.close()
                held.closed = True

    def call(self, call):
        """One call of a scenario as a task: gives ``(value, names of the sockets it touched)``; raises what the call raises."""
        method, names = call["method"], call.get("names", ())
        arguments = [protocol.decode_value(argument) for argument in call.get("arguments", ())]
        if method == "socket.socket":
            held = self._hold(names[0] if names else "_", _new(arguments))
            return {"socket": held.name}, [held.name]
        held = self.held.get(call["receiver"])
        if held is None:
            raise NameError("no socket is called %s" % call["receiver"])
        perform = _CALLS.get(method)
        if perform is None:
            value = getattr(held.sock, method)(*arguments)
        else:
            value = yield from perform(held, *arguments)
        if method in _MOVES:
            held.refresh()
        if method == "accept":
            return self._accepted(value, names, held)
        return protocol.encode_value(value), [held.name]

    def _hold(self, name, sock):
        held = Held(name, sock)
        self.held[name] = held
        return held

    def _accepted(self, value, names, listener):
        sock, address = value
        held = self._hold(names[0] if names else "_", sock)
        held.refresh()
        return {"tuple": [{"socket": held.name}, protocol.encode_value(address)]}, [listener.name, held.name]


def _new(arguments):
    sock = socket.socket(*arguments)
    if sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6):
        # A lab is run again while the last run's TIME_WAIT still stands; a scenario may switch it off.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def _retry(held, events, attempt):
    """Try until the kernel does not say "later"; how long depends on the socket's own patience."""
    limit = None if held.timeout is None else now_ns() + int(held.timeout * 1e9)
    while True:
        try:
            return attempt()
        except BlockingIOError:
            if held.timeout == 0:
                raise
        if not (yield Wait(held.fd, events, limit)):
            raise socket.timeout("timed out")


def _connect_ex(held, address):
    code = held.sock.connect_ex(address)
    if code not in (errno.EINPROGRESS, errno.EALREADY) or held.timeout == 0:
        return code
    limit = None if held.timeout is None else now_ns() + int(held.timeout * 1e9)
    held.refresh()
    if not (yield Wait(held.fd, WRITE, limit)):
        return errno.ETIMEDOUT if held.timeout is None else errno.EAGAIN
    return held.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _connect(held, address):
    code = yield from _connect_ex(held, address)
    if code == errno.EAGAIN and held.timeout:
        raise socket.timeout("timed out")
    if code:
        raise OSError(code, os.strerror(code))


def _accept(held):
    return (yield from _retry(held, READ, held.sock.accept))


def _receive(take):
    def perform(held, size, flags=0):
        if flags & (socket.MSG_OOB | socket.MSG_DONTWAIT | protocol.CONSTANTS["MSG_ERRQUEUE"]):
            return getattr(held.sock, take)(size, flags)
        if flags & socket.MSG_WAITALL and held.stream and take == "recv":
            return (yield from _receive_all(held, size, flags & ~socket.MSG_WAITALL))
        return (yield from _retry(held, READ, lambda: getattr(held.sock, take)(size, flags)))

    return perform


def _receive_all(held, size, flags):
    parts, missing = [], size
    while missing:
        part = yield from _retry(held, READ, lambda size=missing: held.sock.recv(size, flags))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _send(held, data, flags=0):
    return (yield from _retry(held, WRITE, lambda: held.sock.send(data, flags)))


def _sendall(held, data, flags=0):
    view = memoryview(data)
    while view:
        sent = yield from _retry(held, WRITE, lambda rest=view: held.sock.send(rest, flags))
        view = view[sent:]


def _sendto(held, data, *rest):
    return (yield from _retry(held, WRITE, lambda: held.sock.sendto(data, *rest)))


def _close(held):
    held.refresh()
    held.sock.close()
    held.closed = True
    return
    yield  # a task like the others


def _settimeout(held, value):
    if value is not None and value < 0:
        raise ValueError("Timeout value out of range")
    held.timeout = value
    return
    yield


def _setblocking(held, flag):
    held.timeout = None if flag else 0.0
    return
    yield


def _gettimeout(held):
    return held.timeout
    yield


_CALLS = {
    "connect": _connect,
    "connect_ex": _connect_ex,
    "accept": _accept,
    "recv": _receive("recv"),
    "recvfrom": _receive("recvfrom"),
    "send": _send,
    "sendall": _sendall,
    "sendto": _sendto,
    "close": _close,
    "settimeout": _settimeout,
    "setblocking": _setblocking,
    "gettimeout": _gettimeout,
}
