"""A program for each test of machines behind a bastion, and proof afterwards that they are as they were."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.program import Program

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs
    from tests.sshlab.lab import SSHLab


class Controller(Program):
    """``orchestrate`` with the inventory of a lab: ``lab``, whose machines have a clock of their own."""

    def __init__(self, folder: Path, lab: SSHLab, **variables: object) -> None:
        super().__init__(folder)
        self.lab = lab
        self.inventory = self.inventory_with(**{"configure": True, **variables})

    def inventory_with(self, name: str = "inventory", **variables: object) -> Path:
        """The lab's own, with more variables of all machines; those that are ``None`` are left out."""
        text = self.lab.inventory.read_text()
        for key, value in variables.items():
            text = "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith(f"{key}:"))
            if value is not None:
                text = text.replace("  vars:\n", f"  vars:\n    {key}: {str(value).lower() if isinstance(value, bool) else value}\n", 1)
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def connects(self, process: subprocess.Popen[str]) -> bool:
        """Whether it has a connection to the bastion, or is about to have one."""
        done = subprocess.run(["ss", "-Htnp", "dst", self.lab.blueprints.bastion.address], capture_output=True, text=True, check=True)
        return f"pid={process.pid}," in done.stdout

    @property
    def bastion(self) -> str:
        """Where the machines see the bastion."""
        return next(line.split()[2] for line in self.lab.blueprints.machines[0].lines if line.startswith("neighbour add "))

    @property
    def i(self) -> tuple[str, str]:
        """The option that names it."""
        return "-i", str(self.inventory)


@contextmanager
def unchanged(lab: SSHLab) -> Iterator[None]:
    """Every machine is afterwards, within seconds, what it was before."""
    before = {name: machine.state() for name, machine in lab.machines.items()}
    yield
    for name, machine in lab.machines.items():
        machine.wait_for_state(before[name])


@pytest.fixture
def two_hosts(sshlab: Labs, tmp_path: Path) -> Iterator[Controller]:
    """A controller of two hosts on one segment, which are afterwards as they were."""
    lab = sshlab("two-hosts", clocks=True)
    made = Controller(tmp_path, lab)
    with unchanged(lab):
        yield made
        made.close()
