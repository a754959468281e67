"""A page as one HTML file: no network, no script, readable on a phone, light and dark, with words for every picture.

Knows HTML and CSS. Does not know what is reported.
"""

from __future__ import annotations

import base64
import os
import re

from streameval.escaping import in_html
from streameval.files import atomic_file, lock
from streameval.reports import svg
from streameval.reports.figures.plot import COLOURS, Figure, Gallery, Image, Plot, Table, legend
from streameval.reports.page import Page

# Lighter shades of the same hues, for dark backgrounds.
DARK = {
    "blue": "#4FA8E0",
    "vermillion": "#F08A4B",
    "green": "#2FC79A",
    "orange": "#EBB13A",
    "purple": "#DDA0C2",
    "sky": "#7FC8F0",
    "ink": "#E8E8E8",
}
DARK_PAPER = {"paper": "#16181c", "card": "#1e2127", "dim": "#a2a8b3", "grid": "#363b44"}
STYLE = """
:root { color-scheme: light dark; LIGHT }
@media (prefers-color-scheme: dark) {
  :root { DARK }
}
COLOURED
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 1.08rem; line-height: 1.3; margin: 0 0 10px; }
.lead { font-size: 1.1rem; margin: 0 0 16px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: fit-content(34%) 1fr; gap: 2px 16px; margin: 0 0 24px; font-size: .9rem; }
dt { color: var(--dim); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; }
.figures { columns: 2 460px; column-gap: 16px; }
figure { margin: 0 0 16px; padding: 16px; background: var(--card); border-radius: 10px; break-inside: avoid; }
figcaption, .notes { font-size: .9rem; color: var(--dim); margin-top: 8px; }
.plot { display: block; width: 100%; height: auto; }
.plot text { fill: var(--ink); font-size: 12.5px; font-family: system-ui, sans-serif; }
CLASSES
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 8px 0 0; padding: 0; }
.legend li { display: flex; align-items: center; gap: 8px; font-size: .85rem; }
.swatch { flex: none; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); gap: 12px; }
.gallery { margin: 0; padding: 0; }
.gallery li { list-style: none; font-size: .8rem; color: var(--dim); white-space: pre-line; line-height: 1.35; }
.gallery img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.gallery img { border-radius: 4px; margin-bottom: 4px; }
details { margin-top: 8px; font-size: .85rem; } summary { cursor: pointer; color: var(--dim); }
.scroll { overflow-x: auto; max-height: 26rem; }
@media (max-width: 520px) {
  main { padding: 14px 10px 32px; } figure { padding: 12px 10px; } .plot .label, .plot .tick { font-size: 13.5px; }
}
table { border-collapse: collapse; margin-top: 6px; }
th, td { padding: 2px 10px 2px 0; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { color: var(--dim); font-weight: 500; } .word { text-align: left; }
"""
LINES = "\n"
# In another page: what holds everything, which lines of the style sheet are a whole page's, where a rule begins.
OWN = ".streameval"
OF_PAGES = "body {"
SELECTOR = re.compile(r"@[^{]*\{|[^{}@]+\{")
GROUND = (
    "background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; border-radius: 8px;"
)
# How JupyterLab, VS Code and Colab say which theme is on.
DARK_THEMES = ('[data-jp-theme-light="false"]', ".vscode-dark", 'html[theme="dark"]')
LIGHT_THEMES = ('[data-jp-theme-light="true"]', ".vscode-light", 'html[theme="light"]')
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write(page: Page, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`, whole or not at all. Raises StorageError, LockedError."""
    # A file name need not be UTF-8: what is not is shown as an escape.
    with lock(path), atomic_file(path) as file:
        file.write(render(page).encode(errors="backslashreplace"))


def render(page: Page) -> str:
    """Return the page as one HTML document that refers to nothing outside of itself."""
    title = in_html(page.title)
    facts = "".join(f"<dt>{in_html(name)}</dt><dd>{in_html(value)}</dd>" for name, value in page.facts)
    notes = "".join(f'<p class="notes">{in_html(note)}</p>' for note in page.notes)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>{_style()}</style>\n</head>\n<body>\n<main>\n'
        f'<h1>{title}</h1>\n<p class="lead">{in_html(page.lead)}</p>\n<dl>{facts}</dl>\n'
        f'<div class="figures">\n{"".join(map(_figure, page.figures))}</div>\n{notes}</main>\n</body>\n</html>\n'
    )


def fragment(page: Page) -> str:
    """Return the page as an element with a style sheet of its own, for a notebook or another page.

    It is light or dark as the notebook is, where that says so in a known way, else as the reader's system.
    """
    facts = "".join(f"<dt>{in_html(name)}</dt><dd>{in_html(value)}</dd>" for name, value in page.facts)
    notes = "".join(f'<p class="notes">{in_html(note)}</p>' for note in page.notes)
    figures = "".join(map(_figure, page.figures)).replace("<figure id=", "<figure data-name=")
    return (
        f'<div class="streameval"><style>{_own_style()}</style>\n<h1>{in_html(page.title)}</h1>\n'
        f'<p class="lead">{in_html(page.lead)}</p>\n<dl>{facts}</dl>\n'
        f'<div class="figures">\n{figures}</div>\n{notes}</div>'
    )


def _own_style() -> str:
    """The style sheet for what lies in `.streameval` alone."""
    sheet = "\n".join(line for line in _style().splitlines() if not line.startswith(OF_PAGES))
    light, dark = _variables()

    def scoped(match: re.Match[str]) -> str:
        if match[0].startswith("@"):
            return match[0]
        names = (one.strip() for one in match[0][:-1].split(","))
        return ", ".join(OWN if one in (":root", "main") else f"{OWN} {one}" for one in names) + " {"

    themes = [
        f"{', '.join(f'{one} {OWN}' for one in ways)} {{ color-scheme: {name}; {colours} }}"
        for name, ways, colours in (("dark", DARK_THEMES, dark), ("light", LIGHT_THEMES, light))
    ]
    return "\n".join(
        [
            SELECTOR.sub(scoped, sheet),
            f"{OWN} {{ {GROUND} }}",
            f"{OWN} figure {{ max-width: 600px; }}",
            *themes,
        ]
    )


def _variables() -> tuple[str, str]:
    """The colours by name, light and dark."""
    light = " ".join(f"--{name}: {value};" for name, value in (svg.PAPER | COLOURS).items())
    dark = " ".join(f"--{name}: {value};" for name, value in (DARK_PAPER | DARK).items())
    return light, dark


def _style() -> str:
    light, dark = _variables()
    coloured = "\n".join(f".c-{name} {{ --c: var(--{name}); }}" for name in COLOURS)
    classes = "\n".join(
        f".plot .{name}, .swatch .{name} {{ {_rule(style)} }}" for name, style in svg.STYLES.items()
    )
    sheet = STYLE.replace("COLOURED", coloured).replace("CLASSES", classes)
    return sheet.replace("LIGHT", light).replace("DARK", dark)


def _rule(style: dict[str, str]) -> str:
    """Colours by name become the page's own, which differ between light and dark."""
    named = {"c", *COLOURS, *svg.PAPER}
    return " ".join(
        f"{key}: {f'var(--{value})' if value in named else value};" for key, value in style.items()
    )


def _figure(figure: Figure) -> str:
    drawing = figure.drawing
    if isinstance(drawing, Gallery):
        body = f'<ul class="gallery">{"".join(map(_image, drawing.images))}</ul>'
    else:
        body = svg.draw(figure)
    key = ""
    if isinstance(drawing, Plot):
        entries = "".join(
            f"<li>{svg.swatch(mark)}{in_html(mark.name)}</li>" for mark in legend(drawing.marks)
        )
        key = f'<ul class="legend">{entries}</ul>' if entries else ""
    return (
        f'<figure id="{figure.name}"><h2>{in_html(figure.title)}</h2>{body}{key}'
        f"<figcaption>{in_html(figure.caption)}</figcaption>{_table(figure.table)}</figure>\n"
    )


def _image(image: Image) -> str:
    data = base64.b64encode(image.png).decode()
    return (
        f'<li><img src="data:image/png;base64,{data}" alt="{in_html(image.alternative)}">'
        f"{in_html(image.caption, keep=LINES)}</li>"
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""

    def cells(row: tuple[str, ...], kind: str) -> str:
        return "".join(
            f"<{kind}{' class=word' if k < table.left else ''}>{in_html(text)}</{kind}>"
            for k, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    return (
        f'<details><summary>The numbers</summary><div class="scroll"><table><thead><tr>{cells(table.head, "th")}</tr>'
        f"</thead><tbody>{body}</tbody></table></div></details>"
    )
