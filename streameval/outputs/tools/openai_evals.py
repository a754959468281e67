"""OpenAI evals' records: {"spec": ...}, one event a line, {"final_report": ...}."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streameval.outputs.records import Record, tool_table
from streameval.outputs.table import Table
from streameval.outputs.tools.directions import less_is_better
from streameval.tables import json_stream

# The type of an event, or a key in its data, whose log-probability becomes a loss in nats.
COND_LOGP = "cond_logp"


def openai_evals(path: str) -> Table:
    """A file of events: `match` (1 where the answer was right), the numbers of `metrics`, and `cond_logp`, minus the
    log-probability. Several events of one kind for a sample are averaged."""

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            for _, event in json_stream.lines(path, file):
                metrics = _metrics(event)
                if metrics and event.get("sample_id") is not None:
                    yield {"id": event["sample_id"], "type": event.get("type"), "metrics": metrics}

    return tool_table(
        path,
        "openai-evals",
        records,
        loss=lambda name: name == COND_LOGP or less_is_better(name),
        repeats=True,
    )


def _metrics(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    if not isinstance(data, dict):
        return {}
    if event.get("type") == "match":
        return {"match": data.get("correct")}
    if event.get("type") == COND_LOGP:
        value = data.get("logp")
        return {COND_LOGP: -value if isinstance(value, int | float) else None}
    if event.get("type") == "metrics":
        return {name: value for name, value in data.items() if isinstance(value, bool | int | float)}
    return {}
