"""Changes and their undos: that exactly what was put in is taken out, also where a tool was interrupted."""

from __future__ import annotations

import errno
import json
import locale

import pytest

from orchestrator.agent.doing import changes
from orchestrator.agent.doing.changes import ChangeRefused, Doubtful, removal
from orchestrator.agent.safety import network, undoing

OURS = ["-m", "comment", "--comment", "orchestrate:run:lose"]
TOOL = ["iptables", "-w", "3"]


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
        changes.rule(None, "iptables", rule.split(), "orchestrate:run:x")


def finish(steps):
    """Run a task through all its waits."""
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value


def rule():
    return changes.rule(None, "iptables", ["-I", "INPUT", "1", "-j", "DROP"], OURS[-1])


PUT_IN = [*TOOL, "-I", "INPUT", "1", "-j", "DROP", *OURS]
LOOK = [*TOOL, "-C", "INPUT", "-j", "DROP", *OURS]
TAKE_OUT = [*TOOL, "-D", "INPUT", "-j", "DROP", *OURS]


def undo(change, *, certain=False):
    return finish(undoing.carry_out(None, json.loads(json.dumps(change.undo)), certain=certain))


def test_who_saw_a_rule_put_in_takes_it_out_without_a_look(tool):
    asked = tool(0, 0).asked
    made = rule()
    finish(made.make())
    undo(made, certain=True)
    assert asked == [PUT_IN, TAKE_OUT]
    assert made.undo["text"] == "iptables -D INPUT -j DROP -m comment --comment orchestrate:run:lose"


@pytest.mark.parametrize(("there", "then"), [(0, [LOOK, TAKE_OUT]), (1, [LOOK])], ids=["it was there", "it was not"])
def test_whoever_else_looks_first(tool, there, then):
    asked = tool(there, 0).asked
    undo(rule())
    assert asked == then


def test_a_tool_that_cannot_look_is_no_proof_of_absence(tool):
    tool(4)
    with pytest.raises(ChangeRefused, match=r"-C INPUT .*: the tool's word"):
        undo(rule())


def test_a_refusal_carries_the_tools_word(tool):
    tool(2)
    with pytest.raises(ChangeRefused, match=r"-I INPUT 1 .*: the tool's word") as refusal:
        finish(rule().make())
    assert not isinstance(refusal.value, Doubtful)


def test_a_tool_that_was_killed_may_have_done_its_work(tool):
    tool(-9)
    with pytest.raises(Doubtful):
        finish(rule().make())


def test_nobody_undoes_what_nobody_knows():
    with pytest.raises(ChangeRefused, match="nobody here knows how to undo: dance"):
        finish(undoing.carry_out(None, {"do": "dance"}))


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
    change = changes.sysctl("net.ipv4.tcp_rmem", "1 2 3")
    assert parameter.read_text() == "4096\t131072\t6291456\n"
    finish(change.make())
    assert parameter.read_text() == "1 2 3"
    assert change.undo["text"] == "net.ipv4.tcp_rmem = 4096 131072 6291456"
    undo(change)
    assert parameter.read_text() == "4096 131072 6291456"


def test_a_kernel_parameter_that_is_not_there_is_refused():
    with pytest.raises(ChangeRefused, match=r"this kernel has no net.ipv4.no_such_thing"):
        changes.sysctl("net.ipv4.no_such_thing", 1)


@pytest.mark.parametrize("key", ["//.etc.passwd", "net.//.//.//.etc.passwd"])
def test_a_kernel_parameter_is_no_path_out_of_the_kernels_own(key):
    with pytest.raises(ChangeRefused, match="this kernel has no"):
        changes.write_sysctl(key, 1)


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
    ("was", "wanted", "back"), [(1, False, "on"), (0, True, "off"), (1, True, None), (0, False, None), (None, False, None)]
)
def test_an_offload_is_switched_only_where_it_must_be(monkeypatch, was, wanted, back):
    driver = Driver(tso=was)
    monkeypatch.setattr(changes, "_ethtool", driver)
    change = changes.offload("eth1", "tso", wanted=wanted)
    assert driver.states == {"tso": was}
    if back is None:
        assert change is None
        return
    finish(change.make())
    assert driver.states == {"tso": int(wanted)}
    assert change.undo["text"] == f"ethtool -K eth1 tso {back}"
    undo(change)
    assert driver.states == {"tso": was}


def gone(_interface, _number, _value=0):
    raise OSError(errno.ENODEV, "No such device")


def test_an_interface_that_has_gone_took_its_offloads_with_it(monkeypatch):
    monkeypatch.setattr(changes, "_ethtool", Driver(tso=1))
    change = changes.offload("eth1", "tso", wanted=False)
    monkeypatch.setattr(changes, "_ethtool", gone)
    undo(change)


def test_an_offload_that_cannot_be_put_back_is_told(monkeypatch):
    monkeypatch.setattr(changes, "_ethtool", Driver(tso=1))
    change = changes.offload("eth1", "tso", wanted=False)
    monkeypatch.setattr(changes, "_ethtool", Driver())
    with pytest.raises(ChangeRefused, match="ethtool -K eth1 tso on: Operation not supported"):
        undo(change)


def test_an_offload_that_the_driver_lacks_cannot_be_switched_on(monkeypatch):
    monkeypatch.setattr(changes, "_ethtool", Driver())
    with pytest.raises(ChangeRefused, match="ethtool -K eth1 gro on: Operation not supported"):
        finish(changes.offload("eth1", "gro", wanted=True).make())


def test_there_is_no_such_offload():
    with pytest.raises(ChangeRefused, match="no offload is called lro; there are rx, tx, sg, tso, gso, gro"):
        changes.offload("eth1", "lro", wanted=True)


def test_a_file_is_the_same_whatever_language_its_host_speaks(tmp_path):
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        finish(changes.file(str(tmp_path), "server.py", "# Grüße\n", executable=False).make())
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    assert (tmp_path / "server.py").read_bytes() == "# Grüße\n".encode()


@pytest.mark.parametrize(("executable", "mode"), [(True, 0o700), (False, 0o600)])
def test_a_file_is_ours_alone(tmp_path, executable, mode):
    finish(changes.file(str(tmp_path), "server.py", "", executable=executable).make())
    assert (tmp_path / "server.py").stat().st_mode & 0o777 == mode


def test_a_file_for_which_there_is_no_place_is_no_outcome_of_the_lab(tmp_path):
    with pytest.raises(changes.Unable, match=r"gone/a\.txt: No such file or directory"):
        finish(changes.file(str(tmp_path / "gone"), "a.txt", "", executable=False).make())
    with pytest.raises(changes.Unable, match="No such file or directory"):
        changes._enter_new(str(tmp_path / "gone" / "inner"))


def test_what_went_with_its_interface_needs_no_undo(monkeypatch):
    def gone(*_words):
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(changes, "_ethtool", gone)
    finish(undoing.carry_out(None, {"do": "offload", "interface": "eth1", "name": "tso", "wanted": True}))
    finish(undoing.carry_out(None, {"do": "sysctl", "key": "net.ipv4.conf.gone0.rp_filter", "value": "1"}))
    monkeypatch.setattr(changes, "_ethtool", Driver())
    with pytest.raises(ChangeRefused, match="Operation not supported"):
        finish(undoing.carry_out(None, {"do": "offload", "interface": "eth1", "name": "tso", "wanted": True}))


def test_what_was_added_to_an_interface_goes_with_it_and_what_is_to_come_back_does_not(monkeypatch):
    def gone(_loop, _undo):
        raise ChangeRefused('ip -o link show dev eth1: Device "eth1" does not exist.')
        yield

    for kind in ("address out", "route out", "link"):
        monkeypatch.setitem(network.UNDOS, kind, gone)
        finish(undoing.carry_out(None, {"do": kind}))
    monkeypatch.setitem(network.UNDOS, "address back", gone)
    with pytest.raises(ChangeRefused, match="does not exist"):
        finish(undoing.carry_out(None, {"do": "address back"}))


def test_a_file_written_twice_is_taken_out_once_without_complaint(tmp_path):
    written = [changes.file(str(tmp_path), "a.txt", text, executable=False) for text in ("one", "two")]
    for change in written:
        finish(change.make())
    for change in written:
        undo(change)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd"])
def test_only_a_plain_name_is_a_file_of_ours(tmp_path, name):
    with pytest.raises(ChangeRefused, match="is no plain file name"):
        changes.file(str(tmp_path), name, "", executable=False)
