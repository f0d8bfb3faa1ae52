"""An agent as a process of this machine, with the channel to it: what a host over SSH is, without the network.

Its standard input and output are one end of a socket pair, so the same channel serves it that serves a namespace host.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence

from orchestrator.connectors import bundle
from orchestrator.connectors.channel import SocketChannel
from orchestrator.connectors.session import Session


async def start(
    host: str, python: Sequence[str] = (sys.executable,), entry: str = bundle.AGENT, stderr: int | None = None
) -> tuple[Session, asyncio.subprocess.Process]:
    """Start an agent under ``python -I -S``, send it its own source, and give the session and the process, which ``entry`` runs in.

    :raises OSError: there is no such interpreter.
    """
    ours, theirs = socket.socketpair()
    data = bundle.bundle()
    try:
        process = await asyncio.create_subprocess_exec(
            *python,
            "-I",
            "-S",
            "-c",
            bundle.bootstrap(data, entry),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=stderr,
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    channel = SocketChannel(ours)
    channel.send(data)
    return Session(host, channel), process
