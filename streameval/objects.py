"""Objects in a store (s3://bucket/key), read by ranges: several in flight, bounded retries, noticed when they change.

Knows URIs and pyarrow's file systems. Does not know what is in an object. Has the face of `storage.mapping.File`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, StorageError, UsageError

SCHEMES: Final = ("s3://",)
# What the query of a URI may say: s3://bucket/key?endpoint_override=127.0.0.1:9000&scheme=http
SETTINGS: Final = ("region", "endpoint_override", "scheme", "anonymous")
IN_FLIGHT = 8
PART_BYTES = 2 << 20
# Each of our tries is up to three requests of the AWS client.
TRIES, CLIENT_TRIES = 4, 3
PAUSE = 0.1
CONNECT_SECONDS, REQUEST_SECONDS = 10, 30
# Random bytes at the end of a buffer that an answer must write over; ranges are longer than them.
MARK, SHORTEST = 16, 64
SMALL, ALL_SMALL = 64 << 10, 64 << 20

_log = logging.getLogger("streameval")


def is_remote(path: object) -> bool:
    """Whether a path names an object of a store: "s3://..."."""
    return isinstance(path, str) and path.startswith(SCHEMES)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lies: its URI without settings, "bucket/key", and the settings."""

    name: str
    key: str
    settings: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, uri: str) -> Place:
        """Read a URI. Raises UsageError for credentials in it, and for settings that are not known."""
        parts = urlsplit(uri)
        settings = tuple(parse_qsl(parts.query, keep_blank_values=True))
        unknown = [name for name, _ in settings if name not in SETTINGS]
        if "@" in parts.netloc:
            raise UsageError(
                f"s3://...@{parts.netloc.rpartition('@')[2]}{parts.path}: credentials in a path end up in reports. Set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile or role."
            )
        if not parts.netloc or unknown:
            raise UsageError(
                f"{uri}: {f'setting {unknown[0]!r}' if unknown else 'no bucket'}, expected s3://BUCKET/KEY, and after "
                f"a question mark {', '.join(SETTINGS)}."
            )
        return cls(f"s3://{parts.netloc}{parts.path}", f"{parts.netloc}{parts.path}", settings)

    def connect(self) -> Any:
        """The file system of the store. Raises StorageError if this pyarrow knows none."""
        try:
            from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem
        except ImportError as error:
            raise StorageError(
                f"{self.name}: this pyarrow reads no S3 ({error}). Type: pip install pyarrow"
            ) from None
        given = dict(self.settings)
        anonymous = given.pop("anonymous", "").lower() in ("1", "true", "yes")
        return S3FileSystem(
            anonymous=anonymous,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=CLIENT_TRIES),
            connect_timeout=CONNECT_SECONDS,
            request_timeout=REQUEST_SECONDS,
            **given,
        )


class Object:
    """An object opened for reading, with what identified it at that moment: size, ETag, time of change."""

    def __init__(self, uri: str, system: Any = None) -> None:
        self._place = Place.of(uri)
        self.path = self._place.name
        self._system = self._place.connect() if system is None else system
        self._pool: ThreadPoolExecutor | None = None
        self._held: dict[tuple[int, int], bytes] = {}
        self._own = threading.local()
        self._identity = _identity(self._tried(self._open, "be opened"))
        self.size = self._identity[0]

    def read(self, at: int, size: int) -> bytes:
        """Return exactly the `size` bytes at position `at`. Raises StorageError, and DataError when it changed."""
        held = self._held.pop((at, size), None)
        return self._fetch(at, size) if held is None else held

    def read_into(self, out: memoryview, at: int) -> None:
        """Fill `out` with the bytes from position `at` on, in parts, several in flight."""
        for future in self.begin(out, at):
            future.result()

    def begin(self, out: memoryview, at: int) -> list[Future[None]]:
        """Begin to fill `out` with the bytes from position `at` on; it is filled when all the futures are done."""
        return [
            self._workers().submit(self._fill, out[start : start + PART_BYTES], at + start)
            for start in range(0, len(out), PART_BYTES)
        ]

    def read_rows(self, out: NDArray[Any], at: NDArray[np.int64]) -> None:
        """Fill each row of `out` (n, numbers) with the bytes from position `at[i]` on, several in flight."""
        raw, size = out.reshape(-1).view(np.uint8).data, out.itemsize * out.shape[1]
        futures = [
            future
            for number, place in enumerate(at.tolist())
            for future in self.begin(raw[number * size : (number + 1) * size], place)
        ]
        for future in futures:
            future.result()

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch small ranges (position, size) together, for `read` to find."""
        wanted = [(at, size) for at, size in ranges if size <= SMALL][: ALL_SMALL // SMALL]
        for (at, size), data in zip(
            wanted, self._workers().map(lambda one: self._fetch(*one), wanted), strict=True
        ):
            self._held[at, size] = data

    def prefetch(self, at: int, size: int) -> None:
        """Nothing to do: see `begin`."""

    def check_size(self) -> None:
        """Nothing to do: the store would have to be asked before every chunk. `check_unchanged` asks it."""

    def check_unchanged(self) -> None:
        """Raise DataError when the object is not the one that was opened, by size, ETag and time of change."""
        found = _identity(self._tried(self._open, "be looked at"))
        if found != self._identity:
            raise self._changed(f"found (size, ETag, time of change) {found}, expected {self._identity}")

    def close(self) -> None:
        """Give back threads and connections; a second call does nothing."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _open(self) -> Any:
        return self._system.open_input_file(self._place.key)

    def _fetch(self, at: int, size: int) -> bytes:
        data = bytearray(size)
        self._fill(memoryview(data), at)
        return bytes(data)

    def _fill(self, out: memoryview, at: int) -> None:
        """Fill `out`; an answer that is too short counts as a failed try."""
        if len(out) < SHORTEST <= self.size:
            first = max(0, min(at, self.size - SHORTEST))
            out[:] = self._fetch(first, SHORTEST)[at - first :][: len(out)]
            return

        def call() -> None:
            # pyarrow reports as many bytes as were asked for, however few came: the end tells whether it was written.
            mark = os.urandom(min(MARK, len(out)))
            out[len(out) - len(mark) :] = mark
            file = self._handle()
            file.seek(at)
            got = file.readinto(out)
            if got < len(out) or out[len(out) - len(mark) :] == mark:
                raise OSError(f"fewer than the {len(out)} bytes at {at} came")

        if len(out):
            self._tried(call, f"be read at {at}")

    def _handle(self) -> Any:
        """This thread's own handle: each has a position."""
        handle = getattr(self._own, "handle", None)
        if handle is None:
            handle = self._own.handle = self._open()
        return handle

    def _tried(self, call: Callable[[], Any], what: str) -> Any:
        """Call until it does not raise OSError, at most TRIES times, with longer and longer pauses."""
        for number in range(1, TRIES + 1):
            try:
                return call()
            except FileNotFoundError as error:
                if hasattr(self, "_identity"):
                    self._explain(error, what)
                raise StorageError(f"{self.path}: no such object. Check bucket, key and region.") from error
            except OSError as error:
                _log.warning("%s could not %s, try %d of %d: %s", self.path, what, number, TRIES, error)
                if number == TRIES:
                    self._explain(error, what)
                time.sleep(PAUSE * 2**number)
        raise AssertionError

    def _explain(self, error: OSError, what: str) -> None:
        """Raise DataError if the object changed, else StorageError."""
        if hasattr(self, "_identity"):
            try:
                found = _identity(self._open())
            except FileNotFoundError:
                raise self._changed("it is not there any more, expected it") from error
            except OSError:
                found = self._identity
            if found != self._identity:
                raise self._changed(
                    f"found (size, ETag, time of change) {found}, expected {self._identity}"
                ) from error
        raise StorageError(
            f"{self.path}: could not {what}, {TRIES} times: {_first_line(error)}. Check the network, the credentials "
            "and the store, and run again; with --checkpoint nothing that was done is lost."
        ) from error

    def _changed(self, how: str) -> DataError:
        return DataError(
            f"{self.path}: the object changed while it was read: {how}, as when it was opened. Let no one write to it, "
            "and run again."
        )

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="streameval-objects")
        return self._pool


def list_objects(uri: str) -> list[str]:
    """Return the URIs of the objects in a folder ("s3://bucket/folder/"), in no order. Raises StorageError."""
    place = Place.of(uri)
    from pyarrow.fs import FileSelector, FileType

    query = urlsplit(uri).query
    try:
        listed = place.connect().get_file_info(FileSelector(place.key.rstrip("/")))
    except OSError as error:
        raise StorageError(f"{place.name}: could not be listed: {_first_line(error)}.") from error
    names = [one.path for one in listed if one.type == FileType.File]
    return [f"s3://{name}{'?' * bool(query)}{query}" for name in names]


def read_object(uri: str, most: int = 4 << 30) -> bytes:
    """Return a whole object. Raises StorageError, also for one of more than `most` bytes."""
    found = Object(uri)
    try:
        if found.size > most:
            raise StorageError(f"{found.path}: {found.size} bytes, expected at most {most}.")
        data = bytearray(found.size)
        found.read_into(memoryview(data), 0)
        found.check_unchanged()
        return bytes(data)
    finally:
        found.close()


def _identity(file: Any) -> tuple[int, str, str]:
    known = {str(name).lower(): value for name, value in _metadata(file).items()}
    return file.size(), str(known.get("etag", "")), str(known.get("last-modified", ""))


def _metadata(file: Any) -> dict[str, str]:
    raw = file.metadata() or {}
    return {_text(name): _text(value) for name, value in raw.items()}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _first_line(error: OSError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
