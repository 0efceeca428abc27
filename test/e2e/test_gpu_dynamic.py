"""Products of ``pith.dynamic`` operands on a GPU: under emulation against float64; what large ones launch."""

import numpy as np
import pith
import pytest
from pith.functional.dynamic import device as dynamic_device
from pith.functional.dynamic.device import dynamic_on_device, product_source
from relative_error import error_of

TARGET = "emulate:sm_90"


def zeros_in(rng, shape, granularity, dtype, share=0.8):
    """A matrix most of whose micro-tiles are empty."""
    extents = [g or n for g, n in zip(granularity, shape)]
    mask = rng.random([-(-n // g) for n, g in zip(shape, extents)]) >= share
    for axis, g in enumerate(extents):
        mask = mask.repeat(g, axis)
    return (rng.standard_normal(shape) * mask[tuple(slice(n) for n in shape)]).astype(dtype)


@pytest.fixture
def packs(monkeypatch):
    """The decision of matrices that fill a GPU: those that an emulator can do would run dense."""

    def source(sizes, element, left, granularity, threshold):
        axis = 2 if granularity[0] != 1 else 0
        decision = f"""pith.tile_decision = {{break_even = 0.5, sparsity = 0.9, choice = "packed", candidates = [
          {{name = "packed", cost_ns = 1, covered = 0.9, axis = {axis}, tile = array<i64: 32, 64, 64>,
            micro_tile = array<i64: {granularity[0]}, {granularity[1]}>}},
          {{name = "dense", cost_ns = 2, covered = 0.0}}]}}"""
        text = product_source(sizes, element, left, granularity, threshold)
        return text.replace("f64}]}", f"f64}}], {decision}}}")

    monkeypatch.setattr(dynamic_device, "product_source", source)
    dynamic_device._kernel.cache_clear()
    yield
    dynamic_device._kernel.cache_clear()


CASES = [
    # shape of x, shape of y, on the left, granularity, threshold, dtype
    ((67, 90), (90, 45), True, "auto", 0.0, "f2"),
    ((3, 23, 90), (90, 45), True, "rows", 0.0, "f4"),
    ((67, 90), (90,), True, (1, 32), 0.0, "f4"),
    ((67, 90), (45, 67), False, "columns", 0.5, "f4"),
    ((67, 90), (2, 5, 67), False, (4, 8), 0.0, "f2"),
]


@pytest.mark.parametrize(("shape", "other", "left", "granularity", "threshold", "dtype"), CASES)
def test_products(shape, other, left, granularity, threshold, dtype):
    rng = np.random.default_rng(1)
    declared = dynamic_device._DECLARED.get(granularity, granularity) if isinstance(granularity, str) else granularity
    x = zeros_in(rng, (int(np.prod(shape[:-1])), shape[-1]), declared, dtype).reshape(shape)
    y = rng.standard_normal(other).astype(dtype)
    kept = np.where(np.abs(x) > threshold, x, 0).astype("f8")
    ref = kept @ y.astype("f8") if left else y.astype("f8") @ kept
    out = dynamic_on_device(x, y, left, granularity, threshold, ref.shape, target=TARGET)
    assert out.shape == ref.shape and out.dtype == x.dtype and error_of(out, ref) < (1e-3 if dtype == "f2" else 1e-6)
    into = np.full(ref.shape, np.nan, dtype)
    assert dynamic_on_device(x, y, left, granularity, threshold, ref.shape, into, target=TARGET) is into
    np.testing.assert_array_equal(into, out)


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize(("granularity", "dtype"), [((32, 1), "f2"), ("rows", "f4"), ((1, 32), "f2")])
def test_the_device_takes_the_packed_branch_or_the_dense_one(packs, granularity, dtype, share):
    rng, declared = np.random.default_rng(2), (1, 0) if granularity == "rows" else granularity
    x, y = zeros_in(rng, (70, 90), declared, dtype, 1 - share), rng.standard_normal((90, 33)).astype(dtype)
    ref = x.astype("f8") @ y.astype("f8")
    out = dynamic_on_device(x, y, True, granularity, 0.0, ref.shape, target=TARGET)
    assert error_of(out, ref) < (1e-3 if dtype == "f2" else 1e-6)


def test_large_products_hold_both_branches_and_detect_on_the_device():
    source = product_source((4096, 4096, 4096), "f16", True, (1, 32), 0.0)
    names = [launch.kernel.split("_")[1] for launch in pith.compile(source, target="sm_90").launches]
    assert {"detect", "choose", "pit", "matmul"} <= set(names)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"variant": "dense"}, pith.UnsupportedError, "no variant 'dense' on a GPU"),
        ({"y": np.ones((4, 2))}, pith.DTypeError, "float32 and float64"),
        ({"out": np.ones((3, 3), "f4")}, pith.ShapeError, r"expects float32 of shape \(3, 2\)"),
    ],
)
def test_what_is_refused(change, error, text):
    given = {"x": np.ones((3, 4), "f4"), "y": np.ones((4, 2), "f4"), "left": True, "granularity": "auto", **change}
    with pytest.raises(error, match=text):
        dynamic_on_device(**given, threshold=0.0, shape=(3, 2), target=TARGET)
