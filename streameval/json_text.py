"""JSON from files: parsed within a budget, into an error that says what is wrong.

Knows what Python makes of JSON, and what that takes. Does not know what any of it means.
"""

from __future__ import annotations

import json
from typing import Any

from streameval.budget import STEP, Budget

# A list of empty lists takes some 25 times its text in memory; what is written on purpose, less than five times.
TIMES = 16
_TOKENS = (b"[", b"{", b",", b":")


class MalformedJsonError(ValueError):
    """The bytes are no JSON, or such that would take much more memory than they have; the caller adds which file."""


def parse(text: bytes | str) -> Any:
    """Return what the JSON text holds. A name that is given twice in one object is an error.

    Raises MalformedJsonError.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    budget = Budget(len(raw), times=TIMES, error=MalformedJsonError)
    budget.spend(STEP * sum(raw.count(token) for token in _TOKENS), "JSON of very many very small values")
    try:
        return json.loads(raw, object_pairs_hook=once)
    except MalformedJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedJsonError(f"no usable JSON ({str(error)[:120]})") from None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members, as `object_pairs_hook`. Raises MalformedJsonError for a name that comes twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedJsonError(f"the name {twice[:40]!r} is there twice in an object")
    return made
