"""The order of numbered names: part-2 before part-10."""

from __future__ import annotations

import re


def natural(name: object) -> list[tuple[int, str]]:
    """Return a key by which names are sorted so that numbers in them count as numbers."""
    parts = re.split(r"(\d+)", str(name))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
