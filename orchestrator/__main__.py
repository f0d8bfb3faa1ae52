"""The program ``orchestrate``, also as ``python -m orchestrator``.

For ``run`` the process that makes hosts is forked before anything else is imported: it is then small, and gets ready while this one
imports the rest.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Begin."""
    server = None
    if sys.argv[1:2] == ["run"]:
        from orchestrator.testbeds.forkserver import ForkServer

        server = ForkServer()
    from orchestrator.cli import main as commands

    commands(server)


if __name__ == "__main__":
    main()
