"""Live expectations judged again, on the samples that the run recorded. The kernel's testimony (a program's output is the application's).

Knows no host and asks nobody. What surprises: while an expectation is the one that the engine polled, only the samples taken for it count;
once it was changed, any sample of the same step, host and source may serve, because nobody can go back and ask. The engine stops asking
when what it was told to wait for holds, so that what was changed fails only where the samples cover its patience.
"""

from __future__ import annotations

from orchestrator.model.plan import Plan
from orchestrator.model.record import RunRecord, Sample
from orchestrator.model.verdict import Value, Verdict
from orchestrator.model.words.expectations import (
    Live,
    OutputExpectation,
    RuleExpectation,
    SocketExpectation,
    SocketPattern,
    ToolExpectation,
)
from orchestrator.readings.live import Held, held, source_of

_LATE_NS = 500_000_000
"""What was asked within its patience may be answered so much later on a busy host."""
_SAME_WITNESS = {"iptables": ("iptables", "ip6tables")}


def judge_live(expectation: Live, index: int, step: int, plan: Plan, record: RunRecord, *, error_ns: int = 0) -> Verdict:  # noqa: PLR0913 - of a run, all that tells
    """Judge the ``index``-th expectation of ``step``; -1 where it stands at no step of its own.

    ``error_ns`` is what the hosts' clocks may be apart: so much patience may seem to lack, though the engine counted it all by its own.
    """
    samples = _samples(expectation, index, step, record)
    if not samples:
        return _verdict(Value.INCONCLUSIVE, expectation, step, reason=_unasked(expectation, step, record))
    baseline = _baseline(expectation, record)
    if source_of(expectation) == "nstat" and not baseline:
        return _verdict(Value.INCONCLUSIVE, expectation, step, reason=f"nobody asked nstat on {expectation.host} before the first step")
    judged = [(sample, held(plan, expectation, sample, baseline)) for sample in samples]
    own = [(sample, opinion) for sample, opinion in judged if index >= 0 and sample.expectation == index]
    if own and all(sample.holds == opinion.holds for sample, opinion in own):
        judged = own
    since_ns = _over_since(step, record)
    in_time = [pair for pair in judged if pair[0].at_ns - since_ns <= expectation.within_ns + _LATE_NS + error_ns] or judged[:1]
    for _, opinion in in_time:
        if opinion.holds:
            return _verdict(Value.PASSED, expectation, step, excerpt=opinion.excerpt)
    waited_ns = max(sample.at_ns for sample, _ in judged) - since_ns + error_ns
    newest = ([pair for pair in in_time if pair in own] or in_time)[-1]
    return _not_held(expectation, step, newest, len(in_time), max(waited_ns, 0))


def _verdict(  # noqa: PLR0913 - the fields of a verdict
    value: Value, expectation: Live, step: int, *, reason: str = "", saw: str = "", excerpt: tuple[str, ...] = ()
) -> Verdict:
    witness = "application" if isinstance(expectation, OutputExpectation) else "kernel"
    text = expectation.text or describe(expectation)
    return Verdict(value=value, text=text, where=expectation.where, step=step, witness=witness, reason=reason, saw=saw, excerpt=excerpt)


def _not_held(expectation: Live, step: int, newest: tuple[Sample, Held], number: int, waited_ns: int) -> Verdict:
    sample, last = newest
    source, patience = source_of(expectation), f"{expectation.within_ns / 1e9:g} s"
    if last.problem:
        reason = f"what {source} said on {expectation.host} cannot be read: {last.problem}"
        return _verdict(Value.ERROR, expectation, step, reason=reason)
    whole = waited_ns >= expectation.within_ns
    times = "once" if number == 1 else f"{number} times" + (f" within {patience}" if whole else "")
    reason = f"asked {source} on {expectation.host} {times}, it never held"
    if sample.clipped:
        reason += ", but not all that it wrote was kept"
    if not whole:
        reason += f", but it was asked for only {waited_ns / 1e9:.3g} s of its {patience} of patience"
    value = Value.FAILED if whole and not sample.clipped else Value.INCONCLUSIVE
    return _verdict(value, expectation, step, reason=reason, saw=last.saw, excerpt=last.excerpt)


def _over_since(step: int, record: RunRecord) -> int:
    """When the last action of the step had ended (or began, if it runs in the background), and patience began."""
    began = [one.start_ns for one in record.steps if one.number == step]
    ended = [one.start_ns if one.background else one.end_ns for one in record.actions if one.step == step]
    return max(began + ended, default=0)


def _samples(expectation: Live, index: int, step: int, record: RunRecord) -> list[Sample]:
    """Gather what this witness said in this step, in order of time; a sample of output does not say whose, but its index does."""
    source = source_of(expectation)
    sources = _SAME_WITNESS.get(source, (source,))
    said = [sample for sample in record.samples if (sample.step, sample.host) == (step, expectation.host) and sample.source in sources]
    return [sample for sample in said if sample.expectation == index] if source == "output" else said


def _baseline(expectation: Live, record: RunRecord) -> str:
    """Find what the counters were before the first step, empty where nobody asked."""
    source = source_of(expectation)
    return next((one.text for one in record.samples if (one.step, one.host, one.source) == (0, expectation.host, source)), "")


def _unasked(expectation: Live, step: int, record: RunRecord) -> str:
    status = next((one.status for one in record.steps if one.number == step), "missing")
    if status == "missing":
        return f"the run ended before step {step}"
    wanted = f"{source_of(expectation)} on {expectation.host}"
    if status == "failed" or record.status in {"interrupted", "error"}:
        return f"step {step} ended before anyone asked for {wanted}"
    return f"nobody asked for {wanted} in step {step}"


def describe(expectation: Live) -> str:
    """Say what is expected, in a few words, where the author's own are not known."""
    match expectation:
        case SocketExpectation():
            return f"{expectation.host}: {_socket(expectation.socket)} {_wish(expectation)}".rstrip()
        case RuleExpectation():
            return f"{expectation.host}: rule {expectation.rule}"
        case ToolExpectation():
            return f"{expectation.host}: {expectation.tool} {expectation.pattern!r}" + (" absent" if expectation.absent else "")
        case OutputExpectation():
            return f"{expectation.host}: {expectation.program} writes {expectation.pattern!r}"


def _socket(pattern: SocketPattern) -> str:
    if pattern.name is not None:
        return f"socket {pattern.name}"
    ends = (("local", pattern.local), ("peer", pattern.peer))
    told = [f"{word} {place.host or ''}" + (f":{place.port}" if place.port else "") for word, place in ends if place is not None]
    return " ".join(["socket", *told])


def _wish(expectation: SocketExpectation) -> str:
    wishes = ["absent"] if expectation.absent else []
    wishes += [" or ".join(expectation.states)] if expectation.states else []
    wishes += [f"count {expectation.count}"] if expectation.count is not None else []
    return " ".join(wishes)
