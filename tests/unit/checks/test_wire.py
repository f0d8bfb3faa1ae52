"""``packets``, ``count`` and ``icmp`` judged from segments made by hand."""

from __future__ import annotations

import re

import pytest

from orchestrator.checks.wire import contradicted, judge_wire
from orchestrator.model.evidence import CaptureEvidence, Evidence, History, Quoted, Segment
from orchestrator.model.plan import HostPlan, Plan
from orchestrator.model.record import ActionRecord, CallRecord, RunRecord, Sample, SocketFacts, StepRecord
from orchestrator.model.tcp import flags_bits
from orchestrator.model.topology import Host, Network, Port, Testbed, Topology
from orchestrator.model.verdict import Value
from orchestrator.model.words.expectations import CountExpectation, IcmpExpectation, PacketsExpectation
from orchestrator.model.words.segments import End, Gap, SegmentPattern
from orchestrator.model.words.values import Comparison, Where

HERE = Where(path="x.yaml", line=3)
ADDRESSES = {"romeo": "10.0.1.100", "juliet": "10.0.2.100", "router": "10.0.2.1", "": "192.0.2.1"}


def network(name, *ports):
    return Network(
        name=name, subnets=(), ports=tuple(Port(host=host, interface="eth1", addresses=(f"{address}/24",)) for host, address in ports)
    )


def plan():
    hosts = (Host(name="romeo"), Host(name="juliet"), Host(name="router", forward=True))
    left = network("left", ("romeo", "10.0.1.100"), ("router", "10.0.1.1"))
    right = network("right", ("router", "10.0.2.1"), ("juliet", "10.0.2.100"))
    testbed = Testbed(kind="netns", topology=Topology(name="t", hosts=hosts, networks=(left, right)), hosts=())
    names = tuple(HostPlan(name=host.name) for host in hosts)
    return Plan(scenario="x", label="x", title="", family="ipv4", testbed=testbed, hosts=names, steps=(), timeout_ns=1)


def seg(text, capture="romeo", **fields):
    """``romeo > juliet S. 0:0(0) ack 1`` as a segment; ports are 40000 at romeo and 4000 elsewhere."""
    source, destination, rest = re.fullmatch(r"(\S*) > (\S*) (.*)", text).groups()
    ports = (40000, 4000) if source == "romeo" else (4000, 40000)
    told = {"protocol": "tcp", "source_port": ports[0], "destination_port": ports[1]}
    if rest.startswith("icmp"):
        kind, code = rest.split()[1].split("/")
        told = {"protocol": "icmp", "icmp_type": int(kind), "icmp_code": int(code)}
    elif rest.startswith("udp"):
        told |= {"protocol": "udp", "length": int(rest[4:-1])}
    else:
        flags, start, _end, length, _, ack = re.fullmatch(r"(\S+) (\d+):(\d+)\((\d+)\)( ack (\d+))?", rest).groups()
        told |= {"flags": flags_bits(flags), "relative_seq": int(start), "length": int(length), "window": 502}
        told |= {"relative_ack": int(ack)} if ack else {}
    ends = {"source": ADDRESSES[source], "destination": ADDRESSES[destination], "source_host": source, "destination_host": destination}
    told |= {"at_ns": 100, "number": 1, "text": text, "outgoing": source == capture}
    return Segment(**{"capture": capture, **ends, **told, **fields})


def pattern(said, **fields):
    """``? romeo.40000 > juliet@right S`` as a pattern; ``...`` is a gap."""
    if said == "...":
        return Gap()
    optional, source, destination, flags = re.fullmatch(r"(\? )?(\S+) > (\S+) ?(\S*)", said).groups()
    return SegmentPattern(source=end(source), destination=end(destination), flags=flags or None, optional=bool(optional), **fields)


def end(text):
    host, net, port = re.fullmatch(r"(\w+)(?:@(\w+))?(?:\.(\d+))?", text).groups()
    return End(host=host, network=net, port=int(port) if port else None)


def numbered(*segments):
    return tuple(
        type(one)(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "number": at}) for at, one in enumerate(segments, 1)
    )


def evidence(*segments, captures=("romeo", "juliet", "router"), histories=(), **fields):
    told = {"complete": True, "dropped": 0, **fields}
    kept = tuple(CaptureEvidence(host=host, file=f"{host}.pcap", **told) for host in captures)
    return Evidence(captures=kept, segments=numbered(*segments), histories=histories)


def record(**fields):
    return RunRecord(run_id="r", label="x", status="completed", start_ns=0, end_ns=1, **fields)


def packets(*lines, **fields):
    shown = tuple(pattern(line) if isinstance(line, str) else line for line in lines)
    return PacketsExpectation(**{"where": HERE, "capture": "romeo", "lines": shown, **fields})


def judged(expectation, *segments, run=None, **fields):
    return judge_wire(expectation, plan(), run or record(), evidence(*segments, **fields))


SYN, REFUSAL = seg("romeo > juliet S 0:0(0)"), seg("juliet > romeo R. 0:0(0) ack 1")


def test_exactly_these_in_this_order_pass():
    verdict = judged(packets("romeo > juliet S", "juliet > romeo R.", text="the refusal"), SYN, REFUSAL)
    assert (verdict.value, verdict.witness, verdict.text, verdict.where) == (Value.PASSED, "wire", "the refusal", HERE)


def test_the_first_place_where_they_part_is_shown():
    verdict = judged(packets("romeo > juliet S", "juliet > romeo S."), SYN, REFUSAL, seg("romeo > juliet S 0:0(0)"))
    assert verdict.value is Value.FAILED
    assert verdict.reason == "expected juliet > romeo S."
    assert verdict.saw == "frame 2, juliet > romeo R. 0:0(0) ack 1: flags are R., not S."
    assert verdict.excerpt == (
        "    1 romeo > juliet S 0:0(0)",
        "- juliet > romeo S.",
        "+   2 juliet > romeo R. 0:0(0) ack 1",
        "    3 romeo > juliet S 0:0(0)",
    )


@pytest.mark.parametrize(
    ("lines", "settled"),
    [
        (("romeo > juliet S", "juliet > romeo S."), True),
        (("romeo > juliet S",), True),
        ((), True),
        (("romeo > juliet S", "juliet > romeo R."), False),
        (("romeo > juliet S", "juliet > romeo R.", "romeo > juliet S"), False),
        (("romeo > juliet S", "...", "romeo > juliet F."), False),
        (("romeo > juliet S", "? juliet > romeo S.", "juliet > romeo R.", "romeo > juliet S"), False),
        (("romeo > juliet S", "? juliet > romeo S.", "romeo > juliet S"), True),
    ],
)
def test_what_no_later_segment_can_mend(lines, settled):
    assert contradicted(packets(*lines), plan(), record(), evidence(SYN, REFUSAL)) is settled


def test_nothing_is_settled_where_later_segments_may_tell_another_story():
    assert not contradicted(packets("romeo > juliet F."), plan(), record(), evidence(SYN, dropped=1))
    history = History(host="romeo", local="10.0.1.100:40000", peer="10.0.2.100:4000", sockets=("sock",))
    known = evidence(SYN, histories=(history,))
    assert judge_wire(packets("romeo > juliet F.", connection="sock"), plan(), record(), known).value is Value.FAILED
    assert not contradicted(packets("romeo > juliet F.", connection="sock"), plan(), record(), known)
    counted = CountExpectation(where=HERE, capture="romeo", match=pattern("romeo > juliet S"), count=Comparison(operator="==", low=0))
    assert not contradicted(counted, plan(), record(), evidence(SYN))


def test_what_never_came_is_told():
    verdict = judged(packets("romeo > juliet S", "? juliet > romeo S.", "juliet > romeo R."), SYN)
    assert (verdict.value, verdict.reason) == (Value.FAILED, "never came: juliet > romeo R.")
    assert verdict.saw == "nothing after frame 1 (romeo > juliet S 0:0(0))"
    assert judged(packets("romeo > juliet S")).saw == "no segment at all"


def test_what_came_too_much_is_told():
    verdict = judged(packets("romeo > juliet S"), SYN, REFUSAL)
    assert (verdict.value, verdict.reason, verdict.saw) == (
        Value.FAILED,
        "nothing (more) was expected",
        "frame 2, juliet > romeo R. 0:0(0) ack 1",
    )
    assert verdict.excerpt[1] == "- (nothing more)"


def test_packets_none():
    assert judged(packets()).value is Value.PASSED
    assert judged(packets(), SYN).value is Value.FAILED
    assert judged(packets()).text == "no packets in romeo's capture"


FILTERED = "romeo's capture was filtered by 'udp'"


@pytest.mark.parametrize("lines", [(), ("romeo > juliet S", "juliet > romeo R."), ("romeo > juliet S", "...")])
def test_what_a_filtered_capture_shows_passes_and_the_filter_is_named(lines):
    seen = (SYN, REFUSAL) if lines else ()
    verdict = judged(packets(*lines), *seen, filter="udp")
    assert (verdict.value, verdict.reason) == (Value.PASSED, FILTERED)


@pytest.mark.parametrize(
    ("lines", "seen", "value"),
    [
        (("romeo > juliet S",), (), Value.INCONCLUSIVE),  # it may have been hidden
        (("romeo > juliet S", "juliet > romeo R."), (REFUSAL,), Value.INCONCLUSIVE),  # so may what should have come before it
        (("romeo > juliet S", "...", "juliet > romeo S."), (SYN, REFUSAL), Value.INCONCLUSIVE),
        (("romeo > juliet S", "juliet > romeo S."), (SYN, REFUSAL), Value.FAILED),  # no line could be this one
        ((), (SYN,), Value.FAILED),
        (("juliet > romeo R.",), (REFUSAL, SYN), Value.FAILED),
    ],
)
def test_what_a_filter_may_have_hidden_did_not_fail(lines, seen, value):
    verdict = judged(packets(*lines), *seen, filter="udp")
    assert verdict.value is value
    assert verdict.reason.endswith(f", but {FILTERED}") == (value is Value.INCONCLUSIVE)
    assert judged(packets(*lines), *seen).value is Value.FAILED


@pytest.mark.parametrize(
    ("wanted", "found", "value"),
    [
        (Comparison(operator=">=", low=2), 1, Value.INCONCLUSIVE),
        (Comparison(operator="==", low=2), 1, Value.INCONCLUSIVE),
        (Comparison(operator="..", low=2, high=3), 1, Value.INCONCLUSIVE),
        (Comparison(operator="!=", low=1), 1, Value.INCONCLUSIVE),
        (Comparison(operator="==", low=0), 1, Value.FAILED),
        (Comparison(operator="<", low=1), 1, Value.FAILED),
        (Comparison(operator="..", low=0, high=1), 2, Value.FAILED),
        (Comparison(operator="==", low=1), 1, Value.PASSED),
        (Comparison(operator="==", low=0), 0, Value.PASSED),
    ],
)
def test_a_count_that_hidden_segments_could_mend_did_not_fail(wanted, found, value):
    expectation = CountExpectation(where=HERE, capture="romeo", match=pattern("romeo > juliet S"), count=wanted)
    verdict = judged(expectation, *[SYN] * found, filter="udp")
    assert verdict.value is value
    assert (FILTERED in verdict.reason) == (value is not Value.FAILED)


def test_a_clock_that_was_set_meanwhile_tells_no_times():
    verdict = judged(packets("romeo > juliet S"), SYN, clock_moved_ns=-2_000_000_000)
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, "the clock of romeo was set by -2.000 s while it captured")
    assert judged(packets("romeo > juliet S"), SYN, clock_moved_ns=900_000).value is Value.PASSED


def test_an_excerpt_is_at_most_twelve_lines():
    verdict = judged(packets("romeo > juliet S"), *([REFUSAL] * 40))
    assert len(verdict.excerpt) == 12


@pytest.mark.parametrize(
    "beside",
    [
        seg("romeo > juliet udp(1)", protocol="arp"),
        seg("romeo > juliet udp(1)", protocol="2"),
        seg("romeo > juliet icmp 135/0", version=6),
        seg("romeo > juliet icmp 143/0", version=6),
        seg(" > romeo udp(1)"),
        seg("romeo >  udp(1)"),
        seg("romeo > juliet udp(1)", capture="juliet"),
    ],
)
def test_what_packets_does_not_speak_of(beside):
    assert judged(packets("romeo > juliet S"), beside, SYN).value is Value.PASSED


def test_an_ipv4_message_with_a_neighbour_number_counts():
    assert judged(packets(), seg("romeo > juliet icmp 135/0")).value is Value.FAILED


def test_a_router_counts_what_it_forwards_once():
    came = seg("romeo > juliet S 0:0(0)", capture="router")
    went = seg("romeo > juliet S 0:0(0)", capture="router", outgoing=True)
    own = seg("router > romeo icmp 11/0", capture="router", outgoing=True)
    wanted = packets("romeo > juliet S", pattern("router > romeo", protocol="icmp", icmp_type=11), capture="router")
    assert judged(wanted, came, went, own).value is Value.PASSED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dropped": 2}, "romeo's capture lost 2 frames"),
        ({"complete": False}, "romeo's capture was cut short"),
        ({"problem": "byte 24: bad"}, "romeo's capture cannot be read whole: byte 24: bad"),
        ({"captures": ("juliet",)}, "romeo captured nothing"),
    ],
)
@pytest.mark.parametrize("lines", [("romeo > juliet S",), ("juliet > romeo S",)])
def test_a_capture_that_cannot_be_trusted_is_inconclusive(fields, reason, lines):
    verdict = judged(packets(*lines), SYN, **fields)
    assert (verdict.value, verdict.reason, verdict.witness) == (Value.INCONCLUSIVE, reason, "wire")


def test_unknown_drops_are_no_drops():
    assert judged(packets("romeo > juliet S"), SYN, dropped=-1).value is Value.PASSED


STEPS = (
    StepRecord(number=1, status="done", start_ns=10),
    StepRecord(number=2, status="skipped", start_ns=0),
    StepRecord(number=3, status="failed", start_ns=50),
    StepRecord(number=4, status="missing"),
)


@pytest.mark.parametrize(("step", "seen"), [(1, (10, 49)), (3, (50, 99)), (None, (9, 10, 49, 50, 99))])
def test_a_step_lasts_until_the_next_that_ran_begins(step, seen):
    segments = [seg("romeo > juliet S 0:0(0)", at_ns=at) for at in (9, 10, 49, 50, 99)]
    expectation = CountExpectation(where=HERE, capture="romeo", match=pattern("romeo > juliet"), count=equal(len(seen)), step=step)
    verdict = judged(expectation, *segments, run=record(steps=STEPS))
    assert (verdict.value, verdict.step) == (Value.PASSED, step)


@pytest.mark.parametrize("step", [2, 4, 5])
def test_a_step_that_did_not_run_is_inconclusive(step):
    verdict = judged(packets(step=step), run=record(steps=STEPS))
    assert (verdict.value, verdict.reason) == (Value.INCONCLUSIVE, f"step {step} did not run")


def equal(number):
    return Comparison(operator="==", low=number)


def test_count():
    wanted = CountExpectation(where=HERE, capture="romeo", match=pattern("romeo > juliet S"), count=Comparison(operator=">=", low=2))
    assert judged(wanted, SYN, REFUSAL, SYN).value is Value.PASSED
    verdict = judged(wanted, SYN, REFUSAL)
    assert (verdict.value, verdict.reason, verdict.saw) == (Value.FAILED, "1 fit, >= 2 were expected", "1")
    assert verdict.excerpt == ("  1 romeo > juliet S 0:0(0)",)
    assert verdict.text == ">= 2 times romeo > juliet S in romeo's capture"


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({}, Value.PASSED),
        ({"code": 3}, Value.PASSED),
        ({"code": 1}, Value.FAILED),
        ({"source": "router"}, Value.FAILED),
        ({"type": 11}, Value.FAILED),
        ({"count": equal(1)}, Value.PASSED),
        ({"count": equal(2)}, Value.FAILED),
        ({"type": 5, "count": equal(0)}, Value.PASSED),
    ],
)
def test_icmp(fields, value):
    wanted = IcmpExpectation(**{"where": HERE, "capture": "romeo", "source": "juliet", "type": 3, **fields})
    assert judged(wanted, SYN, seg("juliet > romeo icmp 3/3")).value is value
    assert wanted.text or "from" in judged(wanted).text


def test_where_no_such_icmp_message_came_others_are_the_evidence_or_whatever_came():
    wanted = IcmpExpectation(where=HERE, capture="romeo", source="juliet", type=3, code=1)
    assert judged(wanted, SYN, seg("juliet > romeo icmp 3/3")).excerpt == ("  2 juliet > romeo icmp 3/3",)
    assert judged(wanted, SYN).excerpt == ("  1 romeo > juliet S 0:0(0)",)


def test_packets_that_came_as_expected_are_their_own_evidence():
    assert judged(packets("romeo > juliet S"), SYN).excerpt == ("  1 romeo > juliet S 0:0(0)",)


# One connection of several.

OTHER = seg("romeo > juliet S 0:0(0)", source_port=40001)
ENDS = {"local": "10.0.1.100:40000", "peer": "10.0.2.100:4000"}


def with_facts(host="romeo", name="sock", **ends):
    call = CallRecord(text="x", status="done", start_ns=0, end_ns=0, sockets=(SocketFacts(name=name, **(ends or ENDS)),))
    return record(actions=(ActionRecord(id="1.1", host=host, step=1, status="done", start_ns=0, end_ns=0, calls=(call,)),))


def test_a_connection_is_known_by_the_record():
    wanted = packets("romeo > juliet S", connection="sock")
    assert judged(wanted, OTHER, SYN, OTHER, run=with_facts()).value is Value.PASSED
    mapped = {"local": "[::ffff:10.0.1.100]:40000", "peer": "[::ffff:10.0.2.100]:4000"}
    assert judged(wanted, OTHER, SYN, run=with_facts(**mapped)).value is Value.PASSED
    sample = Sample(step=1, host="romeo", source="ss", at_ns=0, text="", sockets=(SocketFacts(name="sock", **ENDS),))
    assert judged(wanted, OTHER, SYN, run=record(samples=(sample,))).value is Value.PASSED


def test_a_connection_is_known_by_its_history():
    history = History(host="romeo", sockets=("sock",), **ENDS)
    assert judged(packets("romeo > juliet S", connection="sock"), OTHER, SYN, histories=(history,)).value is Value.PASSED


def test_the_host_says_whose_socket_is_meant():
    run = with_facts(host="juliet", local="10.0.2.100:4000", peer="10.0.1.100:40001")
    wanted = packets("romeo > juliet S", connection="sock", connection_host="romeo")
    assert judged(wanted, OTHER, run=run).reason == "which connection 'sock' was is not known: no record gives its ends"
    assert judged(wanted, OTHER, run=run).value is Value.INCONCLUSIVE
    assert judged(packets("romeo > juliet S", connection="sock"), OTHER, SYN, run=run).value is Value.PASSED


@pytest.mark.parametrize("local", ["0.0.0.0:4000", "10.0.2.100:4000"])
def test_a_listening_socket_means_all_that_its_port_gets(local):
    elsewhere = seg("romeo > juliet S 0:0(0)", destination_port=4001)
    run = with_facts(host="juliet", local=local, peer="")
    assert judged(packets("romeo > juliet S", "romeo > juliet S", connection="sock"), OTHER, elsewhere, SYN, run=run).value is Value.PASSED


def test_a_socket_without_a_port_is_not_known():
    assert judged(packets(connection="sock"), run=with_facts(local="0.0.0.0:0", peer="")).value is Value.INCONCLUSIVE


def test_what_an_icmp_message_quotes_says_whose_it_is():
    def error(port):
        quoted = Quoted(protocol="tcp", source="10.0.1.100", destination="10.0.2.100", source_port=port, destination_port=4000)
        return seg("juliet > romeo icmp 3/3", quoted=quoted)

    wanted = packets("romeo > juliet S", pattern("juliet > romeo", protocol="icmp"), connection="sock")
    assert judged(wanted, SYN, error(40000), error(40001), run=with_facts()).value is Value.PASSED


def test_ipv6_ends_stand_in_brackets():
    six = {"source": "fd00::1", "destination": "fd00::2", "version": 6}
    run = with_facts(local="[fd00::1]:40000", peer="[fd00::2]:4000")
    assert (
        judged(packets("romeo > juliet S", connection="sock"), seg("romeo > juliet S 0:0(0)", **six), OTHER, run=run).value is Value.PASSED
    )
