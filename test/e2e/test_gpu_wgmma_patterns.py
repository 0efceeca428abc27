"""Hopper's warpgroups on what is gathered, scattered and kept in shared memory, emulated, against float64."""

import functools

import gpu_programs
import numpy as np
import pith
import pytest
from pith import dialect
from structured_programs import source, weight
from test_gpu_pit import pit, random_pattern, reference
from test_gpu_products import TOLERANCE

SIZES = {"b": 2, "m": 150, "n": 136, "k": 203}
TILE = "{pith.gpu_tile = array<i64: 64, 64, 64, 4, 1, 3>}"


@functools.lru_cache(maxsize=64)
def compiled(program):
    kernel = pith.compile(program, target="emulate:sm_90a")
    assert "nvvm.wgmma.mma_async" in kernel.ir("gpu")
    return kernel


#: roles, patterns, micro-tiles, accumulate; tiles are 64 x 64 x 64
PATTERNS = {
    "rows": (("mk", "kn", "mn"), [("m", (1,))], (1,), False),
    "columns of a transposed result": (("km", "nk", "nm"), [("n", (3,))], (1,), False),
    "depth, gathered rows": (("km", "kn", "mn"), [("k", (1,))], (1,), False),
    "depth, gathered columns": (("mk", "nk", "mn"), [("k", (8,))], (1,), False),
    "rows and depth": (("mk", "kn", "mn"), [("m", (2,)), ("k", (4,))], (2, 4), False),
    "depth per block of rows": (("mk", "kn", "mn"), [("mk", (64, 1))], (64, 1), True),
    "rows per block of depth": (("mk", "kn", "mn"), [("mk", (1, 64))], (1, 64), True),
    "rows per batch": (("bmk", "bkn", "bmn"), [("bm", (1, 1))], (1, 1), False),
}


@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name, share):
    """What is not listed is not read: it holds NaN."""
    roles, patterns, micro, accumulate = PATTERNS[name]
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal([SIZES[r] for r in role]).astype(np.float16) for role in roles[:2])
    c = rng.standard_normal([SIZES[r] for r in roles[2]]).astype("f4")
    made = [random_pattern(rng, tuple(SIZES[d] for d in axes), g, share) for axes, g in patterns]
    expected = reference(roles, patterns, [mask for _, mask in made], a, b, c)
    (axes, _), *more = patterns
    if len(axes) == 1 and not more and axes in roles[0]:
        shape = [-1 if r == axes else 1 for r in roles[0]]
        a = np.where(made[0][1].reshape(shape), a, np.float16(np.nan))
    tile = {"b": 1, "m": 64, "n": 64, "k": 64}
    kernel = compiled(pit(roles, patterns, tile, micro, "f16", "f32", accumulate))
    out = kernel(*[p for p, _ in made], a, b, c)
    assert np.linalg.norm(out - expected) < TOLERANCE["f32"] * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("text", "transposed"),
    [("B(64x32)C0(*)", False), ("B(64x64)C0(*)", True), ("V(64)C1(1:4)->C0(4:8)", False), ("C0(bitmask)", False)],
)
def test_encoded_operands(text, transposed):
    """Blocks are copied, groups scattered, bitmaps scanned, into the same tiles."""
    rng = np.random.default_rng(5)
    w = weight(rng, text, (192, 256), "f16")
    x = rng.standard_normal((70, 256) if transposed else (256, 70)).astype(np.float16)
    program = source(text, w.shape, transposed=transposed)
    for operands in (" ins(%a, %b", " ins(%b, %a"):
        program = program.replace(operands, f" {TILE}{operands}")
    kernel = compiled(program)
    expected = x.astype("f8") @ w.astype("f8").T if transposed else w.astype("f8") @ x.astype("f8")
    out = np.asarray(kernel(pith.compress(w, pith.HSS.parse(text)), x))
    assert np.linalg.norm(out - expected) < TOLERANCE["f32"] * np.linalg.norm(expected)


@pytest.mark.parametrize("capacity", [1, 2 * 64 * 64, 9 * 64 * 64])
def test_overbooked(capacity):
    """Tiles of the rhs that stay are read again and again."""
    with dialect.make_context():
        program = gpu_programs.pit_matmul("k", element="f16", out="f32", tile=(64, 64, 64))
    buffer = f'pith.buffer = #pith.buffer<{capacity} : i64, "stream", "shared">, operandSegmentSizes'
    kernel = compiled(program.replace("operandSegmentSizes", buffer))
    rng, (m, n, k) = np.random.default_rng(capacity), (331, 70, 296)
    a, b = rng.standard_normal((m, k)).astype(np.float16), rng.standard_normal((k, n)).astype(np.float16)
    listed, chosen = np.full(1 + k, -1, np.int32), rng.permutation(k)[:177]
    listed[0], listed[1:178] = 177, chosen
    c = rng.standard_normal((m, n)).astype(np.float32)
    expected = c.astype("f8") + a[:, chosen].astype("f8") @ b[chosen].astype("f8")
    out = kernel(listed, a, b, c)
    assert np.linalg.norm(out - expected) <= TOLERANCE["f32"] * np.linalg.norm(expected)
