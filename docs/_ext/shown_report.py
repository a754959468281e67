"""Directive `shown-report`: pictures of a comparison that the project's own commands made when the site was built.

`streameval demo --keep` draws 60,000 digits and `streameval compare --html` compares mini-batches with all of them. The
whole report is a page of the site, `report.html`; the directive shows the figures that it names, in the site's colours.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

# Beside the output folders of the two languages, which show the same report.
PLACE = "report.html"


def make_report(path: Path) -> None:
    """Draw the demo's digits, compare, and leave the page at `path`."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "streameval"]
        for arguments in (
            ["demo", "--keep", "demo"],
            ["compare", "demo/network.safetensors", "demo/digits.arrow", "--html", "report.html"],
        ):
            done = subprocess.run(
                [*program, *arguments], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(
                    f"streameval {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
                )
        shutil.move(Path(folder) / "report.html", path)


def figures(page: str, names: list[str]) -> str:
    """The figures of a report with these ids, without the tables below them, as HTML."""
    parts = []
    for name in names:
        found = re.search(rf'<figure id="{re.escape(name)}">.*?</figure>', page, re.DOTALL)
        if found is None:
            there = re.findall(r'<figure id="([^"]*)"', page)
            raise LookupError(f"the report has no figure {name!r}, but {there}")
        figure = re.sub(r"<details.*?</details>", "", found[0], flags=re.DOTALL)
        parts.append(re.sub(r"<h2>(.*?)</h2>", r'<p class="shown-title">\1</p>', figure, flags=re.DOTALL))
    return "".join(parts)


def style(page: str) -> str:
    """What of the report's style its figures need, below `.shown`; colours by the site's theme."""
    lines = page[page.index("<style>") + 7 : page.index("</style>")].splitlines()
    light, dark = (
        re.findall(r"--[\w-]+: [^;]+;", line) for line in lines if line.lstrip().startswith(":root")
    )
    kept = [line for line in lines if re.match(r"\.(c-|plot|swatch|legend)", line)]
    rules = [", ".join(f".shown {one.strip()}" for one in line.split("{")[0].split(",")) for line in kept]
    body = [line[line.index("{") :] for line in kept]
    variables = " ".join(dark)
    return "\n".join(
        [
            f".shown {{ {' '.join(light)} }}",
            f"body[data-theme=dark] .shown {{ {variables} }}",
            f"@media (prefers-color-scheme: dark) {{ body:not([data-theme=light]) .shown {{ {variables} }} }}",
            *(f"{rule} {rest}" for rule, rest in zip(rules, body, strict=True)),
        ]
    )


class ShownReport(SphinxDirective):
    """The figures whose ids are the arguments."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        if self.env.app.builder.format != "html":
            return []
        page = _report(self.env.app).read_text()
        shown = figures(page, self.arguments[0].split())
        html = f'<style>{style(page)}</style><div class="shown">{shown}</div>'
        return [nodes.raw("", html, format="html")]


def _report(app: Any) -> Path:
    path = Path(app.outdir).parent / PLACE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make_report(path)
    return path


def _copy(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html" and (Path(app.outdir).parent / PLACE).exists():
        shutil.copy(Path(app.outdir).parent / PLACE, Path(app.outdir) / "report.html")


def setup(app: Any) -> dict[str, Any]:
    """Add the directive, and the whole report to the site."""
    app.add_directive("shown-report", ShownReport)
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": False}
