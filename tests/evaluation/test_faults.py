"""Faults of long runs, made for real, on the command line: exit codes, what is said, what is kept."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import in_process, result, start, streameval
from long_runs import drawn, network, write

from streameval.storage.writing import create

ROWS = 600_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """drawn.arrow, other.arrow, model.safetensors, other.safetensors."""
    folder = tmp_path_factory.mktemp("long")
    write(folder / "drawn.arrow", ROWS)
    write(folder / "other.arrow", ROWS, seed=1)
    network().save(folder / "model.safetensors")
    network(1).save(folder / "other.safetensors")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    return result("evaluate", folder / "model.safetensors", folder / "drawn.arrow")


@pytest.fixture
def slow(folder: Path, tmp_path: Path) -> tuple[Any, ...]:
    """Arguments of a pass of many tiny chunks, which takes some ten seconds."""
    events = ("--chunk-rows", 4, "--threads", 1, "--events", tmp_path / "events")
    return (
        "evaluate",
        folder / "model.safetensors",
        folder / "drawn.arrow",
        "--checkpoint",
        tmp_path / "kept",
        *events,
    )


def wait_for(path: Path, size: int, process: Any) -> None:
    """Return when the file is there and has so many bytes."""
    for _ in range(6000):
        if path.exists() and path.stat().st_size >= size:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"{path} did not come")


def leave_a_checkpoint(slow: tuple[Any, ...], tmp_path: Path) -> None:
    """Start the pass and end it with a signal in the middle."""
    process = start(*slow)
    wait_for(tmp_path / "events", 20_000, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()


def finish(folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The same command, with chunks of a sensible size."""
    data = folder / "drawn.arrow"
    return result("evaluate", folder / "model.safetensors", data, "--checkpoint", tmp_path / "kept")


def test_kill_9_during_a_pass_and_the_same_command_gives_the_same_digest(
    folder: Path, tmp_path: Path, whole: dict[str, Any], slow: tuple[Any, ...]
) -> None:
    """The checkpoint of the fifth second is there, and what it holds is not computed again."""
    process = start(*slow)
    wait_for(tmp_path / "kept", 1, process)
    process.kill()
    process.communicate()
    kept = json.loads((tmp_path / "kept").read_bytes())["tallies"]
    assert 0 < kept[0]["stop"] < ROWS
    again = finish(folder, tmp_path)
    assert (again["digest"], again["blocks"]) == (whole["digest"], whole["blocks"])
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_a_checkpoint_and_its_code(
    folder: Path,
    tmp_path: Path,
    whole: dict[str, Any],
    slow: tuple[Any, ...],
    number: signal.Signals,
    code: int,
) -> None:
    """Every chunk that was reported is in the checkpoint, long before the fifth second."""
    process = start(*slow)
    wait_for(tmp_path / "events", 20_000, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, ""), err
    records = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert records[-1]["event"] == "stop"
    done = max(record["rows"] for record in records if record["event"] == "chunk")
    kept = json.loads((tmp_path / "kept").read_bytes())["tallies"]
    assert [(one["start"], one["stop"]) for one in kept] == [(0, done)]
    assert finish(folder, tmp_path)["digest"] == whole["digest"]


def test_without_a_checkpoint_a_signal_just_ends(folder: Path, tmp_path: Path, slow: tuple[Any, ...]) -> None:
    """130, nothing kept."""
    arguments = [one for one in slow if one not in ("--checkpoint", tmp_path / "kept")]
    process = start(*arguments)
    wait_for(tmp_path / "events", 20_000, process)
    process.send_signal(signal.SIGINT)
    assert (process.wait(timeout=60), process.communicate()[0]) == (130, "")
    assert [one.name for one in tmp_path.iterdir()] == ["events"]


def test_a_checkpoint_of_another_pass_is_3_and_names_what_differs(
    folder: Path, tmp_path: Path, slow: tuple[Any, ...]
) -> None:
    """Model, data and eps; and a damaged one costs a warning and a new start."""
    leave_a_checkpoint(slow, tmp_path)
    model, data, kept = folder / "model.safetensors", folder / "drawn.arrow", tmp_path / "kept"
    for arguments, said in (
        ((folder / "other.safetensors", data), "another pass: model "),
        ((model, folder / "other.arrow"), "another pass: data sha256:"),
        (
            (model, data, "--eps", "0"),
            "another pass: loss CrossEntropy(eps=1e-07), expected CrossEntropy(eps=0.0)",
        ),
    ):
        done = in_process("evaluate", *arguments, "--checkpoint", kept)
        assert done.returncode == 3
        assert said in done.stderr
        assert done.stdout == ""
    kept.write_bytes(kept.read_bytes()[:-100])
    done = in_process("evaluate", model, data, "--checkpoint", kept, "--json")
    assert done.returncode == 0
    assert "starts again from its first row" in done.stderr


def test_two_passes_with_one_checkpoint_are_8(folder: Path, tmp_path: Path, slow: tuple[Any, ...]) -> None:
    """The first one is not disturbed."""
    process = start(*slow)
    wait_for(tmp_path / "events", 20_000, process)
    done = in_process(*slow[:5])
    assert (done.returncode, "another process is writing it" in done.stderr) == (8, True)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_shards_merge_to_the_digest_of_one_pass(folder: Path, tmp_path: Path, whole: dict[str, Any]) -> None:
    """And a shard that was forgotten is 7; one given twice counts once; one of another eps is 3."""
    model, data = folder / "model.safetensors", folder / "drawn.arrow"
    paths = [tmp_path / f"{index}.json" for index in range(3)]
    for index, path in enumerate(paths):
        assert in_process("evaluate", model, data, "--shard", f"{index}/3", "--state", path).returncode == 0
    merged = result("merge", *paths, paths[1])
    ignored = ("resources", "sha256")
    assert {k: v for k, v in merged.items() if k not in ignored} == {
        k: v for k, v in whole.items() if k not in ignored
    }
    report = tmp_path / "report.json"
    report.write_text(json.dumps(merged))
    assert result("verify", report, model, data)["whole"]
    forgotten = in_process("merge", paths[0], paths[2])
    assert (forgotten.returncode, "200000:400000" in forgotten.stderr) == (7, True)
    other = tmp_path / "other.json"
    in_process("evaluate", model, data, "--shard", "1/3", "--state", other, "--eps", "1e-5")
    refused = in_process("merge", paths[0], other, paths[2])
    assert (refused.returncode, str(other) in refused.stderr) == (3, True)


def test_verify_does_not_pass_one_flipped_bit(folder: Path, tmp_path: Path, whole: dict[str, Any]) -> None:
    """In the data, the report or the model, which other commands refuse with 4; and 0 when all is as it was."""
    report, model, data = tmp_path / "report.json", tmp_path / "model.safetensors", tmp_path / "drawn.arrow"
    report.write_text(json.dumps(whole))
    model.write_bytes((folder / "model.safetensors").read_bytes())
    data.write_bytes((folder / "drawn.arrow").read_bytes())
    done = in_process("verify", report, model, data)
    assert (done.returncode, "equal to the bit" in done.stdout.replace("\n", " ")) == (0, True)
    # A pixel in the middle, the last weight, the loss's last digit.
    for path, at in (
        (data, data.stat().st_size // 2),
        (model, -1),
        (report, report.read_bytes().index(b'"rows"') - 4),
    ):
        before = path.read_bytes()
        raw = bytearray(before)
        raw[at] ^= 1
        path.write_bytes(raw)
        done = in_process("verify", report, model, data)
        assert done.returncode == 6, (path, done.stderr)
        assert done.stdout == ""
        if path == model:
            refused = in_process("evaluate", model, data)
            assert (refused.returncode, "checksum is not the one" in refused.stderr) == (4, True)
        path.write_bytes(before)


def test_a_span_that_always_fails_is_7_and_the_others_are_kept(folder: Path, tmp_path: Path) -> None:
    """With Dask workers on this machine: one row has a label that the model does not know."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'streameval[dask]'")
    x, t = drawn(2_000_000)
    t[-5] = 4
    data, kept = tmp_path / "bad.arrow", tmp_path / "kept"
    create(data, [(x, t)], rows=len(x), shape=(4, 4), dtype=np.uint8, classes=5)
    done = streameval(
        "evaluate", folder / "model.safetensors", data, "--engine", "dask", "--checkpoint", kept
    )
    assert done.returncode == 7, done.stderr
    assert "row 1999995: label 4" in done.stderr
    assert [(one["start"], one["stop"]) for one in json.loads(kept.read_bytes())["tallies"]] == [
        (0, 1_048_576)
    ]


def test_too_little_memory_is_5_before_anything_starts(folder: Path, tmp_path: Path) -> None:
    """Where there is enough for a smaller chunk, the digest is the same."""
    model, data = folder / "model.safetensors", folder / "drawn.arrow"
    done = in_process("evaluate", model, data, "--max-memory", "2M")
    assert (done.returncode, "Allow more memory" in done.stderr) == (5, True)
    tight = result("evaluate", model, data, "--max-memory", "24M", "--io", "pread")
    assert tight["digest"] == result("evaluate", model, data)["digest"]
    assert tight["resources"]["max_memory_bytes"] == 24 << 20


@pytest.mark.slow
def test_a_store_that_is_not_there_is_5(folder: Path) -> None:
    """Bounded tries, then the store is named."""
    nowhere = "s3://data/x.arrow?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1&anonymous=true"
    begin = time.monotonic()
    done = streameval(
        "evaluate", folder / "model.safetensors", nowhere, env={"AWS_EC2_METADATA_DISABLED": "true"}
    )
    assert (done.returncode, "s3://data/x.arrow: could not be opened, 4 times" in done.stderr) == (5, True)
    assert time.monotonic() - begin < 100


def test_a_full_disk_under_a_checkpoint_is_5_and_the_old_one_stays(
    folder: Path, tmp_path: Path, slow: tuple[Any, ...]
) -> None:
    """The checkpoint is written whole or not at all."""
    leave_a_checkpoint(slow, tmp_path)
    before = (tmp_path / "kept").read_bytes()
    # A limit on the size of files, too small for a checkpoint, as a full disk or quota would be.
    process = start(*slow[:7], preexec_fn=_limit_files)
    wait_for(tmp_path / ".kept.lock", 0, process)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert (tmp_path / "kept").read_bytes() == before


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="A full disk is made of /dev/full here")
def test_a_result_that_cannot_be_written_leaves_the_checkpoint(
    folder: Path, tmp_path: Path, slow: tuple[Any, ...], whole: dict[str, Any]
) -> None:
    """Hours of work are not lost for a redirection to a full disk; once the result is out, the file goes."""
    leave_a_checkpoint(slow, tmp_path)
    model, data, checkpoint = folder / "model.safetensors", folder / "drawn.arrow", tmp_path / "kept"
    with Path("/dev/full").open("w") as full:
        process = start("evaluate", model, data, "--checkpoint", checkpoint, "--json", stdout=full)
        assert "No space left on device" in process.communicate(timeout=60)[1]
    assert process.returncode == 5
    assert json.loads(checkpoint.read_bytes())["tallies"]
    assert finish(folder, tmp_path)["digest"] == whole["digest"]
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard", "0/4"), "Add --state"),
        (("--shard", "4/4", "--state", "x"), "expected I/N"),
        (("--address", "tcp://127.0.0.1:1"), "Add --engine dask"),
        (("--engine", "spark"), "expected one of local, dask"),
        (("--max-memory", "lots"), "such as 256M"),
    ],
)
def test_options_that_do_not_go_together_are_2(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    """With what to type instead."""
    done = in_process("evaluate", folder / "model.safetensors", folder / "drawn.arrow", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_ends_a_pass_on_workers_with_its_checkpoint(
    folder: Path, tmp_path: Path
) -> None:
    """A terminal sends it to the workers too; they do not answer it, and what is kept is all that is said."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'streameval[dask]'")
    data = write(tmp_path / "large.arrow", 6_000_000)
    model, kept, events = folder / "model.safetensors", tmp_path / "kept", tmp_path / "events"
    options = ("--engine", "dask", "--chunk-rows", 200, "--checkpoint", kept, "--events", events)
    process = start("evaluate", model, data, *options, start_new_session=True)
    for _ in range(6000):
        if events.exists() and '"chunk"' in events.read_text():
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    done = sum(one["stop"] - one["start"] for one in json.loads(kept.read_bytes())["tallies"])
    said = f"interrupted: {done} of 6000000 rows are kept in {kept}. The same evaluation goes on from there."
    assert err == f"streameval: warning: {said}\n"
    assert 0 < done < 6_000_000
    again = result("evaluate", model, data, "--checkpoint", kept)
    assert again["digest"] == result("evaluate", model, data)["digest"]


@pytest.mark.slow
@pytest.mark.parametrize(("kept", "later"), [(True, 0.0), (False, 0.3)])
def test_ctrl_c_at_a_terminal_while_workers_start_ends_the_pass(
    folder: Path, tmp_path: Path, kept: bool, later: float
) -> None:
    """They do not hear it from their first step on, and are not left half started."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'streameval[dask]'")
    model, data, checkpoint = folder / "model.safetensors", folder / "drawn.arrow", tmp_path / "kept"
    options = ("--engine", "dask", *(("--checkpoint", checkpoint) if kept else ()))
    process = start("evaluate", model, data, *options, start_new_session=True)
    workers_of(process, 2)
    time.sleep(later)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    said = f"interrupted: 0 of {ROWS} rows are kept in {checkpoint}. The same evaluation goes on from there."
    assert (process.returncode, out, err) == (130, "", f"streameval: warning: {said}\n" if kept else "")


@pytest.mark.slow
def test_workers_that_do_not_start_are_5(folder: Path) -> None:
    """The system may kill one for the memory that it takes."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'streameval[dask]'")
    process = start("evaluate", folder / "model.safetensors", folder / "drawn.arrow", "--engine", "dask")
    for worker in workers_of(process, 2):
        worker.kill()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, ""), err
    assert err.startswith("streameval: error: this machine: Dask workers could not be started (")
    assert err.count("\n") == 1, err


def workers_of(process: Any, count: int) -> list[Any]:
    """So many processes of workers, as soon as they are there: they then import what they need for a while."""
    psutil = pytest.importorskip("psutil")
    for _ in range(60_000):
        assert process.poll() is None, process.communicate()
        children = psutil.Process(process.pid).children()
        workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        if len(workers) >= count:
            return workers
        time.sleep(0.001)
    raise AssertionError("no workers came")
