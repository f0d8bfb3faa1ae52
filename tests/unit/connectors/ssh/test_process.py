"""Bytes of a process channel -> lines of the agent, noise of the shell, last words of a guardian, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from orchestrator.connectors.ssh import process as module
from orchestrator.connectors.ssh.process import AgentProcess

MARK = b"agent-0123"
ERRORS = 1


class Heard:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.ends: list[str] = []


def heard(body: Callable[[AgentProcess], None], *, begun: bool = True) -> tuple[AgentProcess, Heard]:
    async def whole() -> tuple[AgentProcess, Heard]:
        told, made = Heard(), AgentProcess(MARK, lambda error: f"lost: {error}")
        made.listen(told.lines.append, told.ends.append)
        if begun:
            made.data_received(b"\n" + MARK + b"\n", None)
        body(made)
        return made, told

    return asyncio.run(whole())


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_noise_before_the_mark_is_kept_apart_wherever_it_is_cut(size: int) -> None:
    data = b'Welcome\n{"tell":"hello"}\nno end\n' + MARK + b"\nfirst\nsecond\nrest"

    def body(made: AgentProcess) -> None:
        for start in range(0, len(data), size):
            made.data_received(data[start : start + size], None)

    made, told = heard(body, begun=False)
    assert told.lines == [b"first", b"second"]
    assert made.noise == b'Welcome\n{"tell":"hello"}\nno end\n'


def test_a_shell_that_does_not_end_to_print_is_stopped() -> None:
    made, told = heard(lambda made: made.data_received(b"y\n" * module.NOISE_BYTES, None), begun=False)
    assert told.ends == [f"its login shell printed {module.NOISE_BYTES} bytes and more before the agent began"]
    assert len(made.noise) <= module.NOISE_BYTES


def test_a_frame_on_standard_error_is_heard_and_the_rest_is_kept_for_people() -> None:
    goodbye = b'{"tell":"goodbye","reason":"x"}'
    no_frames = [b'{"tell"', b'{"tell":7}', b'{"id":1}', b'{"tell":"x","id":"y"}', b"plain"]
    made, told = heard(lambda made: made.data_received(b"\n".join([goodbye, *no_frames, b"\x1b[2Jlast"]), ERRORS))
    assert told.lines == [goodbye]
    assert made.words == b"\n".join(no_frames) + b"\n"
    assert made.last_words() == "[2Jlast"


def test_standard_error_is_kept_within_bounds() -> None:
    made, _told = heard(lambda made: made.data_received(b"x" * 100 + b"\n" * 10_000 + b"last\n", ERRORS))
    assert len(made.words) == module.WORDS_BYTES
    assert made.last_words() == "last"


def ended(made: AgentProcess, status: int | None = None, signal: str = "", error: Exception | None = None) -> None:
    made.data_received(b"why\n", ERRORS)
    if status is not None:
        made.exit_status_received(status)
    if signal:
        made.exit_signal_received(signal, False, "", "")
    assert made.eof_received()
    made.connection_lost(error)
    made.connection_lost(error)


def test_how_it_ended_is_told_once() -> None:
    assert heard(lambda made: ended(made, status=0))[1].ends == [""]
    assert heard(lambda made: ended(made, status=3))[1].ends == ["its agent ended with status 3; its last words: why"]
    assert heard(lambda made: ended(made, signal="KILL"))[1].ends == ["its agent was killed by SIGKILL; its last words: why"]
    assert heard(lambda made: ended(made, error=OSError("gone")))[1].ends == ["lost: gone"]


def test_who_closed_it_is_not_called_back_and_who_listens_late_is_told() -> None:
    def body(made: AgentProcess) -> None:
        made.close()
        made.data_received(b"late\n", None)
        made.connection_lost(None)

    made, told = heard(body)
    assert (told.lines, told.ends) == ([], [])
    made.listen(told.lines.append, told.ends.append)
    assert told.ends == [""]
