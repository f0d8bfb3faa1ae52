"""The tables of keys -> JSON Schemas (draft 2020-12), for editors."""

from __future__ import annotations

from typing import Any

from orchestrator.loading.keys.inventory import INVENTORY
from orchestrator.loading.keys.scenario import SCENARIO
from orchestrator.loading.keys.topology import TOPOLOGY
from orchestrator.loading.kinds.scalars import Kind, Pen


def scenario_schema() -> dict[str, Any]:
    """What a scenario's file may look like."""
    return _written(SCENARIO, "A scenario", substitutes=True)


def topology_schema() -> dict[str, Any]:
    """What a topology's file may look like."""
    return _written(TOPOLOGY, "A topology", substitutes=False)


def inventory_schema() -> dict[str, Any]:
    """What an inventory's file may look like."""
    return _written(INVENTORY, "An inventory", substitutes=False)


def _written(kind: Kind, title: str, *, substitutes: bool) -> dict[str, Any]:
    pen = Pen(substitutes, {})
    shape = kind.shape(pen)
    definitions = {"$defs": pen.definitions} if pen.definitions else {}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **shape, **definitions}
