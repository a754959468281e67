"""HELM's per_instance_stats.json: a list of objects of instance_id, train_trial_index and stats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streameval.outputs import json_stream
from streameval.outputs.records import Record, objects, tool_table
from streameval.outputs.table import Table
from streameval.outputs.tools.directions import less_is_better


def helm(path: str) -> Table:
    """A file of statistics: of each instance the mean of a metric. Trials of training are averaged; an instance that
    was perturbed has metrics of their own, "NAME~PERTURBATION"."""

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            yield from (_record(one) for one in objects(path, json_stream.items(path, file)))

    return tool_table(path, "helm", records, loss=less_is_better, repeats=True)


def _record(instance: Record) -> Record:
    metrics, split = {}, None
    stats = instance.get("stats")
    for stat in stats if isinstance(stats, list) else []:
        said = stat.get("name") if isinstance(stat, dict) else None
        if isinstance(said, dict) and "name" in said:
            split = said.get("split", split)
            changed = said.get("perturbation") or instance.get("perturbation")
            how = changed.get("name", "perturbed") if isinstance(changed, dict) else changed
            metrics[f"{said['name']}~{how}" if how else str(said["name"])] = stat.get("mean")
    kept = {"id": instance.get("instance_id"), "train_trial_index": instance.get("train_trial_index")}
    return {**kept, "split": split, "metrics": metrics}
