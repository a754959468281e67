"""The benchmarks measure right answers only, take turns, and show what they found. No figure is tested."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from command_line import needs_proc

import streameval as se

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks lie in a clone only: this is not one", allow_module_level=True)
# Last, so that `streameval` is still the installed one.
sys.path.append(str(ROOT))

bars, data, layer_module, memory, page, racing, rates, roofline, shell, timing, workloads = (
    import_module(f"benchmarks.{name}")
    for name in [
        "bars",
        "data",
        "layers",
        "memory",
        "page",
        "racing",
        "rates",
        "roofline",
        "shell",
        "timing",
        "workloads",
    ]
)
Files = import_module("benchmarks.files").Files

PEERS = ("onnxruntime", "onnx", "jax", "openvino", "torch", "sklearn")
ROWS = 300


# --- every workload, on few rows ---


@pytest.mark.parametrize("name", workloads.RACES)
def test_streameval_gets_the_exact_loss_in_every_race(name: str) -> None:
    result = racing.run_here(name, rounds=1, rows=ROWS, only="streameval", pause=0.0)

    assert result["lines"]
    for line in result["lines"]:
        assert line["right"], line
        assert line["loss"] == pytest.approx(line["exact"], rel=1e-6)
        assert line["median"] > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", workloads.RACES)
def test_every_peer_gets_the_right_loss(name: str) -> None:
    if not any(find_spec(peer) for peer in PEERS):
        pytest.skip("no peer is installed: pip install '.[bench]'")
    if workloads.RACES[name].one_thread and not racing.can_bind():
        pytest.skip("this system binds no process to a CPU")
    result = racing.run(name, rounds=1, rows=ROWS, quick=True)

    for line in result["lines"]:
        assert line["right"], line
    missing = [note for note in result["notes"] if "quick" not in note]
    named = {line["who"] for line in result["lines"]} | {note.split(":")[0] for note in result["notes"]}
    assert named == {one.who for one in workloads.RACES[name].contestants}
    if missing:
        pytest.skip(" ".join(missing))


def test_rates_and_reading_run_on_few_rows(tmp_path: Path) -> None:
    files = Files(tmp_path, ROWS)

    results = [
        rates.scaling(files, sizes=(100, ROWS), rounds=1),
        rates.reading(files, rows=ROWS, rounds=1),
        rates.making(files, rows=ROWS, rounds=1),
    ]

    for result in results:
        assert all(line["median"] > 0.0 for line in result["lines"])
        assert str(ROWS) in page.table(result)
    assert [line["rows"] for line in results[0]["lines"]] == [100, ROWS]


@needs_proc
@pytest.mark.slow
def test_the_command_gives_the_right_loss_and_its_memory_is_seen(tmp_path: Path, monkeypatch: Any) -> None:
    files = Files(tmp_path, ROWS)
    monkeypatch.setattr(shell, "PEERS", {})
    monkeypatch.setattr(shell, "IMPORTS", {"import streameval": "streameval"})

    warm, first = shell.warm(files, rounds=1), shell.first(files, rounds=1)
    seen = memory.memory(files, sizes=(ROWS,))

    assert shell.OURS == warm["lines"][0]["who"] == first["lines"][0]["who"]
    for result in (warm, first):
        assert result["lines"][0]["right"], result["lines"][0]
    # An empty cache folder must mean that everything is compiled.
    assert first["lines"][0]["median"] > warm["lines"][0]["median"]
    (line,) = seen["lines"]
    assert line["over_imports"] == max(line["outside"], line["reported"]) - seen["imports"]
    assert 10 * 2**20 < seen["imports"] < seen["one_row"]


# --- the exact loss ---


@pytest.mark.parametrize("network", data.NETWORKS)
def test_the_reference_is_the_naive_loss(network: str) -> None:
    given = data.task(network, 50, 1)
    layers = [naive.Layer(*layer) for layer in given.layers]
    x = given.x.astype(np.float64) / 255.0 if given.x.dtype == np.uint8 else given.x

    for eps, losses in given.exact.items():
        assert losses == pytest.approx(naive.losses(layers, x, given.t, eps), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("network", data.IMAGES)
def test_the_reference_of_images_is_the_naive_network(network: str) -> None:
    layers, shape = data.network_of(network)
    x = np.random.default_rng(1).random((2, *shape))

    found = layer_module.exact_logits(layers, x)

    expected = naive_network(layers, x).reshape(2, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found.shape == (2, 10)


def naive_network(layers: Any, x: np.ndarray) -> np.ndarray:
    """By the twins of the package's layers."""
    for layer in layers:
        kind = type(layer).__name__
        if kind == "Dense":
            x = x.reshape(len(x), -1) @ layer.weight.astype(float) + layer.bias
        elif kind == "Conv":
            sides, stride = (layer.padding,) * 4, (layer.stride,) * 2
            x = naive.conv2d(x, layer.weight.astype(float), layer.bias.astype(float), stride, sides, 1)
        elif kind == "Pool":
            x = (naive.max_pool2d if layer.kind == "max" else naive.avg_pool2d)(x, (2, 2), (2, 2))
        elif kind == "Average":
            x = x.mean(axis=(2, 3), keepdims=True)
        else:
            x = naive_network(layer.body, x) + naive_network(layer.shortcut, x)
        x = naive.ACTIVATIONS[getattr(layer, "activation", "identity")](x)
    return x


@pytest.mark.parametrize(
    ("network", "millions"),
    [("lenet", 0.83), ("simpleconv", 1.73), ("pytorch-mnist", 24.0), ("deepconv", 17.5)],
)
def test_the_networks_take_the_products_and_sums_that_they_are_known_for(
    network: str, millions: float
) -> None:
    assert layer_module.flops(*data.network_of(network)) / 1e6 == pytest.approx(millions, rel=0.01)


def test_rows_in_cache_are_evaluated_like_the_same_rows_in_an_array() -> None:
    x, t = data.pixels(70)
    model = data.model(data.seed_network(), (784,))
    which = np.arange(ROWS) % 64
    source = se.open((x[which], t[which]))

    again = rates.Again(source, 64)

    expected, found = se.evaluate(model, source), se.evaluate(model, again, chunk_rows=128)
    assert found.rows == ROWS
    assert found.digest == expected.digest


# --- the clock ---


def ready(loss: float = 1.0, exact: float = 1.0, seconds: float = 0.0, calls: int = 1) -> Any:
    def run() -> float:
        time.sleep(seconds)
        return loss

    return timing.Ready(run, exact, 1e-5, calls)


def test_contestants_take_turns_and_each_timing_follows_an_untimed_call() -> None:
    called: list[str] = []

    def entrant(who: str) -> Any:
        return timing.Entrant(who, "", timing.Ready(lambda: called.append(who) or 1.0, 1.0, 1e-5))

    timing.race([entrant(who) for who in "abc"], rows=1, rounds=4, pause=0.0)

    rounds = [called[i : i + 6] for i in range(0, len(called), 6)]
    assert len(rounds) == 4
    for one in rounds:
        assert one[::2] == one[1::2]
        assert sorted(one[::2]) == ["a", "b", "c"]
    assert len({one[0] for one in rounds}) > 1


def test_the_best_setting_of_each_contestant_races() -> None:
    entrants = [
        timing.Entrant("a", "slow", ready(seconds=0.05)),
        timing.Entrant("a", "quick", ready(seconds=0.001)),
        timing.Entrant("b", "", ready(seconds=0.001)),
    ]

    lines = timing.race(entrants, rows=1, rounds=1, pause=0.0)

    assert [(line.who, line.setting) for line in lines] == [("a", "quick"), ("b", "")]


def test_time_is_divided_by_the_calls_in_a_run() -> None:
    (line,) = timing.race(
        [timing.Entrant("a", "", ready(seconds=0.1, calls=100))], rows=1, rounds=1, pause=0.0
    )

    assert 0.001 <= line.fastest < 0.1


@pytest.mark.parametrize("loss", [1.00002, 0.9999, math.nan, math.inf])
def test_a_loss_beyond_the_tolerance_is_wrong(loss: float) -> None:
    (line,) = timing.race([timing.Entrant("a", "", ready(loss=loss))], rows=1, rounds=1, pause=0.0)

    assert not line.right


# --- tables, bars, page, picture ---


def line(
    who: str, median: float, *, right: bool = True, rows: int = 60_000, loss: float | None = 0.2
) -> dict[str, Any]:
    return {
        "who": who, "setting": "", "rows": rows, "median": median, "fastest": median,
        "loss": loss, "exact": loss if right else 0.3, "right": right,
    }  # fmt: skip


def race(name: str, *lines: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "race",
        "title": f"title of {name}",
        "rows": 60_000,
        "lines": [*lines],
        "notes": [],
    }


def stored(*results: dict[str, Any]) -> dict[str, Any]:
    told = {
        "date": "2026-01-01", "cpu": "a CPU", "cpu_model": "family 1", "instructions": ["avx2"], "cpus": 2,
        "byte_engine": "avx2", "masked": True,
        "threads": 2, "memory_bytes": 2**34, "system": "Linux", "python": "3.12", "streameval": "0.1.0",
        "packages": {"numpy": "2", "torch": None}, "pixels": "drawn digits", "load_before": 0.0, "quick": False,
    }  # fmt: skip
    limits = {"flops": 2e11, "bytes": 4e10, "bytes_one": 2e10}
    return {"schema": "streameval/benchmarks/1", "machine": told, "limits": limits, "results": [*results]}


@pytest.mark.parametrize(
    ("ours", "verdict"), [(0.009, "goal met"), (0.010, "goal met"), (0.016, "met"), (0.018, "not met")]
)
def test_a_bar_is_a_ratio_to_the_fastest_peer(ours: float, verdict: str) -> None:
    results = {"seed": race("seed", line("streameval", ours), line("slow", 0.1), line("quick", 0.05))}
    bar = next(bar for bar in bars.BARS if bar.result == "seed")

    seen = bars.found(bar, results)

    assert seen.verdict == verdict
    assert seen.text == f"{0.05 / ours:.2f} x the speed of quick"


def test_a_wrong_peer_does_not_count_and_is_named() -> None:
    result = race("seed", line("streameval", 0.02), line("peer", 0.03), line("wrong one", 0.001, right=False))

    table = page.table(result)

    assert "1.50 x the speed of peer" in page.bars({"seed": result})
    assert "wrong one gave a loss of 0.2, expected 0.3: not counted" in table
    assert page.losses({"seed": result}) == ["seed: the bar is 3 x faster; found 1.50 x the speed of peer."]


def test_the_page_says_where_streameval_loses() -> None:
    results = [
        race("relu", line("streameval", 0.30), line("JAX, jit", 0.25)),
        race("seed-one-thread", line("streameval", 0.03), line("JAX, jit", 0.06)),
    ]

    text = page.page(stored(*results), figure=None)

    assert "- relu: JAX, jit is 1.20 x as fast as streameval (250 ms against 300 ms)." in text
    assert "- relu: the bar is as fast; found 0.83 x the speed of JAX, jit." in text
    assert "seed-one-thread: JAX" not in text
    assert "torch not installed" in text


def test_every_kind_of_result_becomes_a_table_of_even_rows() -> None:
    sizes = [line(f"{rows} rows", rows * 1e-6, rows=rows, loss=None) for rows in (60_000, 2_000_000)]
    few = {"rows": 9, "file_bytes": 7e6, "outside": 3 * 2**20, "reported": 2**20, "file_pages": 2**20}
    results = [
        race("seed", line("streameval", 0.01), line("a", 5e-5)),
        race("process", line("streameval", 0.4), line("PyTorch", 2.0), line("import numpy", 0.1, loss=None)),
        {"name": "scaling", "kind": "rates", "title": "rows", "lines": sizes, "notes": []},
        {
            "name": "memory", "kind": "memory", "title": "memory", "imports": 2**20, "one_row": 2**21, "notes": ["so"],
            "lines": [few | {"over_imports": 2**21}],
        },
    ]  # fmt: skip

    text = page.page(stored(*results), figure="limits.svg")

    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 1 + len(results)
    for block in blocks:
        assert len({row.count("|") for row in block}) == 1
        assert len({len(row) for row in block}) == 1
    for expected in (
        "50.0 µs",
        "2.0 MiB for 9 rows",
        "0.40 s, 5.0 x the speed of PyTorch's",
        "cost of a row within 0.0 % of that at 2,000,000 rows, from 60,000 rows on",
        "![Rows a second against the limits](limits.svg)",
        "not measured",
    ):
        assert expected in text, expected


def test_cost_that_grows_faster_than_the_rows_is_not_linear() -> None:
    bar = next(bar for bar in bars.BARS if bar.result == "scaling")
    lines = [line("a", 0.060, rows=60_000), line("b", 2.2, rows=2_000_000)]

    seen = bars.found(bar, {"scaling": {"lines": lines}})

    assert seen.verdict == "not met"
    assert "within 9.1 %" in seen.text


def test_the_picture_places_each_workload_and_is_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib: pip install matplotlib")
    limits = {"flops": 2e11, "bytes": 4e10}
    results = {"seed": race("seed", line("streameval", 0.02), line("a", 0.06)), "relu": race("relu")}

    seed, relu = places = roofline.places(results, limits)

    assert (seed.ours, seed.peer, seed.peer_name) == pytest.approx((3e6, 1e6, "a"))
    # 784 * 50 + 50 * 100 + 100 * 10 weights, a product and a sum for each; 784 pixels and a label of 8 bytes.
    assert seed.arithmetic == pytest.approx(2e11 / (2 * 45_200))
    assert seed.memory == pytest.approx(4e10 / 792)
    assert relu.ours is None
    for name in ("a.svg", "b.svg", "c.png"):
        roofline.draw(places, tmp_path / name, caption="here")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("right", "code"), [(True, 0), (False, 1)])
def test_kept_results_become_a_page_and_a_wrong_loss_of_ours_ends_with_1(
    tmp_path: Path, right: bool, code: int
) -> None:
    kept, out = tmp_path / "results.json", tmp_path / "page.md"
    kept.write_text(
        json.dumps(stored(race("process", line("streameval", 0.4, right=right), line("PyTorch", 2.0))))
    )

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--read", kept, "--markdown", out],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == code, done.stderr
    assert "whole process, warm cache" in done.stdout
    assert out.read_text().startswith("# Performance")


def test_the_page_says_what_was_hidden_from_the_kernels() -> None:
    told = stored()["machine"]
    assert "by `avx2`, as on a CPU with no more than that" in page.machine(told)
    assert "hidden" not in page.machine(told | {"masked": False})
    older = {name: value for name, value in told.items() if name not in ("byte_engine", "masked")}
    assert "multiplied bytes" not in page.machine(older)
