"""Dask workers on this machine for one pass, that nobody else on it can talk to.

Whoever reaches a Dask scheduler can run code as its user, and so can every user of a machine reach its ports. So they
speak TLS, with certificates that are made for the pass and that only its own processes have.

Knows Dask's cluster of local processes. Does not know what is computed.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from typing import Any

from streameval.errors import UsageError

# Pages and metrics that a scheduler and workers would serve to anybody, without TLS.
_SERVED = ("distributed.scheduler.http.routes", "distributed.worker.http.routes")
# Any free port, of this machine alone: a server listens in any case, and has nothing to tell.
_ANYWHERE = "127.0.0.1:0"


@contextlib.contextmanager
def private_cluster(workers: int, threads: int) -> Iterator[Any]:
    """Start worker processes, with so many threads each, and end them with the block.

    The keys travel to the workers through pipes, and lie in no file that others may read.

    Raises UsageError if there is nothing to make certificates with.
    """
    import dask
    import distributed

    try:
        security = distributed.Security.temporary()
    except ImportError:
        raise UsageError(
            "the dask engine keeps other users of this machine out with TLS, and needs cryptography for that. "
            "Type: pip install 'streameval[dask]'"
        ) from None
    with contextlib.ExitStack() as stack:
        # Dask would share one folder below /tmp with all users.
        scratch = tempfile.TemporaryDirectory(prefix="streameval-dask-", ignore_cleanup_errors=True)
        folder = stack.enter_context(scratch)
        with dask.config.set({name: [] for name in _SERVED}):
            cluster = distributed.LocalCluster(
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
        yield stack.enter_context(cluster)
