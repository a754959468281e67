"""Records, each an object of names and values, as a table of saved outputs.

Knows objects inside objects. Does not know what they mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streameval.errors import DataError
from streameval.outputs.table import BATCH_ROWS, Metric, Table, Values
from streameval.tables import json_stream

Record = Mapping[str, Any]
Records = Callable[[], Iterator[Record]]

# Of the first records, to say which columns there are; and names that are kept at most.
LOOKED_AT, MOST_NAMES = 1_000, 2_000


def jsonl(path: str) -> Table:
    """A file of one JSON object a line."""

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            for _, record in json_stream.lines(path, file):
                yield record

    return table(path, "jsonl", records)


def json_list(path: str) -> Table:
    """A JSON file that is a list of objects."""

    def records() -> Iterator[Record]:
        with Path(path).open("rb") as file:
            yield from objects(path, json_stream.items(path, file))

    return table(path, "json", records)


def objects(path: str, items: Iterator[Any]) -> Iterator[Record]:
    """The items, each of them an object. Raises DataError for another."""
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise DataError(f"{path}, item {number}: {type(item).__name__}, expected an object with names.")
        yield item


def table(path: str, form: str, records: Records) -> Table:
    """A table of plain records; its columns are those of the first thousand."""
    columns: dict[str, None] = {}
    for record in itertools.islice(records(), LOOKED_AT):
        columns |= dict.fromkeys(_names(record))
    return Table(path, path, form, tuple(columns)[:MOST_NAMES], reader(records))


def tool_table(
    path: str,
    form: str,
    records: Records,
    *,
    loss: Callable[[str], bool],
    repeats: bool = False,
    complete: bool = False,
) -> Table:
    """A table of what a tool says of each sample.

    records  objects of `id`, `metrics` (name -> number, None where there is none) and whatever else can be named
    loss     whether less is better in a metric of this name
    repeats  whether records with one id are repetitions of one sample
    complete whether a record without a metric lacks a value of it; else it is about something else, and is passed over

    All records are looked at, since a metric may begin late.
    """
    columns: dict[str, None] = {}
    metrics: dict[str, None] = {}
    for number, record in enumerate(records()):
        metrics |= dict.fromkeys(record["metrics"])
        if number < LOOKED_AT:
            columns |= dict.fromkeys(_names({k: v for k, v in record.items() if k != "metrics"}))
        if len(metrics) > MOST_NAMES:
            raise DataError(f"{path}: over {MOST_NAMES} metrics, expected those of a few scorers.")
    read = reader(records) if complete else _of_metrics(records)
    named = {name: Metric(f"metrics.{name}", not loss(name)) for name in metrics}
    return Table(
        path,
        path,
        form,
        tuple(columns)[:MOST_NAMES],
        read,
        named,
        row_id="id",
        repeats=repeats,
    )


def short_names(table: Table, mark: str) -> Table:
    """The table with metrics "NAME<mark>KIND" called "NAME" where there is one kind alone."""
    names = [metric.rsplit(mark, 1)[0] for metric in table.metrics]
    called = {
        name if names.count(name) == 1 else metric: found
        for name, (metric, found) in zip(names, table.metrics.items(), strict=True)
    }
    return replace(table, metrics=called)


def _of_metrics(records: Records) -> Callable[[Sequence[str]], Iterator[Mapping[str, Values]]]:
    """What reads columns of the records that have all the metrics among them. A metric that is there without a value is
    missing."""

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        metrics = {name.removeprefix("metrics.") for name in wanted if name.startswith("metrics.")}
        return reader(lambda: (one for one in records() if metrics <= one["metrics"].keys()))(wanted)

    return read


def reader(records: Records) -> Callable[[Sequence[str]], Iterator[Mapping[str, Values]]]:
    """What reads columns of records, by name; a name that a record lacks is missing there."""

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        stream = records()
        while batch := list(itertools.islice(stream, BATCH_ROWS)):
            yield {name: [_found(record, name) for record in batch] for name in wanted}

    return read


def _names(record: Record, before: str = "", depth: int = 4) -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict) and value and depth:
            yield from _names(value, f"{before}{name}.", depth - 1)
        else:
            yield f"{before}{name}"


def _found(record: Any, name: str) -> Any:
    """The value at "outer.inner"; names may have points of their own."""
    if name in record:
        return record[name]
    for k, character in enumerate(name):
        if character == "." and isinstance(record.get(name[:k]), dict):
            value = _found(record[name[:k]], name[k + 1 :])
            if value is not None:
                return value
    return None
