"""The documentation site: sphinx-build -W -n docs OUT; `.ci/docs` builds it in both languages."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import streameval as se  # noqa: E402

project = "streameval"
copyright = "streameval developers, MIT licence"
author = "streameval developers"
try:
    release = version = se.__version__
except PackageNotFoundError:  # a clone that is not installed
    release = version = ""

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "measured",
    "shown_report",
    "reference",
    "japanese",
    "elsewhere",
    "plain_docstrings",
    "mathml",
]
exclude_patterns = ["_ext", "_build", "locale"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "amsmath", "attrs_block"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]

language = "en"
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
gettext_location = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
# Annotations name types of NumPy, the standard library and the package's own rooms, which have no page here.
nitpick_ignore_regex = [("py:(class|data|obj)", ".*")]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "streameval"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "language.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
# One typeface family that every system has, Japanese included; nothing is fetched from elsewhere.
_FONTS = (
    "system-ui, -apple-system, 'Segoe UI', 'Hiragino Sans', 'Noto Sans CJK JP', 'Yu Gothic UI', sans-serif"
)
html_theme_options = {
    "light_css_variables": {
        "font-stack": _FONTS,
        "color-brand-primary": "#0072B2",
        "color-brand-content": "#0067A1",
    },
    "dark_css_variables": {
        "font-stack": _FONTS,
        "color-brand-primary": "#56B4E9",
        "color-brand-content": "#6cc0ef",
    },
}
