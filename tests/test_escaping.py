"""What files and paths are called cannot move a terminal's cursor, set its title, or reorder what is read."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_line import in_process
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import streameval as se
from streameval.escaping import escaped, in_html
from streameval.reports.terminal import TextStyle, fields, paragraph, table, visible

# ESC, a sequence that sets a window's title, a newline, one that writes from right to left, a C1 control, a carriage
# return and a backspace; and what a name may well hold.
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\nerror: none\u202egnp\x9b31m\r\x08b"
FINE = "größe 図 é-1 (2).arrow"
COMMANDS = [
    ("info", "DATA"),
    ("info", "MODEL"),
    ("evaluate", "MODEL", "DATA"),
    ("evaluate", "MODEL", "DATA", "--html", "OUT"),
    ("minibatch", "MODEL", "DATA"),
    ("compare", "MODEL", "DATA", "--sizes", "10", "--trials", "20", "--html", "OUT"),
    ("until", "MODEL", "DATA", "--half-width", "1"),
    ("paired", "MODEL", "MODEL", "DATA"),
    # Errors of each kind.
    ("info", "MODEL/none"),
    ("info", "BAD"),
    ("evaluate", "BADMODEL", "DATA"),
    ("evaluate", "DATA", "MODEL"),
    ("evaluate", "MODEL", "DATA", "--rows", HOSTILE),
    ("evaluate", "MODEL", "DATA", "--threads", HOSTILE),
    ("evaluate", "MODEL", "DATA", "--losses", "MODEL"),
    ("evaluate", "MODEL", "DATA", f"--{HOSTILE}"),
    (HOSTILE,),
    ("verify", "DATA", "MODEL", "DATA"),
    ("merge", "DATA"),
]


def unprintable(text: str) -> list[str]:
    """What is no printable character, lines apart, by another way than the package's."""
    return [one for one in text if unicodedata.category(one)[0] == "C" and one != "\n"]


@given(st.text())
def test_what_is_escaped_is_one_line_of_printable_characters(text: str) -> None:
    shown = escaped(text)
    assert shown.isprintable()
    assert not unprintable(shown)
    assert shown == text or not text.isprintable()


@given(st.text(alphabet=st.characters(exclude_categories=("C", "Z"))))
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    assert escaped(text) == text


def test_what_is_meant_to_stay_stays() -> None:
    assert escaped("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert in_html("<b>\x1b\u202e\n") == "&lt;b&gt;\\x1b\\u202e\\n"


@pytest.mark.parametrize("colour", [False, True])
def test_no_layout_lets_a_name_through(colour: bool) -> None:
    """Colour that the project paints is there, all else is escaped, and a name cannot begin a line."""
    style = TextStyle(60, colour=colour)
    lines = [
        style.bold(HOSTILE),
        *fields([("name", HOSTILE), (HOSTILE, "value")], style),
        *table(("head",), [(HOSTILE,)], style),
        *paragraph(f"said: {HOSTILE} {HOSTILE}", style),
        HOSTILE,
    ]
    text = style.finish(lines)
    for code in ("1", "2", "0"):
        text = text.replace(f"\x1b[{code}m", "")
    assert unprintable(text) == []
    assert "\nerror" not in text
    assert text.count("\\x1b]0;owned\\x07\\nerror") == 7
    assert visible(style.bold("four")) == 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data set and a network whose names, tensors and metadata are hostile, and damaged ones."""
    folder = tmp_path_factory.mktemp("names")
    draws = np.random.default_rng(0)
    x, t = draws.integers(0, 256, (400, 16), dtype=np.uint8), draws.integers(0, 3, 400)
    files = {"DATA": f"{HOSTILE}.arrow", "MODEL": f"{HOSTILE}.safetensors", "BAD": f"{HOSTILE}2.arrow"}
    files |= {"BADMODEL": f"{HOSTILE}2.safetensors", "OUT": "out.html"}
    paths = {name: folder / file for name, file in files.items()}
    from streameval.storage import create

    create(folder / "data.arrow", [(x, t)], rows=400, shape=(16,), dtype="uint8", classes=3)
    shutil.move(folder / "data.arrow", paths["DATA"])
    layers = [se.Layer(draws.normal(size=(16, 3)).astype("f4"), np.zeros(3, "f4"), "identity")]
    se.Mlp(layers).save(folder / "model.safetensors")
    shutil.move(folder / "model.safetensors", paths["MODEL"])
    paths["BAD"].write_bytes(paths["DATA"].read_bytes()[:-300])
    save_file({HOSTILE: np.zeros((2, 2), "f4")}, paths["BADMODEL"], metadata={HOSTILE: HOSTILE})
    return paths


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{len(command)}-{command[0][:8]}")
def test_no_command_prints_what_a_terminal_would_obey(
    folder: dict[str, Path], command: tuple[str, ...]
) -> None:
    arguments = [_filled(one, folder) for one in command]
    done = in_process(*arguments)
    shown = done.stdout + done.stderr
    assert unprintable(shown) == []
    assert not any(line.startswith("error: none") for line in shown.splitlines())
    if "--html" in command:
        page = folder["OUT"].read_text()
        assert unprintable(page) == []
        assert any("\\x1b]0;owned\\x07" in title for title in _titles(page))


def _filled(argument: str, folder: dict[str, Path]) -> str:
    name, slash, rest = argument.partition("/")
    return f"{folder[name]}{slash}{rest}" if name in folder else argument


def _titles(page: str) -> Iterable[str]:
    found: list[str] = []

    class Titles(HTMLParser):
        inside = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.inside = tag in ("title", "h1")

        def handle_data(self, data: str) -> None:
            if self.inside:
                found.append(data)
                self.inside = False

    Titles().feed(page)
    return found


def test_names_that_can_be_printed_are_printed(tmp_path: Path, folder: dict[str, Path]) -> None:
    shutil.copy(folder["DATA"], tmp_path / FINE)
    assert FINE in in_process("info", tmp_path / FINE).stdout
