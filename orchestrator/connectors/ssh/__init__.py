"""Machines behind SSH: one connection to each, one to each bastion on the way, and an agent that is pushed through it.

This package alone knows asyncssh, which takes 171 ms to import: only a command that has an inventory imports the package.
"""

from __future__ import annotations

from importlib.util import find_spec

from orchestrator.errors import TestbedError

if find_spec("asyncssh") is None:
    raise TestbedError("machines of an inventory are reached with asyncssh, which is not installed: pip install 'lab-orchestrator[ssh]'")

from orchestrator.connectors.ssh.connections import Connection, Connections

__all__ = ["Connection", "Connections"]
