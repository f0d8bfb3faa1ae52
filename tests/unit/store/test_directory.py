"""Run directories: made exclusively, and written whole or not at all."""

import os
from pathlib import Path

import pytest

from orchestrator import store
from orchestrator.errors import StoreError
from orchestrator.model.words.values import Comparison, Where
from orchestrator.store import RunDirectory

NOW = 1_784_024_103_045_999_999  # 2026-07-14 10:15:03.045999999 UTC
STAMP = "20260714T101503.045Z"
PLACE = Where(path="x.yaml", line=3)


@pytest.fixture
def made(tmp_path):
    return RunDirectory.create(tmp_path / "runs", "refused", "7f3a9c", NOW)


def full(path):
    """Whatever is written to ``path`` meets a full disk (``full(4)``)."""
    path.symlink_to("/dev/full")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- made


def test_its_name_tells_when_and_which(made, tmp_path):
    assert made.path == tmp_path / "runs" / "refused" / f"{STAMP}-7f3a9c"
    assert made.path.is_dir()
    assert names(made.path.parent) == [f"{STAMP}-7f3a9c", "latest"]


@pytest.mark.parametrize(("rest", "millis"), [(0, "000"), (999_999, "000"), (1_000_000, "001"), (999_999_999, "999")])
def test_milliseconds_are_cut_not_rounded(tmp_path, rest, millis):
    made = RunDirectory.create(tmp_path, "x", "r", 86_400 * 10**9 + rest)
    assert made.path.name == f"19700102T000000.{millis}Z-r"


def test_latest_is_relative_so_that_runs_can_be_moved(made, tmp_path):
    assert os.readlink(made.path.parent / "latest") == f"{STAMP}-7f3a9c"
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "refused" / "latest").is_dir()


def test_nobody_gets_a_folder_that_is_there(made, tmp_path):
    with pytest.raises(StoreError, match=rf"^cannot make .*/{STAMP}-7f3a9c: File exists$"):
        RunDirectory.create(tmp_path / "runs", "refused", "7f3a9c", NOW)
    assert made.path.is_dir()
    later = RunDirectory.create(tmp_path / "runs", "refused", "7f3a9c", NOW + 1_000_000)
    assert later.path != made.path


def test_latest_never_points_at_nothing(made, tmp_path, monkeypatch):
    link, replace, seen = made.path.parent / "latest", Path.replace, []

    def watched(path, target):
        seen.append((os.readlink(link), target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    second = RunDirectory.create(tmp_path / "runs", "refused", "000001", NOW + 10**9)
    assert seen == [(made.path.name, link)]
    assert os.readlink(link) == second.path.name
    assert names(made.path.parent) == [made.path.name, second.path.name, "latest"]


def test_a_run_that_latest_cannot_point_at_leaves_nothing(tmp_path):
    (tmp_path / "refused" / "latest").mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"^cannot make .*/{STAMP}-7f3a9c: Is a directory$"):
        RunDirectory.create(tmp_path, "refused", "7f3a9c", NOW)
    assert names(tmp_path / "refused") == ["latest"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        ("ENOSPC", "the disk is full; free some space, or name another folder with --runs"),
        ("EDQUOT", "the disk is full; free some space, or name another folder with --runs"),
        ("EACCES", "Permission denied; name a folder that you may write with --runs"),
        ("EROFS", "Read-only file system; name a folder that you may write with --runs"),
        ("EPERM", "Operation not permitted; name a folder that you may write with --runs"),
        ("EMFILE", "too many files are open: raise the limit (ulimit -n 65536) or run fewer at one time (--jobs)"),
        ("EIO", "Input/output error"),
    ],
)
def test_why_a_folder_cannot_be_made(tmp_path, monkeypatch, number, sentence):
    import errno

    code = getattr(errno, number)

    def refuse(*_arguments, **_more):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError) as caught:
        RunDirectory.create(tmp_path, "refused", "7f3a9c", NOW)
    assert str(caught.value) == f"cannot make {tmp_path}/refused/{STAMP}-7f3a9c: {sentence}"


def test_an_error_without_words_is_told_all_the_same(tmp_path, monkeypatch):
    def refuse(*_arguments, **_more):
        raise OSError("the file system is gone")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=r": the file system is gone$"):
        RunDirectory.create(tmp_path, "refused", "7f3a9c", NOW)


# -- written and read


def test_what_was_written_is_read(made):
    assert not made.has(store.PLAN)
    made.write(store.PLAN, PLACE)
    assert made.has(store.PLAN)
    assert made.read(store.PLAN, Where) == PLACE
    assert (made.path / store.PLAN).read_text() == '{\n "path": "x.yaml",\n "line": 3\n}\n'
    assert names(made.path) == ["plan.json"]


def test_a_fault_is_kept_as_text(made):
    made.write_text(store.FAULT, "Traceback: é\n")
    assert (made.path / "fault.txt").read_bytes() == "Traceback: é\n".encode()


def test_the_files_have_their_names():
    files = (store.PLAN, store.RECORD, store.EVIDENCE, store.VERDICTS, store.REPORT, store.LIVE, store.INPUTS)
    assert files == ("plan.json", "record.json", "evidence.json", "verdicts.json", "report.json", "live.json", "inputs")


def test_a_full_disk_leaves_what_was_there(made):
    made.write(store.PLAN, PLACE)
    full(made.path / ".plan.json.part")
    with pytest.raises(StoreError) as caught:
        made.write(store.PLAN, Where(path="y.yaml", line=4))
    folder = "the disk is full; free some space, or name another folder with --runs"
    assert str(caught.value) == f"cannot write {made.path}/plan.json: {folder}"
    assert made.read(store.PLAN, Where) == PLACE
    assert names(made.path) == ["plan.json"]


def test_a_file_appears_whole(made, monkeypatch):
    made.write(store.PLAN, PLACE)
    seen = []
    replace = Path.replace

    def watched(path, target):
        seen.append((made.read(store.PLAN, Where), path.name, target.name))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    other = Where(path="y.yaml", line=4)
    made.write(store.PLAN, other)
    assert seen == [(PLACE, ".plan.json.part", "plan.json")]
    assert made.read(store.PLAN, Where) == other


def test_a_file_system_that_refuses_everything_is_told_once(made, monkeypatch):
    def refuse(*_arguments, **_more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match=r"^cannot write .*/plan\.json: Read-only file system; name a folder that you may write"):
        made.write(store.PLAN, PLACE)
    made.remove(store.PLAN)


def test_reading_what_is_not_there(made):
    with pytest.raises(StoreError, match=r"^cannot read .*/plan\.json: No such file or directory$"):
        made.read(store.PLAN, Where)


@pytest.mark.parametrize("text", ["", "{", '{"path": 3, "line": 3}', '{"line": 3}'])
def test_reading_what_another_version_wrote(made, text):
    (made.path / store.PLAN).write_text(text)
    with pytest.raises(StoreError, match=r"/plan\.json is no plan\.json that this version can read: ."):
        made.read(store.PLAN, Where)


def test_removing_twice(made):
    made.write(store.LIVE, PLACE)
    made.remove(store.LIVE)
    made.remove(store.LIVE)
    assert not made.has(store.LIVE)


def test_inputs_are_kept_byte_for_byte(made):
    for name, data in (("x.yaml", b"scenario: x\r\n\xff"), ("line.yaml", b"")):
        made.keep_input(name, data)
        assert (made.path / "inputs" / name).read_bytes() == data
    assert names(made.path / "inputs") == ["line.yaml", "x.yaml"]


def test_inputs_of_one_name_are_all_kept(made):
    for data in (b"a scenario", b"its topology", b"a scenario", b"the scenario changed", b"its topology"):
        made.keep_input("line.yaml", data)
    kept = {path.name: path.read_text() for path in (made.path / "inputs").iterdir()}
    assert kept == {"line.yaml": "a scenario", "line-2.yaml": "its topology", "line-3.yaml": "the scenario changed"}


def test_an_input_that_cannot_be_kept(made):
    (made.path / "inputs").write_text("in the way")
    with pytest.raises(StoreError, match=rf"^cannot write {made.path}/inputs/x.yaml: "):
        made.keep_input("x.yaml", b"")


def test_a_comparison_is_a_record_too(made):
    made.write("x.json", Comparison(operator="..", low=1, high=4))
    assert made.read("x.json", Comparison).high == 4
