"""Objects in a store (s3://bucket/key), read by ranges: several in flight, bounded retries, noticed when they change.

Knows URIs and obstore. Does not know what is in an object. Has the face of `storage.mapping.File`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, StorageError, UsageError
from streameval.frozen import frozen

SCHEMES: Final = ("s3://",)
# What the query of a URI may say: s3://bucket/key?endpoint_override=127.0.0.1:9000&scheme=http
SETTINGS: Final = ("region", "endpoint_override", "scheme", "anonymous")
IN_FLIGHT = 8
PART_BYTES = 2 << 20
# A request is tried so often, after longer and longer pauses: this one first, each at most so many times the last.
TRIES, PAUSE, LONGER = 4, 0.5, 3
# A store that is silent is given up within 20 seconds: it has so long to be connected to and to say anything, and is
# not asked again after AGAIN. The last bounds answers that keep coming.
SECONDS: Final = {"connect_timeout": 5, "read_timeout": 6, "timeout": 300}
AGAIN = 8
# Bytes that an answer brings, at the least, in each of so many seconds: with eight in flight, 6.6 kbit/s in all.
SLOWEST_BYTES, WINDOW = 1024, 10
SMALL, ALL_SMALL = 64 << 10, 64 << 20

_log = logging.getLogger("streameval")
# obstore's threads do not come along into a fork, and whoever waits for them there waits forever.
_processes: set[int] = set()


def is_remote(path: object) -> bool:
    """Whether a path names an object of a store: "s3://..."."""
    return isinstance(path, str) and path.startswith(SCHEMES)


@frozen
class Location:
    """Where an object lies: its URI without settings, its bucket, its key, and the settings."""

    name: str
    bucket: str
    key: str
    settings: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, uri: str) -> Location:
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
        return cls(f"s3://{parts.netloc}{parts.path}", parts.netloc, parts.path.lstrip("/"), settings)

    def connect(self) -> Any:
        """The store. Raises StorageError if obstore is not installed, or cannot be used in this process."""
        try:
            from obstore.store import S3Store
        except ImportError:
            raise StorageError(
                f"{self.name}: object stores are read with obstore, which is not installed. Type: "
                "pip install 'streameval[s3]'"
            ) from None
        _check_process(self.name)
        given = dict(self.settings)
        config: dict[str, Any] = {"region": given["region"]} if "region" in given else {}
        scheme = given.get("scheme", "https")
        if "endpoint_override" in given:
            config["endpoint"] = f"{scheme}://{given['endpoint_override']}"
        if given.get("anonymous", "").lower() in ("1", "true", "yes"):
            config["skip_signature"] = True
        else:
            config["credential_provider"] = _credentials()
        client = {"allow_http": scheme == "http"} | {
            name: timedelta(seconds=seconds) for name, seconds in SECONDS.items()
        }
        pauses = {"init_backoff": timedelta(seconds=PAUSE), "base": LONGER}
        # Tried again are answers of 5xx, lost connections, bodies that break off, and silence.
        retries = {"max_retries": TRIES - 1, "backoff": pauses, "retry_timeout": timedelta(seconds=AGAIN)}
        return S3Store(self.bucket, client_options=client, retry_config=retries, **config)


def _credentials() -> Any:
    """Who finds profiles, single sign-on and roles: boto3; None for obstore itself, which knows the environment."""
    if "AWS_ACCESS_KEY_ID" in os.environ or importlib.util.find_spec("boto3") is None:
        return None
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    return None if session.get_credentials() is None else Boto3CredentialProvider(session)


def _check_process(name: str) -> None:
    """Raise StorageError in a fork of a process that used a store."""
    if _processes and os.getpid() not in _processes:
        raise StorageError(
            f"{name}: object stores were used before this process was forked off, and cannot be used in both. Start "
            "processes afresh: multiprocessing.set_start_method('spawn')."
        )
    _processes.add(os.getpid())


class Object:
    """An object opened for reading, with what identified it at that moment: size, ETag, time of change."""

    def __init__(self, uri: str) -> None:
        self._location = Location.of(uri)
        self.path = self._location.name
        self._store = self._location.connect()
        self._pool: ThreadPoolExecutor | None = None
        self._creating = threading.Lock()
        self._expected: dict[tuple[int, int], bytes] = {}
        # What was said of a store that was silent, and until when it is asked nothing more: what waits fails as well.
        self._silent = "", 0.0
        begun = time.monotonic()
        try:
            self._identity = self._look()
        except FileNotFoundError as error:
            raise StorageError(f"{self.path}: no such object. Check bucket, key and region.") from error
        except Exception as error:
            raise self._failed(error, "be opened", time.monotonic() - begun) from error
        self.size: int = self._identity[0]

    def read(self, at: int, size: int) -> bytes:
        """Return exactly the `size` bytes at position `at`. Raises StorageError, and DataError when it changed."""
        fetched = self._expected.pop((at, size), None)
        return self._fetch(at, size) if fetched is None else fetched

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
            for number, position in enumerate(at.tolist())
            for future in self.begin(raw[number * size : (number + 1) * size], position)
        ]
        for future in futures:
            future.result()

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch small ranges (position, size) together, for `read` to find."""
        wanted = [(at, size) for at, size in ranges if size <= SMALL][: ALL_SMALL // SMALL]
        fetched = self._workers().map(lambda one: self._fetch(*one), wanted)
        self._expected.update(zip(wanted, fetched, strict=True))

    def prefetch(self, at: int, size: int) -> None:
        """Nothing to do: see `begin`."""

    def check_size(self) -> None:
        """Nothing to do: the store would have to be asked before every chunk. Each answer says what it is of."""

    def check_unchanged(self) -> None:
        """Raise DataError when the object is not the one that was opened, by size, ETag and time of change."""
        begun = time.monotonic()
        try:
            identity = self._look()
        except FileNotFoundError as error:
            raise self._changed("it is not there any more, expected it") from error
        except StorageError:
            raise
        except Exception as error:
            raise self._failed(error, "be looked at", time.monotonic() - begun) from error
        self._check(identity)

    @property
    def stamp(self) -> tuple[int, str, str]:
        """What tells the object from others at its place: size, ETag, time of change."""
        return self._identity

    def close(self) -> None:
        """Give back threads and connections; a second call does nothing."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _look(self) -> tuple[int, str, str]:
        import obstore

        _check_process(self.path)
        return _identity(obstore.head(self._store, self._location.key))

    def _fetch(self, at: int, size: int) -> bytes:
        data = bytearray(size)
        self._fill(memoryview(data), at)
        return bytes(data)

    def _fill(self, out: memoryview, at: int) -> None:
        """Fill `out`; an answer that is too short, whatever its header says, is a failed try."""
        _check_process(self.path)
        if not len(out):
            return
        begun = time.monotonic()
        for number in range(TRIES):
            time.sleep(PAUSE * LONGER ** (number - 1) if number else 0.0)
            said, until = self._silent
            if time.monotonic() < until:
                raise StorageError(said)
            try:
                got = self._get(out, at)
            except Exception as error:
                self._explain(error, f"be read at {at}", time.monotonic() - begun)
            if got == len(out):
                return
            _log.warning("%s: %d of %d bytes at %d came", self.path, got, len(out), at)
            if time.monotonic() > begun + AGAIN:
                break
        raise self._failed(OSError(f"fewer than the {len(out)} bytes at {at} came"), f"be read at {at}")

    def _get(self, out: memoryview, at: int) -> int:
        """Fill `out` from one answer, which is of the object that was opened; return how many bytes came.

        Raises TimeoutError for an answer that comes in so slowly that it would have no end.
        """
        import obstore

        options: dict[str, Any] = {"range": (at, at + len(out))}
        if self._identity[1]:
            options["if_match"] = self._identity[1]
        answer = obstore.get(self._store, self._location.key, options=options)
        self._check(_identity(answer.meta))
        got = counted = 0
        end = time.monotonic() + WINDOW
        for piece in answer.stream(min_chunk_size=1):
            size = len(piece)
            if got + size > len(out):
                raise OSError(f"more than the {len(out)} bytes at {at} came")
            out[got : got + size] = memoryview(piece)
            got += size
            if time.monotonic() > end and got < len(out):
                if got - counted < SLOWEST_BYTES * WINDOW:
                    raise TimeoutError(f"{got - counted} bytes came in {WINDOW} s")
                counted, end = got, time.monotonic() + WINDOW
        return got

    def _explain(self, error: Exception, what: str, after: float) -> NoReturn:
        """Raise DataError if the object changed, else StorageError; one that took long is not asked about."""
        if isinstance(error, DataError | StorageError):
            raise error
        if after < AGAIN:
            with contextlib.suppress(StorageError):
                self.check_unchanged()
        failed = self._failed(error, what, after)
        if after >= AGAIN:
            self._silent = str(failed), time.monotonic() + 1
        raise failed from error

    def _check(self, identity: tuple[int, str, str]) -> None:
        if identity != self._identity:
            raise self._changed(f"found (size, ETag, time of change) {identity}, expected {self._identity}")

    def _changed(self, how: str) -> DataError:
        return DataError(
            f"{self.path}: the object changed while it was read: {how}, as when it was opened. Let no one write to it, "
            "and run again."
        )

    def _failed(self, error: Exception, what: str, after: float = 0) -> StorageError:
        refused = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError")
        often = "" if refused else f", {TRIES} times" if after < AGAIN else f" within {after:.0f} s"
        return StorageError(
            f"{self.path}: could not {what}{often}: {_first_line(error)}. Check the network, the credentials "
            "and the store, and run again; with --checkpoint nothing that was done is lost."
        )

    def _workers(self) -> ThreadPoolExecutor:
        _check_process(self.path)
        with self._creating:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="streameval-objects")
            return self._pool


def list_objects(uri: str) -> list[str]:
    """Return the URIs of the objects in a folder ("s3://bucket/folder/"), in no order. Raises StorageError."""
    location = Location.of(uri)
    store, query = location.connect(), urlsplit(uri).query
    import obstore

    try:
        listed = obstore.list_with_delimiter(store, location.key.rstrip("/"))["objects"]
    except Exception as error:
        raise StorageError(f"{location.name}: could not be listed: {_first_line(error)}.") from error
    return [f"s3://{location.bucket}/{one['path']}{'?' * bool(query)}{query}" for one in listed]


def read_object(uri: str, most: int = 4 << 30) -> bytes:
    """Return a whole object. Raises StorageError, also for one of more than `most` bytes."""
    opened = Object(uri)
    try:
        if opened.size > most:
            raise StorageError(f"{opened.path}: {opened.size} bytes, expected at most {most}.")
        data = bytearray(opened.size)
        opened.read_into(memoryview(data), 0)
        opened.check_unchanged()
        return bytes(data)
    finally:
        opened.close()


def _identity(meta: Any) -> tuple[int, str, str]:
    return meta["size"], meta["e_tag"] or "", str(meta["last_modified"])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".: ")
