"""One piece of work on many hosts at once, and all of it to its end: one error that holds what each came to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from orchestrator.errors import HostErrors, OrchestratorError, Unsupported

T = TypeVar("T")


async def on_all(hosts: Iterable[str], work: Callable[[str], Awaitable[T]]) -> list[T]:
    """Work on all hosts at once, and wait for all; gives the results in the order of the hosts.

    :raises HostErrors: several could not, and it holds what each came to. Where one could not, or all lack something, that is raised.
    """
    names = list(hosts)
    if len(names) == 1:
        return [await work(names[0])]
    results = await asyncio.gather(*map(work, names), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, OrchestratorError):
            raise result
    failed = {name: result for name, result in zip(names, results, strict=True) if isinstance(result, OrchestratorError)}
    if failed and (len(failed) == 1 or all(isinstance(error, Unsupported) for error in failed.values())):
        raise next(iter(failed.values()))
    if failed:
        raise HostErrors({name: failed.get(name) for name in names})
    return [result for result in results if not isinstance(result, BaseException)]
