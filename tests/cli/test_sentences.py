"""What a command claims says of which rows, with which probability, at how many looks; and never shows what is unknown
as a number.

Each row of CLAIMS is a command and the sentences of its output that make a claim: read them when one changes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process
from mnist_file import nudged

import streameval as se

OUTPUTS = "--loss-column loss --bounds 0:17"
CLAIMS: dict[str, list[str]] = {
    "evaluate MODEL DATA": [
        r"errors standard error \S+, accuracy \S+ % to \S+ % with 95 %, for further data if rows are independent",
    ],
    f"evaluate A {OUTPUTS} --group document": [
        r"by groups standard error \S+, for further data if the 60 groups are independent",
    ],
    "minibatch MODEL DATA": [
        r"Interval: skew, meant to hold, approximately, the mean loss of these 3,000 rows in 95 % of draws\.",
        r"Assumed: the rows were drawn at random, and the sample's own skewness",
        r"can miss a kind that makes up 3 % of all rows",
    ],
    "minibatch MODEL DATA --batches 3 --method betting": [
        r"Interval: betting, guaranteed to hold the mean loss of these 3,000 rows in 95 % of draws, each batch for "
        r"itself: of 3 some may miss\.",
        r"their number was fixed before",
    ],
    "minibatch MODEL DATA --size 3000 --without-replacement": [
        r"Each batch is all 3,000 rows: its loss is exact\."
    ],
    f"minibatch A {OUTPUTS} --group document": [
        r"By groups: the standard error for further data if the groups drawn, in brackets, are independent",
    ],
    "until MODEL DATA --half-width 0.2": [
        r"with a probability of 95 %, over the random order, every interval shown on the way holds the mean loss of "
        r"these 3,000 rows: (all \d+ looks together, this last one included|one look was taken)\.",
        r"Assumed: the rows are read in an order drawn at random, and no loss is out of bounds",
    ],
    "until MODEL DATA --half-width 1e-6": [
        r"these 3,000 rows: all \d+ looks together, of which this last one is exact\.",
    ],
    "until MODEL DATA --half-width 0.2 --method asymptotic": [
        r"approximately with a probability of 95 %, over the random order",
        r"it misses far more often than it says",
    ],
    "until MODEL DATA --half-width 0.05 --of accuracy": [r"holds the mean accuracy of these 3,000 rows"],
    f"until A {OUTPUTS} --half-width 0.3 --group document": [
        r"over the draw of groups, every interval shown on the way holds the mean loss of these 3,000 rows",
        r"Assumed: whole groups are read, each draw taking the group of a random row",
    ],
    "compare MODEL DATA --trials 50 --sizes 10,100": [
        r"how often the 95 % interval held the full loss",
        r"Each counted over 50 batches, of one size and looked at once: a share near 95 % has a standard error",
        r"Of the mean of these rows at 95 %: normal looked at once, approximately; betting at every look, guaranteed\. "
        r"Of more rows, if they were like these\.",
        r"of these rows, and in brackets of further data at 95 % each if rows are independent",
        r"of further data \S+ to \S+, and \S+ % to \S+ %, guaranteed at 95 % each if rows are independent",
        r"on the loss of all rows \(about 95 %\)",
    ],
    "paired MODEL OTHER DATA": [
        r"95 % interval \S+ … \S+ for further data, by Student's t",
        r"which is better (the (first|second) is better|no difference can be told from 0), on further data, at 95 %",
        r"e-value \S+, p \S+ for further data of independent rows, at any look and for any number of rows",
        r"p \S+ for many rows, looked at once",
        r"by McNemar's exact test, for further data of independent rows",
        r"about: a true difference of \S+, in 80 % of samples of as many further rows",
        r"The difference on these rows is exact\. The interval is for further data of the same kind, of which these "
        r"rows are a sample, looked at once\. Assumed: rows are independent",
    ],
    "paired MODEL OTHER DATA --of accuracy": [r"second - first \S+ of the rows, on the rows read"],
    "paired MODEL OTHER DATA --until decided": [
        r"for these rows, at any look and for any number of rows",
        r"With a probability of 95 %, over the random draw of rows, every interval on the way holds the mean "
        r"difference of these 3,000 rows: (all \d+ looks together|one look was taken)\.",
        r"Assumed: the rows were drawn at random, and no value is out of bounds",
    ],
    "paired MODEL OTHER THIRD DATA --until decided": [
        r"of several \S+ … \S+, at 95 % together with the other models; p \S+ by Holm, (not )?claimed by e-BH",
        r"With a probability of 95 %, each model for itself, over the random draw of rows",
    ],
    "paired OTHER DATA --losses OLD --half-width 0.2": [
        r"on the rows read, \S+ on all \(stored\)",
        r"second's full loss \S+, \S+ … \S+, from the stored losses and the difference",
    ],
    "paired OTHER DATA --losses OLD --until decided --draw weighted": [
        r"old\.arrow: loss \S+ on all rows \(stored\)",
        r"second - first \S+ nats, (estimated for|on) all rows",
        r"with the chances that the older losses gave them",
    ],
    f"paired A B {OUTPUTS} --row-id id --group document": [
        r"for further data, by Student's t over groups",
        r"Assumed: groups, not rows, are independent of each other, many and alike in size; it holds approximately\.",
    ],
    "perplexity A --loss-column loss --weight-column tokens": [
        r"perplexity \S+, of these rows: exact",
        r"95 % interval \S+ … \S+ for further data, about",
        r"rows 3,000, taken as independent",
        r"approximately: the rows are independent of each other",
    ],
    "perplexity A --loss-column loss --weight-column tokens --group document": [
        r"rows 3,000 in 60 groups",
        r"the groups are independent of each other, rows of one group need not be",
    ],
    "calibration MODEL DATA": [
        r"Brier \S+ of these rows, \S+ to \S+ of further data at about 95 %",
        r"3,000; claims take rows as independent",
        r"for further data that hold for all bins, or all classes, together in 95 % of samples of independent rows",
    ],
    "verify REPORT MODEL DATA": [
        r"Computed again: all blocks, 3,000 rows, equal to the bit",
        r"Not known, since nothing at hand can tell",
        r"a checksum, not a signature",
    ],
    "merge STATE STATE2": [r"with 95 %, for further data if rows are independent"],
    "info DATA --check": [r"all 1 blocks are as recorded"],
}


@pytest.fixture(scope="module")
def files(network_file: Path, digits_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the words in capitals stand for."""
    folder = tmp_path_factory.mktemp("sentences")
    model = se.load_model(network_file)
    found = {"MODEL": network_file, "DATA": digits_file}
    for name, by in (("OTHER", 0.05), ("THIRD", 0.1)):
        found[name] = folder / f"{name.lower()}.safetensors"
        nudged(model, by).save(found[name])
    for name, path in (("A", found["MODEL"]), ("B", found["OTHER"])):
        found[name] = folder / f"{name.lower()}.arrow"
        losses = se.per_sample_losses(se.load_model(path), digits_file)
        rows = np.arange(len(losses))
        columns = {"loss": losses, "id": rows, "document": rows // 50, "tokens": 1 + rows % 7}
        table = pa.table(columns)
        with pa.ipc.new_file(found[name], table.schema) as writer:
            writer.write_table(table)
    found["OLD"], found["REPORT"] = folder / "old.arrow", folder / "report.json"
    written = in_process("evaluate", found["MODEL"], found["DATA"], "--losses", found["OLD"], "--json")
    found["REPORT"].write_text(written.stdout)
    for index, name in enumerate(("STATE", "STATE2")):
        found[name] = folder / f"{index}.json"
        in_process("evaluate", found["MODEL"], found["DATA"], "--shard", f"{index}/2", "--state", found[name])
    return found


def said(command: str, files: dict[str, Path]) -> str:
    """All that a command prints, in one line."""
    done = in_process(*(files.get(word, word) for word in command.split()))
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("command", CLAIMS)
def test_a_claim_says_of_which_rows_how_sure_and_at_how_many_looks(
    command: str, files: dict[str, Path]
) -> None:
    found = said(command, files)
    for sentence in CLAIMS[command]:
        assert re.search(sentence, found), f"{sentence}\nin\n{found}"


ONE_ROW = (
    "evaluate MODEL ONE",
    "minibatch MODEL ONE --size 1",
    "minibatch MODEL DATA --size 1",
    "minibatch MODEL DATA --size 1 --method betting",
    "until MODEL ONE",
    "until MODEL ONE --method asymptotic",
    "compare MODEL ONE --sizes 1 --trials 5",
    "compare MODEL DATA --sizes 1 --trials 5",
    "paired MODEL OTHER ONE",
    "paired MODEL OTHER THIRD ONE",
    "paired MODEL OTHER ONE --of accuracy",
    "paired MODEL OTHER ONE --until decided",
    "paired MODEL OTHER ONE --half-width 0.1",
    "perplexity A1 --loss-column loss --weight-column tokens",
    "evaluate A1 --loss-column loss --group document",
    "paired A1 A1 --loss-column loss --group document",
    "calibration MODEL ONE",
)


@pytest.mark.parametrize("command", ONE_ROW)
def test_what_one_row_does_not_tell_is_no_number(
    command: str, files: dict[str, Path], tmp_path: Path
) -> None:
    """Neither in the text nor on a page, and in JSON it is null."""
    x, t = se.open(files["DATA"]).take(np.arange(1)).x, se.open(files["DATA"]).take(np.arange(1)).t
    np.save(tmp_path / "images.npy", x.reshape(1, 28, 28))
    np.save(tmp_path / "labels.npy", t)
    table = pa.ipc.open_file(files["A"]).read_all().slice(0, 1)
    with pa.ipc.new_file(tmp_path / "a1.arrow", table.schema) as writer:
        writer.write_table(table)
    places = {**files, "ONE": tmp_path, "A1": tmp_path / "a1.arrow"}
    arguments = [places.get(word, word) for word in command.split()]
    page = tmp_path / "page.html"
    options = ["--html", page] if command.split()[0] in ("evaluate", "compare", "until", "paired") else []
    done = in_process(*arguments, *options)
    assert done.returncode == 0, done.stderr
    shown = done.stdout + (re.sub(r"<[^>]*>", " ", page.read_text()) if options else "")
    assert not re.search(r"(?<![\w.])[-+±]?\s?(inf|nan|infinity)(?!\w)|∞", shown, re.IGNORECASE), shown
    written = in_process(*arguments, "--json").stdout
    assert not re.search(r"NaN|Infinity", written)


LEVELS = (
    "minibatch MODEL DATA",
    "until MODEL DATA --half-width 0.5",
    "paired MODEL OTHER DATA --half-width 0.5",
    "paired MODEL OTHER THIRD DATA",
    "perplexity A --loss-column loss --weight-column tokens",
    "calibration MODEL DATA",
)


@pytest.mark.parametrize("command", LEVELS)
def test_no_level_is_rounded_to_certainty(command: str, files: dict[str, Path], tmp_path: Path) -> None:
    """Neither in the text nor on a page."""
    page = tmp_path / "page.html"
    found = said(f"{command} --level 0.999", files)
    if not command.startswith("perplexity"):
        said(f"{command} --level 0.999 --html {page}", files)
        # Drawings have shares at their axes.
        found += re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL)
    assert "99.9 %" in found
    assert not re.search(r"(?<![\d.])(95|100) %", found)


@pytest.mark.parametrize("form", ["--half-width 0.1", "--until decided"])
def test_what_is_named_instead_is_what_the_command_takes(form: str, files: dict[str, Path]) -> None:
    """`paired` has no method without bounds, `until` has one."""
    arguments = f"paired MODEL OTHER DATA --eps 0 {form}".split()
    paired = in_process(*(files.get(word, word) for word in arguments))
    assert (paired.returncode, "eps > 0" in paired.stderr) == (2, True)
    assert "asymptotic" not in paired.stderr
    until = in_process("until", files["MODEL"], files["DATA"], "--eps", 0)
    assert (until.returncode, "or use 'asymptotic'" in until.stderr) == (2, True)
    other = in_process("until", files["MODEL"], files["DATA"], "--eps", 0, "--method", "asymptotic")
    assert other.returncode == 0, other.stderr
