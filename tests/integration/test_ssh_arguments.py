"""What we read in arguments of ssh is what ssh itself takes them for (``ssh -G``, which connects to nobody)."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest

from orchestrator.loading.notation.ssh import arguments

CASES = (
    "-o ProxyJump=bastion",
    "-J me@bastion:2222 -p 24 -l you",
    "-oProxyJump=a,b@c:23 -oPort=25 -oUser=they",
    "-o 'ProxyJump [fd00::1]:23' -o Port=25 -p 26",
    "-p 26 -o Port=25 -l me -o User=you",
    "-o proxyjump=none",
    "-o ProxyJump=one -o ProxyJump=two",
    "-i /tmp/k1 -o IdentityFile=/tmp/k2 -o 'IdentityFile /tmp/k3'",
    "-o UserKnownHostsFile=/tmp/a -o UserKnownHostsFile=/tmp/b",
    "-o 'UserKnownHostsFile=/tmp/a /tmp/b' -q -C",
    "-o ServerAliveInterval=5 -o ConnectTimeout=3 -o StrictHostKeyChecking=yes -T",
)


def told_by_ssh(words, tmp_path):
    """The lines of ``ssh -G``, by their first word."""
    (tmp_path / "config").touch()
    # An argument -F keeps the settings of whoever runs this test away.
    run = subprocess.run(["ssh", "-F", tmp_path / "config", "-G", *words, "host.invalid"], capture_output=True, text=True, check=True)
    found = {}
    for line in run.stdout.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("text", CASES)
def test_ssh_takes_them_for_the_same(text, tmp_path):
    if not shutil.which("ssh"):
        pytest.skip("needs ssh")
    ours, usual, theirs = arguments(text), told_by_ssh([], tmp_path), told_by_ssh(shlex.split(text), tmp_path)
    assert ",".join(ours.jump or ()) == ("" if theirs.get("proxyjump", ["none"]) == ["none"] else theirs["proxyjump"][0])
    assert str(ours.port or usual["port"][0]) == theirs["port"][0]
    assert (ours.user or usual["user"][0]) == theirs["user"][0]
    assert list(ours.keys or usual["identityfile"]) == theirs["identityfile"]
    assert list(ours.known_hosts or usual["userknownhostsfile"][0].split()) == theirs["userknownhostsfile"][0].split()


def test_a_tilde(tmp_path):
    """ssh itself puts the user's folder in for the ~ of these files, only when it opens them; so do we."""
    home = os.path.expanduser("~")
    assert arguments("-i ~/k -o UserKnownHostsFile=~/h").keys == (f"{home}/k",)
    assert arguments("-i ~/k -o UserKnownHostsFile=~/h").known_hosts == (f"{home}/h",)
