"""Commands about the machines of an inventory: may they be trusted, are they fit for labs, what is left on them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.parameters import complain, inventory_option, leave, shown
from orchestrator.errors import TestbedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.model.inventory import Machine

_limit = click.option("--limit", multiple=True, metavar="NAME", help="Only this machine or group.")


def _chosen(path: str, limit: Sequence[str]) -> tuple[Machine, ...]:
    """The machines of an inventory, or those of it that are named."""
    from pathlib import Path

    from orchestrator.loading import load_inventory
    from orchestrator.planning.mapping import chosen

    return chosen(load_inventory(Path(path)), limit)


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

    checkups = asyncio.run(examine_machines(_chosen(inventory, limit), at_terminal()))
    if as_json:
        sys.stdout.buffer.write(checkups_json(checkups))
    else:
        tell(render_checkups(checkups, wants_colour(sys.stdout), width_of(sys.stdout)), sys.stdout)
    leave(TestbedError.exit_code if any(checkup.level is Level.BAD for checkup in checkups) else 0)


@click.command()
@inventory_option("The machines.")
@_limit
@click.option("--run", default="", metavar="ID", help="End this run and take back what it did, also if it is still going on.")
@click.option("--all", "everything", is_flag=True, help="End every run there, whosever it is.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def clean(inventory: str, limit: tuple[str, ...], run: str, *, everything: bool, as_json: bool) -> None:
    """Take back what runs that died left on machines; runs that go on are told, and left alone unless they are named."""
    import asyncio

    from orchestrator.cli.asking import at_terminal
    from orchestrator.pipeline.sites import clean_machines
    from orchestrator.reports.drawing.ink import tell, wants_colour, width_of
    from orchestrator.reports.drawing.remains import render_remains
    from orchestrator.reports.machine import remains_json

    if run and everything:
        raise UsageError("--run ends one run, --all every run: say which")
    remains = asyncio.run(clean_machines(_chosen(inventory, limit), at_terminal(), run, everything=everything))
    if as_json:
        sys.stdout.buffer.write(remains_json(remains))
    else:
        tell(render_remains(remains, wants_colour(sys.stdout), width_of(sys.stdout)), sys.stdout)
    unclean = any(left.problem or any(found.not_undone for found in left.runs) for left in remains)
    leave(TestbedError.exit_code if unclean else 0)


@click.command()
@inventory_option("The machines.")
@_limit
@click.option("--yes", is_flag=True, help="Pin what is shown without asking: where fingerprints are compared in another way.")
@click.option("--replace", is_flag=True, help="Pin keys that have changed too.")
def trust(inventory: str, limit: tuple[str, ...], *, yes: bool, replace: bool) -> None:
    """Show the fingerprints of the host keys of machines and their bastions, and pin them once you have said that they are right."""
    import asyncio

    from orchestrator.cli.asking import at_terminal
    from orchestrator.connectors.ssh.hostkeys.trusting import CHANGED, KNOWN, pin
    from orchestrator.pipeline.sites import shown_keys
    from orchestrator.reports.drawing.ink import tell, wants_colour, width_of
    from orchestrator.reports.telling.hostkeys import render_keys

    machines = _chosen(inventory, limit)
    path = machines[0].known_hosts[0]
    pinned = 0
    while True:
        found = asyncio.run(shown_keys(machines, at_terminal()))
        fresh = [key for key in found.keys if key.state != KNOWN]
        if to_tell := found.keys if not pinned else fresh:
            tell(render_keys(to_tell, wants_colour(sys.stdout), width_of(sys.stdout)), sys.stdout)
        if not fresh:
            break
        if any(key.state == CHANGED for key in fresh) and not replace:
            pin(path, fresh)  # says which, and what to do
        if not yes:
            _must_agree()
        pinned += pin(path, fresh, replace=replace)
        if not found.behind:
            break
    click.echo(f"{pinned} key{'s' * (pinned != 1)} pinned in {path}" if pinned else f"all of them were known already ({path})")
    for error in found.failed:
        complain(error)
    leave(TestbedError.exit_code if found.failed or found.behind else 0)


def _must_agree() -> None:
    """A person says that these are the right keys.

    :raises UsageError: nobody does.
    """
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to compare fingerprints: run `orchestrate trust` at a terminal, or say --yes")
    click.echo(
        "Compare them with what the machines' owner tells you (a portal, a console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)."
    )
    if input("Pin them? Type yes: ").strip().lower() != "yes":
        raise UsageError("nothing was pinned")


@click.command()
@inventory_option("The machines.")
@_limit
@click.option("--dry-run", is_flag=True, help="Only look, and print what would be run.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each machine as JSON.")
def prepare(inventory: str, limit: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """Install the programs of labs on machines, once; needs sudo or root there, and answers sudo's prompt."""
    from orchestrator.cli.asking import now_at_terminal
    from orchestrator.testbeds.preparing import machines

    person = machines.Person(tell=lambda line: click.echo(shown(line), err=as_json), ask=now_at_terminal if sys.stdin.isatty() else None)
    outcomes = machines.prepare(_chosen(inventory, limit), person, dry_run=dry_run)
    if as_json:
        import json

        click.echo(json.dumps([outcome._asdict() for outcome in outcomes], indent=2))
    else:
        width = max(len(outcome.machine) for outcome in outcomes)
        for outcome in outcomes:
            click.echo(shown(f"{outcome.machine:{width}}  {outcome.result:13}  {outcome.text}"))
    leave(TestbedError.exit_code if any(outcome.result == machines.FAILED for outcome in outcomes) else 0)
