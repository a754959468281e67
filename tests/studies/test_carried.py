"""Results pickle and copy: they say the same, and carry neither rows nor weights nor open files."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import streameval as se
from streameval.evaluation.names import DataName, ModelName

RESULTS = {
    "report": lambda model, data: se.evaluate(model, data, anatomy=True),
    "some rows": lambda model, data: se.evaluate(model, data, rows=slice(3, 50)),
    "mini-batches": lambda model, data: se.minibatch(model, data, size=20, batches=2),
    "comparison": lambda model, data: se.compare(model, data, sizes=(10,), trials=50),
    "until": lambda model, data: se.evaluate_until(model, data, half_width=0.5),
    "paired": lambda model, data: se.paired([model, model], data),
    "paired until": lambda model, data: se.paired([model, model], data, half_width=0.5),
    "calibration": lambda model, data: se.calibration(model, data),
}
WAYS = {
    "pickle": lambda result: pickle.loads(pickle.dumps(result)),
    "deep copy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.fixture(scope="module")
def place(digits_file, tmp_path_factory):
    return shutil.copy(digits_file, tmp_path_factory.mktemp("carried") / "a.arrow")


@pytest.fixture(scope="module")
def network(network_file):
    return se.load_model(network_file)


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("way", WAYS)
def test_what_comes_back_says_the_same(name, way, network, place, tmp_path):
    result = RESULTS[name](network, place)
    again = WAYS[way](result)
    assert type(again) is type(result)
    assert again.to_dict() == result.to_dict()
    assert repr(again) == repr(result)
    assert str(again) == str(result)
    if name != "calibration":
        again.to_html(tmp_path / "page.html")


@pytest.mark.parametrize("name", RESULTS)
def test_a_pickle_does_not_grow_with_the_rows_and_needs_no_file(name, network, place, tmp_path):
    few = str(shutil.copy(place, tmp_path / "few.arrow"))
    content = pickle.dumps(RESULTS[name](network, few))
    x = se.open(place).take(np.arange(2_000))
    arrays = np.array(x.x), np.array(x.t)
    held = pickle.dumps(RESULTS[name](network, arrays))
    assert max(len(content), len(held)) < 20_000
    Path(few).unlink()
    again = pickle.loads(content)
    for one in (again, *getattr(again, "reports", ())):
        if hasattr(one, "data"):
            assert isinstance(one.data, DataName)
            assert one.data.path == few
            assert all(
                isinstance(model, ModelName)
                for model in getattr(one, "models", (getattr(one, "model", None),))
            )
    assert str(again)


def test_rounding_is_measured_before_the_data_go(network, place):
    report = se.evaluate(network, place)
    again = pickle.loads(pickle.dumps(report))
    assert again.rounding == report.rounding
    assert again.rounding is not None
    assert pickle.dumps(pickle.loads(pickle.dumps(again))) == pickle.dumps(again)


def test_saved_outputs_and_functions_are_carried_as_well(network, place, tmp_path):
    (tmp_path / "a.csv").write_text("loss,id\n" + "".join(f"0.{k},{k}\n" for k in range(1, 60)))
    outputs = se.open_outputs(tmp_path / "a.csv", loss="loss", row_id="id")
    for result in (se.evaluate(outputs), se.minibatch(outputs, size=5), se.paired([outputs, outputs])):
        again = pickle.loads(pickle.dumps(result))
        assert again.to_dict() == result.to_dict()
        assert str(again) == str(result)
    report = se.evaluate(lambda x: np.tile(np.arange(10.0), (len(x), 1)), place)
    assert pickle.loads(pickle.dumps(report)).to_dict() == report.to_dict()
