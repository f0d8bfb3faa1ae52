"""`orchestrate prepare` on machines to be thrown away, behind a bastion: real sshd, real sudo with a real password, real apt."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from orchestrator.model.inventory import Machine
from orchestrator.testbeds.preparing.packages import PACKAGES
from tests.conftest import ROOT
from tests.integration.disposable import Disposable, key_pair, skip_unless_possible

pytestmark = pytest.mark.namespaces
PASSWORD = "Wherefore art thou"
USERS = f"""
echo "Defaults lecture=never" > /etc/sudoers
echo "root ALL=(ALL) ALL" >> /etc/sudoers
echo "admin ALL=(ALL) ALL" >> /etc/sudoers
echo "free ALL=(ALL) NOPASSWD: ALL" >> /etc/sudoers
rm -f /etc/sudoers.d/*
useradd -m -s /bin/bash admin; useradd -m -s /bin/sh free; useradd -m -s /bin/sh nobodys
useradd -s /usr/sbin/nologin closed; usermod -p "*" closed; usermod -p "*" free; usermod -p "*" nobodys
echo "admin:{PASSWORD}" | chpasswd
"""
LACKS = USERS + "dpkg --remove --force-depends lsof psmisc >/dev/null\n"


def test_an_inventory_that_says_none_has_no_bastion_put_in_by_the_configuration(tmp_path: Path) -> None:
    reaching = pytest.importorskip("orchestrator.testbeds.preparing.reaching")
    config = tmp_path / "config"
    config.write_text("Host *\n  ProxyJump gate\n")
    said, unsaid = Machine(name="a", jump=("none",), ssh_config=(str(config),)), Machine(name="a", ssh_config=(str(config),))
    assert reaching.connection_to(unsaid).gateway.host == "gate"
    assert not reaching.connection_to(said).gateway


class Lab:
    """A bastion, machines behind it, and an inventory of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = key_pair(folder)
        self.made: list[Disposable] = []
        self.bastion = self.add("bastion", USERS)
        self.path = folder / "inventory.yaml"

    def add(self, name: str, setup: str) -> Disposable:
        made = Disposable(self.folder, name, f"127.0.0.{len(self.made) + 2}", self.key, setup)
        self.made.append(made)
        with (self.folder / "known_hosts").open("a") as file:
            file.write(made.known_hosts.read_text())
        return made

    def inventory(self, **users: str) -> None:
        """Write the inventory: each machine by its name, with the user who logs in."""
        way = f"nobodys@{self.bastion.address}:{self.bastion.port}"
        text = f"all:\n  vars:\n    ansible_ssh_private_key_file: {self.key}\n    jump: {way}\n  hosts:\n"
        for machine in self.made[1:]:
            user = users.get(machine.name, "admin")
            text += f"    {machine.name}: {{ansible_host: {machine.address}, ansible_port: {machine.port}, ansible_user: {user}}}\n"
        self.path.write_text(text)

    def words(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "orchestrator", "prepare", "-i", str(self.path), *more]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        """``prepare``, with nobody at a terminal."""
        return subprocess.run(
            self.words(*more),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            start_new_session=True,
            check=False,
        )

    def type(self, answer: str, *more: str) -> tuple[int, str]:
        """``prepare`` at a terminal, where a person answers the question for the password; gives its status and what was seen."""
        words = self.words(*more)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            os.execv(words[0], words)
        shown, answered = "", False
        while select.select([terminal], [], [], 300)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other end was closed (pty(7))
                break
            if "sudo's password on" in shown and not answered:
                os.write(terminal, f"{answer}\n".encode())
                answered = True
        assert termios.tcgetattr(terminal)[3] & termios.ECHO
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.fixture
def lab(tmp_path):
    skip_unless_possible()
    if not shutil.which("sudo"):
        pytest.skip("needs sudo")
    lacking = [program for program in PACKAGES if not shutil.which(program)]
    if lacking:
        pytest.skip(f"this machine lacks {', '.join(lacking)}, so that its copies would")
    with contextlib.ExitStack() as stack:
        made = Lab.__new__(Lab)
        made.made = []
        stack.callback(lambda: [machine.close() for machine in made.made])
        Lab.__init__(made, tmp_path)
        yield made


def mirror_answers(machine):
    """Skip where no packages can be had; also takes the package lists away again, so that they have to be fetched."""
    if "not had" in machine.run("apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=10 update >/dev/null 2>&1 || echo not had"):
        pytest.skip("no mirror of packages can be reached from here")


def test_what_is_missing_is_shown_then_installed_and_then_there_is_nothing_to_do(lab):
    if not shutil.which("apt-get"):
        pytest.skip("needs apt-get")
    romeo = lab.add("romeo", LACKS)
    lab.add("juliet", USERS)
    lab.inventory()
    mirror_answers(romeo)

    shown = lab.run("--dry-run")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "romeo: would run: sudo env DEBIAN_FRONTEND=noninteractive" in shown.stdout
    assert "install --no-install-recommends lsof psmisc" in shown.stdout
    assert "juliet  ready          nothing to do" in shown.stdout
    assert "lsof" not in romeo.run("ls /usr/bin")

    nobody = lab.run("--limit", "romeo")
    assert nobody.returncode == 3
    assert "romeo  failed         sudo asks for a password, and nobody is here to give it" in nobody.stdout

    code, told = lab.type("Rosaline", "--limit", "romeo")
    assert code == 3, told
    assert "sudo did not take the password" in told

    code, told = lab.type(PASSWORD)
    assert code == 0, told
    assert "sudo's password on romeo:" in told
    assert "romeo: $ env DEBIAN_FRONTEND" in told
    assert "romeo   installed      lacked lsof, fuser" in told
    assert PASSWORD not in told
    assert "[sudo]" not in told
    assert romeo.run("command -v lsof; command -v fuser").count("/fuser\n") == 1

    again = lab.run("--json")
    assert again.returncode == 0
    assert [(one["machine"], one["result"], one["commands"]) for one in json.loads(again.stdout)] == [
        ("romeo", "ready", []),
        ("juliet", "ready", []),
    ]
    assert "Accepted publickey for nobodys" in lab.bastion.log()


def test_one_that_fails_does_not_stop_the_others(lab):
    lab.add("free", LACKS)
    lab.add("stranger", USERS)
    lab.add("locked", LACKS)
    lab.add("refused", USERS)
    lab.add("closed", USERS)
    lab.inventory(free="free", locked="nobodys", refused="montague", closed="closed")
    known = lab.folder / "known_hosts"
    known.write_text("".join(line for line in known.read_text().splitlines(keepends=True) if f":{lab.made[2].port} " not in line))
    mirror_answers(lab.made[1])

    done = lab.run("--json")
    assert done.returncode == 3, done.stderr
    found = {one["machine"]: one for one in json.loads(done.stdout)}
    assert (found["free"]["result"], found["free"]["packages"]) == ("installed", ["lsof", "psmisc"])
    assert "is not known: it shows the ED25519 key SHA256:" in found["stranger"]["text"]
    assert "this user may not use sudo" in found["locked"]["text"]
    assert "did not do what it was asked: it said 'This account is currently not available.'" in found["closed"]["text"]
    assert "not let in" in found["refused"]["text"]
    assert "free: $ env DEBIAN" in done.stderr


def test_a_changed_key_and_a_bastion_that_nobody_knows(lab):
    romeo = lab.add("romeo", USERS)
    lab.inventory()
    known = lab.folder / "known_hosts"
    lines = known.read_text().splitlines()
    kind, text = lines[0].split()[1:]
    known.write_text(f"{lines[0]}\n[{romeo.address}]:{romeo.port} {kind} {text}\n")
    done = lab.run()
    assert (done.returncode, "has CHANGED: it shows the ED25519 key" in done.stdout) == (3, True), done.stdout + done.stderr

    known.write_text(f"{lines[1]}\n")
    done = lab.run()
    assert done.returncode == 3
    assert f"[{lab.bastion.address}]:{lab.bastion.port}" in done.stdout
    assert "is not known" in done.stdout


@pytest.mark.parametrize("leg", ["bastion", "romeo"])
def test_keys_are_revoked_or_vouched_for_by_authorities_on_each_leg(lab, leg):
    romeo = lab.add("romeo", USERS)
    lab.inventory()
    server = lab.bastion if leg == "bastion" else romeo
    known = lab.folder / "known_hosts"
    whole = known.read_text()
    line = server.known_hosts.read_text()

    known.write_text(f"{whole}@revoked {line}")
    done = lab.run()
    assert (done.returncode, f"which {known}:3 revokes: do not connect before you know why" in done.stdout) == (3, True), done.stdout

    known.write_text(whole.replace(line, f"@cert-authority {line}"))
    done = lab.run()
    number = 1 if leg == "bastion" else 2
    assert (done.returncode, "is not known: it shows the ED25519 key" in done.stdout) == (3, True), done.stdout
    assert f"certificates of the authority in {known}:{number} are not checked by `orchestrate prepare`" in done.stdout

    known.write_text(f"@cert-authority {line}{whole}")
    done = lab.run()
    assert (done.returncode, done.stdout) == (0, "romeo  ready          nothing to do\n"), done.stdout + done.stderr


def test_of_several_keys_a_known_one_is_asked_for(sshd, tmp_path):
    reaching = pytest.importorskip("orchestrator.testbeds.preparing.reaching")
    server = sshd("a", kinds=("ed25519", "ecdsa", "rsa"))
    lines = server.known_hosts.read_text().splitlines(keepends=True)
    for line in lines:
        server.known_hosts.write_text(f"{line}@revoked {line.split()[0]} {' '.join(lines[lines.index(line) - 1].split()[1:])}\n")
        way = reaching.Way(server.machine())
        way.open()
        assert way.run("echo here", hide=True).stdout == "here\n"
        way.close()


def test_at_the_question_a_person_may_stop(lab):
    lab.add("romeo", LACKS)
    lab.inventory()
    code, told = lab.type("\x03")
    assert code == 130, told
    assert "stopped: nothing was installed" in told


def test_what_the_inventory_does_not_say_the_configuration_of_ssh_does(lab):
    romeo = lab.add("romeo", USERS)
    config = lab.folder / "config"
    config.write_text(
        f"Host gate\n  HostName {lab.bastion.address}\n  Port {lab.bastion.port}\n  User nobodys\n"
        f"Host romeo\n  HostName {romeo.address}\n  Port {romeo.port}\n  User free\n  ProxyJump gate\n"
        f"Host *\n  IdentityFile {lab.key}\n  UserKnownHostsFile {lab.folder}/theirs\n"
    )
    (lab.folder / "known_hosts").rename(lab.folder / "theirs")
    lab.path.write_text(f"all: {{hosts: {{romeo: {{ansible_ssh_common_args: -F {config}}}}}}}")
    done = lab.run()
    assert (done.returncode, done.stdout) == (0, "romeo  ready          nothing to do\n"), done.stdout + done.stderr
    assert "Accepted publickey for nobodys" in lab.bastion.log()
    assert "Accepted publickey for free" in romeo.log()


def test_without_fabric_it_says_what_to_install(tmp_path):
    path = tmp_path / "inventory.yaml"
    path.write_text("all: {hosts: {romeo: }}")
    code = "import sys; sys.modules['fabric'] = None; import orchestrator.cli as cli; cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "prepare", "-i", path], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    assert "python -m pip install 'lab-orchestrator[prepare]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_the_inventory_lacks(tmp_path):
    path = tmp_path / "inventory.yaml"
    path.write_text("all: {hosts: {romeo: }}")
    words = [sys.executable, "-m", "orchestrator", "prepare", "-i", str(path), "--limit", "julia"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (64, f"--limit julia: {path} has no such machine or group (there are romeo, all)\n")
