"""Runs found again: by folder, id, scenario or `latest`; hosts that are up; and how far a run came."""

import os
from pathlib import Path

import pytest

from orchestrator import store
from orchestrator.errors import StoreError, UsageError
from orchestrator.model.words.values import Where
from orchestrator.store import RunDirectory

SECOND = 1_000_000_000


@pytest.fixture
def runs(tmp_path):
    """Three runs of two scenarios, the newest one not of the last scenario by name."""
    root = tmp_path / "runs"
    made = [("refused", "7f3a9c"), ("refused", "7f0000"), ("bind", "aa1111")]
    return root, [RunDirectory.create(root, scenario, key, at * SECOND) for at, (scenario, key) in enumerate(made)]


def paths(found):
    return [run.path for run in found]


def test_every_run_oldest_first_and_nothing_else(runs):
    root, made = runs
    (root / "refused" / "notes").mkdir()
    (root / "refused" / "20260714T101503.045Z-file").write_text("")
    (root / "loose.txt").write_text("")
    assert paths(store.every_run(root)) == paths(made)
    assert paths(store.every_run(root / "nowhere")) == []


@pytest.mark.parametrize(
    ("wanted", "which"),
    [("latest", 2), ("refused", 1), ("bind", 2), ("7f3a9c", 0), ("7f3", 0), ("7f0", 1), ("a", 2), ("19700101T000000.000Z-7f3a9c", 0)],
)
def test_a_run_by_its_name(runs, wanted, which):
    root, made = runs
    assert store.find_run(root, wanted).path == made[which].path


@pytest.mark.parametrize("file", [store.PLAN, store.RECORD])
def test_a_run_by_its_folder_wherever_it_is(runs, tmp_path, monkeypatch, file):
    root, made = runs
    made[2].write(file, Where(path="x", line=1))
    assert store.find_run(tmp_path / "elsewhere", str(made[2].path)).path == made[2].path
    assert store.find_run(tmp_path / "elsewhere", str(root / "bind" / "latest")).path == made[2].path
    monkeypatch.chdir(made[2].path)
    assert store.find_run(tmp_path / "elsewhere", ".").path == made[2].path


def test_an_id_that_several_begin_with(runs):
    with pytest.raises(UsageError, match=r"^2 runs begin with '7f': give more of the id$"):
        store.find_run(runs[0], "7f")


@pytest.mark.parametrize("wanted", ["b0", "latests", "3a9c", "refuse"])
def test_a_run_that_is_not_there(runs, wanted):
    with pytest.raises(UsageError) as caught:
        store.find_run(runs[0], wanted)
    assert str(caught.value) == f"no run is called {wanted!r} in {runs[0]}; `orchestrate ls` lists them"


def test_no_run_at_all(tmp_path):
    with pytest.raises(UsageError, match=r"^no run is kept in .*: start one with"):
        store.find_run(tmp_path, "latest")


# -- hosts that are up


def keep(run, controller, later=0, **hosts):
    """Write who is up, as those who are now; ``later`` makes it others who had their numbers before."""
    born = {pid: store.born(pid) - later for pid in (controller, *hosts.values())}
    run.write(store.LIVE, store.LiveRun(controller=controller, user_namespace=True, hosts=hosts, born=born))


ME, OTHER, GONE = os.getpid(), os.getppid(), 2**22 + 1  # above the largest process id there is (PID_MAX_LIMIT of linux/threads.h)


def test_a_process_is_known_by_when_it_began():
    assert store.born(ME) > 0
    assert store.born(GONE) == -1


def test_the_run_with_such_a_host(runs):
    root, made = runs
    keep(made[0], ME, romeo=ME, juliet=OTHER)
    keep(made[1], ME, romeo=OTHER)
    run, live = store.find_live(root, "juliet")
    assert (run.path, live.hosts) == (made[0].path, {"romeo": ME, "juliet": OTHER})
    assert store.find_live(root, "romeo", "7f0")[1].hosts == {"romeo": OTHER}
    with pytest.raises(UsageError) as caught:
        store.find_live(root, "romeo")
    told = "2 runs keep a host romeo up; say whose is meant:\n  --run 7f3a9c  refused\n  --run 7f0000  refused"
    assert str(caught.value) == told


def test_what_a_shell_can_complete(runs, tmp_path):
    root, made = runs
    keep(made[0], ME, romeo=ME, juliet=OTHER)
    assert store.live_hosts(root) == ["juliet", "romeo"]
    assert store.names_of_runs(root) == ["latest", "bind", "refused", "aa1111", "7f0000", "7f3a9c"]
    assert store.names_of_runs(tmp_path / "nowhere") == store.live_hosts(tmp_path / "nowhere") == []


def test_a_controller_that_was_killed_left_no_hosts(runs):
    root, made = runs
    keep(made[0], ME, romeo=ME)
    keep(made[2], GONE, romeo=ME)
    assert store.find_live(root, "romeo")[1].controller == ME
    keep(made[0], ME, 1, romeo=ME)
    with pytest.raises(UsageError) as caught:
        store.find_live(root, "romeo")
    assert str(caught.value) == f"no host romeo is up in {root}: start one with `orchestrate run --keep FILE`"


@pytest.mark.parametrize("another", [ME, OTHER], ids=["controller", "host"])
def test_who_has_the_number_of_a_process_that_has_ended_is_another(runs, another):
    root, made = runs
    born = {pid: store.born(pid) - (pid == another) for pid in (ME, OTHER)}
    made[0].write(store.LIVE, store.LiveRun(controller=ME, user_namespace=True, hosts={"romeo": OTHER}, born=born))
    with pytest.raises(UsageError, match="no host romeo is up"):
        store.find_live(root, "romeo")


def test_what_another_version_left_hides_no_host(runs):
    root, made = runs
    keep(made[0], ME, romeo=ME)
    (made[2].path / store.LIVE).write_text('{"pid": 4}')
    assert store.find_live(root, "romeo")[1].hosts == {"romeo": ME}


# -- how far a run came


def test_what_a_runs_name_tells(runs):
    _root, made = runs
    assert (store.run_id(made[2]), store.began_ns(made[2])) == ("aa1111", 2 * SECOND)
    assert store.began_ns(RunDirectory(made[2].path.with_name("20269999T000000.000Z-x"))) == 0


def test_how_far_a_run_came(runs):
    _root, (run, *_others) = runs
    with store.going_on(run):
        assert store.state(run) == "going on"
        with pytest.raises(
            StoreError, match=rf"^run 7f3a9c of refused is still going on in process {os.getpid()}; there is no report.json"
        ):
            store.must_have(run, store.REPORT)
    assert store.state(run) == "unfinished"
    with pytest.raises(StoreError, match=r"^run 7f3a9c of refused never came to an end: "):
        store.must_have(run, store.RECORD)
    run.write(store.RECORD, Where(path="x", line=1))
    assert store.state(run) == "unjudged"
    store.must_have(run, store.RECORD)
    with pytest.raises(StoreError, match=r"recorded and not judged: `orchestrate recheck 7f3a9c` does that"):
        store.must_have(run, store.REPORT)
    run.write(store.REPORT, Where(path="x", line=1))
    assert store.state(run) == ""
    store.must_have(run, store.REPORT)


# -- the folder that runs are kept in


def test_a_folder_for_runs_need_not_be_there_yet(tmp_path):
    assert store.kept_in(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert store.kept_in("runs") == Path("runs")


@pytest.mark.parametrize(
    ("name", "told"), [("", "names no folder"), ("l\udce9", "no UTF-8"), ("file/x", "file is no folder"), ("x" * 300, "File name too long")]
)
def test_what_can_be_no_folder_for_runs(tmp_path, monkeypatch, name, told):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UsageError, match=told):
        store.kept_in(name)


def test_a_folder_for_runs_that_may_not_be_looked_at_is_told_when_it_is_used(monkeypatch):
    def refuse(_path):
        raise PermissionError

    monkeypatch.setattr(Path, "exists", refuse)
    assert store.kept_in("elsewhere") == Path("elsewhere")
