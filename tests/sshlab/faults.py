"""What can befall a lab: a control connection cut in silence, a bastion that dies and comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time

from tests.sshlab.machines import Machine
from tests.sshlab.plan import Blueprints, port_of

_BANNER_S = 30.0


class Faults:
    """The part of a lab that breaks things, and mends them."""

    hub: int
    machines: dict[str, Machine]
    blueprints: Blueprints

    def cut(self, name: str) -> None:
        """From now on nothing passes between the bastion and this machine, either way: dropped in the midst, so no side sees a reset."""
        self._isolate(name, "on")

    def mend(self, name: str) -> None:
        """All passes again."""
        self._isolate(name, "off")

    def _isolate(self, name: str, switch: str) -> None:
        """The bridge passes nothing between two ports that are isolated (bridge(8)), and the bastion's always is."""
        port = port_of(self.machines[name].plan.address)
        argv = ["nsenter", "--target", str(self.hub), "--net", "--", "ip", "link", "set", port, "type", "bridge_slave", "isolated", switch]
        subprocess.run(argv, check=True, capture_output=True, text=True)

    def kill_bastion(self) -> None:
        """SIGKILL to the bastion's sshd and all its sessions."""
        bastion = self.machines["bastion"]
        for one in bastion.processes():
            if one.pid != 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.outer, signal.SIGKILL)
        bastion.wait_for_processes("sshd", gone=True)

    def restart_bastion(self) -> None:
        """Its sshd again; returns when it answers."""
        os.kill(self.machines["bastion"].pid, signal.SIGHUP)
        wait_for_banner(self.blueprints.bastion.address)


def wait_for_banner(address: str, within_s: float = _BANNER_S) -> None:
    """Until an SSH server says what RFC 4253, 4.2, makes it say first."""
    end = time.monotonic() + within_s
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=max(0.05, end - time.monotonic())) as sock:
            if sock.recv(8).startswith(b"SSH-"):
                return
        assert time.monotonic() < end, f"no SSH server answers at {address}"
        time.sleep(0.005)
