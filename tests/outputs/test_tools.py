"""What evaluation tools write besides a number a sample: filters, epochs, splits, letters, log-likelihoods, errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import saved_files

import streameval as se
from streameval.errors import DataError, UsageError


def lines(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


def sample(number: int, **more: Any) -> dict[str, Any]:
    """A sample as lm-evaluation-harness 0.4.13 writes it."""
    common = {
        "doc_id": number,
        "doc": {"q": "?"},
        "target": "1",
        "arguments": {},
        "resps": [],
        "filter": "none",
    }
    return {**common, "doc_hash": f"h{number}", "prompt_hash": "p", "target_hash": "t", **more}


def test_the_cross_entropy_of_a_multiple_choice_is_that_of_its_log_likelihoods(tmp_path: Path) -> None:
    logs = [[-1.0, -2.0, -0.5], [-3.0, -0.1, -700.0]]
    answers = [[[str(one), "False"] for one in row] for row in logs]
    path = lines(
        tmp_path / "samples_a.jsonl",
        [sample(k, filtered_resps=row, metrics=["acc"], acc=1.0) for k, row in enumerate(answers)],
    )
    outputs = se.open_outputs(path, metric="cross_entropy")
    expected = [math.log(sum(math.exp(one) for one in row)) - row[1] for row in logs]
    assert se.per_sample_losses(outputs) == pytest.approx(expected, abs=1e-12)
    assert not outputs.value.score
    # In earlier versions each answer was one text.
    texts = [[str((one, False)) for one in row] for row in logs]
    earlier = lines(
        tmp_path / "samples_b.jsonl",
        [sample(k, filtered_resps=row, metrics=["acc"], acc=1.0) for k, row in enumerate(texts)],
    )
    assert se.open_outputs(earlier, metric="cross_entropy").fingerprint == outputs.fingerprint


def test_log_likelihoods_are_losses_with_the_other_sign(tmp_path: Path) -> None:
    names = ["word_perplexity", "bits_per_byte"]
    rolling = [
        sample(k, metrics=names, word_perplexity=[-7.5 * (k + 1), 5], bits_per_byte=[-7.5 * (k + 1), 20])
        for k in range(2)
    ]
    outputs = se.open_outputs(lines(tmp_path / "samples_a.jsonl", rolling))
    assert outputs.value.column == "nats_per_document"
    assert se.per_sample_losses(outputs).tolist() == [7.5, 15.0]
    single = [sample(0, filtered_resps=[["-1.5", "True"]], metrics=["perplexity"], perplexity=-1.5)]
    outputs = se.open_outputs(lines(tmp_path / "samples_b.jsonl", single), metric="perplexity")
    assert (se.per_sample_losses(outputs).tolist(), outputs.value.score) == ([1.5], False)


def test_samples_of_versions_that_listed_no_metrics_and_no_hashes_are_read(tmp_path: Path) -> None:
    common = {"doc": {}, "target": "x", "resps": [], "filtered_resps": []}
    old = [{"doc_id": k, **common, "acc": float(k)} for k in (0, 1)]
    outputs = se.open_outputs(lines(tmp_path / "old.jsonl", old))
    assert se.evaluate(outputs).loss == 0.5
    assert outputs.ids.name(1) == "1"


def test_documents_whose_content_differs_do_not_match(tmp_path: Path) -> None:
    first = [sample(k, filtered_resps=[], metrics=["acc"], acc=1.0) for k in range(3)]
    second = [{**one, "doc_hash": "other"} if one["doc_id"] == 1 else one for one in first]
    runs = [se.open_outputs(lines(tmp_path / f"{k}.jsonl", one)) for k, one in enumerate((first, second))]
    with pytest.raises(DataError, match=r"2 rows match.*1 rows that others lack \(ids '1:h1'\)"):
        se.paired(runs)


def inspect_log(path: Path, scores: list[Any]) -> Path:
    rows = [{"id": k, "epoch": 1, "scores": one} for k, one in enumerate(scores)]
    saved_files.zstd_zip(path, {"header.json": b"{}", "summaries.json": json.dumps(rows).encode()})
    return path


def test_letters_words_and_numbers_are_scores_as_inspect_has_them(tmp_path: Path) -> None:
    values = ["C", "P", "I", "N", True, False, "yes", "No", "0.25", 3, "true"]
    log = inspect_log(tmp_path / "log.eval", [{"m": {"value": value}} for value in values])
    assert se.per_sample_losses(se.open_outputs(log)).tolist() == [1, 0.5, 0, 0, 1, 0, 1, 0, 0.25, 3, 1]


def test_scorers_of_several_values_are_metrics_by_name(tmp_path: Path) -> None:
    log = inspect_log(
        tmp_path / "log.eval", [{"both": {"value": {"a.b": 1, "c": 2}}, "list": {"value": [5, 6]}}]
    )
    with pytest.raises(UsageError, match=r"metrics both\.a\.b, both\.c, list\.0, list\.1: which one"):
        se.open_outputs(log)
    for metric, value in (("both.a.b", 1), ("both.c", 2), ("list.1", 6)):
        assert se.evaluate(se.open_outputs(log, metric=metric)).loss == value


@pytest.mark.parametrize(
    "unscored", [{}, None, {"m": {"value": "NaN"}}, {"m": {"value": "refused"}}, {"m": {}}]
)
def test_a_sample_without_a_score_is_counted_and_not_passed_over(unscored: Any, tmp_path: Path) -> None:
    log = inspect_log(tmp_path / "log.eval", [{"m": {"value": "C"}}, unscored, {"m": {"value": "I"}}])
    with pytest.raises(DataError, match=r"row 1: m is missing.*\(1 such rows of 3\)"):
        se.open_outputs(log)
    report = se.evaluate(se.open_outputs(log, allow_nonfinite=True))
    assert (report.loss, report.rows, report.to_dict()["model"]["saved"]["left_out"]) == (0.5, 2, 1)


def test_epochs_are_averaged_within_a_sample_before_the_error_is_taken(tmp_path: Path) -> None:
    """Ten samples of four epochs that agree are ten values, not forty."""
    rows = [{"id": k, "epoch": e, "scores": {"m": {"value": k % 2}}} for e in range(4) for k in range(10)]
    path = tmp_path / "log.eval"
    saved_files.zstd_zip(path, {"header.json": b"{}", "summaries.json": json.dumps(rows).encode()})
    outputs = se.open_outputs(path)
    report = se.evaluate(outputs)
    assert report.rows == 10
    assert report.stderr == pytest.approx(math.sqrt(0.25 * 10 / 9 / 10))
    assert [outputs.ids.name(k) for k in range(10)] == [str(k) for k in range(10)]
    assert report.model.notes == ("40 repetitions were averaged into 10 samples",)


def test_epochs_of_a_sample_are_one_group_of_a_ratio(tmp_path: Path) -> None:
    """Four epochs that agree say no more of further samples than one."""
    from streameval.studies.ratios import ratio_of_file

    values = np.random.default_rng(5).normal(2, 1, 40)
    found = []
    for epochs in (1, 4):
        rows = [
            {"id": k, "epoch": e, "scores": {"m": {"value": {"loss": float(values[k]), "tokens": 3 + k % 5}}}}
            for e in range(epochs)
            for k in range(40)
        ]
        path = tmp_path / f"{epochs}.eval"
        saved_files.zstd_zip(path, {"header.json": b"{}", "summaries.json": json.dumps(rows).encode()})
        found.append(ratio_of_file(path, "m.loss", "m.tokens"))
    once, often = found
    assert (once.groups, often.groups, often.rows) == (40, 40, 160)
    assert often.estimate == pytest.approx(once.estimate, rel=1e-12)
    assert often.stderr == pytest.approx(once.stderr, rel=1e-12)


def test_a_log_of_a_run_that_did_not_end_has_the_samples_until_then(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    parts = {
        f"_journal/summaries/{k}.json": json.dumps([{"id": k, "scores": {"m": {"value": k}}}]).encode()
        for k in (1, 2)
    }
    saved_files.zstd_zip(path, {"_journal/start.json": b"{}", **parts})
    assert se.per_sample_losses(se.open_outputs(path)).tolist() == [1, 2]


def test_metrics_of_several_splits_are_told_apart(tmp_path: Path) -> None:
    listed = [
        {"instance_id": f"id{k}", "train_trial_index": 0,
         "stats": [{"name": {"name": "em", "split": split}, "count": 2, "sum": 2.0 * k}]}
        for k, split in enumerate(("valid", "test", "test"))
    ]  # fmt: skip
    path = tmp_path / "per_instance_stats.json"
    path.write_text(json.dumps(listed))
    with pytest.raises(UsageError, match=r"metrics em:valid, em:test: which one"):
        se.open_outputs(path)
    assert se.per_sample_losses(se.open_outputs(path, metric="em:test")).tolist() == [1, 2]


def test_events_of_all_kinds_are_read_by_their_metric(tmp_path: Path) -> None:
    events = [
        {"spec": {}},
        {"sample_id": "a.0", "type": "match", "data": {"correct": True, "expected": "x", "picked": "x"}},
        {"sample_id": "a.1", "type": "match", "data": {"correct": False, "expected": "x", "picked": "y"}},
        {"sample_id": "a.0", "type": "cond_logp", "data": {"logp": -2.5}},
        {"sample_id": "a.1", "type": "error", "data": {"message": "no"}},
        {"final_report": {"accuracy": 0.5}},
    ]
    path = lines(tmp_path / "events.jsonl", events)
    assert se.per_sample_losses(se.open_outputs(path, metric="match")).tolist() == [1, 0]
    losses = se.open_outputs(path, metric="cond_logp")
    assert (se.per_sample_losses(losses).tolist(), losses.value.score) == ([2.5], False)


def test_details_of_earlier_versions_of_lighteval_are_read(tmp_path: Path) -> None:
    rows = [{"example": "q", "full_prompt": "q", "metrics": {"em": 1.0, "ppl": 2.0}} for _ in range(3)]
    path = tmp_path / "details_t.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    outputs = se.open_outputs(path, metric="ppl")
    assert (outputs.model.saved["format"], outputs.value.score, outputs.ids) == ("lighteval", False, None)


@pytest.mark.parametrize(
    ("metric", "score"),
    [("acc", True), ("exact_match", True), ("f1", True), ("perplexity", False), ("brier_score", False), ("wer", False),
     ("toxicity/v1", False), ("answer_correctness", True), ("transfer", True), ("closeness", True), ("rmse", False)],
)  # fmt: skip
def test_which_metrics_are_losses_is_told_by_their_names(metric: str, score: bool, tmp_path: Path) -> None:
    path = tmp_path / "eval_results_table.json"
    path.write_text(json.dumps({"columns": [f"{metric}/score", "x"], "data": [[0.5, 1], [0.25, 2]]}))
    assert se.open_outputs(path).value.score is score
    # What is said counts more than the name.
    assert se.open_outputs(path, loss=f"{metric}/score").value.score is False
    assert se.open_outputs(path, score=metric).value.score is True
