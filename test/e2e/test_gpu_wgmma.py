"""Products on Hopper's warpgroups, emulated, against float64: orders, elements, tiles."""

import functools

import numpy as np
import pith
import pytest
from test_gpu_products import TOLERANCE, draw, error_of, matmul, values

SIZES = {"b": 2, "m": 150, "n": 139, "k": 203}
EVEN = {"b": 2, "m": 192, "n": 136, "k": 208}
#: Multiples of nothing, and rows of whole 16 bytes.
BOTH = pytest.mark.parametrize("sizes", [SIZES, EVEN], ids=["odd", "even"])


@functools.lru_cache(maxsize=64)
def compiled(program, target="emulate:sm_90a"):
    return pith.compile(program, target=target)


def check(program, kernel_of, lhs, rhs, element, result, sizes, tolerance=None):
    rng = np.random.default_rng([*sizes.values()])
    (a, av), (b, bv) = (draw(rng, [sizes[r] for r in roles], element) for roles in (lhs, rhs))
    out = "bmn" if "b" in lhs else "mn"
    c, cv = draw(rng, [sizes[r] for r in out], "i8" if result == "i32" else result)
    c = c.astype(np.int32) if result == "i32" else c
    kernel = kernel_of(program)
    assert "nvvm.wgmma.mma_async" in kernel.ir("gpu") and "mma.sync" not in kernel.ir("gpu")
    got, ref = kernel(a, b, c), np.einsum(f"{lhs},{rhs}->{out}", av, bv) + cv
    if result == "i32":
        assert (values(got) == ref).all()
    else:
        assert error_of(got, ref) < (tolerance or TOLERANCE[result])


def tiled(*numbers):
    return f"array<i64: {', '.join(map(str, numbers))}>"


@BOTH
@pytest.mark.parametrize(("lhs", "rhs"), [("mk", "kn"), ("mk", "nk"), ("km", "kn"), ("km", "nk")])
def test_orders_of_operands(lhs, rhs, sizes):
    """16-bit elements are read as they lie, along k or across it."""
    program = matmul(lhs, rhs, "mn", "f16", "f32", tile=tiled(128, 64, 64, 4, 1, 3))
    check(program, compiled, lhs, rhs, "f16", "f32", sizes)


TILES = [
    # m, n, k, warps down and across, stages
    (128, 256, 64, 8, 1, 4),  # one instruction per warpgroup is 64 x 256
    (256, 64, 32, 8, 1, 2),  # two copies: nothing is left under way; rows of 64 bytes
    (64, 96, 16, 4, 1, 3),  # rows of 32 bytes along k
    (64, 128, 64, 4, 2, 3),  # warpgroups beside each other
    (128, 48, 64, 4, 1, 5),  # two instructions below each other; panels of 32 bytes
]


@BOTH
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_tiles(tile, sizes):
    check(matmul("mk", "kn", "mn", "f16", "f16", tile=tiled(*tile)), compiled, "mk", "kn", "f16", "f16", sizes)


@BOTH
@pytest.mark.parametrize(
    ("element", "result", "depth", "tolerance"),
    [("bf16", "bf16", 64, None), ("i8", "i32", 128, None), ("f32", "f32", 32, 2e-3)],
)
def test_elements(element, result, depth, tolerance, sizes):
    """f32 is read as tf32, where that is asked for: 10 bits of mantissa."""
    target = "emulate:sm_90a" + ("+tf32" if element == "f32" else "")
    program = matmul("mk", "nk", "mn", element, result, tile=tiled(64, 64, depth, 4, 1, 3))
    check(program, lambda p: compiled(p, target), "mk", "nk", element, result, sizes, tolerance)


def test_batches():
    program = matmul("bmk", "bnk", "bmn", "f16", "f32", tile=tiled(64, 64, 64, 4, 1, 3))
    check(program, compiled, "bmk", "bnk", "f16", "f32", SIZES)


@pytest.mark.parametrize("shape", [(0, 5, 4), (5, 0, 4), (5, 4, 0), (1, 1, 1), (1, 300, 1)])
def test_edges(shape):
    program = matmul("mk", "kn", "mn", "f16", "f32", tile=tiled(64, 64, 64, 4, 1, 3))
    check(program, compiled, "mk", "kn", "f16", "f32", dict(zip("mnk", shape)))


def test_only_elements_of_two_bytes_lie_across_k():
    """Others stay with ``mma.sync``."""
    text = compiled(matmul("mk", "kn", "mn", "i8", "i32", tile=tiled(64, 64, 128, 4, 1, 3))).ir("gpu")
    assert "nvgpu.mma.sync" in text and "wgmma" not in text
