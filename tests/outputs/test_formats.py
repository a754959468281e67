"""Whatever wrote the values: what is read is the same, to the bit, and needs no word about the format."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import saved_files
import tensors

import streameval as se
from streameval.errors import DataError
from streameval.outputs.formats import FORMATS
from streameval.outputs.numbers import open_numbers

# Dyadic numbers, so that epochs and trials above and below average to them exactly.
VALUES = [k / 64 - 0.5 for k in (3, 60, 31, 17, 64, 0, 2, 45, 45, 12, 33, 50, 9, 22, 40, 64, 1, 29)]
IDS = [f"sample {k * 7 % 18}" for k in range(18)]
GROUPS = ["ab"[k % 2] for k in range(18)]
each_format = pytest.mark.parametrize("form", [*saved_files.FORMATS])


def written(
    folder: Path, form: str, values: list[float] = VALUES, order: Any = range(18)
) -> tuple[Path, Any]:
    how = saved_files.FORMATS[form]
    path = folder / how.name
    how.write(path, [values[k] for k in order], [IDS[k] for k in order], [GROUPS[k] for k in order])
    return path, how


def test_every_format_of_the_package_is_written_here() -> None:
    assert {name.split("/")[0] for name in saved_files.FORMATS} == set(FORMATS)


@pytest.mark.parametrize("form", [name for name, row in FORMATS.items() if row.in_folder is not None])
def test_of_a_tool_s_folder_its_file_is_meant(form: str, tmp_path: Path) -> None:
    inside = tmp_path / "results" / "a task"
    inside.mkdir(parents=True)
    path, how = written(inside, form)
    (inside / "results.json").write_text("{}")
    assert (
        se.open_outputs(tmp_path, **how.asked).fingerprint == se.open_outputs(path, **how.asked).fingerprint
    )
    assert se.open_outputs(tmp_path, **how.asked).model.saved["format"] == form


@each_format
def test_the_sums_are_exact_whatever_wrote_the_values(form: str, tmp_path: Path) -> None:
    path, how = written(tmp_path, form)
    outputs = se.open_outputs(path, **how.asked)
    report = se.evaluate(outputs)
    assert report.rows == 18
    assert report.state.sums.units == sum(Fraction(v) for v in VALUES) * 2**40
    assert report.state.sums.units_squared == sum(Fraction(v) ** 2 for v in VALUES) * 2**80
    assert (report.state.sums.smallest, report.state.sums.largest) == (min(VALUES), max(VALUES))
    assert report.loss_function.score
    # A format that is named is read as the one that was recognised.
    again = se.open_outputs(path, format=form.split("/")[0], **how.asked)
    assert se.evaluate(again).digest == report.digest
    assert outputs.model.saved["format"] == form.split("/")[0]


def test_all_formats_give_the_same_fingerprint(tmp_path: Path) -> None:
    found = set()
    for form in saved_files.FORMATS:
        path, how = written(tmp_path, form)
        found.add(se.open_outputs(path, **how.asked).fingerprint)
    assert len(found) == 1


@pytest.mark.parametrize("form", [name for name, how in saved_files.FORMATS.items() if how.group is not None])
def test_groups_are_those_of_the_file(form: str, tmp_path: Path) -> None:
    path, how = written(tmp_path, form)
    outputs = se.open_outputs(path, group=how.group, **how.asked)
    assert outputs.groups is not None
    assert [outputs.groups.names[code] for code in outputs.groups.codes] == GROUPS


@pytest.mark.parametrize("form", [name for name, how in saved_files.FORMATS.items() if how.ids])
def test_runs_are_joined_in_any_order(form: str, tmp_path: Path) -> None:
    better = [v + (k % 3 == 0) for k, v in enumerate(VALUES)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, how = written(tmp_path / "a", form)
    second, _ = written(tmp_path / "b", form, better, range(17, -1, -1))
    result = se.paired([se.open_outputs(one, **how.asked) for one in (first, second)])
    assert result.mean == pytest.approx(6 / 18, abs=1e-15)
    assert result.to_dict()["joined"]["rows"] == 18
    assert result.win_rate == pytest.approx(6 / 18)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".zst"])
def test_a_compressed_csv_file_is_read_too(ending: str, tmp_path: Path) -> None:
    path, how = written(tmp_path, "csv")
    packed = tmp_path / f"saved.csv{ending}"
    with pa.output_stream(str(packed), compression="detect") as stream:
        stream.write(path.read_bytes())
    assert se.open_outputs(packed, **how.asked).fingerprint == se.open_outputs(path, **how.asked).fingerprint


@pytest.mark.parametrize("parting", [";", "\t"])
def test_other_marks_may_part_the_columns_of_a_csv_file(parting: str, tmp_path: Path) -> None:
    path, how = written(tmp_path, "csv")
    path.write_text(path.read_text().replace(",", parting))
    assert se.evaluate(se.open_outputs(path, **how.asked)).rows == 18


@pytest.mark.parametrize("form", ["arrow", "parquet", "csv", "table"])
def test_a_name_of_two_columns_is_refused_where_it_is_read(form: str, tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([v, v + 1]) for v in (0.25, 4.0, 8.0)], names=["v", "v", "loss"])
    path = tmp_path / f"saved.{form}"
    if form == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    elif form == "parquet":
        pq.write_table(table, path)
    elif form == "csv":
        path.write_text("v,v,loss\n0.25,4,8\n1.25,5,9\n")
    given = table if form == "table" else path
    said = r"column 'v' is there twice \(as number 1 and 2\), expected names that differ\. Rename one\."
    for way in ({"score": "v"}, {"loss": "loss", "row_id": "v"}, {"loss": "loss", "group": "v"}):
        with pytest.raises(DataError, match=said):
            se.open_outputs(given, **way)
    with pytest.raises(DataError, match=said):
        open_numbers(given, ["loss", "v"])
    # Where it is not read, it hurts nobody.
    assert se.evaluate(se.open_outputs(given)).loss == 8.5


@pytest.mark.parametrize(
    "table",
    [{"v": np.array(VALUES), "id": np.array(IDS)}, pa.table({"v": VALUES, "id": IDS})],
    ids=["dict", "table"],
)
def test_tables_in_memory_are_outputs_too(table: Any) -> None:
    outputs = se.open_outputs(table, score="v", row_id="id")
    assert se.evaluate(outputs).state.sums.units == sum(Fraction(v) for v in VALUES) * 2**40
    assert outputs.path is None


@pytest.mark.parametrize("kind", tensors.KINDS.values(), ids=tensors.KINDS)
def test_tensors_are_outputs_as_a_model_gives_them(kind: dict[str, Any]) -> None:
    z, t = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], np.float32), np.array([1, 0])
    given = {"z": tensors.Tensor(z, **kind), "t": tensors.Tensor(t, dtype="torch.int64")}
    found, expected = (se.open_outputs(one, logits="z", label="t") for one in (given, {"z": z, "t": t}))
    assert se.evaluate(found).digest == se.evaluate(expected).digest


@pytest.mark.parametrize(
    "z", [tensors.Tensor(np.eye(2), sparse=True), [[1.0, 2.0], [1.0]]], ids=["sparse", "ragged"]
)
def test_what_does_not_become_an_array_of_outputs_is_told_by_its_column(z: Any) -> None:
    with pytest.raises(
        DataError, match=r"<table>, column z: a .* that does not become an array \(.*to_dense"
    ):
        se.open_outputs({"z": z, "t": [0, 1]}, logits="z", label="t")


def test_what_evaluate_wrote_is_read_with_its_rows_and_bounds(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "losses.arrow"
    model = se.load_model(network_file)
    report = se.evaluate(model, digits_file, options=se.PassOptions(losses=target))
    outputs = se.open_outputs(target)
    assert se.evaluate(outputs).state.sums == report.state.sums
    assert outputs.value is not None
    assert outputs.value.bounds == se.CrossEntropy().bounds
    assert outputs.ids is not None
    assert outputs.ids.name(17) == "17"
    assert se.evaluate_until(outputs, half_width=0.2).stopped == "precision"


def test_batches_of_a_long_file_are_put_together(tmp_path: Path) -> None:
    """Over the rows that a reader hands on at once, in record batches of other sizes."""
    values = np.random.default_rng(3).normal(size=20_001)
    table = pa.table({"loss": values, "id": np.arange(20_001)})
    path = tmp_path / "long.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=9_999)
    outputs = se.open_outputs(path, row_id="id")
    np.testing.assert_array_equal(outputs.values[:, 0], values)
    np.testing.assert_array_equal(se.per_sample_losses(outputs), values)
    assert outputs.ids is not None
    assert [outputs.ids.name(k) for k in (0, 9_999, 20_000)] == ["0", "9999", "20000"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_breaks_and_marks_within_quotes_part_nothing(ending: str, tmp_path: Path) -> None:
    """Neither where a piece of 8 MiB ends, nor in the names, which say what parts the columns."""
    texts = [f"answer {k}{ending}{ending.join(['words'] * (k % 37))}" for k in range(80_000)]
    with (tmp_path / "long.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";", lineterminator=ending)
        writer.writerow([f"a, b, c,{ending}d, e, f", "v"])
        writer.writerows([text, k % 2] for k, text in enumerate(texts))
    assert (tmp_path / "long.csv").stat().st_size > 9 << 20
    outputs = se.open_outputs(tmp_path / "long.csv", score="v")
    assert outputs.values[:, 0].tolist() == [k % 2 for k in range(80_000)]


def test_a_row_over_the_limit_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(f'v,text\n1,short\n0,"{"x" * (24 << 20)}"\n1,short\n')
    with pytest.raises(DataError, match=r"wide.csv: .*a row .*8 MiB.* Parquet"):
        se.open_outputs(tmp_path / "wide.csv", score="v")
