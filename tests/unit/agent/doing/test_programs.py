"""Programs: what is left of one that could not start, that ended too soon, that left something behind."""

from __future__ import annotations

import os
import select
import signal

import pytest

from orchestrator.agent.doing.programs import KEPT_BYTES, Program, output

pytestmark = pytest.mark.impure("a program is a process")

MORE_THAN_A_PIPE_HOLDS = b"x" * (1 << 20)


@pytest.fixture
def begin(loop):
    begun = []

    def start(*argv):
        begun.append(Program(loop, list(argv)))
        return begun[-1]

    yield start
    for program in begun:
        program.close()
        loop.until(lambda program=program: program.status is not None)


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["no-such-program-here"], FileNotFoundError),
        (["/"], PermissionError),
        (["true", "a\0b"], ValueError),
        ([], IndexError),
    ],
)
def test_what_cannot_start_leaves_nothing_open(loop, open_files, argv, error):
    before = open_files()
    with pytest.raises(error):
        Program(loop, argv)
    assert open_files() == before


def test_too_few_descriptors_leave_nothing_open(loop, open_files, monkeypatch):
    before = open_files()
    real, made = os.pipe, []

    def second_fails():
        if made:
            raise OSError(24, "Too many open files")
        made.append(real())
        return made[0]

    monkeypatch.setattr(os, "pipe", second_fails)
    with pytest.raises(OSError, match="Too many open files"):
        Program(loop, ["true"])
    assert open_files() == before


def test_a_tool_gives_its_status_and_its_words(loop, open_files):
    before = open_files()
    assert loop.finish(output(loop, ["sh", "-c", "cat; echo no >&2; exit 3"], b"hello")).value == (3, "hello", "no\n")
    assert open_files() == before


def test_a_tool_that_gives_up_reading_says_why_itself(loop):
    status, _out, err = loop.finish(output(loop, ["sh", "-c", "exec <&-; echo line 1 is wrong >&2; exit 2"], MORE_THAN_A_PIPE_HOLDS)).value
    assert (status, err) == (2, "line 1 is wrong\n")


def test_a_tool_that_is_interrupted_is_ended(loop, ended):
    task = loop.spawn(output(loop, ["sleep", "60"]), ended)
    (pid,) = loop._children
    handle = os.pidfd_open(pid)
    task.interrupt("timeout")
    assert str(ended.error) == "timeout"
    assert wait_end(handle)


def test_it_starts_with_default_signals_and_none_blocked(loop):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        _status, out, _err = loop.finish(output(loop, ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])).value
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    masks = {line.split(":")[0]: int(line.split(":")[1], 16) for line in out.splitlines()}
    assert masks["SigBlk"] == 0
    assert not masks["SigIgn"] & 1 << signal.SIGPIPE - 1  # Python itself ignores it, and its children would


def test_who_types_to_a_program_that_ends_is_told(loop, begin, ended):
    program = begin("sleep", "60")
    loop.spawn(program.write(MORE_THAN_A_PIPE_HOLDS), ended)
    typed_into = program.input
    assert ended.outcomes == []
    program.kill(signal.SIGKILL)
    loop.until(lambda: program.status is not None)
    assert isinstance(ended.error, BrokenPipeError)
    assert program.status == -signal.SIGKILL
    assert typed_into not in loop._watchers


def test_who_types_when_its_input_is_ended_is_told_at_once(loop, begin, ended):
    program = begin("sleep", "60")
    loop.spawn(program.write(MORE_THAN_A_PIPE_HOLDS), ended)
    typed_into = program.input
    program.end_input()
    assert isinstance(ended.error, BrokenPipeError)
    assert typed_into not in loop._watchers


def test_what_is_typed_arrives_whole(loop, begin, ended):
    program = begin("wc", "-c")
    loop.spawn(program.write(MORE_THAN_A_PIPE_HOLDS), ended)
    loop.until(lambda: ended.outcomes)
    program.end_input()
    loop.until(lambda: program.status is not None)
    assert program.stdout.text().strip() == str(len(MORE_THAN_A_PIPE_HOLDS))


def test_a_flood_is_kept_up_to_its_bound(loop, begin):
    program = begin("head", "-c", str(3 * KEPT_BYTES), "/dev/zero")
    loop.until(lambda: program.status is not None)
    assert len(program.stdout.kept) == KEPT_BYTES
    assert program.clipped


def test_a_tool_that_floods_has_told_nothing_that_can_be_trusted(loop):
    flood = ["head", "-c", str(KEPT_BYTES + 1), "/dev/zero"]
    assert str(loop.finish(output(loop, flood)).error).endswith(f"head wrote more than {KEPT_BYTES} bytes")
    enough = ["head", "-c", str(KEPT_BYTES), "/dev/zero"]
    assert len(loop.finish(output(loop, enough)).value[1]) == KEPT_BYTES


def test_bytes_that_are_no_text_are_shown(loop, begin):
    program = begin("printf", r"\377ok")
    loop.until(lambda: program.status is not None)
    assert program.stdout.text() == r"\xffok"


def wait_end(handle):
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    over = poll.poll(5000)
    os.close(handle)
    return bool(over)


def test_what_it_left_running_neither_delays_its_end_nor_survives_its_close(loop, begin):
    program = begin("sh", "-c", "sleep 60 & echo $!")
    loop.until(lambda: program.status is not None)
    child = os.pidfd_open(int(program.stdout.text()))
    program.close()
    assert wait_end(child)


def test_the_group_of_a_stranger_with_its_number_is_spared(loop, begin, monkeypatch):
    program = begin("true")
    loop.until(lambda: program.status is not None)
    killed = []
    monkeypatch.setattr(os, "killpg", lambda pid, _number: killed.append(pid))
    program.close()
    assert killed == [program.pid]  # nobody has the number: if there is such a group, it is ours
    for answer in (None, PermissionError(1, "Operation not permitted")):
        monkeypatch.setattr(os, "kill", stranger(answer))
        program.close()
    assert killed == [program.pid]


def stranger(error):
    def kill(_pid, _number):
        if error is not None:
            raise error

    return kill


def test_an_ended_program_is_not_signalled(loop, begin):
    program = begin("true")
    loop.until(lambda: program.status is not None)
    with pytest.raises(ProcessLookupError):
        program.kill(signal.SIGINT)
