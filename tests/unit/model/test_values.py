"""The small values: places, comparisons, and that records stay as they were made."""

import msgspec
import pytest

from orchestrator.model.words.values import Comparison, Record, Where


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        ("==", False, True, False),
        ("!=", True, False, True),
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
    ],
)
def test_a_number_is_held_against_another(operator, below, at, above):
    comparison = Comparison(operator=operator, low=5)
    assert [comparison.holds(number) for number in (4, 5, 6)] == [below, at, above]


def test_a_range_holds_both_its_ends():
    comparison = Comparison(operator="..", low=2, high=4)
    assert [comparison.holds(number) for number in (1, 2, 3, 4, 5)] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("comparison", "text"),
    [
        (Comparison(operator="==", low=20), "20"),
        (Comparison(operator=">=", low=3), ">= 3"),
        (Comparison(operator="!=", low=0), "!= 0"),
        (Comparison(operator="..", low=1, high=4), "1..4"),
    ],
)
def test_how_a_comparison_is_written(comparison, text):
    assert str(comparison) == text


def test_an_operator_that_nobody_knows():
    with pytest.raises(KeyError):
        Comparison(operator="~", low=1).holds(1)


def test_a_place_reads_as_editors_read_it():
    assert str(Where(path="x.yaml", line=14, column=11)) == "x.yaml:14:11"
    assert str(Where(path="x.yaml", line=14)) == "x.yaml:14:1"


def test_places_are_sorted_by_file_line_and_column():
    places = [Where(path=path, line=line, column=column) for path, line, column in (("b", 1, 1), ("a", 2, 1), ("a", 1, 9), ("a", 1, 2))]
    assert [str(place) for place in sorted(places)] == ["a:1:2", "a:1:9", "a:2:1", "b:1:1"]


def every(kind):
    for below in kind.__subclasses__():
        yield below
        yield from every(below)


def test_every_record_is_frozen_and_keyword_only():
    import orchestrator.model.evidence
    import orchestrator.model.plan
    import orchestrator.model.record
    import orchestrator.model.verdict  # noqa: F401 - they are found below Record

    kinds = [kind for kind in every(Record) if kind.__module__.startswith("orchestrator.model.")]
    assert len(kinds) > 50
    assert [kind.__name__ for kind in kinds if not kind.__struct_config__.frozen] == []
    for kind in kinds:
        with pytest.raises(TypeError, match="Extra positional arguments"):
            kind("in its place")


def test_a_record_is_saved_without_its_defaults():
    assert msgspec.json.encode(Comparison(operator="==", low=1)) == b'{"operator":"==","low":1}'
    assert msgspec.json.decode(b'{"operator":"==","low":1}', type=Comparison) == Comparison(operator="==", low=1, high=0)
