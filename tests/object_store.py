"""A store of objects on loopback for tests: moto's server, and a proxy that breaks what it hands on."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCESS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}
PASS = None


def settings(port: int) -> str:
    """What a URI needs to reach a store on loopback."""
    return f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"


@contextlib.contextmanager
def moto_server() -> Iterator[int]:
    """Run moto's server in another process; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | ACCESS,
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


class Proxy:
    """Hands requests on to a store.

    `fault(method, range)` may return "503", "403", "short", "drop", "careless" (no conditions), "silent",
    "drip" (two bytes a second) or None for each.
    """

    def __init__(self, port: int) -> None:
        self.store = port
        self.fault: Callable[[str, str | None], str | None] = lambda method, wanted: PASS
        self.seen: list[tuple[str, str | None]] = []
        self.most = 0
        self._now = 0
        self._lock, self._ended = threading.Lock(), threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None: ...

            def do_GET(self) -> None:
                proxy.hand_on(self)

            def do_HEAD(self) -> None:
                proxy.hand_on(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hand_on(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        with self._lock:
            self.seen.append((request.command, wanted))
            self._now += 1
            self.most = max(self.most, self._now)
            fault = self.fault(request.command, wanted)
        try:
            self._answer(request, fault)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, request: BaseHTTPRequestHandler, fault: str | None) -> None:
        if fault in ("503", "403"):
            request.send_response(int(fault))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if fault == "silent":
            self._ended.wait(60)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.store, timeout=30)
        headers = dict(request.headers.items())
        if fault == "careless":
            headers = {name: value for name, value in headers.items() if name.lower() != "if-match"}
        connection.request(request.command, request.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if fault == "short":
            body = body[: len(body) // 2]
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                request.send_header(name, value)
        length = answer.getheader("Content-Length") if request.command == "HEAD" else str(len(body))
        request.send_header("Content-Length", length or "0")
        request.end_headers()
        if fault == "drop":
            request.wfile.write(body[: len(body) // 2])
            request.close_connection = True
            request.wfile.flush()
            request.connection.close()
            return
        if fault == "drip":
            with contextlib.suppress(OSError):
                for k in range(len(body)):
                    request.wfile.write(body[k : k + 1])
                    if self._ended.wait(0.5):
                        return
        request.wfile.write(body)

    def close(self) -> None:
        self._ended.set()
        self.server.shutdown()
        self.server.server_close()
