"""The programs of a lab, the packages that hold them on each family of Linux, and the commands that look for and install them. Pure.

The surprising fact: what is missing is found by program and not by package. A machine that has ``nc`` from another package than ours has
``nc``, and one where somebody deleted the file does not have it, whatever its package manager says.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
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
_RENAMED = {"el8": {"iptables-nft": "iptables"}}
"""What a package was called in a release before: RHEL 8 has iptables over nftables in its plain package."""
_PATH = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin"  # an ordinary user of Debian does not look there
_LOCK_S = 300
"""So long the other package manager may take, which on a new machine often installs updates of its own."""


class Look(NamedTuple):
    """What was found: programs that are ``missing``, the ``manager`` (empty: none we know), whether we are ``root``.

    ``sudo`` is ``free``, ``asks``, ``denied``, or empty where there is none; ``release`` one whose packages bear other names.
    """

    missing: tuple[str, ...]
    manager: str
    root: bool
    sudo: str
    release: str = ""


def look_command() -> str:
    """One line for any POSIX shell that prints what :func:`seen` reads; alters nothing."""
    script = (
        f"{_PATH}; echo user $(id -u); for p in {' '.join(PACKAGES)}; do command -v $p >/dev/null 2>&1 || echo missing $p; done; "
        f"for p in {APT} {DNF}; do command -v $p >/dev/null 2>&1 && echo manager $p; done; "
        "grep -qs platform:el8 /etc/os-release && echo release el8; "
        "if sudo -n true >/dev/null 2>&1; then echo sudo free; elif sudo -n -v 2>&1 | grep -q may.not.run; then echo sudo denied; "
        "elif command -v sudo >/dev/null 2>&1; then echo sudo asks; fi; "
        "echo looked everywhere"
    )
    return f"sh -c {shlex.quote(script)}"


def seen(text: str) -> Look:
    """What the lines of :func:`look_command` say.

    :raises TestbedError: not all of them are there, so that what is missing cannot be told.
    """
    lines = [line.split() for line in text.splitlines()]
    said = [(words[0], words[1]) for words in lines if len(words) == 2]
    first = dict(reversed(said))
    if first.get("looked") != "everywhere":
        raise TestbedError(f"its shell did not do what it was asked: it said '{text.strip()[:200]}'")
    missing = tuple(value for word, value in said if word == "missing" and value in PACKAGES)
    manager, sudo, release = (first.get(word, "") for word in ("manager", "sudo", "release"))
    return Look(missing=missing, manager=manager, root=first.get("user") == "0", sudo=sudo, release=release)


def packages(look: Look) -> tuple[str, ...]:
    """The packages that hold the programs that are missing, each once."""
    renamed = _RENAMED.get(look.release, {})
    names = (PACKAGES[program][look.manager == DNF] for program in look.missing)
    return tuple(dict.fromkeys(renamed.get(name, name) for name in names))


def install_commands(look: Look) -> tuple[str, ...]:
    """What root has to run, in this order; nothing where no program is missing.

    :raises TestbedError: this is no family of Linux that we know.
    """
    if not look.missing:
        return ()
    wanted = " ".join(packages(look))
    if look.manager == APT:
        apt = f"env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a {APT} -q -o DPkg::Lock::Timeout={_LOCK_S}"
        install = f"{apt} -y -o Dpkg::Options::=--force-confold install --no-install-recommends {wanted}"
        return f"{apt} update", install
    if look.manager == DNF:
        return (f"{DNF} -y --setopt=install_weak_deps=False install {wanted}",)
    raise TestbedError(f"neither {APT} nor {DNF} is there: install {', '.join(look.missing)} in this system's own way")
