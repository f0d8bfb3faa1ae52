"""A capture filter in tcpdump's words -> the kernel's classic BPF program, by ``tcpdump -ddd``, which opens no interface for it."""

from __future__ import annotations

import os
from functools import cache

from orchestrator.errors import TestbedError


class FilterRefused(ValueError):
    """tcpdump does not understand the filter; the text is its word."""


@cache
def compile_filter(text: str) -> str:
    """The program, one instruction a line after their number, compiled for Ethernet; empty for an empty filter.

    :raises FilterRefused: tcpdump does not understand the filter.
    :raises TestbedError: there is no tcpdump on this machine.
    """
    if not text:
        return ""
    if "\0" in text:
        raise FilterRefused("it holds a NUL character")
    import subprocess

    environment = dict(os.environ, PATH=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    words = ["tcpdump", "-ddd", "-y", "EN10MB", "--", text]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment, check=False)
    except (FileNotFoundError, PermissionError):
        raise TestbedError("capture filters are compiled by tcpdump, which is missing: install the package tcpdump") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it does not say why"]
        raise FilterRefused(lines[-1].removeprefix("tcpdump: "))
    return done.stdout
