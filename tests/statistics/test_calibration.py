"""Brier score, calibration error and bands: plain formulas, and coverage where the truth is known."""

from __future__ import annotations

import math
import re

import naive_statistics as naive
import numpy as np
import pytest
from command_line import in_process, result

import streameval as se
from streameval.errors import DataError, UsageError
from streameval.reports.json import dumps
from streameval.statistics.calibration import (
    brier,
    brier_scores,
    calibration_error,
    class_bands,
    reliability,
)

GRID = np.array([0.3, 0.5, 0.7, 0.9, 0.97, 0.995])
SHARES = np.array([0.05, 0.05, 0.1, 0.2, 0.3, 0.3])


def drawn(rng, size, off):
    """Confidences on a grid, and right rows at a chance that is lower by `off` times what is missing to the middle."""
    c = rng.choice(GRID, size, p=SHARES)
    return c, rng.random(size) < c - off * c * (1 - c)


def truth(off):
    return math.sqrt(np.sum(SHARES * (off * GRID * (1 - GRID)) ** 2))


def test_the_brier_score_is_the_mean_squared_gap_to_the_one_hot_target():
    rng = np.random.default_rng(0)
    p, t = rng.dirichlet(np.ones(5), 200), rng.integers(0, 5, 200)
    expected = ((p - np.eye(5)[t]) ** 2).sum(axis=1)
    assert brier_scores(p, t) == pytest.approx(expected, rel=1e-12)
    found = brier(brier_scores(p, t))
    assert found.value == pytest.approx(expected.mean())
    assert found.interval.low < expected.mean() < found.interval.high
    grouped = brier(expected, groups=np.arange(200) // 4)
    assert grouped.value == pytest.approx(expected.mean())
    assert '"estimates": "further data"' in dumps(grouped)


def test_guaranteed_brier_intervals_hold_where_few_rows_are_surely_wrong():
    """200 samples of 60 rows, of which 1 % score 2: by betting at least 95 %, less 4 standard errors; by t far less."""
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(200):
        scores = np.where(rng.random(60) < 0.01, 2.0, 0.001 * rng.random(60))
        mean = 0.02 + 0.99 * 0.0005
        held += [mean in brier(scores, guaranteed=True).interval, mean in brier(scores).interval]
    assert held[0] / 200 >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 200)
    assert held[1] / 200 < 0.65


def test_the_calibration_error_is_that_of_plain_loops():
    c, y = drawn(np.random.default_rng(2), 400, 0.8)
    expected = naive.calibration_square(c.tolist(), y.tolist(), np.searchsorted(GRID, c).tolist())
    assert calibration_error(c, y, bins=60).value == pytest.approx(math.sqrt(expected), rel=1e-9)
    alone = calibration_error(c, y, bins=60, groups=np.arange(400))
    assert alone.value == pytest.approx(math.sqrt(expected), rel=0.02)


@pytest.mark.parametrize(("off", "size"), [(0.0, 500), (0.3, 500), (1.0, 500), (0.0, 5000), (0.5, 5000)])
def test_its_interval_covers_what_is_known_and_its_bias_is_gone(off, size):
    """400 samples at 95 %: at least 93 % less 4 standard errors; E^2 is right on average, 4 standard errors."""
    rng = np.random.default_rng(3)
    held, plain, squares = 0, [], []
    for _ in range(400):
        c, y = drawn(rng, size, off)
        found = calibration_error(c, y)
        held += truth(off) in found.interval
        bins = np.searchsorted(GRID, c)
        gap = np.bincount(bins, c - y, 6) / np.bincount(bins, minlength=6)
        plain.append(np.sum(np.bincount(bins, minlength=6) / size * gap**2))
        squares.append(naive_square(c, y, bins))
    assert held / 400 >= 0.93 - 4 * math.sqrt(0.93 * 0.07 / 400)
    error = np.std(squares) / math.sqrt(400)
    assert np.mean(squares) == pytest.approx(truth(off) ** 2, abs=4 * error)
    assert np.mean(plain) > truth(off) ** 2 + (4 * error if size == 500 else 0.0)


@pytest.mark.parametrize(("size", "right", "confidence"), [(300, 0.9, 0.95), (5000, 0.99, 0.995)])
def test_an_error_of_twice_its_chance_in_one_bin_costs_some_points(size, right, confidence):
    """600 samples at 95 %: it covers some 90 %, at 4 standard errors, and says that it is approximate."""
    rng = np.random.default_rng(11)
    found = [calibration_error(np.full(size, confidence), rng.random(size) < right) for _ in range(600)]
    held = np.mean([abs(confidence - right) in one.interval for one in found])
    assert held == pytest.approx(0.9, abs=4 * math.sqrt(0.9 * 0.1 / 600))
    assert held < 0.94
    assert all("approximately" in one.interval.assumes for one in found)


def naive_square(c, y, bins):
    """The debiased square by arrays; `test_the_calibration_error_is_that_of_plain_loops` has it by loops."""
    rows = np.bincount(bins, minlength=6)
    gap = c - y
    mean = np.bincount(bins, gap, 6) / rows
    variance = (np.bincount(bins, gap**2, 6) - rows * mean**2) / (rows - 1)
    return float(np.sum(rows / len(c) * (mean**2 - variance / rows)))


def test_groups_widen_the_interval_as_they_must():
    """200 samples of 150 groups of eight rows that are right or wrong together: 95 % covers 91 % or more, 4 se."""
    rng = np.random.default_rng(4)
    held = plain = 0
    for _ in range(200):
        c = np.repeat(rng.choice(GRID, 150, p=SHARES), 8)
        y = np.repeat(rng.random(150), 8) < c
        groups = np.repeat(np.arange(150), 8)
        held += calibration_error(c, y, groups=groups).interval.low == 0.0
        plain += calibration_error(c, y).interval.low == 0.0
    assert held / 200 >= 0.91 - 4 * math.sqrt(0.91 * 0.09 / 200)
    assert plain / 200 < 0.5


def test_models_that_are_nearly_always_right_are_warned_of():
    """Of 1,000 rows at 99.9 %, a third of samples have none wrong; intervals of no width miss, and say so.

    500 samples at 95 %: all that miss warn, but for what chance allows (4 standard errors of 5 %).
    """
    rng = np.random.default_rng(8)
    missed, silent = np.zeros(2), np.zeros(2)
    confidence = np.full(1000, 0.995)
    truths = 0.004, 2 * (0.999 * 0.005**2 + 0.001 * 0.995**2)
    for _ in range(500):
        right = rng.random(1000) < 0.999
        found = calibration_error(confidence, right), brier(2 * np.square(right - confidence))
        wrong = np.array([true not in one.interval for true, one in zip(truths, found, strict=True)])
        missed += wrong
        silent += wrong & [one.interval.warning is None for one in found]
    assert (missed / 500 > 0.2).all()
    assert (silent / 500 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 500)).all()
    sure = calibration_error(np.ones(50), np.ones(50, bool)).interval.warning
    assert "0 of 50 rows are wrong" in str(sure)
    assert "spread of 0 says nothing" in str(brier(np.zeros(50)).interval.warning)
    assert calibration_error(*drawn(rng, 2000, 0.0)).interval.warning is None
    assert brier(rng.random(2000)).interval.warning is None


def test_reports_warn_where_every_row_is_right(network_file, digits_file):
    model, chunk = se.load_model(network_file), se.open(digits_file).take(np.arange(3000))
    kept = np.flatnonzero(se.predict(model, chunk.x).argmax(axis=1) == chunk.t)[:200]
    data = np.ascontiguousarray(chunk.x[kept]), chunk.t[kept]
    shown = " ".join(str(se.calibration(model, data)).split())
    assert "Warning, error: 0 of 200 rows are wrong" in shown
    grouped = " ".join(str(se.evaluate(model, data, groups=np.arange(200) // 4)).split())
    assert "Warning: Accuracy: All groups are alike" in grouped


def test_of_one_group_nothing_is_known():
    """A group that alone fills a bin shows no spread between groups there; one that is all there is, in none."""
    c, y = drawn(np.random.default_rng(9), 400, 0.0)
    one = calibration_error(c, y, groups=np.zeros(400, np.int64)).interval
    assert (one.low, one.high) == (0.0, 1.0)
    assert "One group" in str(one.warning)
    whose = np.searchsorted(GRID, c)
    rows = np.bincount(whose) / 400
    alone = calibration_error(c, y, bins=100, groups=whose).interval
    assert alone.high**2 >= 1.95 * math.sqrt(2 * np.sum((0.25 * rows) ** 2)) - 0.25
    assert "6 groups" in str(alone.warning)


def test_no_error_of_calibration_is_over_one():
    found = calibration_error(np.ones(1), np.zeros(1, bool))
    assert found.interval.high == 1.0


def test_bands_hold_for_all_bins_and_all_classes_together():
    """500 samples at 90 %: all accuracies at once, less 4 standard errors."""
    rng = np.random.default_rng(5)
    held = np.zeros(2)
    for _ in range(500):
        c, y = drawn(rng, 300, 0.0)
        bands = reliability(c, y, bins=40, level=0.9)
        held[0] += all(one.confidence in one.interval for one in bands)
        t = rng.integers(0, 8, 300)
        classes = class_bands(rng.random(300) < 0.5 + 0.05 * t, t, level=0.9)
        held[1] += all(0.5 + 0.05 * one.label in one.interval for one in classes)
    assert (held / 500 >= 0.9 - 4 * math.sqrt(0.09 / 500)).all()
    assert sum(one.rows for one in bands) == sum(one.rows for one in classes) == 300
    assert sum(one.right for one in bands) == y.sum()


def test_the_demo_network_is_measured(network_file, digits_file):
    model, chunk = se.load_model(network_file), se.open(digits_file).take(np.arange(3000))
    p = se.predict(model, chunk.x)
    found = calibration_error(p.max(axis=1), p.argmax(axis=1) == chunk.t)
    assert 0.0 <= found.interval.low <= found.value <= found.interval.high < 0.1
    assert brier(brier_scores(p, chunk.t)).value < 0.1


def test_the_command_gives_what_the_library_gives(network_file, digits_file):
    model, groups = se.load_model(network_file), np.arange(3000) // 6
    found = se.calibration(model, digits_file)
    chunk = se.open(digits_file).take(np.arange(3000))
    p = se.predict(model, chunk.x)
    right = p.argmax(axis=1) == chunk.t
    assert found.error == calibration_error(p.max(axis=1), right)
    assert found.brier == brier(brier_scores(p, chunk.t))
    assert found.classes == class_bands(right, chunk.t)
    said = result("calibration", network_file, digits_file)
    assert said["calibration_error"] == found.error.to_dict()
    assert [one["label"] for one in said["classes"]] == list(range(10))
    shown = in_process("calibration", network_file, digits_file, "--bins", "5").stdout
    assert "of further data at about 95 %" in " ".join(shown.split())
    grouped = se.calibration(model, digits_file, groups=groups)
    assert grouped.groups == 500
    assert grouped.error == calibration_error(p.max(axis=1), right, groups=groups)


@pytest.mark.parametrize("returns", ["logits", "probabilities"])
def test_any_model_of_classes_is_measured_by_its_own_probabilities(returns):
    rng = np.random.default_rng(12)
    x, t = rng.normal(size=(400, 5)).astype(np.float32), rng.integers(0, 3, 400)
    weight = rng.normal(size=(5, 3))
    e = np.exp((x @ weight) - (x @ weight).max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)

    def predict(rows):
        z = rows @ weight
        if returns == "logits":
            return z
        powers = np.exp(z - z.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    found = se.calibration(se.Predictor(predict=predict, returns=returns), (x, t))
    wanted = calibration_error(p.max(axis=1), p.argmax(axis=1) == t)
    assert found.error.value == pytest.approx(wanted.value, rel=1e-9)
    assert found.brier.value == pytest.approx(brier(brier_scores(p, t)).value, rel=1e-9)


@pytest.mark.parametrize("whole", [True, False])
def test_saved_outputs_are_measured_where_those_of_all_classes_were_kept(whole):
    rng = np.random.default_rng(13)
    p, t = rng.dirichlet(np.ones(4), 300), rng.integers(0, 4, 300)
    saved = se.open_outputs({"p": p, "t": t}, probabilities="p", label="t", whole=whole)
    if whole:
        found, wanted = se.calibration(saved), calibration_error(p.max(axis=1), p.argmax(axis=1) == t)
        assert found.error.value == pytest.approx(wanted.value, rel=1e-9)
        assert found.to_dict()["model"]["saved"]["kind"] == "probabilities"
        assert str(found).startswith("saved outputs, in memory: calibration")
    else:
        with pytest.raises(UsageError, match=r"gives no probabilities of all classes.*whole=True"):
            se.calibration(saved)


def test_a_row_that_is_not_finite_is_named_by_its_number_and_file(network_file, tmp_path):
    x = np.random.default_rng(0).random((16_500, 784), np.float32)
    x[16_391, 5] = np.nan
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", np.zeros(len(x), np.int64))
    done = in_process("calibration", network_file, tmp_path)
    assert done.returncode == 3
    assert re.search(r"images\.npy, row 16391: .*NaN", done.stderr)


def test_probabilities_have_no_eps(network_file, digits_file):
    done = in_process("calibration", network_file, digits_file, "--eps", "0")
    assert done.returncode == 2
    assert "--eps" in done.stderr


def test_what_are_no_probabilities_is_refused():
    with pytest.raises(DataError, match="probabilities, row 1"):
        brier_scores([[0.5, 0.5], [0.5, 0.6]], np.array([0, 1]))
    with pytest.raises(DataError, match="labels, row 0: 2"):
        brier_scores([[0.5, 0.5]], np.array([2]))
    with pytest.raises(UsageError, match=r"\(n, classes\)"):
        brier_scores([0.5, 0.5], np.array([0, 1]))
    with pytest.raises(UsageError, match="one of each"):
        calibration_error([0.5], [True, False])
    with pytest.raises(DataError, match=r"confidence, row 0: 1\.5"):
        calibration_error([1.5], [True])
    with pytest.raises(DataError, match=r"right, row 1: nan"):
        calibration_error([1.0, 1.0], [1.0, math.nan])
    with pytest.raises(DataError, match=r"right, row 0: 0\.5"):
        reliability([1.0, 1.0], [0.5, 1.0])
    with pytest.raises(UsageError, match="bins 0"):
        reliability([0.5], [True], bins=0)
    with pytest.raises(UsageError, match="guaranteed with groups"):
        brier([0.5], groups=[0], guaranteed=True)
    with pytest.raises(UsageError, match="labels from 0"):
        class_bands([True], np.array([-1]))
