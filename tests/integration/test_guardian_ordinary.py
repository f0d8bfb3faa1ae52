"""A user without rights has a guardian too: what was started and written is gone, and the lock lies in a folder of that user's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.agent import protocol
from orchestrator.agent.safety.processes import since
from orchestrator.connectors import bundle, local
from orchestrator.errors import AgentError
from tests.integration.conftest import NOBODY
from tests.integration.machine import act

PYTHON = "/usr/bin/python3"
RUN = f"0d{os.getpid():x}"  # its processes are looked for among all of this machine: no other test's, at the same time
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None or not os.access(PYTHON, os.X_OK),
    reason="to be somebody else needs root, setpriv (util-linux) and a Python for everybody",
)


def live(body: Callable, runtime_mode: int) -> None:
    """``body(words before the interpreter, home, runtime folder)``, in folders of that user's."""
    with tempfile.TemporaryDirectory() as name:
        home, runtime = Path(name) / "home", Path(name) / "runtime"
        os.chmod(name, 0o755)
        for folder, mode in ((home, 0o755), (runtime, runtime_mode)):
            folder.mkdir()
            os.chown(folder, NOBODY, NOBODY)
            folder.chmod(mode)
        user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        before = (*user, "env", f"XDG_RUNTIME_DIR={runtime}", f"HOME={home}", f"TMPDIR={home}", PYTHON)

        async def whole() -> None:
            async with asyncio.timeout(40):
                await body(before, home, runtime)

        asyncio.run(whole())


async def agent(before: tuple[str, ...]) -> tuple:
    session, process = await local.start("romeo", before, bundle.GUARDIAN, asyncio.subprocess.DEVNULL)
    await session.greeted()
    return session, process


@pytest.mark.parametrize(("mode", "place"), [(0o700, "runtime/orchestrate"), (0o755, "home/.cache/orchestrate")])
def test_agent_killed(mode: int, place: str) -> None:
    async def body(before: tuple[str, ...], home: Path, runtime: Path) -> None:
        session, process = await agent(before)
        held = await session.ask(protocol.GUARD, run=RUN, who="alice")
        assert held["lock"] == str(home.parent / place / "lock")
        assert (home.parent / place).stat().st_mode & 0o777 == 0o700
        actions = [act("1", "file", name="x", text="hi"), act("2", "start", name="s", argv=["sleep", "600"]), act("3", "run", argv=["pwd"])]
        await session.ask(protocol.PREPARE, run=RUN, actions=actions, private=True)
        results = [(await session.ask(protocol.FIRE, actions=[action["id"]]))[0] for action in actions]
        folder = Path(results[2]["stdout"].strip())
        assert (folder / "x").read_text() == "hi"
        assert folder.stat().st_mode & 0o777 == 0o700  # noqa: ASYNC240  nothing else runs on this loop
        other, second = await agent(before)
        with pytest.raises(AgentError, match=f"run {RUN} of alice"):
            await other.ask(protocol.GUARD, run="abc", who="bob")
        lost = asyncio.Event()
        session.on_lost = lambda _lost: lost.set()
        os.kill(session.hello["pid"], signal.SIGKILL)
        await asyncio.wait_for(lost.wait(), 20)
        while folder.exists():  # noqa: ASYNC110, ASYNC240  no event tells of it; nothing else runs on this loop
            await asyncio.sleep(0.02)
        assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if since(pid) and RUN.encode() in environment(pid)]
        (told,) = (await other.ask(protocol.CLEAN))["runs"]
        assert (told["reason"], told["not_undone"]) == ("the agent was killed by SIGKILL", [])
        other.close()
        await asyncio.wait_for(second.wait(), 20)
        await asyncio.wait_for(process.wait(), 20)
        assert list(runtime.iterdir()) == []  # noqa: ASYNC240  nothing else runs on this loop
        assert [path.name for path in home.iterdir()] in ([], [".cache"])  # noqa: ASYNC240  nothing else runs on this loop

    live(body, mode)


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
