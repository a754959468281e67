"""Downloads that go wrong, from a real HTTP server on loopback: the next mirror, then a StorageError."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import small_mnist

from streameval.datasets import downloading, fetch, mnist, requesting
from streameval.errors import StorageError
from streameval.files import storage_errors

FILES = small_mnist.files()
ZIPPED = {f"{name}.gz": gzip.compress(content) for name, content in FILES.items()}
BOMB = gzip.compress(bytes(20_000_000), 9)
FIRST = "train-images-idx3-ubyte.gz"

Misbehave = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Serves the files below /good/, and misbehaves below /NAME/ as `FAULTS` says."""

    def do_GET(self) -> None:
        _, kind, name = self.path.split("/", 2)
        self.server.asked.append(f"{kind}/{name}")
        content = ZIPPED.get(name.rstrip("x"), FILES.get(name.rstrip("x")))
        if content is None:
            self.send_error(404)
        else:
            FAULTS[kind](self, content)

    def answer(self, content: bytes, *, length: int | None = None, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def cut_hard(handler: Handler, content: bytes) -> None:
    """Half of it, then a reset."""
    handler.answer(content[: len(content) // 2], length=len(content))
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    handler.close_connection = True


def drip(handler: Handler, content: bytes) -> None:
    """A byte now and then: never long enough silent for the socket's timeout."""
    handler.answer(b"", length=len(content))
    for i in range(200):
        if handler.server.over.wait(0.05):
            return
        handler.wfile.write(content[i : i + 1])
        handler.wfile.flush()


def drip_headers(handler: Handler, content: bytes) -> None:
    """One header after another, and never the last one."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"X-More: yes\r\n" if handler.server.asked else b"")


def drip_a_header(handler: Handler, content: bytes) -> None:
    """One header without an end, byte by byte."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"x")


def drip_redirects(handler: Handler, content: bytes) -> None:
    """From one place to the next, each of which takes its time."""
    if not handler.server.over.wait(0.3):
        handler.answer(b"", code=302, Location=f"{handler.path}x")


def junk_after(handler: Handler, content: bytes) -> None:
    """A gzip stream that ends, and what is not of it."""
    handler.answer(gzip.compress(gzip.decompress(content)) + b"junk" if content[:2] == b"\x1f\x8b" else b"")


def hang(handler: Handler, content: bytes) -> None:
    handler.server.over.wait(20)


def endless(handler: Handler, content: bytes) -> None:
    """Sends for as long as anybody listens, and never says how much."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(bytes(1 << 16))


def trailing(handler: Handler, content: bytes) -> None:
    """All of it, and then on and on."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(content)
    while not handler.server.over.is_set():
        handler.wfile.write(bytes(1 << 16))


def bomb(handler: Handler, content: bytes) -> None:
    handler.answer(BOMB)


def chunks_cut(handler: Handler, content: bytes) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"1000\r\n" + content[:100])
    handler.close_connection = True


def redirect(location: str) -> Misbehave:
    return lambda handler, content: handler.answer(b"", code=302, Location=location)


FAULTS: dict[str, Misbehave] = {
    "good": lambda handler, content: handler.answer(content),
    "moved": lambda handler, content: handler.answer(
        b"", code=301, Location=handler.path.replace("/moved/", "/good/")
    ),
    "wrong_hash": lambda handler, content: handler.answer(
        gzip.compress(gzip.decompress(content)[:-1] + b"\xff") if content[:2] == b"\x1f\x8b" else content[:-1]
    ),
    "cut": lambda handler, content: handler.answer(content[: len(content) // 2], length=len(content)),
    "cut_silently": lambda handler, content: handler.answer(content[: len(content) // 2]),
    "cut_hard": cut_hard,
    "chunks_cut": chunks_cut,
    "forbidden": lambda handler, content: handler.send_error(403),
    "missing": lambda handler, content: handler.send_error(404),
    "broken": lambda handler, content: handler.send_error(503),
    "to_file": redirect("file:///etc/hostname"),
    "to_ftp": redirect("ftp://127.0.0.1:9/x"),
    "to_https": redirect("https://127.0.0.1:9/x"),
    "to_data": redirect("data:text/plain,x"),
    "to_nowhere": redirect("http://["),
    "round": lambda handler, content: handler.answer(b"", code=302, Location=handler.path),
    "hang": hang,
    "drip": drip,
    "drip_headers": drip_headers,
    "drip_a_header": drip_a_header,
    "drip_redirects": drip_redirects,
    "junk_after": junk_after,
    "endless": endless,
    "trailing": trailing,
    "bomb": bomb,
    "page": lambda handler, content: handler.answer(b"<html>Please log in to this network</html>"),
    "empty": lambda handler, content: handler.answer(b""),
    "bad_gzip": lambda handler, content: handler.answer(content[:40] + bytes(40) + content[80:]),
    "bad_crc": lambda handler, content: handler.answer(content[:-8] + bytes(8)),
    "no_http": lambda handler, content: handler.wfile.write(b"\x00\x01\x02 nothing like HTTP\r\n\r\n"),
}

# What the error must say about each; `good` and `moved` are no faults.
SAYS = {
    "wrong_hash": "SHA-256",
    "cut": "cut after",
    "cut_silently": "ends early",
    "cut_hard": "reset|cut after",
    "chunks_cut": "cut",
    "forbidden": "HTTP 403",
    "missing": "HTTP 404",
    "broken": "HTTP 503",
    "to_file": "file:///etc/hostname",
    "to_ftp": "another scheme, 'ftp:",
    "to_https": "another scheme, 'https:",
    "to_data": "data:text",
    "to_nowhere": "IPv6|URL",
    "round": "infinite loop",
    "hang": "timed out",
    "drip": "not there after",
    "drip_headers": "no answer within",
    "drip_a_header": "no answer within",
    "drip_redirects": "no answer within",
    "junk_after": "more bytes were sent than the gzip stream has",
    "endless": "more than",
    "trailing": "bytes were sent",
    "bomb": "more than the expected",
    "page": "bytes, expected",
    "empty": "bytes, expected",
    "bad_gzip": "damaged gzip|SHA-256",
    "bad_crc": "damaged gzip",
    "no_http": "nothing like HTTP",
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what is wanted here."""

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{kind}/"


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(mnist, "SPLITS", small_mnist.splits())
    monkeypatch.setattr(requesting, "TIMEOUT", 0.5)
    monkeypatch.setattr(requesting, "OPENING", 0.8)
    monkeypatch.setattr(requesting, "DEADLINE", 3.0)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            running.over.set()
            running.shutdown()
            thread.join()


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_every_fault_is_expected_to_say_something():
    assert set(SAYS) == set(FAULTS) - {"good", "moved"}


@pytest.mark.parametrize("kind", SAYS)
def test_a_mirror_that_fails_is_followed_by_the_next_one(tmp_path, server, monkeypatch, kind):
    monkeypatch.setattr(mnist, "MIRRORS", (server.url(kind), server.url("good")))

    fetch(tmp_path)

    assert everything_in(tmp_path) == ["test.arrow", "train.arrow"]
    assert f"{kind}/{FIRST}" in server.asked
    assert f"good/{FIRST}" in server.asked


@pytest.mark.parametrize("kind", SAYS)
def test_when_every_mirror_fails_the_error_lists_what_each_said_and_nothing_is_left(
    tmp_path, server, monkeypatch, kind
):
    monkeypatch.setattr(mnist, "MIRRORS", (server.url(kind), server.url("forbidden")))
    begun = time.monotonic()

    with pytest.raises(
        StorageError, match=rf"/{kind}/.*({SAYS[kind]}).*; .*/forbidden/.*HTTP 403.*--from"
    ) as caught:
        fetch(tmp_path)

    assert str(caught.value).isprintable()
    assert everything_in(tmp_path) == []
    assert time.monotonic() - begun < 10


def test_a_server_that_is_not_there_is_named(tmp_path, server, monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: the port refuses
        gone = f"http://127.0.0.1:{held.getsockname()[1]}/"
        with pytest.raises(StorageError, match="refused"):
            fetch(tmp_path, source=gone)


def test_a_redirect_within_the_scheme_is_followed(tmp_path, server):
    fetch(tmp_path, source=server.url("moved"))

    assert everything_in(tmp_path) == ["test.arrow", "train.arrow"]


def test_a_url_may_serve_the_files_unzipped_and_without_a_last_slash(tmp_path, server, monkeypatch):
    monkeypatch.setitem(globals(), "ZIPPED", {})

    fetch(tmp_path, source=server.url("good").rstrip("/"))

    assert everything_in(tmp_path) == ["test.arrow", "train.arrow"]


def test_what_was_downloaded_before_a_failure_is_not_downloaded_again(tmp_path, server, monkeypatch):
    monkeypatch.setitem(FAULTS, "later", FAULTS["good"])
    monkeypatch.setattr(mnist, "MIRRORS", (server.url("later"),))
    real = FAULTS["good"]
    monkeypatch.setitem(
        FAULTS,
        "later",
        lambda handler, content: (
            FAULTS["forbidden"](handler, content) if "t10k" in handler.path else real(handler, content)
        ),
    )
    with pytest.raises(StorageError, match="t10k-images"):
        fetch(tmp_path)
    assert everything_in(tmp_path) == [
        ".mnist",
        ".mnist/train-images-idx3-ubyte",
        ".mnist/train-labels-idx1-ubyte",
    ]
    monkeypatch.setitem(FAULTS, "later", real)
    server.asked.clear()

    fetch(tmp_path)

    assert server.asked == ["later/t10k-images-idx3-ubyte.gz", "later/t10k-labels-idx1-ubyte.gz"]
    assert everything_in(tmp_path) == ["test.arrow", "train.arrow"]
    server.asked.clear()
    fetch(tmp_path)
    assert server.asked == []


def test_a_kept_download_that_was_damaged_is_downloaded_again(tmp_path, server):
    kept = tmp_path / ".mnist" / "train-images-idx3-ubyte"
    kept.parent.mkdir()
    kept.write_bytes(FILES[kept.name][:-1])

    fetch(tmp_path, source=server.url("good"))

    assert f"good/{FIRST}" in server.asked
    assert everything_in(tmp_path) == ["test.arrow", "train.arrow"]


def test_a_full_disk_ends_at_once_and_is_not_blamed_on_the_mirror(tmp_path, server, monkeypatch):
    """/dev/full takes the place of the temporary file: every write to it fails with ENOSPC."""

    @contextlib.contextmanager
    def on_a_full_disk(path):
        with storage_errors(path), Path("/dev/full").open("wb", buffering=0) as file:
            yield file

    monkeypatch.setattr(downloading, "atomic_file", on_a_full_disk)
    monkeypatch.setattr(mnist, "MIRRORS", (server.url("good"), server.url("good")))

    with pytest.raises(StorageError, match="No space left"):
        fetch(tmp_path)
    assert server.asked == [f"good/{FIRST}"]
    assert everything_in(tmp_path) == []


def test_a_tls_handshake_that_never_ends_is_given_up(tmp_path, monkeypatch):
    """A server that takes the connection, and says a byte now and then which is no TLS."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(requesting, "OPENING", 0.8)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            taken = []
            while not over.is_set():
                with contextlib.suppress(OSError):
                    taken.append(listening.accept()[0])
                    taken[-1].sendall(b"\x16\x03\x03\x40\x00")
                    while not over.wait(0.05):
                        taken[-1].sendall(b"\x02")
            for one in taken:
                one.close()

        listening.settimeout(0.1)
        thread = threading.Thread(target=serve)
        thread.start()
        begun = time.monotonic()
        try:
            with pytest.raises(StorageError, match=r"no answer within|SSL"):
                fetch(tmp_path, source=f"https://127.0.0.1:{listening.getsockname()[1]}/")
        finally:
            over.set()
            thread.join()
    assert time.monotonic() - begun < 10


def test_what_else_lies_in_the_hidden_folder_is_kept(tmp_path, server):
    (tmp_path / ".mnist").mkdir()
    (tmp_path / ".mnist" / "mine").write_text("kept")

    fetch(tmp_path, source=server.url("good"))

    assert everything_in(tmp_path) == [".mnist", ".mnist/mine", "test.arrow", "train.arrow"]


def test_no_thread_is_left_of_a_download(tmp_path, server):
    before = threading.active_count()

    fetch(tmp_path, source=server.url("good"))

    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert threading.active_count() <= before + 1  # the server's own


def test_ctrl_c_in_the_middle_leaves_nothing_half_written(tmp_path, server, monkeypatch):
    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, source=server.url("good"), progress=interrupt)
    assert everything_in(tmp_path) == []
