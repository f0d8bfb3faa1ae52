"""Asking a person at the terminal for what no file, log or argument may hold: a passphrase, an administrator's password."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
from collections.abc import Awaitable, Callable

from orchestrator.errors import Interrupted


def at_terminal() -> Callable[[str], Awaitable[str]] | None:
    """Who can be asked; ``None`` where nobody sits at a terminal (a nightly run)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    one_by_one = asyncio.Lock()

    async def ask(question: str) -> str:
        async with one_by_one:
            return await asyncio.to_thread(getpass.getpass, question)

    return ask


def now_at_terminal(question: str) -> str:
    """The answer, at once.

    :raises Interrupted: Ctrl-C, or the end of the input.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # getpass gives the terminal its echo back
    try:
        return getpass.getpass(question)
    except (KeyboardInterrupt, EOFError):
        raise Interrupted("\nstopped: nothing was installed") from None
    finally:
        signal.signal(signal.SIGINT, before)
