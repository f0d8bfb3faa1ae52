"""What commands take and give: parameters that a shell can complete, options that several have, the last words of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from orchestrator.model.verdict import Report


class _ScenarioName(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.2 on
    """A scenario's file or bare name, completed by the shell."""

    name = "file"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from orchestrator.loading.shelves import scenario_folders

        names = {path.name for folder in scenario_folders() for path in folder.glob("*.yaml")}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)] or [CompletionItem(incomplete, type="file")]


class Kept(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # as above
    """What is found in the folder of the runs, completed by the shell."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that begin so."""
        from click.shell_completion import CompletionItem

        from orchestrator import store

        names = store.live_hosts if self.name == "host" else store.names_of_runs
        try:
            found = names(store.kept_in(ctx.params.get("runs") or "runs"))
        except (OrchestratorError, OSError):
            found = []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]


SCENARIO = _ScenarioName()
RUN = Kept("run")
runs_option = click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where runs are kept.")


map_option = click.option(
    "--map", "map", multiple=True, metavar="HOST=MACHINE", help="Which machine of the inventory is which host, where names differ."
)


def inventory_option(text: str, default: str | None = "inventory.yaml") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The inventory, for a command that needs one, or may do without (``default`` is ``None``)."""
    kind = click.Path(dir_okay=False)
    return click.option("-i", "--inventory", default=default, show_default=bool(default), type=kind, metavar="FILE", help=text)


def print_json(reports: list[Report]) -> None:
    """Print reports as JSON, and nothing else."""
    from orchestrator.reports.machine import report_json

    sys.stdout.buffer.write(report_json(reports))


def must_be_writable(path: str) -> None:
    """Before anything runs, or its verdicts would have nowhere to go."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UsageError(f"cannot write {path}: that is no file which you may write")


def write(path: str, text: str) -> None:
    """Write a file that somebody asked for.

    :raises OrchestratorError: it cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OrchestratorError(f"cannot write {path}: {error.strerror}") from error


def complain(error: OrchestratorError) -> None:
    """Say what went wrong, without what could move the cursor: a part of it may be a machine's own words."""
    click.echo(shown(str(error)), err=True)


def shown(text: str) -> str:
    """Lines for a screen."""
    from orchestrator.reports.drawing.ink import clean

    return "\n".join(clean(line) for line in text.split("\n"))


def leave(code: int) -> NoReturn:
    """Everything is written and nothing is left to clean: skip the interpreter's own tidying, which costs some milliseconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
