"""Frames of the experiment interfaces -> a pcap file, in pieces, as the kernel hands them over.

The capture is never a file on the host: its bytes go to the controller when enough have come, when nothing else is to do, and at the end.
Frames of a host with one interface are written as Ethernet; with several as LINUX_SLL2, which says the interface and the direction of each.
It is ready when its socket is bound; what the frames mean is not known here. The surprising fact: the kernel's time stamps are from the
moment each frame passed, however late it is read.
"""

from __future__ import annotations

import binascii
import errno

from orchestrator.agent import protocol
from orchestrator.agent.lean import socket, struct
from orchestrator.agent.loop import READ, now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import array
    from typing import Any

    from orchestrator.agent.channel import Channel
    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
SO_ATTACH_FILTER = 26
SO_TIMESTAMPNS = 35
LINKTYPE_ETHERNET = 1
LINKTYPE_SLL2 = 276
SNAPLEN = 262144
BUFFER_BYTES = 32 << 20
NOTHING = "1\n6 0 0 0"
"""The filter that lets no frame pass: ``ret #0``, as ``tcpdump -ddd`` would print it."""
AT_ONCE = 64  # frames, before somebody else has a turn
FLUSH_BYTES = 48 * 1024
PIECE_BYTES = 1 << 20
FLUSH_NS = 250_000_000

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_TIME = struct.Struct("=qq")
_SLL2 = struct.Struct("!HHIHBB8s")  # protocol, reserved, interface index, ARPHRD, packet type, address length, address


class Capture:
    """One host's capture under way (packet(7)).

    ``program`` is a classic BPF filter as ``tcpdump -ddd`` prints it, compiled for Ethernet; empty for all.

    :raises OSError: there is no such interface, or the kernel refused the socket or the filter; nothing is left open then.
    """

    def __init__(self, interfaces: list[str], program: str = "") -> None:
        self.cooked = len(interfaces) > 1
        self.indexes = {name: socket.if_nametoindex(name) for name in interfaces}
        self.frames = 0
        self.dropped = 0
        self.pending = bytearray(header(cooked=self.cooked))
        # One interface: opened with protocol 0 and bound with the real one, so that no frame passes the filter. Several: bound to all by
        # its protocol from the start, so what came before the filter was attached is thrown away.
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL) if self.cooked else 0)
        try:
            self._open(interfaces, program)
        except Exception:
            self.sock.close()
            raise

    def _open(self, interfaces: list[str], program: str) -> None:
        self.sock.setblocking(False)
        _enlarge(self.sock)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if program:
            _attach(self.sock, program)
        if self.cooked:
            self._discard()
        else:
            self.sock.bind((interfaces[0], ETH_P_ALL))

    def _discard(self) -> None:
        try:
            while True:
                self.sock.recv(1)
        except BlockingIOError:
            pass

    def drain(self, limit: int = 0) -> int:
        """Take what the kernel holds, at most ``limit`` frames (0: all); gives how many.

        :raises OSError: the socket fails in another way than by an interface that went down.
        """
        taken = 0
        while not limit or taken < limit:
            try:
                frame, ancillary, _flags, address = self.sock.recvmsg(SNAPLEN, 64)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue  # told once when an interface goes down; the capture goes on
            seconds, nanoseconds = _TIME.unpack_from(ancillary[0][2])
            taken += 1
            if address[0] in self.indexes:
                self._keep(frame, seconds, nanoseconds, address)
        return taken

    def _keep(self, frame: bytes, seconds: int, nanoseconds: int, address: Any) -> None:
        length = len(frame)
        if self.cooked:
            hardware = address[4]
            kind = struct.unpack_from("!H", frame, 12)[0]
            frame = _SLL2.pack(kind, 0, self.indexes[address[0]], address[3], address[2], len(hardware), hardware) + frame[14:]
            length += 6
        self.frames += 1
        self.pending += _RECORD.pack(seconds, nanoseconds, len(frame), length)
        self.pending += frame

    def take(self) -> bytes:
        """The bytes of the file that nobody has taken yet."""
        data = bytes(self.pending)
        del self.pending[:]
        return data

    def stop(self) -> socket.socket:
        """Drain, count what the kernel lost, and let go of the socket, which is still to be closed.

        First a filter that lets nothing pass any more: on a busy wire frames come faster than they are taken, and there would be no end.
        """
        _attach(self.sock, NOTHING)
        self.drain()
        _seen, lost = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.dropped += lost
        return self.sock


class Feed:
    """A capture's bytes on their way to the controller, as fast as it takes them."""

    def __init__(self, loop: Loop, channel: Channel, capture: Capture) -> None:
        self.loop = loop
        self.channel = channel
        self.capture = capture
        self._fd = capture.sock.fileno()
        loop.watch(self._fd, READ, self._frames)
        self._timer = loop.call_at(now_ns() + FLUSH_NS, self._flush)

    def _frames(self, _events: int) -> None:
        if self.channel.clogged:  # the controller does not keep up; what the kernel then loses it counts
            self.loop.unwatch(self._fd, self._frames)
            self.loop.spawn(self._pause(), ignore)
            return
        self.capture.drain(AT_ONCE)
        if len(self.capture.pending) > FLUSH_BYTES:
            self._send()

    def _pause(self) -> Steps[None]:
        yield from self.channel.wait_emptied()
        if self._fd >= 0:
            self.loop.watch(self._fd, READ, self._frames)

    def _send(self) -> None:
        data = self.capture.take()
        for start in range(0, len(data), PIECE_BYTES):
            piece = binascii.b2a_base64(data[start : start + PIECE_BYTES], newline=False).decode()
            self.channel.send({"tell": protocol.PACKETS, "data": piece})

    def _flush(self) -> None:
        self._send()
        self._timer = self.loop.call_at(now_ns() + FLUSH_NS, self._flush)

    def seal(self) -> dict[str, int]:
        """End the capture, send what is left of it, and say what it came to: ``frames``, ``dropped`` by the kernel, ``end_ns``."""
        self.loop.unwatch(self._fd, self._frames)
        self._fd = -1
        self._timer.cancel()
        # Closing waits for the kernel (RCU, 7 to 15 ms): after the answer, off the user's path.
        self.loop.call_at(now_ns(), self.capture.sock.close)
        self.capture.stop()
        self._send()
        return {"frames": self.capture.frames, "dropped": self.capture.dropped, "end_ns": now_ns()}


def ignore(_value: object, _error: Exception | None) -> None:
    """Nobody waits for the end of that task."""


def header(*, cooked: bool) -> bytes:
    """The head of a pcap file with nanoseconds, little-endian (pcap-savefile(5))."""
    return _FILE.pack(0xA1B23C4D, 2, 4, 0, 0, SNAPLEN, LINKTYPE_SLL2 if cooked else LINKTYPE_ETHERNET)


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


def _attach(sock: socket.socket, program: str) -> None:
    """Let only frames that fit pass, from now on; before the socket is bound, not one passes unseen."""
    length, code = filter_code(program)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", length, code.buffer_info()[0]))


def filter_code(program: str) -> tuple[int, array.array[int]]:
    """What ``tcpdump -ddd`` prints -> the number of instructions and their bytes, struct sock_filter each (linux/filter.h)."""
    lines = [[int(word) for word in line.split()] for line in program.strip().splitlines()[1:]]
    import array  # brings all of collections along

    return len(lines), array.array("B", b"".join(struct.pack("=HBBI", *line) for line in lines))
