"""An HTTP answer within bounds: of time, from the name's look-up to the last byte, of size, and of schemes.

Knows urllib and sockets. Does not know what is asked for.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

BLOCK = 1 << 16
TIMEOUT = 10.0  # seconds without a byte
OPENING = 15.0  # seconds until the answer begins, redirects and all their headers included
DEADLINE = 900.0  # seconds for one file
LEAST_RATE = (
    4096  # bytes a second, on average once OPENING has passed: a server may also send one now and then
)
MOST_ADDRESSES = 4  # of one name that are tried


class SlowError(OSError):
    """An answer takes longer than it may."""


def blocks(url: str, limit: int) -> Iterator[bytes]:
    """Yield the content of an answer, as it comes, over http or https alone.

    Raises SlowError; ValueError for more than `limit` bytes; the errors of urllib and http.client.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "streameval", "Accept-Encoding": "identity"})
    done = 0
    with _Watch(OPENING, f"no answer within {OPENING:.0f} s") as watch:
        with watch.explained(), _opener(watch).open(request, timeout=TIMEOUT) as response:
            begun = time.monotonic()
            watch.allow(DEADLINE, f"not there after {DEADLINE:.0f} s")
            promised = response.headers.get("Content-Length", "")
            while block := response.read1(BLOCK):
                done += len(block)
                took = time.monotonic() - begun
                if done > limit:
                    raise ValueError(f"more than {limit} bytes were sent")
                if done < LEAST_RATE * (took - OPENING):
                    raise SlowError(f"not there after {took:.0f} s: {done / took:.0f} bytes a second came")
                yield block
        watch.check()
    if promised.isdigit() and done < int(promised):
        raise ValueError(f"the connection was cut after {done} of {promised} bytes")


class _Watch:
    """Ends the connections that were opened under it when their time is over, whatever is waited for at the moment."""

    def __init__(self, seconds: float, message: str) -> None:
        self._sockets: list[socket.socket] = []
        self._over = False
        self._begin(seconds, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        for one in self._sockets:
            one.close()

    def allow(self, seconds: float, message: str) -> None:
        """From now on, so many seconds; `message` is what is said when they are over. Raises SlowError."""
        self._timer.cancel()
        self.check()
        self._begin(seconds, message)

    def _begin(self, seconds: float, message: str) -> None:
        self._end, self._message = time.monotonic() + seconds, message
        self._timer = threading.Timer(seconds, self._stop)
        self._timer.daemon = True
        self._timer.start()

    def check(self) -> None:
        """Raise SlowError if the time is over."""
        if self._over or time.monotonic() > self._end:
            raise SlowError(self._message)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Tell of a connection that was ended by this what it was ended for."""
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError):
            self.check()
            raise

    def connect(self, address: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
        """As `socket.create_connection`, of whose addresses it tries few, within the time that is left."""
        host, port = address
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        failed: OSError = OSError(f"{host}: no address")
        for family, kind, protocol, _, place in found[:MOST_ADDRESSES]:
            self.check()
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(min(timeout, max(0.01, self._end - time.monotonic())))
                made.connect(place)
            except OSError as error:
                made.close()
                failed = error
                continue
            made.settimeout(timeout)
            # Another descriptor of the connection: TLS takes the first one over.
            self._sockets.append(made.dup())
            return made
        raise failed

    def _stop(self) -> None:
        self._over = True
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Connections:
    """Opens connections under a watch."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch

    def __call__(self, kind: Any, host: str, **more: Any) -> Any:
        made = kind(host, **more)
        made._create_connection = self._watch.connect
        return made


class _Http(urllib.request.HTTPHandler):
    def __init__(self, open_connection: _Connections) -> None:
        super().__init__()
        self._open = functools.partial(open_connection, http.client.HTTPConnection)

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._open, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, open_connection: _Connections) -> None:
        super().__init__()
        self._open = functools.partial(open_connection, http.client.HTTPSConnection)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._open, req)


def _opener(watch: _Watch) -> urllib.request.OpenerDirector:
    """Return an opener of http and https alone: no file:, no ftp:, no data:, whatever a redirect says."""
    opener, connections = urllib.request.OpenerDirector(), _Connections(watch)
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _Http(connections),
        _Https(connections),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SameScheme(),
    ):
        opener.add_handler(handler)
    return opener


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http or within https, and no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = (urllib.parse.urlsplit(url).scheme for url in (req.full_url, newurl))
        if old != new:
            fp.close()
            raise urllib.error.URLError(f"a redirect from {old} to another scheme, {newurl[:80]!r}: refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
