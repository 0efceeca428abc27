"""Signatures as data."""

from __future__ import annotations

import json

import numpy as np
import pith
import pytest
from pith.runtime import MemRefSpec, ScalarSpec, Signature, accepted_dtypes, dtype_name, numpy_dtype

DTYPES = ["f16", "bf16", "f32", "f64", "i1", "i8", "i16", "i32", "i64", "index", "complex64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_json_round_trip(dtype):
    signature = Signature(
        "f",
        (MemRefSpec(dtype, (-1, 3), "x", writable=True, layout="strided"), ScalarSpec("i32", "n")),
        (MemRefSpec(dtype, ()), ScalarSpec("f64")),
    )
    assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "index"])
def test_dtypes_map_both_ways(dtype):
    assert dtype_name(numpy_dtype(dtype)) == dtype
    assert numpy_dtype(dtype) in accepted_dtypes(dtype)


def test_integers_have_no_sign():
    assert np.dtype("uint32") in accepted_dtypes("i32")
    assert np.dtype("uint8") not in accepted_dtypes("i1")


@pytest.mark.parametrize(
    "make",
    [
        lambda: MemRefSpec("float32", (1,)),
        lambda: ScalarSpec("bf16"),
        lambda: ScalarSpec("complex64"),
        lambda: dtype_name(np.dtype("U3")),
    ],
)
def test_unknown_element_types_are_refused(make):
    with pytest.raises(pith.DTypeError):
        make()


@pytest.mark.parametrize("shape, layout", [((-2,), "identity"), ((1,), "column")])
def test_malformed_specs_are_refused(shape, layout):
    with pytest.raises(pith.ShapeError):
        MemRefSpec("f32", shape, layout=layout)


@pytest.mark.parametrize(
    "data", [{}, {"name": "f", "args": [{}], "results": []}, {"name": "f", "args": 3, "results": []}]
)
def test_malformed_json_is_an_ordinary_error(data):
    with pytest.raises((KeyError, TypeError)):
        Signature.from_json(data)
