"""The bytes of a capture, and the socket they come from: its errors, its end, its leaks. The kernel's side is played."""

from __future__ import annotations

import base64
import ctypes
import errno
import itertools
import os
import socket
import struct
import time

import pytest

from orchestrator.agent.seeing import capture as module
from orchestrator.agent.seeing.capture import PIECE_BYTES, Capture, Feed, filter_code, header
from orchestrator.agent.tasks import Wait, wake

ARPHRD_ETHER = 1
OUTGOING = socket.PACKET_OUTGOING
MAC = bytes(range(6))
RETURN_0 = struct.pack("=HBBI", 6, 0, 0, 0)  # BPF_RET | BPF_K (linux/bpf_common.h)
FRAME = b"\x01" * 6 + MAC + b"\x08\x00" + b"an IPv4 packet"
SECOND = 1_000_000_000


def packet(frame=FRAME, at_ns=5 * SECOND + 7, interface="eth1"):
    stamp = struct.pack("=qq", at_ns // SECOND, at_ns % SECOND)
    return frame, [(socket.SOL_SOCKET, module.SO_TIMESTAMPNS, stamp)], 0, (interface, 0x0800, OUTGOING, ARPHRD_ETHER, MAC)


class Wire:
    """An AF_PACKET socket, as far as a capture uses it; what is to come may be an exception, or never end."""

    def __init__(self, *coming):
        self.coming = iter(coming)
        self.closed = False
        self.bound = None
        self.program = None
        self.fd, self._other = os.pipe()

    def recvmsg(self, _size, _room):
        what = next(self.coming, BlockingIOError())
        if isinstance(what, OSError):
            raise what
        return what

    def recv(self, _size):
        return self.recvmsg(0, 0)

    def getsockopt(self, _level, _option, _size):
        return struct.pack("II", 10, 3)

    def setsockopt(self, _level, option, value):
        if option == module.SO_ATTACH_FILTER:
            length, address = struct.unpack("HP", value)
            self.program = ctypes.string_at(address, 8 * length)
            if self.program == RETURN_0:  # the kernel queues nothing more; what it has is still to be taken
                self.coming = itertools.islice(self.coming, 2)

    def setblocking(self, _flag):
        pass

    def bind(self, address):
        self.bound = address
        self.bound_after = self.program

    def fileno(self):
        return self.fd

    def close(self):
        if not self.closed:
            self.closed = True
            os.close(self.fd)
            os.close(self._other)


@pytest.fixture
def begin(monkeypatch):
    wires = []

    def start(*coming, interfaces=("eth1",), program="", wire=None):
        wires.append(wire or Wire(*coming))
        monkeypatch.setattr(module.socket, "if_nametoindex", lambda name: {"eth1": 2, "eth2": 3}[name])
        monkeypatch.setattr(module.socket, "socket", lambda *_arguments: wires[-1])
        begun = Capture(list(interfaces), program)
        begun.wire = wires[-1]
        return begun

    yield start
    for wire in wires:
        wire.close()


def records(data):
    """``(seconds, nanoseconds, length on the wire, bytes)`` of each record behind the head."""
    found, at = [], 24
    while at < len(data):
        seconds, nanoseconds, kept, length = struct.unpack_from("<IIII", data, at)
        found.append((seconds, nanoseconds, length, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return found


def test_the_head_says_nanoseconds_and_the_kind_of_link():
    assert header(cooked=False) == bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000")
    assert header(cooked=True) == bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 14010000")


def test_a_frame_is_kept_as_it_was_with_its_time(begin):
    capture = begin(packet())
    assert capture.drain() == 1
    assert records(capture.take()) == [(5, 7, len(FRAME), FRAME)]
    assert capture.take() == b""
    assert capture.wire.bound == ("eth1", module.ETH_P_ALL)


def test_with_several_interfaces_each_frame_says_which_and_which_way(begin):
    capture = begin(BlockingIOError(), packet(interface="eth2"), packet(interface="eth0"), interfaces=("eth1", "eth2"))
    assert capture.drain() == 2
    ((_s, _ns, length, frame),) = records(capture.take())
    # draft-ietf-opsawg-pcaplinktype, LINKTYPE_LINUX_SLL2: 20 bytes in the place of Ethernet's 14
    assert frame[:20] == struct.pack("!HHIHBB8s", 0x0800, 0, 3, ARPHRD_ETHER, OUTGOING, 6, MAC)
    assert frame[20:] == FRAME[14:]
    assert length == len(FRAME) + 6
    assert capture.frames == 1


def test_what_came_before_the_filter_is_thrown_away(begin):
    capture = begin(packet(), packet(), BlockingIOError(), packet(), interfaces=("eth1", "eth2"))
    assert capture.drain() == 1


def test_the_filters_words_become_instructions():
    length, code = filter_code("2\n40 0 0 12\n6 0 0 262144\n")
    assert length == 2
    assert code.tobytes() == struct.pack("=HBBI", 40, 0, 0, 12) + struct.pack("=HBBI", 6, 0, 0, 262144)


def test_no_more_than_a_turn_at_once(begin):
    capture = begin(*[packet()] * 5)
    assert [capture.drain(2), capture.drain(2), capture.drain(2)] == [2, 2, 1]


def test_an_interface_that_went_down_ends_nothing(begin):
    capture = begin(packet(), OSError(errno.ENETDOWN, "Network is down"), packet())
    assert capture.drain() == 2


def test_any_other_failure_is_told_and_not_tried_for_ever(begin):
    capture = begin(packet(), *[OSError(errno.EBADF, "Bad file descriptor")] * 3)
    with pytest.raises(OSError, match="Bad file descriptor"):
        capture.drain()
    assert capture.frames == 1


def test_the_end_comes_although_the_wire_is_never_silent(begin):
    wire = Wire()
    wire.coming = itertools.repeat(packet())
    capture = begin(wire=wire)
    capture.stop()
    assert capture.frames == 2  # what had come is kept
    assert capture.dropped == 3


def test_the_filter_is_attached_before_the_socket_is_bound(begin):
    capture = begin(program="1\n6 0 0 262144\n")
    assert capture.wire.program == struct.pack("=HBBI", 6, 0, 0, 262144)
    assert capture.wire.bound_after == capture.wire.program


@pytest.mark.parametrize(
    ("program", "interfaces", "error"), [("1\nno number", ("eth1",), ValueError), ("", (), IndexError)], ids=["the filter", "no interface"]
)
def test_what_cannot_begin_leaves_nothing_open(begin, program, interfaces, error):
    wire = Wire()
    with pytest.raises(error):
        begin(wire=wire, program=program, interfaces=interfaces)
    assert wire.closed


class Controller:
    """The channel to a controller that may not keep up."""

    def __init__(self):
        self.clogged = False
        self.sent = []
        self.waiting = []

    def send(self, frame):
        self.sent.append(base64.b64decode(frame["data"], validate=True))

    def wait_emptied(self):
        while self.clogged:
            yield Wait(on=self)


@pytest.fixture
def controller():
    return Controller()


def test_the_bytes_are_sent_in_pieces_and_make_the_file(loop, begin, controller):
    feed = Feed(loop, controller, begin(*[packet(b"\x00" * 60_000)] * 40))
    feed.capture.drain()
    assert feed.seal() == {"frames": 40, "dropped": 3, "end_ns": pytest.approx(time.monotonic_ns(), abs=60 * SECOND)}
    assert max(map(len, controller.sent)) == PIECE_BYTES
    assert len(records(b"".join(controller.sent))) == 40


def test_who_does_not_keep_up_is_waited_for_without_spinning(loop, begin, controller):
    capture = begin(packet())
    os.write(capture.wire._other, b"x")  # the wire is readable, and stays so
    feed = Feed(loop, controller, capture)
    controller.clogged = True
    loop.serve(0)
    assert loop._poll.poll(0) == []
    assert capture.frames == 0
    controller.clogged = False
    wake(controller.waiting)
    loop.serve(0)
    assert capture.frames == 1
    feed.seal()


def test_after_the_end_nothing_of_it_is_left(loop, begin, controller):
    capture = begin(packet())
    feed = Feed(loop, controller, capture)
    controller.clogged = True
    os.write(capture.wire._other, b"x")
    loop.serve(0)
    feed.seal()
    assert not capture.wire.closed  # closing waits for the kernel: not before the answer
    loop.serve(0)
    assert capture.wire.closed
    sent = list(controller.sent)
    controller.clogged = False
    wake(controller.waiting)
    loop.serve(0)
    assert capture.wire.fd not in loop._watchers
    assert [entry for entry in loop._instants if entry[2].callback is not None] == []
    assert controller.sent == sent


def test_a_capture_that_fails_at_its_end_is_closed_too(loop, begin, controller):
    capture = begin(OSError(errno.ENOMEM, "Cannot allocate memory"))
    feed = Feed(loop, controller, capture)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        feed.seal()
    loop.serve(0)
    assert capture.wire.closed
