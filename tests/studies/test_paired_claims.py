"""What `paired` claims, and of which rows: decided signs, e-values, several models, groups, accuracies, power."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process
from mnist_file import nudged
from scipy import stats

import streameval as se
from streameval.errors import UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.models.writing import save
from streameval.reports.json import dumps
from streameval.statistics.clusters import clustered
from streameval.statistics.decided import evidence
from streameval.studies.paired_result import p_of

R = -math.log(1e-7)


@pytest.fixture(scope="module")
def worse(models):
    return nudged(models[0], 0.2, seed=3)


@pytest.fixture(scope="module")
def losses(models, worse, digits_file):
    return [se.per_sample_losses(model, digits_file) for model in (models[0], worse)]


@pytest.fixture(scope="module")
def right(models, worse, digits_file):
    chunk = se.open(digits_file).take(np.arange(3000))
    return [se.predict(model, chunk.x).argmax(axis=1) == chunk.t for model in (models[0], worse)]


@pytest.fixture(scope="module")
def old(models, digits_file, tmp_path_factory):
    place = tmp_path_factory.mktemp("losses") / "old.arrow"
    se.evaluate(models[0], digits_file, options=PassOptions(losses=place))
    return place


@pytest.mark.parametrize("stored", [False, True])
def test_reading_stops_when_the_sign_is_known(models, worse, digits_file, losses, old, stored):
    given, options = ([worse], {"losses": old}) if stored else ([models[0], worse], {})
    result = se.paired(given, digits_file, until="decided", seed=1, **options).results[0]
    gap = (losses[1] - losses[0]).mean()
    assert (result.stopped.stopped, result.stopped.sign) == ("decided", 1)
    assert 0 <= result.difference.low <= gap <= result.difference.high  # seed 1: 95 of 100 would do
    assert result.stopped.rows_read < 2000
    said = result.to_dict()
    assert (said["estimates"], said["stopped"]) == ("these rows", "decided")
    assert said["e_value"] >= 20
    assert said["p_value"] <= 0.05
    assert said["first_full_loss"] == (pytest.approx(losses[0].mean()) if stored else None)
    if stored:
        assert result.loss.low <= losses[1].mean() <= result.loss.high
        assert result.loss.low - result.difference.low == pytest.approx(losses[0].mean())


def test_models_that_are_alike_are_read_to_the_end_and_then_known_exactly(models, digits_file):
    found = se.paired([models[0], models[0]], digits_file, until="decided").results[0]
    assert (found.stopped.stopped, found.stopped.sign, found.stopped.p_value) == ("exhausted", 0, 1.0)
    assert (found.difference.low, found.difference.high) == (0.0, 0.0)


def test_all_rows_speak_of_further_data_with_and_without_a_guarantee(models, worse, digits_file, losses):
    found = se.paired([models[0], worse], digits_file)
    result, gap = found.results[0], losses[1] - losses[0]
    sure = evidence(gap, bounds=(-R, R))
    said = result.to_dict()
    assert said["estimates"] == "further data"
    assert (said["e_value"], said["p_value"]) == pytest.approx((sure.e_value, sure.p_value), rel=1e-6)
    assert said["p_value_approximate"] == pytest.approx(
        stats.ttest_1samp(gap, 0).pvalue, rel=1e-6, abs=1e-300
    )
    assert said["power"]["detectable"] == pytest.approx(
        2.8015852 * gap.std(ddof=1) / math.sqrt(3000), rel=1e-6
    )
    assert "further data" in result.difference.assumes


def test_rows_right_for_one_model_alone_are_compared_exactly(models, worse, digits_file, right):
    said = se.paired([models[0], worse], digits_file).to_dict()["mcnemar"]
    one, two = np.sum(right[0] & ~right[1]), np.sum(right[1] & ~right[0])
    assert (said["only_first"], said["only_second"]) == (one, two)
    assert said["p_value"] == pytest.approx(stats.binomtest(int(one), int(one + two)).pvalue, rel=1e-9)


@pytest.mark.parametrize("how", [{}, {"until": "decided"}, {"half_width": 0.05}])
def test_accuracy_is_compared_as_the_share_of_wrong_rows(models, worse, digits_file, right, how):
    found = se.paired([models[0], worse], digits_file, of="accuracy", seed=2, **how)
    truth = right[0].mean() - right[1].mean()
    assert found.difference.low <= truth <= found.difference.high
    if not how:
        assert found.mean == pytest.approx(truth, abs=1e-12)
        assert found.results[0].pair.first_loss == pytest.approx(1 - right[0].mean(), abs=1e-12)
    if "until" in how:
        assert found.results[0].stopped.sign == 1
    assert found.to_dict()["of"] == "accuracy"


def test_a_spread_that_rounding_left_gives_no_p_value():
    assert p_of(0.1, 1e-17, 99.0) is None
    assert p_of(0.0, 0.1, 99.0) == pytest.approx(1.0)
    assert p_of(0.1, 0.05, 99.0) == pytest.approx(2 * stats.t.sf(2.0, 99))


@pytest.mark.parametrize(("of", "reach"), [("accuracy", 1.0), ("loss", R + 1e-7)])
def test_no_end_of_few_rows_lies_where_no_difference_can(models, worse, digits_file, right, of, reach):
    """Three rows, of which one model alone is right on one: Student's t would go beyond every row right or wrong."""
    chunk = se.open(digits_file).take(np.arange(3000))
    told = np.flatnonzero(right[0] & ~right[1])[:1]
    rows = np.concatenate([told, np.flatnonzero(right[0] & right[1])[:2]])
    if of == "loss":  # one hard row of two
        rows = rows[:2]
    data = np.ascontiguousarray(chunk.x[rows]), chunk.t[rows]
    other = nudged(models[0], 3.0, seed=1) if of == "loss" else worse
    for groups in (None, np.arange(len(rows))):
        for one in se.paired([models[0], other, worse], data, of=of, groups=groups).results:
            for interval in (one.difference, one.simultaneous):
                assert -reach <= interval.low <= one.pair.difference <= interval.high <= reach


def test_groups_widen_the_claim_about_further_data(models, worse, digits_file, losses):
    groups = np.argsort(np.argsort(losses[1] - losses[0], kind="stable")) // 30
    plain, found = (se.paired([models[0], worse], digits_file, groups=one) for one in (None, groups))
    wanted = clustered(losses[1] - losses[0], groups)
    result = found.results[0]
    assert result.clustered.stderr == pytest.approx(wanted.stderr, rel=1e-9)
    assert result.difference == pytest.approx(result.difference)
    assert result.difference.half_width == pytest.approx(wanted.interval().half_width, rel=1e-9)
    assert result.difference.half_width > 3 * plain.difference.half_width
    assert (result.evidence, result.to_dict()["e_value"]) == (None, None)
    assert result.to_dict()["groups"] == 100


@pytest.mark.parametrize("how", [{}, {"until": "decided"}, {"half_width": 0.1}])
def test_several_models_have_claims_that_hold_together(models, worse, digits_file, how):
    found = se.paired([models[0], worse, models[1]], digits_file, seed=4, **how)
    p = [one.evidence.p_value for one in found.results]
    assert [one.p_holm for one in found.results] == [min(1.0, 2 * p[0]), min(1.0, max(2 * p[0], p[1]))]
    assert found.results[0].e_bh
    for one in found.results:
        assert one.simultaneous.level == pytest.approx(0.975)
        assert one.simultaneous.low <= one.difference.low
        assert one.simultaneous.high >= one.difference.high
    assert dumps(found)
    alone = se.paired([models[0], worse], digits_file, seed=4, **how).results[0]
    assert (alone.simultaneous, alone.p_holm, alone.e_bh) == (None, None, None)


def test_intervals_of_several_hold_together_as_often_as_promised():
    """Three differences at 95 % together, by the shared level of the comparison: 2,000 samples, 4 standard errors."""
    rng = np.random.default_rng(5)
    held = 0
    from streameval.statistics.paired import paired

    for _ in range(2000):
        base = rng.exponential(size=400)
        gaps = {f"m{k}": base + rng.normal(0.1 * k, 0.5, 400) for k in range(3)}
        pairs = paired({"first": base, **gaps})
        held += all(0.1 * k in one.interval_at(1 - 0.05 / 3) for k, one in enumerate(pairs))
    assert held / 2000 >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize("groups", [None, [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("level", [0.85, 0.9, 0.95])
def test_the_interval_leaves_out_0_where_the_p_value_says_so(level, groups):
    gaps = np.array([0.5, 0.0, 0.6, -0.1, 0.4])  # p = 0.115 by Student's t, 0.04 by the normal distribution
    runs = [se.open_outputs({"loss": one}, loss="loss") for one in (np.ones(5), 1.0 + gaps)]
    result = se.paired(runs, level=level, groups=groups).results[0]
    assert result.p_approximate == pytest.approx(stats.ttest_1samp(gaps, 0.0).pvalue, rel=1e-9)
    assert (result.difference.low > 0) == (result.p_approximate < 1 - level)


@pytest.mark.parametrize("how", [{"until": "decided"}, {"half_width": 0.1}])
def test_rows_drawn_by_stored_losses_say_the_same_from_fewer_rows(
    worse, models, digits_file, losses, old, how
):
    uniform, found = (
        se.paired([worse], digits_file, losses=old, seed=1, draw=draw, **how).results[0]
        for draw in ("uniform", "weighted")
    )
    gap = (losses[1] - losses[0]).mean()
    assert found.difference.low <= gap <= found.difference.high  # seed 1: 95 of 100 would do
    assert found.loss.low <= losses[1].mean() <= found.loss.high
    assert found.pair.first_loss == pytest.approx(losses[0].mean(), rel=1e-12)
    assert found.pair.win_rate == pytest.approx(np.mean(losses[1] < losses[0]), abs=0.2)
    if "until" in how:
        assert found.stopped.sign == 1
        assert found.stopped.rows_read < 0.7 * uniform.stopped.rows_read
    assert dumps(found)
    several = se.paired([worse, models[1]], digits_file, losses=old, seed=1, draw="weighted", **how)
    assert several.results[0].simultaneous.low <= gap <= several.results[0].simultaneous.high


def test_what_does_not_go_together_is_refused(models, digits_file, old):
    for options, said in (
        ({"until": "soon"}, "Expected 'decided'"),
        ({"until": "decided", "half_width": 0.1}, "one way to stop"),
        ({"draw": "lots"}, "Expected uniform or weighted"),
        ({"draw": "weighted"}, "Add --losses"),
        ({"of": "speed"}, "Expected loss or accuracy"),
        ({"until": "decided", "groups": np.zeros(3000, int)}, "Leave out --group"),
        ({"until": "decided", "eps": 0.0}, "needs bounds"),
    ):
        with pytest.raises(UsageError, match=said):
            se.paired(models[:2], digits_file, **options)
    with pytest.raises(UsageError, match="which rows were right is not stored"):
        se.paired(models[1:2], digits_file, losses=old, of="accuracy")


def test_the_command_says_of_which_rows(models, worse, digits_file, old, tmp_path, network_file):
    other = tmp_path / "worse.safetensors"
    save(worse, other)
    shown = in_process("paired", network_file, other, digits_file, "--until", "decided")
    words = " ".join(shown.stdout.split())
    assert "the first is better, on these rows" in words
    assert "at any look" in words
    shown = in_process("paired", other, digits_file, "--losses", old, "--half-width", "0.1")
    assert "on all (stored)" in " ".join(shown.stdout.split())
    shown = in_process("paired", network_file, other, digits_file, "--of", "accuracy", "--json")
    said = json.loads(shown.stdout)
    assert (said["estimates"], said["of"]) == ("further data", "accuracy")
    table = pa.ipc.open_file(digits_file).read_all().replace_schema_metadata(None)
    table = table.append_column("writer", pa.array(np.arange(3000) // 20))
    with pa.ipc.new_file(tmp_path / "g.arrow", table.schema) as writer:
        writer.write_table(table)
    shown = in_process("paired", network_file, other, tmp_path / "g.arrow", "--group", "writer")
    assert "150, standard error" in " ".join(shown.stdout.split())
    assert in_process("paired", network_file, other, digits_file, "--until", "never").returncode == 2
