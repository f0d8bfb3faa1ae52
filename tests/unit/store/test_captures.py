"""Captures as they come, byte for byte, under names that are ours."""

from pathlib import Path

import pytest

from orchestrator import store
from orchestrator.errors import StoreError
from orchestrator.model.record import CaptureRecord, RunRecord


def full(path):
    """Whatever is written to ``path`` meets a full disk (``full(4)``)."""
    path.symlink_to("/dev/full")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def captures(folder, scenario="refused", hosts=("romeo", "juliet")):
    return store.CaptureFiles(folder, scenario, hosts)


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        ("refused", "romeo-tcp-refused.pcap"),
        ("tcp-lab", "romeo-tcp-lab.pcap"),
        ("udp-refused", "romeo-udp-refused.pcap"),
        ("udpish", "romeo-tcp-udpish.pcap"),
    ],
)
def test_captures_are_called_as_in_the_lab(tmp_path, scenario, name):
    assert captures(tmp_path, scenario).name("romeo") == name


def test_captures_grow_host_by_host(tmp_path):
    files = captures(tmp_path)
    for host, data in (("romeo", b"a"), ("juliet", b"x"), ("romeo", b"bc")):
        files.write(host, data)
    assert (tmp_path / "romeo-tcp-refused.pcap").read_bytes() == b"abc"  # before it is closed, too
    files.close()
    assert (tmp_path / "juliet-tcp-refused.pcap").read_bytes() == b"x"
    files.close()
    assert names(tmp_path) == ["juliet-tcp-refused.pcap", "romeo-tcp-refused.pcap"]


def test_a_full_disk_is_told_at_the_write(tmp_path):
    files = captures(tmp_path)
    full(tmp_path / files.name("romeo"))
    with pytest.raises(StoreError, match=r"^cannot write .*/romeo-tcp-refused\.pcap: the disk is full; free some space"):
        files.write("romeo", b"x")
    files.close()


def test_a_disk_that_takes_a_little_at_a_time(tmp_path, monkeypatch):
    class Slow:
        written = b""

        def write(self, data):
            self.written += bytes(data[:2])
            return len(data[:2])

        def close(self):
            raise OSError(5, "Input/output error")

    files, slow = captures(tmp_path), Slow()
    monkeypatch.setattr(Path, "open", lambda *_arguments, **_more: slow)
    files.write("romeo", b"abcde")
    assert slow.written == b"abcde"
    with pytest.raises(StoreError, match=r"^cannot write .*/romeo-tcp-refused\.pcap: Input/output error$"):
        files.close()


@pytest.mark.parametrize("host", ["../romeo", "a/b", ".hidden", "", "-x", "a\n", "r\0", "x" * 122])
def test_a_hosts_name_never_becomes_a_path(tmp_path, host):
    files = captures(tmp_path, hosts=("romeo", host))
    with pytest.raises(KeyError):
        files.write(host, b"x")
    assert names(tmp_path) == []


def test_a_long_plain_name_is_one(tmp_path):
    captures(tmp_path, hosts=("x" * 121,)).write("x" * 121, b"")
    assert len(names(tmp_path)) == 1


def recorded(*files):
    told = tuple(CaptureRecord(host=host, file=file) for host, file in files)
    return RunRecord(run_id="r", label="x", status="completed", start_ns=0, end_ns=0, captures=told)


def test_captures_are_read_again_and_what_is_missing_is_missing(tmp_path):
    (tmp_path / "secret").write_bytes(b"s")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "romeo.pcap").write_bytes(b"r")
    record = recorded(("romeo", "romeo.pcap"), ("juliet", "juliet.pcap"), ("evil", "../secret"), ("worse", str(tmp_path / "secret")))
    assert store.read_captures(folder, record) == {"romeo": b"r"}
