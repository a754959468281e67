"""Text for terminals: nothing wider than the window, nothing the encoding lacks, and the numbers are the report's."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streameval as se
from streameval.evaluation.counts import Counts
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Resources
from streameval.evaluation.state import Classification, ClassSums, LossSums, State
from streameval.losses import CrossEntropy
from streameval.reports import numbers, text
from streameval.reports.terminal import PLAIN, TextStyle, fields, numbered, paragraph, table, visible, wrapped
from streameval.statistics.intervals import interval
from streameval.studies.minibatch import MiniBatches
from streameval.studies.sampler import MiniBatch

UNIT = 1 << 40


def report(classes: int = 10, *, rows: int = 40, left_out: int = 0) -> Report:
    """A report of made-up sums: class k has `rows` rows of a loss of k + 1 hundredths, and k mistakes."""
    states = tuple(ClassSums(rows, rows - min(k, rows), rows * (k + 1) * UNIT // 100) for k in range(classes))
    matrix = np.zeros((classes, classes), int)
    for k in range(classes):
        matrix[k, k], matrix[k, (k + 1) % classes] = rows - min(k, rows), min(k, rows)
    units = sum(one.units for one in states)
    sums = LossSums(
        rows * classes,
        units,
        2 * units**2 // max(1, rows * classes),
        0.01 if rows else math.inf,
        classes / 100 if rows else -math.inf,
        tuple((9.5 - k, 70 + k) for k in range(10)) if rows else (),
        left_out,
    )
    state = State(sums, Classification(states, Counts(matrix)))
    model = se.Mlp([se.Layer(np.ones((4, classes), np.float32), np.zeros(classes, np.float32), "identity")])
    data = se.open((np.zeros((max(rows, 1), 4), np.uint8), np.zeros(max(rows, 1), np.int64)))
    return Report(state, CrossEntropy(), model, data, Resources(0.5, 800.0, 2, 10 << 20, 3 << 20))


def test_a_report_says_what_matters_with_its_numbers() -> None:
    shown = text.report(report(), TextStyle())
    assert "loss" in shown.splitlines()[2]
    assert "0.0550000000 nats" in shown
    assert "88.75 %  (355 of 400 rows right)" in shown
    assert "70 (9.50), 71 (8.50)" in shown
    assert report().digest in shown
    assert "500 ms, 800 rows/s, threads: 2" in shown


def test_the_grid_of_mistakes_is_the_confusion_matrix() -> None:
    lines = text.report(report(), TextStyle()).splitlines()
    start = next(k for k, line in enumerate(lines) if line.split()[:2] == ["true", "0"])
    for k in range(10):
        cells = [0 if cell == "·" else int(cell) for cell in lines[start + 1 + k].split()]
        assert cells == [k, *report().state.confusion[k]]


def test_many_classes_show_the_worst_ones_and_the_most_frequent_mistakes() -> None:
    shown = text.report(report(300), TextStyle())
    listed = [int(line.split()[0]) for line in shown.splitlines() if re.match(r"\s+\d+\s+40\s", line)]
    assert listed == list(range(299, 279, -1))
    assert "20 classes of 300" in shown
    assert re.search(r"most frequent mistakes\n\s+true\s+predicted\s+rows\n\s+40\s+41\s+40\n", shown)


def test_no_rows_and_rows_left_out_are_said() -> None:
    shown = text.report(report(rows=0, left_out=7), TextStyle())
    assert "– nats" in shown
    assert "7 rows whose loss is not finite" in shown
    assert "class" not in shown


@given(st.integers(40, 160), st.integers(1, 40), st.booleans(), st.booleans())
def test_no_line_is_wider_than_the_window_whatever_the_classes(
    width: int, classes: int, colour: bool, unicode: bool
) -> None:
    style = TextStyle(width, colour, unicode)
    for line in text.report(report(classes), style).splitlines():
        # A word that cannot be cut (a digest, a path) is left whole on a line of its own.
        shown = re.sub(r"\x1b\[[\d;]*m", "", line)
        assert visible(shown) <= width or len(shown.split()) <= 2, line


def test_ascii_is_all_there_is_where_the_encoding_has_no_more() -> None:
    for shown in (
        text.report(report(), TextStyle(unicode=False)),
        text.minibatches(batches(), TextStyle(unicode=False)),
    ):
        assert shown.isascii()
    assert not text.report(report(), TextStyle()).isascii()
    assert all(simple.isascii() for simple in PLAIN.values())


def test_a_look_follows_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(encoding: str, terminal: bool) -> io.TextIOWrapper:
        made = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(made, "isatty", lambda: terminal, raising=False)
        return made

    monkeypatch.setenv("COLUMNS", "133")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert TextStyle.of(stream("utf-8", True)) == TextStyle(133, True, True)
    assert TextStyle.of(stream("utf-8", False)) == TextStyle(80, False, True)
    assert TextStyle.of(stream("ascii", False)) == TextStyle(80, False, False)
    assert TextStyle.of(stream("latin-1", False)).unicode is False
    monkeypatch.setenv("NO_COLOR", "1")
    assert TextStyle.of(stream("utf-8", True)).colour is False


def batches() -> MiniBatches:
    """Two batches of five rows of made-up losses."""
    made = report()
    losses = [np.array([0.0, 0.1, 0.2, 0.3, 2.0]), np.array([0.1, 0.1, 0.1, 0.2, 0.5])]
    drawn = tuple(MiniBatch(float(one.mean()), np.arange(5), one, interval(one, "skew")) for one in losses)
    return MiniBatches(drawn, True, 3, 1e-7, made.model, made.data)


def test_mini_batches_show_their_losses_intervals_and_warnings() -> None:
    made = batches()
    shown = text.minibatches(made, TextStyle())
    assert "0.5200" in shown
    assert "0.2000" in shown
    assert text.span(made.interval) in shown
    assert "with replacement, seed 3" in shown
    joined = " ".join(shown.split())
    assert "Assumed: the rows were drawn at random, and the sample's own skewness" in joined
    warning = made.interval.warning
    assert warning is not None
    assert warning in joined


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 50))
def test_wrapping_keeps_every_word_in_order(words: str, width: int) -> None:
    lines = wrapped(words, width)
    assert " ".join(lines).split() == words.split()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)


@pytest.mark.parametrize("whole", ["± 0.02", "26.52 %", "79019 (8.90),", "(26.5 %)", "± 3 %"])
def test_a_number_is_not_torn_from_its_sign_unit_or_bracket(whole: str) -> None:
    """At no width that has room for it."""
    said = f"read {whole} of 60,000 rows"
    for width in range(len(whole), 40):
        assert any(whole in line for line in wrapped(said, width)), width
        assert " ".join(wrapped(said, width)) == said


def test_tables_and_fields_are_aligned() -> None:
    style = TextStyle(40)
    lines = table(("name", "n"), [("a", "1"), ("long", "1000")], style, left=1)
    assert lines == ["  name     n", "  a        1", "  long  1000"]
    assert fields([("a", "x"), ("bcd", "1 2")], style) == ["  a    x", "  bcd  1 2"]
    assert all(len(line) <= 40 for line in paragraph("word " * 30, style))
    assert numbered("1. " + "word " * 12, style)[1].startswith("   word")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.nats(0.2240008), "0.2240"),
        (numbers.nats(0.00019696), "1.970e-04"),
        (numbers.nats(0.0), "0.0000"),
        (numbers.nats(-0.5, 2), "-0.50"),
        (numbers.nats(None), "–"),
        (numbers.nats(math.inf), "∞"),
        (numbers.nats(-math.inf), "-∞"),
        (numbers.percent(0.93577), "93.58 %"),
        (numbers.percent(None), "–"),
        (numbers.confidence(0.5), "50 %"),
        (numbers.confidence(0.975), "97.5 %"),
        (numbers.confidence(0.99), "99 %"),
        (numbers.confidence(0.999), "99.9 %"),
        (numbers.confidence(1.0 - (1.0 - 0.999) * 2), "99.8 %"),
        (numbers.confidence(59 / 60), "98.33 %"),
        (numbers.confidence(math.nextafter(1.0, 0.0)), "99.99999999999999 %"),
        (numbers.count(60000), "60,000"),
        (numbers.rate(3_210_000.0), "3.21 million rows/s"),
        (numbers.rate(4_500.0), "4.5 thousand rows/s"),
        (numbers.rate(12.0), "12 rows/s"),
        (numbers.bytes_(0), "0 B"),
        (numbers.bytes_(47_040_016), "44.9 MiB"),
        (numbers.bytes_(2**40 * 3), "3.0 TiB"),
        (numbers.seconds(0.01234), "12.3 ms"),
        (numbers.seconds(90), "90 s"),
        (numbers.seconds(600), "10 min"),
        (numbers.seconds(10_800), "3 h"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected
