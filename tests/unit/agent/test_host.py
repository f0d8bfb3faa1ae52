"""A host's actions and its undos: what is remembered, in which order it is undone, and what is closed."""

from __future__ import annotations

import os
import socket

import pytest

from orchestrator.agent import host
from orchestrator.agent.doing import actions, changes
from orchestrator.agent.doing.actions import raised
from orchestrator.agent.doing.changes import private_folder
from orchestrator.agent.doing.sockets import Held
from orchestrator.agent.host import Host
from orchestrator.agent.safety import undoing
from orchestrator.agent.seeing import observe
from orchestrator.agent.tasks import Interrupted, Wait, wake

SECOND = 1_000_000_000


def action(key, do, *, name=None, background=False, timeout_ns=60 * SECOND, **fields):
    named = {"name": name} if name else {}
    return {"id": key, "name": name, "background": background, "timeout_ns": timeout_ns, "action": {"do": do, **fields, **named}}


@pytest.fixture
def here(loop, tmp_path):
    made = Host(loop, "run", str(tmp_path))
    yield made
    made.sockets.close()


@pytest.fixture
def fire(here):
    """Fire actions; gives what was answered and what was told later."""

    def begin(*prepared, planned=0):
        answered, told = [], []
        here.fire(list(prepared), planned, answered.append, told.append)
        return answered, told

    return begin


@pytest.fixture
def remember(loop, here, monkeypatch):
    """Have something to undo, which notes that it was undone, or waits first."""

    def undo(_loop, undo, _certain):
        if undo["wait"] is not None:
            yield undo["wait"]
        if undo["error"] is not None:
            raise undo["error"]
        undo["done"].append(undo["text"])

    monkeypatch.setitem(undoing.UNDOS, "note", undo)

    def remember(text, done, error=None, wait=None):
        loop.finish(here.remember({"do": "note", "text": text, "done": done, "error": error, "wait": wait}))

    return remember


# -- firing


def test_nothing_fired_is_answered_at_once(fire):
    assert fire() == ([[]], [])


def test_what_ends_at_once_is_answered_with_its_result(fire, tmp_path):
    answered, told = fire(action("1", "file", name="a.txt", text="hi"), planned=7)
    (((result,),)) = answered
    assert (result["id"], result["status"], result["planned_ns"]) == ("1", "done", 7)
    assert result["start_ns"] <= result["end_ns"]
    assert told == []
    assert (tmp_path / "a.txt").read_text() == "hi"


@pytest.fixture
def pairs(here):
    """Connected sockets by name; what waits for one ends when the other says something."""
    for name, sock in zip(("a", "b"), socket.socketpair(), strict=True):
        here.sockets.held[name] = Held(name, sock)
    return here.sockets.held


def receive(key, **more):
    calls = [{"text": "a.recv(10)", "method": "recv", "receiver": "a", "arguments": [10]}]
    return action(key, "calls", calls=calls, **more)


def test_what_runs_in_the_background_is_answered_now_and_told_later(loop, fire, pairs):
    answered, told = fire(receive("1", background=True, name="reading"))
    ((result,),) = answered
    assert (result["status"], result["calls"][0]["text"]) == ("running", "a.recv(10)")
    assert told == []
    pairs["b"].sock.send(b"x")
    loop.until(lambda: told)
    assert [ended["status"] for ended in told] == ["done"]
    assert result["status"] == "running"


def test_what_ends_at_once_in_the_background_is_not_told_twice(fire):
    answered, told = fire(action("1", "file", name="a.txt", text="", background=True))
    assert answered[0][0]["status"] == "done"
    assert told == []


def test_the_answer_comes_when_the_last_has_ended(loop, fire, pairs):
    answered, _told = fire(receive("1"), action("2", "file", name="a.txt", text=""))
    assert answered == []
    pairs["b"].sock.send(b"x")
    loop.until(lambda: answered)
    assert [result["id"] for result in answered[0]] == ["2", "1"]


@pytest.mark.parametrize(("patience_ns", "status"), [(0, "timeout"), (60 * SECOND, "blocked")])
@pytest.mark.usefixtures("pairs")
def test_what_blocks_is_ended_and_says_by_what(loop, here, fire, patience_ns, status):
    answered, _told = fire(receive("1", timeout_ns=patience_ns))
    loop.serve(0)
    here.interrupt()
    ((result,),) = answered
    assert result["status"] == result["calls"][0]["status"] == status
    assert result["calls"][0]["sockets"][0]["closed"] is False
    here.interrupt()
    assert len(answered) == 1


def test_the_same_action_fired_twice_is_ended_twice(here, fire, pairs):
    first, _ = fire(receive("1"))
    second, _ = fire(receive("1"))
    here.interrupt()
    assert [answered[0][0]["status"] for answered in (first, second)] == ["blocked", "blocked"]


def test_what_waits_for_another_takes_its_outcome(here, fire, pairs):
    fire(receive("1", background=True, name="reading"))
    answered, _told = fire(action("2", "wait", on="reading"))
    assert answered == []
    here.interrupt()
    ((result,),) = answered
    assert (result["id"], result["status"]) == ("2", "blocked")


def test_an_exception_is_an_outcome_with_its_names(fire):
    answered, _told = fire(action("1", "wait", on="nobody"))
    assert answered[0][0]["status"] == "raised"
    assert answered[0][0]["exceptions"] == ["KeyError", "LookupError", "Exception"]


@pytest.mark.parametrize(
    ("error", "names", "number"),
    [
        (ConnectionRefusedError(111, "no"), ["ConnectionRefusedError", "ConnectionError", "OSError", "Exception"], "ECONNREFUSED"),
        (type("timeout", (OSError,), {})("timed out"), ["TimeoutError", "OSError", "Exception"], ""),
        (ValueError("no"), ["ValueError", "Exception"], ""),
    ],
)
def test_names_are_the_same_on_every_python(error, names, number):
    assert (raised(error)["exceptions"], raised(error)["errno"]) == (names, number)


# -- rules


RULE = action("1", "iptables", name="lose", tool="iptables", words=["-A", "INPUT", "-j", "DROP"])
REMOVE = action("2", "remove", name="lose")


def test_a_rule_is_undone_at_the_end(loop, here, fire, tool):
    verbs = tool(0, 0).verbs
    fire(RULE)
    assert loop.finish(here.undo(9_000_000_000)).value == (["iptables -D INPUT -j DROP -m comment --comment orchestrate:run:lose"], [])
    assert verbs == ["-A", "-D"]


def test_a_rule_that_was_removed_is_not_undone_again(loop, here, fire, tool):
    verbs = tool(0, 0).verbs
    fire(RULE)
    fire(REMOVE)
    assert loop.finish(here.undo(9_000_000_000)).value == ([], [])
    assert verbs == ["-A", "-D"]
    answered, _told = fire(REMOVE)
    assert answered[0][0]["message"] == "no rule called lose is in place"


@pytest.mark.parametrize("answer", [1, FileNotFoundError(2, "No such file or directory", "iptables")], ids=["refused", "no such tool"])
def test_a_rule_that_was_refused_is_not_undone(loop, here, fire, tool, answer):
    verbs = tool(answer).verbs
    answered, _told = fire(RULE)
    assert answered[0][0]["status"] == "raised"
    assert loop.finish(here.undo(9_000_000_000)).value == ([], [])
    assert verbs == ["-A"]


def test_a_rule_whose_tool_was_interrupted_is_looked_up_and_undone(loop, here, fire, tool):
    verbs = tool(Wait(), 0, 0).verbs
    answered, _told = fire(RULE)
    here.interrupt()
    assert answered[0][0]["status"] == "blocked"
    undone, failed = loop.finish(here.undo(9_000_000_000)).value
    assert (len(undone), failed) == (1, [])
    assert verbs == ["-A", "-C", "-D"]


def test_a_rule_whose_removal_was_refused_is_still_in_place(loop, here, fire, tool):
    verbs = tool(0, 4, 0, 0).verbs
    fire(RULE)
    answered, _told = fire(REMOVE)
    assert answered[0][0]["status"] == "raised"
    loop.finish(here.undo(9_000_000_000))
    assert verbs == ["-A", "-D", "-C", "-D"]


# -- undoing


def test_the_last_is_undone_first_and_a_failure_stops_nothing(loop, here, remember):
    done = []
    for text, error in (("first", None), ("second", OSError("no")), ("third", None)):
        remember(text, done, error)
    assert loop.finish(here.undo(9_000_000_000)).value == (["third", "first"], ["second (no)"])
    assert done == ["third", "first"]


def test_two_who_undo_do_it_in_one_order(loop, here, remember, ended):
    done = []
    remember("first", done)
    gate = undoing._News()
    remember("second", done, wait=Wait(on=gate))
    first, second = type(ended)(), type(ended)()
    loop.spawn(here.undo(9_000_000_000), first)
    loop.spawn(here.undo(9_000_000_000), second)
    assert done == []
    assert second.outcomes == []
    wake(gate.waiting)
    assert first.value == (["second", "first"], [])
    assert second.value == ([], [])


def test_what_does_not_end_is_left_behind_by_the_deadline_and_the_rest_undone(loop, here, remember, ended):
    done = []
    remember("first", done)
    remember("stuck", done, wait=Wait())
    loop.spawn(here.undo(9_000_000_000), ended, deadline=0)
    loop.serve(0)
    assert ended.value == (["first"], ["stuck (timeout)"])


def test_who_waits_for_the_undoing_of_another_can_be_interrupted(loop, here, remember, ended):
    remember("stuck", [], wait=Wait())
    first = type(ended)()
    tasks = [loop.spawn(here.undo(9_000_000_000), done) for done in (first, ended)]
    tasks[1].interrupt("timeout")
    assert isinstance(ended.error, Interrupted)
    assert first.outcomes == []


class Started:
    """A program, as far as its start and its end go."""

    def __init__(self, _loop, argv, name=""):
        self.argv = argv
        self.status = 0
        self.clipped = False
        self.closed = 0
        self.stdout = self.stderr = self

    def text(self):
        return ""

    def end_input(self):
        pass

    def close(self):
        self.closed += 1


def test_every_program_is_closed_at_the_end_whatever_its_name(loop, here, fire, monkeypatch):
    made = []

    def start(*arguments):
        made.append(Started(*arguments))
        return made[-1]

    monkeypatch.setattr(actions.programs, "Program", start)
    fire(action("1", "start", name="server", argv=["nc"]))
    fire(action("2", "start", name="server", argv=["nc"]))
    fire(action("3", "run", argv=["sh", "-c", "nc &"]))
    loop.finish(here.undo(9_000_000_000))
    assert [program.closed for program in made] == [1, 1, 1]


def test_a_listener_is_ready_when_the_kernel_shows_it(loop, fire, monkeypatch):
    looks = iter([False, False, True])
    monkeypatch.setattr(observe, "listening", lambda port: next(looks) and port == 4000)
    monkeypatch.setattr(actions.programs, "Program", type("Serving", (Started,), {"__init__": serving}))
    answered, _told = fire(action("1", "start", name="server", argv=["nc"], ready={"listening": 4000}))
    assert answered == []
    loop.until(lambda: answered)
    assert answered[0][0]["status"] == "done"


def serving(self, loop, argv, name=""):
    Started.__init__(self, loop, argv, name)
    self.status = None
    self.waiting = []


def test_a_private_folder_is_ours_and_goes_with_all_in_it(loop, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    change = private_folder("run")
    folder = change.undo["path"]
    loop.finish(change.make())
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.getcwd() == os.path.realpath(folder)
    assert change.undo["text"] == f"rm -r {folder}"
    loop.finish(changes.file(folder, "a.txt", "hi", executable=False).make())
    loop.finish(undoing.carry_out(loop, change.undo))
    loop.finish(undoing.carry_out(loop, change.undo))
    assert os.listdir(tmp_path) == []
    assert os.getcwd() == "/"


def test_the_table_of_actions_is_all_there_is(here):
    with pytest.raises(KeyError):
        here.begin(action("1", "os.system"), 0, print)
    assert host.ACTIONS is actions.ACTIONS
