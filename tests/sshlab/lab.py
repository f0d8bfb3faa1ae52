"""Bring a lab up, use it from tests, take it down: ``with SSHLab(topology="two-hosts") as lab: lab.machines["romeo"].run(["id"])``.

Everything of a lab hangs on its keeper (see keeper.py); this is the starter's end. Root is needed. The surprising fact: nothing of the
machines has to be asked to be seen. Their processes and files are read through ``/proc`` from outside, which changes nothing inside.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from orchestrator.loading import load_topology
from orchestrator.loading.shelves import topology_folders
from orchestrator.model.topology import Topology
from tests.sshlab import access, plan
from tests.sshlab.faults import Faults, wait_for_banner
from tests.sshlab.machines import Machine

ROOT = Path(__file__).resolve().parents[2]
UP_S = 90.0
DOWN_S = 10.0
_TOOLS = {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client", "sudo": "sudo", "ip": "iproute2"}
_TOOLS |= {"nsenter": "util-linux", "tc": "iproute2"}
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class LabError(Exception):
    """Why there can be no lab here; a sentence that a person can act on."""


def why_not() -> str:
    """What is missing for a lab on this machine; empty: nothing."""
    if os.geteuid() != 0:
        return "an SSH lab makes namespaces with sshd in them and needs root: sudo python -m tests.sshlab ..."
    missing = [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]
    if missing:
        return f"an SSH lab needs {', '.join(missing)}: apt-get install {' '.join(sorted({_TOOLS[tool] for tool in missing}))}"
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        return "an SSH lab gives each machine a root of its own by overlayfs, which this kernel lacks: modprobe overlay"
    return ""


def topology_named(name: str) -> Topology:
    """One that ships, by its name, or a file.

    :raises LabError: there is none.
    """
    paths = [Path(name), *(folder / f"{name}.yaml" for folder in topology_folders())]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise LabError(f"there is no topology {name}: neither a file, nor one of {topology_folders()[0]}")
    return load_topology(path)


class SSHLab(Faults):
    """A lab, up while the ``with`` lasts and as long as this process lives (``detached``: until :func:`take_down`).

    ``hosts`` makes a segment of h1, h2, ... instead of ``topology``. ``bare``: interfaces on the experiment networks are there, down, and
    have no addresses, and nobody forwards. ``gateway``: each machine's default route is by the management network, as a cloud's machines
    have it (the bastion does not forward), and a default route of the topology becomes one to each of its far networks. ``admin_rules``:
    each machine has rules of an administrator from the beginning. ``disk_mb`` bounds each of a machine's file systems. ``clocks``:
    monotonic time is each machine's own, hours apart, as where each began at another time (time_namespaces(7)); the time of day is one.
    """

    def __init__(
        self,
        topology: str = "line",
        *,
        at: str | Path | None = None,
        hosts: int = 0,
        bare: bool = False,
        admin_rules: bool = False,
        gateway: bool = False,
        clocks: bool = False,
        disk_mb: int = 64,
        detached: bool = False,
    ) -> None:
        self.topology_name, self.hosts, self.bare, self.admin_rules = topology, hosts, bare, admin_rules
        self.gateway, self.clocks = gateway, clocks
        self.disk_mb, self.detached = disk_mb, detached
        self._at = at
        self.folder = Path()
        self.machines: dict[str, Machine] = {}
        self.admin_password = secrets.token_urlsafe(12)
        self._keeper: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Return when every machine's sshd has answered with its banner.

        :raises LabError: there can be no lab; nothing is left then.
        """
        if reason := why_not():
            raise LabError(reason)
        for _try in range(10):
            self.folder = _new_folder(self._at)
            try:
                answer = self._up()
                if "error" not in answer:
                    self._note(answer)
                    return
            except BaseException:
                self.down()
                raise
            self.down()
            if "File exists" not in answer["error"]:  # else somebody took our number in the same moment
                break
        raise LabError(f"the SSH lab did not come up: {answer['error']}")

    def _up(self) -> dict[str, Any]:
        self.topology = self._topology()
        for name in ("keys", "log", "disks"):
            (self.folder / name).mkdir()
        access.make_keys(self.folder / "keys", ["user", "bastion", *(host.name for host in self.topology.hosts)])
        self.blueprints = plan.draw(
            self.topology, _free_number(), bare=self.bare, admin_rules=self.admin_rules, gateway=self.gateway, clocks=self.clocks
        )
        return self._start()

    def _topology(self) -> Topology:
        if not self.hosts:
            return topology_named(self.topology_name)
        if not 1 < self.hosts <= plan.MOST_MACHINES:
            raise LabError(f"a lab has 2 to {plan.MOST_MACHINES} hosts, not {self.hosts}")
        path = self.folder / "topology.yaml"
        names = [f"h{number}" for number in range(1, self.hosts + 1)]
        places = "".join(f'      {name}: [10.10.0.{number}, "fd00:10:10::{number:x}"]\n' for number, name in enumerate(names, start=1))
        hosts = "".join(f"  {name}:\n" for name in names)
        head = f"topology: {path.stem}\nabout: {self.hosts} hosts on one segment.\nhosts:\n{hosts}networks:\n  lan:\n"
        path.write_text(f'{head}    subnets: [10.10.0.0/24, "fd00:10:10::/64"]\n    hosts:\n{places}')
        return load_topology(path)

    def _start(self) -> dict[str, Any]:
        wanted = self.blueprints.record() | {"disk_mb": self.disk_mb, "detached": self.detached, "hash": _hashed(self.admin_password)}
        (self.folder / "blueprints.json").write_text(json.dumps(wanted))
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115  outlives this method; the keeper removes the folder when it fails
        self._keeper = subprocess.Popen(
            [sys.executable, "-S", "-m", "tests.sshlab.keeper", str(self.folder)],
            cwd=ROOT,
            env={"PATH": _PATH, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL if self.detached else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        readable, _, _ = select.select([self._keeper.stdout], [], [], UP_S)
        line = self._keeper.stdout.readline() if readable else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        log.seek(0)
        return {"error": f"its keeper ended, or does not answer: {log.read()[-2000:]}"}

    def _note(self, answer: dict[str, Any]) -> None:
        access.write(self.folder, self.blueprints, bare=self.bare)
        self.hub = answer["hub"]
        self.machines = {
            one.name: Machine(one, pid=answer["pids"][one.name], hub=self.hub, disk=self.folder / "disks" / one.name)
            for one in (self.blueprints.bastion, *self.blueprints.machines)
        }
        known = {"topology": self.topology.name, "admin_password": self.admin_password, "number": self.blueprints.number}
        (self.folder / "lab.json").write_text(json.dumps(answer | known))
        wait_for_banner(self.blueprints.bastion.address)

    def down(self) -> None:
        """End it, and wait until nothing of it is left; a second time does nothing."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with contextlib.suppress(ProcessLookupError):
                keeper.terminate()
            for stream in (keeper.stdin, keeper.stdout):
                if stream is not None:
                    stream.close()
            keeper.wait(DOWN_S)
            wait_until_gone(self.blueprints.number)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.machines = {}

    @property
    def inventory(self) -> Path:
        """In Ansible's YAML form."""
        return self.folder / "inventory.yaml"

    @property
    def ssh_config(self) -> Path:
        """For ``ssh -F``."""
        return self.folder / "ssh_config"


def _new_folder(at: str | Path | None) -> Path:
    if at is None:
        return Path(tempfile.mkdtemp(prefix="behind-bastion-"))
    folder = Path(at).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise LabError(f"{folder} is not empty: name a folder that is the lab's alone, because it goes with the lab")
    folder.chmod(0o700)
    return folder


def _free_number() -> int:
    taken = set(os.listdir("/sys/class/net"))
    free = [number for number in range(1, 255) if f"lab-{number}" not in taken]
    if not free:
        raise LabError("there are 254 SSH labs here already: python -m tests.sshlab list")
    return random.choice(free)


def _hashed(password: str) -> str:
    """As /etc/shadow has it (crypt(3), SHA-512)."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(password.encode(), f"$6${secrets.token_hex(8)}$".encode())
    return hashed.decode()


def wait_until_gone(number: int) -> None:
    """Until the kernel has taken the lab's interface back, which it does a little after the last process of its namespaces."""
    end = time.monotonic() + DOWN_S
    while os.path.exists(f"/sys/class/net/lab-{number}") and time.monotonic() < end:
        time.sleep(0.005)


def found() -> Iterator[tuple[int, Path]]:
    """The labs of this machine: each keeper's process id, and its folder. The processes are the register."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(bytes(1))
            if words[2:4] == [b"-m", b"tests.sshlab.keeper"] and not _inside(entry):
                yield int(entry), Path(os.fsdecode(words[4]))


def _inside(entry: str) -> bool:
    """Whether it is a part of a lab and not its keeper: they have the same words, and a PID namespace below."""
    return os.readlink(f"/proc/{entry}/ns/pid") != os.readlink("/proc/self/ns/pid")


def take_down(folder: Path) -> bool:
    """End the lab of this folder and wait until nothing of it is left. Gives whether there was one."""
    keeper = next((pid for pid, place in found() if place == folder.resolve()), None)
    if keeper is None:
        return False
    number = json.loads((folder / "lab.json").read_text())["number"] if (folder / "lab.json").exists() else 0
    handle = os.pidfd_open(keeper)
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    select.select([handle], [], [], DOWN_S)
    os.close(handle)
    wait_until_gone(number)
    return True
