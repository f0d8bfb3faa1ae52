"""The words of ssh(1) that lead to a machine: the whole way is verified, and no word of the inventory is taken for another."""

from __future__ import annotations

import shlex

from orchestrator.model.inventory import Machine
from orchestrator.testbeds.machines.logins import login

STRICT = "StrictHostKeyChecking=yes"


def proxy(words: tuple[str, ...]) -> list[str]:
    """The words of the ssh that goes to the last bastion."""
    (command,) = [word for word in words if word.startswith("ProxyCommand=")]
    return shlex.split(command.partition("=")[2])


def test_host_keys_are_verified_on_every_leg_whatever_the_configuration_says() -> None:
    words = login(Machine(name="romeo", address="198.18.0.10", jump=("me@gate:2222",), known_hosts=("/lab/known_hosts",)))
    assert words[-1] == "198.18.0.10"
    assert STRICT in words
    through = proxy(words)
    assert STRICT in through
    assert through[-4:] == ["2222", "-W", "[%h]:%p", "me@gate"]
    assert STRICT in proxy(login(Machine(name="romeo", jump=("gate",))))  # of ssh -J it would not reach the bastion's leg


def test_a_bastion_behind_a_bastion_is_reached_by_a_command_in_the_command() -> None:
    outer = proxy(login(Machine(name="romeo", jump=("first:23", "last"))))
    assert outer[-3:] == ["-W", "[%h]:%p", "last"]
    inner = proxy(tuple(word.replace("%%", "%") for word in outer))  # as ssh puts its tokens in
    assert inner[-5:] == ["-p", "23", "-W", "[%h]:%p", "first"]
    assert STRICT in inner


def test_a_bastion_that_only_the_configuration_names_is_spelt_out_too() -> None:
    through = proxy(login(Machine(name="romeo", known_hosts=("/lab/known_hosts",)), ("me@[fd00::1]:2222",)))
    assert STRICT in through
    assert through[-4:] == ["2222", "-W", "[%h]:%p", "me@fd00::1"]


def test_no_bastion_where_the_inventory_says_none() -> None:
    assert login(Machine(name="romeo", jump=("none",)))[-3:] == ("-J", "none", "romeo")
    assert login(Machine(name="romeo"))[-1] == "romeo"


def test_paths_reach_the_bastions_ssh_as_they_are() -> None:
    words = login(Machine(name="romeo", jump=("[fd00::1]:23",), keys=("my key",), known_hosts=("/50% off/known_hosts",)))
    through = proxy(words)
    assert through[through.index("-i") + 1] == "my key"
    assert '"/50%% off/known_hosts"' in next(word for word in through if word.startswith("GlobalKnownHostsFile"))  # ProxyCommand has tokens
    assert through[-1] == "fd00::1"
