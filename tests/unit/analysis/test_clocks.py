"""Clocks that differ: what round trips and segments tell of them, and that the truth always lies within the error that is told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from orchestrator.analysis import analyse, retimed
from orchestrator.analysis.clocks import DRIFT_PPM, short, with_captures, with_control_channel
from orchestrator.model.evidence import ClockEvidence, Evidence, Segment
from orchestrator.model.record import (
    ActionRecord,
    CallRecord,
    CaptureRecord,
    ClockReading,
    HostClock,
    HostRecord,
    RunRecord,
    Sample,
)

MICRO, MILLI, SECOND = 1_000, 1_000_000, 1_000_000_000
BEGIN = 1_700_000_000 * SECOND


def at(ms, offset_ns, error_ns=MILLI):
    return ClockReading(at_ns=BEGIN + int(ms * MILLI), offset_ns=offset_ns, error_ns=error_ns)


def a_run(end_ms=1000, **clocks):
    hosts = tuple(HostRecord(name=name, clock=clock) for name, clock in clocks.items())
    return RunRecord(run_id="r", label="x", status="completed", start_ns=BEGIN, end_ns=BEGIN + end_ms * MILLI, hosts=hosts)


def measured(end_ms=1000, **clocks):
    return {clock.host: clock for clock in with_control_channel(a_run(end_ms, **clocks))}


def a_clock(host, most_ns, wander_ns=0, **fields):
    return ClockEvidence(host=host, since_ns=BEGIN, until_ns=BEGIN, error_ns=most_ns + wander_ns, wander_ns=wander_ns, **fields)


def way(sender, receiver, sent_ns, received_ns, *, version=4, seq=0):
    """The two captures' segments of one passage."""
    fields = {"protocol": "tcp", "source": sender, "destination": receiver, "source_host": sender, "destination_host": receiver}
    fields |= {"number": 1, "version": version, "seq": seq}
    return [
        Segment(capture=sender, at_ns=BEGIN + sent_ns, outgoing=True, **fields),
        Segment(capture=receiver, at_ns=BEGIN + received_ns, **fields),
    ]


# The control channel.


def test_a_host_of_this_machine_has_no_clock_of_its_own():
    assert measured(romeo=None) == {}
    record = a_run(romeo=None)
    assert retimed(record, ()) is record


def test_both_ends_of_a_short_run_bound_one_constant():
    romeo = measured(romeo=HostClock(before=at(0, 5 * SECOND, 300 * MICRO), after=at(1000, 5 * SECOND + 100 * MICRO, 200 * MICRO)))["romeo"]
    # From 5 s - 100 us to 5 s + 300 us, and the drift of a second: the middle of it, which the record's timeline lacks.
    assert romeo.shift_ns == pytest.approx(100 * MICRO, abs=2)
    assert (romeo.drift_ns, romeo.doubt, romeo.source) == (0, "", "control channel")
    assert romeo.wander_ns == pytest.approx(DRIFT_PPM * MICRO // 2, abs=50)
    assert romeo.error_ns == pytest.approx(200 * MICRO + 2 * romeo.wander_ns, abs=3)


def test_a_long_run_follows_the_line_through_both_ends():
    hour = 3_600_000
    romeo = measured(romeo=HostClock(before=at(0, 0, 100 * MICRO), after=at(hour, 36 * MILLI, 100 * MICRO)))["romeo"]
    assert (romeo.shift_ns, romeo.drift_ns, romeo.doubt) == (0, 36 * MILLI, "")
    assert romeo.moved(BEGIN + hour * MILLI // 2) == BEGIN + hour * MILLI // 2 + 18 * MILLI
    assert romeo.error_ns == pytest.approx((100 + 18_000 + 200) * MICRO, abs=9)
    assert romeo.moved(0) == 0, "no time at all stays none"
    assert [romeo.moved(BEGIN + ms * MILLI) - BEGIN - ms * MILLI for ms in (-9, hour + 9)] == [0, 36 * MILLI], "it is not stretched further"


def test_a_host_that_was_lost_drifts_on_as_quartzes_may():
    romeo = measured(end_ms=10_000, romeo=HostClock(before=at(0, 7, 50 * MICRO)))["romeo"]
    assert (romeo.shift_ns, romeo.drift_ns) == (0, 0)
    assert romeo.error_ns == pytest.approx(50 * MICRO + 10 * DRIFT_PPM * MICRO, abs=9)
    earlier = HostClock(before=at(0, 7, 50 * MICRO), after=at(0, 9, 1))
    assert measured(end_ms=10_000, romeo=earlier)["romeo"] == romeo, "a second reading that is no later tells nothing"


@pytest.mark.parametrize(("moved_ns", "word"), [(3 * SECOND, "too short"), (-3 * SECOND, "too far")])
def test_a_clock_that_stood_still_or_jumped_is_told(moved_ns, word):
    clocks = measured(
        romeo=HostClock(before=at(0, 0, 9), after=at(1000, moved_ns, 9)), juliet=HostClock(before=at(0, 0), after=at(1000, 100))
    )
    assert clocks["romeo"].doubt == (
        f"the clock of romeo was not continuous: it went 3 s {word} in 1 s, as when a machine is suspended or moved"
    )
    assert clocks["juliet"].doubt == ""
    both = tuple(clocks.values())
    assert with_captures(both, way("romeo", "juliet", 0, 5)) == both, "nothing is made of clocks that cannot be believed"


def test_what_round_trips_cannot_tell_from_an_even_drift_is_no_jump():
    assert measured(romeo=HostClock(before=at(0, 0), after=at(1000, 2 * MILLI + 501 * MICRO)))["romeo"].doubt == ""
    assert measured(romeo=HostClock(before=at(0, 0), after=at(1000, 2 * MILLI + 503 * MICRO)))["romeo"].doubt != ""


trips = some.tuples(some.integers(0, 50 * MILLI), some.integers(0, 50 * MILLI))
rates = some.lists(some.integers(-DRIFT_PPM, DRIFT_PPM), min_size=1, max_size=6)


class Truth:
    """A host's true offset as the run goes: its rate, in millionths, may be another one in each part of it."""

    def __init__(self, begin_ns, rates, lasted_ns):
        self.begin_ns, self.rates, self.part_ns = begin_ns, rates, lasted_ns // len(rates)

    def offset(self, gone_ns):
        whole, rest = divmod(gone_ns, self.part_ns)
        rates = [*self.rates, self.rates[-1]]
        return self.begin_ns + sum(rate * self.part_ns for rate in rates[:whole]) // 1_000_000 + rates[whole] * rest // 1_000_000

    def reading(self, gone_ns, trip):
        """What a round trip at that moment tells when the host answers between the two ways, however unlike they are."""
        there, back = trip
        # The host reads its clock at gone_ns: asked at gone_ns - there, answered at gone_ns + back, the midpoint is taken for the moment.
        wrong_ns = (back - there) // 2
        return ClockReading(
            at_ns=BEGIN + gone_ns + wrong_ns, offset_ns=self.offset(gone_ns) + wrong_ns, error_ns=(there + back + 1) // 2 + 1
        )

    def clock(self, lasted_ns, first, last):
        return HostClock(before=self.reading(0, first), after=last and self.reading(lasted_ns, last))


@settings(deadline=None, max_examples=200)
@given(some.integers(-(10**15), 10**15), rates, some.integers(SECOND, 5000 * SECOND), trips, trips | some.none(), some.floats(0, 1))
def test_the_truth_lies_within_the_error_whatever_the_ways_and_the_drift(begin_ns, rates, lasted_ns, first, last, where):  # noqa: PLR0917 - all that may be
    if lasted_ns > 60 * SECOND and last is not None:
        rates = rates[:1]  # what is steady; over long runs nothing else is promised
    truth = Truth(begin_ns, rates, lasted_ns)
    clock = truth.clock(lasted_ns, first, last)
    (known,) = with_control_channel(replace(a_run(romeo=clock), end_ns=BEGIN + lasted_ns))
    if known.drift_ns and len(rates) > 1:
        return  # the line is for drifts that are steady
    gone_ns = int(where * lasted_ns)
    told = known.moved(BEGIN + gone_ns - truth.offset(gone_ns) + clock.before.offset_ns)
    assert abs(told - BEGIN - gone_ns) <= known.error_ns + 3
    assert known.doubt == ""


def test_what_the_unix_clock_went_beside_the_monotonic_one_is_in_the_error():
    record = a_run(romeo=HostClock(before=at(0, 0), after=at(9, 0)))
    (plain,) = with_control_channel(record)
    for moved_ns, more_ns in ((-900, 900), (MILLI, MILLI), (MILLI + 1, 0)):
        captures = (CaptureRecord(host="romeo", file="x", clock_moved_ns=moved_ns),)
        (romeo,) = with_control_channel(replace(record, captures=captures))
        assert (romeo.error_ns - plain.error_ns, romeo.wander_ns - plain.wander_ns) == (more_ns, more_ns)


# Segments.


def test_a_segment_cannot_arrive_before_it_was_sent():
    """Juliet's clock is 3 ms behind: her own corrected by that and a half of what is left open; each is known better than before."""
    clocks = a_clock("romeo", 2 * MILLI), a_clock("juliet", 2 * MILLI)
    there, back = way("romeo", "juliet", 0, -2 * MILLI), way("juliet", "romeo", 10 * MILLI, 14 * MILLI)
    romeo, juliet = with_captures(clocks, [*there, *back])
    # c_romeo - c_juliet <= -2 ms, c_juliet - c_romeo <= 4 ms
    assert (romeo.shift_ns, romeo.error_ns, romeo.source) == (-MILLI, MILLI, "captures")
    assert (juliet.shift_ns, juliet.error_ns, juliet.source) == (MILLI, MILLI, "captures")


def test_hosts_that_are_far_from_the_controller_know_each_other_well():
    clocks = a_clock("romeo", 50 * MILLI), a_clock("juliet", 40 * MILLI)
    romeo, juliet = with_captures(clocks, [*way("romeo", "juliet", 0, MILLI), *way("juliet", "romeo", 9 * MILLI, 10 * MILLI)])
    assert (romeo.apart_ns, juliet.apart_ns) == ({"juliet": MILLI}, {"romeo": MILLI})
    assert 39 * MILLI < romeo.error_ns <= 41 * MILLI, "near to a host that is nearer"
    evidence = Evidence(clocks=(romeo, juliet))
    assert (evidence.apart_ns("juliet", "romeo"), evidence.apart_ns("romeo", "romeo")) == (MILLI, 0)
    assert evidence.apart_ns("juliet", "router") == juliet.error_ns


def test_segments_that_say_nothing_new_change_nothing():
    clocks = a_clock("romeo", MILLI), a_clock("juliet", MILLI)
    assert with_captures(clocks, way("romeo", "juliet", 0, 50 * MILLI)) == clocks
    assert with_captures(clocks, way("romeo", "juliet", 0, 50 * MILLI, version=6)) == clocks
    assert with_captures((), way("romeo", "juliet", 0, -5)) == ()


def test_a_host_with_the_controllers_own_clock_bounds_another():
    (romeo,) = with_captures([a_clock("romeo", 4 * MILLI)], [*way("romeo", "here", 0, -2 * MILLI), *way("here", "romeo", 0, 3 * MILLI)])
    assert (romeo.shift_ns, romeo.error_ns) == (-5 * MILLI // 2, MILLI // 2)
    assert with_captures([romeo], way("here", "there", 0, -5)) == (romeo,), "two hosts of this machine are not in question"


def test_only_what_was_seen_once_on_either_side_testifies():
    clocks = a_clock("romeo", MILLI), a_clock("juliet", MILLI)
    twice = [*way("romeo", "juliet", 0, 5 * MILLI), *way("romeo", "juliet", 6 * MILLI, 5 * MILLI - 1)]
    assert with_captures(clocks, twice) == clocks
    assert with_captures(clocks, twice[:3]) == clocks
    assert with_captures(clocks, way("romeo", "juliet", 0, 5 * MILLI)[:1]) == clocks
    looped = [replace(one, capture="romeo", destination_host="romeo") for one in way("romeo", "juliet", 9 * MILLI, 0)]
    assert with_captures(clocks, looped) == clocks


def test_clocks_that_segments_contradict_are_named_with_their_numbers():
    clocks = a_clock("romeo", MILLI), a_clock("juliet", MILLI), a_clock("router", MILLI)
    found = with_captures(clocks, way("romeo", "juliet", 0, -7 * MILLI))
    reason = (
        "the captures contradict the clocks: juliet captured a segment 7 ms before romeo sent it, though their clocks were measured to "
        "within 2 ms over the control channel"
    )
    assert [clock.doubt for clock in found] == [reason, reason, ""]
    assert [clock.shift_ns for clock in found] == [0, 0, 0]


def test_there_and_back_in_less_than_no_time_contradicts_all():
    """Each way alone could be, both together not: as if a clock ran at another rate meanwhile."""
    clocks = a_clock("romeo", 9 * MILLI), a_clock("juliet", 9 * MILLI)
    found = with_captures(clocks, [*way("romeo", "juliet", 0, -3 * MILLI), *way("juliet", "romeo", 0, -3 * MILLI)])
    reason = "the captures contradict the clocks of romeo, juliet as they were measured over the control channel"
    assert [clock.doubt for clock in found] == [reason, reason]


def test_what_wanders_is_granted_to_each_way():
    clocks = a_clock("romeo", 9 * MILLI, 2 * MILLI), a_clock("juliet", 9 * MILLI, 2 * MILLI)
    found = with_captures(clocks, [*way("romeo", "juliet", 0, -3 * MILLI), *way("juliet", "romeo", 0, -3 * MILLI)])
    assert [clock.doubt for clock in found] == ["", ""]
    assert all(clock.error_ns < 12 * MILLI for clock in found)


delays = some.integers(0, 20 * MILLI)
talk = some.lists(some.tuples(some.sampled_from(["romeo juliet", "juliet romeo", "romeo router", "router juliet", "juliet here"]), delays))


@settings(deadline=None, max_examples=200)
@given(some.lists(trips, min_size=3, max_size=3), some.lists(some.integers(-(10**12), 10**12), min_size=3, max_size=3), talk)
def test_the_truth_stays_within_the_error_whatever_segments_say(trips, offsets, talk):
    """The ways of segments are as unlike as they like; every corrected time is true within its error, and none arrives too early."""
    truths = {host: Truth(offset, [0], SECOND) for host, offset in zip(("romeo", "juliet", "router"), offsets, strict=True)}
    own = {host: truth.clock(SECOND, trip, trip) for (host, truth), trip in zip(truths.items(), trips, strict=True)}
    known = with_control_channel(a_run(**own))
    lines = {clock.host: clock for clock in known}

    def seen(host, gone_ns):
        if host == "here":
            return gone_ns
        return lines[host].moved(BEGIN + gone_ns - truths[host].offset(gone_ns) + own[host].before.offset_ns) - BEGIN

    segments = []
    for number, (ends, delay) in enumerate(talk):
        sender, receiver = ends.split()
        sent_ns = number * 30 * MILLI
        segments += way(sender, receiver, seen(sender, sent_ns), seen(receiver, sent_ns + delay), seq=number)
    found = {clock.host: clock for clock in with_captures(known, segments)}
    assert all(not clock.doubt for clock in found.values())
    wander_ns = sum(line.wander_ns for line in known)
    moved = {host: found[host].shift_ns - lines[host].shift_ns for host in found} | {"here": 0}
    for host, clock in found.items():
        assert abs(seen(host, 500 * MILLI) + moved[host] - 500 * MILLI) <= clock.error_ns + 3
        assert clock.error_ns <= lines[host].error_ns + wander_ns, "it costs no more than what may wander"
        for other, apart_ns in clock.apart_ns.items():
            assert abs(seen(host, 0) + moved[host] - seen(other, 0) - moved[other]) <= apart_ns + 6
    for sent, received in pairwise(segments):
        if sent.outgoing:
            assert sent.at_ns + moved[sent.capture] <= received.at_ns + moved[received.capture]


def test_how_a_time_is_told():
    assert [short(span) for span in (0, 1_500, 2_500_000, -12_345_678, 3 * SECOND, 3_723 * SECOND)] == [
        "0 ms", "0.0015 ms", "2.5 ms", "-12.3 ms", "3 s", "3723 s",
    ]  # fmt: skip


# What is done with it.


def test_every_time_of_a_host_is_moved_and_no_other():
    call = CallRecord(text="x", status="done", start_ns=10, end_ns=0)
    acts = tuple(
        ActionRecord(id=host, host=host, step=1, status="done", start_ns=10, end_ns=20, planned_ns=planned, calls=(call,))
        for host, planned in (("romeo", 5), ("juliet", 0))
    )
    samples = tuple(Sample(step=1, host=host, source="ss", at_ns=30, text="") for host in ("romeo", "juliet"))
    captures = tuple(CaptureRecord(host=host, file="x", ready_ns=40, end_ns=50) for host in ("romeo", "juliet"))
    record = replace(a_run(), actions=acts, samples=samples, captures=captures)
    moved = retimed(record, [a_clock("romeo", 0, shift_ns=100)])
    assert [(one.start_ns, one.end_ns, one.planned_ns) for one in moved.actions] == [(110, 120, 105), (10, 20, 0)]
    assert [(one.calls[0].start_ns, one.calls[0].end_ns) for one in moved.actions] == [(110, 0), (10, 0)]
    assert [one.at_ns for one in moved.samples] == [130, 30]
    assert [(one.ready_ns, one.end_ns) for one in moved.captures] == [(140, 150), (40, 50)]
    assert (moved.start_ns, moved.end_ns) == (record.start_ns, record.end_ns)


HOURS_NS = 5 * 3600 * SECOND


def hours_apart(run, talk, **after):
    """A handshake whose second witness has a Unix clock that is five hours ahead and 3 ms late, known to ±4 ms."""
    run.made().connect().ss(2, "juliet", "LISTEN 0.0.0.0:4000 0.0.0.0:*")
    talk.frames["juliet"] = [(when + HOURS_NS - 3 * MILLI, frame) for when, frame in talk.open().frames["juliet"]]
    captures = talk.captures()
    record = run.record(captures)
    clocks = {"romeo": None, "juliet": HostClock(before=at(0, 8, 4 * MILLI), after=at(9, 8, 4 * MILLI), unix_ns=HOURS_NS)}
    shifts = {"romeo": 0, "juliet": -HOURS_NS}
    hosts = tuple(HostRecord(name=name, clock=clock) for name, clock in clocks.items())
    kept = tuple(replace(one, shift_ns=shifts[one.host], **(after if one.host == "juliet" else {})) for one in record.captures)
    return run.plan(), replace(record, hosts=hosts, captures=kept), captures


def test_a_host_whose_unix_clock_is_wrong_by_hours_is_no_problem(run, talk):
    evidence = analyse(*hours_apart(run, talk))
    ways = [(evidence.segments[one.sent].at_ns, evidence.segments[one.received].at_ns) for one in evidence.passages]
    assert len(ways) == 3
    assert all(0 <= received - sent < 10 * MILLI for sent, received in ways), "no segment arrives before it was sent"
    (juliet,) = evidence.clocks
    assert juliet.source == "captures"
    assert juliet.error_ns < MILLI
    assert juliet.shift_ns == pytest.approx(3 * MILLI, abs=juliet.error_ns)
    assert evidence.error_ns("juliet") == juliet.error_ns
    assert evidence.error_ns("romeo") == 0
    (asked,) = evidence.snapshots
    assert asked.at_ns == BEGIN + 2 * MILLI + juliet.shift_ns, "what the tools said is on the same timeline"
    assert [capture.doubt for capture in evidence.captures] == ["", ""]


def test_a_capture_that_lost_frames_says_nothing_of_clocks(run, talk):
    evidence = analyse(*hours_apart(run, talk, dropped=3))
    assert [clock.source for clock in evidence.clocks] == ["control channel"]


def test_captures_of_clocks_that_cannot_be_believed_are_doubted(run, talk):
    plan, record, captures = hours_apart(run, talk)
    wrong = tuple(replace(one, shift_ns=one.shift_ns - SECOND) if one.host == "juliet" else one for one in record.captures)
    evidence = analyse(plan, replace(record, captures=wrong), captures)
    doubts = {capture.host: capture.doubt for capture in evidence.captures}
    assert doubts["romeo"] == ""
    assert doubts["juliet"].startswith("the captures contradict the clocks: juliet captured a segment 1.003 s before romeo sent it")
