"""Frames of the experiment interfaces -> a pcap file, in pieces, as the kernel hands them over.

The capture is never a file on the host: its bytes go to the controller when enough have come, when nothing else is to do, and at the end.
Frames of
a host with one interface are written as Ethernet; with several as LINUX_SLL2, which says the interface and the direction of each. It is
ready
when its socket is bound. The kernel's time stamps are from the moment each frame passed, however late it is read.
"""

import array
import socket
import struct

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

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_TIME = struct.Struct("=qq")
_SLL2 = struct.Struct("!HHIHBB8s")  # protocol, reserved, interface index, ARPHRD, packet type, address length, address


class Capture:
    """One host's capture under way.

    ``program`` is a classic BPF filter as ``tcpdump -ddd`` prints it, compiled for Ethernet; empty for all.
    """

    def __init__(self, interfaces, program=""):
        self.cooked = len(interfaces) > 1
        self.indexes = {name: socket.if_nametoindex(name) for name in interfaces}
        self.frames = 0
        self.dropped = 0
        self.pending = bytearray(_header(self.cooked))
        # One interface: opened with protocol 0 and bound with the real one, so that no frame passes the filter. Several: bound to all by
        # its protocol from the start, so what came before the filter was attached is thrown away.
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL) if self.cooked else 0)
        self.sock.setblocking(False)
        _enlarge(self.sock)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if program:
            _attach(self.sock, program)
        if self.cooked:
            self._discard()
        else:
            self.sock.bind((interfaces[0], ETH_P_ALL))

    def _discard(self):
        try:
            while True:
                self.sock.recv(1)
        except BlockingIOError:
            pass

    def drain(self, limit=0):
        """Take what the kernel holds, at most ``limit`` frames (0: all); gives how many."""
        taken = 0
        while not limit or taken < limit:
            try:
                frame, ancillary, _flags, address = self.sock.recvmsg(SNAPLEN, 64)
            except BlockingIOError:
                break
            except OSError:
                continue  # ENETDOWN is told once when an interface goes down; the capture goes on
            taken += 1
            if address[0] in self.indexes:
                self._keep(frame, ancillary, address)
        return taken

    def _keep(self, frame, ancillary, address):
        seconds, nanoseconds = _TIME.unpack_from(ancillary[0][2])
        length = len(frame)
        if self.cooked:
            hardware = address[4]
            protocol = struct.unpack_from("!H", frame, 12)[0]
            frame = _SLL2.pack(protocol, 0, self.indexes[address[0]], address[3], address[2], len(hardware), hardware) + frame[14:]
            length += 6
        self.frames += 1
        self.pending += _RECORD.pack(seconds, nanoseconds, len(frame), length)
        self.pending += frame

    def take(self):
        """The bytes of the file that nobody has taken yet."""
        data = bytes(self.pending)
        del self.pending[:]
        return data

    def stop(self):
        """Drain, count what the kernel lost, and let go."""
        self.drain()
        _seen, lost = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.dropped += lost
        return self.sock


def _header(cooked):
    return _FILE.pack(0xA1B23C4D, 2, 4, 0, 0, SNAPLEN, LINKTYPE_SLL2 if cooked else LINKTYPE_ETHERNET)


def _enlarge(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)


def _attach(sock, program):
    """Attach the filter before the socket is bound, so that not one frame passes it."""
    lines = [[int(word) for word in line.split()] for line in program.strip().splitlines()[1:]]
    code = array.array("B", b"".join(struct.pack("=HBBI", *line) for line in lines))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(lines), code.buffer_info()[0]))
