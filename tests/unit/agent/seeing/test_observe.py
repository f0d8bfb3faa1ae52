"""What a host sees of itself: the tables of the kernel, and tools that find nothing or fail."""

from __future__ import annotations

import io
import sys
from builtins import open as real_open

import pytest

from orchestrator.agent.seeing import observe

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ESTABLISHED, UNCONNECTED, LISTEN = "01", "07", "0A"


def line(port, state, address="0100007F"):
    return f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 39241 1\n"


@pytest.fixture
def tables(monkeypatch):
    """The tables of ``/proc/self/net`` that there are; the others are missing, as on a kernel without IPv6."""
    held = {}

    def opened(path, *arguments, **more):
        if not str(path).startswith("/proc/self/net/"):
            return real_open(path, *arguments, **more)
        name = path.rpartition("/")[2]
        if name not in held:
            raise FileNotFoundError(2, "No such file or directory", path)
        return io.StringIO(HEAD + held[name])

    monkeypatch.setattr("builtins.open", opened)
    return held


@pytest.mark.parametrize(
    ("table", "state", "expected"),
    [("tcp", LISTEN, True), ("tcp", ESTABLISHED, False), ("tcp6", LISTEN, True), ("udp", UNCONNECTED, True), ("udp6", ESTABLISHED, False)],
)
def test_a_listener_is_in_the_kernels_table(tables, table, state, expected):
    tables[table] = line(4000, state)
    assert observe.listening(4000) is expected
    assert observe.listening(4001) is False


def test_a_port_is_not_the_end_of_another_number(tables):
    tables["tcp"] = line(0x1234, LISTEN)
    assert observe.listening(0x34) is False


class Tool:
    """Stands for every tool, and answers alike."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, _loop, _argv, stdin=b""):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
        yield


@pytest.mark.parametrize(
    ("answer", "text"),
    [((0, "out", ""), "out"), ((1, "", ""), ""), ((1, "some", "a warning"), "some")],
    ids=["found", "nothing", "in part"],
)
def test_a_tool_that_finds_nothing_is_no_error(loop, monkeypatch, answer, text):
    monkeypatch.setattr(observe, "output", Tool(answer))
    assert loop.finish(observe.ask(loop, "lsof")).value == text


def test_a_tool_that_fails_says_why(loop, monkeypatch):
    monkeypatch.setattr(observe, "output", Tool((2, "", "no permission\n")))
    error = loop.finish(observe.ask(loop, "ss")).error
    assert str(error).endswith("ss: no permission")


def test_the_fingerprint_names_what_is_missing(loop, monkeypatch):
    monkeypatch.setattr(observe, "output", Tool(FileNotFoundError(2, "No such file or directory")))
    monkeypatch.setattr(observe, "read_offload", lambda _interface, name: {"tso": True, "gro": False}.get(name))
    facts = loop.finish(observe.environment(loop, ["ip", "no-such-tool"], ["eth1"])).value
    assert facts["ip"] == "missing"
    assert "no-such-tool" not in facts
    assert facts["offload.eth1"] == "tso:on gro:off"
    assert sys.version.startswith(facts["python"])


@pytest.mark.parametrize(
    ("out", "version"),
    [
        ("ip utility, iproute2-6.1.0\n", "ip utility, iproute2-6.1.0"),
        ("lsof version:\n    revision: 4.95\n", "revision: 4.95"),
        ("", "unknown"),
    ],
)
def test_a_version_is_the_line_that_says_it(loop, monkeypatch, out, version):
    monkeypatch.setattr(observe, "output", Tool((0, out, "")))
    assert loop.finish(observe.environment(loop, ["ip"], [])).value["ip"] == version


def test_a_program_that_tells_no_version_is_told_by_its_file(loop, monkeypatch, tmp_path):
    (tmp_path / "nc.openbsd").touch(0o755)
    (tmp_path / "nc").symlink_to("nc.openbsd")
    (tmp_path / "notes").touch(0o644)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}")
    facts = loop.finish(observe.environment(loop, ["nc", "notes", str(tmp_path / "nc")], [])).value
    target = str((tmp_path / "nc.openbsd").resolve())
    assert (facts["nc"], facts[str(tmp_path / "nc")]) == (target, target)
    assert "notes" not in facts


def test_both_clocks_are_read_at_one_moment(monkeypatch):
    monotonic, unix = iter([0, 90, 100, 104, 200, 300, 400, 500, 600, 700]), iter([1, 2, 3, 4, 5])
    monkeypatch.setattr(observe.time, "monotonic_ns", lambda: next(monotonic))
    monkeypatch.setattr(observe.time, "time_ns", lambda: next(unix))
    assert observe.clock() == [102, 2]
