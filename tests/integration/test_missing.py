"""What this machine lacks or forbids is told in a sentence that a person can act on, before anything is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.conftest import NOBODY
from tests.integration.program import Program, scenario

pytestmark = [pytest.mark.namespaces, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide tools and to set limits")]
_HIDE = 'for path in $HIDDEN; do mount --bind /dev/null "$path" || exit 99; done; exec "$@"'
_LIMIT = """
import os, sys
parent, child = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    from orchestrator.testbeds import namespaces
    namespaces.unshare(namespaces.CLONE_NEWUSER, "user namespace")
    os.write(child[1], b"x")
    os.read(parent[0], 1)
    os.setgid(0)
    os.setuid(0)
    with open("/proc/sys/user/max_%s_namespaces" % sys.argv[1], "w") as file:
        file.write("0")
    user = int(sys.argv[2])
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(sys.argv[3], sys.argv[3:])
os.read(child[0], 1)
for name in ("uid_map", "gid_map"):
    with open("/proc/%d/%s" % (pid, name), "w") as file:
        file.write("0 0 65536")
os.write(parent[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def without(program: Program, *tools: str) -> Program:
    """The program on a machine that lacks ``tools``: in a mount namespace where nobody can execute them."""
    found = {str(Path(path).resolve()) for tool in tools for folder in _folders() if os.access(path := f"{folder}/{tool}", os.X_OK)}
    assert found, f"{tools} cannot be hidden, they are not here"
    program.before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _HIDE, "sh")
    program.env["HIDDEN"] = " ".join(sorted(found))
    return program


def _folders() -> list[str]:
    return [*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"]


def limited(program: Program, kind: str, user: int) -> Program:
    """The program where no more namespaces of this kind may be made, in a user namespace that holds the limit."""
    program.before = (program.python, "-c", _LIMIT, kind, str(user))
    return program


def test_without_ip(program: Program) -> None:
    done = without(program, "ip").run("run", "connection-refused")
    assert done.code == 3, done
    assert "hosts are connected by iproute2's ip, which is missing: install the package iproute2 (Debian, Ubuntu) or iproute" in flat(
        done.out
    )


@pytest.mark.parametrize(
    ("name", "tool", "package"),
    [("netcat-client-closes", "nc", "netcat-openbsd"), ("syn-rejected", "iptables", "iptables"), ("bind-listen", "lsof", "lsof")],
)
def test_without_a_tool_that_the_scenario_needs(program: Program, name: str, tool: str, package: str) -> None:
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    done = without(program, tool).run("run", name)
    assert done.code == 2, done
    assert "SKIP" in done.out
    assert f"has no {tool}: install the package {package}" in flat(done.out)
    record = program.stage("record")
    assert (record["status"], record.get("hosts", []), record.get("captures", [])) == ("skipped", [], [])
    assert not list(program.directories()[-1].glob("*.pcap"))
    assert subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout == rules


def running(program: Program, words: str, more: str = "") -> Path:
    return scenario(program.folder, "runs-it", f"topology: two-hosts\n{more}steps:\n  - host: romeo\n    run: {words}\n")


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_program_that_nobody_knows_is_no_quiet_skip(program: Program, command: str) -> None:
    path = running(program, "ecoh hello")
    done = program.run(command, path)
    assert (done.code, done.out) == (65, "")
    assert done.err.startswith(f"{path}:6:10: there is no program 'ecoh' on this machine, did you mean 'echo'? Otherwise install it, or")
    assert len(done.err.splitlines()) == 1


def test_a_program_that_the_scenario_says_it_needs_is_a_skip(program: Program) -> None:
    done = program.run("run", running(program, "ecoh hello", "needs: {tools: [ecoh]}\n"))
    assert done.code == 2, done
    assert "romeo has no ecoh: install it, or check the spelling" in flat(done.out)


def test_a_file_of_the_scenarios_that_is_run_by_its_bare_name(program: Program) -> None:
    text = "  - {host: romeo, file: {name: greet, text: 'echo hi', executable: true}}\n  - {host: romeo, run: greet}\n"
    done = program.run("validate", scenario(program.folder, "bare", f"topology: two-hosts\nsteps:\n{text}"))
    assert done.code == 65
    assert done.err.endswith(":6:24: there is no program 'greet' on this machine: the file of that name is run as './greet'\n")


SHOW = "steps:\n  - {host: juliet, run: cat /proc/sys/net/ipv4/conf/eth1/rp_filter, stdout: '^2$'}\n"


def test_a_parameter_of_an_interface_that_only_hosts_have(program: Program) -> None:
    pinned = "topology: two-hosts\nsysctl: {juliet: {net.ipv4.conf.eth1.rp_filter: 2}}\n"
    done = program.run("run", scenario(program.folder, "pinned", pinned + SHOW))
    assert done.code == 0, done


@pytest.mark.parametrize("place", ["pinned", "in a step"])
def test_a_parameter_of_an_interface_that_nobody_has(program: Program, place: str) -> None:
    key = "{net.ipv4.conf.eth7.rp_filter: 2}"
    body = f"sysctl: {{all: {key}}}\n{SHOW}" if place == "pinned" else f"{SHOW}  - {{host: romeo, sysctl: {key}}}\n"
    done = program.run("run", scenario(program.folder, "eth7", f"topology: two-hosts\n{body}"))
    assert done.code == 2, done
    assert "romeo has no net.ipv4.conf.eth7.rp_filter" in flat(done.out)
    assert program.stage("record").get("hosts", []) == []


OF_THE_MACHINE = "net.core.netdev_budget"
"""Every kernel has it, and no namespace but the first."""


@pytest.mark.parametrize("host", ["all", "romeo"])
def test_a_parameter_that_only_the_machine_has_is_a_skip(program: Program, host: str) -> None:
    body = f"topology: two-hosts\nsysctl: {{{host}: {{{OF_THE_MACHINE}: 300}}}}\nsteps: [{{snapshot: ss}}]\n"
    done = program.run("run", scenario(program.folder, "machines-own", body))
    assert done.code == 2, done
    assert f"romeo: this kernel has no {OF_THE_MACHINE}" in flat(done.out)
    assert program.stage("record")["status"] == "skipped"


def test_a_parameter_that_only_the_machine_has_may_be_missing(program: Program) -> None:
    wish = f"{{{OF_THE_MACHINE}: {{value: 300, if_present: true}}, net.ipv4.conf.eth1.rp_filter: {{value: 2, if_present: true}}}}"
    done = program.run("run", scenario(program.folder, "machines-own", f"topology: two-hosts\nsysctl: {{all: {wish}}}\n{SHOW}"))
    assert done.code == 0, done


def test_without_tcpdump_a_filter_cannot_be_compiled(program: Program) -> None:
    text = (ROOT / "scenarios" / "connection-refused.yaml").read_text()
    path = program.folder / "connection-refused.yaml"
    path.write_text(text.replace("capture: [romeo, juliet]", 'capture: {romeo: "tcp port 4000"}'))
    done = without(program, "tcpdump").run("run", path)
    assert (done.code, done.out) == (3, "")
    assert done.err == "capture filters are compiled by tcpdump, which is missing: install the package tcpdump\n"


def test_an_ordinary_user_where_user_namespaces_are_forbidden(ordinary: Program) -> None:
    done = limited(ordinary, "user", NOBODY).run("run", "connection-refused", "open-socket")
    assert done.code == 3, done
    for report in (ordinary.stage("report", "connection-refused"), ordinary.stage("report", "open-socket")):
        assert "limits the number of namespaces" in report["reason"]
        assert "sudo sysctl -w user.max_user_namespaces=15000" in report["reason"]


def test_an_ordinary_user_in_a_chroot(ordinary: Program) -> None:
    """The kernel allows no user namespace there (user_namespaces(7)), and says no more than that it does not."""
    room = ordinary.folder / "room"
    room.mkdir()
    script = 'mount --rbind / "$ROOM" && exec chroot "$ROOM" "$@"'
    ordinary.before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *ordinary.before)
    ordinary.env["ROOM"] = str(room)
    done = ordinary.run("run", "connection-refused")
    assert done.code == 3, done
    assert "an ordinary user may not make hosts here (unshare(user namespace): Operation not permitted)" in flat(done.out)
    assert "a container or a chroot forbids them" in flat(done.out)


@pytest.mark.parametrize("kind", ["pid", "net", "mnt"])
def test_where_namespaces_are_limited(program: Program, kind: str) -> None:
    done = limited(program, kind, 0).run("run", "connection-refused")
    assert done.code == 3, done
    assert f"sudo sysctl -w user.max_{kind}_namespaces=15000" in flat(done.out)


def test_root_without_rights(program: Program) -> None:
    """A container's root: no capability, so no namespace."""
    program.before = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
    done = program.run("run", "connection-refused")
    assert done.code == 3, done
    assert "In a container, start it with --privileged" in flat(done.out)


def flat(text: str) -> str:
    """Without the line breaks of a narrow screen."""
    return " ".join(text.split())
