"""Files of saved outputs as tools write them: the same values, one writer for each format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Format:
    """How a format is written, and how its values are asked for.

    write    (path, values, ids, groups)
    name     of the file
    asked    options of open_outputs
    ids, groups   whether it carries them
    group    the name of its column of groups
    """

    write: Callable[[Path, list[float], list[str], list[str]], None]
    name: str
    asked: dict[str, Any]
    ids: bool = True
    group: str | None = "g"


def _table(values: list[float], ids: list[str], groups: list[str]) -> pa.Table:
    return pa.table({"v": values, "id": ids, "g": groups})


def _arrow(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    table = _table(values, ids, groups)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def _parquet(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    pq.write_table(_table(values, ids, groups), path, row_group_size=5)


def _csv(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["v", "id", "g"])
        writer.writerows(zip(values, ids, groups, strict=True))


def _records(values: list[float], ids: list[str], groups: list[str]) -> list[dict[str, Any]]:
    return [{"v": v, "id": i, "g": g} for v, i, g in zip(values, ids, groups, strict=True)]


def _jsonl(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in _records(values, ids, groups)))


def _json(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    path.write_text(json.dumps(_records(values, ids, groups), indent=1))


def _npy(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    np.save(path, np.array(values))


def _npz(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    np.savez_compressed(path, v=np.array(values), n=np.arange(len(values)))


def lm_eval(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    """Two filters, as a task with a filter_list has them; the values are those of the second."""
    lines = []
    for used in ("strict", "flexible"):
        for v, i, g in zip(values, ids, groups, strict=True):
            value = v if used == "flexible" else 0.0
            lines.append(
                {
                    "doc_id": int(i.split()[-1]), "doc": {"q": i, "subject": g}, "target": "12", "arguments": {},
                    "resps": [["lol"]], "filtered_resps": ["lol"], "filter": used, "metrics": ["exact_match"],
                    "doc_hash": f"hash of {i}", "prompt_hash": "p", "target_hash": "t", "exact_match": value,
                }
            )  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _samples(values: list[float], ids: list[str], groups: list[str]) -> list[dict[str, Any]]:
    """Two epochs, one a little above and one a little below."""
    return [
        {
            "id": i, "epoch": epoch, "input": "q", "target": "A", "metadata": {"subject": g},
            "scores": {"match": {"value": v + shift}}, "completed": True,
        }
        for epoch, shift in ((1, 0.25), (2, -0.25))
        for v, i, g in zip(values, ids, groups, strict=True)
    ]  # fmt: skip


def _inspect(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    """A log, its members compressed with Zstandard, which zipfile does not write before Python 3.14."""
    zstd_zip(
        path,
        {
            "_journal/start.json": b"{}",
            "summaries.json": json.dumps(_samples(values, ids, groups)).encode(),
            "header.json": b'{"version": 2, "status": "success"}',
        },
    )


def zstd_zip(path: Path, members: dict[str, bytes]) -> None:
    """A zip whose members are compressed by method 93, written byte by byte (APPNOTE 6.3.7)."""
    import struct
    import zlib

    body, directory = b"", b""
    for name, content in members.items():
        packed = pa.Codec("zstd").compress(content, asbytes=True)
        common = struct.pack(
            "<HHHHHIIIHH", 63, 0, 93, 0, 33, zlib.crc32(content), len(packed), len(content), len(name), 0
        )
        central = struct.pack("<IH", 0x02014B50, 63) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += central + name.encode()
        body += struct.pack("<I", 0x04034B50) + common + name.encode() + packed
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + end)


def _inspect_json(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    log = {"version": 2, "status": "success", "eval": {"task": "t"}, "samples": _samples(values, ids, groups)}
    path.write_text(json.dumps(log, indent=2))


def _helm(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    """Two trials of training, and an instance that was perturbed, which is no trial."""

    def stat(name: str, value: float, **more: Any) -> dict[str, Any]:
        said = {"name": name, "split": "test", **more}
        return {"name": said, "count": 1, "sum": value, "sum_squared": value * value, "min": value,
                "max": value, "mean": value, "variance": 0.0, "stddev": 0.0}  # fmt: skip

    listed = [
        {
            "instance_id": i,
            "train_trial_index": trial,
            "stats": [stat("num_bytes", 9), stat("exact_match", v + shift)],
        }
        for trial, shift in ((0, 0.5), (1, -0.5))
        for v, i in zip(values, ids, strict=True)
    ]
    changed = {"name": "typos"}
    listed += [
        {"instance_id": i, "train_trial_index": 0, "perturbation": changed,
         "stats": [stat("exact_match", 99.0, perturbation=changed)]}
        for i in ids
    ]  # fmt: skip
    path.write_text(json.dumps(listed))


def _openai(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    events: list[dict[str, Any]] = [{"spec": {"completion_fns": ["dummy"]}}]
    for k, (v, i) in enumerate(zip(values, ids, strict=True)):
        common = {"run_id": "r", "event_id": k, "sample_id": i, "created_by": "", "created_at": "now"}
        events.append({**common, "type": "sampling", "data": {"prompt": "q", "sampled": ["a"]}})
        events.append({**common, "type": "metrics", "data": {"f1": v, "note": "text"}})
    events.append({"final_report": {"f1": 0.5}})
    path.write_text("".join(json.dumps(one) + "\n" for one in events))


def _lighteval(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    rows = [
        {"doc": {"id": i, "task_name": g, "gold_index": [0]}, "metric": {"em": v, "ppl": 3.0},
         "model_response": {"text": ["a"], "logprobs": [-1.0]}}
        for v, i, g in zip(values, ids, groups, strict=True)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)


def _mlflow(path: Path, values: list[float], ids: list[str], groups: list[str]) -> None:
    columns = ["inputs", "outputs", "g", "quality/v1/score", "quality/v1/justification"]
    data = [[i, "out", g, v, "because"] for v, i, g in zip(values, ids, groups, strict=True)]
    path.write_text(json.dumps({"columns": columns, "data": data}))


PLAIN = {"score": "v", "row_id": "id"}
# The format's name in the package -> how it is written; a second way of writing one has a name after a slash.
FORMATS: dict[str, Format] = {
    "arrow": Format(_arrow, "saved.arrow", PLAIN),
    "parquet": Format(_parquet, "saved.parquet", PLAIN),
    "csv": Format(_csv, "saved.csv", PLAIN),
    "jsonl": Format(_jsonl, "saved.jsonl", PLAIN),
    "json": Format(_json, "saved.json", PLAIN),
    "npy": Format(_npy, "saved.npy", {"score": "loss"}, ids=False, group=None),
    "npz": Format(_npz, "saved.npz", {"score": "v", "row_id": "n"}, ids=False, group=None),
    "lm-eval": Format(lm_eval, "samples_t.jsonl", {"metric": "exact_match,flexible"}, group="doc.subject"),
    "inspect": Format(_inspect, "log.eval", {}, group="metadata.subject"),
    "inspect/json": Format(_inspect_json, "log.json", {}, group="metadata.subject"),
    "helm": Format(_helm, "per_instance_stats.json", {"metric": "exact_match"}, group=None),
    "openai-evals": Format(_openai, "events.jsonl", {"metric": "f1"}, group=None),
    "lighteval": Format(_lighteval, "details_t.parquet", {"metric": "em"}, group="doc.task_name"),
    "mlflow": Format(_mlflow, "eval_results_table.json", {"row_id": "inputs"}),
}
