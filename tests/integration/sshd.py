"""Real OpenSSH servers for a test: each with host keys, a configuration and a port of its own, on loopback, gone with the test."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.model.inventory import Machine

LOOPBACK = "127.0.0.1"
PATIENCE_S = 10
SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
USER = getpass.getuser()


def needs_sshd() -> str:
    """The path of sshd; skips where there is none."""
    if SSHD is None:
        pytest.skip("sshd is missing: install openssh-server")
    return SSHD


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A private key file, and ``.pub`` beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)], check=True)
    return path


class Server:
    """One sshd. ``key`` is the user's private key that it lets in, ``known_hosts`` a file with its host keys.

    ``sudoers`` are the rules of sudo below it; ``alone``: it has a /run of its own, as another machine would.
    """

    def __init__(
        self,
        folder: Path,
        *lines: str,
        key: Path | None = None,
        kinds: tuple[str, ...] = ("ed25519",),
        sudoers: str | None = None,
        alone: bool = False,
    ) -> None:
        self.folder = folder
        self._alone = alone
        self._sudoers = sudoers
        folder.mkdir(mode=0o700, parents=True)
        self.port = free_port()
        self.key = key or make_key(folder / "user_key")
        self.host_keys = [make_key(folder / f"host_{kind}", kind) for kind in kinds]
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text(self.key.with_suffix(".pub").read_text())
        self.log = folder / "log"
        self.known_hosts = folder / "known_hosts"
        self.pin()
        self.config = folder / "sshd_config"
        self.config.write_text(self._settings(lines))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def _settings(self, lines: tuple[str, ...]) -> str:
        usual = [
            *lines,
            f"ListenAddress {LOOPBACK}:{self.port}",
            *(f"HostKey {path}" for path in self.host_keys),
            f"AuthorizedKeysFile {self.authorized}",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            f"UsePAM {'no' if self._sudoers is None else 'yes'}",  # without PAM an account without a password is a locked one
            "StrictModes no",  # the test's folder is below /tmp
            "SetEnv SHLVL=2",  # so that a bash that sshd starts reads nobody's .bashrc (bash(1), INVOCATION)
            "PidFile none",
            "LogLevel VERBOSE",
        ]
        return "".join(f"{line}\n" for line in usual)

    def pin(self) -> None:
        """Make its host keys known in its own file."""
        lines = (f"[{LOOPBACK}]:{self.port} {path.with_suffix('.pub').read_text()}" for path in self.host_keys)
        self.known_hosts.write_text("".join(lines))

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        command = [needs_sshd(), "-D", "-e", "-f", str(self.config)]
        mounts = [*(["mount -t tmpfs -o mode=755 none /run", "mkdir /run/sshd"] if self._alone else []), *self._rules()]
        if mounts:
            command = ["unshare", "--mount", "sh", "-c", f'{" && ".join(mounts)} && exec "$@"', "sh", *command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + PATIENCE_S
        while f"listening on {LOOPBACK} port {self.port}" not in self.log.read_text().replace("Server ", "").lower():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.005)

    def _rules(self) -> list[str]:
        """Let sudo have these rules and no others, below this server."""
        if self._sudoers is None:
            return []
        rules = self.folder / "sudoers"
        rules.write_text(f"{self._sudoers}\n")
        rules.chmod(0o440)
        return [f"mount --bind {rules} /etc/sudoers"]

    def descendants(self) -> list[int]:
        """Who was forked by it, one below the other."""
        found, turn = [], [self.process.pid] if self.process else []
        while turn:
            pid = turn.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            except OSError:
                continue
            found += [int(child) for child in children]
            turn += [int(child) for child in children]
        return found

    def close(self) -> None:
        """Kill it, and what it forked."""
        if self.process is not None:
            for pid in [self.process.pid, *self.descendants()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def connections(self) -> int:
        """How many connections it was ever asked for."""
        return self.log.read_text().count("Connection from ")

    def logins(self) -> int:
        """How many it let in."""
        return self.log.read_text().count("Accepted publickey")

    def machine(self, name: str = "node7", **fields: object) -> Machine:
        """It as a machine of an inventory; ``fields`` win."""
        usual = {"address": LOOPBACK, "port": self.port, "user": USER, "keys": (str(self.key),), "known_hosts": (str(self.known_hosts),)}
        return Machine(name=name, **{**usual, **fields})  # type: ignore[arg-type]
