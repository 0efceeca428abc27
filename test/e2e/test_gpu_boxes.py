"""Operands that the copy engine brings in boxes (TMA), under emulation against float64. No GPU is needed."""

import numpy as np
import pattern_programs as programs
import pith
import pytest
from cuda_stand_in import Gpu, standing_in
from emulated_device import emulating
from pith.runtime import cuda
from pith.workloads.moe_ir import grouped_source
from test_gpu_pit import pit
from test_gpu_products import draw, error_of, matmul

TARGET = "emulate:sm_90a"
TOLERANCE = {"f32": 2e-6, "f16": 6e-4, "bf16": 5e-3}
#: m, n, k, warps down and across, stages: rows of 128, 64 and 32 bytes, one panel and several.
TILES = {
    "warpgroups": "array<i64: 64, 128, 64, 4, 1, 3>",
    "128": "array<i64: 32, 64, 64, 2, 2, 3>",
    "panels": "array<i64: 32, 128, 64, 2, 2, 2>",
    "64": "array<i64: 32, 32, 32, 2, 2, 2>",
    "32": "array<i64: 16, 16, 16, 1, 1, 4>",
}
#: No size is a multiple of a tile; rows are multiples of 16 bytes.
ODD = {"a": 2, "b": 3, "m": 104, "n": 88, "k": 136}
LOAD, COPY = "nvgpu.tma.async.load", "nvgpu.device_async_copy"


def run(source, lhs, rhs, out, element, result, sizes, target=TARGET):
    """(error, kernel) of a product on random data, its output NaN before."""
    kernel = pith.compile(source, target=target)
    rng = np.random.default_rng([*sizes.values()])
    (a, av), (b, bv) = (draw(rng, [sizes[r] for r in roles], element) for roles in (lhs, rhs))
    c, cv = draw(rng, [sizes[r] for r in out], "i8" if result == "i32" else result)
    c = np.asarray(c, np.int32) if result == "i32" else c
    return error_of(kernel(a, b, c), np.einsum(f"{lhs},{rhs}->{out}", av, bv) + cv), kernel


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize(("lhs", "rhs"), [("mk", "kn"), ("mk", "nk"), ("km", "kn"), ("km", "nk")])
def test_orders_of_operands(lhs, rhs, tile):
    error, kernel = run(matmul(lhs, rhs, "mn", "f16", "f32", ODD, TILES[tile]), lhs, rhs, "mn", "f16", "f32", ODD)
    assert error < TOLERANCE["f32"]
    assert LOAD in kernel.ir("gpu") and COPY not in kernel.ir("gpu") and "lhs and rhs in boxes" in kernel.explain()
    assert ("nvvm.wgmma" in kernel.ir("gpu")) == (tile == "warpgroups")


@pytest.mark.parametrize(
    ("lhs", "rhs", "element", "result"),
    [
        ("mk", "kn", "bf16", "bf16"),
        ("mk", "nk", "i8", "i32"),
        ("bmk", "bkn", "f16", "f32"),
        ("mbk", "kn", "f16", "f32"),
    ],
)
def test_types_and_batches(lhs, rhs, element, result):
    out = "bmn" if "b" in lhs else "mn"
    source = matmul(lhs, rhs, out, element, result, ODD, TILES["128"])
    sizes = ODD if element != "i8" else {**ODD, "k": 144}
    error, kernel = run(source if element != "i8" else matmul(lhs, rhs, out, element, result, sizes, TILES["128"]),
                        lhs, rhs, out, element, result, sizes)  # fmt: skip
    assert error < TOLERANCE.get(result, 1e-30) and LOAD in kernel.ir("gpu")


def test_tf32_rows_along_k():
    source = matmul("mk", "nk", "mn", "f32", "f32", ODD, TILES["64"])
    error, kernel = run(source, "mk", "nk", "mn", "f32", "f32", ODD, target=TARGET + "+tf32")
    assert error < 1e-3 and LOAD in kernel.ir("gpu")  # 10 bits of mantissa


def test_parts_of_k():
    sizes = {"m": 24, "n": 40, "k": 1000}
    source = matmul("mk", "kn", "mn", "f16", "f32", sizes, "array<i64: 32, 64, 64, 2, 2, 3, 4>")
    error, kernel = run(source, "mk", "kn", "mn", "f16", "f32", sizes)
    assert error < TOLERANCE["f32"] and LOAD in kernel.ir("gpu") and "4 blocks share a tile" in kernel.explain()


@pytest.mark.parametrize("sizes", [(104, 88, 136), (45, 37, 53), (45, 40, 53), (8, 8, 0), (1, 8, 8), (0, 8, 8)])
def test_the_host_chooses_by_the_sizes(sizes):
    """Rows that are no multiple of 16 bytes, and k of no elements, take the kernel that copies chunk by chunk."""
    m, n, k = sizes
    named = {"m": m, "n": n, "k": k}
    error, kernel = run(
        matmul("mk", "kn", "mn", "f16", "f32", None, TILES["128"]), "mk", "kn", "mn", "f16", "f32", named
    )
    assert error < TOLERANCE["f32"]
    boxed, plain = kernel.launches
    facts = [(m, k), (k, n), (m, n)]
    grids = [launch.grid[0].evaluate(facts) for launch in (boxed, plain)]
    blocks = -(-m // 32) * -(-n // 64)
    assert grids == ([blocks, 0] if k and k % 8 == n % 8 == 0 else [0, blocks])


def test_static_rows_that_are_no_multiple_of_16_bytes():
    sizes = {"m": 40, "n": 36, "k": 64}
    error, kernel = run(
        matmul("mk", "kn", "mn", "f16", "f32", sizes, TILES["128"]), "mk", "kn", "mn", "f16", "f32", sizes
    )
    assert error < TOLERANCE["f32"] and "; lhs in boxes" in kernel.explain()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_gathered_operand_beside_a_boxed_one(share):
    """Listed rows of the lhs are gathered chunk by chunk, the rhs comes in boxes."""
    m, n, k = 100, 72, 136
    source = pit(("mk", "kn", "mn"), [("m", (1,))], {"m": 32, "n": 64, "k": 64}, (1,), "f16", "f32")
    kernel = pith.compile(source, target=TARGET)
    rng = np.random.default_rng(7)
    rows = rng.permutation(np.flatnonzero(rng.random(m) < share)).astype(np.int32)
    a, b = rng.standard_normal((m, k)).astype(np.float16), rng.standard_normal((k, n)).astype(np.float16)
    a[np.setdiff1d(np.arange(m), rows)] = np.nan
    entries = np.array([len(rows), *rows, *[-1] * (m - len(rows))], np.int32)
    out = kernel(entries, a, b, np.zeros((m, n), np.float32))
    ref = np.zeros((m, n))
    ref[rows] = a[rows].astype("f8") @ b.astype("f8")
    assert error_of(out, ref) < TOLERANCE["f32"] and "; rhs in boxes" in kernel.explain()


@pytest.mark.parametrize("columns", [72, 70])
def test_weights_of_experts(columns):
    """Rows of an expert are gathered; its weights come in boxes, where their rows allow."""
    rng = np.random.default_rng(columns)
    tokens, depth, experts = 90, 88, 4
    chosen = rng.integers(0, experts - 1, tokens)  # one expert sees none
    listed = programs.device_list(rng.permutation(np.stack([np.arange(tokens), chosen], 1)))
    x = rng.standard_normal((tokens, depth)).astype(np.float16)
    w = rng.standard_normal((experts, depth, columns)).astype(np.float16)
    kernel = pith.compile(grouped_source("f16", "f16", False, None, False), target=TARGET)
    out = np.full((tokens, columns), np.nan, np.float32)
    kernel(listed, x, w, out)
    expected = np.einsum("tk,tkn->tn", x.astype("f8"), w.astype("f8")[chosen])
    assert error_of(out, expected) < TOLERANCE["f32"] and "; rhs in boxes" in kernel.explain()


VIEW = """func.func @f(%x: tensor<?x96xf16>, %w: tensor<96x72xf16>, %out: tensor<?x12x72xf32>) -> tensor<?x12x72xf32> {
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %out, %c0 : tensor<?x12x72xf32>
  %v = tensor.expand_shape %x [[0, 1], [2]] output_shape [%rows, 12, 96] : tensor<?x96xf16> into tensor<?x12x96xf16>
  %r = linalg.generic {indexing_maps = [affine_map<(a, m, n, k) -> (a, m, k)>, affine_map<(a, m, n, k) -> (k, n)>,
      affine_map<(a, m, n, k) -> (a, m, n)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"],
      pith.gpu_tile = array<i64: 32, 64, 64, 2, 2, 3>}
    ins(%v, %w : tensor<?x12x96xf16>, tensor<96x72xf16>) outs(%out : tensor<?x12x72xf32>) {
  ^bb0(%p: f16, %q: f16, %z: f32):
    %s = arith.extf %p : f16 to f32
    %t = arith.extf %q : f16 to f32
    %u = arith.mulf %s, %t : f32
    %y = arith.addf %z, %u : f32
    linalg.yield %y : f32
  } -> tensor<?x12x72xf32>
  return %r : tensor<?x12x72xf32>
}"""


def test_boxes_of_a_view():
    kernel = pith.compile(VIEW, target=TARGET)
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((60, 96)).astype(np.float16), rng.standard_normal((96, 72)).astype(np.float16)
    out = kernel(x, w, np.zeros((5, 12, 72), np.float32))
    assert error_of(out, (x.astype("f8") @ w.astype("f8")).reshape(5, 12, 72)) < TOLERANCE["f32"]
    assert LOAD in kernel.ir("gpu")


def test_started_through_the_driver():
    """Descriptors are made once per address, and a graph keeps those it was recorded with."""
    source = matmul("mk", "kn", "mn", "f16", "f32", None, TILES["128"])
    with standing_in(Gpu()) as device:
        kernel, emulated = pith.compile(source, target="sm_90a"), pith.compile(source, target=TARGET)
        device.kernels = emulating(kernel.program, emulated.emulator)
        rng = np.random.default_rng(5)
        for m, k, n in ((70, 72, 40), (70, 73, 41), (70, 72, 40)):
            a, b = rng.standard_normal((m, k)).astype(np.float16), rng.standard_normal((k, n)).astype(np.float16)
            held = [cuda.to_device(x) for x in (a, b, np.zeros((m, n), np.float32))]
            ref = a.astype("f8") @ b.astype("f8")
            assert error_of(kernel(*held).numpy(), ref) < TOLERANCE["f32"]
        count = device.calls.count("cuTensorMapEncodeTiled")
        assert count >= 2
        kernel(*held)
        assert device.calls.count("cuTensorMapEncodeTiled") == count
        graph = kernel.capture(*held[:2], cuda.to_device(np.zeros((70, 40), np.float32)))
        other = kernel(*(cuda.to_device(x) for x in (a + 1, b, np.zeros((70, 40), np.float32))))
        assert error_of(other.numpy(), (a + 1).astype("f8") @ b.astype("f8")) < TOLERANCE["f32"]
        assert error_of(graph.replay().numpy(), ref) < TOLERANCE["f32"]
