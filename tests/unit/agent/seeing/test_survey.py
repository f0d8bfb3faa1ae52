"""What a host has and can do: its programs by its path, its abilities by what the kernel tells of itself."""

import gzip
import os

import pytest

from orchestrator.agent.seeing.survey import has_module, which

RELEASE = os.uname().release


def machine(folder, **files):
    """The root of a machine whose kernel tells these things."""
    for name, text in files.items():
        if name == "config":
            (folder / "proc").mkdir()
            (folder / "proc" / "config.gz").write_bytes(gzip.compress(text.encode()))
        elif name == "loaded":
            (folder / "sys" / "module" / text).mkdir(parents=True)
        else:
            modules = folder / "lib" / "modules" / RELEASE
            modules.mkdir(parents=True, exist_ok=True)
            (modules / f"modules.{name}").write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("told", "has"),
    [
        ({}, True),
        ({"loaded": "sch_netem"}, True),
        ({"loaded": "sch_tbf", "dep": "kernel/net/sched/sch_fq.ko:\n"}, False),
        ({"builtin": "kernel/net/sched/sch_netem.ko\n"}, True),
        ({"dep": "kernel/net/sched/sch_netem.ko.xz: kernel/x.ko.xz\n", "builtin": "kernel/x.ko\n"}, True),
        ({"dep": "kernel/net/sched/sch_tbf.ko:\n"}, False),
        ({"config": "CONFIG_NET_SCH_NETEM=y\n"}, True),
        ({"config": "CONFIG_NET_SCH_NETEM=m\n"}, True),
        ({"config": "CONFIG_NET_SCH_NETEM=m\n", "dep": "kernel/net/sched/sch_tbf.ko:\n"}, False),
        ({"config": "# CONFIG_NET_SCH_NETEM is not set\n"}, False),
        ({"config": "# CONFIG_NET_SCH_NETEM is not set\n", "loaded": "sch_netem"}, True),
    ],
)
def test_whether_the_kernel_has_netem(tmp_path, told, has):
    assert has_module("sch_netem", machine(tmp_path, **told)) is has


def test_a_folder_is_no_program(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "tool").mkdir(parents=True)
    second.mkdir()
    monkeypatch.setenv("PATH", f"{first}:{second}")
    assert which("tool") == which(str(first / "tool")) == ""
    (second / "tool").write_text("")
    assert which("tool") == ""
    (second / "tool").chmod(0o755)
    assert which("tool") == str(second / "tool")
