"""Times, rates, comparisons, places, rules."""

from __future__ import annotations

import pytest

from orchestrator.loading.keys.words import timed
from orchestrator.loading.notation import values
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.notation.places import place
from orchestrator.model.words.expectations import Place
from orchestrator.model.words.values import Comparison


@pytest.mark.parametrize(
    ("function", "text", "value"),
    [
        (values.duration_ns, "250us", 250_000),
        (values.duration_ns, "250ms", 250_000_000),
        (values.duration_ns, "1.5s", 1_500_000_000),
        (values.duration_ns, "0.1 s", 100_000_000),
        (values.duration_ns, "2min", 120_000_000_000),
        (values.duration_ns, "24h", 86_400_000_000_000),
        (values.duration_ns, "1.0000005ms", 1_000_000),
        (values.rate_bits, "3gbit", 3_000_000_000),
        (values.rate_bits, "10mbit", 10_000_000),
        (values.rate_bits, "1.5 kbit", 1500),
        (values.loss_millis, "1.5%", 1500),
        (values.loss_millis, "100%", 100_000),
        (values.kernel_version, ">=6.5", ">= 6.5"),
        (values.kernel_version, "< 6.10.3", "< 6.10.3"),
        (timed, "250ms", (None, 250_000_000)),
        (timed, "connecting", ("connecting", 0)),
        (timed, "connecting + 1.5s", ("connecting", 1_500_000_000)),
        (timed, "romeo tries a port+2s", ("romeo tries a port", 2_000_000_000)),
        (values.split_words, "sh -c 'a b'", ("sh", "-c", "a b")),
        (values.rule_words, "-t nat -A POSTROUTING -j MASQUERADE", ("-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")),
        (values.rule_words, "-I INPUT -m comment --comment -F -j DROP", ("-I", "INPUT", "-m", "comment", "--comment", "-F", "-j", "DROP")),
    ],
)
def test_values(function, text, value):
    assert function(text) == value


@pytest.mark.parametrize(
    ("text", "holds", "fails"),
    [
        ("20", 20, 19),
        ("== 20", 20, 21),
        (">= 3", 3, 2),
        ("<=3", 3, 4),
        ("> 3", 4, 3),
        ("< 3", 2, 3),
        ("!= 0", 1, 0),
        ("1..4", 4, 5),
        ("1 .. 4", 1, 0),
    ],
)
def test_comparisons(text, holds, fails):
    assert values.comparison(text).holds(holds)
    assert not values.comparison(text).holds(fails)


def test_a_number_alone_is_equality():
    assert values.comparison("20") == Comparison(operator="==", low=20)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        *((values.duration_ns, text) for text in ("", "5", "-1s", "1 week", "1e3s", "25h", "s", "1s 2s", "٣s")),
        *((values.rate_bits, text) for text in ("", "0mbit", "10", "1tbit", "9999gbit")),
        *((values.loss_millis, text) for text in ("", "101%", "-1%", "5", "100.1%")),
        *((values.comparison, text) for text in ("", "4..1", "=3", "three", "-1", ">= 3 4", "1...4", "9" * 30)),
        *((values.kernel_version, text) for text in ("", "6.5", ">= six", ">= 6.")),
        *((values.split_words, text) for text in ("", "  ", "'open", "''", "a 'b\0c'")),
        *(
            (values.rule_words, text)
            for text in ("-F", "--flush", "-A INPUT -D INPUT", "-A A -A B", "ip6tables -A INPUT", "INPUT", "-t nat")
        ),
        *((values.regular_expression, text) for text in ("(", "*", "a{9999999999999}")),
    ],
)
def test_what_is_refused(function, text):
    with pytest.raises(Misread):
        function(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("romeo", "romeo", None),
        ("romeo:4000", "romeo", 4000),
        ("romeo@lan:4000", "romeo@lan", 4000),
        (":4000", None, 4000),
        ("*:4000", None, 4000),
        ("romeo:*", "romeo", None),
        ("4000", None, 4000),
        ("10.10.0.1:4000", "10.10.0.1", 4000),
        ("[fd00:0::1]:4000", "fd00::1", 4000),
        ("[::]", "::", None),
    ],
)
def test_places(text, host, port):
    assert place(text) == Place(host=host, port=port)


@pytest.mark.parametrize("text", ["", "a b", "romeo:0", "romeo:65536", "romeo:x", "fd00::1", "[fd00::1", "[zz::]:1", "0", "99999999999"])
def test_places_that_are_none(text):
    with pytest.raises(Misread):
        place(text)
