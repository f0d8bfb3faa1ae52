"""A fault of our own in a host's process is told to whoever asked for the host, with its words."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.agent import service
from orchestrator.errors import AgentError, OrchestratorError, TestbedError
from orchestrator.model.topology import Host, Topology
from orchestrator.testbeds import namespaces
from orchestrator.testbeds.forkserver import ForkServer
from orchestrator.testbeds.netns import Namespaces

pytestmark = pytest.mark.namespaces


def brought_up() -> OrchestratorError:
    """What keeps a host from coming up; the hosts' maker is forked here, so what a test has patched holds there too."""

    async def whole() -> OrchestratorError:
        testbed = Namespaces(server, Topology(name="one", hosts=(Host(name="romeo"),), networks=()))
        try:
            await testbed.up()
        except OrchestratorError as error:
            return error
        finally:
            await testbed.down()
        raise AssertionError("it came up")

    server = ForkServer()
    try:
        return asyncio.run(whole())
    finally:
        server.close()


def raising(error: Exception) -> object:
    def raises(*_arguments: object, **_fields: object) -> None:
        raise error

    return raises


def test_a_fault_before_the_greeting(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(namespaces, "become_host", raising(ValueError("oh")))
    error = brought_up()
    assert isinstance(error, AgentError)
    assert str(error) == "romeo: a fault in the agent: ValueError: oh"
    assert capfd.readouterr().err == ""


def test_a_fault_after_the_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "run", raising(KeyError("oh")))
    assert "a fault in the agent: KeyError: 'oh'" in str(brought_up())


def test_what_the_system_refuses_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "become_host", raising(OSError(1, "unshare: Operation not permitted")))
    error = brought_up()
    assert isinstance(error, TestbedError)
    assert "unshare: Operation not permitted" in str(error)
    assert "fault" not in str(error)
