"""What a server's no means: which keys were tried, and what to correct."""

from __future__ import annotations

import socket

import asyncssh
import pytest

from orchestrator.connectors.known_hosts import Held
from orchestrator.connectors.ssh.handshake import Handshake
from orchestrator.connectors.ssh.refusals import refused
from orchestrator.connectors.ssh.routes import Leg


def told(error, **more):
    leg = Leg(**{"who": "romeo", "asked": "h", "host": "h", "port": 22, "user": "alice", **more})
    return str(refused(error, leg, Handshake(leg, Held())))


@pytest.mark.parametrize(
    ("keys", "more_keys", "tried"),
    [
        ((), (), "the usual keys of ~/.ssh,"),
        ((), ("/k/sliver",), "the usual keys of ~/.ssh and /k/sliver,"),
        (("/k/own",), ("/k/sliver", "/k/own"), "the keys /k/own, /k/sliver,"),
    ],
)
def test_every_key_that_was_tried_is_told(keys, more_keys, tried):
    assert f"it takes none of {tried}" in told(asyncssh.PermissionDenied("no"), keys=keys, more_keys=more_keys)


@pytest.mark.parametrize(("who", "place"), [("romeo", "ansible_host"), ("bastion gate", "`jump` or ProxyJump")])
def test_a_name_that_nobody_knows_is_corrected_where_it_stands(who, place):
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert f"(Name or service not known): correct {place}, or HostName" in told(error, who=who)


@pytest.mark.parametrize(
    ("error", "text"),
    [(TimeoutError(), "no connection within 10 s; is it up"), (OSError("all of them: [Errno 110]"), "timed out; is it up")],
)
def test_that_nothing_answers_is_said_once(error, text):
    said = told(error)
    assert text in said
    assert said.count("answer") <= 1
