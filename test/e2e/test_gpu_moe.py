"""``pith.moe`` on an emulated GPU against float64: routing, two layers and the sum over experts are one program."""

import itertools
import math

import numpy as np
import pith
import pytest
from pith.workloads.moe_device import moe_on_device
from pith.workloads.moe_device_ir import Experts

NUMPY = {"f16": np.float16, "f32": np.float32}
#: ||out - ref|| / ||ref||: sums are in f32; f16 rounds the hidden layer and the result.
TOLERANCE = {"f16": 1e-3, "f32": 2e-6}
TARGET = "emulate:sm_90"


def activated(y, name):
    gelu = np.vectorize(math.erf, otypes=[float])
    return {None: y, "relu": np.maximum(y, 0), "gelu": y * 0.5 * (1 + gelu(y / np.sqrt(2)))}[name]


def reference(x, experts, gates, weights, biases, activation):
    """Every chosen expert of every token, in float64; experts past the range add nothing."""
    out = np.zeros((len(x), weights[-1].shape[2]))
    for t, chosen in enumerate(experts):
        for j, e in enumerate(chosen):
            if not 0 <= e < len(weights[0]):
                continue
            h = x[t].astype("f8")
            for i, (w, b) in enumerate(zip(weights, biases)):
                h = h @ w[e].astype("f8") + (0 if b is None else b[e].astype("f8"))
                h = activated(h, activation) if i < len(weights) - 1 or i == 0 else h
            out[t] += h * (1 if gates is None else gates[t, j].astype("f8"))
    return out


CASES = [
    # element, tokens, each, (experts, in, hidden, out), biases, activation, gates
    ("f32", 30, 2, (5, 16, 24, 17), (True, True), "gelu", True),
    ("f32", 21, 1, (3, 16, 24), (False,), None, False),
    ("f16", 50, 2, (7, 24, 40, 16), (True, False), "relu", True),
    ("f16", 40, 1, (40, 17, 24, 9), (False, False), "relu", False),
    ("f32", 0, 2, (5, 16, 24, 17), (True, True), "gelu", True),
]


@pytest.mark.parametrize(("element", "tokens", "each", "sizes", "biases", "activation", "gates"), CASES)
def test_a_mixture_of_experts(element, tokens, each, sizes, biases, activation, gates):
    rng, (count, *widths), dtype = np.random.default_rng(tokens), sizes, NUMPY[element]
    x = rng.standard_normal((tokens, widths[0])).astype(dtype)
    experts = np.argsort(rng.random((tokens, count)), 1)[:, :each]
    g = rng.random((tokens, each)).astype(dtype) if gates else None
    weights = [(rng.standard_normal((count, a, b)) / np.sqrt(a)).astype(dtype) for a, b in itertools.pairwise(widths)]
    extras = [rng.standard_normal((count, w.shape[2])).astype(dtype) if b else None for w, b in zip(weights, biases)]
    out = moe_on_device(x, experts, g, weights, extras, activation, "pith.moe", TARGET)
    assert out.dtype == dtype
    expected = reference(x, experts, g, weights, extras, activation)
    assert np.linalg.norm(out - expected) <= TOLERANCE[element] * max(np.linalg.norm(expected), 1e-30)


def test_layers_share_the_segments_of_the_routing():
    kernel = pith.compile(
        Experts("f32", 1, ((4, 16, 16), (4, 16, 16)), (False, False), "relu", False).source(), target=TARGET
    )
    names = [launch.kernel.split("_")[1] for launch in kernel.launches]
    assert names == ["routing", "clear", "tally", "segments", "gather", "grouped", "grouped"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.ones((4, 8), np.float64)}, pith.DTypeError, "expects f16, bf16 or f32, got float64"),
        ({"weights": [np.ones((2, 9, 3), np.float32)]}, pith.ShapeError, r"expects weights of shape \(2, 8, out\)"),
        ({"biases": [np.ones((2, 4), np.float32)]}, pith.ShapeError, r"expects a bias of shape \(2, 3\)"),
        ({"experts": np.zeros(3, int)}, pith.ShapeError, "expects x of shape"),
        ({"gates": np.ones(4)}, pith.DTypeError, "expects float32 everywhere, got float64"),
        ({"activation": "relo"}, pith.ArgumentError, "activation"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(change, error, message):
    given = {
        "x": np.ones((4, 8), np.float32),
        "experts": np.zeros(4, int),
        "gates": None,
        "weights": [np.ones((2, 8, 3), np.float32)],
        "biases": [None],
        "activation": None,
    }
    with pytest.raises(error, match=message):
        moe_on_device(**{**given, **change}, where="pith.moe", target=TARGET)
