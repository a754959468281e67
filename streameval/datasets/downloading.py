"""Get a file whose content is known by its hash, from the first place that has it.

Knows folders, gzip and SHA-256. Does not know which files a data set is made of, nor HTTP (`requesting`). What arrives
is bounded, checked while it is written, and becomes visible only when its hash is right.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import urllib.error
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from streameval.datasets import requesting
from streameval.datasets.requesting import BLOCK
from streameval.errors import StorageError
from streameval.files import atomic_file
from streameval.frozen import frozen

SLACK = 1 << 16  # bytes by which gzip may exceed the content, headers included

GZIP = b"\x1f\x8b"


@frozen
class Wanted:
    """A file: its name without .gz, the size in bytes and SHA-256 (hex) of its content, unpacked."""

    name: str
    size: int
    sha256: str


class _RefusalError(Exception):
    """One place cannot give the file; the text says why."""


def obtain(
    wanted: Wanted,
    origins: Sequence[str | Path],
    target: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the unpacked content of `wanted` to `target`, from the first place that has it, whole or not.

    places    URLs (http, https) and paths of files, raw or gzip, tried in order
    progress  called with the number of bytes written so far, from the start again at each place

    Raises:
        StorageError: no place has it, what each said; or `target` cannot be written.
    """
    said = []
    for origin in origins:
        try:
            with atomic_file(target) as file:
                _copy(_blocks(origin, wanted), wanted, file, progress)
            return
        except _RefusalError as error:
            said.append(f"{origin}: {_one_line(str(error))}")
    raise StorageError(
        f"{wanted.name} could not be had. {'; '.join(said)}. "
        "Check the network, or give a folder or another mirror: --from DIR_OR_URL."
    )


def _one_line(text: str) -> str:
    """Return what may come from a server as one short line that no terminal obeys."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.split())[:200]


def holds(path: Path, wanted: Wanted) -> bool:
    """Say whether the file at `path`, raw or gzip, has exactly the wanted content."""
    if not path.is_file():
        return False
    try:
        _copy(_blocks(path, wanted), wanted, None, None)
    except _RefusalError:
        return False
    return True


def _copy(
    blocks: Iterable[bytes], wanted: Wanted, file: IO[bytes] | None, progress: Callable[[int], None] | None
) -> None:
    """Write the unpacked blocks to `file`, if there is one, and check size and hash at the end."""
    digest, done = hashlib.sha256(), 0
    for block in _unpacked(blocks, wanted.size):
        digest.update(block)
        done += len(block)
        if file is not None:
            file.write(block)
        if progress is not None:
            progress(done)
    if done != wanted.size:
        raise _RefusalError(f"{done} bytes, expected {wanted.size}")
    if digest.hexdigest() != wanted.sha256:
        raise _RefusalError(f"SHA-256 {digest.hexdigest()[:16]}…, expected {wanted.sha256[:16]}…")


def _unpacked(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the content, unpacked if it begins like gzip, and stop at more than `size` bytes."""
    source, head, done = iter(blocks), b"", 0
    while len(head) < 2 and (block := next(source, b"")):
        head += block
    parts: Iterable[bytes] = itertools.chain([head], source)
    for part in _gunzip(parts) if head.startswith(GZIP) else parts:
        done += len(part)
        if done > size:
            raise _RefusalError(f"more than the expected {size} bytes")
        yield part


def _gunzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack one gzip stream, at most `BLOCK` bytes at a time however well it was packed."""
    machine = zlib.decompressobj(wbits=31)
    try:
        for block in blocks:
            # zlib would keep all of it, and copy it each time.
            if machine.eof:
                raise _RefusalError("more bytes were sent than the gzip stream has")
            part = machine.decompress(block, BLOCK)
            while part:
                yield part
                part = machine.decompress(machine.unconsumed_tail, BLOCK)
    except zlib.error as error:
        raise _RefusalError(f"damaged gzip ({error})") from None
    if not machine.eof:
        raise _RefusalError("the gzip stream ends early")
    if machine.unused_data:
        raise _RefusalError("more bytes were sent than the gzip stream has")


def _blocks(origin: str | Path, wanted: Wanted) -> Iterator[bytes]:
    """Yield a place's bytes; what goes wrong while reading is `_RefusalError`, never an error of writing."""
    try:
        if isinstance(origin, Path):
            with origin.open("rb") as file:
                yield from iter(lambda: file.read(BLOCK), b"")
        else:
            yield from requesting.blocks(origin, wanted.size + SLACK)
    except urllib.error.HTTPError as error:
        error.close()
        raise _RefusalError(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _RefusalError(str(error.reason)) from None
    except http.client.IncompleteRead as error:
        raise _RefusalError(f"the connection was cut ({error})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _RefusalError(str(error) or type(error).__name__) from None
