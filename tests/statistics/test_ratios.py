"""Losses by token and byte: the plain double sum, exact sums of these rows, and coverage over drawn documents."""

from __future__ import annotations

import json
import math

import naive_statistics as naive
import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process, result

import streameval as se
from streameval.errors import DataError, UsageError
from streameval.reports.json import dumps
from streameval.statistics.ratios import bits_per_byte, loss_by_weight, perplexity


def documents(rng, count, heavy=0.0):
    """Summed losses and tokens: long documents are easier, each has a level of its own, few are very hard."""
    tokens = rng.lognormal(3.0, 0.7, count).astype(int) + 1
    level = 2.0 + 6.0 / np.sqrt(tokens) + rng.normal(0, 0.5, count)
    level = np.where(rng.random(count) < heavy, 16.0, level)
    return level * tokens, tokens


def test_the_ratio_and_its_error_are_those_of_the_plain_double_sum():
    rng = np.random.default_rng(0)
    values, tokens = documents(rng, 40)
    groups = rng.integers(0, 11, 40)
    found = loss_by_weight(values, tokens, groups=groups)
    mean, stderr = naive.clustered(values.tolist(), groups.tolist(), tokens.tolist())
    assert (found.estimate, found.stderr) == pytest.approx((mean, stderr), rel=1e-10)
    assert (found.rows, found.groups, found.weight) == (40, len(set(groups.tolist())), tokens.sum())


def test_tokens_of_a_document_say_what_its_sums_say():
    """One row a token with the document as its group, or one row a document: the same numbers."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 30, 50)
    document = np.repeat(np.arange(50), lengths)
    losses = rng.exponential(2.0, len(document)) + rng.exponential(1.0, 50)[document]
    by_token = loss_by_weight(losses, np.ones(len(losses)), groups=document)
    by_document = loss_by_weight(np.bincount(document, losses), lengths)
    assert by_token.estimate == pytest.approx(losses.mean(), rel=1e-12)
    assert by_token.stderr == pytest.approx(by_document.stderr, rel=1e-10)
    assert by_token.interval.low == pytest.approx(by_document.interval.low, rel=1e-10)


def test_an_empty_document_counts_with_its_loss():
    """Of a text without bytes the end is still predicted: its cost is in one sum, and no byte in the other."""
    rng = np.random.default_rng(8)
    values, lengths = documents(rng, 40)
    values, lengths = np.append(values, [1.5, 0.5]), np.append(lengths, [0, 0])
    found = bits_per_byte(values, lengths)
    mean, stderr = naive.clustered(values.tolist(), list(range(42)), lengths.tolist())
    assert found.estimate == pytest.approx(values.sum() / lengths.sum() / math.log(2), rel=1e-12)
    assert found.estimate == pytest.approx(mean / math.log(2), rel=1e-12)
    assert found.stderr == pytest.approx(stderr / math.log(2), rel=1e-10)
    assert (found.rows, found.groups) == (42, 42)


def test_no_end_lies_below_what_losses_of_0_and_more_allow():
    values, lengths = np.array([0.1, 0.0, 5.0]), np.array([10, 20, 3])
    assert bits_per_byte(values, lengths).interval.low == 0.0
    assert perplexity(values, lengths).interval.low == 1.0
    assert loss_by_weight(-values, lengths).interval.high > 0.0


def test_logarithms_of_probabilities_are_told_from_losses():
    """Of log(p) in place of -log(p) perplexity would be below 1, and bits below 0, without a word."""
    values, tokens = documents(np.random.default_rng(9), 100)
    for function in (perplexity, bits_per_byte):
        assert "change their sign" in str(function(-values, tokens).interval.warning)
        assert function(values, tokens).interval.warning is None
    assert "change their sign" in str(perplexity(-values[:3], tokens[:3]).interval.warning)
    assert loss_by_weight(-values, tokens).interval.warning is None


def test_perplexity_and_bits_per_byte_are_the_ratio_on_other_scales():
    values, tokens = documents(np.random.default_rng(2), 100)
    nats, ppl, bits = (f(values, tokens) for f in (loss_by_weight, perplexity, bits_per_byte))
    assert ppl.estimate == pytest.approx(math.exp(values.sum() / tokens.sum()), rel=1e-12)
    assert bits.estimate == pytest.approx(values.sum() / tokens.sum() / math.log(2), rel=1e-12)
    assert (ppl.interval.low, ppl.interval.high) == pytest.approx(
        (math.exp(nats.interval.low), math.exp(nats.interval.high))
    )
    step = 1e-6
    slope = (math.exp(nats.estimate + step) - math.exp(nats.estimate - step)) / (2 * step)
    assert ppl.stderr == pytest.approx(slope * nats.stderr, rel=1e-6)
    assert bits.stderr == pytest.approx(nats.stderr / math.log(2), rel=1e-12)
    assert '"estimates": "further data"' in dumps(ppl)


@pytest.mark.parametrize(("count", "most_short"), [(50, 0.03), (400, 0.015)])
def test_the_interval_covers_further_documents_where_one_of_tokens_does_not(count, most_short):
    """500 samples of documents at 95 %: less the shortfall stated, at 4 standard errors; of tokens under half."""
    rng = np.random.default_rng(3)
    many = documents(np.random.default_rng(4), 1_000_000)
    truth = math.exp(many[0].sum() / many[1].sum())
    held = alone = 0
    for _ in range(500):
        values, tokens = documents(rng, count)
        held += truth in perplexity(values, tokens).interval
        level = np.repeat(values / tokens, tokens)
        half = 1.96 * level.std() / math.sqrt(len(level))
        alone += abs(math.log(truth) - level.mean()) <= half
    assert held / 500 >= 0.95 - most_short - 4 * math.sqrt(0.95 * 0.05 / 500)
    assert alone / 500 < 0.5


def test_rare_hard_documents_cost_it_some_points_and_it_says_approximately():
    """1 % of documents at 16 nats a token, 600 samples of 50: it covers some 91 %, at 4 standard errors."""
    rng = np.random.default_rng(5)
    many = documents(np.random.default_rng(6), 1_000_000, heavy=0.01)
    truth = math.exp(many[0].sum() / many[1].sum())
    found = [perplexity(*documents(rng, 50, heavy=0.01)) for _ in range(600)]
    held = np.mean([truth in one.interval for one in found])
    assert held == pytest.approx(0.91, abs=4 * math.sqrt(0.91 * 0.09 / 600))
    assert held < 0.945
    assert all("approximately" in one.interval.assumes for one in found)


def test_weights_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="weights, row 1"):
        perplexity([1.0, 2.0], np.array([1, -1]))
    with pytest.raises(UsageError, match="no weight"):
        perplexity(np.array([1.0, 2.0]), np.array([0, 0]))
    with pytest.raises(UsageError, match="weights: 1 for 2 rows"):
        perplexity(np.array([1.0, 2.0]), np.array([1]))
    with pytest.raises(DataError, match="values, row 0"):
        perplexity(np.array([math.nan, 2.0]), np.array([1, 1]))
    for huge in (1e300, 1e308):
        with pytest.raises(DataError, match="too large to be squared"):
            perplexity(np.full(3, huge) * [1, 1, -1], np.array([1, 1, 1]))
    with pytest.raises(DataError, match=r"values: 750 nats .* is no number.*--weight-column"):
        perplexity(np.array([700.0, 800.0]), np.array([1, 1]))
    two = perplexity(np.array([1.0, 900.0]), np.array([1, 1]))
    assert two.interval.high == math.inf
    assert " … ∞ for further data" in str(two)
    one = perplexity(np.array([2.0]), np.array([1]))
    assert one.stderr is None
    assert one.interval.high == math.inf
    assert "none: one group says nothing of others" in str(one)


def test_the_command_reads_columns_and_says_of_which_rows(tmp_path):
    values, tokens = documents(np.random.default_rng(7), 200)
    groups = [f"d{k // 2}" for k in range(200)]
    table = pa.table({"nll": values, "tokens": tokens, "document": groups, "text": ["x"] * 200})
    place = tmp_path / "saved.arrow"
    with pa.ipc.new_file(place, table.schema) as writer:
        writer.write_table(table, max_chunksize=64)
    common = ("perplexity", place, "--loss-column", "nll", "--weight-column", "tokens")
    for per, function in (("token", se.perplexity), ("byte", se.bits_per_byte), ("weight", loss_by_weight)):
        found = result(*common, "--per", per, "--group", "document")
        assert found == function(values, tokens, groups=groups).to_dict()
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, tmp_path / "saved.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "saved.csv")
    (tmp_path / "saved.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    for ending in ("parquet", "csv", "jsonl"):
        other = result(
            "perplexity", tmp_path / f"saved.{ending}", *common[2:], "--per", "weight", "--group", "document"
        )
        assert other["estimate"] == pytest.approx(found["estimate"], rel=1e-12)
        assert other["stderr_clustered"] == pytest.approx(found["stderr_clustered"], rel=1e-12)
    assert found["groups"] == 100
    assert found["interval"]["estimates"] == "further data"
    shown = " ".join(in_process(*common).stdout.split())
    assert "of these rows: exact" in shown
    assert "for further data" in shown
    assert in_process("perplexity", place, "--loss-column", "no", "--weight-column", "tokens").returncode == 2
    assert (
        in_process("perplexity", place, "--loss-column", "text", "--weight-column", "tokens").returncode == 3
    )
