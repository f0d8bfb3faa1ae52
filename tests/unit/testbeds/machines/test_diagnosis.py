"""What a machine tells of its health, and what that means for labs."""

import msgspec
import pytest

from orchestrator.errors import TestbedError
from orchestrator.model.inventory import Level
from orchestrator.testbeds.machines.diagnosis import FEATURES, Health, diagnose, health_of, unreached
from orchestrator.testbeds.preparing.packages import PACKAGES

MIB = 1 << 20
WELL = Health(
    kernel="6.1.0",
    python="3.8.10",
    manager="apt-get",
    root=True,
    tools={name: f"/usr/bin/{name}" for name in PACKAGES},
    features=FEATURES,
    free_bytes={"/run": 16 * MIB},
)


def without(*tools):
    return {name: path for name, path in WELL.tools.items() if name not in tools}


def lacking(*features):
    return tuple(feature for feature in FEATURES if feature not in features)


def findings(**fields):
    checkup = diagnose("node7", msgspec.structs.replace(WELL, **fields))
    return checkup, {finding.subject: finding for finding in checkup.findings}


def test_a_machine_that_is_well():
    checkup, found = findings()
    assert (checkup.machine, checkup.level, checkup.packages) == ("node7", Level.GOOD, ())
    assert list(found) == ["ssh", "python", "rights", "tools", "kernel", "clock", "disk"]
    assert not any(finding.advice for finding in checkup.findings)
    assert found["kernel"].told == "6.1.0"
    assert found["disk"].told == "/run: 16 MiB free"


@pytest.mark.parametrize(
    ("fields", "subject", "level", "told", "advice"),
    [
        ({"python": "3.7.17"}, "python", "bad", "3.7.17 is too old", "install Python 3.8 or newer"),
        ({"python": ""}, "python", "bad", "none is too old", "ansible_python_interpreter"),
        ({"python": "3.14.0rc1"}, "python", "good", "3.14.0rc1", ""),
        ({"root": False, "refusal": "a password is required"}, "rights", "bad", "an ordinary user's only", "a password is required"),
        ({"tools": without("lsof")}, "tools", "poor", "missing: lsof", "`orchestrate prepare` installs lsof"),
        ({"tools": without("ss", "nc"), "manager": "dnf"}, "tools", "bad", "(no socket can be looked at)", "iproute, nmap-ncat"),
        (
            {"tools": without("nc"), "manager": ""},
            "tools",
            "poor",
            "missing: nc",
            "install them; orchestrate prepare knows apt-get and dnf",
        ),
        ({"features": lacking("netem", "tbf")}, "kernel", "poor", "6.1.0 lacks netem, tbf: links get no delay and no loss; ", "another"),
        ({"features": lacking("packet")}, "kernel", "bad", "lacks packet: nothing can be captured", "another image or kernel"),
        ({"ahead_ns": 1_500_000_000}, "clock", "good", "1.500 s ahead of ours", ""),
        ({"ahead_ns": -61_000_000_000}, "clock", "poor", "61.000 s behind ours", "timedatectl set-ntp true"),
        ({"free_bytes": {"/run": 16 * MIB - 1}}, "disk", "poor", "/run: 16 MiB free", "make room on /run"),
        ({"free_bytes": {"/run": MIB - 1}}, "disk", "bad", "/run: 1 MiB free", "make room on /run"),
        ({"held": "run 7e57 of alice"}, "busy", "poor", "run 7e57 of alice", "`orchestrate clean --run ID`"),
    ],
)
def test_what_is_found(fields, subject, level, told, advice):
    checkup, found = findings(**fields)
    finding = found[subject]
    assert (finding.level, checkup.level) == (level, level)
    assert told in finding.told
    assert advice in finding.advice
    assert bool(advice) == bool(finding.advice)


def test_what_takes_rights_to_be_found_out_is_not_missed_without():
    _checkup, found = findings(features=lacking("packet", "trace"), root=False, refusal="no sudo")
    assert (found["kernel"].level, found["kernel"].told) == (Level.GOOD, "6.1.0")


def test_every_folder_is_told_in_an_order():
    checkup, _found = findings(free_bytes={"/tmp": 99 * MIB, "/run": 2048 * MIB})
    assert [one.told for one in checkup.findings if one.subject == "disk"] == ["/run: 2,048 MiB free", "/tmp: 99 MiB free"]


def test_packages_bear_the_names_of_the_release():
    checkup, _found = findings(tools=without("iptables"), manager="dnf", release="el8")
    assert checkup.packages == ("iptables",)


def test_a_machine_that_was_not_reached():
    checkup = unreached("node7", "no route to host")
    assert (checkup.level, checkup.findings[0].told) == (Level.BAD, "no route to host")


def test_health_in_types():
    assert health_of({"kernel": "6.1.0", "root": True, "features": ["packet"], "unknown": 1}, "node7") == Health(
        kernel="6.1.0", root=True, features=("packet",)
    )
    with pytest.raises(TestbedError, match=r"node7: what it tells of its health cannot be read: .*kernel"):
        health_of({"kernel": 6}, "node7")
