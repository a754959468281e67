"""The order of numbered names: part-2 before part-10."""

from __future__ import annotations

import re


def natural(name: object) -> list[tuple[int, str]]:
    """Return a key by which names are sorted so that numbers in them count as numbers."""
    # Texts and numbers take turns; there are digits, such as a raised 2, of which Python makes no number.
    parts = re.split(r"(\d+)", str(name))
    return [(int(part), "") if k % 2 else (-1, part) for k, part in enumerate(parts)]
