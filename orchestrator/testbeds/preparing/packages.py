"""The programs of a lab, the packages that hold them on each family of Linux, and the commands that look for and install them. Pure.

The surprising fact: what is missing is found by program and not by package. A machine that has ``nc`` from another package than ours has
``nc``, and one where somebody deleted the file does not have it, whatever its package manager says.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from orchestrator.errors import TestbedError

APT, DNF = "apt-get", "dnf"
PACKAGES: Mapping[str, tuple[str, str]] = {  # program: package of Debian and Ubuntu, of Fedora and RHEL
    "iptables": ("iptables", "iptables-nft"),
    "ip6tables": ("iptables", "iptables-nft"),
    "ip": ("iproute2", "iproute"),
    "ss": ("iproute2", "iproute"),
    "nstat": ("iproute2", "iproute"),
    "tc": ("iproute2", "iproute-tc"),
    "lsof": ("lsof", "lsof"),
    "fuser": ("psmisc", "psmisc"),
    "ethtool": ("ethtool", "ethtool"),
    "netstat": ("net-tools", "net-tools"),
    "nc": ("netcat-openbsd", "nmap-ncat"),
    "tcpdump": ("tcpdump", "tcpdump"),
    "python3": ("python3", "python3"),
}
_PATH = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin"  # an ordinary user of Debian does not look there
_LOCK_S = 300
"""So long the other package manager may take, which on a new machine often installs updates of its own."""


class Look(NamedTuple):
    """What was found: programs that are ``missing``, the ``manager`` (empty: none we know), whether we are root, and what sudo does."""

    missing: tuple[str, ...]
    manager: str
    root: bool
    sudo: str
    """``free``, ``asks``, or empty where there is none."""


def look_command() -> str:
    """One line for any POSIX shell that prints what :func:`seen` reads; alters nothing."""
    script = (
        f"{_PATH}; id -u; for p in {' '.join(PACKAGES)}; do command -v $p >/dev/null 2>&1 || echo missing $p; done; "
        f"for p in {APT} {DNF}; do command -v $p >/dev/null 2>&1 && echo manager $p; done; "
        "if sudo -n true >/dev/null 2>&1; then echo sudo free; elif command -v sudo >/dev/null 2>&1; then echo sudo asks; fi"
    )
    return f"sh -c {shlex.quote(script)}"


def seen(text: str) -> Look:
    """What the lines of :func:`look_command` say."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    said = [(words[0], words[1]) for words in lines if len(words) == 2]
    managers = [value for word, value in said if word == "manager"]
    sudo = next((value for word, value in said if word == "sudo"), "")
    missing = tuple(value for word, value in said if word == "missing" and value in PACKAGES)
    return Look(missing=missing, manager=(managers or [""])[0], root=["0"] in lines, sudo=sudo)


def packages(missing: Iterable[str], manager: str) -> tuple[str, ...]:
    """The packages that hold the ``missing`` programs, each once."""
    return tuple(dict.fromkeys(PACKAGES[program][manager == DNF] for program in missing))


def install_commands(look: Look) -> tuple[str, ...]:
    """What root has to run, in this order; nothing where no program is missing.

    :raises TestbedError: this is no family of Linux that we know.
    """
    if not look.missing:
        return ()
    wanted = " ".join(packages(look.missing, look.manager))
    if look.manager == APT:
        apt = f"env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a {APT} -q -o DPkg::Lock::Timeout={_LOCK_S}"
        install = f"{apt} -y -o Dpkg::Options::=--force-confold install --no-install-recommends {wanted}"
        return f"{apt} update", install
    if look.manager == DNF:
        return (f"{DNF} -y --setopt=install_weak_deps=False install {wanted}",)
    raise TestbedError(f"neither {APT} nor {DNF} is there: install {', '.join(look.missing)} in this system's own way")
