"""`compare`, `until` and `paired` as a user calls them: text, JSON, pictures, exit codes."""

from __future__ import annotations

import os
import pty

import pytest
from command_line import in_process, result, start
from mnist_file import nudged, rounded

import streameval as se
from streameval.reports.json import plain


@pytest.fixture(scope="module")
def other(network_file, tmp_path_factory):
    """Another checkpoint of the network."""
    place = tmp_path_factory.mktemp("models") / "other one.safetensors"
    nudged(se.load_model(network_file), 0.02).save(place)
    return place


def test_compare_prints_what_a_batch_is_worth(network_file, digits_file):
    done = in_process("compare", network_file, digits_file, "--trials", 100, "--sizes", "10, 300")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in ("full loss", "n = 10", "n = 300", "betting", "order", "rounding", "clipping", "±0.01"):
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:])) <= 88


def test_compare_as_json_is_that_of_the_library(network_file, digits_file):
    found = result(
        "compare", network_file, digits_file, "--trials", 100, "--seed", 7, "--without-replacement"
    )
    same = se.compare(se.load_model(network_file), digits_file, trials=100, seed=7, replace=False).to_dict()
    assert found["batches"] == same["batches"]
    assert found["order"] == plain(same["order"])
    assert found["full"]["digest"] == same["full"]["digest"]
    assert (found["replace"], found["seed"]) == (False, 7)


def test_until_as_text_and_json(network_file, digits_file):
    found = result("until", network_file, digits_file, "--half-width", 0.1, "--seed", 1)
    same = se.evaluate_until(se.load_model(network_file), digits_file, half_width=0.1, seed=1)
    assert (found["loss"], found["rows_read"]) == (same.loss, same.rows_read)
    assert found["stopped"] == "precision"
    done = in_process("until", network_file, digits_file, "--half-width", 0.1)
    assert done.stderr == ""  # the running estimate is for terminals
    assert "95 % interval" in done.stdout


def test_until_shows_the_running_estimate_on_a_terminal_only(network_file, digits_file):
    """stderr is a terminal, stdout is not: the estimate comes and goes there, the result comes here."""
    master, slave = pty.openpty()
    process = start("until", network_file, digits_file, "--half-width", 0.05, stderr=slave)
    os.close(slave)
    shown = bytearray()
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # the terminal's other end is closed
            break
        if not part:
            break
        shown += part
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 0
    assert "±".encode() in shown
    assert b" rows, " in shown
    assert "rows read" in out
    assert "\x1b" not in out


def test_paired_takes_models_then_data(network_file, other, digits_file):
    found = result("paired", network_file, other, digits_file)
    assert (found["first"], found["second"]) == (str(network_file), str(other))
    assert found["rows_read"] == 3000
    done = in_process("paired", network_file, other, digits_file)
    assert "second - first" in done.stdout
    done = in_process("paired", network_file, other, digits_file, "--half-width", 0.1)
    assert "betting" in done.stdout


def test_stored_losses_take_the_place_of_the_first_model(network_file, other, digits_file, tmp_path):
    old = tmp_path / "old.arrow"
    assert in_process("evaluate", network_file, digits_file, "--losses", old).returncode == 0
    stored = result("paired", other, digits_file, "--losses", old)
    direct = result("paired", network_file, other, digits_file)
    assert stored["difference"] == direct["difference"]
    found = result("paired", other, digits_file, "--losses", old, "--half-width", 0.1)
    assert found["loss"]["high"] - found["loss"]["low"] <= 0.2
    done = in_process("paired", other, digits_file, "--losses", old, "--eps", 1e-3)
    assert done.returncode == 3
    assert (
        "old.arrow: these losses have loss CrossEntropy(eps=1e-07), expected CrossEntropy(eps=0.001)"
        in done.stderr
    )


@pytest.mark.parametrize("command", ["evaluate", "minibatch", "calibration", "compare", "until", "paired"])
def test_every_command_draws_pictures(command, network_file, other, digits_file, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'streameval[report]'")
    more = {"compare": ["--trials", 20], "until": ["--half-width", 0.1], "paired": [other]}.get(command, [])
    page, folder = tmp_path / "my report.html", tmp_path / "pictures"
    done = in_process(
        command, network_file, *more, digits_file, "--html", page, "--png", folder, "--json"
    ) if command == "paired" else in_process(
        command, network_file, digits_file, *more, "--html", page, "--png", folder, "--json"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert sorted(folder.glob("*.png"))


def test_wrong_arguments_end_with_2(network_file, digits_file):
    for arguments in (
        ("compare", network_file, digits_file, "--sizes", "10,many"),
        ("compare", network_file, digits_file, "--sizes", ""),
        ("compare", network_file, digits_file, "--trials", "0"),
        ("until", network_file, digits_file, "--half-width", "-1"),
        ("until", network_file, digits_file, "--eps", "0"),
        ("paired", network_file, digits_file),
        ("paired", digits_file),
    ):
        done = in_process(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert done.stdout == ""


def test_a_page_that_cannot_be_written_ends_with_5(network_file, digits_file, tmp_path):
    done = in_process(
        "until", network_file, digits_file, "--half-width", 1, "--html", tmp_path / "no" / "x.html"
    )
    assert done.returncode == 5
    assert done.stdout == ""
    assert "no" in done.stderr


def test_the_commands_show_what_is_true_of_the_article_s_network(mnist_dir, mnist_train, tmp_path):
    """On real MNIST; 2,000 draws of 100 rows: 4 standard errors of their sd are 0.0048."""
    mnist = mnist_dir / "sample_weight.pkl", mnist_train
    found = result("compare", *mnist)
    assert found["full"]["loss"] == pytest.approx(0.2240008766, abs=2e-9)
    assert (found["order"]["even"], found["order"]["odd"]) == (
        pytest.approx(0.2834, abs=5e-5),
        pytest.approx(0.1646, abs=5e-5),
    )
    assert found["order"]["random"] is False
    hundred = found["batches"][1]
    assert hundred["predicted_sd"] == pytest.approx(0.0675, abs=5e-5)
    assert hundred["sd"] == pytest.approx(0.0675, abs=0.0048)
    assert 20_000 <= result("until", *mnist, "--half-width", 0.01)["rows_read"] <= 24_000
    half = tmp_path / "half.safetensors"
    rounded(se.load_model(mnist[0])).save(half)
    pair = result("paired", mnist[0], half, mnist[1])
    assert pair["difference"]["mean"] == pytest.approx(1.7e-6, abs=1e-7)
    width = pair["difference"]["high"] - pair["difference"]["low"]
    assert 2 * pair["unpaired"]["half_width"] > 1000 * width
