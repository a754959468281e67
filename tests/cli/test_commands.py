"""Every command does what its help says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from command_line import environment, in_process, result, streameval

import streameval as se
from streameval.cli.commands import COMMANDS
from streameval.datasets.digits import draw

ARTICLE_BATCH = 0.20627925345


def without_costs(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what differs from run to run: its costs, and its hash, which is over them too."""
    return {name: value for name, value in report.items() if name not in ("resources", "sha256")}


def test_evaluate_gives_what_the_library_gives(digits_file: Path, network_file: Path) -> None:
    found = result("evaluate", network_file, digits_file)

    expected = se.evaluate(se.load_model(network_file), se.open(digits_file)).to_dict()
    assert without_costs(found) == without_costs(json.loads(json.dumps(expected)))
    assert set(found["resources"]) >= {"seconds", "rows_per_second", "threads", "peak_anon_bytes"}


def test_evaluate_gives_the_golden_numbers_on_real_mnist(mnist_dir: Path, tmp_path: Path) -> None:
    model, train = mnist_dir / "sample_weight.pkl", tmp_path / "train.arrow"
    assert in_process("fetch", "mnist", tmp_path, "--from", mnist_dir).returncode == 0

    full = result("evaluate", model, train)
    assert full["loss"] == pytest.approx(0.22400087659172677, abs=1e-7)
    assert (full["correct"], full["rows"]) == (56146, 60000)
    assert full["stddev"] == pytest.approx(0.6750872560873608, abs=1e-6)
    assert [one["row"] for one in full["worst"][:5]] == [32776, 59915, 53216, 14790, 15942]

    exact = result("evaluate", model, train, "--eps", 0)
    assert exact["loss"] == pytest.approx(0.22400380676885817, abs=1e-7)

    batch = result("evaluate", model, train, "--rows", mnist_dir / "book_batch_mask.json")
    assert batch["rows"] == 100
    assert batch["loss"] == pytest.approx(ARTICLE_BATCH, abs=1e-7)

    test = result("evaluate", model, tmp_path / "test.arrow", "--io", "pread")
    assert test["loss"] == pytest.approx(0.2245436561393671, abs=1e-7)
    assert test["correct"] == 9352


def test_chunks_threads_and_the_way_of_reading_change_no_bit(digits_file: Path, network_file: Path) -> None:
    ways = [(), ("--chunk-rows", "7"), ("--threads", "1"), ("--io", "pread"), ("--rows", "0:3000")]
    assert len({result("evaluate", network_file, digits_file, *way)["digest"] for way in ways}) == 1


def test_rows_may_be_a_range_or_a_file_in_three_forms(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    rows = [5, 17, 17, 2999, 0]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "rows.txt").write_text("\n".join(map(str, rows)) + "\n\n")
    np.save(tmp_path / "rows.npy", np.array(rows))

    expected = se.evaluate(se.load_model(network_file), se.open(digits_file), rows=rows).loss
    for name in ("rows.json", "rows.txt", "rows.npy"):
        assert result("evaluate", network_file, digits_file, "--rows", tmp_path / name)["loss"] == expected
    assert result("evaluate", network_file, digits_file, "--rows", "2990:")["rows"] == 10


def test_losses_are_written_for_every_row_in_order(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "losses.arrow"
    found = result("evaluate", network_file, digits_file, "--losses", out, "--chunk-rows", 1000)
    with pa.memory_map(str(out)) as file:
        table = pa.ipc.open_file(file).read_all()
        losses = table["loss"].to_numpy()

        model = se.load_model(network_file)
        assert table["row"].to_pylist() == list(range(3000))
        np.testing.assert_array_equal(losses, se.per_sample_losses(model, se.open(digits_file)))
        assert found["loss"] == pytest.approx(losses.mean(), abs=1e-11)
        record = json.loads(table.schema.metadata[b"streameval.losses"])
    assert record == {
        "version": 1,
        "model": model.sha256,
        "data": found["data"]["fingerprint"],
        "loss": {"name": "cross-entropy", "eps": (1e-7).hex()},
        "eps": 1e-7,
    }


def test_losses_go_together_with_all_that_a_long_pass_takes(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    """Three shards on an engine, in little memory, with checkpoint and events: their losses are those of all rows."""
    expected = se.per_sample_losses(se.load_model(network_file), digits_file)
    for shard in range(3):
        folder = tmp_path / str(shard)
        folder.mkdir()
        out, state, kept, events = (folder / name for name in ("losses.arrow", "state", "kept", "events"))
        options = ("--losses", out, "--shard", f"{shard}/3", "--state", state, "--checkpoint", kept)
        more = ("--max-memory", "64M", "--engine", "local", "--events", events)
        result("evaluate", network_file, digits_file, *options, *more)
        with pa.memory_map(str(out)) as file:
            table = pa.ipc.open_file(file).read_all()
            rows = range(1000 * shard, 1000 * (shard + 1))
            assert table["row"].to_pylist() == list(rows)
            assert table["loss"].to_numpy().tobytes() == expected[rows.start : rows.stop].tobytes()
        assert sorted(folder.iterdir()) == sorted([events, out, state])
        assert '"event": "end"' in events.read_text()
    states = [tmp_path / str(shard) / "state" for shard in range(3)]
    assert result("merge", *states)["digest"] == result("evaluate", network_file, digits_file)["digest"]


@pytest.mark.parametrize(
    "option",
    [
        ("--max-memory", "64M"),
        ("--checkpoint", "kept"),
        ("--state", "state"),
        ("--engine", "local"),
        ("--events", "events"),
    ],
    ids=lambda option: option[0],
)
def test_losses_go_together_with_each_option(
    digits_file: Path, network_file: Path, tmp_path: Path, option: tuple[str, str]
) -> None:
    files = tmp_path / "alone.arrow", tmp_path / "with.arrow"
    for out, options in zip(files, ((), option), strict=True):
        result("evaluate", network_file, digits_file, "--losses", out, *options, cwd=tmp_path)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("command", ["compare", "paired"])
def test_studies_stay_within_a_given_memory(digits_file: Path, network_file: Path, command: str) -> None:
    models = (network_file,) * (2 if command == "paired" else 1)
    plain = result(command, *models, digits_file)
    limited = result(command, *models, digits_file, "--max-memory", "64M")
    names = ("batches", "order", "budget", "histogram") if command == "compare" else ("pairs", "difference")
    assert all(limited[name] == plain[name] for name in names)
    done = streameval(command, *models, digits_file, "--max-memory", "1M")
    assert (done.returncode, done.stdout) == (5, "")
    assert "max_memory: 1048576 bytes, but" in done.stderr


def test_losses_are_never_written_over_the_data(digits_file: Path, network_file: Path) -> None:
    before = digits_file.read_bytes()
    done = in_process("evaluate", network_file, digits_file, "--losses", digits_file)
    assert done.returncode == 2
    assert "overwrite" in done.stderr
    assert digits_file.read_bytes() == before


def test_minibatch_draws_what_the_library_draws(digits_file: Path, network_file: Path) -> None:
    arguments = ("--size", 50, "--batches", 3, "--seed", 4, "--without-replacement", "--method", "betting")
    found = result("minibatch", network_file, digits_file, *arguments)

    expected = se.minibatch(
        se.load_model(network_file),
        se.open(digits_file),
        size=50,
        batches=3,
        seed=4,
        replace=False,
        method="betting",
    )
    assert found == json.loads(json.dumps(expected.to_dict()))


def test_demo_shows_both_losses_and_counts_the_intervals_that_hold_the_full_one() -> None:
    found = result("demo", "--rows", 4000, "--batches", 6, "--size", 200)

    full = found["full"]["loss"]
    intervals = [one["interval"] for one in found["minibatch"]["batches"]]
    assert found["full"]["rows"] == 4000
    assert found["full"]["accuracy"] > 0.95
    assert found["covered"] == sum(one["low"] <= full <= one["high"] for one in intervals)
    assert found["expected_error"] == pytest.approx(found["full"]["stddev"] / 200**0.5 / full)


def test_demo_leaves_nothing_behind_unless_asked(tmp_path: Path) -> None:
    kept, temporary = tmp_path / "kept", tmp_path / "tmp"
    temporary.mkdir()
    done = streameval("demo", "--rows", 500, "--keep", kept, env={"TMPDIR": str(temporary)})
    assert done.returncode == 0, done.stderr
    assert "full loss" in done.stdout
    assert sorted(one.name for one in kept.iterdir()) == ["digits.arrow", "network.safetensors"]
    assert streameval("demo", "--rows", 500, env={"TMPDIR": str(temporary)}).returncode == 0
    assert list(temporary.iterdir()) == []


def test_digits_and_info_agree_on_what_was_written(tmp_path: Path) -> None:
    written = result("digits", tmp_path / "d", "--rows", 123, "--seed", 9)["written"][0]
    described = result("info", tmp_path / "d", "--check")

    assert described == {**written, "blocks_checked": described["blocks_checked"]}
    assert (described["rows"], described["shape"], described["classes"]) == (123, [28, 28], 10)
    np.testing.assert_array_equal(np.load(tmp_path / "d" / "images.npy"), draw(0, 123, seed=9)[0])


def test_convert_writes_what_the_idx_files_hold(tmp_path: Path) -> None:
    images, labels = draw(0, 40, seed=1)
    (tmp_path / "i").write_bytes(np.array([2051, 40, 28, 28], ">u4").tobytes() + images.tobytes())
    (tmp_path / "t").write_bytes(np.array([2049, 40], ">u4").tobytes() + (labels + 1).astype("u1").tobytes())
    found = result("convert", tmp_path / "i", tmp_path / "t", tmp_path / "c.arrow", "--first-label", 1)

    assert found["written"][0]["rows"] == 40
    np.testing.assert_array_equal(se.open(tmp_path / "c.arrow").take(np.arange(40)).t, labels)


def test_info_describes_a_model(network_file: Path) -> None:
    found = result("info", network_file)
    model = se.load_model(network_file)
    assert (found["layers"], found["sha256"]) == (list(model.sizes), model.sha256)
    assert found["parameters"] == model.parameters == 784 * 50 + 50 + 50 * 100 + 100 + 100 * 10 + 10
    assert "  input          784\n" in in_process("info", network_file).stdout


def test_info_check_finds_a_flipped_bit(digits_file: Path, tmp_path: Path) -> None:
    data = bytearray(digits_file.read_bytes())
    data[len(data) // 2] ^= 4
    (tmp_path / "flipped.arrow").write_bytes(data)
    done = in_process("info", tmp_path / "flipped.arrow", "--check")
    assert done.returncode == 3
    assert "block 0" in done.stderr
    # What was opened as data is not asked about as something else.
    assert "saved outputs" not in done.stderr


def test_doctor_finds_this_machine_well() -> None:
    found = result("doctor")
    assert [one["holds"] for one in found["checks"]] == [True] * len(found["checks"])
    assert found["cache"]["files"] > 0
    assert "✓" in streameval("doctor", env={"PYTHONIOENCODING": "utf-8"}).stdout


def test_doctor_ends_with_6_when_the_bits_differ(tmp_path: Path) -> None:
    script = tmp_path / "ill.py"
    script.write_text(
        "from streameval.cli import checkup, main\ncheckup.DIGEST = '0' * 64\nmain(['doctor', '--json'])\n"
    )
    import sys

    done = subprocess.run([sys.executable, script], env=environment(), capture_output=True, text=True)
    assert done.returncode == 6
    assert "did not hold" in done.stderr
    assert [one["holds"] for one in json.loads(done.stdout)["checks"]] == [False, True, True]


def test_warmup_compiles_and_says_where() -> None:
    found = result("warmup")
    assert Path(found["folder"]).is_dir()
    assert all(took >= 0 for took in found["seconds"].values())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    assert "_STREAMEVAL_COMPLETE" in in_process("completion", shell).stdout


def test_completion_completes_commands_and_options() -> None:
    def ask(words: str, at: int) -> str:
        wish = {"_STREAMEVAL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return str(in_process(env=wish).stdout)

    assert ask("streameval mi", 1) == "plain,minibatch\n"
    assert "plain,--without-replacement" in ask("streameval minibatch --wi", 2)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_has_help(name: str) -> None:
    done = in_process(name, "--help")
    assert done.returncode == 0
    assert re.search(rf"Usage: streameval {name}", done.stdout)


def test_help_lists_every_command_and_no_arguments_is_help() -> None:
    listed = in_process("--help").stdout
    assert all(f"\n  {name} " in listed for name in COMMANDS)
    assert in_process().returncode == 2


def test_the_environment_sets_defaults_and_options_win(digits_file: Path, network_file: Path) -> None:
    env = {"STREAMEVAL_EPS": "0.001", "STREAMEVAL_THREADS": "1"}
    assert result("evaluate", network_file, digits_file, env=env)["eps"] == 0.001
    assert result("evaluate", network_file, digits_file, env=env)["resources"]["threads"] == 1
    assert result("evaluate", network_file, digits_file, "--eps", "0.01", env=env)["eps"] == 0.01
