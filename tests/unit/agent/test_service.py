"""The agent at the other end of a socket pair: what it answers, and that it never goes without having undone."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from orchestrator.agent import protocol, service
from orchestrator.agent.doing import changes
from orchestrator.agent.loop import now_ns
from orchestrator.agent.safety import undoing
from orchestrator.agent.seeing.capture import Capture
from orchestrator.agent.service import Service
from orchestrator.agent.tasks import Wait

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
ACCEPT = {"id": "1", "timeout_ns": HOUR, "action": {"do": "wait", "on": "itself"}, "name": "itself"}


class Agent:
    """An agent under test, and the controller's end of its channel."""

    def __init__(self, loop):
        self.loop = loop
        self.ours, self.theirs = socket.socketpair()
        for sock in (self.ours, self.theirs):
            sock.setblocking(False)
        fd = self.theirs.fileno()
        self.service = Service(loop, fd, fd)
        self.serial = 0
        self.frames = []
        self.undone = []
        self._rest = b""

    def send(self, ask, **fields):
        self.serial += 1
        self.ours.send(json.dumps({"id": self.serial, "ask": ask, **fields}).encode() + b"\n")
        return self.serial

    def hear(self):
        """Take what it said meanwhile; gives whether it still speaks."""
        try:
            while piece := self.ours.recv(1 << 20):
                self._rest += piece
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        self.frames += map(json.loads, lines)

    def answer(self, number):
        found = []

        def come():
            self.hear()
            found[:] = [frame for frame in self.frames if frame.get("id") == number]
            return found

        self.loop.until(come)
        return found[0]

    def ask(self, ask, **fields):
        return self.answer(self.send(ask, **fields))

    def told(self, kind):
        self.hear()
        return [frame for frame in self.frames if frame.get("tell") == kind]

    def prepare(self, *actions, **more):
        return self.ask(protocol.PREPARE, run="run", actions=list(actions), **more)

    def remember(self, text="a change", error=None, wait=None):
        self.loop.finish(self.service.host.remember({"do": "note", "text": text, "error": error, "wait": wait}))

    def note(self, _loop, undo, _certain):
        if undo.get("wait") is not None:
            yield undo["wait"]
        if undo.get("error") is not None:
            raise undo["error"]
        self.undone.append(undo["text"])

    def leaves(self):
        service.run(self.loop, self.service)
        (goodbye,) = self.told(protocol.GOODBYE)
        return goodbye


@pytest.fixture
def agent(loop, monkeypatch):
    made = Agent(loop)
    monkeypatch.setitem(undoing.UNDOS, "note", made.note)
    yield made
    made.ours.close()
    made.theirs.close()


@pytest.fixture
def change(agent, monkeypatch):
    """Stands for a sysctl: a change whose undo is noted."""

    def made():
        return
        yield

    monkeypatch.setattr(changes, "sysctl", lambda key, _value: changes.Change({"do": "note", "text": key}, made))


# -- asks and answers


def test_a_sign_of_life_is_both_clocks(agent):
    monotonic, unix = agent.ask(protocol.BEAT)["ok"]
    assert abs(now_ns() - monotonic) < HOUR
    assert unix > monotonic


@pytest.mark.parametrize(
    ("line", "number", "kind"),
    [
        (b"this is no json", 0, "ValueError"),
        (b"[1, 2]", 0, "AttributeError"),
        (b'{"ask": "beat", "id": "seven"}', 0, "ValueError"),
        (b'{"ask": "no-such-ask", "id": 7}', 7, "KeyError"),
        (b'{"id": 8}', 8, "KeyError"),
        (b'{"ask": "fire", "id": 9}', 9, "KeyError"),
    ],
)
def test_what_cannot_be_served_is_refused_and_harms_nobody(agent, line, number, kind):
    agent.ours.send(line + b"\n")
    assert agent.answer(number)["kind"] == kind
    assert agent.ask(protocol.BEAT)["ok"]


def test_what_was_not_prepared_is_refused(agent):
    agent.prepare(ACCEPT)
    assert agent.ask(protocol.FIRE, actions=["1", "7"])["error"] == "nothing was prepared as 7"


def test_nothing_fired_is_answered(agent):
    assert agent.ask(protocol.FIRE, actions=[])["ok"] == []


def test_a_second_capture_is_refused_and_the_first_goes_on(agent, monkeypatch):
    begun = object.__new__(Capture)
    monkeypatch.setattr(agent.service, "_feed", begun)
    assert agent.ask(protocol.CAPTURE, interfaces=["lo"])["error"] == "a capture is under way"
    assert agent.service._feed is begun
    monkeypatch.undo()


def test_no_capture_comes_to_nothing(agent):
    assert agent.ask(protocol.SEAL)["ok"] is None
    assert agent.ask(protocol.FINISH)["ok"] == {"undone": [], "not_undone": []}


# -- armed


def test_what_is_armed_begins_at_its_instant(agent):
    agent.prepare({"id": "1", "timeout_ns": HOUR, "action": {"do": "calls", "calls": [call("x", "socket.socket", "AF_UNIX")]}})
    at = now_ns() + 3_000_000
    (result,) = agent.ask(protocol.FIRE, actions=["1"], at=at)["ok"]
    assert result["planned_ns"] == at
    assert result["start_ns"] >= at


def call(name, method, *constants):
    return {"text": method, "method": method, "names": [name], "arguments": [{"constant": constant} for constant in constants]}


@pytest.mark.parametrize("ask", [protocol.FINISH, protocol.PREPARE])
def test_what_is_armed_when_the_run_ends_never_begins(agent, ask):
    agent.prepare(ACCEPT)
    armed = agent.send(protocol.FIRE, actions=["1"], at=now_ns() + HOUR)
    agent.ask(ask, run="next", actions=[])
    assert agent.answer(armed)["error"] == "the run ended before its instant"
    assert agent.service._armed == {}


def test_an_armed_action_that_cannot_begin_is_refused_and_the_agent_lives(agent):
    agent.prepare({"id": "1", "timeout_ns": HOUR, "action": {"do": "no such action"}})
    assert agent.ask(protocol.FIRE, actions=["1"], at=now_ns())["kind"] == "KeyError"
    assert agent.ask(protocol.BEAT)["ok"]


# -- undoing


def test_what_an_earlier_run_left_is_undone_before_the_next(agent, change):
    agent.prepare(sysctl={"first": 1})
    agent.prepare(sysctl={"second": 1})
    assert agent.undone == ["first"]
    agent.ask(protocol.FINISH)
    assert agent.undone == ["first", "second"]


def test_what_cannot_be_undone_keeps_the_next_run_out(agent):
    agent.prepare()
    agent.remember(error=OSError("no"))
    assert agent.prepare()["error"] == "an earlier run is not undone; a change (no)"


def test_a_run_that_could_not_be_prepared_is_undone_nevertheless(agent, monkeypatch, change):
    def refuse(*_arguments, **_more):
        raise changes.ChangeRefused("the driver says no")

    first = changes.sysctl
    monkeypatch.setattr(changes, "sysctl", lambda key, value: first(key, value) if key == "good" else refuse())
    assert agent.prepare(sysctl={"good": 1, "bad": 1})["error"] == "the driver says no"
    assert agent.ask(protocol.FINISH)["ok"]["undone"] == ["good"]


def test_a_parameter_that_this_host_lacks(agent):
    answer = agent.ask(protocol.PREPARE, run="run", actions=[], sysctl={"net.ipv4.no_such_thing": "1"})
    assert (answer["error"], answer["kind"]) == ("this kernel has no net.ipv4.no_such_thing", protocol.LACKING)
    assert "ok" in agent.prepare(sysctl={"net.ipv4.no_such_thing": "1"}, if_present=["net.ipv4.no_such_thing"])


def test_links_come_up_on_a_kernel_that_lacks_a_parameter_of_theirs(agent, monkeypatch):
    written = []
    monkeypatch.setattr(changes, "read_sysctl", lambda key: None if "ipv6" in key else "0")
    monkeypatch.setattr(changes, "write_sysctl", lambda key, value: written.append((key, value)))
    answer = agent.ask(protocol.LINES, sysctl={"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv4.ip_forward": "1"})
    assert "ok" in answer
    assert written == [("net.ipv4.ip_forward", "1")]


def test_the_end_of_the_channel_is_a_reason_to_undo(agent):
    agent.remember()
    agent.ours.shutdown(socket.SHUT_WR)
    goodbye = agent.leaves()
    assert (goodbye["reason"], goodbye["undone"], goodbye["not_undone"]) == ("the channel ended", ["a change"], [])
    assert agent.undone == ["a change"]


def test_a_controller_that_is_gone_for_good_does_not_keep_it(agent):
    agent.remember()
    agent.ours.close()
    service.run(agent.loop, agent.service)
    assert agent.undone == ["a change"]


def test_a_deadline_is_a_reason_to_undo(agent, change):
    agent.prepare(sysctl={"first": 1}, deadline_ns=0)
    assert agent.leaves()["reason"] == "the run's deadline passed"
    assert agent.undone == ["first"]


def test_a_person_who_looks_around_has_no_deadline(agent):
    agent.prepare(deadline_ns=HOUR)
    deadline = agent.service.deadline_ns
    agent.ask(protocol.HOLD)
    agent.service._overdue(deadline)
    assert not agent.service.leaving


def test_silence_is_a_reason_to_undo(agent):
    agent.remember()
    agent.service.channel.heard_ns -= 2 * service.SILENCE_NS
    agent.service._check_silence()
    assert agent.leaves()["reason"] == "the controller was silent for 15 s"
    assert agent.undone == ["a change"]


def test_a_sign_of_life_puts_the_silence_off(agent):
    agent.service._check_silence()
    assert not agent.service.leaving


def test_a_fault_of_its_own_is_a_reason_to_undo(agent):
    def fail():
        raise RuntimeError("what nobody thought of")

    agent.remember()
    agent.loop.call_at(0, fail)
    assert agent.leaves()["reason"] == "a fault in the agent: RuntimeError: what nobody thought of"
    assert agent.undone == ["a change"]


def test_it_goes_although_something_can_never_be_undone(agent, monkeypatch):
    monkeypatch.setattr(service, "LEAVE_NS", 0)
    agent.remember("the rest")
    agent.remember("stuck", wait=Wait())
    agent.service.leave("it is over")
    assert agent.leaves()["not_undone"] == ["stuck (timeout)"]
    assert agent.undone == ["the rest"]


def test_who_leaves_waits_for_an_undoing_under_way(agent):
    bell = type("Bell", (), {"waiting": []})()
    agent.remember("first")
    agent.remember("slow", wait=Wait(on=bell))
    finishing = agent.send(protocol.FINISH)
    agent.loop.until(lambda: bell.waiting)
    agent.ours.shutdown(socket.SHUT_WR)
    agent.loop.until(lambda: agent.service.leaving and agent.service.host.waiting)
    assert agent.told(protocol.GOODBYE) == []
    bell.waiting[0].resume(came=True)
    assert agent.leaves()["undone"] == []
    assert agent.answer(finishing)["ok"]["undone"] == ["slow", "first"]


def test_who_leaves_begins_nothing(agent, change):
    bell = type("Bell", (), {"waiting": []})()
    agent.remember("slow", wait=Wait(on=bell))
    preparing = agent.send(protocol.PREPARE, run="next", actions=[], sysctl={"next": 1})
    agent.loop.until(lambda: bell.waiting)
    agent.service.leave("it is over")
    firing = agent.send(protocol.FIRE, actions=[])
    agent.loop.until(lambda: agent.service.host.waiting)
    assert agent.answer(firing)["error"] == "the agent is leaving"
    bell.waiting[0].resume(came=True)
    agent.leaves()
    assert "an earlier run is not undone" in agent.answer(preparing)["error"]
    assert agent.undone == ["slow"]


def test_who_is_asked_to_finish_has_more_time_to_undo_than_who_has_to_leave(agent, monkeypatch):
    given = []

    def undo(_host, patience_ns):
        given.append(patience_ns)
        return [], []
        yield

    monkeypatch.setattr(type(agent.service.host), "undo", undo)
    agent.answer(agent.send(protocol.FINISH))
    agent.service.leave("it is over")
    agent.leaves()
    assert given == [undoing.AT_LEISURE_NS, undoing.ALL_NS]
    assert undoing.ALL_NS < undoing.AT_LEISURE_NS < service.UNDO_NS


def test_last_words_are_whole_although_the_controller_is_slow(agent):
    said = ["x" * (1 << 20)] * 4
    for text in said:
        agent.service.tell("packets", data=text)
    agent.service.leave("it is over")
    agent.loop.until(lambda: agent.service.channel.waiting)  # it would say goodbye, and cannot yet
    while not agent.told(protocol.GOODBYE):
        agent.loop.serve(0)
    assert [frame["data"] for frame in agent.told("packets")] == said
    service.run(agent.loop, agent.service)


def test_a_controller_that_does_not_read_cannot_keep_it(agent, monkeypatch):
    monkeypatch.setattr(service, "LAST_WORDS_NS", 0)
    agent.remember()
    agent.service.tell("packets", data="x" * (4 << 20))
    agent.service.leave("it is over")
    service.run(agent.loop, agent.service)
    assert agent.undone == ["a change"]


# -- the whole


@pytest.fixture
def wakeup():
    """What a whole agent takes over of its process is put back."""
    numbers = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before, path = [signal.getsignal(number) for number in numbers], os.environ["PATH"]
    yield
    signal.set_wakeup_fd(-1)
    for number, action in zip(numbers, before, strict=True):
        signal.signal(number, action)
    os.environ["PATH"] = path


@pytest.fixture
def whole(monkeypatch, loop, wakeup):
    """``serve`` on one end of a socket pair, with the test's loop; gives what it said."""
    monkeypatch.setattr(service, "Loop", lambda: loop)

    def serve(*asks, **greeting):
        ours, theirs = socket.socketpair()
        for ask in asks:
            ours.send(json.dumps(ask).encode() + b"\n")
        service.serve(theirs.fileno(), theirs.fileno(), greeting)
        theirs.close()
        said = b""
        while piece := ours.recv(1 << 20):
            said += piece
        ours.close()
        return [json.loads(line) for line in said.splitlines()]

    return serve


def test_it_greets_answers_and_leaves(whole, loop):
    loop.call_at(0, os.kill, os.getpid(), signal.SIGTERM)
    hello, goodbye = whole(left_out=["/proc"])
    assert (hello["tell"], hello["version"], hello["pid"], hello["left_out"]) == ("hello", protocol.VERSION, os.getpid(), ["/proc"])
    assert (goodbye["tell"], goodbye["reason"]) == ("goodbye", f"signal {int(signal.SIGTERM)}")


def test_a_signal_that_is_ignored_stays_so(whole, loop):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.call_at(0, os.kill, os.getpid(), signal.SIGINT)
    loop.call_at(1, os.kill, os.getpid(), signal.SIGHUP)
    _hello, goodbye = whole()
    assert goodbye["reason"] == f"signal {int(signal.SIGHUP)}"
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_programs_of_the_system_are_found(whole, loop):
    loop.call_at(0, os.kill, os.getpid(), signal.SIGTERM)
    whole()
    assert os.environ["PATH"].endswith(":/usr/sbin:/sbin")
