"""Pickles that are hostile or damaged: a ModelError, nothing run, nothing large allocated."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct

import numpy as np
import pytest
from hostile_models import (
    Call,
    allocated,
    model_or_model_error,
    mutated,
    mutations,
    quiet,
    weights,
    written,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streameval.errors import ModelError
from streameval.models import load


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch {}", "system"),
        (eval, "open({!r}, 'w')", "eval"),
        (os.mkdir, "{}", "mkdir"),
        (np.load, "{}", "load"),
        (np.zeros, 1 << 40, "zeros"),
        (bytearray, 1 << 40, "bytearray"),
    ],
)
def test_a_pickle_that_calls_anything_is_refused_by_name_and_nothing_runs(
    tmp_path, protocol, function, argument, name
):
    target = tmp_path / "made_by_the_pickle"
    argument = argument.format(str(target)) if isinstance(argument, str) else argument
    content = pickle.dumps({"W1": Call(function, argument)}, protocol=protocol)
    path = written(tmp_path, "evil.pkl", content)

    with pytest.raises(ModelError, match=name):
        load(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"(ios\nsystem\nS'true'\n.", "INST"),
        (b"(cnumpy\ndtype\no.", "OBJ"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"),
        (b"Pname\n.", "PERSID"),
        (b"NQ.", "BINPERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x04\x8f.", "EMPTY_SET"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f", "LONG4"),
        (b"\xfe.", "opcode"),
        (b"cnumpy\nndarray\n(K\x05tR.", "array rebuilders"),
        (b"ccollections\nOrderedDict\n)R.", "OrderedDict"),
        (b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.", "fromfile"),
        (b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.", "dtype 'O8'"),
        (b"cnumpy\ndtype\n(S'f4,f4'\nI00\nI01\ntR.", "dtype"),
        (b"c_codecs\nencode\n(V1+1\nVrot13\ntR.", "latin1"),
        (b"\x80\x06N.", "protocol 6"),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf4\ntRC\x03abctR.", "3 bytes, expected 4"),
        (b"}.", "no arrays"),
        (b"N.", "not a dict"),
        (b"", "empty"),
        (b".", "empty stack"),
        (b"(.", "empty stack"),
        (b"NN.", "left over"),
        (b"}((K\x01ttN" + b"s.", "dict key"),
        (b"(dp0\ng0\ng0\ns.", "dict key"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "frame"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fN.", "ends at byte"),
        (b"\x80\x02T\xff\xff\xff\xff.", "ends at byte"),
        (b"I" + b"9" * 50 + b"\n.", "20 digits"),
        (b"hello\n", "no pickle, or a damaged one: b'h' at byte 0 .*numpy.savez"),
    ],
)
def test_every_other_opcode_or_global_is_refused_by_name(tmp_path, content, said):
    path = written(tmp_path, "evil.pkl", content)

    with pytest.raises(ModelError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


MEGABYTE = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20)
TEXT = b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20)
INNER = b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(60_000)) + b"u"
ARRAY = (  # a float32 array (512, 512) over a megabyte
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    b"(K\x01(M\x00\x02M\x00\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"I00\n" + MEGABYTE + b"tb"
)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x80\x04" + b"]" * 3_000_000 + b".", id="millions of lists"),
        pytest.param(b"\x80\x04N" + b"\x85" * 3_000_000 + b".", id="millions of tuples, one in the other"),
        pytest.param(b"\x80\x04]" + b"2a" * 240_000 + b".", id="a list in itself"),
        pytest.param(b"\x80\x04)" + b"2\x86" * 100_000 + b".", id="two to the hundred thousand leaves"),
        pytest.param(
            b"\x80\x02"
            + TEXT
            + b"q\x000"
            + b"("
            + b"c_codecs\nencode\n(h\x00X\x06\0\0\0latin1tR" * 5000
            + b"t.",
            id="the same text encoded 5000 times",
        ),
        pytest.param(
            b"\x80\x02" + ARRAY + b"q\x000}(" + b"".join(b"U\x06W%05dh\x00" % i for i in range(9000)) + b"u.",
            id="the same array under 9000 names",
        ),
        pytest.param(b"\x80\x02}(" + b"NNNN" * 60_000 + b"u.", id="keys that are none"),
        pytest.param(
            b"\x80\x02]q\x00(" + b"N" * 200_000 + b"e0](" + b"h\x00" * 9_999 + b"e.",
            id="ten thousand times a list of 200,000",
        ),
        pytest.param(
            b"\x80\x02}" + TEXT + INNER + b"s.", id="a long name before each of sixty thousand short ones"
        ),
        pytest.param(
            b"\x80\x02"
            + INNER
            + b"q\x010}("
            + b"".join(b"U\x06W%05dh\x01" % i for i in range(5_000))
            + b"u.",
            id="five thousand times a dict of sixty thousand",
        ),
        pytest.param(
            b"\x80\x02}U\x0bactivations](" + TEXT + b"q\x00" + b"h\x00" * 100_000 + b"es.",
            id="a hundred thousand long activations",
        ),
        pytest.param(
            b"\x80\x02" + MEGABYTE + b"q\x000}(" + b"h\x00N" * 100_000 + b"u.",
            id="a hundred thousand times the same long key",
        ),
        pytest.param(
            b"\x80\x02" + b"}(K\x01N" * 50_000 + b"u" * 50_000 + b".", id="dicts fifty thousand deep"
        ),
        pytest.param(ARRAY.replace(b"M\x00\x02M\x00\x02", b"J\xff\xff\xff\x7f" * 2), id="a lying shape"),
    ],
)
def test_a_pickle_bomb_allocates_no_more_than_a_small_multiple_of_its_size(tmp_path, content):
    path = written(tmp_path, "bomb.pkl", content)

    assert allocated(lambda: load(path)) < 8 * len(content) + 40_000_000


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_cut_anywhere_is_a_model_error(tmp_path, protocol):
    content = pickle.dumps(weights(), protocol=protocol)
    for cut in range(len(content)):
        with pytest.raises(ModelError):
            load(written(tmp_path, "cut.pkl", content[:cut]))


@pytest.mark.parametrize("protocol", range(6))
@quiet
@given(data=st.data())
def test_a_mutated_pickle_is_a_model_or_a_model_error_and_nothing_else(tmp_path, protocol, data):
    content = pickle.dumps(weights(), protocol=protocol)
    changed = mutated(content, data.draw(mutations(len(content))))
    model_or_model_error(written(tmp_path, "mutated.pkl", changed))


OPCODES = [op.code.encode("latin-1") for op in pickletools.opcodes]
ARGUMENTS = [b"", b"\x00", b"\x01\x00", b"\x01\x00\x00\x00", b"f4", b"<", b"C", b"\n", b"numpy\n", b"dtype\n"]


@quiet
@example([b"(", b"."])
@given(st.lists(st.sampled_from(OPCODES + ARGUMENTS), max_size=40))
def test_any_sequence_of_opcodes_is_a_model_error(tmp_path, parts):
    with pytest.raises(ModelError):
        load(written(tmp_path, "random.pkl", b"".join(parts) + b"."))


def test_the_interpreter_agrees_with_pickle_on_every_plain_value():
    """The twin: the standard library's own unpickler, on values that both may read."""
    from streameval.models.pickle_machine import read

    plain = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner) | st.tuples(inner, inner)
        ),
        max_leaves=20,
    )

    @settings(deadline=None)
    @given(plain, st.integers(0, 5))
    def check(value, protocol):
        assert read(pickle.dumps(value, protocol=protocol)) == value

    check()
