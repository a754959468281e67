"""A report's anatomy is computed again where all rows are: whatever is false of it is found, possible or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process
from long_runs import drawn, network, write

import streameval as se
from streameval.errors import CheckError
from streameval.evaluation import sealed
from streameval.evaluation.anatomy import Anatomy
from streameval.evaluation.anatomy_consistency import check_anatomy
from streameval.evaluation.anatomy_report import anatomy_dict
from streameval.evaluation.state import State
from streameval.evaluation.tally import BLOCK_ROWS

ROWS = BLOCK_ROWS + 900


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with a column of three styles."""
    folder = tmp_path_factory.mktemp("again")
    table = pa.ipc.open_file(write(folder / "plain.arrow", ROWS)).read_all().replace_schema_metadata(None)
    for column, values in (("style", np.array(["bold", "plain", "thin"])), ("by", np.arange(3))):
        table = table.append_column(column, pa.array(values[np.arange(ROWS) % 3]))
    with (
        pa.OSFile(str(folder / "data.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    network().save(folder / "net.safetensors")
    return folder / "data.arrow"


@pytest.fixture(scope="module")
def report(data: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(json.dumps(se.evaluate(network(), data, by="style").to_dict()))
    return said


def restated(report: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The report with other counts in its anatomy, whatever follows from them, and a hash of its own."""
    counts = json.loads(json.dumps(report["anatomy"]["state"]))
    change(counts)
    state, anatomy = State.from_dict(report["state"]), Anatomy.from_dict(counts)
    check_anatomy(anatomy, state)  # some rows could come to it
    said = json.loads(json.dumps(anatomy_dict(anatomy, state)))
    assert said != report["anatomy"]
    return sealed.seal({**report, "anatomy": said})


def fewer_right(counts: Any) -> None:
    counts["chances"]["top"][1] -= 1


def surer(counts: Any) -> None:
    counts["chances"]["bins"][-1][2] += 1


def better(counts: Any) -> None:
    """Two units less: sum and squares are odd or even together."""
    counts["chances"]["brier"]["units"] -= 2


def of_another_row(counts: Any) -> None:
    taken = {row for _, one, _ in counts["slices"] for _, row in one["worst"]}
    counts["slices"][2][1]["worst"][5][1] = next(row for row in range(ROWS) if row not in taken)


def right_of_others(counts: Any) -> None:
    counts["slices"][0][2] += 1
    counts["slices"][1][2] -= 1


def renamed(counts: Any) -> None:
    counts["slices"][0][0] = "bald"


def losses(counts: Any) -> None:
    """A unit of loss in the cell beside."""
    grid = counts["grid"]
    at = next(k for k in range(len(grid) // 2, len(grid)) if grid[k][1] > 50 < grid[k + 1][1])
    grid[at][2] += 1
    grid[at + 1][2] -= 1


def without_probabilities(counts: Any) -> None:
    counts["chances"] = None


FALSE = {
    fewer_right: "top_k, brier, calibration",
    surer: "top_k, brier, calibration",
    better: "top_k, brier, calibration",
    without_probabilities: "top_k, brier, calibration",
    of_another_row: "by are not .* 'style' may have other values",
    right_of_others: "by are not",
    renamed: "by are not",
    losses: "quantiles, worst are not",
}


@pytest.mark.parametrize("change", FALSE, ids=lambda change: change.__name__)
def test_an_anatomy_that_is_possible_and_false_is_found(
    report: dict[str, Any], data: Path, change: Callable[[Any], Any]
) -> None:
    false = restated(report, change)
    with pytest.raises(CheckError, match=rf"of its anatomy, {FALSE[change]}.*evaluate again"):
        se.verify(false, network(), data)
    # Of some blocks, no one can tell: it is said.
    assert se.verify(false, network(), data, blocks=1).unknown["anatomy"] == false["anatomy"]


def test_the_command_tells_a_true_anatomy_from_a_false_one(
    report: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    model, paths = data.with_name("net.safetensors"), (tmp_path / "true.json", tmp_path / "false.json")
    done = in_process("evaluate", model, data, "--by", "style", "--json")
    paths[0].write_text(done.stdout)
    paths[1].write_text(json.dumps(restated(json.loads(done.stdout), surer)))
    true, false = (in_process("verify", path, model, data) for path in paths)
    assert true.returncode == 0, true.stderr
    assert "anatomy" not in true.stdout
    assert false.returncode == 6
    assert (
        "false.json: of its anatomy, top_k, brier, calibration are not what all rows come to" in false.stderr
    )
    some = in_process("verify", paths[1], model, data, "--blocks", "1")
    assert some.returncode == 0
    assert "anatomy" in some.stdout.split("Not known", 1)[1]


def test_values_that_were_given_as_an_array_are_not_known(data: Path) -> None:
    """Not even where the data have a column of the name that an array is called by."""
    values = drawn(ROWS)[1] % 2
    for given in (drawn(ROWS), data):
        report = json.loads(json.dumps(se.evaluate(network(), given, by=values).to_dict()))
        found = se.verify(report, network(), given)
        assert found.whole
        assert found.unknown["anatomy.by"] == report["anatomy"]["by"]
        assert "anatomy" not in found.unknown
        with pytest.raises(CheckError, match="of its anatomy, top_k"):
            se.verify(restated(report, fewer_right), network(), given)


def test_saved_outputs_and_predictors_are_verified_too() -> None:
    draws = np.random.default_rng(1)
    y, t = draws.dirichlet(np.ones(5), 900), draws.integers(0, 5, 900)
    table = {"y": y, "label": t, "kind": np.array(["a", "b"])[t % 2]}

    def saved(whole: bool) -> Any:
        return se.open_outputs(table, label="label", probabilities="y", group="kind", whole=whole)

    said = [json.loads(json.dumps(se.evaluate(saved(whole), by="kind").to_dict())) for whole in (False, True)]
    for whole in (False, True):
        opened = saved(whole)
        found = se.verify(said[whole], opened.model, opened)
        assert not [name for name in found.unknown if name.startswith("anatomy")]
        with pytest.raises(CheckError, match="of its anatomy, by are not"):
            se.verify(restated(said[whole], right_of_others), opened.model, opened)
    predictor, data = se.Predictor(predict=lambda x: x, returns="probabilities"), (y.astype("f4"), t)
    report = json.loads(json.dumps(se.evaluate(predictor, data, anatomy=True).to_dict()))
    assert "anatomy" not in se.verify(report, predictor, data).unknown
    with pytest.raises(CheckError, match=r"of its anatomy, top_k.* promises equal bits only"):
        se.verify(restated(report, fewer_right), predictor, data)
