"""A machine to be thrown away: this one's files under an overlay, with users, programs and an SSH server of its own on a loopback address.

What is installed, removed or written there stays in memory and vanishes with its processes, which die together (a PID namespace).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from orchestrator.model.inventory import Machine

_ROOT = """set -e
T={folder}/layers; mkdir -p $T; mount -t tmpfs none $T; mkdir $T/upper $T/work $T/root; M=$T/root
mount -t overlay overlay -o lowerdir=/,upperdir=$T/upper,workdir=$T/work $M
mount -t proc proc $M/proc; mount --rbind /dev $M/dev; mount -t tmpfs none $M/run; mount -t tmpfs none $M/tmp; chmod 1777 $M/tmp
mkdir $M/run/sshd $M/run/keys; cp {folder}/host_key {folder}/sshd_config {folder}/authorized_keys $M/run/keys
chroot $M sh -ec 'usermod -p "*" root
{setup}'
exec chroot $M /usr/sbin/sshd -D -e -f /run/keys/sshd_config
"""
_SSHD = """ListenAddress {address}:{port}
HostKey /run/keys/host_key
AuthorizedKeysFile /run/keys/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""


class Disposable:
    """One such machine, up and answering; ``setup`` is a text for its shell, run as root before its SSH server starts."""

    def __init__(self, folder: Path, name: str, address: str, key: Path, setup: str = "") -> None:
        self.folder, self.name, self.address = folder / name, name, address
        self.folder.mkdir()
        self.port = _free_port(address)
        self.known_hosts = self.folder / "known_hosts"
        self._log = self.folder / "log"
        self._keys(key)
        (self.folder / "sshd_config").write_text(_SSHD.format(address=address, port=self.port))
        script = _ROOT.format(folder=self.folder, setup=setup)
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", script]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._wait_until_it_answers()

    def _keys(self, key: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "host_key"], check=True)
        shutil.copy(f"{key}.pub", self.folder / "authorized_keys")
        kind, text = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {kind} {text}\n")

    def _wait_until_it_answers(self) -> None:
        """Read the banner; each try waits for sshd's listening, or for the end of what should become it."""
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 10) as peer:
                if peer.recv(4) == b"SSH-":
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
                break
        pytest.fail(f"no sshd: {self.log()}")

    def log(self) -> str:
        """What its setup and its sshd said."""
        return self._log.read_text(errors="replace")

    def run(self, command: str) -> str:
        """What ``command`` prints, run as its root, beside its SSH server."""
        (child,) = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        words = ["nsenter", "-t", child, "-m", "-p", f"--root=/proc/{child}/root", "--wd=/", "sh", "-c", command]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout

    def machine(self, user: str, key: Path, *more: Path) -> Machine:
        """Its record, as an inventory would give it."""
        known = (str(self.known_hosts), *map(str, more))
        return Machine(name=self.name, address=self.address, port=self.port, user=user, keys=(str(key),), known_hosts=known)

    def close(self) -> None:
        """Throw it away."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)  # its child, process 1 of its namespace, dies with it, and all there
        self._process.wait(10)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def skip_unless_possible() -> None:
    """Skip where no such machine can be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in ("/usr/sbin/sshd", shutil.which("unshare") or "unshare", shutil.which("nsenter") or "nsenter"):
        if not os.path.exists(program):
            pytest.skip(f"needs {program}")


def key_pair(folder: Path) -> Path:
    """A key of the test's own; gives the private one's path."""
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path
