"""Hostile files of outputs: refused with their name, in bounded memory and time, whatever they hold."""

from __future__ import annotations

import gzip
import json
import random
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import saved_files

import streameval as se
from streameval.errors import DataError, StreamevalError, UsageError
from streameval.outputs.numbers import open_numbers
from streameval.tables import json_stream
from streameval.tables.sized import SizedFile

DEEP = '{"v": ' + "[" * 200_000 + "]" * 200_000 + "}"
LONG = "9" * 100_000


@pytest.mark.parametrize("form", ["arrow", "parquet"])
@pytest.mark.parametrize("said", [True, False])
def test_names_that_are_no_text_are_refused(form: str, said: bool, tmp_path: Path) -> None:
    table = pa.table({"value_of_it": [0.5, 1.5], "other": [{"a": 1.0}, {"a": 2.0}]})
    path = tmp_path / f"saved.{form}"
    if form == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, path, store_schema=False)
    content = path.read_bytes()
    assert b"value_of_it" in content
    path.write_bytes(content.replace(b"value_of_it", b"value\xff\x80f_it"))
    with pytest.raises(DataError, match=rf"saved\.{form}: "):
        se.open_outputs(path, loss="value_of_it", format=form if said else None)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("deep.jsonl", DEEP, "line 1: nested too deep"),
        ("deep.json", f"[{DEEP}]", "item 0: nested too deep"),
        ("digits.jsonl", f'{{"v": {LONG}}}', "line 1: not usable JSON: a number of 100000 digits"),
        ("digits.json", f'[{{"v": {LONG}}}]', r"a number of \d{5,} digits"),
        ("cut.jsonl", '{"v": 1}\n{"v": ', "line 2: not usable JSON"),
        ("cut.json", '[{"v": 1}, {"v": ', "item 1:"),
        ("comma.json", '[{"v": 1} {"v": 2}]', "expected a comma or the end of the list"),
        ("scalar.jsonl", '{"v": 1}\n3\n', "line 2: int, expected one JSON object a line"),
        ("scalar.json", "[1, 2]", "item 0: int, expected an object with names"),
        ("latin.jsonl", b'{"v": "\xff"}', "line 1: not UTF-8"),
        ("text.jsonl", '{"v": 1}\n{"v": "no"}', "column v, row 1: 'no', expected a number"),
        ("list.jsonl", '{"v": [1]}', r"column v, row 0: \[1\], expected a number"),
        ("huge.jsonl", '{"v": 1e999}', "row 0: v is missing, NaN or infinite"),
        ("null.jsonl", '{"v": null}', "row 0: v is missing"),
        ("cut.arrow", b"ARROW1\0\0" + b"\xff" * 40, "cannot be read"),
        ("cut.parquet", b"PAR1" + b"\xff" * 40, "cannot be read"),
        ("twice.csv", "v,w,v\n1,2,0\n", "column 'v' is there twice.*Rename one"),
        (
            "twice.jsonl",
            '{"v": 1}\n{"v": 1, "w": {"x": 1}, "v": 0}\n',
            "line 2: .*the name 'v' is there twice",
        ),
        (
            "twice.json",
            '[{"v": 1}, {"v": 1, "w": {"x": 1, "x": 2}}]',
            "item 1: .*the name 'x' is there twice",
        ),
        (
            "lines.jsonl.gz",
            gzip.compress(b'{"v": 1}\n{"v": 0}\n', mtime=0),
            "JSON, which is not read compressed.*Decompress",
        ),
        ("list.json.gz", gzip.compress(b' [{"v": 1}]', mtime=0), "JSON, which is not read compressed"),
        ("bad.csv", "v,w\n1,2\nx,3\n", "column v, row 1: 'x', expected a number"),
        ("ragged.csv", "v,w\n1,2\n3\n", "cannot be read: CSV parse error"),
        ("other.bin", b"\0\1\2\3" * 20, r"begins with b'\\x00.*expected Arrow, Parquet, CSV"),
        ("cut.npy", b"\x93NUMPY\1\0", "expected a .npy file of version 1, 2 or 3"),
        ("cut.npz", b"PK\3\4" + b"\0" * 40, "damaged archive"),
    ],
)
def test_what_is_damaged_or_excessive_is_refused_by_its_name(
    name: str, content: str | bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StreamevalError, match=said) as error:
        se.open_outputs(path, loss="v")
    assert str(path) in str(error.value)


def test_what_is_there_twice_is_refused_by_every_command_that_reads_it(tmp_path: Path) -> None:
    """Which of the two is meant, two readers may understand differently; a column that nobody names may be."""
    path = tmp_path / "twice.parquet"
    names, arrays = ["v", "w", "v", "x", "x"], [pa.array([float(k), 1.0]) for k in range(5)]
    table = pa.Table.from_arrays(arrays, names=names)
    pq.write_table(table, path)
    for reading in (path, table):
        assert se.open_outputs(reading, loss="w").rows == 2
        with pytest.raises(DataError, match="column 'v' is there twice"):
            se.open_outputs(reading, loss="v")
        with pytest.raises(DataError, match="column 'x' is there twice"):
            se.open_outputs(reading, loss="w", row_id="x")
    with pytest.raises(DataError, match="column 'x' is there twice"):
        open_numbers(path, ("w", "x"))
    log = tmp_path / "log.json"
    log.write_text('{"samples": [{"v": 1}], "other": 2, "samples": [{"v": 2}]}')
    with log.open("rb") as file, pytest.raises(DataError, match="the name 'samples' is there twice"):
        list(json_stream.items(str(log), file, "samples"))


def test_a_line_without_end_takes_no_more_memory_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streameval.tables.json_stream.MOST_BYTES", 1 << 20)
    for name, content in (("line.jsonl", '{"v": "'), ("value.json", '[{"v": "')):
        path = tmp_path / name
        path.write_bytes(content.encode() + b"x" * (40 << 20))
        tracemalloc.start()
        with pytest.raises(DataError, match=r"over 1048576 bytes long|item 0"):
            se.open_outputs(path, loss="v")
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
        tracemalloc.stop()


def test_the_memory_of_reading_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Of a long file of lines and a long list, seven times a batch, Python holds what a batch takes."""
    for name, begin, between, end in (("long.jsonl", "", "\n", "\n"), ("long.json", "[", ",", "]")):
        path = tmp_path / name
        with path.open("w") as file:
            file.write(
                begin + between.join(f'{{"v": {k % 7}, "pad": "{"x" * 40}"}}' for k in range(60_000)) + end
            )
        tracemalloc.start()
        outputs = se.open_outputs(path, loss="v")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert outputs.rows == 60_000
        assert peak < 8 << 20, name


def test_one_value_of_many_pieces_is_parsed_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "wide.json"
    path.write_text(json.dumps([{"v": 1.0, "pad": ["x" * 100] * 200_000}]))
    start = time.process_time()
    assert se.open_outputs(path, loss="v").rows == 1
    assert time.process_time() - start < 10


def test_a_list_is_read_the_same_wherever_its_pieces_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [1, -2.5, 30, 4e-3, 5.0, -60]
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"v": v, "s": 'é"\\n]'} for v in values], indent=1, ensure_ascii=False))
    for piece in range(1, 40):
        monkeypatch.setattr("streameval.tables.json_stream.PIECE", piece)
        assert se.open_outputs(path, loss="v").values[:, 0].tolist() == values


def test_arrays_are_refused_that_are_not_what_their_header_says(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array, said in (
        (np.array(["a"]), "expected numbers"),
        (np.zeros((2, 2, 2)), "expected numbers"),
        (np.asfortranarray(np.zeros((3, 2))), "column-major"),
        (np.array([{}], object), "expected numbers"),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(DataError, match=said):
            se.open_outputs(path)
    np.save(path, np.zeros(100))
    whole = path.read_bytes()
    for content, said in (
        (whole[:-8], "it ends before row 100"),
        (whole + b"\0", "it goes on after its 100 rows"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            se.open_outputs(path)
    # A length that no file has costs nothing.
    path.write_bytes(whole.replace(b"(100,)", b"(10**15,)"[:6]).replace(b"(100,)", b"(9e9,)"))
    with pytest.raises(DataError):
        se.open_outputs(path)
    np.savez(tmp_path / "b.npz", loss=np.zeros(5), id=np.arange(4))
    with pytest.raises(DataError, match="arrays of different lengths"):
        se.open_outputs(tmp_path / "b.npz", row_id="id")


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streameval.outputs import kinds

    path = tmp_path / "saved.jsonl"
    path.write_text('{"loss": 1}\n' * 3)
    reduce = kinds.SavedValues.reduce

    def changing(self: object, *given: object) -> object:
        path.write_text('{"loss": 2}\n' * 4)
        return reduce(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(kinds.SavedValues, "reduce", changing)
    with pytest.raises(DataError, match="the file changed while it was read"):
        se.open_outputs(path)


@pytest.mark.parametrize("named", ["saved.jsonl", "."])
def test_columns_of_a_file_that_changes_while_it_is_read_are_refused(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its folder too, which stays what it is."""
    from streameval.outputs import numbers
    from streameval.outputs.numbers import open_numbers

    path = tmp_path / ("samples_t.jsonl" if named == "." else named)
    path.write_text('{"loss": 1, "n": 2}\n' * 3)
    floats = numbers.floats

    def changing(*given: object) -> object:
        path.write_text('{"loss": 2, "n": 2}\n' * 4)
        return floats(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(numbers, "floats", changing)
    with pytest.raises(DataError, match="the file changed while it was read"):
        open_numbers(tmp_path / named, ("loss", "n"))


def test_a_zip_of_another_kind_and_a_log_that_is_cut_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    saved_files.zstd_zip(
        path, {"header.json": b"{}", "summaries.json": b'[{"id": 1, "scores": {"m": {"value": 1}}}]'}
    )
    assert se.evaluate(se.open_outputs(path)).rows == 1
    content = bytearray(path.read_bytes())
    at = content.find(b"summaries.json") + len("summaries.json")
    content[at : at + 12] = b"\xff" * 12
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"log\.eval: a damaged log"):
        se.open_outputs(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
    with pytest.raises(DataError, match=r"no summaries\.json"):
        se.open_outputs(path)


def test_files_with_changed_bytes_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    """Of each format 150 mutations: a result or an error of the project; no other error, and no hang."""
    chance = random.Random(8)
    for form, how in saved_files.FORMATS.items():
        path = tmp_path / how.name
        how.write(path, [k / 8 for k in range(9)], [f"i {k}" for k in range(9)], ["a"] * 9)
        whole = path.read_bytes()
        for _ in range(150):
            content = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(content))
                content[at : at + chance.choice((0, 1, 1, 4))] = chance.randbytes(chance.choice((0, 1, 1, 3)))
            path.write_bytes(bytes(content[: chance.choice((len(content), len(content), at + 1))]))
            try:
                se.open_outputs(path, format=form.split("/")[0], **how.asked)
            except StreamevalError:
                continue
        path.unlink()


def test_names_that_are_not_there_and_models_are_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no/such\.jsonl: No such file"):
        se.open_outputs("no/such.jsonl")
    model = tmp_path / "model.onnx"
    model.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"its name is that of a model.*MODEL DATA"):
        se.open_outputs(model)
    with pytest.raises(UsageError, match=r"format 'xls' is not known\. Choose one of arrow"):
        se.open_outputs(model, format="xls")
    with pytest.raises(UsageError, match="int was given as outputs"):
        se.open_outputs(3)
    for name in ("samples_a.jsonl", "samples_b.jsonl"):
        saved_files.lm_eval(tmp_path / name, [0.5], ["i 0"], ["g"])
    with pytest.raises(
        UsageError, match=r"a folder with 2 files of outputs \(samples_a\.jsonl, samples_b\.jsonl\)"
    ):
        se.open_outputs(tmp_path)
    (tmp_path / "samples_b.jsonl").unlink()
    assert se.open_outputs(tmp_path, metric="exact_match,strict").rows == 1


def test_a_gzip_bomb_fills_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(b"v\n")
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    with pytest.raises(DataError, match="cannot be read"):
        se.open_outputs(path, loss="v")


def test_a_length_that_lies_costs_no_memory(tmp_path: Path) -> None:
    """Where a reader asks for more than there is, as of a size in a damaged file, nothing is set aside for it."""
    path = tmp_path / "short"
    path.write_bytes(b"0123456789")
    with SizedFile(str(path)) as file:
        assert file.read(4) == b"0123"
        assert file.read(1 << 62) == b"456789"
        assert (file.read(), file.seek(8), file.read(-1)) == (b"", 8, b"89")
    # An Arrow stream whose first message says 2 GB, and a log whose member says 4.
    path.write_bytes(b"\xff\xff\xff\xff" + (2_000_000_000).to_bytes(4, "little") + b"\0" * 64)
    tracemalloc.start()
    with pytest.raises(DataError, match="cannot be read"):
        se.open_outputs(path, format="arrow", loss="v")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
