"""What could not be put back is told, to the person and in every file."""

from __future__ import annotations

import pytest

from tests.integration.program import Program, scenario

pytestmark = pytest.mark.namespaces
STEPS = """
topology: two-hosts
steps:
  - {host: romeo, sysctl: {net.ipv4.conf.eth1.log_martians: 1}}
  - {host: romeo, run: mount -o bind /proc/sys /proc/sys}
  - {host: romeo, run: 'mount -o remount,bind,ro /proc/sys'}
"""


def test_a_change_that_could_not_be_undone_is_told(program: Program) -> None:
    done = program.run("run", scenario(program.folder, "not-undone", STEPS))
    assert done.code == 3, done
    (romeo,) = [host for host in program.stage("record")["hosts"] if host["name"] == "romeo"]
    assert any("net.ipv4.conf.eth1.log_martians" in text for text in romeo["not_undone"])
    (verdict,) = [verdict for verdict in program.stage("report")["verdicts"] if verdict["text"] == "every host is as it was"]
    assert verdict["value"] == "error"
    assert "romeo: " in verdict["reason"]
    assert "log_martians" in verdict["reason"]
    assert "every host is as it was" in done.out
    assert "log_martians" in done.out.replace("\n", "")
