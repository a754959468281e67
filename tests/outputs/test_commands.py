"""The page on saved outputs does what it says: every command on it runs; and what the command line refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_files
from command_line import ROOT, in_process, result

import streameval as se
from streameval.outputs.formats import FORMATS

PAGE = (ROOT / "docs" / "outputs.md").read_text()
TABLE = re.findall(r"^\| [^|]+ \| `([^`]+)` \| `streameval ([^`]+)` \|$", PAGE, re.MULTILINE)
VALUES = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0]
IDS, GROUPS = [f"s {k}" for k in range(12)], [f"g{k // 2}" for k in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits_file: Path, network_file: Path) -> Path:
    """Every file that the page names."""
    place = tmp_path_factory.mktemp("saved")
    for how in saved_files.FORMATS.values():
        how.write(place / how.name, VALUES, IDS, GROUPS)
    for name, values in (("first", VALUES), ("second", VALUES[::-1])):
        saved_files.FORMATS["jsonl"].write(place / f"{name}.jsonl", values, IDS, GROUPS)
    for name in "AB":
        (place / name).mkdir()
        saved_files.lm_eval(place / name / "samples_t.jsonl", VALUES, IDS, GROUPS)
    common = {
        "doc": {},
        "target": "",
        "filtered_resps": [],
        "metrics": ["word_perplexity", "byte_perplexity"],
    }
    rolling = [
        {"doc_id": k, **common, "word_perplexity": [-3.5 * k, 7 + k], "byte_perplexity": [-3.5 * k, 40 + k]}
        for k in range(9)
    ]
    (place / "samples_rolling.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rolling))
    z = np.random.default_rng(0).normal(size=(12, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.savez(place / "outputs.npz", z=z, p=p, t=np.arange(12) % 3)
    se.evaluate(
        se.load_model(network_file), digits_file, options=se.PassOptions(losses=place / "losses.arrow")
    )
    return place


def test_the_table_has_every_format() -> None:
    assert {form for form, _ in TABLE} == set(FORMATS)


@pytest.mark.parametrize(("form", "command"), TABLE, ids=[command for _, command in TABLE])
def test_each_line_of_the_table_runs_and_reads_that_format(form: str, command: str, folder: Path) -> None:
    found = result(*command.split(), cwd=folder)
    assert found["model"]["saved"]["format"] == form
    assert found["rows"] == found["data"]["rows"] > 0
    assert found["scorer"] == "saved"


@pytest.mark.parametrize(
    "command", ["compare --trials 20 --sizes 5", "until --half-width 0.3", "minibatch --size 5"]
)
def test_the_other_commands_take_the_same_files(command: str, folder: Path) -> None:
    name, *options = command.split()
    for path, asked in (("log.eval", []), ("saved.parquet", ["--score-column", "v", "--row-id", "id"])):
        found = result(name, path, *asked, *options, cwd=folder)
        assert abs(found.get("loss", found.get("full", {}).get("loss", 8 / 12)) - 8 / 12) < 0.5
        text = in_process(name, path, *asked, *options, cwd=folder)
        assert (text.returncode, text.stderr) == (0, "")
        assert "score" in text.stdout
        assert "nats" not in text.stdout


def test_the_other_blocks_of_the_page_run_as_they_stand(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines():
        done = in_process(*line.removeprefix("streameval ").split(), cwd=folder)
        assert done.returncode == 0, done.stderr
    monkeypatch.chdir(folder)
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, {})


def test_perplexities_of_a_harness_are_those_that_it_reports(folder: Path) -> None:
    """exp(-sum of log-likelihoods / sum of words), as its weighted_perplexity has it, of 36 * 3.5 nats."""
    common = ("perplexity", "samples_rolling.jsonl", "--loss-column", "nats_per_document", "--weight-column")
    assert result(*common, "weights.words", cwd=folder)["estimate"] == pytest.approx(np.exp(126 / 99))
    bits = result(*common, "weights.bytes", "--per", "byte", cwd=folder)["estimate"]
    assert bits == pytest.approx(126 / 396 / np.log(2))
    done = in_process(*common, "weights.tokens", cwd=folder)
    assert (done.returncode, "no column 'weights.tokens'" in done.stderr) == (2, True)


@pytest.mark.parametrize("rows", ["", "1,0\n2,0\n"], ids=["none", "of weight 0"])
def test_perplexity_without_any_weight_is_bad_data_of_that_file(rows: str, tmp_path: Path) -> None:
    path = tmp_path / "saved.csv"
    path.write_text(f"loss,w\n{rows}")
    done = in_process("perplexity", path, "--loss-column", "loss", "--weight-column", "w")
    assert done.returncode == 3
    assert f"{path}, column w: no row has a weight" in done.stderr


def test_every_link_of_the_page_leads_somewhere() -> None:
    assert all((ROOT / "docs" / one).exists() for one in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE))


def test_paired_says_what_was_joined_and_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    rows = (folder / "second.jsonl").read_text().splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join([*rows[:-1], '{"v": null, "id": "none", "g": "g0"}']))
    command = ("paired", "first.jsonl", other, "--score-column", "v", "--row-id", "id", "--allow-nonfinite")
    found = result(*command, cwd=folder)
    assert found["joined"]["rows"] == found["rows_read"] == 11
    assert [one["unmatched"] for one in found["joined"]["runs"]] == [1, 0]
    assert found["joined"]["runs"][1]["left_out"] == 1
    assert found["joined"]["runs"][0]["examples"] == ["s 11"]
    assert found["higher_is_better"] is True
    said = in_process(*command, cwd=folder).stdout
    assert "11 rows, on id" in said
    assert "1 rows without their like of first.jsonl" in said
    assert "2 runs on the same samples" in said


def test_groups_and_accuracies_reach_the_text(folder: Path) -> None:
    said = in_process("evaluate", "saved.parquet", "--score-column", "v", "--group", "g", cwd=folder).stdout
    assert "if the 6 groups are" in said
    assert "accuracy 34.89 % to 90.08 %" in said  # Clopper and Pearson's of 8 of 12
    found = result("paired", "first.jsonl", "second.jsonl", "--score-column", "v", "--row-id", "id", "--group", "g",
                   cwd=folder)  # fmt: skip
    assert found["groups"] == 6


def test_pages_of_saved_outputs_speak_of_scores_and_no_nats(folder: Path, tmp_path: Path) -> None:
    for command in (["evaluate", "log.eval"], ["compare", "log.eval", "--trials", "20", "--sizes", "5"],
                    ["until", "log.eval", "--half-width", "0.3"], ["paired", "log.eval", "log.json"]):  # fmt: skip
        page = tmp_path / "page.html"
        assert in_process(*command, "--html", page, cwd=folder).returncode == 0
        text = re.sub(r"<[^>]+>", " ", page.read_text())
        assert "log.eval" in text
        assert not re.search(r"\bnats\b", text), command


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (
            "evaluate samples_t.jsonl",
            2,
            r"metrics exact_match,strict, exact_match,flexible: which one\?.*--metric",
        ),
        ("evaluate samples_t.jsonl --metric acc", 2, "no metric 'acc'. Its metrics: exact_match,strict"),
        ("evaluate saved.csv", 2, r"--loss-column.*Its columns: v, id, g"),
        ("evaluate saved.csv --loss-column w", 2, r"no column 'w'.*Its columns: v, id, g"),
        ("evaluate saved.csv --loss-column id", 3, r"column id, row 0: 's 0', expected a number"),
        ("evaluate saved.csv --loss-column v --eps 0", 2, r"--eps: loss v of saved\.csv was saved"),
        ("evaluate saved.csv --loss-column v --scale 2", 2, r"--scale: for a model and its data"),
        ("evaluate saved.csv --loss-column v --check", 2, r"--check: for a model and its data"),
        ("evaluate saved.csv --loss-column v --dropout book", 2, r"--dropout: for a model and its data"),
        ("evaluate saved.csv --loss-column v --with torch", 2, r"--with: for a model and its data"),
        ("compare saved.csv --loss-column v --check", 2, r"--check: for a model and its data"),
        ("minibatch saved.csv --loss-column v --size 2 --check", 2, r"--check: for a model and its data"),
        ("paired first.jsonl second.jsonl --score-column v --check", 2, r"--check: for a model and its data"),
        (
            "paired model.safetensors model.safetensors data.arrow --least-joined 0.5",
            2,
            r"--least-joined: for saved outputs",
        ),
        ("info saved.csv", 2, r"saved outputs \(csv, columns v, id, g\)\? streameval evaluate saved\.csv"),
        ("info saved.parquet", 2, r"saved outputs \(parquet, columns v, id, g\)\?"),
        ("info samples_t.jsonl", 2, r"\(lm-eval, metrics exact_match,strict, .*--metric NAME"),
        ("info outputs.npz", 4, r"saved outputs \(npz, columns z, p, t\)\?"),
        ("evaluate saved.csv --loss-column v --bounds 1", 2, r"--bounds 1: expected LOW:HIGH"),
        ("evaluate saved.csv --loss-column v --format xls", 2, "format 'xls' is not known"),
        ("evaluate saved.csv --loss-column v --engine dask", 2, "saved outputs need no workers"),
        (
            "evaluate saved.csv --loss-column v --images",
            2,
            "--images: for a model and its data, but saved outputs",
        ),
        ("evaluate model.safetensors", 2, r"its name is that of a model.*MODEL DATA"),
        ("evaluate model.safetensors data.arrow --loss-column v", 2, r"--loss-column: for saved outputs"),
        ("until model.safetensors data.arrow --allow-nonfinite", 2, r"--allow-nonfinite: for saved outputs"),
        ("until saved.csv --loss-column v --half-width 0.2", 2, r"--bounds LOW:HIGH"),
        ("paired first.jsonl saved.npy --score-column v", 2, r"saved\.npy: no column 'v'"),
        ("paired first.jsonl", 2, r"first\.jsonl: one path, expected models and their data"),
        ("paired first.jsonl second.jsonl --score-column v --row-id g", 3, "0 rows match.*more than once"),
        ("evaluate no.jsonl", 5, r"no\.jsonl: No such file"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_type(
    command: str, code: int, said: str, folder: Path
) -> None:
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "data.arrow").write_bytes(b"x")
    done = in_process(*command.split(), cwd=folder)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert done.stdout == ""


def test_states_and_losses_of_saved_outputs_are_written_and_merged(folder: Path, tmp_path: Path) -> None:
    whole = result("evaluate", "saved.parquet", "--score-column", "v", cwd=folder)
    for k in range(2):
        state = tmp_path / f"{k}.json"
        result(
            "evaluate",
            "saved.parquet",
            "--score-column",
            "v",
            "--shard",
            f"{k}/2",
            "--state",
            state,
            cwd=folder,
        )
    merged = result("merge", tmp_path / "0.json", tmp_path / "1.json")
    assert merged["digest"] == whole["digest"]
    said = in_process("merge", tmp_path / "0.json", tmp_path / "1.json").stdout
    assert "not here: scores saved as parquet" in said
    assert "content" not in said
    assert "--check" not in said
    target = tmp_path / "again.arrow"
    result("evaluate", "saved.parquet", "--score-column", "v", "--losses", target, cwd=folder)
    again = result("evaluate", target)
    assert json.dumps(again["state"]["units"]) == json.dumps(whole["state"]["units"])


def test_the_environment_of_other_commands_changes_nothing(folder: Path) -> None:
    settings: dict[str, Any] = {"cwd": folder, "env": {"STREAMEVAL_FORMAT": "npy", "STREAMEVAL_EPS": "0.1"}}
    assert in_process("evaluate", "saved.csv", "--loss-column", "v", **settings).returncode == 0
