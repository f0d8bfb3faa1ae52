"""Host keys fetched through bastions, pinned in a file of ours, and that file read by ssh(1) itself; private keys that are locked."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrator.connectors.ssh import Connections
from orchestrator.connectors.ssh.hostkeys.trusting import CHANGED, KNOWN, NEW, Fetched, fetch, pin
from orchestrator.errors import TestbedError, Unreachable, UsageError
from orchestrator.model.inventory import Machine
from tests.integration.sshd import LOOPBACK, USER, Server, make_key

Make = Callable[..., Server]
pytestmark = pytest.mark.usefixtures("home")
PHRASE = "correct horse"


def fetched(*machines: Machine) -> Fetched:
    async def whole() -> Fetched:
        async with asyncio.timeout(30):
            found = await fetch(machines, patience_s=1.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    return asyncio.run(whole())


def ssh(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    """ssh(1) itself, that asks nobody and knows what our file says."""
    words = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none", *options]
    return subprocess.run(
        [*words, "-i", str(server.key), "-p", str(server.port), f"{USER}@{LOOPBACK}", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def fingerprint(path: Path) -> str:
    return subprocess.run(["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True).stdout.split()[1]


def test_every_kind_of_key_is_shown_with_the_fingerprint_that_ssh_keygen_prints_and_ssh_takes_what_is_pinned(
    sshd: Make, tmp_path: Path
) -> None:
    server, ours = sshd("a", kinds=("ed25519", "ecdsa", "rsa")), tmp_path / "known_hosts"
    machine = server.machine(known_hosts=(str(ours),))
    found = fetched(machine)
    assert [(key.who, key.label, key.state) for key in found.keys] == [("node7", label, NEW) for label in ("ED25519", "ECDSA", "RSA")]
    assert [key.fingerprint for key in found.keys] == [fingerprint(path) for path in server.host_keys]
    assert ssh(server, "-o", f"UserKnownHostsFile={ours}").returncode == 255
    assert pin(str(ours), found.keys) == 3
    assert pin(str(ours), found.keys) == 0
    assert ssh(server, "-o", f"UserKnownHostsFile={ours}").returncode == 0
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"):
        assert ssh(server, "-o", f"UserKnownHostsFile={ours}", "-o", f"HostKeyAlgorithms={kind}").returncode == 0
    assert {key.state for key in fetched(machine).keys} == {KNOWN}
    assert fetched(machine).keys[0].stands == f"{ours}:1"
    assert stat.S_IMODE(ours.stat().st_mode) == 0o644


def test_what_is_behind_a_bastion_is_seen_once_the_bastion_is_trusted(sshd: Make, tmp_path: Path, home: Path) -> None:
    gate = sshd("gate")
    target, ours = sshd("a", key=gate.key), tmp_path / "known_hosts"
    (home / ".ssh" / "config").write_text(f"Host {LOOPBACK}\n  IdentityFile {gate.key}\n")
    machine = target.machine(jump=(f"{LOOPBACK}:{gate.port}",), known_hosts=(str(ours),))
    other = target.machine("node8", jump=machine.jump, known_hosts=(str(ours),), keys=(str(make_key(tmp_path / "other")),))
    first = fetched(machine, other)
    assert [key.who for key in first.keys] == [f"bastion {LOOPBACK}"]
    assert first.behind == ("node7", "node8")
    assert target.connections() == 0
    pin(str(ours), first.keys)
    second = fetched(machine)
    assert [(key.who, key.state) for key in second.keys] == [(f"bastion {LOOPBACK}", KNOWN), ("node7", NEW)]
    assert second.behind == ()
    pin(str(ours), second.keys)
    assert ssh(target, "-o", f"UserKnownHostsFile={ours}").returncode == 0


def test_a_changed_key_is_pinned_only_in_the_place_of_the_old_one(sshd: Make, tmp_path: Path) -> None:
    server, ours = sshd("a"), tmp_path / "known_hosts"
    old = make_key(tmp_path / "old").with_suffix(".pub").read_text()
    ours.write_text(f"# our lab\n[{LOOPBACK}]:{server.port},elsewhere {old}other {old}")
    ours.chmod(0o600)
    found = fetched(server.machine(known_hosts=(str(ours),)))
    assert [(key.state, key.stands) for key in found.keys] == [(CHANGED, f"{ours}:2")]
    before = ours.read_text()
    with pytest.raises(
        UsageError, match=r"has changed, the old one stands in .*:2: find out why first; only then `orchestrate trust --replace`"
    ):
        pin(str(ours), found.keys)
    assert ours.read_text() == before
    assert pin(str(ours), found.keys, replace=True) == 1
    assert ours.read_text().splitlines()[:3] == ["# our lab", f"elsewhere {old.strip()}", f"other {old.strip()}"]
    assert ssh(server, "-o", f"UserKnownHostsFile={ours}").returncode == 0
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob(".known*")) == []


def test_a_machine_that_is_not_there_does_not_hide_the_others(sshd: Make, tmp_path: Path) -> None:
    server = sshd("a")
    away = Machine(name="away", address=LOOPBACK, port=1, user=USER)
    found = fetched(away, server.machine(known_hosts=()))
    assert [key.who for key in found.keys] == ["node7"]
    assert [str(error).partition(" cannot")[0] for error in found.failed] == [f"away: away ({USER}@{LOOPBACK}:1)"]


def test_a_file_that_cannot_be_written_is_told(sshd: Make) -> None:
    found = fetched(sshd("a").machine(known_hosts=()))
    with pytest.raises(TestbedError, match=r"^host keys cannot be written to /proc/known_hosts: "):
        pin("/proc/known_hosts", found.keys)


def connect(machines: Sequence[Machine], ask: Callable[[str], str] | None) -> None:
    async def answer(question: str) -> str:
        return ask(question) if ask is not None else ""

    async def whole() -> None:
        connections = Connections(answer if ask is not None else None, patience_s=1.0)
        try:
            await asyncio.gather(*(connections.to(machine) for machine in machines))
        finally:
            await connections.close()

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_a_passphrase_is_asked_once_for_all_machines_and_again_where_it_was_wrong(sshd: Make, tmp_path: Path) -> None:
    key = make_key(tmp_path / "locked", passphrase=PHRASE)
    machines = [sshd(name, key=key).machine(name) for name in ("a", "b")]
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return PHRASE if len(asked) > 1 else "wrong"

    connect(machines, ask)
    assert asked == [f"Passphrase for {key}: "] * 2


def test_where_nobody_can_be_asked_a_locked_key_is_told_with_what_to_do(sshd: Make, tmp_path: Path) -> None:
    key = make_key(tmp_path / "locked", passphrase=PHRASE)
    with pytest.raises(Unreachable, match=rf"{key} is locked by a passphrase: load it into an agent first \(ssh-add {key}\)$"):
        connect([sshd("a", key=key).machine()], None)


@pytest.fixture
def agent(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A real ssh-agent of the test's own."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    for _ in range(1000):
        if subprocess.run(["ssh-add", "-l"], capture_output=True, check=False).returncode != 2:
            break
    yield socket
    process.terminate()
    process.wait()


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("only", ["yes", "no"])
def test_a_locked_key_that_an_agent_holds_is_not_asked_for(sshd: Make, tmp_path: Path, home: Path, only: str) -> None:
    key = make_key(tmp_path / "locked", passphrase=PHRASE)
    script = tmp_path / "askpass"
    script.write_text(f"#!/bin/sh\necho '{PHRASE}'\n")
    script.chmod(0o700)
    words = {**os.environ, "SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", str(key)], env=words, stdin=subprocess.DEVNULL, check=True)
    (home / ".ssh" / "config").write_text(f"Host *\n  IdentitiesOnly {only}\n")

    def nobody(question: str) -> str:
        raise AssertionError(question)

    connect([sshd("a", key=key).machine()], nobody)


def test_without_asyncssh_the_extra_is_named() -> None:
    script = "import sys; sys.modules['asyncssh'] = None\nimport importlib.util as u; real = u.find_spec\n"
    script += "u.find_spec = lambda name, *rest: None if name == 'asyncssh' else real(name, *rest)\n"
    script += "try:\n import orchestrator.connectors.ssh\nexcept Exception as error: print(type(error).__name__, error)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == (
        "TestbedError machines of an inventory are reached with asyncssh, which is not installed: pip install 'lab-orchestrator[ssh]'\n"
    )
