"""With --key what is written is signed, and what is read must be."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_line import in_process

from streameval.datasets.digits import demo_network_path
from streameval.evaluation.sealed import check_signature


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(f"{name} key, long enough".encode())
    return tmp_path / "one", tmp_path / "two"


def test_a_signed_report_is_verified_with_its_key(
    digits_file: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    model, report = demo_network_path(), tmp_path / "report.json"
    for key, code, words in ((keys[0], 0, "signed with the key"), (keys[1], 6, "not of this key")):
        report.write_text(in_process("evaluate", model, digits_file, "--json", "--key", keys[0]).stdout)
        done = in_process("verify", report, model, digits_file, "--key", key)
        assert (done.returncode, words in " ".join((done.stdout + done.stderr).split())) == (code, True)
    unsigned = in_process("evaluate", model, digits_file, "--json").stdout
    report.write_text(unsigned)
    assert in_process("verify", report, model, digits_file, "--key", keys[0]).returncode == 6
    done = in_process("verify", report, model, digits_file)
    assert done.returncode == 0
    assert "a checksum, not a signature" in " ".join(done.stdout.split())


def test_a_key_may_come_from_a_command(digits_file: Path, keys: tuple[Path, Path]) -> None:
    """As <(command) gives it: a pipe that has a name."""
    read, write = os.pipe()
    os.write(write, keys[0].read_bytes())
    os.close(write)
    arguments = ("evaluate", demo_network_path(), digits_file, "--json", "--key")
    signed = json.loads(in_process(*arguments, f"/dev/fd/{read}").stdout)
    os.close(read)
    check_signature("report", signed, keys[0].read_bytes())


def test_states_are_signed_and_their_signature_is_asked_for(
    digits_file: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    model, state = demo_network_path(), tmp_path / "state.json"
    in_process("evaluate", model, digits_file, "--state", state, "--key", keys[0])
    merged = in_process("merge", state, "--json", "--key", keys[0])
    assert "hmac" in json.loads(merged.stdout)
    assert in_process("merge", state).returncode == 0
    assert in_process("merge", state, "--key", keys[1]).returncode == 6
    (tmp_path / "report.json").write_text(merged.stdout)
    assert (
        in_process("verify", tmp_path / "report.json", model, digits_file, "--key", keys[0]).returncode == 0
    )


def test_a_checkpoint_is_signed_and_its_signature_is_asked_for(
    digits_file: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    import streameval as se
    from streameval.evaluation.checkpoint import Checkpoint

    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done < total:
            raise StoppedError

    path = tmp_path / "checkpoint"
    options = se.PassOptions(checkpoint=Checkpoint(path, 0.0, keys[0].read_bytes()))
    with pytest.raises(StoppedError):
        se.evaluate(
            se.load_model(demo_network_path()), digits_file, chunk_rows=100, progress=stop, options=options
        )
    assert "hmac" in json.loads(path.read_text())
    again = ("evaluate", demo_network_path(), digits_file, "--checkpoint", path, "--key")
    assert in_process(*again, keys[1]).returncode == 6
    assert path.exists()
    assert in_process(*again, keys[0]).returncode == 0
    assert not path.exists()


def test_a_key_is_no_output_and_no_short_one(
    digits_file: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    evaluate = ("evaluate", demo_network_path(), digits_file, "--key", keys[0])
    assert in_process(*evaluate, "--losses", keys[0]).returncode == 2
    keys[0].write_bytes(b"short")
    assert in_process(*evaluate).returncode == 2
    keys[0].unlink()
    assert in_process(*evaluate).returncode == 5
