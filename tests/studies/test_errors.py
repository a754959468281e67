"""Every result says how far it may be off: errors of the loss, intervals of the accuracy, by rows and by groups."""

from __future__ import annotations

import math

import naive_statistics
import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process
from scipy import stats

import streameval as se
from streameval.errors import UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.statistics.clusters import clustered

GROUPS = np.arange(3000) // 7


@pytest.fixture(scope="module")
def grouped_file(digits_file, tmp_path_factory):
    """The drawn digits with a further column: which document a row is of."""
    place = tmp_path_factory.mktemp("grouped") / "grouped.arrow"
    table = pa.ipc.open_file(digits_file).read_all().replace_schema_metadata(None)
    table = table.append_column("document", pa.array([f"d{k}" for k in GROUPS]))
    with pa.ipc.new_file(place, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    return place


def right_rows(model, source):
    chunk = se.open(source).take(np.arange(3000))
    return se.predict(model, chunk.x).argmax(axis=1) == chunk.t


def test_a_report_has_errors_by_rows_and_by_groups(model, losses, digits_file, grouped_file):
    right = right_rows(model, digits_file)
    plain = se.evaluate(model, digits_file)
    exact = stats.binomtest(int(right.sum()), 3000).proportion_ci(0.95, "exact")
    found = plain.accuracy_interval
    assert (found.low, found.high) == pytest.approx(tuple(exact), abs=1e-12)
    assert plain.stderr == pytest.approx(losses.std(ddof=1) / math.sqrt(3000), rel=1e-9)
    said = plain.to_dict()
    assert (said["stderr_clustered"], said["groups"]) == (None, None)
    assert said["accuracy_interval"]["estimates"] == "further data"
    wanted, share = clustered(losses, GROUPS), clustered(right.astype(float), GROUPS)
    for groups, data in (
        (GROUPS, digits_file),
        ([f"g{k}" for k in GROUPS], digits_file),
        ("document", grouped_file),
    ):
        report = se.evaluate(model, data, groups=groups)
        assert report.digest == plain.digest
        assert report.stderr_clustered == pytest.approx(wanted.stderr, rel=1e-9)
        assert report.to_dict()["groups"] == wanted.groups == 429
        assert report.accuracy_interval_clustered.high == pytest.approx(share.interval().high, rel=1e-9)
        assert report.accuracy_interval == plain.accuracy_interval


def test_sums_by_group_do_not_depend_on_chunks_and_follow_the_rows_selected(model, losses, digits_file):
    rows = np.random.default_rng(0).integers(0, 3000, 1500)
    one, two = (se.evaluate(model, digits_file, rows=rows, groups=GROUPS, chunk_rows=n) for n in (97, 16384))
    assert one.clusters == two.clusters
    assert one.clusters.loss.mean == pytest.approx(one.loss, rel=1e-14)
    assert one.stderr_clustered == pytest.approx(clustered(losses[rows], GROUPS[rows]).stderr, rel=1e-9)


def test_compare_gives_the_full_report_its_groups(model, losses, digits_file):
    found = se.compare(model, digits_file, sizes=(10,), trials=10, groups=GROUPS)
    assert found.full.stderr_clustered == pytest.approx(clustered(losses, GROUPS).stderr, rel=1e-9)


def test_compare_gives_the_tail_of_these_rows_and_of_further_data(model, losses, digits_file):
    found = se.compare(model, digits_file, sizes=(10,), trials=10)
    said = found.to_dict()["tails"]
    for one in said["quantiles"]:
        assert one["loss"] == np.quantile(losses, one["share"], method="inverted_cdf")
        assert one["interval"]["low"] <= one["loss"] <= one["interval"]["high"]
    top = np.sort(losses)[-30:]
    assert said["worst"]["mean"] == pytest.approx(top.mean(), rel=1e-9)
    assert said["worst"]["part_interval"]["estimates"] == "further data"
    assert se.compare(model, digits_file, sizes=(10,), trials=10, eps=0.0).to_dict()["tails"]["worst"] is None


def test_groups_that_cannot_be_added_up_are_refused(model, digits_file, tmp_path):
    with pytest.raises(UsageError, match="2999 for the 3000 rows"):
        se.evaluate(model, digits_file, groups=GROUPS[1:])
    with pytest.raises(UsageError, match="no column 'document'"):
        se.evaluate(model, digits_file, groups="document")
    with pytest.raises(UsageError, match="with a checkpoint"):
        se.evaluate(model, digits_file, groups=GROUPS, options=PassOptions(checkpoint=tmp_path / "c.json"))


def test_a_mini_batch_has_errors_of_the_loss_and_the_accuracy(model, losses, digits_file):
    right = right_rows(model, digits_file)
    for replace in (True, False):
        batch = se.minibatch(model, digits_file, size=200, seed=3, replace=replace).batches[0]
        drawn = losses[batch.rows]
        left = 1.0 if replace else 1 - 200 / 3000
        assert batch.stderr == pytest.approx(drawn.std(ddof=1) * math.sqrt(left / 200), rel=1e-9)
        assert batch.accuracy == right[batch.rows].mean()
        assert batch.accuracy_interval.method == ("clopper-pearson" if replace else "hypergeometric")
        said = batch.to_dict()
        assert said["interval"]["estimates"] == said["accuracy_interval"]["estimates"] == "these rows"
    whole = se.minibatch(model, digits_file, size=3000, replace=False).batches[0]
    assert whole.stderr == 0.0
    assert (whole.accuracy_interval.low, whole.accuracy_interval.high) == (right.mean(), right.mean())


def test_accuracy_intervals_of_mini_batches_hold_as_often_as_they_say(model, digits_file):
    """1,000 batches at 95 %: at least 0.95 less 4 standard errors; exact intervals cover more, not less."""
    truth = right_rows(model, digits_file).mean()
    for replace in (True, False):
        found = se.minibatch(model, digits_file, size=50, batches=1000, seed=1, replace=replace)
        held = np.mean([truth in one.accuracy_interval for one in found.batches])
        assert held >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 1000)


def test_the_commands_say_it(network_file, grouped_file):
    shown = in_process("evaluate", network_file, grouped_file, "--group", "document")
    assert "if rows are independent" in " ".join(shown.stdout.split())
    assert "if the 429 groups are independent" in " ".join(shown.stdout.split())
    shown = in_process("minibatch", network_file, grouped_file, "--size", "50")
    assert "standard error" in shown.stdout
    assert "accuracy" in shown.stdout
    assert in_process("compare", network_file, grouped_file, "--group", "nothing").returncode == 2


def test_accuracy_is_known_well_enough_as_a_loss_is(model, digits_file):
    truth = right_rows(model, digits_file).mean()
    found = se.evaluate_until(model, digits_file, half_width=0.02, of="accuracy", seed=3)
    assert (found.stopped, found.loss_function.detail) == ("precision", "score accuracy")
    assert found.low <= truth <= found.high  # seed 3: 95 of 100 would do
    assert found.high <= 1.0
    assert found.rows_read < 2500
    exact = se.evaluate_until(model, digits_file, half_width=0.0001, of="accuracy")
    assert (exact.stopped, exact.loss) == ("exhausted", truth)
    with pytest.raises(UsageError, match="Expected loss or accuracy"):
        se.evaluate_until(model, digits_file, of="speed")


def test_intervals_of_the_accuracy_hold_at_every_look(model, digits_file):
    """200 orders at 95 %: some shown interval misses in at most 5 % and 4 standard errors."""
    from streameval.statistics.until import until_steps

    right = right_rows(model, digits_file).astype(float)
    missed = 0
    for seed in range(200):
        steps = until_steps(lambda rows: right[rows], 3000, half_width=0.02, seed=seed, bounds=(0.0, 1.0))
        missed += not all(one.low <= right.mean() <= one.high for one in steps)
    assert missed / 200 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 200)


def test_mini_batches_are_compared_with_the_full_accuracy(model, digits_file):
    right = right_rows(model, digits_file)
    found = se.compare(model, digits_file, sizes=(10, 100), trials=200, of="accuracy")
    assert found.full.loss == right.mean() == found.full.accuracy
    assert found.batches[1].predicted_sd == pytest.approx(right.std() / 10, rel=1e-9)
    assert found.batches[1].coverage["betting"].covered >= 0.95
    assert found.to_dict()["budget"]["rounding"] is None
    plain = se.compare(model, digits_file, sizes=(10,), trials=5)
    assert plain.full.loss != found.full.loss


def test_the_commands_estimate_the_accuracy(network_file, digits_file):
    shown = in_process("until", network_file, digits_file, "--of", "accuracy", "--half-width", "0.02")
    assert "nats" not in shown.stdout
    assert "holds the mean accuracy of these 3,000 rows" in " ".join(shown.stdout.split())
    shown = in_process("compare", network_file, digits_file, "--of", "accuracy", "--trials", "20")
    assert shown.returncode == 0, shown.stderr
    assert "full accuracy" in shown.stdout


def test_until_draws_whole_groups(model, losses, digits_file, grouped_file):
    """By the column or by an array: the same rows, the same words; and the exact loss when all were read."""
    known = se.evaluate_until(model, grouped_file, half_width=0.15, groups="document")
    again = se.evaluate_until(model, digits_file, half_width=0.15, groups=GROUPS)
    assert known.groups == again.groups
    assert known.to_dict()["groups"] == len(set(GROUPS))
    assert 0 < known.to_dict()["groups_read"] <= known.groups.draws
    assert (known.low, known.high) == (again.low, again.high)
    assert known.rows_read % 7 in (0, 3000 % 7)
    assert known.low <= losses.mean() <= known.high
    assert se.evaluate_until(model, digits_file, half_width=0.15).to_dict()["groups"] is None
    whole = se.evaluate_until(model, digits_file, half_width=1e-6, groups=GROUPS)
    assert (whole.loss, whole.stopped) == (se.evaluate(model, digits_file).loss, "exhausted")


def test_a_mini_batch_has_the_error_by_groups_of_its_rows(model, losses, digits_file, grouped_file):
    by_column = se.minibatch(model, grouped_file, size=200, batches=2, groups="document")
    by_array = se.minibatch(model, digits_file, size=200, batches=2, groups=GROUPS)
    for one, other in zip(by_column.batches, by_array.batches, strict=True):
        _, error = naive_statistics.clustered(losses[one.rows].tolist(), GROUPS[one.rows].tolist())
        assert one.clustered.stderr == pytest.approx(error, rel=1e-9)
        assert one.to_dict()["stderr_clustered"] == other.to_dict()["stderr_clustered"]
        assert one.to_dict()["groups"] == len(set(GROUPS[one.rows]))
        # The interval is of these rows, at random: groups change nothing of it.
    plain = se.minibatch(model, digits_file, size=200, batches=2)
    assert [one.interval for one in plain.batches] == [one.interval for one in by_column.batches]
    assert plain.batches[0].to_dict()["groups"] is None


def test_commands_say_what_groups_mean(network_file, grouped_file):
    until = in_process("until", network_file, grouped_file, "--group", "document", "--half-width", "0.15")
    assert (until.returncode, "groups read" in until.stdout) == (0, True), until.stderr
    assert "over the draw of groups" in " ".join(until.stdout.split())
    batch = in_process("minibatch", network_file, grouped_file, "--group", "document")
    assert (batch.returncode, "by groups" in batch.stdout) == (0, True), batch.stderr
    wrong = in_process("until", network_file, grouped_file, "--group", "author")
    assert (wrong.returncode, "author" in wrong.stderr) == (2, True)
