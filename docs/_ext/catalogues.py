"""Whether the catalogues in a folder say all that their pages say: catalogues.py FOLDER TEMPLATES.

A catalogue that is there translates every message of its page, none of it is marked as fuzzy, and it has no message
that the page no longer has. After a page was changed: `.ci/translate`, then fill in what is empty.
"""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po


def complaints(catalogue: Path, template: Path) -> list[str]:
    """What is missing in a catalogue, or left over."""
    if not template.exists():
        return [f"{catalogue}: there is no such page any more. Remove the file"]
    there, wanted = _read(catalogue), _read(template)
    found = []
    for message in wanted:
        if not message.id:
            continue
        one = there.get(message.id)
        if one is None or not one.string or one.fuzzy:
            found.append(f"{catalogue}: not translated: {message.id!r}")
    ids = {message.id for message in wanted}
    return found + [f"{catalogue}: the page no longer says {one.id!r}" for one in there if one.id not in ids]


def _read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def main(folder: Path, templates: Path) -> int:
    paths = sorted(folder.rglob("*.po"))
    found = [
        line
        for path in paths
        for line in complaints(path, templates / path.relative_to(folder).with_suffix(".pot"))
    ]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
