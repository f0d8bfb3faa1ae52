"""Commands that look at scenarios: run them, check them, show what they would do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.parameters import SCENARIO, inventory_option, leave, map_option, must_be_writable, print_json, runs_option, write
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.pipeline.jobs import Job
    from orchestrator.testbeds.forkserver import ForkServer
    from orchestrator.testbeds.hosts import Site


@click.command()
@click.argument("files", nargs=-1, required=True, type=SCENARIO, metavar="FILE...")
@inventory_option("Run on the machines of this inventory, over SSH, instead of on namespaces.", default=None)
@map_option
@click.option(
    "-j", "--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="So many runs at once, each on hosts of its own."
)
@click.option("--times", default=1, show_default=True, type=click.IntRange(1), help="Run each so often.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON, and nothing else.")
@click.option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML too.")
@click.option("--pause-on", type=click.Choice(["fail"]), help="Keep the hosts up when a step fails, until Ctrl-C.")
@click.option("--keep", is_flag=True, help="Keep the hosts up after the last step, until Ctrl-C.")
@click.option("-v", "--verbose", count=True, help="List passed verdicts too; twice: their evidence.")
@runs_option
@click.pass_obj
def run(server: ForkServer | None, /, files: tuple[str, ...], **options: Any) -> None:
    """Run scenarios on namespaces of this machine, which takes no root, or on the machines of an inventory."""
    if server is None:
        raise OrchestratorError("the process that makes hosts was not started; call orchestrate as `orchestrate run ...`")
    try:
        code = _run(server, files, options)
    finally:
        server.close()
    leave(code)


def _run(server: ForkServer, files: tuple[str, ...], options: dict[str, Any]) -> int:
    import gc

    gc.disable()  # imports make no garbage, and looking for it costs a tenth of them
    import asyncio

    from orchestrator import campaign, store
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.jobs import load_jobs

    gc.enable()
    inventory, wishes = options["inventory"], options["map"]
    jobs = load_jobs([find_scenario(name) for name in files], to_run=inventory is None)
    site = _site(server, inventory, wishes, jobs, options["jobs"])
    if options["junit"]:
        must_be_writable(options["junit"])
    asked = {name: options[name] for name in ("jobs", "times", "keep")}
    settings = campaign.Settings(runs=str(store.kept_in(options["runs"])), pause_on_fail=options["pause_on"] == "fail", **asked)
    from orchestrator.reports.view import View

    quiet = options["as_json"]
    stream = sys.stderr if quiet else sys.stdout
    labels = [job.scenario.label for job in jobs] * settings.times
    view = View(stream, jobs=settings.jobs, labels=labels, verbose=options["verbose"], quiet=quiet)
    runner = campaign.Campaign(settings, site, view)
    try:
        reports = asyncio.run(runner.run(jobs))
    finally:
        view.close()
    if quiet:
        print_json(reports)
    else:
        view.summary(reports)
    if options["junit"]:
        from orchestrator.reports.junit import junit as to_junit

        write(options["junit"], to_junit(reports))
    return runner.exit_code(reports)


def _must_have_inventory(wishes: tuple[str, ...]) -> None:
    if wishes:
        raise UsageError("--map says which machine of an inventory is which host: it needs --inventory")


def _site(server: ForkServer, inventory: str | None, wishes: tuple[str, ...], jobs: list[Job], at_once: int) -> Site:
    """Where the hosts come from."""
    if inventory is None:
        _must_have_inventory(wishes)
        from orchestrator.testbeds.netns import ThisMachine

        return ThisMachine(server)
    if at_once > 1:
        raise UsageError("--jobs: the machines of an inventory are there once, so they take one run at a time")
    server.close()
    from orchestrator.cli.asking import at_terminal
    from orchestrator.pipeline.sites import real_machines

    return real_machines(inventory, wishes, jobs, at_terminal())


@click.command()
@click.argument("files", nargs=-1, required=True, type=SCENARIO, metavar="FILE...")
def validate(files: tuple[str, ...]) -> None:
    """Check scenarios and their topologies; all problems at once."""
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.jobs import load_jobs

    jobs = load_jobs([find_scenario(name) for name in files])
    click.echo(f"{len(files)} file{'s' * (len(files) != 1)}, {len(jobs)} run{'s' * (len(jobs) != 1)}: no problems")


@click.command()
@click.argument("kind", type=click.Choice(["scenario", "topology", "inventory"]), default="scenario")
def schema(kind: str) -> None:
    """Print the JSON Schema of scenarios, topologies or inventories, for editors."""
    import json

    from orchestrator import loading

    made = {"scenario": loading.schema, "topology": loading.topology_schema, "inventory": loading.inventory_schema}[kind]
    click.echo(json.dumps(made(), indent=2))


@click.command()
@click.argument("file", type=SCENARIO)
@inventory_option("Plan for the machines of this inventory, which are asked what they have.", default=None)
@map_option
def plan(file: str, inventory: str | None, **options: Any) -> None:
    """Show what each host will do and when, and every privileged command; touches nothing."""
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.jobs import load_jobs, make_plan
    from orchestrator.reports.planned import render_plan

    jobs = load_jobs([find_scenario(file)], to_run=inventory is None)
    if inventory is None:
        from orchestrator.testbeds import netns

        _must_have_inventory(options["map"])
        plans = [render_plan(make_plan(job), netns.describe(job.topology)) for job in jobs]
    else:
        import asyncio

        from orchestrator.cli.asking import at_terminal
        from orchestrator.pipeline.sites import plans_for, real_machines

        plans = [render_plan(one) for one in asyncio.run(plans_for(real_machines(inventory, options["map"], jobs, at_terminal()), jobs))]
    click.echo("\n\n".join(plans))
