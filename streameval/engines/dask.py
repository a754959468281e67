"""Spans computed by Dask workers, on this machine or many: spans and the model go out, states come back.

Knows Dask's client. Does not know what a span is computed from. Extra: streameval[dask].
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

from streameval.errors import StorageError, StreamevalError, UsageError
from streameval.evaluation.passes import Failure, Part, PassSpec
from streameval.evaluation.selection import Task
from streameval.evaluation.tally import BLOCK_ROWS
from streameval.frozen import frozen
from streameval.storage.source import Span

_log = logging.getLogger("streameval")
# Seconds to wait for a scheduler, and for its first worker.
PATIENCE = 12
# Seconds without a scheduler that answers, or without any worker, after which a pass is given up.
GRACE = 10
# Seconds between looks at whether something came back; between questions whether anybody is left, while nothing does.
PAUSE, ASK = 0.02, 2
# Seconds that the scheduler has to answer, and to say goodbye.
ANSWER = 3


@frozen
class Dask:
    """An engine of Dask workers.

    address    of a scheduler, "tcp://host:8786"; None: workers are started on this machine, and ended with the pass
    client     a `distributed.Client` that is connected already, instead of an address
    workers    processes to start when there is no address; their threads share what this process may use
    span_rows  rows of a span; multiples of 65,536 keep results small
    retries    how often a span that failed is tried again; a worker that dies does not count as a failure of its
               span until Dask itself gives up on it (distributed.scheduler.allowed-failures, 3)
    """

    address: str | None = None
    client: Any = None
    workers: int = 2
    span_rows: int = 16 * BLOCK_ROWS
    retries: int = 2

    @classmethod
    def at(cls, address: str | None) -> Dask:
        """The engine for the command line."""
        return cls(address)

    def cut(self, gap: Span) -> Iterator[Span]:
        """See `Engine`."""
        from streameval.engines.worker import cut_evenly

        if self.span_rows < 1 or self.workers < 1:
            raise UsageError(
                f"span_rows {self.span_rows}, workers {self.workers}: expected 1 or more of both."
            )
        yield from cut_evenly(gap, self.span_rows)

    def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
        """Yield what came of each task as it ends. What is not needed any more when the caller stops is cancelled.

        Raises StorageError if there is no scheduler or no worker, UsageError if Dask is not installed.
        """
        if not tasks:
            return
        with self._connected() as client:
            self._wait_for_a_worker(client)
            sent = _Sent(client, spec, self.retries)
            try:
                yield from sent.outcomes(tasks)
            finally:
                sent.cancel()

    def _wait_for_a_worker(self, client: Any) -> None:
        """Dask's own waiting has no end where the scheduler stops to answer."""
        end = time.monotonic() + PATIENCE
        trouble = _trouble(client)
        while trouble and time.monotonic() < end:
            time.sleep(PAUSE)
            trouble = _trouble(client)
        if trouble:
            raise StorageError(
                f"{self.address or 'this machine'}: no Dask worker came within {PATIENCE} s: {trouble} Start some "
                "with: dask worker ADDRESS --nworkers 2"
            )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"the dask engine needs Dask ({error}). Type: pip install 'streameval[dask]'"
            ) from None
        if self.client is not None:
            yield self.client
            return
        with contextlib.ExitStack() as stack:
            try:
                place = self.address or stack.enter_context(self._own_workers())
                client = _client(place)
                stack.callback(_leave, client)
            except (OSError, TimeoutError, ValueError) as error:
                if isinstance(error, StreamevalError):
                    raise
                raise StorageError(
                    f"{self.address or 'this machine'}: no Dask scheduler answered ({error}). Start one with: "
                    "dask scheduler; and workers with: dask worker ADDRESS --nworkers 2. One that speaks TLS has "
                    "an address of tls://, and needs the certificates that Dask's configuration names."
                ) from error
            yield client

    def _own_workers(self) -> contextlib.AbstractContextManager[Any]:
        from streameval.engines.private_cluster import private_cluster
        from streameval.scoring.scorer import available

        return private_cluster(self.workers, max(1, available() // self.workers))


def _client(place: Any) -> Any:
    """A client of a scheduler. Dask's own patience is for the connection alone, and not for an answer over it."""
    from distributed import Client

    made: Future[Any] = Future()

    def connect() -> None:
        try:
            made.set_result(Client(place, timeout=PATIENCE, set_as_default=False))
        except BaseException as error:
            made.set_exception(error)

    threading.Thread(target=connect, name="streameval-dask", daemon=True).start()
    try:
        return made.result(PATIENCE + ANSWER)
    except TimeoutError:
        made.add_done_callback(_leave_late)
        raise TimeoutError(f"it takes connections, and says nothing for {PATIENCE + ANSWER} s") from None


def _leave_late(made: Future[Any]) -> None:
    if made.exception() is None:
        _leave(made.result())


def _leave(client: Any) -> None:
    """Close a client, which does not wait long for a scheduler that is not there any more."""
    try:
        client.close(timeout=ANSWER)
    except (OSError, TimeoutError):
        # It would try again, for longer, when it is deleted.
        client.status = "closed"


class _Sent:
    """The tasks that a cluster has, and what belongs to each."""

    def __init__(self, client: Any, spec: PassSpec, retries: int) -> None:
        from distributed.protocol import pickle

        self._client = client
        # Read by a worker only when it has seen that it is of the same version.
        try:
            self._spec = pickle.dumps(spec)
        # What pickling another library's object may raise has no common ancestor.
        except Exception as error:
            raise UsageError(
                f"the model, {spec.model.summary}, cannot be sent to workers: {str(error)[:200]}. Give a file "
                "(--with), or evaluate it here, without an engine."
            ) from error
        self._retries = retries
        self._tasks: dict[Any, tuple[Task, int, Any]] = {}
        self._shared: Any = None
        self._pulse = _Pulse(client)

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
        """Send all tasks, and yield what comes of each as it ends; None now and then while nothing comes."""
        from distributed import as_completed

        done = as_completed([self._send(task, 0) for task in tasks], loop=self._client.loop)
        while not done.is_empty():
            if done.has_ready():
                outcome = self._taken(next(done), done)
            else:
                time.sleep(PAUSE)
                outcome = None
            yield outcome
            # Also while results are ready that nobody hands on.
            if outcome is None and self._pulse.stopped():
                yield from (Failure(task.span, self._pulse.cause) for task, _, _ in self._tasks.values())
                return

    def _taken(self, future: Any, done: Any) -> Part | Failure | None:
        """What came of a task that is done; None if it is computed, or its result asked for, once more."""
        # Its worker died before the result was fetched: whoever is left computes it again.
        if future.status == "pending":
            done.add(future)
            return None
        task, lost, shared = self._tasks[future]
        # The scheduler may lose a task with the worker that held what it depends on: it is sent again.
        if future.status == "lost" and lost < self._retries:
            del self._tasks[future]
            self._shared = None if self._shared is shared else self._shared
            done.add(self._send(task, lost + 1))
            return None
        try:
            outcome = _outcome(future, task)
        except TimeoutError:
            done.add(future)
            return None
        del self._tasks[future]
        self._pulse.felt()
        # Let the cluster forget the result: states of large passes would pile up there.
        future.release()
        return outcome

    def cancel(self) -> None:
        """Let the cluster forget what is not needed any more, if it is there."""
        if self._pulse.cause or self._client.status != "running":
            return
        with contextlib.suppress(OSError, TimeoutError):
            self._client.cancel(
                [future for future in (self._shared, *self._tasks) if future is not None], force=True
            )

    def _send(self, task: Task, lost: int) -> Any:
        # The work travels once to each worker, and is made again if the worker that holds it dies.
        if self._shared is None:
            self._shared = self._client.submit(_hand_on, self._spec, pure=False)
        future = self._client.submit(
            _compute, _version(), self._shared, task, pure=False, retries=self._retries
        )
        self._tasks[future] = task, lost, self._shared
        return future


class _Pulse:
    """Whether a cluster from which nothing comes still has a scheduler that answers, and a worker.

    cause  why it was given up; "" while it was not
    """

    def __init__(self, client: Any) -> None:
        self.cause = ""
        self._client = client
        self.felt()

    def felt(self) -> None:
        """Something came: all is well."""
        self._well = self._asked = time.monotonic()

    def stopped(self) -> bool:
        """Whether the cluster has been without life for too long; asks it now and then."""
        now = time.monotonic()
        if now < self._asked + ASK:
            return False
        trouble = _trouble(self._client)
        self._asked = time.monotonic()
        if not trouble:
            self._well = self._asked
        elif self._asked > self._well + GRACE:
            self.cause = trouble
        return bool(self.cause)


def _trouble(client: Any) -> str:
    """Why nothing is to be expected of a cluster; "" if its scheduler answers and has a worker."""
    try:
        info = client.sync(client.scheduler.identity, callback_timeout=ANSWER)
    except Exception as error:  # Whatever Dask raises: the connection is lost, or the client closed.
        return f"the Dask scheduler does not answer any more ({type(error).__name__})."
    return "" if info["workers"] else "no Dask worker is left."


def _outcome(future: Any, task: Task) -> Part | Failure:
    """What came of a task. Raises TimeoutError if the worker that has the result does not give it."""
    if future.status not in ("finished", "error"):
        return Failure(task.span, f"the Dask scheduler lost it ({future.status}).")
    try:
        if future.status == "error":
            return Failure.of(task.span, future.exception(timeout=ANSWER))
        part: Part = future.result(timeout=ANSWER)
    except TimeoutError:
        raise
    except (OSError, RuntimeError, CancelledError) as error:
        return Failure(task.span, f"the Dask scheduler lost it ({type(error).__name__}).")
    return part


def _hand_on(spec: bytes) -> bytes:
    return spec


def _version() -> tuple[str, int]:
    """What client and workers must have in common."""
    from importlib.metadata import PackageNotFoundError, version

    from streameval.evaluation.identity import RESULT_VERSION

    try:
        return version("streameval"), RESULT_VERSION
    except PackageNotFoundError:
        return "from a folder", RESULT_VERSION


def _compute(version: tuple[str, int], spec: bytes, task: Task) -> Part:
    """On a worker: compute one span with as many threads as the worker was given.

    Raises StreamevalError if this is another version than the one that asks, and the errors of `compute_task`.
    """
    from distributed import get_worker
    from distributed.protocol import pickle

    from streameval.engines.worker import compute_task
    from streameval.scoring.scorer import available

    if _version() != version:
        raise StreamevalError(
            f"the worker {get_worker().address} has streameval {_version()[0]} (results {_version()[1]}), expected "
            f"{version[0]} (results {version[1]}). Install the same version everywhere."
        )
    return compute_task(pickle.loads(spec), task, max(1, min(get_worker().state.nthreads, available())))
