"""A capture filter in tcpdump's words -> the kernel's classic BPF program, by ``tcpdump -ddd``, which opens no interface for it."""

from __future__ import annotations

import asyncio

from orchestrator.errors import InputProblems, Problem, TestbedError
from orchestrator.model.words.values import Where


async def compile_filter(text: str, where: Where | None) -> str:
    """The program, one instruction a line after their number, compiled for Ethernet; empty for an empty filter.

    :raises InputProblems: tcpdump does not understand the filter.
    :raises TestbedError: there is no tcpdump on this machine.
    """
    if not text:
        return ""
    try:
        process = await asyncio.create_subprocess_exec(
            "tcpdump", "-ddd", "-y", "EN10MB", text, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except (FileNotFoundError, PermissionError):
        raise TestbedError("capture filters are compiled by tcpdump, which is missing: install the package tcpdump") from None
    out, err = await process.communicate()
    if process.returncode != 0:
        word = err.decode(errors="replace").strip().splitlines()[-1].removeprefix("tcpdump: ")
        place = where or Where(path="<capture>", line=1)
        raise InputProblems([Problem(place.path, place.line, place.column, f"tcpdump refuses the capture filter {text!r}: {word}")])
    return out.decode()
