"""Commands, options and exit codes; no logic.

What a command does not need it does not import: every command imports its stages when it is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orchestrator import __version__
from orchestrator.cli import kept, machines, running
from orchestrator.cli.parameters import complain
from orchestrator.errors import Interrupted, OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.testbeds.forkserver import ForkServer

_USAGE = 64


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orchestrate")
def cli() -> None:
    """Executable TCP labs: run a scenario, capture it, judge it, explain it.

    \b
    Exit codes: 0 all passed, 1 an expectation failed, 2 inconclusive or all
    skipped, 3 testbed or harness error, 64 usage, 65 bad scenario, 130 interrupted.
    """  # noqa: D301  the backspace tells click to keep the lines as they are


for _command in (
    running.run,
    running.validate,
    running.plan,
    running.schema,
    kept.recheck,
    kept.show,
    kept.list_runs,
    kept.shell,
    machines.trust,
    machines.doctor,
    machines.prepare,
    machines.clean,
):
    cli.add_command(_command)


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
        complain(error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  exit status 1 would mean that an expectation failed
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(OrchestratorError.exit_code)
