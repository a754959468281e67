"""Reading files from the front, raw or gzip, with work that is bounded by what comes out.

Knows gzip: members one after another (RFC 1952), zeros after the last one. Does not know what is in it.
zlib-ng decompresses in half of zlib's time.
"""

from __future__ import annotations

from typing import Any, Protocol

from streameval.errors import DataError
from streameval.storage.mapping import File

GZIP = b"\x1f\x8b"
READ_BYTES = 64 << 10
# Some tools fill up the last block of a tape, or of a disk.
MAX_PADDING = 1 << 20
# Members may be short, and the last one empty, but not for ever: on average they hold this many bytes.
MEMBER_BYTES, MEMBERS = 256, 64


class Stream(Protocol):
    """Bytes in order."""

    at: int

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end."""


def stream(file: File) -> Stream:
    """Return the content of a file, decompressed if it is a gzip file. Damage in it is a DataError when it is met."""
    return Gunzip(file) if is_gzip(file) else Plain(file)


def is_gzip(file: File) -> bool:
    """Say whether a file begins as gzip files do."""
    return file.read(0, min(2, file.size)) == GZIP


class Plain:
    """A file as it is."""

    def __init__(self, file: File) -> None:
        self.at = 0
        self._file = file

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes."""
        part = self._file.read(self.at, min(size, self._file.size - self.at))
        self.at += len(part)
        return part


class Gunzip:
    """What a gzip file holds."""

    def __init__(self, file: File) -> None:
        self.at = 0
        self._file = file
        self._taken = 0  # of the file
        self._waiting = b""  # taken, and not used
        self._members = 0
        self._member: Any = None
        # Three milliseconds, which nobody waits for who reads no gzip file.
        from zlib_ng import zlib_ng

        self._zlib: Any = zlib_ng

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, checked to the end of each member."""
        while size:
            if not self._waiting:
                self._waiting = self._take()
            if self._member is None and not self._begin():
                return b""
            part = self._decompressed(size)
            if part:
                self.at += len(part)
                return part
        return b""

    def _take(self) -> bytes:
        part = self._file.read(self._taken, min(READ_BYTES, self._file.size - self._taken))
        self._taken += len(part)
        return part

    def _begin(self) -> bool:
        """Begin the next member; False when there is none."""
        if len(self._waiting) == 1:
            self._waiting += self._take()
        if self._waiting[:2] != GZIP:
            self._check_padding()
            return False
        self._members += 1
        if self._members > MEMBERS + self.at // MEMBER_BYTES:
            raise self._damaged(f"{self._members} members hold {self.at} bytes in all")
        self._member = self._zlib.decompressobj(wbits=31)
        return True

    def _decompressed(self, size: int) -> bytes:
        member = self._member
        assert member is not None
        if not self._waiting:
            raise DataError(
                f"{self._file.path}: the gzip file ends early: {self._file.size} bytes were found, more were expected. "
                "Download or copy it again."
            )
        try:
            part: bytes = member.decompress(self._waiting, size)
        except self._zlib.error as error:
            raise self._damaged(str(error)) from None
        self._waiting = member.unused_data if member.eof else member.unconsumed_tail
        if member.eof:
            self._member = None
        return part

    def _check_padding(self) -> None:
        """Zeros may follow the last member, and nothing else."""
        if len(self._waiting) + self._file.size - self._taken > MAX_PADDING:
            raise self._damaged("something follows it")
        while self._waiting:
            if self._waiting.strip(b"\0"):
                raise self._damaged("something follows it")
            self._waiting = self._take()

    def _damaged(self, why: str) -> DataError:
        return DataError(
            f"{self._file.path}: the gzip file is damaged, or something follows it: {why}. Download or copy it again."
        )
