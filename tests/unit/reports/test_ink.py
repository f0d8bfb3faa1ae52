"""Lines fit the screen, whatever is in them."""

import io
import os
import pty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.reports.drawing.ink import Ink, Style, cell, clean, duration, fit, wants_colour, width_of


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ms"),
        (20_400, "0.02 ms"),
        (994_000, "0.99 ms"),
        (995_000, "1.0 ms"),
        (4_120_000, "4.1 ms"),
        (9_949_999, "9.9 ms"),
        (9_950_000, "10 ms"),
        (47_800_000, "48 ms"),
        (999_499_999, "999 ms"),
        (999_500_000, "1.00 s"),
        (59_994_000_000, "59.99 s"),
        (59_995_000_000, "1 min 00 s"),
        (125_000_000_000, "2 min 05 s"),
    ],
)
def test_durations(ns, text):
    assert duration(ns) == text


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from(Style)), max_size=6), st.integers(1, 100))
def test_a_line_never_exceeds_its_width(spans, width):
    assert len(Ink(width=width).line(*spans)) <= width


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from(Style)), max_size=6), st.integers(0, 100))
def test_colours_change_nothing_but_colours(spans, width):
    painted = Ink(colour=True, width=width).line(*spans)
    for style in Style:
        painted = painted.replace(f"\x1b[{style}m", "") if style else painted
    assert painted.replace("\x1b[0m", "") == Ink(width=width).line(*spans)


@given(st.text(max_size=40), st.integers(1, 60))
def test_a_cell_has_exactly_its_width(text, width):
    assert len(cell(text, width)) == width


@given(st.text(max_size=60))
def test_nothing_moves_the_cursor(text):
    assert not any(ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 for sign in clean(text))


def test_an_escape_sequence_is_told_not_obeyed():
    assert clean("\x1b[2Jgone\r\n") == "\\x1b[2Jgone\\r\\n"
    assert clean("a\u202eb") == "a\\u202eb"


def test_a_line_that_is_too_long_ends_in_an_ellipsis():
    assert Ink(width=8).line(("abcd", Style.RED), ("efghij", Style.PLAIN)) == "abcdefg…"
    assert Ink(width=0).line(("x" * 500, Style.PLAIN)) == "x" * 500


def test_sentences_wrap_between_words_and_options_stay_whole():
    rows = Ink(width=40).wrapped("  saw  ", "iptables -I INPUT -p tcp --sport 5555 --tcp-flags SYN,ACK")
    assert rows == ["  saw  iptables -I INPUT -p tcp --sport", "       5555 --tcp-flags SYN,ACK"]


class Stream(io.StringIO):
    def __init__(self, encoding):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding


def test_a_stream_without_arrows_gets_ascii_of_the_same_width():
    text = "✓ ── S ──▶ ◀── ╳ … │ ü"
    assert fit(text, Stream("utf-8")) == text
    assert fit(text, Stream("ascii")) == "+ -- S --> <-- x ~ | ?"
    assert fit(text, Stream("latin-1")) == "+ -- S --> <-- x ~ | ü"
    assert len(fit(text, Stream("ascii"))) == len(text)


@pytest.fixture
def terminal():
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb"), os.fdopen(terminal, "w") as stream:
        yield stream


def test_colours_are_for_terminals_whose_owner_wants_them(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(terminal)
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(terminal)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(terminal)


def test_a_file_is_eighty_columns_wide(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width_of(io.StringIO()) == 80


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("0", 80), ("", 80), ("wide", 80), ("-5", 80)])
def test_who_says_how_wide_gets_it_in_a_pipe_too(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(io.StringIO()) == width
