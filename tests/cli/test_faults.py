"""What is wrong with files and arguments: each fault is made for real, and ends with its exit code and a cure."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import (
    environment,
    in_process,
    result,
    streameval,
    without_roots_rights,
)
from small_files import folder_of

import streameval as se
from streameval.errors import UsageError
from streameval.evaluation.evaluate import PassOptions


def test_paths_with_spaces_and_any_letters_work_even_where_they_cannot_be_shown(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    place = tmp_path / "mit Leerzeichen" / "数字 ü ' \" $HOME *"
    place.mkdir(parents=True)
    data, model = place / "ç.arrow", place / "réseau.safetensors"
    shutil.copy(digits_file, data)
    shutil.copy(network_file, model)

    assert result("evaluate", model, data, "--losses", place / "δ.arrow")["data"]["path"] == str(data)
    assert (place / "δ.arrow").exists()
    done = streameval("evaluate", model, data, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.parametrize("command", ["evaluate", "minibatch"])
def test_a_folder_for_a_model_and_a_missing_file_are_5_with_the_path(
    command: str, digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    for model, data in [(tmp_path, digits_file), (network_file, tmp_path / "none.arrow")]:
        done = in_process(command, model, data)
        assert done.returncode == 5
        assert str(tmp_path) in done.stderr
        assert done.stdout == ""


def test_a_file_that_may_not_be_read_is_5_with_the_path(digits_file: Path, tmp_path: Path) -> None:
    data = Path(shutil.copy(digits_file, tmp_path / "secret.arrow"))
    data.chmod(0)
    done = streameval("info", data, preexec_fn=without_roots_rights)
    assert done.returncode == 5
    assert f"{data}: Permission denied" in done.stderr
    assert "Check the permissions" in done.stderr


def test_an_output_whose_folder_is_missing_is_5_before_the_pass(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    done = in_process("evaluate", network_file, digits_file, "--losses", tmp_path / "no" / "l.arrow")
    assert done.returncode == 5
    assert str(tmp_path / "no") in done.stderr


def wrong_dtype(path: Path) -> Path:
    return folder_of(path, np.zeros((5, 784), np.float64), np.zeros(5, np.uint8))


def label_out_of_range(path: Path) -> Path:
    return folder_of(path, np.zeros((5, 784), np.uint8), np.array([0, 1, 2, 10, 11], np.uint8))


def fewer_labels(path: Path) -> Path:
    return folder_of(path, np.zeros((5, 784), np.uint8), np.zeros(4, np.uint8))


def not_a_number(path: Path) -> Path:
    x = np.zeros((5, 784), np.float32)
    x[3, 7] = np.nan
    return folder_of(path, x, np.zeros(5, np.uint8))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (wrong_dtype, ["float64"]),
        (label_out_of_range, ["row 3", "label 10"]),
        (fewer_labels, ["5", "4"]),
        (not_a_number, ["row 3", "--allow-nonfinite"]),
    ],
)
def test_bad_data_is_3_and_the_message_names_the_place(
    make: Callable[[Path], Path], words: list[str], network_file: Path, tmp_path: Path
) -> None:
    done = in_process("evaluate", network_file, make(tmp_path / "bad"), "--json")
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert str(tmp_path / "bad") in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


def at_most_eight_gigabytes() -> None:
    """Let the program that is started next reserve 8 GiB of addresses, no more."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


def test_too_little_memory_is_5_in_one_line(digits_file: Path, network_file: Path, tmp_path: Path) -> None:
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.int64, (2 << 30,))
    del rows
    done = streameval(
        "evaluate",
        network_file,
        digits_file,
        "--rows",
        tmp_path / "rows.npy",
        preexec_fn=at_most_eight_gigabytes,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("streameval: error: not enough memory")
    assert done.stderr.count("\n") == 1


def test_bad_data_and_a_network_that_does_not_fit_stop_before_anything_is_compiled(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "small.npz", W1=np.zeros((3, 10), np.float32), b1=np.zeros(10, np.float32))
    cache = tmp_path / "cache"
    for model, data, code in [
        (network_file, wrong_dtype(tmp_path / "bad"), 3),
        (tmp_path / "small.npz", digits_file, 4),
    ]:
        done = streameval("evaluate", model, data, env={"STREAMEVAL_CACHE_DIR": str(cache)})
        assert done.returncode == code
        assert not any(one.is_file() for one in cache.rglob("*"))
    assert "takes 3 features" in done.stderr
    assert "784" in done.stderr


def test_rows_that_are_not_finite_are_counted_on_request(network_file: Path, tmp_path: Path) -> None:
    found = result("evaluate", network_file, not_a_number(tmp_path / "nan"), "--allow-nonfinite")
    assert (found["rows"], found["left_out"]) == (4, 1)


def test_weights_that_are_not_finite_are_4(digits_file: Path, tmp_path: Path) -> None:
    weight = np.full((784, 10), np.inf, np.float32)
    np.savez(tmp_path / "inf.npz", W1=weight, b1=np.zeros(10, np.float32))
    done = in_process("evaluate", tmp_path / "inf.npz", digits_file)
    assert done.returncode == 4
    assert "--allow-nonfinite" in done.stderr


def test_no_rows_and_one_row_have_their_answers(network_file: Path, tmp_path: Path) -> None:
    for rows in (0, 1):
        result("digits", tmp_path / f"{rows}.arrow", "--rows", rows)
    one = result("evaluate", network_file, tmp_path / "1.arrow")
    assert (one["rows"], one["stddev"]) == (1, None)
    assert one["loss"] == pytest.approx(one["min"], abs=2**-40)
    assert in_process("evaluate", network_file, tmp_path / "1.arrow").returncode == 0
    for command in ("evaluate", "minibatch"):
        none = in_process(command, network_file, tmp_path / "0.arrow")
        assert (none.returncode, none.stdout) == (3, "")
        assert "no rows" in none.stderr


def test_a_data_file_cut_before_it_is_opened_is_3_with_both_sizes(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    data = folder_of(tmp_path / "cut", np.zeros((50, 784), np.uint8), np.zeros(50, np.uint8))
    whole = (data / "images.npy").stat().st_size
    os.truncate(data / "images.npy", whole - 100)
    done = in_process("evaluate", network_file, data)
    assert done.returncode == 3
    assert str(whole) in done.stderr
    assert str(whole - 100) in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows", "0:9999"], "9999"),
        (["--rows", "20:10"], "20:10"),
        (["--rows", "{bad}"], "line 2"),
        (["--rows", "nowhere"], "nowhere"),
        (["--eps", "2"], "eps"),
        (["--chunk-rows", "0"], "chunk"),
        (["--threads", "0"], "threads"),
        (["--io", "telepathy"], "telepathy"),
    ],
)
def test_arguments_that_mean_nothing_are_2(
    arguments: list[str], words: str, digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_text("1\ntwo\n3\n")
    given = [one.format(bad=tmp_path / "bad") for one in arguments]
    done = in_process("evaluate", network_file, digits_file, *given)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_a_mistyped_command_is_told_the_nearest_one() -> None:
    done = in_process("evaluat", "a", "b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'evaluat'. Did you mean 'evaluate'?" in done.stderr
    assert "Did you mean" not in in_process("xyzzy").stderr


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "command",
    [
        "evaluate MODEL DATA --key FILE",
        "evaluate MODEL DATA --rows FILE",
        "evaluate MODEL DATA --class-weights FILE",
        "evaluate FILE DATA",
        "evaluate FILE DATA --with onnxruntime",
        "evaluate MODEL FILE",
        "evaluate FILE --logits logits",
        "merge FILE",
        "verify FILE MODEL DATA",
        "info FILE",
    ],
)
def test_what_never_begins_or_never_ends_is_5_with_the_path(
    digits_file: Path,
    network_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    kind: str,
) -> None:
    """A pipe into which nobody writes, and a device of zeros."""
    monkeypatch.setattr("streameval.files.PATIENCE", 10)
    file = tmp_path / "pipe" if kind == "pipe" else Path("/dev/zero")
    if kind == "pipe":
        os.mkfifo(file)
    places = {"MODEL": network_file, "DATA": digits_file, "FILE": file}
    done = in_process(*(places.get(word, word) for word in command.split()))
    assert (done.returncode, str(file) in done.stderr) == (5, True)
    assert re.search("not a regular file|neither a file nor a pipe|nobody writes", done.stderr)


def test_rows_that_select_nothing_are_2(digits_file: Path, network_file: Path, tmp_path: Path) -> None:
    for name, content in [("lines", ""), ("list.json", "[]")]:
        (tmp_path / name).write_text(content)
    np.save(tmp_path / "rows.npy", np.empty(0, np.int64))
    for rows in ("5:5", "0:0", *tmp_path.iterdir()):
        done = in_process("evaluate", network_file, digits_file, "--rows", rows)
        assert (done.returncode, done.stdout) == (2, ""), rows
        assert "it selects no row" in done.stderr


def test_losses_are_not_written_under_the_name_of_another_format(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    for name in ("l.parquet", "l.CSV", "l.arrow.gz"):
        done = in_process("evaluate", network_file, digits_file, "--losses", tmp_path / name)
        assert (done.returncode, done.stdout) == (2, "")
        assert "promises another format" in done.stderr
        model, options = se.load_model(network_file), PassOptions(losses=tmp_path / name)
        with pytest.raises(UsageError, match="promises another format"):
            se.evaluate(model, digits_file, options=options)
    assert list(tmp_path.iterdir()) == []
    result("evaluate", network_file, digits_file, "--losses", tmp_path / "losses")


def test_a_file_that_is_no_data_is_named_with_the_folder_that_it_was_found_in(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    shutil.copy(digits_file, tmp_path / "a.arrow")
    result("evaluate", network_file, tmp_path, "--losses", tmp_path.parent / "losses.arrow")
    shutil.move(tmp_path.parent / "losses.arrow", tmp_path / "losses.arrow")
    done = in_process("evaluate", network_file, tmp_path)
    assert done.returncode == 3
    assert f"{tmp_path / 'losses.arrow'}: a file of losses" in done.stderr
    assert f"as a part of {tmp_path}, where all .arrow files are read" in done.stderr
    alone = in_process("info", tmp_path / "losses.arrow")
    assert "a file of losses" in alone.stderr
    assert "as a part of" not in alone.stderr


def test_two_models_are_asked_for_their_order(network_file: Path) -> None:
    done = in_process("evaluate", network_file, network_file)
    assert done.returncode == 3
    assert "Is the order MODEL DATA?" in done.stderr


def test_info_of_a_folder_says_which_files_are_read(digits_file: Path, tmp_path: Path) -> None:
    for name in ("test.arrow", "train.arrow"):
        shutil.copy(digits_file, tmp_path / name)
    assert result("info", tmp_path)["files"] == [str(tmp_path / "test.arrow"), str(tmp_path / "train.arrow")]
    assert "files    2: test.arrow, train.arrow" in in_process("info", tmp_path).stdout
    for k in range(10):
        shutil.copy(digits_file, tmp_path / f"part-{k}.arrow")
    assert "files    12: part-0.arrow, " in in_process("info", tmp_path).stdout
    assert "part-7.arrow, and 4 more" in " ".join(in_process("info", tmp_path).stdout.split())


@pytest.mark.slow
def test_a_damaged_cache_of_kernels_is_compiled_again_with_one_warning(tmp_path: Path) -> None:
    env = {"STREAMEVAL_CACHE_DIR": str(tmp_path / "cache")}
    first = result("digits", tmp_path / "a.arrow", "--rows", 10, run=streameval, env=env)
    compiled = [one for one in (tmp_path / "cache").rglob("*") if one.is_file()]
    assert compiled
    for one in compiled:
        data = bytearray(one.read_bytes())
        data[-10:] = b"0123456789"
        one.write_bytes(data)
    done = streameval("digits", tmp_path / "b.arrow", "--rows", 10, "--json", env=env)
    assert done.returncode == 0
    assert done.stderr.count("streameval: warning:") == 1
    assert done.stderr.count("\n") == 1
    again = json.loads(done.stdout)["written"][0]["fingerprint"]
    assert again == first["written"][0]["fingerprint"]
    assert streameval("digits", tmp_path / "c.arrow", "--rows", 10, env=env).stderr == ""


@pytest.mark.slow
def test_a_cache_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"STREAMEVAL_CACHE_DIR": str(tmp_path / "file" / "cache")}
    done = streameval("digits", tmp_path / "a.arrow", "--rows", 10, env=env)
    assert done.returncode == 0
    assert done.stderr.count("streameval: warning:") == 1
    assert "STREAMEVAL_CACHE_DIR" in done.stderr


def test_two_threads_in_the_library_at_once_are_both_right(digits_file: Path, network_file: Path) -> None:
    program = """
import sys, threading
import streameval as se
model, found = se.load_model(sys.argv[1]), []
def work():
    for _ in range(5):
        found.append(se.evaluate(model, se.open(sys.argv[2]), chunk_rows=100).digest)
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
print(len(found), *set(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, network_file, digits_file],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    digest = se.evaluate(se.load_model(network_file), se.open(digits_file)).digest
    assert (done.returncode, done.stdout.split()) == (0, ["20", digest]), done.stderr
