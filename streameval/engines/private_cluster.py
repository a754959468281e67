"""Dask workers on this machine for one pass, that nobody else on it can talk to.

Whoever reaches a Dask scheduler can run code as its user, and so can every user of a machine reach its ports. So they
speak TLS, with certificates that are made for the pass and that only its own processes have.

Knows Dask's cluster of local processes. Does not know what is computed.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from streameval.errors import StorageError, UsageError

# Pages and metrics that a scheduler and workers would serve to anybody, without TLS.
_SERVED = ("distributed.scheduler.http.routes", "distributed.worker.http.routes")
# Any free port, of this machine alone: a server listens in any case, and has nothing to tell.
_ANYWHERE = "127.0.0.1:0"


@contextlib.contextmanager
def private_cluster(workers: int, threads: int) -> Iterator[Any]:
    """Start worker processes, with so many threads each, and end them with the block.

    The keys travel to the workers through pipes, and lie in no file that others may read. The workers, and those that
    take the place of dead ones, do not hear Ctrl-C: a terminal sends it to all processes, and it is for the one that
    has the checkpoint, which then ends the others.

    Raises UsageError if there is nothing to make certificates with, StorageError if a worker does not start.
    """
    import distributed

    try:
        security = distributed.Security.temporary()
    except ImportError:
        raise UsageError(
            "the dask engine keeps other users of this machine out with TLS, and needs cryptography for that. "
            "Type: pip install 'streameval[dask]'"
        ) from None
    # Dask would share one folder below /tmp with all users.
    scratch = tempfile.TemporaryDirectory(prefix="streameval-dask-", ignore_cleanup_errors=True)
    with scratch as folder:
        made = _started(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            memory_limit=0,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": _ANYWHERE},
            local_directory=folder,
            silence_logs=logging.ERROR,
        )
        try:
            yield made.result()
        except RuntimeError as error:
            if made.exception() is not error:
                raise
            raise StorageError(
                f"this machine: Dask workers could not be started ({error.__cause__ or error}). Evaluate without an "
                "engine, or give the address of a scheduler that has workers."
            ) from error
        finally:
            # Where this block was interrupted they still start: half started, they could not be ended.
            if made.exception() is None:
                made.result().close()


def _started(**settings: Any) -> Future[Any]:
    """A local cluster as it starts: in a thread that does not hear Ctrl-C, nor does what that starts."""
    from multiprocessing import resource_tracker

    made: Future[Any] = Future()

    def start() -> None:
        import dask
        import distributed

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with dask.config.set({name: [] for name in _SERVED}):
                made.set_result(distributed.LocalCluster(**settings))
        except BaseException as error:
            made.set_exception(error)

    # The thread that starts it would hear again.
    resource_tracker.ensure_running()
    threading.Thread(target=start, name="streameval-workers", daemon=True).start()
    return made
