"""Scenarios and topologies are found by name, nearest first, and a name that nothing has gets a hint."""

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.loading import shelves


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder to stand in, and a package beside which scenarios lie."""
    here, package = tmp_path / "here", tmp_path / "package" / "orchestrator"
    for folder in (here / "scenarios", package.parent / "scenarios", package):
        folder.mkdir(parents=True)
    (package.parent / "scenarios" / "shipped.yaml").write_text("")
    monkeypatch.chdir(here)
    monkeypatch.setattr(shelves, "_PACKAGE", package)
    return here


def test_a_checkout_keeps_them_beside_the_package(shelf):
    assert shelves.shipped("scenarios") == shelf.parent / "package" / "scenarios"
    assert shelves.topology_folders() == (Path("topologies"), shelf.parent / "package" / "topologies")


def test_a_wheel_keeps_them_inside(shelf):
    inside = shelf.parent / "package" / "orchestrator" / "data" / "scenarios"
    inside.mkdir(parents=True)
    assert shelves.shipped("scenarios") == inside
    assert shelves.shipped("topologies") == shelf.parent / "package" / "topologies"


@pytest.mark.parametrize("name", ["shipped", "shipped.yaml"])
def test_the_nearest_one_of_a_name(shelf, name):
    assert shelves.find_scenario(name) == shelf.parent / "package" / "scenarios" / "shipped.yaml"
    (shelf / "scenarios" / "shipped.yaml").write_text("")
    assert shelves.find_scenario(name) == Path("scenarios/shipped.yaml")
    (shelf / "shipped.yaml").write_text("")
    assert shelves.find_scenario(name) == Path("shipped.yaml")


def test_a_folder_is_no_scenario(shelf):
    (shelf / "shipped").mkdir()
    assert shelves.find_scenario("shipped").name == "shipped.yaml"


def test_a_path_is_looked_for_where_it_points_and_nowhere_else(shelf):
    (shelf / "scenarios" / "mine.yaml").write_text("")
    assert shelves.find_scenario("scenarios/mine") == Path("scenarios/mine.yaml")
    assert shelves.find_scenario("./scenarios/mine.yaml") == Path("scenarios/mine.yaml")
    with pytest.raises(UsageError, match=f"^no scenario './shipped.yaml' in {shelf}$"):
        shelves.find_scenario("./shipped.yaml")


def test_what_comes_near(shelf):
    (shelf / "scenarios" / "skipped.yaml").write_text("")
    with pytest.raises(UsageError) as caught:
        shelves.find_scenario("shiped.yaml")
    folders = f"{shelf}, {shelf}/scenarios, {shelf.parent}/package/scenarios"
    assert str(caught.value) == f"no scenario 'shiped.yaml' in {folders}; did you mean shipped or skipped?"
    with pytest.raises(UsageError, match=r"package/scenarios$"):
        shelves.find_scenario("zzz")


def test_those_that_ship_are_found(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shelves.find_scenario("connection-refused") == root / "scenarios" / "connection-refused.yaml"


def test_every_scenario_that_has_a_bare_name_and_its_title(shelf):
    texts = {
        "scenarios/near.yaml": "# a comment\nscenario: near  # its name\ntitle: 'Near'\n",
        "quoted.yaml": 'scenario: "quoted"\ntitle: "It\'s a title\'\n',
        "other.yaml": "scenario: another\ntitle: Not called as its file is\n",
        "notes.yaml": "about: no scenario\n",
        "notes.txt": "scenario: notes\n",
    }
    for name, text in texts.items():
        (shelf / name).write_text(text)
    (shelf / "folder.yaml").mkdir()
    package = shelf.parent / "package" / "scenarios"
    for name in ("near", "far"):
        (package / f"{name}.yaml").write_text(f"scenario: {name}\ntitle: Far\n")
    found = shelves.every_scenario()
    assert list(found.items()) == [
        ("far", package / "far.yaml"),
        ("near", Path("scenarios/near.yaml")),
        ("quoted", Path("quoted.yaml")),
    ]
    assert [shelves.title_of(path) for path in found.values()] == ["Far", "Near", "\"It's a title'"]
    assert shelves.title_of(shelf / "gone.yaml") == shelves.title_of(shelf / "notes.yaml") == ""


def test_each_folder_is_named_once(shelf, monkeypatch):
    monkeypatch.setattr(shelves, "shipped", lambda kind: shelf / kind)
    with pytest.raises(UsageError, match=f"^no scenario 'zzz' in {shelf}, {shelf}/scenarios$"):
        shelves.find_scenario("zzz")


def test_what_is_no_scenario_is_called_what_it_is(shelf):
    with pytest.raises(UsageError, match=r"^\. is a directory: name the scenarios in it, \*\.yaml$"):
        shelves.find_scenario(".")
    (shelf / "line.yaml").write_text("topology: line\nhosts:\n  romeo:\n")
    with pytest.raises(UsageError, match=r"^line\.yaml is a topology and no scenario"):
        shelves.find_scenario("line")
