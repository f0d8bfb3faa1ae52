"""Commands, options and exit codes; no logic.

What a command does not need it does not import: every command imports its stages when it is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from orchestrator import __version__
from orchestrator.errors import Interrupted, OrchestratorError, StoreError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from orchestrator.model.verdict import Report
    from orchestrator.reports.listing import Row
    from orchestrator.store import RunDirectory
    from orchestrator.testbeds.forkserver import ForkServer

_USAGE = 64


class _ScenarioName(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.2 on
    """A scenario's file or bare name, completed by the shell."""

    name = "file"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from orchestrator.loading.shelves import scenario_folders

        names = {path.name for folder in scenario_folders() for path in folder.glob("*.yaml")}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)] or [CompletionItem(incomplete, type="file")]


class _Kept(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # as above
    """What is found in the folder of the runs, completed by the shell."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from orchestrator import store

        names = store.live_hosts if self.name == "host" else store.names_of_runs
        try:
            found = names(store.kept_in(ctx.params.get("runs") or "runs"))
        except (OrchestratorError, OSError):
            found = []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


SCENARIO = _ScenarioName()
RUN = _Kept("run")
_runs_option = click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where runs are kept.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orchestrate")
def cli() -> None:
    """Executable TCP labs: run a scenario, capture it, judge it, explain it.

    \b
    Exit codes: 0 all passed, 1 an expectation failed, 2 inconclusive or all
    skipped, 3 testbed or harness error, 64 usage, 65 bad scenario, 130 interrupted.
    """  # noqa: D301  the backspace tells click to keep the lines as they are


@cli.command()
@click.argument("files", nargs=-1, required=True, type=SCENARIO, metavar="FILE...")
@click.option(
    "-j", "--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="So many runs at once, each on hosts of its own."
)
@click.option("--times", default=1, show_default=True, type=click.IntRange(1), help="Run each so often.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON, and nothing else.")
@click.option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML too.")
@click.option("--pause-on", type=click.Choice(["fail"]), help="Keep the hosts up when a step fails, until Ctrl-C.")
@click.option("--keep", is_flag=True, help="Keep the hosts up after the last step, until Ctrl-C.")
@click.option("-v", "--verbose", count=True, help="List passed verdicts too; twice: their evidence.")
@_runs_option
@click.pass_obj
def run(server: ForkServer | None, /, files: tuple[str, ...], **options: Any) -> None:
    """Run scenarios on namespaces of this machine; no root needed."""
    if server is None:
        raise OrchestratorError("the process that makes hosts was not started; call orchestrate as `orchestrate run ...`")
    try:
        code = _run(server, files, options)
    finally:
        server.close()
    _leave(code)


def _run(server: ForkServer, files: tuple[str, ...], options: dict[str, Any]) -> int:
    import gc

    gc.disable()  # imports make no garbage, and looking for it costs a tenth of them
    import asyncio

    from orchestrator import campaign, store
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.jobs import load_jobs

    gc.enable()
    jobs = load_jobs([find_scenario(name) for name in files])
    if options["junit"]:
        _must_be_writable(options["junit"])
    asked = {name: options[name] for name in ("jobs", "times", "keep")}
    settings = campaign.Settings(runs=str(store.kept_in(options["runs"])), pause_on_fail=options["pause_on"] == "fail", **asked)
    from orchestrator.reports.view import View

    quiet = options["as_json"]
    stream = sys.stderr if quiet else sys.stdout
    labels = [job.scenario.label for job in jobs] * settings.times
    view = View(stream, jobs=settings.jobs, labels=labels, verbose=options["verbose"], quiet=quiet)
    runner = campaign.Campaign(settings, server, view)
    try:
        reports = asyncio.run(runner.run(jobs))
    finally:
        view.close()
    if quiet:
        _print_json(reports)
    else:
        view.summary(reports)
    if options["junit"]:
        from orchestrator.reports.junit import junit as to_junit

        _write(options["junit"], to_junit(reports))
    return runner.exit_code(reports)


def _print_json(reports: list[Report]) -> None:
    from orchestrator.reports.machine import report_json

    sys.stdout.buffer.write(report_json(reports))


def _must_be_writable(path: str) -> None:
    """Before anything runs, or its verdicts would have nowhere to go."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UsageError(f"cannot write {path}: that is no file which you may write")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OrchestratorError(f"cannot write {path}: {error.strerror}") from error


def _leave(code: int) -> NoReturn:
    """Everything is written and nothing is left to clean: skip the interpreter's own tidying, which costs some milliseconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=SCENARIO, metavar="FILE...")
def validate(files: tuple[str, ...]) -> None:
    """Check scenarios and their topologies; all problems at once."""
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.jobs import load_jobs

    jobs = load_jobs([find_scenario(name) for name in files])
    click.echo(f"{len(files)} file{'s' * (len(files) != 1)}, {len(jobs)} run{'s' * (len(jobs) != 1)}: no problems")


@cli.command()
@click.argument("kind", type=click.Choice(["scenario", "topology", "inventory"]), default="scenario")
def schema(kind: str) -> None:
    """Print the JSON Schema of scenarios, topologies or inventories, for editors."""
    import json

    from orchestrator import loading

    made = {"scenario": loading.schema, "topology": loading.topology_schema, "inventory": loading.inventory_schema}[kind]
    click.echo(json.dumps(made(), indent=2))


@cli.command()
@click.argument("file", type=SCENARIO)
def plan(file: str) -> None:
    """Show what each host will do and when, and every privileged command; touches nothing."""
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.jobs import load_jobs, make_plan
    from orchestrator.reports.planned import render_plan
    from orchestrator.testbeds import netns

    plans = [render_plan(make_plan(job), netns.describe(job.topology)) for job in load_jobs([find_scenario(file)])]
    click.echo("\n\n".join(plans))


@cli.command()
@click.argument("run", metavar="RUN", type=RUN)
@click.option("--scenario", type=SCENARIO, metavar="FILE", help="Judge by the expectations of this file; its steps must be those that ran.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-v", "--verbose", count=True, help="List passed verdicts too; twice: their evidence.")
@_runs_option
def recheck(run: str, scenario: str | None, runs: str, *, as_json: bool, verbose: int) -> None:
    """Judge a stored run again, without hosts. RUN is a folder, an id, a scenario's name or 'latest'."""
    from orchestrator import campaign, store
    from orchestrator.loading.shelves import find_scenario
    from orchestrator.pipeline.concluding import recheck as judge_again

    changed = find_scenario(scenario) if scenario else None
    report = judge_again(store.find_run(store.kept_in(runs), run), changed)
    if as_json:
        _print_json([report])
    else:
        from orchestrator.reports.listing import judged_again
        from orchestrator.reports.view import View

        View(sys.stdout, verbose=verbose).summary([report], judged_again(report, str(changed or "")))
    _leave(campaign.exit_code([report]))


@cli.command()
@click.argument("run", metavar="RUN", default="latest", type=RUN)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show the evidence of passed verdicts too.")
@_runs_option
def show(run: str, runs: str, *, as_json: bool, verbose: bool) -> None:
    """Show a stored run: its steps, ladder and verdicts. RUN is a folder, an id, a scenario's name or 'latest'."""
    from orchestrator import store
    from orchestrator.model.verdict import Report as Stored

    found = store.find_run(store.kept_in(runs), run)
    store.must_have(found, store.REPORT)
    report = found.read(store.REPORT, Stored)
    if as_json:
        _print_json([report])
        return
    from orchestrator.reports.view import View

    View(sys.stdout, verbose=1 + verbose).show(report)


@cli.command("ls")
@click.option("--scenarios", is_flag=True, help="List the scenarios that can be run by name instead.")
@_runs_option
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


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("host", type=_Kept("host"))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--run", default="", metavar="RUN", type=RUN, help="Whose host, where several runs keep one of that name up.")
@_runs_option
def shell(host: str, command: tuple[str, ...], run: str, runs: str) -> None:
    """Open a shell on a HOST that is up (see run --keep), with its name and its view; or run COMMAND there."""
    from orchestrator import store
    from orchestrator.testbeds.shell import enter

    found, live = store.find_live(store.kept_in(runs), host, run)
    words = command[1:] if command[:1] == ("--",) else command
    if not words:
        click.echo(f"{host} of {found.path.parent.name}, run {store.run_id(found)}; leave with `exit`", err=True)
    enter(host, live.hosts[host], words, user_namespace=live.user_namespace)


@cli.command()
@click.option(
    "-i", "--inventory", default="inventory.yaml", show_default=True, metavar="FILE", help="The machines, in Ansible's YAML form."
)
@click.option("--limit", multiple=True, metavar="NAME", help="Only this machine or group; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Only look, and print what would be run.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each machine as JSON.")
def prepare(inventory: str, limit: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """Install the programs of labs on the machines of an inventory, once; needs sudo or root there."""
    from pathlib import Path

    from orchestrator.loading import load_inventory
    from orchestrator.testbeds.preparing import machines

    wanted = machines.chosen(load_inventory(Path(inventory)), limit)
    person = machines.Person(tell=lambda line: click.echo(line, err=as_json), ask=_ask if sys.stdin.isatty() else None)
    outcomes = machines.prepare(wanted, person, dry_run=dry_run)
    if as_json:
        import json

        click.echo(json.dumps([outcome._asdict() for outcome in outcomes], indent=2))
    else:
        width = max(len(outcome.machine) for outcome in outcomes)
        for outcome in outcomes:
            click.echo(f"{outcome.machine:{width}}  {outcome.result:13}  {outcome.text}")
    _leave(OrchestratorError.exit_code if any(outcome.result == machines.FAILED for outcome in outcomes) else 0)


def _ask(question: str) -> str:
    import getpass
    import signal

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # getpass gives the terminal its echo back; to leave at once would not
    try:
        return getpass.getpass(question)
    except (KeyboardInterrupt, EOFError):
        raise Interrupted("\nstopped: nothing was installed") from None
    finally:
        signal.signal(signal.SIGINT, before)


def main(server: ForkServer | None = None) -> None:
    """Obey the command line; ``server`` makes the hosts of ``run``."""
    _guarded(lambda: _obey(server))


def _obey(server: ForkServer | None) -> None:
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UsageError("the folder that you are in was removed: change to one that is there") from error
    cli.main(standalone_mode=False, obj=server)


def _guarded(work: Callable[[], Any]) -> None:
    try:
        work()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(Interrupted.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(_USAGE if error.exit_code == 2 else error.exit_code)
    except OrchestratorError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  exit status 1 would mean that an expectation failed
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(OrchestratorError.exit_code)
