"""``pith.linear`` of arrays on a GPU, under emulation, against float64; sizes that divide nothing."""

import math

import numpy as np
import pith
import pytest
from pith.functional.linear.device import linear_on_device

TOLERANCE = {"float16": 1e-3, "float32": 1e-6}
ROWS, OUT, IN = (3, 13), 48, 72

ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: 0.5 * z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
    "silu": lambda z: z / (1 + np.exp(-z)),
}

CASES = [
    # format, element type, activation, bias, residual
    ("csr", "float32", "relu", True, True),
    ("csr", "float16", None, False, False),
    ("coo", "float32", "gelu", True, False),
    ("C0(2:4)", "float16", "gelu", True, True),
    ("C0(2:4)", "float32", None, False, True),
    ("V(4)C1(1:2)->C0(2:4)", "float16", "silu", True, False),
    (None, "float16", "relu", True, False),
    (None, "float32", None, False, False),
]


def weight_of(fmt, dtype, rng):
    dense = rng.standard_normal((OUT, IN)).astype(dtype)
    if fmt is None:
        return dense, dense
    dense = pith.prune(dense, fmt) if "C" in fmt else np.where(rng.random(dense.shape) < 0.3, dense, 0).astype(dtype)
    return pith.compress(dense, fmt), dense


@pytest.mark.parametrize(("fmt", "dtype", "activation", "biased", "added"), CASES)
def test_layers(fmt, dtype, activation, biased, added):
    rng = np.random.default_rng(len(str(fmt)))
    a, dense = weight_of(fmt, dtype, rng)
    x = rng.standard_normal((*ROWS, IN)).astype(dtype)
    bias = rng.standard_normal(OUT).astype(dtype) if biased else None
    residual = rng.standard_normal((*ROWS, OUT)).astype(dtype) if added else None
    y = linear_on_device(x, a, bias, activation, residual, target="emulate:sm_90")
    z = x.astype("f8") @ dense.astype("f8").T + (0 if bias is None else bias.astype("f8"))
    ref = ACTIVATIONS[activation](z) + (0 if residual is None else residual.astype("f8"))
    assert y.shape == ref.shape and y.dtype == dtype
    assert np.linalg.norm(y.astype("f8") - ref) <= TOLERANCE[dtype] * np.linalg.norm(ref)


def test_no_rows_and_nothing_stored():
    a = pith.compress(np.zeros((OUT, IN), "f4"), "csr")
    assert linear_on_device(np.ones((0, IN), "f4"), a, target="emulate:sm_90").shape == (0, OUT)
    out = linear_on_device(np.full(IN, np.inf, "f4"), a, np.arange(OUT, dtype="f4"), target="emulate:sm_90")
    assert (out == np.arange(OUT)).all()  # what is not stored is not multiplied


def test_what_does_not_fit():
    a = pith.compress(np.eye(OUT, IN, dtype="f4"), "csr")
    x = np.ones((2, IN), "f4")

    def refused(kind, match, *args):
        with pytest.raises(kind, match=match):
            linear_on_device(*args, target="emulate:sm_90")

    refused(pith.ShapeError, r"expects x of shape \(..., 72\), got \(2, 48\)", np.ones((2, OUT), "f4"), a)
    refused(pith.ShapeError, r"expects bias of shape \(48,\)", x, a, np.ones(IN, "f4"))
    refused(pith.DTypeError, "'x'", x.astype("f2"), a)
    refused(pith.DTypeError, "no linear kernel for int8", x, pith.compress(np.eye(OUT, IN, dtype="i1"), "csr"))
    refused(pith.ArgumentError, "expects a matrix as weight", x, "a")
