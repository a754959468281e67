"""The table of docs/data.md: each of its commands is run on the same rows, and says the same of them."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from command_line import ROOT, in_process
from data_files import FORMS

from streameval import storage
from streameval.datasets.digits import demo_network_path, digits

PAGE = (ROOT / "docs" / "data.md").read_text()
TABLE = PAGE[PAGE.index("## What opens") : PAGE.index("## Which columns")]
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"`(streameval [^`]*)`", TABLE)]
EVALUATIONS = [command for command in COMMANDS if command[0] == "evaluate"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of the same drawn digits in every form, and a network."""
    folder = tmp_path_factory.mktemp("forms")
    source = storage.open(digits(folder / "drawn.arrow", rows=300, seed=3))
    # In the order of a folder for each class.
    chunk = source.take(np.argsort(source.take(np.arange(300)).t, kind="stable"))
    x, t = chunk.x.reshape(-1, 28, 28), chunk.t
    for name in ("rows", "rows.arrow"):
        storage.create(folder / name, [(x, t)], rows=300, shape=(28, 28), dtype="uint8")
    for form in FORMS.values():
        form.written(folder, x, t)
    shutil.copy(demo_network_path(), folder / "network.safetensors")
    return folder


@pytest.fixture(scope="module")
def digest(place):
    done = in_process("evaluate", "network.safetensors", "rows.arrow", "--json", cwd=place)
    return json.loads(done.stdout)["digest"]


@pytest.mark.parametrize("command", EVALUATIONS, ids=" ".join)
def test_every_form_gives_the_same_digest(command, place, digest):
    done = in_process(*command, "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == digest


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in EVALUATIONS], ids=" ".join)
def test_every_other_command_takes_them_too(command, place, digest):
    done = in_process(*command, cwd=place)
    assert done.returncode == 0, done.stderr
    if command[0] == "convert":
        assert storage.open(place / command[2]).rows == 300
        again = in_process("evaluate", "network.safetensors", command[2], "--json", cwd=place)
        assert json.loads(again.stdout)["digest"] == digest


def test_every_form_stands_in_the_table():
    named = {word for command in COMMANDS for word in command}
    assert {form.name for form in FORMS.values()} <= named
    for form in FORMS.values():
        said = [word for name, value in form.options.items() for word in (f"--{name}", value)]
        assert any(form.name in command and all(word in command for word in said) for command in COMMANDS)
