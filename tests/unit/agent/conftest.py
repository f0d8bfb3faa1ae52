"""One loop for a test, taken down with all that it took over of the process."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterator

import pytest

from orchestrator.agent.doing import changes
from orchestrator.agent.loop import Loop
from orchestrator.agent.safety import undoing
from orchestrator.agent.tasks import Task, Wait

ROUNDS = 2000


class Ended:
    """What became of a task: every way in which ``done`` was called."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[object, Exception | None]] = []

    def __call__(self, value: object, error: Exception | None) -> None:
        self.outcomes.append((value, error))

    @property
    def value(self) -> object:
        ((value, error),) = self.outcomes
        assert error is None, error
        return value

    @property
    def error(self) -> Exception | None:
        ((_value, error),) = self.outcomes
        return error


class Driven(Loop):
    """A loop that a test turns by hand."""

    def until(self, condition: Callable[[], object]) -> None:
        for _ in range(ROUNDS):
            if condition():
                return
            self.serve(min(self._pause_ms(), 100))
        raise AssertionError("it did not come to that")

    def finish(self, steps: object, deadline: int | None = None) -> Ended:
        ended = Ended()
        task: Task = self.spawn(steps, ended, deadline)
        self.until(lambda: task.over)
        return ended


class Tool:
    """Stands for iptables: notes what it was asked and with which verb, and answers in turn: a status, an exception, or never."""

    def __init__(self, *answers: int | Exception | Wait) -> None:
        self.asked: list[list[str]] = []
        self.verbs: list[str] = []
        self.answers = list(answers)

    def __call__(self, _loop: Loop, argv: list[str], stdin: bytes = b"") -> Generator[Wait, None, tuple[int, str, str]]:
        self.asked.append(argv)
        self.verbs.append(argv[3])
        answer = self.answers.pop(0)
        if isinstance(answer, Wait):
            yield answer  # until it is interrupted
        if isinstance(answer, Exception):
            raise answer
        return answer, "", "" if answer == 0 else "the tool's word"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tool]:
    """Puts such a tool in place of every program that changes and undos would start."""

    def install(*answers: int | Exception | Wait) -> Tool:
        made = Tool(*answers)
        for module in (changes, undoing):
            monkeypatch.setattr(module, "output", made)
        return made

    return install


@pytest.fixture
def loop() -> Iterator[Driven]:
    before = signal.getsignal(signal.SIGCHLD)
    made = Driven()
    yield made
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)
    os.close(made._woken)
    os.close(made._waker)


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that does not block; closed at the end, if the test has not."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


@pytest.fixture
def open_files() -> Callable[[], set[str]]:
    """The numbers of this process's descriptors, but for the one that looks."""

    def look() -> set[str]:
        return {name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")}

    return look
