"""`orchestrate trust` from nothing, on a lab: the bastion's key first, then those behind it; and what a person reads who has it wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import Controller

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs

pytestmark = pytest.mark.namespaces


@pytest.fixture
def stranger(sshlab: Labs, tmp_path: Path) -> Iterator[Controller]:
    """Who knows no host key yet."""
    made = Controller(tmp_path, sshlab("two-hosts", clocks=True))
    config = tmp_path / "ssh_config"
    lines = made.lab.ssh_config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if "UserKnownHostsFile" not in line) + "  UserKnownHostsFile /dev/null\n")
    text = made.inventory.read_text().replace(str(made.lab.ssh_config), str(config))
    made.inventory.write_text(text.replace(f" -o UserKnownHostsFile={made.lab.folder}/known_hosts", ""))
    yield made
    made.close()


def test_from_nothing_to_a_run(stranger: Controller) -> None:
    known = stranger.folder / "known_hosts"
    unknown = stranger.run("run", "connection-refused", *stranger.i)
    assert unknown.code == 3, unknown
    assert unknown.err.count("is not known: it shows the ED25519 key SHA256:") == 1  # both machines are behind the one bastion
    assert unknown.err.startswith("romeo, juliet: ")
    assert "orchestrate trust" in unknown.err
    nobody = stranger.run("trust", *stranger.i)
    assert nobody.code == 64, nobody
    assert "--yes" in nobody.err
    assert not known.exists()
    done = stranger.run("trust", *stranger.i, "--yes")
    assert (done.code, done.err) == (0, ""), done
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("new")] == ["bastion", "romeo", "juliet"]
    assert len(known.read_text().splitlines()) == 3
    assert stranger.run("run", "connection-refused", *stranger.i).code == 0
    assert "known already" in stranger.run("trust", *stranger.i).out


def test_a_key_that_has_changed(stranger: Controller) -> None:
    known = stranger.folder / "known_hosts"
    assert stranger.run("trust", *stranger.i, "--yes").code == 0
    lines = known.read_text().splitlines()
    romeo, juliet = (
        next(line for line in lines if line.startswith(stranger.lab.machines[name].plan.address)) for name in ("romeo", "juliet")
    )
    known.write_text(known.read_text().replace(romeo.split()[2], juliet.split()[2]))
    refused = stranger.run("run", "connection-refused", *stranger.i)
    assert refused.code == 3, refused
    assert "has CHANGED" in refused.err
    assert f"{known}:" in refused.err
    for options, code in ((("--yes",), 64), (("--yes", "--replace"), 0)):
        assert stranger.run("trust", *stranger.i, *options).code == code
    assert stranger.run("run", "connection-refused", *stranger.i).code == 0


WRONG = {
    "ansible_user: ubuntu": ("ansible_user: nobody-here", "does not let nobody-here in"),
    "/keys/user": ("/keys/no-such-key", "no-such-key"),
    "ansible_python_interpreter: /usr/bin/python3": ("ansible_python_interpreter: /usr/bin/python9", "/usr/bin/python9"),
    "ansible_host:": ("ansible_hots:", "ansible_hots"),
}


@pytest.mark.parametrize("right", WRONG)
def test_what_is_wrong_in_an_inventory_is_told(two_hosts: Controller, right: str) -> None:
    wrong, word = WRONG[right]
    path = two_hosts.folder / "wrong.yaml"
    path.write_text(two_hosts.inventory.read_text().replace(right, wrong))
    done = two_hosts.run("run", "connection-refused", "-i", path)
    assert done.code in (3, 65), done
    assert word in done.err, done.err
