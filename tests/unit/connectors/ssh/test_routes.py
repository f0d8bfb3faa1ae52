"""The inventory and SSH configuration files -> every leg of the way to a machine."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from orchestrator.connectors.ssh.refusals import Refused
from orchestrator.connectors.ssh.routes import Leg, place, route
from orchestrator.model.inventory import Machine

ME = getpass.getuser()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def config(home: Path, text: str) -> None:
    (home / ".ssh" / "config").write_text(text)


def ways(machine: Machine) -> list[str]:
    return [leg.place for leg in route(machine)]


def test_without_any_word_the_name_is_the_host_and_the_usual_files_are_read(home: Path) -> None:
    (leg,) = route(Machine(name="node7"))
    usual = [f"{home}/.ssh/known_hosts", f"{home}/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
    assert leg == Leg(who="node7", asked="node7", host="node7", port=22, user=ME, known_hosts=tuple(usual))


def test_the_configuration_is_read_and_the_inventory_wins(home: Path) -> None:
    config(
        home,
        "Host n7\n  HostName 10.0.0.7\n  Port 2222\n  User ann\n  HostKeyAlias seven\n  IdentityFile ~/.ssh/lab\n"
        "  IdentityFile ~/.ssh/more\n  UserKnownHostsFile ~/known\n  GlobalKnownHostsFile none\n  IdentityAgent ~/agent\n"
        "  IdentitiesOnly yes\n  HostKeyAlgorithms ssh-ed25519\n",
    )
    (leg,) = route(Machine(name="node7", address="n7", known_hosts=("/lab/known_hosts",)))
    assert leg == Leg(
        who="node7",
        asked="n7",
        host="10.0.0.7",
        port=2222,
        user="ann",
        alias="seven",
        configs=(f"{home}/.ssh/config",),
        keys=(f"{home}/.ssh/lab", f"{home}/.ssh/more"),
        agent=f"{home}/agent",
        only=True,
        known_hosts=("/lab/known_hosts", f"{home}/known"),
        algorithms=True,
    )
    (won,) = route(Machine(name="node7", address="n7", port=22, user="bob", keys=("~/bobs",)))
    assert (won.place, won.keys) == ("bob@10.0.0.7", (f"{home}/bobs",))


def test_jumps_are_the_inventorys_or_else_the_configurations_and_their_own_are_followed(home: Path) -> None:
    config(home, "Host a\n  HostName gate\n  User g\n  ProxyJump outer\nHost node7\n  ProxyJump a,eve@b:23\nHost outer\n  Port 24\n")
    assert ways(Machine(name="node7", user="u")) == [f"{ME}@outer:24", "g@gate", "eve@b:23", "u@node7"]
    assert ways(Machine(name="node7", user="u", jump=("b", "c"))) == [f"{ME}@b", f"{ME}@c", "u@node7"]
    assert ways(Machine(name="node7", user="u", jump=("none",))) == ["u@node7"]
    assert [leg.who for leg in route(Machine(name="node7"))] == ["bastion outer", "bastion a", "bastion b", "node7"]


def test_none_in_the_configuration_is_no_jump(home: Path) -> None:
    config(home, "Host node7\n  ProxyJump none\nHost *\n  ProxyJump gate\n")
    assert ways(Machine(name="node7", user="u")) == ["u@node7"]


def test_a_match_that_is_final_is_heard_last(home: Path) -> None:
    config(home, "Match final host 10.0.0.7\n  User late\nHost node7\n  HostName 10.0.0.7\n")
    assert ways(Machine(name="node7")) == ["late@10.0.0.7"]


def test_files_of_the_inventory_are_read_instead_of_the_usual_one(home: Path) -> None:
    config(home, "Host *\n  Port 1\n")
    (home / "fabric").write_text("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  User ubuntu\n")
    (leg,) = route(Machine(name="node7", ssh_config=(f"{home}/fabric",), known_hosts=("/lab/known_hosts",)))
    assert (leg.place, leg.known_hosts[:2]) == ("ubuntu@node7", ("/lab/known_hosts", "/dev/null"))


def test_bastions_that_go_round_in_a_circle_are_refused(home: Path) -> None:
    config(home, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(Refused, match=r"^the bastions on the way go round in a circle: a is reached through itself \(ProxyJump\)$"):
        route(Machine(name="node7", jump=("a",)))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gate", ("", "gate", 0)),
        ("ann@gate:2222", ("ann", "gate", 2222)),
        ("ann@lab@gate", ("ann@lab", "gate", 0)),
        ("ssh://ann@gate:22/", ("ann", "gate", 22)),
        ("[fe80::1]:2222", ("", "fe80::1", 2222)),
    ],
)
def test_how_a_jump_host_is_written(text: str, parts: tuple[str, str, int]) -> None:
    assert place(text) == parts


@pytest.mark.parametrize("text", ["", "gate:", "gate:99999", "-oProxyCommand=sh", "a@-b", "fe80::1", "x y:z"])
def test_how_it_is_not(text: str) -> None:
    with pytest.raises(Refused, match=r"^a jump host is written \[user@\]host\[:port\], not "):
        place(text)


def test_a_configuration_that_is_not_understood_is_told_with_its_line(home: Path) -> None:
    config(home, "Host *\n  Port many\n")
    with pytest.raises(
        Refused, match=rf"^the SSH configuration is not understood: {home}/.ssh/config line 2: Invalid Port integer value: many$"
    ):
        route(Machine(name="node7"))


def test_a_configuration_that_is_not_there_is_told() -> None:
    with pytest.raises(Refused, match=r"^the SSH configuration /nowhere/config cannot be read: No such file or directory$"):
        route(Machine(name="node7", ssh_config=("/nowhere/config",)))
