"""No output of a command destroys what it reads or another output, and what cannot be written is said at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import in_process, result, streameval, without_roots_rights
from small_files import idx_pair, stored

import streameval as se
from streameval import storage
from streameval.errors import StorageError, UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.events import EventFile
from streameval.evaluation.shards import StateFile
from streameval.files import Output, check_outputs, check_space
from streameval.storage.input_files import input_files

WRITING = (
    ("--html",),
    ("--losses",),
    ("--checkpoint",),
    ("--events",),
    ("--shard", "0/1", "--state"),
)


@pytest.fixture
def files(digits_file: Path, network_file: Path, tmp_path: Path) -> dict[str, Path]:
    """A network and a data set that may be destroyed."""
    places = {"MODEL": tmp_path / "model.safetensors", "DATA": tmp_path / "data.arrow"}
    shutil.copy(network_file, places["MODEL"])
    shutil.copy(digits_file, places["DATA"])
    return places


def content(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, hidden ones too."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize("options", WRITING, ids=lambda options: options[-1])
@pytest.mark.parametrize("name", ["MODEL", "DATA"])
def test_no_output_of_evaluate_is_aimed_at_its_model_or_its_data(
    name: str, options: tuple[str, ...], files: dict[str, Path], tmp_path: Path
) -> None:
    before = content(tmp_path)
    done = in_process("evaluate", files["MODEL"], files["DATA"], *options, files[name])
    assert (done.returncode, done.stdout) == (2, "")
    assert options[-1] in done.stderr
    assert f"would overwrite {name}" in done.stderr
    assert "another path" in done.stderr
    assert content(tmp_path) == before


@pytest.mark.parametrize("command", ["minibatch", "calibration", "compare", "until", "paired"])
@pytest.mark.parametrize("name", ["MODEL", "DATA"])
def test_no_report_is_aimed_at_a_model_or_at_the_data(
    command: str, name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    before = content(tmp_path)
    models = [files["MODEL"]] * (2 if command == "paired" else 1)
    done = in_process(command, *models, files["DATA"], "--html", files[name])
    assert (done.returncode, done.stdout) == (2, "")
    assert "--html would overwrite" in done.stderr
    assert content(tmp_path) == before


def test_stored_losses_that_are_read_and_row_numbers_are_not_written_over(
    files: dict[str, Path], tmp_path: Path
) -> None:
    losses, rows = tmp_path / "old.arrow", tmp_path / "rows.txt"
    result("evaluate", files["MODEL"], files["DATA"], "--losses", losses)
    rows.write_text("1\n2\n")
    before = content(tmp_path)
    paired = in_process("paired", files["MODEL"], files["DATA"], "--losses", losses, "--html", losses)
    evaluated = in_process("evaluate", files["MODEL"], files["DATA"], "--rows", rows, "--events", rows)
    assert (paired.returncode, evaluated.returncode) == (2, 2)
    assert "--html would overwrite --losses" in paired.stderr
    assert "--events would overwrite --rows" in evaluated.stderr
    assert content(tmp_path) == before


@pytest.mark.parametrize("kind", ["symlink", "hard link", "another spelling"])
def test_links_and_other_spellings_of_a_path_are_the_same_file(
    kind: str, files: dict[str, Path], tmp_path: Path
) -> None:
    link = tmp_path / "link.html"
    if kind == "symlink":
        link.symlink_to(files["DATA"])
    elif kind == "hard link":
        os.link(files["DATA"], link)
    else:
        (tmp_path / "sub").mkdir()
        link = tmp_path / "sub" / ".." / "data.arrow"
    done = in_process("evaluate", files["MODEL"], files["DATA"], "--html", link)
    assert done.returncode == 2
    assert files["DATA"].stat().st_size > 2_000_000


def test_two_outputs_of_one_command_are_two_files(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for one, other in [("--html", "--checkpoint"), ("--html", "--losses"), ("--checkpoint", "--events")]:
        done = in_process("evaluate", files["MODEL"], files["DATA"], one, out, other, out)
        assert done.returncode == 2
        assert one in done.stderr
        assert other in done.stderr
        assert "overwrite each other" in done.stderr
    assert not out.exists()
    done = in_process(
        "evaluate", files["MODEL"], files["DATA"], "--checkpoint", out, "--losses", tmp_path / "out.losses"
    )
    assert done.returncode == 2
    assert "kept beside --checkpoint" in done.stderr


def test_no_output_becomes_a_part_of_a_folder_of_data(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    shutil.move(files["DATA"], folder / "part-1.arrow")
    before = content(tmp_path)
    for data in (folder, folder / "part-*.arrow"):
        for name in ("part-1.arrow", "part-2.arrow"):
            done = in_process("evaluate", files["MODEL"], data, "--losses", folder / name)
            assert done.returncode == 2, (data, name)
            assert "DATA" in done.stderr
    assert content(tmp_path) == before
    # What is no data may lie beside data.
    result("evaluate", files["MODEL"], folder, "--html", folder / "report.html")
    result("evaluate", files["MODEL"], folder / "part-*.arrow", "--losses", folder / "losses.arrow")


def test_a_folder_of_arrays_is_not_written_into(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    result("digits", folder, "--rows", 50)
    before = content(tmp_path)
    for name in ("images.npy", "labels.npy", "manifest.json"):
        done = in_process("evaluate", files["MODEL"], folder, "--html", folder / name)
        assert done.returncode == 2
    assert content(tmp_path) == before


def test_convert_does_not_write_over_what_it_converts(tmp_path: Path) -> None:
    images, labels = idx_pair(tmp_path, 50)
    before = content(tmp_path)
    for dest in (images, labels, tmp_path):
        for format in ("arrow", "npy"):
            done = in_process("convert", images, labels, dest, "--format", format)
            assert done.returncode in (2, 5), done.stderr
            if not (dest == tmp_path and format == "arrow"):
                assert done.returncode == 2, done.stderr
                assert "DEST would overwrite" in done.stderr
    with pytest.raises(UsageError, match="DEST would overwrite LABELS"):
        se.convert(images, labels, labels)
    assert content(tmp_path) == before


def test_fetch_does_not_remove_what_it_takes(tmp_path: Path) -> None:
    kept = tmp_path / ".mnist"
    kept.mkdir()
    (kept / "train-images-idx3-ubyte").write_bytes(b"mine")
    done = in_process("fetch", "mnist", tmp_path, "--from", kept)
    assert done.returncode == 2
    assert "--from" in done.stderr
    assert (kept / "train-images-idx3-ubyte").read_bytes() == b"mine"


def test_the_library_refuses_outputs_that_it_reads(files: dict[str, Path], tmp_path: Path) -> None:
    model, source = se.load_model(files["MODEL"]), se.open(files["DATA"])
    before = content(tmp_path)
    for place in files.values():
        with pytest.raises(UsageError, match="checkpoint would overwrite"):
            se.evaluate(model, source, options=PassOptions(checkpoint=place))
        with pytest.raises(UsageError, match="losses would overwrite"):
            se.evaluate(model, source, options=PassOptions(losses=place))
        with pytest.raises(UsageError, match="StateFile would overwrite"):
            se.evaluate(model, source, options=PassOptions(shard=(0, 1), callbacks=[StateFile(place)]))
        with pytest.raises(UsageError, match="expected records of events"):
            EventFile(place)
    assert content(tmp_path) == before


def test_events_are_added_to_events_alone(files: dict[str, Path], tmp_path: Path) -> None:
    events, other = tmp_path / "events.jsonl", tmp_path / "thesis.tex"
    other.write_text("years of work")
    for _ in range(2):
        result("evaluate", files["MODEL"], files["DATA"], "--events", events)
    assert events.read_text().count('"event": "end"') == 2
    done = in_process("evaluate", files["MODEL"], files["DATA"], "--events", other)
    assert (done.returncode, done.stdout) == (2, "")
    assert "years of work" in done.stderr
    assert other.read_text() == "years of work"


def test_rows_that_do_not_fit_on_the_disk_are_told_before_the_first_is_written(tmp_path: Path) -> None:
    rows, free = 10**12, shutil.disk_usage(tmp_path).free
    assert free < 785 * rows
    done = in_process("digits", tmp_path / "large.arrow", "--rows", rows)
    assert (done.returncode, done.stdout) == (5, "")
    assert f"{785 * rows} bytes are needed" in done.stderr
    assert "are free there" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_space_that_is_asked_for_is_that_of_the_rows_with_their_targets(tmp_path: Path) -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.zeros((2, 4, 5), np.float32), np.zeros((2, 3))
        raise AssertionError("a second batch was asked for")

    rows = 10**12
    with pytest.raises(StorageError, match=f"{rows * (4 * 20 + 4 * 3)} bytes are needed"):
        storage.create(
            tmp_path / "out", batches(), rows=rows, shape=(4, 5), dtype="float32", classes=3, soft=True
        )
    check_space(tmp_path / "fits", shutil.disk_usage(tmp_path).free // 2)


def test_all_files_of_a_data_set_are_known_however_it_was_opened(tmp_path: Path) -> None:
    raw, zipped = idx_pair(tmp_path, 20), idx_pair(tmp_path, 20, ".gz")
    one, two = stored(tmp_path / "1.arrow", 20), stored(tmp_path / "2.arrow", 30)
    arrays = stored(tmp_path / "folder", 20)
    for given, expected in [
        (raw, raw),
        (zipped, zipped),
        ([one, two], [one, two]),
        (arrays, [arrays / "images.npy", arrays / "labels.npy", arrays / "manifest.json"]),
        (one, [one]),
    ]:
        for data in (given, se.open(given)):
            known = {os.path.realpath(name) for name in input_files(data)}
            assert {str(path) for path in expected} <= known
    assert input_files((np.zeros((1, 2), np.uint8), np.zeros(1, np.int64))) == ()
    assert input_files("s3://bucket/data.arrow") == ()


def test_pictures_may_lie_beside_the_data_but_not_over_another_output(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"")
    pictures = Output("--png", tmp_path, inside="*.png")
    check_outputs([pictures, Output("--html", tmp_path / "a.html")], {"MODEL": [tmp_path / "model.npz"]})
    with pytest.raises(UsageError, match="--html and --png would overwrite each other"):
        check_outputs([Output("--html", tmp_path / "loss.png"), pictures], {})
    with pytest.raises(UsageError, match="--png would overwrite MODEL"):
        check_outputs([pictures], {"MODEL": [tmp_path / "model.png"]})


def test_a_device_is_no_file_to_be_replaced() -> None:
    with pytest.raises(StorageError, match="is a device or pipe"):
        check_outputs([Output("--html", "/dev/null")], {})
    check_outputs([Output("--events", "/dev/null", added=True)], {})


OUTPUTS = [
    *(("evaluate", *options) for options in WRITING),
    *(
        (command, option)
        for command in ("evaluate", "compare", "until", "paired")
        for option in ("--html", "--png")
    ),
]


@pytest.mark.parametrize("call", OUTPUTS, ids=" ".join)
def test_an_output_that_cannot_be_written_is_5_before_anything_is_read(
    call: tuple[str, ...], tmp_path: Path
) -> None:
    command, *options = call
    closed, folder = tmp_path / "closed", tmp_path / "folder"
    closed.mkdir(mode=0o555)
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    # There is no model: whoever looks for it first says so.
    run = (command, tmp_path / "no.npz", tmp_path / "no.npz", tmp_path / "no.arrow")
    run = run if command == "paired" else (*run[:2], run[3])
    wrong = {
        tmp_path / "no" / "out": "the folder does not exist",
        closed / "out": "Permission denied",
        (tmp_path / "file" if options[-1] == "--png" else folder): "was expected",
    }
    for place, words in wrong.items():
        arguments = (*run, *options, place)
        limited = (
            place.parent == closed
        )  # Root may write anywhere, unless it gives that up: in a process of its own.
        done = streameval(*arguments, preexec_fn=without_roots_rights) if limited else in_process(*arguments)
        assert (done.returncode, done.stdout) == (5, ""), done.stderr
        assert words in done.stderr
        assert str(place if "expected" in words else place.parent) in done.stderr
    assert list(closed.iterdir()) == []


def test_a_data_set_that_cannot_be_written_is_5_before_its_inputs_are_read(tmp_path: Path) -> None:
    for run in (
        ("digits", tmp_path / "no" / "d", "--rows", 10),
        ("convert", "none", "none", tmp_path / "no" / "d"),
    ):
        done = in_process(*run)
        assert (done.returncode, done.stdout) == (5, "")
        assert f"{tmp_path / 'no'}: the folder does not exist" in done.stderr
