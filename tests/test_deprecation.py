"""Keywords that became fields of a value go on to work, and say what to write instead."""

from __future__ import annotations

import pytest

import streameval as se
from streameval.errors import UsageError


def test_keywords_of_an_earlier_version_mean_what_they_meant(digits_file, network_file):
    model = se.load_model(network_file)
    with pytest.warns(
        DeprecationWarning, match=r"evaluate\(shard=...\): write options=streameval.PassOptions\(shard="
    ):
        earlier = se.evaluate(model, digits_file, shard=(1, 3))
    assert earlier.digest == se.evaluate(model, digits_file, options=se.PassOptions(shard=(1, 3))).digest
    assert earlier.rows == 1000


def test_they_do_not_go_together_with_what_took_their_place(digits_file, network_file):
    model = se.load_model(network_file)
    with pytest.raises(UsageError, match="belong into options="):
        se.evaluate(model, digits_file, shard=(1, 3), options=se.PassOptions())


def test_other_names_are_refused_as_python_does(digits_file, network_file):
    with pytest.raises(TypeError, match="unexpected keyword argument 'shards'"):
        se.evaluate(se.load_model(network_file), digits_file, shards=(1, 3))
