"""Data and models in an object store: the bits of the file, whatever the network does, or an error that says what."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_runs import ROOT, drawn, network, run, write
from object_store import ACCESS, Proxy, moto_server, settings

import streameval as se
from streameval import objects
from streameval.errors import DataError, ModelError, StorageError, UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.objects import is_remote
from streameval.storage.writing import create

pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[server]'")
pytest.importorskip("obstore", reason="obstore is not installed: pip install 'streameval[s3]'")
ROWS = 100_003


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """drawn.arrow, three parts of it, model.safetensors."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "drawn.arrow", ROWS)
    network().save(folder / "model.safetensors")
    x, t = drawn(ROWS)
    for number, (a, b) in {1: (0, 16384), 2: (16384, 50000), 10: (50000, ROWS)}.items():
        path = folder / f"part-{number}.arrow"
        create(path, [(x[a:b], t[a:b])], rows=b - a, shape=(4, 4), dtype="u1", classes=4)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[int]:
    """The port of a store that holds those files in the bucket `data`."""
    with pytest.MonkeyPatch.context() as patch, moto_server() as port:
        for name, value in ACCESS.items():
            patch.setenv(name, value)
        for path in folder.iterdir():
            put(port, "data/parts" if path.name.startswith("part-") else "data", path)
        yield port


def put(port: int, where: str, path: Path, name: str = "") -> None:
    """Write a file into the store, by another client than the one that reads it."""
    bucket, _, folder = where.partition("/")
    client(port).create_bucket(Bucket=bucket)
    key = f"{folder}/{name or path.name}".lstrip("/")
    client(port).put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def client(port: int) -> Any:
    """The AWS client of a store on loopback."""
    import boto3

    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1")


@pytest.fixture
def proxy(store: int) -> Iterator[Proxy]:
    """A proxy before the store; pauses between tries are short."""
    made = Proxy(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "PAUSE", 0.001)
        patch.setattr(objects, "PART_BYTES", 100_000)
        yield made
    made.close()


@pytest.fixture(scope="module")
def whole(folder: Path) -> se.Report:
    return se.evaluate(network(), folder / "drawn.arrow")


def uri(port: int, name: str = "drawn.arrow") -> str:
    return f"s3://data/{name}{settings(port)}"


def test_data_and_model_of_a_store_give_the_bits_of_the_files(store: int, whole: se.Report) -> None:
    """Digest, blocks and fingerprint."""
    model = se.load_model(uri(store, "model.safetensors"))
    report = se.evaluate(model, uri(store))
    assert (report.digest, report.blocks) == (whole.digest, whole.blocks)
    assert report.data.fingerprint == whole.data.fingerprint
    assert report.model.sha256 == whole.model.sha256
    rows = np.random.default_rng(0).integers(0, ROWS, 40)
    chosen = se.evaluate(model, uri(store), rows=rows)
    assert chosen.digest == se.evaluate(model, drawn(ROWS), rows=rows).digest


def test_a_folder_and_a_list_are_one_data_set_in_natural_order(store: int, whole: se.Report) -> None:
    """part-2 comes before part-10."""
    for data in (uri(store, "parts/"), [uri(store, f"parts/part-{n}.arrow") for n in (1, 2, 10)]):
        assert se.evaluate(network(), data).digest == whole.digest


def test_compressed_files_and_float_rows_are_read_too(store: int, tmp_path: Path) -> None:
    """Batch by batch, with the usual warning."""
    pa = pytest.importorskip("pyarrow")
    x = np.random.default_rng(1).normal(size=(2000, 16)).astype("f4")
    t = np.random.default_rng(2).integers(0, 4, 2000)
    table = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 16), "t": t})
    for codec in (None, "zstd"):
        path = tmp_path / f"{codec}.arrow"
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as out:
            out.write_table(table, max_chunksize=512)
        put(store, "data", path)
    wanted = se.evaluate(network(), (x, t)).digest
    assert se.evaluate(network(), uri(store, "None.arrow")).digest == wanted
    with pytest.warns(match="compressed"):
        assert se.evaluate(network(), uri(store, "zstd.arrow")).digest == wanted


def test_several_ranges_are_in_flight_and_none_is_large(proxy: Proxy, whole: se.Report) -> None:
    """Parts of a fixed size; opening does not ask for one header after another."""
    report = se.evaluate(network(), uri(proxy.port))
    assert report.digest == whole.digest
    ranges = [r.removeprefix("bytes=").split("-") for method, r in proxy.seen if method == "GET" and r]
    assert max(int(b) - int(a) + 1 for a, b in ranges) <= 100_000
    assert 1 < proxy.most <= objects.IN_FLIGHT + 1


@pytest.mark.parametrize("fault", ["503", "short", "drop"])
def test_faults_that_pass_are_tried_again(proxy: Proxy, whole: se.Report, fault: str) -> None:
    """One of four requests fails: the answer is the same."""
    chance = random.Random(3)
    proxy.fault = lambda method, wanted: fault if wanted and chance.random() < 0.25 else None
    assert se.evaluate(network(), uri(proxy.port)).digest == whole.digest
    proxy.fault = lambda method, wanted: None


def test_a_fault_that_stays_ends_after_bounded_tries(proxy: Proxy) -> None:
    """5, with the store's own words, and a bounded number of requests."""
    source = se.open(uri(proxy.port))  # type: ignore[attr-defined]
    begin = len(proxy.seen)
    proxy.fault = lambda method, wanted: "503"
    with pytest.raises(
        StorageError, match=r"s3://data/drawn.arrow: could not be read at \d+, 4 times: "
    ) as caught:
        se.evaluate(network(), source)
    assert caught.value.exit_code == 5
    assert len(proxy.seen) - begin < 1000
    with pytest.raises(StorageError, match="could not be opened, 4 times"):
        se.open(uri(proxy.port))  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [("silent", r"could not be read at \d+ within 1\d s: "), ("drip", r"\d+ bytes came in 10 s")],
)
def test_a_store_that_says_nothing_or_next_to_nothing_is_given_up_within_20_seconds(
    store: int, fault: str, said: str
) -> None:
    """In the middle of a pass, in a process of its own, which ends: 5, and no thread waits on."""
    code = """
        import sys, time
        from long_runs import network
        import streameval as se
        from streameval import objects
        from streameval.evaluation.evaluate import PassOptions
        from object_store import Proxy, settings
        proxy = Proxy(int(sys.argv[1]))
        objects.PART_BYTES = 20_000  # many are waiting when the first is given up
        source = se.open(f"s3://data/drawn.arrow{settings(proxy.port)}")
        proxy.fault = lambda method, wanted: sys.argv[2]
        begun = time.monotonic()
        try:
            se.evaluate(network(), source)
        except se.errors.StorageError as error:
            print(error.exit_code, error, flush=True)
        source.close()
        proxy.close()
        import atexit
        atexit.register(lambda: print(time.monotonic() - begun))
    """
    done = run(
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n" + textwrap.dedent(code), store, fault
    )
    assert done.returncode == 0, done.stderr
    message, took = done.stdout.splitlines()
    assert re.match(rf"5 s3://data/drawn\.arrow: .*{said}", message)
    assert 5 < float(took) < 20


@pytest.mark.slow
def test_a_store_that_is_silent_from_the_beginning_is_given_up_within_20_seconds(proxy: Proxy) -> None:
    proxy.fault = lambda method, wanted: "silent"
    begun = time.monotonic()
    with pytest.raises(StorageError, match=r"could not be opened within \d+ s: ") as caught:
        se.open(uri(proxy.port))  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 20
    assert caught.value.exit_code == 5


def test_answers_that_stay_short_end_too(proxy: Proxy) -> None:
    """Half of every answer, though its header says otherwise: never taken for the whole."""
    source = se.open(uri(proxy.port))  # type: ignore[attr-defined]
    proxy.fault = lambda method, wanted: "short" if wanted else None
    with pytest.raises(StorageError, match=r"fewer than the \d+ bytes at \d+ came"):
        se.evaluate(network(), source)


def test_an_object_that_is_replaced_is_noticed(store: int, tmp_path: Path) -> None:
    """Of the same size, in the middle of a pass: 3, no result. The ETag says so."""
    put(store, "data", write(tmp_path / "changing.arrow", ROWS))

    class Replace:
        def started(self, event: Any) -> None: ...

        def finished(self, report: Any) -> None: ...

        def stopped(self, error: BaseException) -> None: ...

        def advanced(self, event: Any) -> None:
            if event.span.start == 0:
                put(store, "data", write(tmp_path / "other.arrow", ROWS, seed=1), "changing.arrow")

    with pytest.raises(DataError, match=r"the object changed while it was read: found .* expected") as caught:
        se.evaluate(network(), uri(store, "changing.arrow"), options=PassOptions(callbacks=[Replace()]))
    assert caught.value.exit_code == 3


def test_a_store_that_heeds_no_conditions_does_not_hide_a_replaced_object(
    proxy: Proxy, store: int, tmp_path: Path
) -> None:
    """Each answer says what it is of: rows of another object are never taken for those of the first."""
    put(store, "data", write(tmp_path / "careless.arrow", ROWS))
    proxy.fault = lambda method, wanted: "careless"
    source = se.open(uri(proxy.port, "careless.arrow"))  # type: ignore[attr-defined]
    source.take(np.array([5]))
    put(store, "data", write(tmp_path / "other.arrow", ROWS, seed=1), "careless.arrow")
    with pytest.raises(DataError, match="the object changed while it was read"):
        source.take(np.array([5]))


def test_a_refusal_is_not_tried_again(proxy: Proxy) -> None:
    """5, and one request: nobody's rights change in a second."""
    proxy.fault = lambda method, wanted: "403"
    with pytest.raises(StorageError, match=r"drawn\.arrow: could not be opened: .*403 Forbidden") as caught:
        se.open(uri(proxy.port))  # type: ignore[attr-defined]
    assert caught.value.exit_code == 5
    assert len(proxy.seen) == 1


def test_without_obstore_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    for use in (se.open, se.load_model):  # type: ignore[attr-defined]
        with pytest.raises(StorageError, match=r"Type: pip install 'streameval\[s3\]'"):
            use("s3://data/x.arrow")


def test_a_fork_of_a_process_that_used_a_store_says_so_and_does_not_hang(store: int) -> None:
    """obstore's threads are not there any more."""
    code = """
        import os, sys, streameval as se
        source = se.open(sys.argv[1])
        if os.fork() == 0:
            for use in (lambda: se.open(sys.argv[1]), lambda: source.take([3]), source.check_unchanged):
                try:
                    use()
                except se.errors.StorageError as error:
                    print(error, flush=True)
            os._exit(0)
        os.wait()
        print(len(source.take([3])))
    """
    done = run(code, uri(store), timeout=20.0)
    assert done.stdout.count("set_start_method('spawn')") == 3, done.stderr
    assert done.stdout.endswith("\n1\n")


def test_profiles_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment gives no keys, those of a profile are sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    file.write_text("[mine]\naws_access_key_id = PROFILED\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    done = run("""
        from streameval.objects import Location
        print(Location.of("s3://data/x.arrow").connect().credential_provider()["access_key_id"])
        print(Location.of("s3://data/x.arrow?anonymous=true").connect().credential_provider)
    """)
    assert done.stdout.split() == ["PROFILED", "None"], done.stderr


def test_an_object_that_vanishes_or_shrinks_is_noticed(store: int, tmp_path: Path) -> None:
    """Where ranges are not there any more."""
    for name, replacement in (("shrinks.arrow", 1000), ("vanishes.arrow", None)):
        put(store, "data", write(tmp_path / name, ROWS))
        source = se.open(uri(store, name))  # type: ignore[attr-defined]
        if replacement is None:
            client(store).delete_object(Bucket="data", Key=name)
        else:
            put(store, "data", write(tmp_path / "small.arrow", replacement), name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objects, "PAUSE", 0.001)
            with pytest.raises((DataError, StorageError), match=r"changed while it was read|no such object"):
                se.evaluate(network(), source)


def test_a_pass_over_a_store_goes_on_from_its_checkpoint(
    proxy: Proxy, whole: se.Report, tmp_path: Path
) -> None:
    """When the store is there again."""
    from streameval.evaluation.checkpoint import Checkpoint

    path = tmp_path / "pass.checkpoint"

    class Break:
        def started(self, event: Any) -> None: ...

        def finished(self, report: Any) -> None: ...

        def stopped(self, error: BaseException) -> None: ...

        def advanced(self, event: Any) -> None:
            if event.rows >= 40_000:
                proxy.fault = lambda method, wanted: "503" if wanted else None

    with pytest.raises(StorageError, match="with --checkpoint nothing that was done is lost"):
        se.evaluate(
            network(),
            uri(proxy.port),
            options=PassOptions(checkpoint=Checkpoint(path, every=0.0), callbacks=[Break()]),
        )
    proxy.fault = lambda method, wanted: None
    assert path.exists()
    assert (
        se.evaluate(network(), uri(proxy.port), options=PassOptions(checkpoint=path)).digest == whole.digest
    )


def test_what_is_not_there_is_named(store: int) -> None:
    """Object, folder, setting, bucket; and a model where data should be."""
    with pytest.raises(StorageError, match=r"s3://data/no\.arrow: no such object"):
        se.open(uri(store, "no.arrow"))  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match=r"could not be listed|ends with \.arrow"):
        se.open(uri(store, "empty/"))  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="setting 'endpoint'"):
        se.open("s3://data/x.arrow?endpoint=1")  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="no bucket"):
        se.open("s3:///x.arrow")  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="expected an Arrow file"):
        se.open(uri(store, "model.safetensors"))  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="data, not a network"):
        se.load_model(uri(store))


def test_credentials_in_a_path_are_refused_and_not_repeated() -> None:
    """They would end up in reports and logs."""
    with pytest.raises(UsageError) as caught:
        se.open("s3://KEY:hunter2@data/x.arrow")  # type: ignore[attr-defined]
    assert "hunter2" not in str(caught.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
    assert not is_remote("x.arrow")


def test_engines_and_shards_read_the_store_themselves(store: int, whole: se.Report, tmp_path: Path) -> None:
    """A path of a store goes to workers as it is."""
    from streameval.engines import Local
    from streameval.evaluation.shards import merge, write_state

    assert (
        se.evaluate(network(), uri(store), options=PassOptions(engine=Local(30_000))).digest == whole.digest
    )
    for index in range(3):
        write_state(
            se.evaluate(network(), uri(store), options=PassOptions(shard=(index, 3))),
            tmp_path / f"{index}.json",
        )
    assert merge([tmp_path / f"{index}.json" for index in range(3)]).digest == whole.digest


def test_the_process_ends_when_a_pass_is_left_in_the_middle(store: int) -> None:
    """Requests in flight do not keep it."""
    code = "import sys; sys.path.insert(0, 'tests'); import streameval as se; from long_runs import network\n"
    code += "print(next(iter(se.stream(network(), sys.argv[1], chunk_rows=500))).rows)"
    done = subprocess.run(
        [sys.executable, "-c", code, uri(store)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "500\n", done.stderr
