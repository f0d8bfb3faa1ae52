"""Agents on real OpenSSH servers: connected to once, through shared bastions, pushed, greeted, lost, and gone."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.agent import protocol
from orchestrator.connectors.session import Session
from orchestrator.connectors.ssh import Connections, dialing, handshake
from orchestrator.errors import AgentLost, Unreachable
from orchestrator.model.inventory import Machine
from orchestrator.testbeds.machines.logins import login
from tests.integration.sshd import LOOPBACK, USER, Server, make_key

pytestmark = pytest.mark.usefixtures("home")
BOUND_S = 30
Make = Callable[..., Server]


def run(body: Callable[[Connections], Awaitable[None]], **fields: Any) -> None:
    """The body with connections, closed at the end, with nothing left on the loop."""

    async def whole() -> None:
        connections = Connections(**fields)
        try:
            async with asyncio.timeout(BOUND_S):
                await body(connections)
        finally:
            await connections.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(whole())


def trouble(machine: Machine, *, root: bool = False, **fields: Any) -> str:
    """What a user is told when no agent comes up."""
    told: list[str] = []

    async def body(connections: Connections) -> None:
        with pytest.raises(Unreachable) as caught:
            await (await connections.to(machine)).start_agent("romeo", root=root)
        told.append(str(caught.value))

    run(body, patience_s=1.0, **fields)
    return told[0]


async def agent(connections: Connections, machine: Machine, host: str = "romeo", *, root: bool = False) -> Session:
    return await (await connections.to(machine)).start_agent(host, root=root)


def here(server: Server, name: str = "node7", **fields: Any) -> Machine:
    return server.machine(name, **{"python": sys.executable, **fields})


def both(*servers: Server) -> tuple[str, ...]:
    return tuple(str(server.known_hosts) for server in servers)


def test_two_hosts_on_one_machine_share_its_connection(sshd: Make) -> None:
    server = sshd("a")

    async def body(connections: Connections) -> None:
        machine = here(server)
        romeo, juliet = await asyncio.gather(agent(connections, machine), agent(connections, machine, "juliet"))
        assert (await romeo.ask(protocol.BEAT))[0] > 0
        assert romeo.hello["pid"] != juliet.hello["pid"]

    run(body)
    assert (server.connections(), server.logins()) == (1, 1)


def test_a_connection_that_its_machine_ends_just_when_it_is_used_again_is_made_anew(sshd: Make) -> None:
    server = sshd("a")

    async def body(connections: Connections) -> None:
        machine = here(server)
        await (await agent(connections, machine)).leave()
        again = await connections.to(machine)
        for pid in server.descendants():
            os.kill(pid, signal.SIGKILL)
        session = await again.start_agent("romeo", root=False)
        assert (await session.ask(protocol.BEAT))[0] > 0

    run(body)
    assert server.logins() == 2


def test_machines_behind_a_bastion_share_its_connection_and_a_proof_opens_only_a_new_one_to_the_machine(sshd: Make, home: Path) -> None:
    gate = sshd("gate")
    first, second = sshd("a", key=gate.key), sshd("b", key=gate.key)
    jump = (f"{USER}@{LOOPBACK}:{gate.port}",)
    (home / ".ssh" / "config").write_text(f"Host {LOOPBACK}\n  IdentityFile {gate.key}\n")

    async def body(connections: Connections) -> None:
        known = both(gate, first, second)
        machines = [here(server, f"node{number}", jump=jump, known_hosts=known) for number, server in enumerate((first, second))]
        await asyncio.gather(*(agent(connections, machine) for machine in machines))
        await connections.prove(machines[0])

    run(body)
    assert [server.connections() for server in (gate, first, second)] == [1, 2, 1]
    assert [server.logins() for server in (gate, first, second)] == [1, 2, 1]


@pytest.mark.parametrize("which", ["known_hosts", "keys"])
def test_a_machine_reaches_its_bastion_by_its_own_files_alone(sshd: Make, tmp_path: Path, which: str) -> None:
    gate = sshd("gate")
    first, second = sshd("a", key=gate.key), sshd("b", key=gate.key)
    known = both(gate, first, second)
    other = {"known_hosts": known[1:]} if which == "known_hosts" else {"keys": (str(make_key(tmp_path / "other")),)}
    usual = {"jump": (f"{USER}@{LOOPBACK}:{gate.port}",), "known_hosts": known}

    async def body(connections: Connections) -> None:
        await connections.to(here(first, "node1", **usual))
        with pytest.raises(Unreachable, match=rf"^node2: .*bastion {LOOPBACK} .*(is not known|does not let)"):
            await connections.to(here(second, "node2", **{**usual, **other}))

    run(body)
    assert (gate.logins(), second.connections()) == (1, 0)


def test_a_chain_of_bastions_is_read_from_the_configuration_with_every_name_in_it(sshd: Make, home: Path) -> None:
    outer = sshd("outer")
    inner, target = sshd("inner", key=outer.key), sshd("target", key=outer.key)
    known = home / "everybody"
    known.write_text(
        "".join(server.known_hosts.read_text() for server in (outer, inner))
        + target.known_hosts.read_text().replace(f"[{LOOPBACK}]:{target.port}", "romeos-key")
    )
    (home / ".ssh" / "config").write_text(
        textwrap.dedent(f"""\
        Host outer
          HostName {LOOPBACK}
          Port {outer.port}
        Host inner
          HostName {LOOPBACK}
          Port {inner.port}
          ProxyJump outer
        Host node7
          HostName {LOOPBACK}
          HostKeyAlias romeos-key
          ProxyJump inner
        Match originalhost node7
          Port {target.port}
        Host *
          User {USER}
          IdentityFile {outer.key}
          UserKnownHostsFile {known}
          StrictHostKeyChecking no
          UnheardOf yes
        """)
    )

    async def body(connections: Connections) -> None:
        machine = Machine(name="node7", python=sys.executable)
        await agent(connections, machine)
        assert (await connections.to(machine)).jumps == (f"{USER}@outer:{outer.port}", f"{USER}@inner:{inner.port}")

    run(body)
    assert [server.logins() for server in (outer, inner, target)] == [1, 1, 1]


def test_ssh_itself_verifies_a_bastion_that_only_the_configuration_names(sshd: Make, tmp_path: Path) -> None:
    gate = sshd("gate")
    target = sshd("a", key=gate.key)
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host gate\n  HostName {LOOPBACK}\n  Port {gate.port}\nHost {LOOPBACK}\n  ProxyJump gate\n"
        f"Host *\n  User {USER}\n  IdentityFile {gate.key}\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
    )
    machine = here(target, ssh_config=(str(config),), known_hosts=both(gate, target))
    jumps: list[str] = []

    async def body(connections: Connections) -> None:
        jumps.extend((await connections.to(machine)).jumps)

    run(body)
    for known, code in ((both(gate, target), 0), (both(target), 255)):
        words = login(replace(machine, known_hosts=known), jumps)
        done = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOUND_S, check=False)
        assert done.returncode == code, done.stderr
    assert (gate.logins(), target.logins()) == (2, 2)


def test_a_configuration_file_of_the_inventory_is_read_instead_of_the_usual_one(sshd: Make, home: Path, tmp_path: Path) -> None:
    server = sshd("a")
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  HostKeyAlias of-nobody\n")
    config = tmp_path / "ssh_config"
    config.write_text(f"Host node7\n  HostName {LOOPBACK}\n  Port {server.port}\n  User {USER}\n  IdentityFile {server.key}\n")

    async def body(connections: Connections) -> None:
        await agent(connections, Machine(name="node7", python=sys.executable, ssh_config=(str(config),), known_hosts=both(server)))

    run(body)
    assert server.logins() == 1


def test_the_key_of_a_bastion_is_verified_too(sshd: Make) -> None:
    gate = sshd("gate")
    target = sshd("a", key=gate.key)
    text = trouble(here(target, jump=(f"{LOOPBACK}:{gate.port}",)))
    assert text.startswith(
        f"node7: the host key of bastion {LOOPBACK} ({USER}@{LOOPBACK}:{gate.port}) is not known: it shows the ED25519 key SHA256:"
    )
    assert target.connections() == 0


def test_a_key_of_another_kind_than_the_known_one_has_changed(sshd: Make) -> None:
    server = sshd("a", kinds=("rsa",))
    other = make_key(server.folder / "before")
    server.known_hosts.write_text(f"# ours\n[{LOOPBACK}]:{server.port} {other.with_suffix('.pub').read_text()}")
    text = trouble(here(server))
    assert re.search(
        rf"has CHANGED: it shows the RSA key SHA256:\S+, but known as \S+ is ED25519 SHA256:\S+ in {server.known_hosts}:2\.", text
    )


def test_what_a_login_shell_prints_before_the_agent_is_skipped(sshd: Make) -> None:
    server = sshd("a", 'ForceCommand echo "Welcome"; echo "{\\"tell\\":\\"hello\\"}"; printf "no end"; exec sh -c "$SSH_ORIGINAL_COMMAND"')

    async def body(connections: Connections) -> None:
        session = await agent(connections, here(server))
        assert session.hello["version"] == protocol.VERSION

    run(body)


def test_an_account_bound_to_one_command_is_told_as_such(sshd: Make) -> None:
    assert trouble(here(sshd("a", "ForceCommand echo go away"))) == (
        f"node7: the account {USER} does not run the commands it is given: its key is bound to one command (command= in authorized_keys, "
        "ForceCommand), or its login shell is none; it answered: go away"
    )


def test_a_python_that_is_missing_or_too_old_is_told(sshd: Make, tmp_path: Path) -> None:
    server, old = sshd("a"), tmp_path / "old"
    old.write_text("#!/bin/sh\necho 'Unknown option: -I' >&2\nexit 2\n")
    old.chmod(0o755)
    advice = "install python3 (3.8 or newer), or name another with ansible_python_interpreter"
    assert trouble(here(server, python="/nowhere/python3")).startswith(
        f"node7: /nowhere/python3 cannot be run there: {advice} (the shell said: "
    )
    assert trouble(here(server, python=str(old))) == f"node7: its {old} is too old, and the agent needs Python 3.8 or newer: {advice}"
    assert trouble(here(server, python="python3; rm -rf /")).startswith("node7: ansible_python_interpreter is 'python3; rm -rf /': ")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="lets another user in: needs root")
STUDENT = "student"


def by_student(sshd: Make, rules: str, **fields: Any) -> tuple[Server, Machine]:
    """A server with these rules of sudo, and the machine as an ordinary user of it."""
    try:
        __import__("pwd").getpwnam(STUDENT)
    except KeyError:
        pytest.skip(f"there is no user {STUDENT}")
    server = sshd("a", sudoers=rules)
    for folder in [server.folder, *server.folder.parents]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    server.authorized.chmod(0o644)
    return server, server.machine(user=STUDENT, **fields)


@needs_root
def test_sudo_is_used_only_where_root_is_asked_for(sshd: Make) -> None:
    _server, machine = by_student(sshd, f"root ALL=(ALL) ALL\n{STUDENT} ALL=(ALL) NOPASSWD: ALL")

    async def body(connections: Connections) -> None:
        plain, mighty = await asyncio.gather(agent(connections, machine), agent(connections, machine, "juliet", root=True))
        assert (plain.hello["uid"] != 0, mighty.hello["uid"]) == (True, 0)

    run(body)


@needs_root
def test_what_sudo_refuses_is_told_with_the_line_that_allows_it(sshd: Make) -> None:
    _server, machine = by_student(sshd, f"root ALL=(ALL) ALL\n{STUDENT} ALL=(ALL) ALL")
    assert trouble(machine, root=True) == (
        f"node7: sudo asks {STUDENT} for a password there, and nobody can type one: write `{STUDENT} ALL=(ALL) NOPASSWD: ALL` "
        "in /etc/sudoers.d/lab (visudo -f), or connect as root"
    )


@needs_root
def test_who_has_no_right_at_all_is_not_told_of_a_password(sshd: Make) -> None:
    _server, machine = by_student(sshd, "root ALL=(ALL) ALL")
    assert trouble(machine, root=True).startswith(f"node7: {STUDENT} may not use sudo there: write `{STUDENT} ALL=")


@needs_root
def test_sudo_that_wants_a_terminal_is_told(sshd: Make) -> None:
    _server, machine = by_student(sshd, f"Defaults requiretty\n{STUDENT} ALL=(ALL) NOPASSWD: ALL")
    assert "sudo wants a terminal there (requiretty)" in trouble(machine, root=True)


@needs_root
def test_sudo_is_not_tried_where_the_inventory_forbids_it(sshd: Make) -> None:
    _server, machine = by_student(sshd, f"{STUDENT} ALL=(ALL) NOPASSWD: ALL", become=False)
    assert trouble(machine, root=True) == (
        f"node7: the lab needs root there, the user is {STUDENT}, and ansible_become is false: allow it, or connect as root"
    )


def lost(server: Server, machine: Machine, harm: Callable[[Session], None]) -> str:
    """What a session is told after ``harm`` was done."""
    told: list[AgentLost] = []

    async def body(connections: Connections) -> None:
        session = await agent(connections, machine)
        ended = asyncio.Event()

        def on_lost(error: AgentLost) -> None:
            told.append(error)
            ended.set()

        session.on_lost = on_lost
        harm(session)
        await ended.wait()

    run(body)
    return str(told[0])


def test_a_killed_agent_is_told_with_its_signal(sshd: Make) -> None:
    server = sshd("a")
    assert (
        lost(server, here(server), lambda s: os.kill(s.hello["pid"], signal.SIGKILL))
        == "romeo: its agent left: the agent was killed by SIGKILL"
    )


def test_an_agent_that_left_says_why(sshd: Make) -> None:
    server = sshd("a")
    assert lost(server, here(server), lambda s: os.kill(s.hello["pid"], signal.SIGTERM)) == "romeo: its agent left: signal 15"


def test_a_connection_that_ended_is_told_with_the_machine(sshd: Make) -> None:
    server = sshd("a")
    place = f"{USER}@{LOOPBACK}:{server.port}"
    assert lost(server, here(server), lambda _: server.close()) == f"romeo: the SSH connection to node7 ({place}) was lost: connection lost"


def test_a_bastion_that_went_is_named(sshd: Make, home: Path) -> None:
    gate = sshd("gate")
    target = sshd("a", key=gate.key)
    (home / ".ssh" / "config").write_text(f"Host {LOOPBACK}\n  IdentityFile {gate.key}\n")
    machine = here(target, jump=(f"{LOOPBACK}:{gate.port}",), known_hosts=both(gate, target))
    place = f"{USER}@{LOOPBACK}:{gate.port}"
    assert (
        lost(target, machine, lambda _: gate.close())
        == f"romeo: the SSH connection to bastion {LOOPBACK} ({place}) was lost: connection lost"
    )


def test_a_peer_that_falls_silent_is_noticed(sshd: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "KEEPALIVE_S", 0.1)
    server = sshd("a")
    frozen: list[int] = []

    def freeze(_session: Session) -> None:
        frozen.extend(pid for pid in server.descendants() if b"sshd" in Path(f"/proc/{pid}/cmdline").read_bytes())
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    text = lost(server, here(server), freeze)
    assert frozen
    assert text == f"romeo: the SSH connection to node7 ({USER}@{LOOPBACK}:{server.port}) was lost: no answer for 15 s"


def test_a_machine_that_was_lost_is_connected_to_again(sshd: Make) -> None:
    server = sshd("a")

    async def body(connections: Connections) -> None:
        session = await agent(connections, here(server))
        server.close()
        with pytest.raises(AgentLost):
            await session.ask(protocol.BEAT)
        server.log.unlink()
        server.start()
        await agent(connections, here(server))

    run(body)


def test_closing_leaves_nothing(sshd: Make) -> None:
    server = sshd("a")

    async def body(_connections: Connections) -> None:
        for _ in range(2):
            await once()
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(30):
            await once()
        assert sorted(os.listdir("/proc/self/fd")) == before
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def once() -> None:
        connections = Connections()
        session = await agent(connections, here(server))
        session.close()
        await connections.close()

    run(body)
    assert server.logins() == 32


def test_thirty_connections_to_one_server_stay_below_its_limit(sshd: Make) -> None:
    server = sshd("a")

    async def body(connections: Connections) -> None:
        await asyncio.gather(*(connections.to(here(server, f"node{number}")) for number in range(30)))

    run(body)
    assert server.logins() == 30
    assert "drop connection" not in server.log.read_text()


def test_a_machine_that_boots_is_waited_for(sshd: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server = sshd("a")
    server.close()
    server.log.unlink()
    once, tries = dialing.Dialer._once, []

    async def tried(dialer: dialing.Dialer, route: Any) -> dialing.Line:
        """Nothing listens at the first try; afterwards the machine is there."""
        tries.append(server.process is not None)
        try:
            return await once(dialer, route)
        finally:
            if not tries[-1]:
                server.start()

    async def body(connections: Connections) -> None:
        await agent(connections, here(server))

    monkeypatch.setattr(dialing.Dialer, "_once", tried)
    run(body)
    assert (tries, server.logins()) == ([False, True], 1)


def test_a_machine_that_is_not_there_is_told_with_how_often_it_was_tried(sshd: Make) -> None:
    server = sshd("a")
    server.close()
    place = f"{USER}@{LOOPBACK}:{server.port}"
    text = trouble(here(server))
    assert re.fullmatch(
        re.escape(f"node7: node7 ({place}) cannot be connected to: Connection refused; nothing listens there, or a firewall says so; ")
        + r"is it the right port, and is sshd running\? \(tried \d times in \d s\)",
        text,
    )


def test_what_does_not_pass_by_itself_is_not_tried_again(sshd: Make) -> None:
    server = sshd("a")
    stranger = make_key(server.folder / "stranger")
    assert "does not let" in trouble(here(server, keys=(str(stranger),)))
    assert server.connections() == 1
    assert "The name" in trouble(here(server, address="no-such-machine.invalid")).replace("the name", "The name")


def test_a_bastion_that_cannot_go_on_is_told(sshd: Make, home: Path) -> None:
    gate = sshd("gate", "AllowTcpForwarding no")
    target = sshd("a", key=gate.key)
    (home / ".ssh" / "config").write_text(f"Host {LOOPBACK}\n  IdentityFile {gate.key}\n")
    text = trouble(here(target, jump=(f"{LOOPBACK}:{gate.port}",), known_hosts=both(gate, target)))
    assert text.startswith(f"node7: the bastion does not forward connections to node7 ({USER}@{LOOPBACK}:{target.port}): ")
    assert text.endswith("(AllowTcpForwarding and PermitOpen in its sshd_config)")
