"""lm-evaluation-harness, `--log_samples`: one object a line for each document and filter.

Keys as its EvaluationTracker writes them (0.4.13): doc_id, doc, target, filtered_resps, filter, metrics, doc_hash, and
one key for each metric.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from streameval.elementary import exp, log
from streameval.errors import DataError
from streameval.outputs.records import Record, short_names, tool_table
from streameval.outputs.table import Table
from streameval.outputs.tools.directions import less_is_better
from streameval.tables import json_stream

# Of these a sample has [log-likelihood, words or bytes], of that one the log-likelihood itself; in nats.
ROLLING: Final = {"word_perplexity": "words", "byte_perplexity": "bytes", "bits_per_byte": "bytes"}
LOG_LIKELIHOOD: Final = "perplexity"
# What is made of log-likelihoods here: of a whole document, and of the answers to choose from.
NATS: Final = "nats_per_document"
CHOICE: Final = "cross_entropy"


def lm_eval(path: str) -> Table:
    """A file samples_TASK_TIME.jsonl. A document is told by its number and its hash; metrics of several filters are
    "METRIC,FILTER", as lm-evaluation-harness writes them in its results."""

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            for number, sample in json_stream.lines(path, file):
                yield _record(f"{path}, line {number}", sample)

    return short_names(tool_table(path, "lm-eval", records, loss=_is_loss), ",")


def _is_loss(metric: str) -> bool:
    name = metric.rsplit(",", 1)[0]
    return name in (NATS, CHOICE) or less_is_better(name)


def _record(where: str, sample: dict[str, Any]) -> Record:
    if "doc_id" not in sample:
        raise DataError(f"{where}: no doc_id, expected a sample of lm-evaluation-harness (--log_samples).")
    used, weights = str(sample.get("filter", "none")), {}
    metrics: dict[str, Any] = {}
    for name in _metric_names(where, sample):
        value = sample.get(name)
        if name in ROLLING and isinstance(value, list) and len(value) == 2:
            metrics[NATS], weights[ROLLING[name]] = _negated(value[0]), value[1]
        elif name == LOG_LIKELIHOOD:
            metrics[name] = _negated(value)
        elif value is None or isinstance(value, bool | int | float):
            metrics[name] = value
    choice = _choice(sample)
    if choice is not None:
        metrics[CHOICE] = choice
    hashed = sample.get("doc_hash")
    return {
        "id": f"{sample['doc_id']}" if hashed is None else f"{sample['doc_id']}:{hashed}",
        "metrics": {f"{name},{used}": value for name, value in metrics.items()},
        "doc_id": sample["doc_id"],
        "filter": used,
        "target": sample.get("target"),
        "doc": sample.get("doc"),
        "weights": weights,
    }


def _metric_names(where: str, sample: dict[str, Any]) -> list[str]:
    """As the sample lists them; earlier versions did not."""
    listed = sample.get("metrics")
    if isinstance(listed, list):
        return [str(name) for name in listed]
    if listed is not None:
        raise DataError(
            f"{where}: metrics are {type(listed).__name__}, expected a list of names. Correct the file."
        )
    return [name for name, value in sample.items() if isinstance(value, int | float) and name != "doc_id"]


def _negated(value: Any) -> float | None:
    return -float(value) if isinstance(value, int | float) else None


def _choice(sample: dict[str, Any]) -> float | None:
    """-log softmax(log-likelihoods)[target] of a multiple choice, None of anything else."""
    target, answers = str(sample.get("target", "")), sample.get("filtered_resps")
    if not (
        target.isdecimal() and len(target) < 6 and isinstance(answers, list) and int(target) < len(answers)
    ):
        return None
    logs = [_log_likelihood(answer) for answer in answers]
    if len(logs) < 2 or any(math.isnan(one) for one in logs):
        return None
    top = max(logs)
    if not math.isfinite(top):
        return None
    return log(math.fsum(exp(one - top) for one in logs)) + top - logs[int(target)]


def _log_likelihood(answer: Any) -> float:
    """The first of ["-1.25", "False"], which was a text in earlier versions; NaN of anything else."""
    if isinstance(answer, str) and len(answer) < 200:
        try:
            answer = ast.literal_eval(answer)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return math.nan
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        return math.nan
    try:
        return float(answer[0])
    except (TypeError, ValueError, OverflowError):
        return math.nan
