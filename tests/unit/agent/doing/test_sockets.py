"""Calls on sockets: as patient as their socket says, whole where the kernel's would be, and told when somebody closes it."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from orchestrator.agent.doing.sockets import LINGER, Held, Sockets
from orchestrator.agent.protocol import decode_value, encode_value
from orchestrator.agent.tasks import Interrupted

TCP = pytest.mark.impure("this is TCP's own behaviour, on loopback")
MORE_THAN_A_SOCKET_HOLDS = b"x" * (4 << 20)
FAR = 1 << 62


class Lab:
    """A host's sockets, called as a scenario calls them."""

    def __init__(self, loop, ended):
        self.loop = loop
        self.sockets = Sockets()
        self.new = type(ended)

    def begin(self, receiver, method, *arguments, names=(), deadline=None):
        call = {"method": method, "receiver": receiver, "names": names, "arguments": [encode(argument) for argument in arguments]}
        done = self.new()
        done.task = self.loop.spawn(self.sockets.call(call), done, deadline)
        return done

    def call(self, receiver, method, *arguments, names=()):
        done = self.begin(receiver, method, *arguments, names=names)
        self.loop.until(lambda: done.outcomes)
        value, error = done.outcomes[0]
        if error is not None:
            raise error
        return value[0] if isinstance(value[0], dict) and "socket" in value[0] else decode(value[0])

    def pair(self, *names, kind=socket.SOCK_STREAM):
        for name, sock in zip(names, socket.socketpair(socket.AF_UNIX, kind), strict=True):
            self.sockets.held[name] = Held(name, sock)


def encode(argument):
    return argument if isinstance(argument, dict) else encode_value(argument)


def decode(value):
    """The value again, but for the names of sockets in it."""
    if isinstance(value, dict) and "tuple" in value:
        return tuple(item["socket"] if isinstance(item, dict) and "socket" in item else decode_value(item) for item in value["tuple"])
    return decode_value(value)


def constant(name):
    return {"constant": name}


@pytest.fixture
def lab(loop, ended):
    made = Lab(loop, ended)
    yield made
    made.sockets.close()


@pytest.fixture
def linked(lab):
    """A TCP connection: ``sock`` and ``conn``."""
    lab.call("", "socket.socket", names=("server",))
    lab.call("server", "bind", ("127.0.0.1", 0))
    lab.call("server", "listen")
    lab.call("", "socket.socket", names=("sock",))
    lab.call("sock", "connect", lab.call("server", "getsockname"))
    lab.call("server", "accept", names=("conn", "_"))
    return lab


def facts(lab):
    return {held["name"]: held for held in lab.sockets.facts()}


# -- patience


def test_a_call_that_blocks_waits_until_it_need_not(lab):
    lab.pair("a", "b")
    received = lab.begin("a", "recv", 10)
    assert received.outcomes == []
    assert lab.call("b", "send", b"hello") == 5
    lab.loop.until(lambda: received.outcomes)
    assert decode(received.value[0]) == b"hello"


def test_a_deadline_ends_the_call_and_spares_the_socket(lab):
    lab.pair("a", "b")
    received = lab.begin("a", "recv", 10, deadline=0)
    lab.loop.serve(0)
    assert isinstance(received.error, Interrupted)
    lab.call("b", "send", b"late")
    assert lab.call("a", "recv", 10) == b"late"


def test_settimeout_and_setblocking_are_the_sockets_own(lab):
    lab.pair("a", "b")
    lab.call("a", "settimeout", 0.000001)
    with pytest.raises(TimeoutError, match="timed out"):
        lab.call("a", "recv", 10)
    assert lab.call("a", "gettimeout") == 0.000001
    lab.call("a", "setblocking", False)
    with pytest.raises(BlockingIOError):
        lab.call("a", "recv", 10)
    assert lab.call("a", "gettimeout") == 0.0
    lab.call("a", "setblocking", True)
    assert lab.call("a", "gettimeout") is None


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "soon"])
def test_what_is_no_time_is_refused_when_it_is_set(lab, value):
    lab.pair("a", "b")
    with pytest.raises((ValueError, OverflowError, TypeError)):
        lab.call("a", "settimeout", value)
    assert lab.call("a", "gettimeout") is None


def test_a_socket_made_not_to_block_does_not(lab):
    kind = {"or": [constant("SOCK_DGRAM"), constant("SOCK_NONBLOCK")]}
    lab.call("", "socket.socket", constant("AF_UNIX"), kind, names=("sock",))
    assert lab.call("sock", "gettimeout") == 0.0
    with pytest.raises(BlockingIOError):
        lab.call("sock", "recv", 10)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("recv", (10, constant("MSG_DONTWAIT"))),
        ("recvfrom", (10, constant("MSG_DONTWAIT"))),
        ("send", (MORE_THAN_A_SOCKET_HOLDS, constant("MSG_DONTWAIT"))),
    ],
)
def test_a_flag_says_not_to_wait_this_once(lab, method, arguments):
    lab.pair("a", "b")
    if method == "send":
        while lab.call("a", "send", *arguments) == len(arguments[0]):
            pass
    with pytest.raises(BlockingIOError):
        lab.call("a", method, *arguments)


class Full:
    """A socket whose buffer is full."""

    def __init__(self, sock):
        self.sock = sock

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def sendto(self, *_arguments):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_datagram_that_must_not_wait_does_not(lab):
    lab.pair("a", "b", kind=socket.SOCK_DGRAM)
    lab.sockets.held["a"].sock = Full(lab.sockets.held["a"].sock)
    with pytest.raises(BlockingIOError):
        lab.call("a", "sendto", b"x", constant("MSG_DONTWAIT"), ("10.0.0.1", 9))
    assert lab.begin("a", "sendto", b"x", ("10.0.0.1", 9), deadline=FAR).outcomes == []


# -- all of it


def drain(lab, name, size):
    taken = 0
    while taken < size:
        taken += len(lab.call(name, "recv", 1 << 20))
    return taken


@pytest.mark.parametrize(("method", "value"), [("send", len(MORE_THAN_A_SOCKET_HOLDS)), ("sendall", None)])
def test_a_socket_that_blocks_takes_all_of_it(lab, method, value):
    lab.pair("a", "b")
    sent = lab.begin("a", method, MORE_THAN_A_SOCKET_HOLDS)
    assert sent.outcomes == []
    assert drain(lab, "b", len(MORE_THAN_A_SOCKET_HOLDS)) == len(MORE_THAN_A_SOCKET_HOLDS)
    assert sent.value[0] == value


def test_a_socket_with_a_timeout_takes_what_it_can(lab):
    lab.pair("a", "b")
    lab.call("a", "settimeout", 5)
    assert 0 < lab.call("a", "send", MORE_THAN_A_SOCKET_HOLDS) < len(MORE_THAN_A_SOCKET_HOLDS)


def test_after_an_error_it_says_what_it_had_taken(lab):
    lab.pair("a", "b")
    sent = lab.begin("a", "send", MORE_THAN_A_SOCKET_HOLDS)
    lab.call("b", "close")
    lab.loop.until(lambda: sent.outcomes)
    assert 0 < sent.value[0] < len(MORE_THAN_A_SOCKET_HOLDS)
    with pytest.raises(BrokenPipeError):
        lab.call("a", "send", b"more")


def test_the_timeout_of_sendall_is_for_the_whole(lab, monkeypatch):
    lab.pair("a", "b")
    lab.call("a", "settimeout", 5)
    limits = set()
    real = lab.loop.call_at
    monkeypatch.setattr(lab.loop, "call_at", lambda instant, *rest: limits.add(instant) or real(instant, *rest))
    lab.begin("a", "sendall", MORE_THAN_A_SOCKET_HOLDS)
    lab.sockets.held["b"].sock.settimeout(0)
    for _ in range(3):
        lab.sockets.held["b"].sock.recv(1 << 20)
        lab.loop.serve(0)
    assert len(limits) == 1


def test_it_can_be_asked_to_wait_for_all(lab):
    lab.pair("a", "b")
    received = lab.begin("a", "recv", 6, constant("MSG_WAITALL"))
    for part in (b"ab", b"cd", b"efgh"):
        assert received.outcomes == []
        lab.call("b", "send", part)
        lab.loop.serve(0)
    assert decode(received.value[0]) == b"abcdef"
    assert lab.call("a", "recv", 10) == b"gh"


# -- closing


@pytest.mark.parametrize("method", ["recv", "recvfrom"])
def test_who_waits_for_a_socket_that_is_closed_is_told_at_once(lab, method):
    lab.pair("a", "b")
    waiting = lab.begin("a", method, 10)
    fd = lab.sockets.held["a"].fd
    lab.call("a", "close")
    assert waiting.error.errno == errno.EBADF
    assert fd not in lab.loop._watchers  # the number may be another file's now


def test_who_waits_is_told_although_the_number_was_given_out_again(lab):
    lab.pair("a", "b")
    waiting = lab.begin("a", "recv", 10)
    lab.call("a", "close")
    lab.pair("c", "d")
    assert waiting.error.errno == errno.EBADF


def test_the_end_closes_all_and_tells_who_waits(lab, open_files):
    before = open_files()
    lab.pair("a", "b")
    waiting = lab.begin("a", "recv", 10)
    lab.sockets.close()
    assert waiting.error.errno == errno.EBADF
    assert open_files() == before
    assert [held["closed"] for held in lab.sockets.facts()] == [True, True]


def test_a_closed_socket_is_remembered_and_closed_twice_in_peace(lab):
    lab.pair("a", "b")
    lab.call("a", "close")
    lab.call("a", "close")
    assert facts(lab)["a"]["fd"] == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        lab.call("a", "recv", 1)


@pytest.mark.parametrize("method", ["detach", "makefile", "__init__", "socket"])
def test_what_is_not_in_the_table_is_not_called(lab, method):
    lab.pair("a", "b")
    with pytest.raises(NameError, match=f"no call is named {method}"):
        lab.call("a", method)


def test_there_is_no_such_socket(lab):
    with pytest.raises(NameError, match="no socket is called sock"):
        lab.call("sock", "recv", 1)


# -- TCP


@TCP
def test_a_connection_as_a_lab_makes_it(linked):
    ends = facts(linked)
    assert ends["sock"]["peer"] == ends["server"]["local"] == ends["conn"]["local"]
    assert ends["sock"]["local"] == ends["conn"]["peer"]
    assert len({end["cookie"] for end in ends.values()}) == 3
    assert ends["sock"]["inode"] == os.fstat(ends["sock"]["fd"]).st_ino


@TCP
def test_a_refusal_is_raised_by_connect_and_given_by_connect_ex(lab):
    for name in ("free", "sock", "again"):
        lab.call("", "socket.socket", names=(name,))
    lab.call("free", "bind", ("127.0.0.1", 0))
    address = lab.call("free", "getsockname")
    with pytest.raises(ConnectionRefusedError):
        lab.call("sock", "connect", address)
    assert lab.call("again", "connect_ex", address) == errno.ECONNREFUSED


@TCP
def test_an_address_of_version_six_stands_in_brackets(lab):
    lab.call("", "socket.socket", constant("AF_INET6"), names=("sock",))
    lab.call("sock", "bind", ("::1", 0))
    assert facts(lab)["sock"]["local"].startswith("[::1]:")


@TCP
def test_a_recv_that_blocks_steps_over_an_urgent_byte_once_as_the_kernels_own_does(linked):
    received = linked.begin("conn", "recv", 10)
    linked.call("sock", "send", b"!", constant("MSG_OOB"))
    linked.loop.until(lambda: linked.loop._poll.poll(0) == [])  # no event stays, so nothing spins
    assert received.outcomes == []
    with pytest.raises(OSError, match="Invalid argument"):
        linked.call("conn", "recv", 1, constant("MSG_OOB"))
    linked.call("sock", "send", b"b")
    linked.loop.until(lambda: received.outcomes)
    assert decode(received.value[0]) == b"b"


@TCP
def test_an_urgent_byte_that_nobody_steps_over_is_there_to_be_taken(linked):
    linked.call("sock", "send", b"a!", constant("MSG_OOB"))
    assert linked.call("conn", "recv", 10) == b"a"
    assert linked.call("conn", "recv", 1, constant("MSG_OOB")) == b"!"


def linger(lab, name, seconds):
    lab.call(name, "setsockopt", constant("SOL_SOCKET"), constant("SO_LINGER"), LINGER.pack(1, seconds))


def fill(lab, name):
    sock = lab.sockets.held[name].sock
    try:
        while True:
            sock.send(MORE_THAN_A_SOCKET_HOLDS)
    except BlockingIOError:
        pass


@TCP
def test_a_close_that_lingers_blocks_nobody_else(linked):
    fill(linked, "sock")
    linger(linked, "sock", 60)
    closing = linked.begin("sock", "close")
    assert closing.outcomes == []
    received = linked.begin("conn", "recv", 1 << 20)
    assert len(decode(received.value[0])) > 0
    while not closing.outcomes:  # what lingers is taken, and the close is over
        linked.begin("conn", "recv", 1 << 20)
        linked.loop.serve(100)
    assert closing.error is None


class Closing:
    """A socket that says whether its close would linger."""

    def __init__(self, sock):
        self.sock = sock
        self.lingered = None

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def close(self):
        self.lingered = LINGER.unpack(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.size))
        self.sock.close()


@pytest.mark.parametrize(("asked", "got"), [((1, 60), (0, 0)), ((1, 0), (1, 0)), ((0, 0), (0, 0))])
def test_the_end_waits_for_nothing_and_a_reset_stays_one(lab, asked, got):
    lab.pair("a", "b")
    lab.call("a", "setsockopt", constant("SOL_SOCKET"), constant("SO_LINGER"), LINGER.pack(*asked))
    lab.sockets.held["a"].sock = closing = Closing(lab.sockets.held["a"].sock)
    lab.sockets.close()
    assert closing.lingered[: 1 + got[0]] == got[: 1 + got[0]]  # how long counts only where it is on


@TCP
def test_who_waits_to_be_connected_is_told_of_a_close(lab):
    lab.call("", "socket.socket", names=("server",))
    lab.call("server", "bind", ("127.0.0.1", 0))
    lab.call("server", "listen", 0)
    address = lab.call("server", "getsockname")
    connecting = []
    while not connecting or connecting[-1].outcomes:  # until the backlog is full and a SYN waits
        name = f"sock{len(connecting)}"
        lab.call("", "socket.socket", names=(name,))
        connecting.append(lab.begin(name, "connect", address))
        lab.loop.serve(10)
    lab.call(name, "close")
    assert connecting[-1].error.errno == errno.EBADF
