"""Which packages hold what is missing, and the commands for both families. That dnf's do work is shown nowhere here: no such machine."""

from __future__ import annotations

import pytest

from orchestrator.errors import TestbedError
from orchestrator.testbeds.preparing.packages import APT, DNF, PACKAGES, Look, install_commands, look_command, packages, seen


def look(missing, manager, **fields):
    return Look(tuple(missing), manager, **{"root": True, "sudo": "", **fields})


def said(*lines):
    return seen("\n".join([*lines, "looked everywhere", ""]))


def test_what_a_look_says():
    found = said("user 1000", "missing lsof", "missing nc", "manager apt-get", "sudo asks")
    assert found == Look(("lsof", "nc"), APT, root=False, sudo="asks")
    assert said("user 0", "manager dnf", "sudo free") == Look((), DNF, root=True, sudo="free")
    assert said("Welcome to node7!", "", "missing everything", "user 0") == Look((), "", root=True, sudo="")


def test_a_shell_that_says_something_else_has_nothing_ready():
    with pytest.raises(TestbedError, match="did not do what it was asked: it said 'This account is currently not available'"):
        seen("This account is currently not available\n")


def test_the_look_is_one_line_about_every_program():
    command = look_command()
    assert "\n" not in command
    assert all(f" {program} " in command or f" {program};" in command for program in PACKAGES)


def test_each_package_once_by_its_name_in_the_family():
    missing = ["ip", "ss", "tc", "iptables", "ip6tables", "nc", "fuser", "netstat"]
    assert packages(look(missing, APT)) == ("iproute2", "iptables", "netcat-openbsd", "psmisc", "net-tools")
    assert packages(look(missing, DNF)) == ("iproute", "iproute-tc", "iptables-nft", "nmap-ncat", "psmisc", "net-tools")


def test_an_older_release_has_another_name():
    found = said("user 0", "missing iptables", "manager dnf", "release el8", "sudo free")
    assert (found.release, packages(found)) == ("el8", ("iptables",))


def test_the_first_package_manager_counts():
    assert said("user 0", "manager apt-get", "manager dnf").manager == APT


def test_nothing_is_run_where_nothing_is_missing():
    assert install_commands(look([], "")) == ()


def test_apt_asks_nobody_and_waits_for_its_lock():
    update, install = install_commands(look(["lsof", "nc"], APT))
    assert update == "env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -o DPkg::Lock::Timeout=300 update"
    assert install.startswith("env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -o DPkg::Lock::Timeout=300 -y ")
    assert install.endswith(" install --no-install-recommends lsof netcat-openbsd")


def test_dnf():
    assert install_commands(look(["lsof", "nc"], DNF)) == ("dnf -y --setopt=install_weak_deps=False install lsof nmap-ncat",)


def test_another_family_is_told_what_is_missing():
    with pytest.raises(TestbedError, match="neither apt-get nor dnf is there: install lsof, nc in this system's own way"):
        install_commands(look(["lsof", "nc"], ""))
