"""Grouped products on the device, under emulation, against float64: experts, ragged batches, rows that meet."""

import functools
import math

import numpy as np
import pattern_programs as programs
import pith
import pytest
from pith.workloads.moe_ir import grouped_source
from relative_error import error_of

NUMPY = {"f16": np.float16, "f32": np.float32}
#: ||out - ref|| / ||ref||: sums are in f32 whatever the inputs are.
TOLERANCE = 2e-6


@functools.cache
def compiled(source):
    return pith.compile(source, target="emulate:sm_90")


def activated(y, name):
    return {
        None: lambda: y,
        "relu": lambda: np.maximum(y, 0),
        "gelu": lambda: y * 0.5 * (1 + np.vectorize(math.erf)(y / np.sqrt(2))),
        "silu": lambda: y / (1 + np.exp(-y)),
    }[name]()


def spread(rng, tokens, experts):
    return rng.integers(0, experts, tokens)


def one_takes_all(rng, tokens, experts):
    return np.full(tokens, experts // 2)


def even(rng, tokens, experts):
    return rng.permutation(np.arange(tokens) % experts)


CASES = [
    # element, (tokens, experts, in, out), bias, activation, gates, routing
    ("f32", (45, 5, 33, 21), False, None, False, spread),
    ("f32", (70, 9, 40, 24), True, "gelu", True, spread),
    ("f16", (45, 5, 33, 21), True, "relu", True, spread),
    ("f16", (200, 3, 64, 40), False, None, True, one_takes_all),
    ("f16", (40, 60, 24, 16), False, "silu", False, spread),
    ("f16", (128, 2, 16, 72), True, None, False, even),
    ("f32", (0, 5, 33, 21), True, "relu", True, spread),
    ("f32", (1, 1, 1, 1), False, None, False, spread),
]


@pytest.mark.parametrize(("element", "shape", "bias", "activation", "gates", "routing"), CASES)
def test_experts_of_tokens(element, shape, bias, activation, gates, routing):
    """The IR behind ``pith.grouped_matmul``: every slot has one expert; no capacity, empty and overfull experts."""
    rng, (tokens, experts, depth, columns) = np.random.default_rng(shape), shape
    dtype = NUMPY[element]
    e = routing(rng, tokens, experts)
    listed = programs.device_list(rng.permutation(np.stack([np.arange(tokens), e], 1)))
    x, w = rng.standard_normal((tokens, depth)).astype(dtype), rng.standard_normal((experts, depth, columns))
    w = w.astype(dtype)
    b, g = rng.standard_normal((experts, columns)).astype(dtype), rng.random(tokens).astype(dtype)
    out = np.full((tokens, columns), np.nan, np.float32)
    kernel = compiled(grouped_source(element, element, bias, activation, gates))
    expected = np.einsum("tk,tkn->tn", x.astype("f8"), w.astype("f8")[e])
    expected = activated(expected + b.astype("f8")[e] if bias else expected, activation)
    expected = expected * g.astype("f8")[:, None] if gates else expected
    for _ in range(2):
        kernel(listed, x, w, *[b] * bias, *[g] * gates, out)
        assert error_of(out, expected) < TOLERANCE
        out[...] = np.nan


MEETING = """#x = affine_map<(s, n, e, k) -> (s, k)>
#w = affine_map<(s, n, e, k) -> (e, k, n)>
#y = affine_map<(s, n, e, k) -> (s, n)>
func.func @route(%experts: tensor<{T}x{k}xi32>, %x: tensor<{T}x?x{t}>, %w: tensor<{E}x?x?x{t}>,
                 %init: tensor<{T}x?xf32>) -> tensor<{T}x?xf32> {{
  %p = "pith.from_routing"(%experts) : (tensor<{T}x{k}xi32>) -> {p}
  %y = "pith.pit_tile"(%p, %x, %w, %init) ({{
  ^bb0(%tx: tensor<64x?x{t}>, %tw: tensor<1x?x?x{t}>, %ty: tensor<64x?xf32>):
    %sum = linalg.generic {{indexing_maps = [#x, #w, #y],
        iterator_types = ["parallel", "parallel", "reduction", "reduction"]}}
        ins(%tx, %tw : tensor<64x?x{t}>, tensor<1x?x?x{t}>) outs(%ty : tensor<64x?xf32>) {{
    ^bb0(%v: {t}, %u: {t}, %s: f32):
      {widen}
      %m = arith.mulf {v}, {u} : f32
      %a = arith.addf %s, %m : f32
      linalg.yield %a : f32
    }} -> tensor<64x?xf32>
    "pith.yield"(%sum) : (tensor<64x?xf32>) -> ()
  }}) {{indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: 64, 0, 1, 0>, micro_tile = array<i64: 1, 1>, accumulate = true,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}}
    : ({p}, tensor<{T}x?x{t}>, tensor<{E}x?x?x{t}>, tensor<{T}x?xf32>) -> tensor<{T}x?xf32>
  return %y : tensor<{T}x?xf32>
}}"""


def meeting(element, each, tokens="?", experts="?"):
    """``route(experts, x, w, init) -> init + sum over j of x[t] @ w[experts[t, j]]``: rows of a token meet."""
    widen = "" if element == "f32" else f"%ve = arith.extf %v : {element} to f32 %ue = arith.extf %u : {element} to f32"
    v, u = ("%v", "%u") if element == "f32" else ("%ve", "%ue")
    sizes = [-1 if n == "?" else n for n in (tokens, experts)]
    pattern = f"!pith.pattern<{sizes}, [1, 1]>"
    return MEETING.format(t=element, k=each, widen=widen, v=v, u=u, T=tokens, E=experts, p=pattern)


@pytest.mark.parametrize("element", ["f32", "f16"])
@pytest.mark.parametrize(("each", "sizes"), [(1, ()), (2, ()), (2, (77, 6))])
def test_routing_and_product_in_one_program(element, each, sizes):
    """The list is made on the device, -1 names no expert, and a token's experts add up."""
    rng, (tokens, experts, depth, columns) = np.random.default_rng(each), (77, 6, 40, 19)
    chosen = np.argsort(rng.random((tokens, experts)), 1)[:, :each].astype(np.int32)
    chosen[rng.random((tokens, each)) < 0.2] = -1
    x = rng.standard_normal((tokens, depth)).astype(NUMPY[element])
    w = rng.standard_normal((experts, depth, columns)).astype(NUMPY[element])
    init = rng.standard_normal((tokens, columns)).astype(np.float32)
    expected = init.astype("f8")
    for t, j in np.argwhere(chosen >= 0):
        expected[t] += x[t].astype("f8") @ w[chosen[t, j]].astype("f8")
    before = init.copy()
    assert error_of(compiled(meeting(element, each, *sizes))(chosen, x, w, init), expected) < TOLERANCE
    assert (init == before).all()


RAGGED = """#x = affine_map<(b, s, n, k) -> (b, s, k)>
#w = affine_map<(b, s, n, k) -> (k, n)>
#y = affine_map<(b, s, n, k) -> (b, s, n)>
func.func @ragged(%l: tensor<?xi64>, %x: tensor<?x?x?xf32>, %w: tensor<?x?xf32>, %init: tensor<?x?x?xf32>)
    -> tensor<?x?x?xf32> {
  %c1 = arith.constant 1 : index
  %size = tensor.dim %x, %c1 : tensor<?x?x?xf32>
  %p = "pith.from_lengths"(%l, %size) : (tensor<?xi64>, index) -> !pith.pattern<[-1, -1], [1, 4]>
  %y = "pith.pit_tile"(%p, %x, %w, %init) ({
  ^bb0(%tx: tensor<1x32x?xf32>, %tw: tensor<?x?xf32>, %ty: tensor<1x32x?xf32>):
    %sum = linalg.generic {indexing_maps = [#x, #w, #y],
        iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%tx, %tw : tensor<1x32x?xf32>, tensor<?x?xf32>) outs(%ty : tensor<1x32x?xf32>) {
    ^bb0(%v: f32, %u: f32, %s: f32):
      %m = arith.mulf %v, %u : f32
      %a = arith.addf %s, %m : f32
      linalg.yield %a : f32
    } -> tensor<1x32x?xf32>
    "pith.yield"(%sum) : (tensor<1x32x?xf32>) -> ()
  }) {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "parallel", "reduction"],
      axes = array<i64: 0, 1>, tile = array<i64: 1, 32, 0, 0>, micro_tile = array<i64: 1, 4>, accumulate = false,
      operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}
    : (!pith.pattern<[-1, -1], [1, 4]>, tensor<?x?x?xf32>, tensor<?x?xf32>, tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  return %y : tensor<?x?x?xf32>
}"""


def test_ragged_batches():
    """Blocks of four positions of every sequence; what padding holds, NaN, is not read where no block is listed."""
    rng = np.random.default_rng(2)
    lengths = np.array([0, 50, 3, 17, 1, 49])
    x = rng.standard_normal((6, 50, 23)).astype(np.float32)
    w, init = rng.standard_normal((23, 18)).astype(np.float32), rng.standard_normal((6, 50, 18)).astype(np.float32)
    used = np.arange(50) < -(-lengths // 4)[:, None] * 4
    expected = init.astype("f8") + (x.astype("f8") @ w.astype("f8")) * used[:, :, None]
    x[~used] = np.nan
    out = compiled(RAGGED)(lengths, x, w, init)
    assert error_of(out, expected) < TOLERANCE
    assert (out[~used] == init[~used]).all()


def test_one_block_makes_the_segments_of_short_lists():
    kernels = [[x.kernel.split("_")[1] for x in compiled(meeting("f32", 2, *s)).launches] for s in ((), (77, 6))]
    assert kernels[0] == ["routing", "copy", "clear", "tally", "segments", "gather", "grouped"]
    assert kernels[1] == ["routing", "copy", "segments", "grouped"]
