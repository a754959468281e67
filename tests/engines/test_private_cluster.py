"""Workers that the engine starts by itself obey nobody but the process that started them."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from long_runs import network

import streameval as se
from streameval.engines.dask import Dask
from streameval.evaluation.evaluate import PassOptions

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'streameval[dask]'"
)
ROWS = 30_000


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    """A cluster of the engine's own, and a client that has its keys."""
    from streameval.engines.private_cluster import private_cluster

    with (
        private_cluster(2, 1) as cluster,
        distributed.Client(cluster, timeout=15, set_as_default=False) as client,
    ):
        client.wait_for_workers(2, timeout=30)
        yield client


def listening() -> set[int]:
    """The ports that this process and its children listen on."""
    import psutil

    own = psutil.Process()
    return {
        one.laddr.port
        for process in (own, *own.children(recursive=True))
        for one in process.net_connections("tcp")
        if one.status == "LISTEN"
    }


async def answers(address: str, security: Any) -> bool:
    """Whether who listens there does what it is asked: "identity" stands for all, running code among them."""
    given = {} if security is None else security.get_connection_args("client")

    async def ask() -> bool:
        comm = await distributed.comm.connect(address, timeout=2, **given)
        try:
            await comm.write({"op": "identity", "reply": True})
            return "type" in await comm.read()
        finally:
            comm.abort()

    try:
        return await asyncio.wait_for(ask(), 5)
    except (OSError, TimeoutError):
        return False


def answering(addresses: Iterable[str], security: Any) -> list[str]:
    """Those of the addresses that answer."""

    async def ask_all() -> list[str]:
        wanted = list(addresses)
        found = await asyncio.gather(*(answers(one, security) for one in wanted))
        return [one for one, answered in zip(wanted, found, strict=True) if answered]

    return asyncio.run(ask_all())


def test_who_has_no_certificate_is_answered_at_no_port(running: Any) -> None:
    """Neither in the clear, nor with certificates of one's own; with those of the cluster all answer."""
    ports = listening()
    foreign = distributed.Security.temporary()
    assert answering((f"tcp://127.0.0.1:{port}" for port in ports), None) == []
    assert answering((f"tls://127.0.0.1:{port}" for port in ports), foreign) == []
    own = answering((f"tls://127.0.0.1:{port}" for port in ports), running.security)
    assert running.scheduler.address in own
    assert set(running.scheduler_info()["workers"]) < set(own)


def test_without_certificates_anybody_would_be_answered() -> None:
    """What the test above would see, were it not for TLS."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as open_to_all:
        assert answering([open_to_all.scheduler_address], None) == [open_to_all.scheduler_address]


def test_nothing_is_told_to_who_asks_over_http(running: Any) -> None:
    """No dashboard, no metrics, no list of workers."""
    for port in listening():
        for path in ("/", "/status", "/info/main/workers.html", "/json/counts.json", "/metrics", "/health"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as asking:
                asking.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                try:
                    answer = asking.recv(100)
                except ConnectionError:
                    answer = b""
            assert not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")), (port, path, answer)


def test_workers_listen_on_this_machine_alone_and_share_no_folder(running: Any) -> None:
    assert all(address.startswith("tls://127.0.0.1:") for address in running.scheduler_info()["workers"])
    folders = running.run(lambda dask_worker: dask_worker.local_directory)
    for folder in folders.values():
        (own,) = (one for one in Path(folder).parents if one.name.startswith("streameval-dask-"))
        assert (stat.S_IMODE(own.stat().st_mode), own.stat().st_uid) == (0o700, os.geteuid())


def test_the_engine_starts_such_workers(
    data: Path, whole: se.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And computes with them what is computed without."""
    seen: list[Any] = []
    connect = distributed.Client.__init__

    def watched(self: Any, place: Any, **more: Any) -> None:
        seen.append(place.security.require_encryption)
        connect(self, place, **more)

    monkeypatch.setattr(distributed.Client, "__init__", watched)
    report = se.evaluate(network(), data, options=PassOptions(engine=Dask()))
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    assert seen == [True]


def test_without_the_means_to_make_certificates_nothing_is_started(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    before = listening()
    with pytest.raises(se.errors.UsageError, match=r"needs cryptography.*pip install 'streameval\[dask\]'"):
        se.evaluate(network(), data, options=PassOptions(engine=Dask()))
    assert listening() == before
