"""Whether what a file says of hashing, as rows were read, can have been: see `storage.checked.Hashed`.

Knows the fields. Does not know the hashes that are recorded beside the data.
"""

from __future__ import annotations

from typing import Any, Final

from streameval.evaluation.fields import flag, integer, only, sha256, shown, text

FIELDS: Final = ("rows", "blocks", "recorded", "content")


def check_hashed(said: Any, rows: int, fingerprint: str, *beside: str) -> None:
    """Raise ValueError, KeyError or TypeError for hashing of `rows` rows with this fingerprint that cannot have been.

    beside  names of further fields
    """
    only(said, (*FIELDS, *beside))
    hashed = integer(said, "rows", least=0, most=rows)
    integer(said, "blocks", least=min(1, hashed), most=max(1, hashed))
    content = text(said, "content", none=hashed < rows)
    if hashed < rows and content is not None:
        raise ValueError(f"the content of all rows is {shown(content)}, but {hashed} of {rows} were hashed")
    if flag(said, "recorded") and hashed == rows and content != fingerprint:
        raise ValueError(
            f"the content of all rows is {shown(content)}, but the fingerprint is {shown(fingerprint)}"
        )


def check_shard(said: Any, rows: int, fingerprint: str) -> None:
    """The same of a shard, which names the blocks, and has the hashes of those that nothing is recorded of."""
    check_hashed(said, rows, fingerprint, "numbers", "hashes")
    numbers = [integer(said["numbers"], k, least=0, most=rows) for k in range(len(said["numbers"]))]
    if sorted(set(numbers)) != numbers or len(numbers) != said["blocks"] or len(numbers) > said["rows"]:
        raise ValueError(f"numbers of {said['blocks']} blocks of {said['rows']} rows are {shown(numbers)}")
    unrecorded = []
    for block, *hashes in said["hashes"]:
        unrecorded.append(integer([block], 0, least=0))
        if len(hashes) != 2 or not (sha256(hashes, 0) and sha256(hashes, 1)):
            raise ValueError(f"hashes of block {block}")
    if sorted(set(unrecorded)) != unrecorded or not set(unrecorded) <= set(numbers):
        raise ValueError(f"hashes of blocks {shown(unrecorded)} of {shown(numbers)}")
    if said["recorded"] != (bool(numbers) and not unrecorded):
        raise ValueError(
            f"recorded is {said['recorded']}, of {len(numbers)} blocks with hashes of {len(unrecorded)}"
        )
