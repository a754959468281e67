"""Pages of the site as a reader runs them: blocks of shell and Python in order, and the text that they should print.

A block ```text that follows a block ```sh or ```python is all that the latter prints. What a page cannot run on any
machine is indented instead of fenced.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

from command_line import environment, in_process

FENCE = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Ran(NamedTuple):
    """A block, what the page says it prints (None where it says nothing), and what it printed."""

    text: str
    said: str | None
    printed: str


def run(page: Path, folder: Path, env: dict[str, str] | None = None) -> list[Ran]:
    """Run every block of a page in `folder`, one after another; Python blocks share their names."""
    blocks = FENCE.findall(page.read_text())
    names: dict[str, object] = {"__name__": "page"}
    ran = []
    for at, (kind, text) in enumerate(blocks):
        if kind == "text":
            assert at, f"{page}: what prints this?\n{text}"
            continue
        said = blocks[at + 1][1] if at + 1 < len(blocks) and blocks[at + 1][0] == "text" else None
        printed = _python(text, page, folder, names) if kind == "python" else _shell(text, folder, env or {})
        ran.append(Ran(text, said, printed))
    return ran


def agrees(said: str, printed: str) -> bool:
    """Whether this is what was printed; a line `...` stands for any lines, of times or memory."""
    parts = re.split(r"^\.\.\.\n", said, flags=re.MULTILINE)
    return re.fullmatch(".*".join(map(re.escape, parts)), printed, re.DOTALL) is not None


def _python(text: str, page: Path, folder: Path, names: dict[str, object]) -> str:
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("default")
        exec(compile(text, str(page), "exec"), names)
    return out.getvalue()


def _shell(text: str, folder: Path, env: dict[str, str]) -> str:
    """Commands of streameval alone run in this process, a second faster each; `> file` takes what they print."""
    printed = ""
    for line in text.replace("\\\n", " ").splitlines():
        command, _, target = line.partition(" > ")
        if command.startswith("streameval ") and not re.search(r"[|;&$<]", line):
            done = in_process(*shlex.split(command, comments=True)[1:], env=env, cwd=folder)
        else:
            done = _bash(line, folder, env)
            target = ""
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if target:
            (folder / target.split("#")[0].strip()).write_text(done.stdout)
        else:
            printed += done.stdout
    return printed


def _bash(line: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    shim = f'streameval() {{ "{sys.executable}" -m streameval "$@"; }}; python() {{ "{sys.executable}" "$@"; }}\n'
    command = ["bash", "-euo", "pipefail", "-c", shim + line]
    return subprocess.run(
        command, cwd=folder, env=environment(**env), capture_output=True, text=True, check=False
    )
