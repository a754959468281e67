"""Directive `public-names`: the docstring of every name in `streameval.__all__`, by kind."""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import streameval as se


def names(kind: str) -> list[str]:
    """Public names that are classes, functions or modules."""
    wanted = {"classes": inspect.isclass, "functions": inspect.isroutine, "modules": inspect.ismodule}[kind]
    return [name for name in se.__all__ if wanted(getattr(se, name))]


class PublicNames(SphinxDirective):
    """Its argument is `functions`, `classes` or `modules`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines = []
        for name in names(self.arguments[0]):
            if self.arguments[0] == "functions":
                lines += [f".. autofunction:: streameval.{name}", ""]
            elif self.arguments[0] == "modules":
                lines += [f".. automodule:: streameval.{name}", "   :members:", "   :imported-members:", ""]
            elif getattr(se, name).__name__ != name:
                same = getattr(se, name).__name__
                lines += [f".. py:class:: streameval.{name}", "", f"   :py:class:`streameval.{same}`", ""]
            else:
                lines += [f".. autoclass:: streameval.{name}", "   :members:", ""]
        return self.parse_text_to_nodes("```{eval-rst}\n" + "\n".join(lines) + "\n```")


def setup(app: Any) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True}
