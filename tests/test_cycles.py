"""No module of the package takes part in an import cycle, imports inside functions included."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import ROOT
from test_imports import imports

PACKAGE = ROOT / "streameval"

# Circles that are there on purpose: (the modules in it, the reason).
EXCEPTIONS: dict[frozenset[str], str] = {}


def graph(package: Path) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports; `from package import module` imports the module alone."""
    files = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    arrows: dict[str, set[str]] = {}
    for module, path in files.items():
        targets = {name for name, _ in imports(path)} & set(files)
        arrows[module] = {name for name in targets if not any(one.startswith(f"{name}.") for one in targets)}
    return arrows


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """Sets of modules that can all be reached from each other (and those that import themselves)."""
    reach = {module: set(targets) for module, targets in arrows.items()}
    for middle in arrows:
        for targets in reach.values():
            if middle in targets:
                targets |= reach[middle]
    return {
        frozenset(other for other in reach[module] if module in reach[other])
        for module in arrows
        if module in reach[module]
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    seen = circles(graph(PACKAGE))
    assert seen == set(EXCEPTIONS), [sorted(circle) for circle in seen ^ set(EXCEPTIONS)]


@pytest.mark.parametrize(
    ("last", "seen"),
    [
        (
            "def f():\n    from streameval import one\n",
            {frozenset({"streameval.one", "streameval.two", "streameval.three"})},
        ),
        ("import streameval.three\n", {frozenset({"streameval.three"})}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from streameval.one import a\n", set()),
        ("import os\n", set()),
    ],
    ids=["in-a-function", "itself", "for-readers", "none"],
)
def test_circles_are_seen_by_the_test_itself(tmp_path: Path, last: str, seen: set[frozenset[str]]) -> None:
    house = tmp_path / "streameval"
    house.mkdir()
    (house / "__init__.py").write_text("from streameval import one\n")
    (house / "one.py").write_text("from streameval.two import b\n")
    (house / "two.py").write_text("def f():\n    import streameval.three\n")
    (house / "three.py").write_text(last)
    assert circles(graph(house)) == seen
