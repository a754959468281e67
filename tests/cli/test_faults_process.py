"""What interrupts a command, or closes what it writes to: each fault is made for real, and ends with its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import environment, needs_proc, start, streameval, wait_until_mapped
from small_files import folder_of

ROWS = 120_000


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network and a data set that take seconds: large, but a sparse file."""
    place = tmp_path_factory.mktemp("slow")
    rng = np.random.default_rng(0)
    sizes = (784, 1500, 1500, 10)
    weights = {}
    for k in range(3):
        weights[f"W{k + 1}"] = rng.normal(0, 0.02, sizes[k : k + 2]).astype(np.float32)
        weights[f"b{k + 1}"] = np.zeros(sizes[k + 1], np.float32)
    np.savez(place / "wide.npz", **weights)
    data = folder_of(place / "data", np.zeros((1, 28, 28), np.uint8), np.zeros(ROWS, np.uint8))
    images = np.lib.format.open_memmap(data / "images.npy", "w+", np.uint8, (ROWS, 28, 28))
    del images
    return place / "wide.npz", data


def copied(data: Path, to: Path) -> Path:
    """A copy of its own for a test that damages it; holes stay holes."""
    subprocess.run(["cp", "-r", "--sparse=always", data, to], check=True)
    return to


@needs_proc
def test_a_mapped_file_cut_short_in_the_middle_of_a_kernel_ends_with_3_and_says_so(
    slow: tuple[Path, Path], tmp_path: Path
) -> None:
    model, data = slow[0], copied(slow[1], tmp_path / "data")
    out = tmp_path / "losses.arrow"
    known = ("--activation", "sigmoid", "--json")
    process = start("evaluate", model, data, "--chunk-rows", ROWS, "--losses", out, *known)
    wait_until_mapped(process, data / "images.npy", 200)
    process.send_signal(signal.SIGSTOP)
    os.truncate(data / "images.npy", 4096)
    process.send_signal(signal.SIGCONT)
    printed, said = process.communicate(timeout=120)

    assert process.returncode == 3
    assert printed == ""
    *before, error = said.splitlines()
    assert error.startswith(f"streameval: error: {data}: the file was cut short")
    assert not [line for line in before if "warning" not in line]
    assert "--io pread" in said
    assert not out.exists()


@needs_proc
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_with_its_code_and_leaves_no_output(
    slow: tuple[Path, Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "losses.arrow"
    process = start("evaluate", *slow, "--chunk-rows", 500, "--losses", out)
    wait_until_mapped(process, slow[1] / "images.npy", 200)
    process.send_signal(number)
    printed, said = process.communicate(timeout=60)

    assert process.returncode == code
    assert printed == ""
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def rows_done(events: Path, chunks: int, process: subprocess.Popen[str]) -> int:
    """The rows that are done when so many chunks of this run are recorded."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        lines = events.read_text().splitlines() if events.exists() else []
        records = [json.loads(line) for line in lines if line.endswith("}")]
        begin = max((k for k, one in enumerate(records) if one["event"] == "start"), default=len(records))
        if len(records) > begin + chunks:
            return int(records[begin + chunks]["rows"])
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"no {chunks} chunks within two minutes")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_says_how_many_rows_the_checkpoint_keeps(
    slow: tuple[Path, Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """And the same command goes on from there: its own record begins with as many rows."""
    kept, events, before = tmp_path / "kept.json", tmp_path / "events.jsonl", 0
    for _ in range(2):
        events.unlink(missing_ok=True)
        process = start("evaluate", *slow, "--chunk-rows", 500, "--checkpoint", kept, "--events", events)
        done = rows_done(events, 2, process)
        process.send_signal(number)
        printed, said = process.communicate(timeout=60)
        assert (process.returncode, printed) == (code, "")
        told = [line for line in said.splitlines() if "interrupted" in line]
        assert len(told) == 1, said
        found = re.fullmatch(
            rf"streameval: warning: interrupted: (\d+) of {ROWS} rows are kept in {kept}\. "
            r"The same evaluation goes on from there\.",
            told[0],
        )
        assert found, told
        assert json.loads(events.read_text().splitlines()[0])["rows"] == before
        assert before < done <= int(found[1]) < ROWS
        before = int(found[1])
        tallies = json.loads(kept.read_bytes())["tallies"]
        assert sum(one["stop"] - one["start"] for one in tallies) == before


def test_a_reader_that_leaves_early_is_no_error_and_files_are_written(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "losses.arrow"
    process = start("evaluate", network_file, digits_file, "--losses", out)
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=120)

    assert process.stderr is not None
    assert (process.stderr.read(), process.returncode) == ("", 0)
    process.stderr.close()
    assert out.stat().st_size > 3000 * 16


def test_an_error_that_nobody_reads_keeps_its_exit_code(tmp_path: Path) -> None:
    process = start("info", tmp_path / "nothing")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=60) == 5
    assert process.stdout is not None
    process.stdout.close()


def test_a_full_disk_under_stdout_is_5() -> None:
    with Path("/dev/full").open("w") as full:
        done = streameval("completion", "bash", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 5
    assert done.stderr.startswith("streameval: error: ")


def test_stdout_that_is_not_there_at_all_is_no_error(digits_file: Path) -> None:
    line = f"exec {sys.executable} -m streameval info {digits_file} >&-"
    done = subprocess.run(["bash", "-c", line], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("info nothing", 5), ("evaluate", 2), ("evaluat", 2), ("digits x --rows many", 2), ("", 2)],
)
def test_errors_go_nowhere_where_stderr_is_closed_not_to_stdout(
    arguments: str, code: int, tmp_path: Path
) -> None:
    for closed in ("2>&-", "2>&- <&-"):
        line = f"exec {sys.executable} -m streameval {arguments} {closed}"
        done = subprocess.run(
            ["bash", "-c", line], env=environment(), cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_results_and_warnings_are_as_ever_where_stderr_is_closed(
    digits_file: Path, network_file: Path
) -> None:
    command = f"exec {sys.executable} -m streameval evaluate {network_file} {digits_file} --json"
    found = [
        subprocess.run(
            ["bash", "-c", f"{command} {closed}"], env=environment(), capture_output=True, text=True
        )
        for closed in ("", "2>&-")
    ]
    assert [one.returncode for one in found] == [0, 0]
    assert len({json.loads(one.stdout)["digest"] for one in found}) == 1


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        (
            "NUMBA_DISABLE_JIT",
            "1",
            "NUMBA_DISABLE_JIT is set, but only compiled kernels compute here. Unset it.",
        ),
        (
            "NUMBA_THREADING_LAYER",
            "rope",
            "with NUMBA_THREADING_LAYER=rope: The threading layer requested 'rope'",
        ),
    ],
)
def test_a_setting_of_numba_that_forbids_kernels_is_named(
    digits_file: Path, network_file: Path, setting: str, value: str, said: str
) -> None:
    """In one line; it may have been set for something else."""
    done = streameval("evaluate", network_file, digits_file, env={setting: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
