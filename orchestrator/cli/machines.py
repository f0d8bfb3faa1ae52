"""Commands about the machines of an inventory: may they be trusted, are they fit for labs, what is left on them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.parameters import inventory_option, leave
from orchestrator.errors import TestbedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.model.inventory import Machine

_limit = click.option("--limit", multiple=True, metavar="NAME", help="Only this machine or group.")


def chosen(path: str, limit: Sequence[str]) -> tuple[Machine, ...]:
    """The machines of an inventory, or those of it that are named, themselves or by their group.

    :raises UsageError: there is none of that name.
    """
    from pathlib import Path

    from orchestrator.loading import load_inventory

    inventory = load_inventory(Path(path))
    if not limit:
        return inventory.machines
    known = {machine.name for machine in inventory.machines}
    wanted: set[str] = set()
    for name in limit:
        if name not in known and name not in inventory.groups:
            there = ", ".join([*sorted(known), *sorted(inventory.groups)])
            raise UsageError(f"--limit {name}: {path} has no machine and no group of that name; there are {there}")
        wanted.update(inventory.groups.get(name, ()), known & {name})
    return tuple(machine for machine in inventory.machines if machine.name in wanted)


@click.command()
@inventory_option("The machines.")
@_limit
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def doctor(inventory: str, limit: tuple[str, ...], *, as_json: bool) -> None:
    """Look at machines: reach, rights, tools, kernel, clock, disk; alters nothing."""
    import asyncio

    from orchestrator.cli.asking import at_terminal
    from orchestrator.model.inventory import Level
    from orchestrator.pipeline.sites import examine_machines
    from orchestrator.reports.drawing.checkups import render_checkups
    from orchestrator.reports.drawing.ink import tell, wants_colour, width_of
    from orchestrator.reports.machine import checkups_json

    checkups = asyncio.run(examine_machines(chosen(inventory, limit), at_terminal()))
    if as_json:
        sys.stdout.buffer.write(checkups_json(checkups))
    else:
        tell(render_checkups(checkups, wants_colour(sys.stdout), width_of(sys.stdout)), sys.stdout)
    leave(TestbedError.exit_code if any(checkup.level is Level.BAD for checkup in checkups) else 0)
