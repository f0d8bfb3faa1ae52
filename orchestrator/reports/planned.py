"""A plan to the text of ``orchestrate plan``: what each host would do and when, and every privileged command, to be read before.

It does not know how a testbed is made: those lines are given. Commands are never cut, whatever the width of the screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.agent.protocol import decode_value
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.topology import LiveHost
from orchestrator.model.words.actions import Ip, Iptables, Offload, Ready, Remove, Run, Start, Sysctl
from orchestrator.model.words.expectations import AnyExpectation, Outcome, PacketsExpectation
from orchestrator.model.words.segments import Gap
from orchestrator.reports.drawing.ink import Ink, Style, duration
from orchestrator.reports.telling.sheet import action_lines, typed

_INDENT = " " * 6
_PRIVILEGED = (Iptables, Remove, Sysctl, Offload, Ip)


def render_plan(plan: Plan, setup: Mapping[str, Sequence[str]] | None = None, colour: bool = False) -> str:  # noqa: FBT001, FBT002  as render
    """Tell a plan. ``setup`` are the privileged lines that bring each host up."""
    ink = Ink(colour=colour, width=0)
    blocks = [
        _head(ink, plan),
        _hosts(ink, plan),
        _setup(ink, plan, setup or {}),
        _steps(ink, plan),
        _afterwards(ink, plan.expect),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _section(ink: Ink, name: str) -> list[str]:
    return [ink.line((name, Style.BOLD))]


def _head(ink: Ink, plan: Plan) -> list[str]:
    facts = f"{plan.testbed.kind}, {plan.family}, topology {plan.testbed.topology.name}, at most {duration(plan.timeout_ns)}"
    after = "goes on after a failure" if plan.on_failure == "continue" else "stops at the first failure"
    skip = [ink.line((f"  would be skipped: {plan.skip}", Style.YELLOW))] if plan.skip else []
    return [ink.line((plan.label, Style.BOLD), (f"  {plan.title}", Style.PLAIN)), ink.line((f"  {facts}, {after}", Style.DIM)), *skip]


def _hosts(ink: Ink, plan: Plan) -> list[str]:
    name = max((len(host.name) for host in plan.hosts), default=0)
    addresses = {host.name: ", ".join(plan.addresses(host.name)) for host in plan.hosts}
    address = max((len(text) for text in addresses.values()), default=0)
    found = {live.name: _found(live) for live in plan.testbed.hosts}
    rows = []
    for host in plan.hosts:
        about = [
            (f"  {host.name:<{name}}  ", Style.CYAN),
            (f"{addresses[host.name]:<{address}}  ", Style.PLAIN),
            (_captures(host), Style.DIM),
        ]
        rows += [ink.line(*about), *([ink.line((f"  {'':<{name}}  {found[host.name]}", Style.DIM))] if found.get(host.name) else [])]
    return [*_section(ink, "hosts"), *rows]


def _found(live: LiveHost) -> str:
    """What a real machine is called and has; empty for a host that is yet to be made."""
    if not live.machine:
        return ""
    interfaces = "".join(f", {wanted} is {name}" for wanted, name in live.interfaces.items())
    return f"machine {live.machine}{interfaces}, kernel {live.facts.kernel}, Python {live.facts.python}"


def _captures(host: HostPlan) -> str:
    if host.capture is None:
        return "no capture"
    interfaces = ", ".join(host.interfaces)
    return f"captures {host.capture or 'everything'}" + (f" on {interfaces}" if interfaces else "")


def _setup(ink: Ink, plan: Plan, setup: Mapping[str, Sequence[str]]) -> list[str]:
    """Every privileged line outside the steps: given ones for the topology first, then what the plan pins for the run."""
    rows: list[str] = []
    names = dict.fromkeys([*setup, *(host.name for host in plan.hosts)])
    planned = {host.name: host for host in plan.hosts}
    for name in names:
        lines = [*setup.get(name, ()), *(_pinned(planned[name]) if name in planned else ())]
        rows += [ink.line((f"  {name}", Style.CYAN)), *(ink.line((f"    {line}", Style.PLAIN)) for line in lines)] if lines else []
    return [*_section(ink, "privileged, before the first step (undone at the end)"), *rows] if rows else []


def _pinned(host: HostPlan) -> tuple[str, ...]:
    sysctl = typed(Sysctl(values=host.sysctl)) if host.sysctl else ()
    setup = (f"ip {' '.join(one.words)}" for one in host.setup)
    return (*setup, *sysctl, *(typed(Offload(values=host.offload, interfaces=host.interfaces)) if host.offload else ()))


def _steps(ink: Ink, plan: Plan) -> list[str]:
    name = max((len(action.host) for step in plan.steps for action in step.actions), default=0)
    name = max(name, len("expect"))
    return [*_section(ink, "steps"), *(row for step in plan.steps for row in _step(ink, step, name))]


def _step(ink: Ink, step: PlannedStep, name: int) -> list[str]:
    """The number stands before the name and the barrier; before the first action where there is neither."""
    number, barrier = f"{step.number:>4}  ", _barrier(step)
    about = [(step.name, Style.BOLD), ("  " if step.name and barrier else "", Style.PLAIN), (barrier, Style.DIM)]
    bare = not step.name and not barrier and step.actions
    rows = [] if bare else [ink.line((number, Style.DIM), *about)]
    for index, action in enumerate(step.actions):
        rows += _action(ink, action, name, number if bare and not index else _INDENT)
    rows += [ink.line((f"{_INDENT}would be skipped: {step.skip}", Style.YELLOW))] if step.skip else []
    return [*rows, *(row for expectation in step.expect for row in _expectation(ink, expectation, f"{_INDENT}{'expect':<{name}}  "))]


def _barrier(step: PlannedStep) -> str:
    """When it begins: as soon as the step before is over, unless it says something else."""
    together = ["all at one instant"] if step.together else []
    if step.timing is None:
        return "".join(together)
    after = {"": "the first step began", "-": "the step before"}.get(step.timing.since, step.timing.since)
    return ", ".join([f"{duration(step.timing.delay_ns)} after {after}", *together])


def _action(ink: Ink, action: PlannedAction, name: int, lead: str) -> list[str]:
    privileged = "  # privileged" if isinstance(action.action, _PRIVILEGED) else ""
    rows = [
        ink.line(
            (_INDENT if index else lead, Style.DIM),
            (f"{action.host:<{name}}  ", Style.CYAN),
            (line, Style.PLAIN),
            (privileged, Style.YELLOW),
        )
        for index, line in enumerate(action_lines(action))
    ]
    must = _must(action)
    return [*rows, *([ink.line((f"{_INDENT}{'':<{name}}  {must}", Style.DIM))] if must else [])]


def _must(action: PlannedAction) -> str:
    """When a program counts as ready, and what the action itself must give."""
    outcome = action.outcome or Outcome()
    raises = f"must raise {outcome.raises}" if outcome.raises else ""
    gives = "must end with exit status" if isinstance(action.action, Run) else "must return"
    returns = f"{gives} {decode_value(outcome.returns)!r}" if outcome.has_return and not outcome.any_return else ""
    if isinstance(action.action, Run) and not outcome.has_return and not outcome.raises:
        returns = f"{gives} 0"
    return ", ".join(filter(None, [_readiness(action), raises, returns, f"must write {outcome.stdout}" if outcome.stdout else ""]))


def _readiness(action: PlannedAction) -> str:
    ready = action.action.ready if isinstance(action.action, Start) else Ready()
    if ready.listening is not None:
        return f"ready when it listens on port {ready.listening}"
    return f"ready when its output fits {ready.output}" if ready.output is not None else ""


def _expectation(ink: Ink, expectation: AnyExpectation, label: str) -> list[str]:
    within = getattr(expectation, "within_ns", 0)
    tail = f"  within {duration(within)}" if within else ""
    skip = f"  would be skipped: {expectation.skip}" if expectation.skip else ""
    told = ink.line((label, Style.DIM), (expectation.text, Style.PLAIN), (tail + skip, Style.DIM))
    lines = expectation.lines if isinstance(expectation, PacketsExpectation) else ()
    under = " " * (len(label) + 2)
    return [told, *(ink.line((under, Style.PLAIN), ("..." if isinstance(line, Gap) else line.text, Style.PLAIN)) for line in lines)]


def _afterwards(ink: Ink, expectations: Sequence[AnyExpectation]) -> list[str]:
    rows = [row for expectation in expectations for row in _expectation(ink, expectation, "  ")]
    return [*_section(ink, "judged after the run"), *rows] if rows else []
