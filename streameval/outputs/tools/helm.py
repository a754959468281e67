"""HELM's per_instance_stats.json: a list of objects of instance_id, train_trial_index and stats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streameval.outputs.records import Record, objects, short_names, tool_table
from streameval.outputs.table import Table
from streameval.outputs.tools.directions import less_is_better
from streameval.tables import json_stream


def helm(path: str) -> Table:
    """A file of statistics: of each instance the mean of a metric. Trials of training are averaged. Metrics of several
    splits are "NAME:SPLIT"; an instance that was perturbed has metrics of their own, "NAME~PERTURBATION"."""

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            yield from (_record(one) for one in objects(path, json_stream.items(path, file)))

    return short_names(tool_table(path, "helm", records, loss=_is_loss, repeats=True), ":")


def _is_loss(metric: str) -> bool:
    return less_is_better(metric.rsplit(":", 1)[0])


def _record(instance: Record) -> Record:
    metrics, split = {}, None
    stats = instance.get("stats")
    for stat in stats if isinstance(stats, list) else []:
        said = stat.get("name") if isinstance(stat, dict) else None
        if isinstance(said, dict) and "name" in said:
            split = said.get("split", split)
            changed = said.get("perturbation") or instance.get("perturbation")
            how = changed.get("name", "perturbed") if isinstance(changed, dict) else changed
            named = f"{said['name']}~{how}" if how else str(said["name"])
            metrics[f"{named}:{split}"] = _mean(stat)
    kept = {"id": instance.get("instance_id"), "train_trial_index": instance.get("train_trial_index")}
    return {**kept, "split": split, "metrics": metrics}


def _mean(stat: Record) -> Any:
    """The mean of a statistic; earlier versions wrote sum and count alone."""
    total, count = stat.get("sum"), stat.get("count")
    if (
        "mean" in stat
        or not isinstance(total, int | float)
        or not isinstance(count, int | float)
        or not count
    ):
        return stat.get("mean")
    return total / count
