"""What several test files share: the real data where it is at hand, one cache of kernels, a clean environment."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from command_line import PROGRAM, ROOT, environment

if TYPE_CHECKING:
    from streameval import Report

# Set before NumPy and Numba are loaded: threads that wait for each other in a loop took half of the suite's time, where
# two processes test on two cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

KEPT = ("STREAMEVAL_CACHE_DIR", "STREAMEVAL_MNIST", "STREAMEVAL_TESTS_THOROUGH")


def pytest_configure(config: pytest.Config) -> None:
    """Let all tests, and all processes that they start, share one cache of kernels; hide the user's settings."""
    for name in [name for name in os.environ if name.startswith("STREAMEVAL_") and name not in KEPT]:
        del os.environ[name]
    if "STREAMEVAL_CACHE_DIR" not in os.environ:
        cache = getattr(config, "cache", None)
        folder = None if cache is None else cache.mkdir("kernels")
        # Kernels are kept only where nobody else can write, which a checkout need not be.
        if folder is None or any(_others_may_write(one) for one in (folder, *folder.parents)):
            folder = tempfile.mkdtemp(prefix="streameval-kernels-")
        os.environ["STREAMEVAL_CACHE_DIR"] = str(folder)
    # Examples are not timed: the first one may compile, and other processes test at the same time.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("untimed")


def _others_may_write(folder: Path) -> bool:
    status = folder.stat()
    open_to_all = status.st_mode & 0o022 and not status.st_mode & 0o1000
    return bool(open_to_all) or status.st_uid not in (0, os.geteuid())


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where several processes run the tests (-n 2), let the first one compile all kernels while the others wait.

    Without it each of them would compile the same kernels, for half a minute. One process compiles what it needs.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    common = tmp_path_factory.getbasetemp().parent
    with (common / "warmup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (common / "warm").exists():
            subprocess.run([*PROGRAM, "warmup"], env=environment(), check=True, capture_output=True)
            (common / "warm").touch()


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder of the real MNIST files and the article's network, or a skip that says why."""
    places = [os.environ.get("STREAMEVAL_MNIST"), ROOT.parent / "shared" / "data"]
    for place in places:
        if place and (Path(place) / "train-images-idx3-ubyte.gz").is_file():
            return Path(place)
    pytest.skip(
        "real MNIST is not at hand: set STREAMEVAL_MNIST to a folder that holds train-images-idx3-ubyte.gz"
    )


@pytest.fixture(scope="session")
def mnist_train(mnist_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Arrow file of the 60,000 training rows of real MNIST."""
    from streameval.storage.converting import convert

    images, labels = (mnist_dir / f"train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1"))
    return convert(images, labels, tmp_path_factory.mktemp("mnist") / "train.arrow")


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Arrow file of 3,000 drawn digits."""
    from streameval.datasets.digits import digits

    return digits(tmp_path_factory.mktemp("digits") / "digits.arrow", rows=3_000, seed=5)


@pytest.fixture(scope="session")
def network_file() -> Path:
    """The network that ships with the package."""
    from streameval.datasets.digits import demo_network_path

    return demo_network_path()


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Arrow file of 4 x 4 pixels, as many rows as the module's ROWS."""
    from long_runs import write

    return write(tmp_path_factory.mktemp("data") / "drawn.arrow", request.module.ROWS)


@pytest.fixture(scope="module")
def whole(data: Path) -> Report:
    """What one undisturbed pass over `data` gives."""
    from long_runs import network

    from streameval import evaluate

    return evaluate(network(), data)
