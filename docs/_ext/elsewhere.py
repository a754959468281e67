"""Pages of the repository that lie outside docs/: links to them lead to pages of the site that include them.

Pages of docs/ that the index does not list yet are listed where it says (others).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
PAGES = {
    "../CONTRIBUTING.md": "contributing.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../README.md": "index.md",
    "../data/README.md": "datasets.md",
    "../CHANGELOG.md": "changelog.md",
    "../SECURITY.md": "security.md",
}


def unlisted(index: str) -> list[str]:
    """Pages of docs/ that no line of the index names: they follow those that it lists in detail."""
    named = set(re.findall(r"^[\w/]+$", index, re.MULTILINE))
    return sorted(path.stem for path in DOCS.glob("*.md") if path.stem not in named | {"index"})


def _lead(_app: Any, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] = source[0].replace(
            "\n(others)\n", "\n" + "".join(f"{one}\n" for one in unlisted(source[0]))
        )
    for path, included in PAGES.items():
        source[0] = source[0].replace(f"]({path})", f"]({included})")


def setup(app: Any) -> dict[str, Any]:
    """Rewrite links as a page is read."""
    app.connect("source-read", _lead)
    return {"parallel_read_safe": True}
