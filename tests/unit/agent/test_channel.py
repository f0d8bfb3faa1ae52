"""Frames over a socket that takes a little at a time, breaks, or says too much."""

from __future__ import annotations

import json
import os
import socket

import pytest

from orchestrator.agent.channel import CLOG_BYTES, Channel
from orchestrator.agent.protocol import MAX_FRAME_BYTES

BIG = {"tell": "packets", "data": "x" * (4 << 20)}


class Ends:
    """A channel on one end of a socket pair, and what came of it; the test holds the other end."""

    def __init__(self, loop):
        self.ours, theirs = socket.socketpair()
        self.theirs = theirs
        for sock in (self.ours, theirs):
            sock.setblocking(False)
        self.lines = []
        self.reasons = []
        fd = theirs.fileno()
        self.channel = Channel(loop, fd, fd, self.lines.append, self.reasons.append)

    def take(self):
        taken = b""
        try:
            while piece := self.ours.recv(1 << 20):
                taken += piece
        except BlockingIOError:
            pass
        return taken


@pytest.fixture
def ends(loop):
    made = Ends(loop)
    yield made
    made.ours.close()
    made.theirs.close()


def test_lines_are_whole_however_they_come(loop, ends):
    for piece in (b"on", b"e\ntwo\nth", b"ree", b"\n\n"):
        ends.ours.send(piece)
        loop.serve(0)
    assert ends.lines == [b"one", b"two", b"three", b""]
    assert ends.reasons == []


def test_frames_are_lines_of_json(loop, ends):
    ends.channel.send({"id": 1, "ok": "ü\n"})
    ends.channel.send({"id": 2, "ok": None})
    assert ends.take() == b'{"id":1,"ok":"\\u00fc\\n"}\n{"id":2,"ok":null}\n'


def test_what_is_not_taken_at_once_is_sent_as_it_is_taken(loop, ends):
    ends.channel.send(BIG)
    ends.channel.send({"id": 1, "ok": None})
    assert ends.channel.clogged
    taken = b""
    while ends.channel._outbox:
        taken += ends.take()
        loop.serve(0)
    taken += ends.take()
    assert [json.loads(line) for line in taken.splitlines()] == [BIG, {"id": 1, "ok": None}]
    assert loop._poll.poll(0) == []  # no longer waiting to write
    assert not ends.channel.clogged


def test_a_clog_is_more_than_a_socket_holds():
    assert CLOG_BYTES > 1 << 20


def test_who_waits_until_all_is_taken_is_told(loop, ends, ended):
    ends.channel.send(BIG)
    loop.spawn(ends.channel.wait_emptied(), ended)
    while not ended.outcomes:
        assert ends.channel._outbox
        ends.take()
        loop.serve(0)
    assert not ends.channel._outbox


def test_a_reader_that_went_ends_the_channel_once_and_keeps_nothing(loop, ends, ended):
    ends.channel.send(BIG)
    loop.spawn(ends.channel.wait_emptied(), ended)
    ends.ours.close()
    loop.serve(0)
    ends.channel.send({"id": 1, "ok": None})
    assert "the channel ended" in ends.reasons
    assert not ends.channel._outbox
    assert ended.value is None
    assert loop._poll.poll(0) == []  # neither direction is watched for ever


def test_the_end_of_input_ends_it(loop, ends):
    ends.ours.send(b"half a fra")
    ends.ours.shutdown(socket.SHUT_WR)
    loop.serve(0)
    loop.serve(0)
    assert ends.lines == []
    assert ends.reasons == ["the channel ended"]
    assert loop._poll.poll(0) == []


def test_a_frame_without_end_ends_it(loop, ends):
    sent = 0
    while sent <= MAX_FRAME_BYTES + (1 << 20) and not ends.reasons:
        sent += ends.ours.send(b"x" * (1 << 16))
        loop.serve(0)
    assert ends.reasons == ["a frame is too long"]
    assert ends.channel._inbox == b""


def test_a_file_closed_under_it_ends_it(loop):
    ends = Ends(loop)
    os.close(ends.theirs.detach())
    loop.serve(0)
    assert ends.reasons == ["the channel ended"]
    ends.ours.close()
