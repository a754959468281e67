"""Options of columns mean the same to every command that reads data, each by itself and together."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import in_process, result

import streameval as se
from streameval.cli.column_options import ColumnOptions

ROWS = 60
# Field -> what to give on the command line, and in Python.
GIVEN = {
    "scale": ("1/3", 1 / 3),
    "features": ("a,b,c", ["a", "b", "c"]),
    "target": ("kind", "kind"),
    "image": ("picture", "picture"),
    "mean": ("0.25", 0.25),
    "std": ("0.5,2,1", [0.5, 2.0, 1.0]),
}
# A picture stands in place of features.
TOGETHER = sorted({*GIVEN} - {"image"})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network of three features and four classes, and a table; a guess would take other columns."""
    place, rng = tmp_path_factory.mktemp("columns"), np.random.default_rng(0)
    columns = {one: rng.integers(0, 256, ROWS).astype(np.uint8) for one in "dabc"}
    columns |= {one: rng.integers(0, 4, ROWS) for one in ("label", "kind")}
    picture = pa.array(rng.integers(0, 256, (ROWS, 3)).tolist(), pa.list_(pa.uint8(), 3))
    pq.write_table(pa.table({**columns, "picture": picture}), place / "a.parquet")
    weights = {"W1": rng.normal(size=(3, 4)).astype(np.float32), "b1": np.zeros(4, np.float32)}
    np.savez(place / "network.npz", **weights)
    return place / "network.npz", place / "a.parquet"


def test_there_is_a_line_here_for_each_of_them() -> None:
    assert [one.name for one in fields(ColumnOptions)] == list(GIVEN)


@pytest.mark.parametrize(
    "names", [TOGETHER, ["image", "target"], ["features", "target", "scale"]], ids=" ".join
)
def test_info_convert_and_evaluate_read_the_same_rows(
    names: list[str], table: tuple[Path, Path], tmp_path: Path
) -> None:
    model, data = table
    options = [part for name in names for part in (f"--{name}", GIVEN[name][0])]
    source = se.open(data, **{name: GIVEN[name][1] for name in names})  # type: ignore[attr-defined]
    said = result("info", data, *options)
    assert (said["fingerprint"], said["scale"]) == (source.fingerprint, source.scale)
    result("convert", data, tmp_path / "a.arrow", *options)
    converted = se.open(tmp_path / "a.arrow")  # type: ignore[attr-defined]
    assert (converted.fingerprint, converted.scale) == (source.fingerprint, source.scale)
    digest = result("evaluate", model, data, *options)["digest"]
    assert digest == result("evaluate", model, tmp_path / "a.arrow")["digest"]
    assert digest == se.evaluate(se.load_model(model), source).digest


@pytest.mark.parametrize(
    "command",
    ["info DATA", "convert DATA to.arrow", "evaluate MODEL DATA", "until MODEL DATA --half-width 1"],
)
def test_what_is_no_number_is_told(command: str, table: tuple[Path, Path], tmp_path: Path) -> None:
    words = command.replace("MODEL", str(table[0])).replace("DATA", str(table[1])).split()
    done = in_process(*words, "--mean", "0.5,much", cwd=tmp_path)
    assert done.returncode == 2
    assert "--mean: 'much' is no number. Expected such as 0.5, or 0.5,0.4,0.3." in done.stderr
