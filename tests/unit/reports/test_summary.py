"""Plan, record, evidence and verdicts become one report."""

import msgspec
import pytest

from orchestrator.model.evidence import Evidence
from orchestrator.model.record import HostRecord
from orchestrator.model.verdict import Report, Value, Verdict, Verdicts
from orchestrator.reports.summary import fingerprint, make_report


def verdicts(*values):
    return Verdicts(verdicts=tuple(Verdict(value=value, text=str(value)) for value in values))


@pytest.mark.parametrize(
    ("status", "given", "value"),
    [
        ("completed", [Value.PASSED], Value.PASSED),
        ("completed", [Value.PASSED, Value.FAILED], Value.FAILED),
        ("completed", [Value.PASSED, Value.SKIPPED], Value.PASSED),
        ("completed", [], Value.INCONCLUSIVE),
        ("failed", [Value.FAILED], Value.FAILED),
        ("interrupted", [Value.PASSED], Value.INCONCLUSIVE),
        ("error", [Value.PASSED], Value.ERROR),
        ("error", [], Value.ERROR),
        ("skipped", [], Value.SKIPPED),
        ("skipped", [Value.SKIPPED], Value.SKIPPED),
    ],
)
def test_a_run_that_was_cut_short_is_never_a_pass(plans, make_record, status, given, value):
    plan = plans["refused"]()
    record = make_record(plan, 10, [], status=status)
    assert make_report(plan, record, Evidence(), verdicts(*given), "d").value is value


def test_what_this_machine_could_not_give_its_hosts_is_told_once_for_all_of_them(plans, make_record):
    proc, hosts = "mount(proc on /proc): Operation not permitted", "/etc/hosts: Permission denied"
    told = (HostRecord(name="romeo", left_out=(proc, hosts)), HostRecord(name="juliet", left_out=(proc,)), HostRecord(name="router"))
    plan = plans["refused"]()
    record = msgspec.structs.replace(make_record(plan, 10, []), hosts=told)
    assert make_report(plan, record, Evidence(), verdicts(), "d").notes == (
        f"romeo, juliet: this machine refused a view of its own: {proc}",
        f"romeo: this machine refused a view of its own: {hosts}",
    )
    assert make_report(plan, make_record(plan, 10, []), Evidence(), verdicts(), "d").notes == ()


def test_a_report_is_stored_and_read_back_unchanged(reports):
    for make in reports.values():
        report = make()
        assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_steps_tell_what_was_typed_and_how_long_it_took(reports):
    first, second = reports["pass"]().steps
    assert (first.hosts, first.typed) == (("romeo",), ("sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)",))
    assert (second.number, second.status, second.took_ns) == (2, "done", 2_300_000)


def test_a_step_that_the_run_never_reached_is_missing(plans, make_record):
    plan = plans["lost"]()
    report = make_report(plan, make_record(plan, 10, [("done", 0, 1)]), Evidence(), Verdicts(), "d")
    assert [step.status for step in report.steps] == ["done", *["missing"] * 8]


def test_the_report_knows_its_captures_and_the_reason(reports):
    assert reports["fail"]().captures == ("romeo.pcap", "juliet.pcap")
    assert reports["skip"]().reason == "romeo's kernel 6.1.0 is older than 6.5, which the scenario needs"


def host(name, **environment):
    return HostRecord(name=name, environment=environment)


def test_hosts_that_are_alike_are_told_once():
    hosts = (host("romeo", kernel="6.18.0", python="3.11.2"), host("juliet", kernel="6.18.0", python="3.11.2"))
    assert fingerprint("netns", hosts) == "netns, kernel 6.18.0, python 3.11.2"


def test_hosts_of_which_less_is_known_do_not_differ():
    assert fingerprint("netns", (host("romeo", kernel="6.18.0", ip="ip utility, iproute2-6.1.0"), host("juliet", kernel="6.18.0"))) == (
        "netns, kernel 6.18.0, iproute2-6.1.0"
    )


def test_hosts_that_differ_are_told_one_by_one():
    hosts = (host("romeo", kernel="6.18.0"), host("juliet", kernel="5.10.0", iptables="iptables v1.8.9"))
    assert fingerprint("ssh", hosts) == "ssh; romeo: kernel 6.18.0; juliet: kernel 5.10.0, iptables v1.8.9"


def test_a_fingerprint_without_hosts_is_the_testbed():
    assert fingerprint("netns", ()) == "netns"
