"""What is typed wrong: each mistake ends with its exit code, and is told with what to type instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import (
    in_process,
)


@pytest.mark.parametrize(
    ("arguments", "option", "owners"),
    [
        ("compare MODEL DATA --class-weights w.json", "--class-weights", "evaluate"),
        ("until MODEL DATA --losses=out.arrow", "--losses", "evaluate, paired"),
        ("evaluate MODEL DATA --half-width 0.1", "--half-width", "until, paired"),
        ("--classes 10 convert a b", "--classes", "convert"),
    ],
)
def test_an_option_of_another_command_is_told_with_the_commands_that_have_it(
    arguments: str, option: str, owners: str
) -> None:
    done = in_process(*arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f"No such option '{option}' here. It belongs to: {owners}." in done.stderr


def test_an_option_of_no_command_is_told_with_what_is_like_it() -> None:
    done = in_process("evaluate", "MODEL", "DATA", "--class-weight", "w.json")
    assert done.returncode == 2
    assert "--class-weights" in done.stderr
    assert "belongs" not in done.stderr


# What `evaluate` prints in place of a report, and options of it that mean something there as well.
INSTEAD = {
    "semantics": set(),
    "class_weights": {"ignore_index", "weight_column", "loss", "eps", "label_smoothing", "delta"},
}
ALWAYS = {"model", "data", "rows", "chunk_rows", "threads", "allow_nonfinite", "as_json"}


@pytest.mark.parametrize("instead", INSTEAD)
def test_every_option_of_evaluate_is_heard_or_refused(
    instead: str, digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    """Of each option that says nothing of models, data or saved outputs: none is passed over in silence."""
    from dataclasses import fields

    from streameval.cli.evaluate import command
    from streameval.cli.saved_options import OF_MODELS, SavedOptions

    (tmp_path / "class_weights").write_text("1 " * 10)
    heard = ALWAYS | INSTEAD[instead] | {*OF_MODELS} - {"images"} | {one.name for one in fields(SavedOptions)}
    options = {one.name: one for one in command.params}
    flag = ["--semantics"] if instead == "semantics" else ["--class-weights", tmp_path / "class_weights"]
    refused = 0
    for name, option in options.items():
        if name in heard | {instead, "semantics"}:
            continue
        given = [option.opts[0], *([] if option.is_flag else ["cross-entropy" if name == "loss" else "1"])]
        done = in_process("evaluate", network_file, digits_file, *flag, *given, cwd=tmp_path)
        assert done.returncode == 2, name
        assert f"{flag[0]} with {option.opts[0]}: it goes without" in done.stderr
        refused += 1
    assert refused >= 15


def test_help_of_convert_names_all_that_it_reads() -> None:
    from streameval.storage.formats import CSV, FORMATS

    said = in_process("convert", "--help").stdout
    endings = {Path(one).suffix or one for one in CSV} | {
        one.ending for one in FORMATS.values() if one.ending
    }
    assert not [ending for ending in {*endings, ".npz", ".npy", ".ndjson"} if ending not in said]
    for word in (
        "Feather",
        "Arrow stream",
        "images.npy",
        "images for each class",
        "save_to_disk",
        "IDX",
        "glob",
    ):
        assert word in " ".join(said.split())


MISTAKES = {
    "verify MODEL REPORT DATA": (
        4,
        "report.json: a result of streameval, no network. Of verify, is the order",
    ),
    "evaluate REPORT DATA": (4, "report.json: a result of streameval, no network"),
    "paired MODEL DATA": (2, "1 model: at least 2 were expected"),
    "fetch": (2, "Choose from:\n  mnist\n"),
    "evaluate MODEL DATA --scale 1/": (2, "'1/': expected a number, or a fraction such as 1/255."),
    "evaluate MODEL DATA --scale 1/0": (2, "'1/0': expected a number, or a fraction such as 1/255."),
    "evaluate MODEL DATA --rows 100": (2, "or .npy. The first 100: 0:100."),
    "demo --rows 0": (2, "rows: 0, expected 1 or more"),
    "demo --rows 5 --keep REPORT": (
        5,
        "report.json: File exists. Something else lies there: remove it, or choose",
    ),
    "demo --rows 5 --keep REPORT/try": (5, "Not a directory. Choose another path, or remove the file"),
}


@pytest.mark.parametrize("command", MISTAKES)
def test_what_a_newcomer_gets_wrong_is_told_with_what_to_do(
    command: str, tmp_path: Path, digits_file: Path, network_file: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text(in_process("evaluate", network_file, digits_file, "--json").stdout)
    names = {"MODEL": str(network_file), "DATA": str(digits_file), "REPORT": str(report)}
    done = in_process(
        *("/".join(names.get(part, part) for part in one.split("/")) for one in command.split())
    )
    code, told = MISTAKES[command]
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert report.read_text().startswith("{")
