"""What a machine tells of its health -> what that means for labs, and what to do about it. Pure; asks nobody.

The surprising fact: a wrong clock is no illness. Every time of a run is put on the controller's timeline, so it is only told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.errors import TestbedError
from orchestrator.model.inventory import Checkup, Finding, Level
from orchestrator.model.words.values import Record
from orchestrator.testbeds.preparing.packages import PACKAGES, Look, packages

FEATURES = ("packet", "comment", "conntrack", "statistic", "netem", "tbf", "trace")
"""What a kernel may lack: sockets that see frames, three matches of iptables, two queueing disciplines, the trace of socket states."""

_NEEDED = {"ip": "no lab can be set up", "ss": "no socket can be looked at"}
_LACKS = {
    "packet": "nothing can be captured",
    "comment": "no rule can be put in, because ours carry a comment",
    "conntrack": "rules that match states of connections are refused",
    "statistic": "rules that match every n-th segment are refused",
    "netem": "links get no delay and no loss",
    "tbf": "links get no rate",
    "trace": "states are inferred, not traced",
}
_FATAL = ("packet", "comment")
_LEAST_PYTHON = (3, 8)
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 16 << 20, 1 << 20
_MUCH_NS = 60_000_000_000


class Health(Record, frozen=True, kw_only=True):
    """What the agent on a machine told, and what was seen of it from here.

    ``root`` is whether the agent got an administrator's rights, ``refusal`` why not. ``free_bytes`` by folder. ``ahead_ns`` is by how much
    its clock goes before ours. ``manager`` installs packages there. ``held`` names the run that has the machine now.
    """

    kernel: str = ""
    python: str = ""
    manager: str = ""
    release: str = ""
    root: bool = False
    refusal: str = ""
    tools: dict[str, str] = {}
    features: tuple[str, ...] = ()
    free_bytes: dict[str, int] = {}
    ahead_ns: int = 0
    held: str = ""


def health_of(told: Mapping[str, object], machine: str) -> Health:
    """What an agent told, in types.

    :raises TestbedError: it is not in the form that it should have.
    """
    try:
        return msgspec.convert(dict(told), Health)
    except msgspec.ValidationError as error:
        raise TestbedError(f"{machine}: what it tells of its health cannot be read: {error}") from None


def diagnose(machine: str, health: Health) -> Checkup:
    """What it means for labs."""
    missing = [tool for tool in PACKAGES if tool not in health.tools]
    look = Look(missing=tuple(missing), manager=health.manager, root=health.root, sudo="", release=health.release)
    wanted = packages(look) if health.manager else ()
    return Checkup(machine=machine, findings=tuple(_findings(health, missing, wanted)), packages=wanted)


def unreached(machine: str, why: str) -> Checkup:
    """Nothing could be found out."""
    return Checkup(machine=machine, findings=(Finding(subject="ssh", level=Level.BAD, told=why),))


def _findings(health: Health, missing: list[str], wanted: tuple[str, ...]) -> Iterator[Finding]:
    yield Finding(subject="ssh", level=Level.GOOD, told="reached, host key verified")
    yield _python(health.python)
    yield _rights(health)
    yield _tools(missing, wanted)
    yield _kernel(health)
    yield _clock(health.ahead_ns)
    yield from (_disk(folder, free) for folder, free in sorted(health.free_bytes.items()))
    if health.held:
        yield Finding(subject="busy", level=Level.POOR, told=health.held, advice="wait until it is over, or `orchestrate clean --run ID`")


def _python(version: str) -> Finding:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= _LEAST_PYTHON:
        return Finding(subject="python", level=Level.GOOD, told=version)
    advice = "install Python 3.8 or newer, and name it by ansible_python_interpreter"
    return Finding(subject="python", level=Level.BAD, told=f"{version or 'none'} is too old", advice=advice)


def _rights(health: Health) -> Finding:
    if health.root:
        return Finding(subject="rights", level=Level.GOOD, told="root, without a password")
    return Finding(subject="rights", level=Level.BAD, told="an ordinary user's only", advice=health.refusal)


def _tools(missing: list[str], wanted: tuple[str, ...]) -> Finding:
    if not missing:
        return Finding(subject="tools", level=Level.GOOD, told="all there")
    fatal = [_NEEDED[tool] for tool in missing if tool in _NEEDED]
    told = f"missing: {', '.join(missing)}" + (f" ({', '.join(fatal)})" if fatal else "")
    advice = f"`orchestrate prepare` installs {', '.join(wanted)}" if wanted else "install them; orchestrate prepare knows apt-get and dnf"
    return Finding(subject="tools", level=Level.BAD if fatal else Level.POOR, told=told, advice=advice)


def _kernel(health: Health) -> Finding:
    asked = [feature for feature in FEATURES if health.root or feature not in ("packet", "trace")]
    lacking = [feature for feature in asked if feature not in health.features]
    if not lacking:
        return Finding(subject="kernel", level=Level.GOOD, told=health.kernel)
    told = f"{health.kernel} lacks {', '.join(lacking)}: {'; '.join(_LACKS[feature] for feature in lacking)}"
    level = Level.BAD if any(feature in _FATAL for feature in lacking) else Level.POOR
    return Finding(subject="kernel", level=level, told=told, advice="another image or kernel, where labs need it")


def _clock(ahead_ns: int) -> Finding:
    told = f"{abs(ahead_ns) / 1e9:.3f} s {'ahead of' if ahead_ns > 0 else 'behind'} ours"
    much = abs(ahead_ns) > _MUCH_NS
    advice = "labs are not hurt by it, but its own logs are: set it, timedatectl set-ntp true" if much else ""
    return Finding(subject="clock", level=Level.POOR if much else Level.GOOD, told=told, advice=advice)


def _disk(folder: str, free: int) -> Finding:
    told = f"{folder}: {free / (1 << 20):,.0f} MiB free"
    if free >= _LITTLE_BYTES:
        return Finding(subject="disk", level=Level.GOOD, told=told)
    level = Level.POOR if free >= _TOO_LITTLE_BYTES else Level.BAD
    return Finding(subject="disk", level=level, told=told, advice=f"make room on {folder}: files of a run, and what undoes it, go there")
