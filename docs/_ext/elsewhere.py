"""Pages of the repository that lie outside docs/: links to them lead to pages of the site that include them."""

from __future__ import annotations

from typing import Any

PAGES = {
    "../CONTRIBUTING.md": "contributing.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../README.md": "index.md",
    "../data/README.md": "datasets.md",
    "../CHANGELOG.md": "changelog.md",
    "../SECURITY.md": "security.md",
}


def _lead(_app: Any, _page: str, source: list[str]) -> None:
    for path, page in PAGES.items():
        source[0] = source[0].replace(f"]({path})", f"]({page})")


def setup(app: Any) -> dict[str, Any]:
    """Rewrite links as a page is read."""
    app.connect("source-read", _lead)
    return {"parallel_read_safe": True}
