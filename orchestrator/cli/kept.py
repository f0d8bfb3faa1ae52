"""Commands that look at what runs left behind: judge it again, show it, list it, enter hosts that are kept up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.parameters import RUN, SCENARIO, Kept, leave, print_json, runs_option
from orchestrator.errors import StoreError

if TYPE_CHECKING:
    from orchestrator.reports.listing import Row
    from orchestrator.store import RunDirectory


@click.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option("--scenario", type=SCENARIO, metavar="FILE", help="Judge by the expectations of this file; its steps must be those that ran.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-v", "--verbose", count=True, help="List passed verdicts too; twice: their evidence.")
@runs_option
def recheck(run: str, scenario: str | None, runs: str, *, as_json: bool, verbose: int) -> None:
    """Judge a stored run again, without hosts. RUN is a folder, an id, a scenario's name or 'latest'."""
    from orchestrator import campaign, store
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.concluding import recheck as judge_again

    changed = find_scenario(scenario) if scenario else None
    report = judge_again(store.find_run(store.kept_in(runs), run), changed)
    if as_json:
        print_json([report])
    else:
        from orchestrator.reports.listing import judged_again
        from orchestrator.reports.view import View

        View(sys.stdout, verbose=verbose).summary([report], judged_again(report, str(changed or "")))
    leave(campaign.exit_code([report]))


@click.command()
@click.argument("run", metavar="RUN", default="latest", type=RUN)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show the evidence of passed verdicts too.")
@runs_option
def show(run: str, runs: str, *, as_json: bool, verbose: bool) -> None:
    """Show a stored run: its steps, ladder and verdicts. RUN is a folder, an id, a scenario's name or 'latest'."""
    from orchestrator import store
    from orchestrator.model.verdict import Report as Stored

    found = store.find_run(store.kept_in(runs), run)
    store.must_have(found, store.REPORT)
    report = found.read(store.REPORT, Stored)
    if as_json:
        print_json([report])
        return
    from orchestrator.reports.view import View

    View(sys.stdout, verbose=1 + verbose).show(report)


@click.command("ls")
@click.option("--scenarios", is_flag=True, help="List the scenarios that can be run by name instead.")
@runs_option
def list_runs(runs: str, *, scenarios: bool) -> None:
    """List the runs that are kept, newest last."""
    if scenarios:
        _list_scenarios()
        return
    from orchestrator import store
    from orchestrator.reports.view import View

    View(sys.stdout).runs([_row(run) for run in store.every_run(store.kept_in(runs))])


def _list_scenarios() -> None:
    from orchestrator.loading.shelves import every_scenario, title_of
    from orchestrator.reports.view import View

    found = every_scenario()
    View(sys.stdout).scenarios({name: title_of(path) for name, path in found.items()}, {str(path.parent) for path in found.values()})


def _row(run: RunDirectory) -> Row:
    from orchestrator import store
    from orchestrator.model.verdict import Report as Stored
    from orchestrator.reports.listing import Row, row_of

    state = store.state(run)
    try:
        if not state:
            return row_of(run.read(store.REPORT, Stored))
    except StoreError:
        state = "unreadable"
    return Row(run_id=store.run_id(run), start_ns=store.began_ns(run), label=run.path.parent.name, state=state)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("host", type=Kept("host"))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--run", default="", metavar="RUN", type=RUN, help="Whose host, where several runs keep one of that name up.")
@runs_option
def shell(host: str, command: tuple[str, ...], run: str, runs: str) -> None:
    """Open a shell on a HOST that is up (see run --keep), with its name and its view; or run COMMAND there.

    A machine of an inventory is logged in to, with ssh.
    """
    from orchestrator import store
    from orchestrator.testbeds.shell import enter, log_in

    found, live = store.find_live(store.kept_in(runs), host, run)
    words = command[1:] if command[:1] == ("--",) else command
    if not words:
        click.echo(f"{host} of {found.path.parent.name}, run {store.run_id(found)}; leave with `exit`", err=True)
    if host in live.logins:
        log_in(live.logins[host], words)
    enter(host, live.hosts[host], words, user_namespace=live.user_namespace)
