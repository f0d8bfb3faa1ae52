"""Changes and their undos: that exactly what was put in is taken out, also where a tool was interrupted."""

from __future__ import annotations

import locale

import pytest

from orchestrator.agent import changes
from orchestrator.agent.changes import ChangeRefused, PacketRule, removal
from orchestrator.agent.tasks import Interrupted, Wait

OURS = ["-m", "comment", "--comment", "orchestrate:run:lose"]
TOOL = ["iptables", "-w", "5"]


@pytest.mark.parametrize(
    ("rule", "taken_out"),
    [
        ("-A INPUT -p tcp -j DROP", "-D INPUT -p tcp -j DROP"),
        ("-I INPUT -p tcp -j DROP", "-D INPUT -p tcp -j DROP"),
        ("-I INPUT 2 -p tcp --dport 80 -j DROP", "-D INPUT -p tcp --dport 80 -j DROP"),
        ("-t nat -A POSTROUTING -j MASQUERADE", "-t nat -D POSTROUTING -j MASQUERADE"),
        ("--append FORWARD -m statistic --mode nth --every 3 -j DROP", "-D FORWARD -m statistic --mode nth --every 3 -j DROP"),
        ("--insert OUTPUT 1 -j ACCEPT", "-D OUTPUT -j ACCEPT"),
        ("-p tcp -I INPUT --dport 80 -j DROP", "-p tcp -D INPUT --dport 80 -j DROP"),
    ],
)
def test_a_rule_is_taken_out_word_for_word(rule, taken_out):
    assert removal(rule.split()) == taken_out.split()
    assert removal(rule.split(), "-C") == taken_out.replace("-D ", "-C ").split()


@pytest.mark.parametrize("rule", ["-F", "-N lab", "-P INPUT DROP", "-D INPUT 1", "-R INPUT 1 -j DROP", "-L", "", "-A"])
def test_what_puts_no_rule_in_is_refused_before_anything_is_done(rule):
    with pytest.raises(ChangeRefused, match="only a rule that is appended"):
        PacketRule(None, "iptables", rule.split(), "orchestrate:run:x")


class Tool:
    """Stands for the tool: notes what it was asked, and answers each question in turn."""

    def __init__(self, *answers):
        self.asked = []
        self.answers = list(answers)

    def __call__(self, _loop, argv, stdin=b""):
        self.asked.append(argv)
        yield Wait()
        status = self.answers.pop(0)
        return status, "", "" if status == 0 else "the tool's word"


@pytest.fixture
def tool(monkeypatch):
    def install(*answers):
        made = Tool(*answers)
        monkeypatch.setattr(changes, "output", made)
        return made

    return install


def finish(steps):
    """Run a task through all its waits."""
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value


def interrupt(steps):
    next(steps)
    with pytest.raises(Interrupted):
        steps.throw(Interrupted("timeout"))


def rule():
    return PacketRule(None, "iptables", ["-I", "INPUT", "1", "-j", "DROP"], OURS[-1])


PUT_IN = [*TOOL, "-I", "INPUT", "1", "-j", "DROP", *OURS]
LOOK = [*TOOL, "-C", "INPUT", "-j", "DROP", *OURS]
TAKE_OUT = [*TOOL, "-D", "INPUT", "-j", "DROP", *OURS]


def test_a_rule_that_was_put_in_is_taken_out(tool):
    asked = tool(0, 0).asked
    made = rule()
    finish(made.put_in())
    text, steps = made.undo
    finish(steps())
    assert asked == [PUT_IN, TAKE_OUT]
    assert text == "iptables -D INPUT -j DROP -m comment --comment orchestrate:run:lose"


@pytest.mark.parametrize(("there", "then"), [(0, [LOOK, TAKE_OUT]), (1, [LOOK])], ids=["it was there", "it was not"])
def test_where_the_tool_was_interrupted_it_is_looked_up_first(tool, there, then):
    asked = tool(there, 0).asked
    made = rule()
    interrupt(made.put_in())
    finish(made.undo[1]())
    assert asked == [PUT_IN, *then]


def test_where_taking_out_was_interrupted_it_is_looked_up_the_next_time(tool):
    asked = tool(0, 1).asked
    made = rule()
    finish(made.put_in())
    interrupt(made.take_out())
    finish(made.undo[1]())
    assert asked == [PUT_IN, TAKE_OUT, LOOK]


def test_a_tool_that_cannot_look_is_no_proof_of_absence(tool):
    tool(4)
    made = rule()
    interrupt(made.put_in())
    with pytest.raises(ChangeRefused, match=r"-C INPUT .*: the tool's word"):
        finish(made.undo[1]())


def test_a_refusal_carries_the_tools_word(tool):
    tool(2)
    with pytest.raises(ChangeRefused, match=r"-I INPUT 1 .*: the tool's word"):
        finish(rule().put_in())


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.rp_filter", "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"),
    ],
)
def test_a_kernel_parameter_is_a_file(key, path):
    assert changes.sysctl_path(key) == path


def test_a_kernel_parameter_gets_its_old_value_back(tmp_path, monkeypatch):
    parameter = tmp_path / "tcp_rmem"
    parameter.write_text("4096\t131072\t6291456\n")
    monkeypatch.setattr(changes, "sysctl_path", lambda _key: str(parameter))
    text, undo = changes.sysctl("net.ipv4.tcp_rmem", "1 2 3")
    assert parameter.read_text() == "1 2 3"
    assert text == "net.ipv4.tcp_rmem = 4096 131072 6291456"
    finish(undo())
    assert parameter.read_text() == "4096 131072 6291456"


def test_a_kernel_parameter_that_is_not_there_is_refused():
    with pytest.raises(ChangeRefused, match=r"this kernel has no net.ipv4.no_such_thing"):
        changes.sysctl("net.ipv4.no_such_thing", 1)


class Driver:
    """A network driver's offloads (ethtool.h)."""

    def __init__(self, **states):
        self.states = states

    def __call__(self, _interface, number, value=0):
        name = next(name for name, numbers in changes._TOGGLES.items() if number in numbers)
        if self.states.get(name) is None:
            raise OSError(95, "Operation not supported")
        if number == changes._TOGGLES[name][1]:
            self.states[name] = value
        return self.states[name]


@pytest.mark.parametrize(
    ("was", "wanted", "undo"), [(1, False, "on"), (0, True, "off"), (1, True, None), (0, False, None), (None, False, None)]
)
def test_an_offload_is_switched_only_where_it_must_be(monkeypatch, was, wanted, undo):
    driver = Driver(tso=was)
    monkeypatch.setattr(changes, "_ethtool", driver)
    change = changes.offload("eth1", "tso", wanted=wanted)
    if undo is None:
        assert change is None
        assert driver.states == {"tso": was}
        return
    assert driver.states == {"tso": int(wanted)}
    assert change[0] == f"ethtool -K eth1 tso {undo}"
    finish(change[1]())
    assert driver.states == {"tso": was}


def test_an_offload_that_the_driver_lacks_cannot_be_switched_on(monkeypatch):
    monkeypatch.setattr(changes, "_ethtool", Driver())
    with pytest.raises(ChangeRefused, match="ethtool -K eth1 gro on: Operation not supported"):
        changes.offload("eth1", "gro", wanted=True)


def test_there_is_no_such_offload():
    with pytest.raises(ChangeRefused, match="no offload is called lro; there are rx, tx, sg, tso, gso, gro"):
        changes.offload("eth1", "lro", wanted=True)


def test_a_file_is_the_same_whatever_language_its_host_speaks(tmp_path):
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        changes.file(str(tmp_path), "server.py", "# Grüße\n", executable=False)
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    assert (tmp_path / "server.py").read_bytes() == "# Grüße\n".encode()


@pytest.mark.parametrize(("executable", "mode"), [(True, 0o700), (False, 0o600)])
def test_a_file_is_ours_alone(tmp_path, executable, mode):
    changes.file(str(tmp_path), "server.py", "", executable=executable)
    assert (tmp_path / "server.py").stat().st_mode & 0o777 == mode


def test_a_file_written_twice_is_taken_out_once_without_complaint(tmp_path):
    undos = [changes.file(str(tmp_path), "a.txt", text, executable=False)[1] for text in ("one", "two")]
    for undo in undos:
        finish(undo())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd"])
def test_only_a_plain_name_is_a_file_of_ours(tmp_path, name):
    with pytest.raises(ChangeRefused, match="is no plain file name"):
        changes.file(str(tmp_path), name, "", executable=False)
