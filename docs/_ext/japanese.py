"""Search in Japanese: pages and queries are cut into pairs of characters, so that any part of a word is found.

Sphinx's own search for Japanese cuts pages into words, by a model that the browser does not have: a query that is not
exactly one of them, such as 交差エントロピー誤差, finds nothing. Pairs are the same wherever a query begins or ends.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.search import SearchLanguage

# Han, Hiragana, Katakana with the sign for long vowels, and their forms of half width.
LETTERS = "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f"
RUNS = re.compile(rf"[{LETTERS}]+|[^\W{LETTERS}]+")


def terms(text: str) -> list[str]:
    """Words of other scripts whole; Japanese ones as pairs of neighbours, and a single character as itself."""
    found: list[str] = []
    for run in RUNS.findall(text):
        if re.match(f"[{LETTERS}]", run) and len(run) > 1:
            found += [run[at : at + 2] for at in range(len(run) - 1)]
        else:
            found.append(run)
    return found


class PairsOfCharacters(SearchLanguage):
    """The same cut in Python, for the index, and in JavaScript, for queries."""

    lang = "ja"
    language_name = "Japanese"
    js_splitter_code = (
        r"""
var splitQuery = (query) => {
  const terms = [];
  for (const run of query.match(/[LETTERS]+|[^\s\p{P}\p{S}LETTERS]+/gu) ?? []) {
    if (/[LETTERS]/u.test(run) && run.length > 1)
      for (let at = 0; at + 1 < run.length; at++) terms.push(run.slice(at, at + 2));
    else terms.push(run);
  }
  return terms;
};
"""
    ).replace("LETTERS", LETTERS)

    def split(self, input: str) -> list[str]:
        return terms(input)

    def word_filter(self, word: str) -> bool:
        return not word.isdigit()


def setup(app: Any) -> dict[str, Any]:
    """Take the place of Sphinx's class."""
    app.add_search_language(PairsOfCharacters)
    return {"parallel_read_safe": True}
