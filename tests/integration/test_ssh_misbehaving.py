"""A server that misbehaves: what a user is told, in bounded time, and that nobody insists."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.connectors.ssh import Connections, handshake
from orchestrator.errors import AgentLost, Unreachable
from tests.integration.paramiko_peer import Peer

pytestmark = pytest.mark.usefixtures("home")
BOUND_S = 20


@pytest.fixture
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    made = Peer(tmp_path / "peer", request.param)
    yield made
    made.close()


def told(peer: Peer, *, patience_s: float = 1.0) -> str:
    """What the attempt to start an agent there, and to ask it something, ends in."""

    async def body() -> str:
        connections = Connections(patience_s=patience_s)
        try:
            async with asyncio.timeout(BOUND_S):
                session = await (await connections.to(peer.machine())).start_agent("romeo", root=True)
                await session.ask("beat")
        except (Unreachable, AgentLost) as error:
            return str(error)
        finally:
            await connections.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return "nothing went wrong"

    return asyncio.run(body())


def fault(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("peer", [name], indirect=True, ids=[name])


@fault("none")
def test_a_peer_without_a_fault_shows_that_the_faults_are_what_the_others_meet(peer: Peer) -> None:
    assert told(peer) == "nothing went wrong"


@fault("refuses the key")
def test_who_is_not_let_in_is_told_which_keys_were_tried_and_does_not_insist(peer: Peer) -> None:
    place = f"root@127.0.0.1:{peer.port}"
    assert told(peer) == (
        f"node7: node7 does not let root in ({place}): it takes none of the keys {peer.key}, and no SSH agent is running. "
        f"Is the user right? Name the key (ansible_ssh_private_key_file), or put yours there: ssh-copy-id -p {peer.port} root@127.0.0.1"
    )
    assert peer.connections == 1


@fault("changes its host key")
def test_a_changed_host_key_is_told_with_both_fingerprints_and_the_line(peer: Peer) -> None:
    new, old = peer.other_key.fingerprint, peer.host_key.fingerprint
    assert told(peer) == (
        f"node7: the host key of node7 (root@127.0.0.1:{peer.port}) has CHANGED: it shows the ED25519 key {new}, but known as "
        f"[127.0.0.1]:{peer.port} is ED25519 {old} in {peer.known_hosts}:1. Somebody may be in between, or the machine was made anew: "
        "find out which first; only then `orchestrate trust --replace`"
    )
    assert peer.connections == 1


@fault("none")
def test_an_unknown_host_key_is_told_with_its_fingerprint(peer: Peer) -> None:
    peer.known_hosts.write_text("")
    assert told(peer) == (
        f"node7: the host key of node7 (root@127.0.0.1:{peer.port}) is not known: it shows the ED25519 key {peer.host_key.fingerprint}. "
        "Compare it with what its administrator says, then pin it with `orchestrate trust`"
    )
    assert peer.connections == 1


@fault("hangs in the banner")
def test_a_banner_that_hangs_ends_in_a_clear_error(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "PATIENCE_S", 0.5)
    assert told(peer) == (
        f"node7: node7 (root@127.0.0.1:{peer.port}) accepts connections but does not greet as an SSH server within 0.5 s: "
        "is it the right port?"
    )
    assert peer.connections == 1


@fault("drops before the banner")
def test_a_server_that_drops_before_it_greets_is_tried_a_few_times(peer: Peer) -> None:
    text = told(peer, patience_s=2.0)
    assert re.fullmatch(
        rf"node7: node7 \(root@127.0.0.1:{peer.port}\) hangs up before it greets: "
        rf"its sshd drops new connections: too many at once \(MaxStartups\), "
        rf"or a penalty for earlier failures \(PerSourcePenalties\) \(tried {peer.connections} times in \d s\)",
        text,
    )
    assert 2 <= peer.connections <= 6


@fault("refuses a channel")
def test_a_refused_channel_is_told_and_not_asked_for_again(peer: Peer) -> None:
    text = told(peer)
    assert text.startswith("node7: the SSH server opens no channel for a process: ")
    assert text.endswith("(MaxSessions in its sshd_config)")
    assert peer.connections == 1


@fault("has no channel left")
def test_a_channel_refused_for_want_of_resources_is_asked_for_again(peer: Peer) -> None:
    assert re.search(r"opens no channel for a process: .* \(tried \d times in \d s\)$", told(peer))
    assert peer.connections == 1


@fault("refuses a command")
def test_a_refused_command_is_told(peer: Peer) -> None:
    assert (
        told(peer)
        == "node7: the SSH server lets this user run no command (the account is for forwarding alone, or the server has no shell)"
    )


@fault("drops in mid-run")
def test_a_connection_dropped_in_mid_run_is_told_to_the_session(peer: Peer) -> None:
    assert told(peer) == f"romeo: the SSH connection to node7 (root@127.0.0.1:{peer.port}) was lost: connection lost"
    assert peer.connections == 1


@fault("truncates the bundle")
def test_a_bundle_cut_short_never_becomes_an_agent(peer: Peer) -> None:
    assert told(peer) == "node7: the agent did not start: its agent ended with status 1; its last words: the bundle ended early"
    assert peer.connections == 1


@fault("cuts the line")
def test_a_line_cut_while_the_agent_is_pushed_is_told_as_such(peer: Peer) -> None:
    was_lost = f"node7: the SSH connection to node7 (root@127.0.0.1:{peer.port}) was lost: "
    assert told(peer) in {was_lost + "connection lost", was_lost + "connection reset by peer"}  # as much of our bytes had been read
