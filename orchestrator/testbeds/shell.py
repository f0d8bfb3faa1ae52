"""A shell on a host that is up: util-linux's nsenter into a namespace host, with its name in the prompt; ssh(1) to a machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shlex import join
from typing import NoReturn

from orchestrator.agent.seeing.survey import which
from orchestrator.errors import TestbedError


def enter(host: str, pid: int, command: tuple[str, ...], *, user_namespace: bool) -> NoReturn:
    """Become a shell (or ``command``) on the host whose process is ``pid``.

    :raises TestbedError: nsenter is missing.
    """
    nsenter = which("nsenter")
    if not nsenter:
        raise TestbedError("a host is entered by nsenter, which is missing: install the package util-linux")
    spaces = ["--user", "--preserve-credentials"] if user_namespace else []
    environment = dict(os.environ, PS1=f"{host}# ", HOME="/run/lab", debian_chroot="")
    environment["PATH"] = environment.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    words = list(command) or ([bash, "--norc", "--noprofile"] if (bash := which("bash")) else ["/bin/sh"])
    options = ["--target", str(pid), *spaces, "--mount", "--net", "--uts", "--ipc", "--pid", "--wdns=/run/lab"]
    os.execve(nsenter, [nsenter, *options, "--", *words], environment)  # noqa: S606  becoming a shell is the purpose


def log_in(login: Sequence[str], command: Sequence[str]) -> NoReturn:
    """Become ssh(1) to a machine: ``login`` are its words. There ``command`` runs, word by word as it is here, or a shell.

    :raises TestbedError: ssh is missing.
    """
    words = [*login, *(["--", join(command)] if command else [])]
    try:
        os.execvp(words[0], words)  # noqa: S606  becoming ssh is the purpose
    except FileNotFoundError:
        raise TestbedError(
            f"a machine is entered by ssh, which is missing here: install openssh-client, or type elsewhere: {join(words)}"
        ) from None
