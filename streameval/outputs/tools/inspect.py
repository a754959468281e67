"""inspect_ai's logs: `.eval`, a zip whose members are compressed with Zstandard, and `.json`.

Keys as its log files have them (0.3.285): of each sample id, epoch, target, metadata, and scores: scorer -> value.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.outputs.records import Record, objects, tool_table
from streameval.outputs.table import Table
from streameval.outputs.tools.directions import less_is_better
from streameval.tables import json_stream
from streameval.tables.sized import SizedFile, opened_zip
from streameval.tables.told import told_of_archives

# As inspect_ai's value_to_float has them: correct, partial, incorrect, no answer.
LETTERS: Final = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
WORDS: Final = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
ZSTANDARD, LOCAL_HEADER = 93, 30
SUMMARIES: Final = "summaries.json"
MOST_BYTES: Final = 4 << 30


def inspect(path: str) -> Table:
    """A log. Scores are numbers, or letters (C 1, P 0.5, I and N 0); those of several values are "SCORER.NAME". The
    epochs of a sample are averaged; a sample without a score is missing one."""
    with storage_errors(path), SizedFile(path) as file:
        zipped = file.read(4) == b"PK\3\4"
    samples = _zipped if zipped else _plain

    def records() -> Iterator[Record]:
        return (_record(one) for one in objects(path, samples(path)))

    return tool_table(path, "inspect", records, loss=less_is_better, repeats=True, complete=True)


def _record(sample: Record) -> Record:
    scores = sample.get("scores")
    metrics: dict[str, float | None] = {}
    for scorer, score in (scores if isinstance(scores, dict) else {}).items():
        value = score.get("value") if isinstance(score, dict) else score
        if isinstance(value, dict):
            metrics |= {f"{scorer}.{name}": _number(one) for name, one in value.items()}
        elif isinstance(value, list):
            metrics |= {f"{scorer}.{k}": _number(one) for k, one in enumerate(value)}
        else:
            metrics[scorer] = _number(value)
    kept = {name: sample.get(name) for name in ("id", "epoch", "target", "metadata")}
    return {**kept, "metrics": metrics}


def _number(value: Any) -> float | None:
    """A score as a number; None, which is missing, for one that is none."""
    if isinstance(value, bool | int | float):
        return float(value) if not isinstance(value, int) or abs(value) < 2**60 else math.inf
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text in LETTERS or text.lower() in WORDS:
        return LETTERS[text] if text in LETTERS else WORDS[text.lower()]
    try:
        return float(text)
    except ValueError:
        return None


def _plain(path: str) -> Iterator[Any]:
    with Path(path).open("rb") as file:
        yield from json_stream.items(path, file, "samples")


def _zipped(path: str) -> Iterator[Any]:
    """The summaries of all samples; of a run that did not end, those that were written until then."""
    with told_of_archives(path, "log", "Restore it from a good copy."), opened_zip(path) as archive:
        there = {one.filename: one for one in archive.infolist()}
        names = [SUMMARIES] if SUMMARIES in there else sorted(n for n in there if "_journal/summaries/" in n)
        if not names:
            raise DataError(
                f"{path}: no {SUMMARIES}, expected a log of inspect_ai with samples: inspect eval ..."
            )
        for name in names:
            with _member(path, archive, there[name]) as file:
                yield from json_stream.items(f"{path}, {name}", file)


def _member(path: str, archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> IO[bytes]:
    """One member, decompressed as it is read; Python's zipfile knows Zstandard from 3.14 on."""
    if one.file_size > MOST_BYTES:
        raise DataError(f"{path}, {one.filename}: {one.file_size} bytes, expected at most {MOST_BYTES}.")
    if one.compress_type != ZSTANDARD:
        return archive.open(one)
    import pyarrow as pa

    with SizedFile(path) as file:
        file.seek(one.header_offset)
        header = file.read(LOCAL_HEADER)
        name, extra = struct.unpack_from("<HH", header, 26)
        file.seek(one.header_offset + LOCAL_HEADER + name + extra)
        raw = file.read(one.compress_size)
    return io.BufferedReader(_Unpacked(path, pa.CompressedInputStream(pa.BufferReader(raw), "zstd")))


class _Unpacked(io.RawIOBase):
    """A stream of pyarrow as a file of Python, whose errors say which log is damaged."""

    def __init__(self, path: str, stream: Any) -> None:
        self._path, self._stream = path, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._stream.read(len(buffer))
        except OSError as error:
            raise DataError(
                f"{self._path}: a damaged log ({str(error)[:300]}). Restore it from a good copy."
            ) from None
        buffer[: len(piece)] = piece
        return len(piece)
