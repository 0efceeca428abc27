"""``pit_tile`` on every axis of a matrix product, and on other ops, against float64."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from pith.runtime import live_bytes, take_failure
from tile_programs import MatmulProgram, array, compile_program, error, pattern_type, segments, tensor

TOLERANCE = 1e-6  # float32 sums of at most 100 products
SIZES = (37, 29, 53)
TILE = (8, 16, 8)
M, N, K = 0, 1, 2

compiled = functools.cache(MatmulProgram.compile)


def operands(rng, sizes=SIZES, dtype=np.float32):
    m, n, k = sizes
    return [rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n))]


def single_axis(axis: int, granularity: int, micro: int, accumulate: bool, sizes=SIZES) -> MatmulProgram:
    return MatmulProgram(sizes, (axis,), (granularity,), (micro,), TILE, accumulate)


@pytest.mark.parametrize("listed", ["none", "one", "some", "all"])
@pytest.mark.parametrize(
    ("granularity", "micro", "accumulate"), [(1, 1, False), (1, 1, True), (8, 8, False), (8, 4, False), (3, 1, True)]
)
@pytest.mark.parametrize("axis", [M, N, K])
def test_matmul_on_one_axis(axis, granularity, micro, accumulate, listed):
    rng = np.random.default_rng([axis, granularity, micro, accumulate])
    program = single_axis(axis, granularity, micro, accumulate)
    grid = -(-SIZES[axis] // granularity)
    count = {"none": 0, "one": 1, "some": grid // 2, "all": grid}[listed]
    # The last micro-tile is partial for every granularity but 1: always list it when any is.
    entries = np.concatenate([[grid - 1], rng.permutation(grid - 1)])[:count].astype(np.int32)
    entries = rng.permutation(entries)
    a, b, c = operands(rng)
    out = compiled(program)(entries, a, b, c)
    assert error(out, program.reference(entries, a, b, c)) < TOLERANCE


@pytest.mark.parametrize("axis", [M, N, K])
def test_matmul_with_run_time_sizes(axis):
    program = single_axis(axis, 4, 4, False, sizes=(-1, -1, -1))
    for seed, sizes in enumerate([(1, 1, 1), (8, 16, 8), (5, 40, 17), (33, 7, 64), (4, 4, 0), (0, 3, 5)]):
        rng = np.random.default_rng(seed)
        grid = -(-sizes[axis] // 4)
        entries = rng.permutation(grid)[: (grid + 1) // 2].astype(np.int32)
        a, b, c = operands(rng, sizes)
        out = compiled(program)(entries, a, b, c)
        assert out.shape == c.shape
        assert error(out, program.reference(entries, a, b, c)) < TOLERANCE, sizes


@pytest.mark.parametrize("tile_m", [4, 37])
def test_sizes_only_some_operands_tell(tile_m):
    """The whole of n is 29 by one operand's type and dynamic by the others': the body's types follow its operands."""
    program = MatmulProgram(SIZES, (K,), (1,), (1,), (tile_m, 0, 8), False)
    text = program.text().replace("tensor<37x29xf32>", "tensor<37x?xf32>")
    text = text.replace(f"tensor<{tile_m}x29xf32>", f"tensor<{tile_m}x?xf32>")
    rng = np.random.default_rng(13)
    a, b, c = operands(rng)
    entries = rng.permutation(SIZES[K])[:20].astype(np.int32)
    out = compile_program(text, "matmul")(entries, a, b, c)
    assert error(out, program.reference(entries, a, b, c)) < TOLERANCE


@pytest.mark.parametrize(
    ("axes", "granularity", "micro", "tile"),
    [
        ((M, K), (4, 1), (4, 1), (4, 16, 8)),  # rows in blocks, k packed: PIT's 32x1
        ((M, K), (1, 4), (1, 4), (8, 16, 4)),  # m packed per block of k: results meet, so they accumulate
        ((K, M), (1, 4), (1, 2), (2, 16, 8)),  # the pattern's axes in another order
        ((M, K), (4, 4), (4, 4), (4, 0, 4)),  # nothing packed
        ((N, K), (8, 1), (8, 1), (0, 8, 16)),
    ],
)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.7])
def test_matmul_on_two_axes(axes, granularity, micro, tile, density):
    program = MatmulProgram(SIZES, axes, granularity, micro, tile, True)
    rng = np.random.default_rng(5)
    grid = [-(-SIZES[d] // g) for d, g in zip(axes, granularity)]
    entries = rng.permutation(np.argwhere(rng.random(grid) < density)).astype(np.int32)
    a, b, c = operands(rng)
    out = compiled(program)(entries, a, b, c)
    assert error(out, program.reference(entries, a, b, c)) < TOLERANCE


def test_three_axes():
    program = MatmulProgram(SIZES, (M, N, K), (4, 8, 1), (4, 8, 1), (4, 8, 8), True)
    rng = np.random.default_rng(6)
    entries = rng.permutation(np.argwhere(rng.random((10, 4, 53)) < 0.3)).astype(np.int32)
    a, b, c = operands(rng)
    assert error(compiled(program)(entries, a, b, c), program.reference(entries, a, b, c)) < TOLERANCE


@pytest.mark.parametrize(
    ("axes", "ranks", "granularity", "micro", "tile", "accumulate"),
    [
        ((M, K), (1, 1), (1, 1), (1, 1), (8, 16, 8), False),  # dropped tokens and dead features
        ((M, N, K), (1, 1, 1), (4, 1, 2), (2, 1, 2), (8, 16, 8), False),
        ((M, K, N), (2, 1), (4, 1, 8), (4, 1, 4), (4, 16, 8), True),
        ((N, K, M), (1, 2), (1, 3, 2), (1, 3, 1), (2, 16, 3), True),
    ],
)
def test_several_patterns(axes, ranks, granularity, micro, tile, accumulate):
    program = MatmulProgram(SIZES, axes, granularity, micro, tile, accumulate, ranks=ranks)
    rng = np.random.default_rng(16)
    grids = program.split([-(-SIZES[d] // g) for d, g in zip(axes, granularity)])
    for density in (0.0, 0.4, 1.0):
        lists = [rng.permutation(np.argwhere(rng.random(g) <= density)).astype(np.int32) for g in grids]
        lists = [e[:, 0].copy() if e.shape[1] == 1 else e for e in lists]
        a, b, c = operands(rng)
        assert error(compiled(program)(*lists, a, b, c), program.reference(lists, a, b, c)) < TOLERANCE


@pytest.mark.parametrize(("element", "dtype", "tolerance"), [("f64", np.float64, 1e-14), ("i32", np.int32, 0.0)])
def test_element_types(element, dtype, tolerance):
    program = MatmulProgram(SIZES, (K,), (1,), (1,), TILE, False, element)
    rng = np.random.default_rng(8)
    a, b, c = (x.astype(dtype) for x in (v * 10 for v in operands(rng, dtype=np.float64)))
    entries = rng.permutation(SIZES[K])[:20].astype(np.int32)
    assert error(compiled(program)(entries, a, b, c), program.reference(entries, a, b, c)) <= tolerance


def test_what_is_not_listed_is_not_read():
    """NaN and infinities outside the pattern do not reach the result; those inside do."""
    program = single_axis(K, 1, 1, False)
    rng = np.random.default_rng(9)
    a, b, c = operands(rng)
    entries = rng.permutation(SIZES[K])[:21].astype(np.int32)
    outside = np.setdiff1d(np.arange(SIZES[K]), entries)
    a[:, outside], b[outside[::2]] = np.nan, np.inf
    out = compiled(program)(entries, a, b, c)
    clean = np.nan_to_num(a), np.nan_to_num(b)
    assert error(out, program.reference(entries, *clean, c)) < TOLERANCE
    a[3, entries[4]] = np.nan
    out = compiled(program)(entries, a, b, c)
    assert np.isnan(out[3]).all() and np.isfinite(np.delete(out, 3, axis=0)).all()


@pytest.mark.parametrize("axis", [M, N, K])
def test_coordinates_past_the_grid_name_nothing(axis):
    program = single_axis(axis, 4, 4, False)
    rng = np.random.default_rng(10)
    a, b, c = operands(rng)
    good = np.array([0, 3], np.int32)
    bad = np.array([0, 14, -1, 3, 2**31 - 1], np.int32)
    assert error(compiled(program)(bad, a, b, c), program.reference(good, a, b, c)) < TOLERANCE
    two = MatmulProgram(SIZES, (M, K), (4, 1), (4, 1), (4, 16, 8), True)
    bad = np.array([[0, 1], [-5, 2], [3, 1000], [2**20, 2**20], [9, 52]], np.int32)
    assert error(compiled(two)(bad, a, b, c), two.reference(bad[[0, 4]], a, b, c)) < TOLERANCE


@pytest.mark.parametrize(
    ("entries", "message"),
    [([0, 10], "axis 0 is out of range"), ([0, -1], "axis 0 is out of range"), ([2, 5, 2], "listed twice")],
)
def test_checked_patterns(entries, message):
    program = single_axis(M, 4, 4, False)
    rng = np.random.default_rng(11)
    a, b, c = operands(rng)
    function = compiled(program, checked=True)
    take_failure()
    assert np.isfinite(function(np.array(entries, np.int32), a, b, c)).all()
    assert take_failure() != 0, message
    good = np.array([1, 9], np.int32)
    assert error(function(good, a, b, c), program.reference(good, a, b, c)) < TOLERANCE
    assert take_failure() == 0


def test_no_memory_is_kept():
    program = single_axis(M, 1, 1, False)
    rng = np.random.default_rng(12)
    a, b, c = operands(rng)
    before = live_bytes()
    for count in range(20):
        compiled(program)(rng.permutation(SIZES[M])[:count].astype(np.int32), a, b, c)
    assert live_bytes() == before


def test_row_sums_on_both_axes():
    """``reduce_sum`` with the pattern on the kept and on the summed axis."""
    for axis in (0, 1):
        pattern = pattern_type([(23, 41)[axis]], [1])
        micro = (8, 16)
        text = f"""
        func.func @sums(%p: {pattern}, %x: tensor<23x41xf32>, %y: tensor<23xf32>) -> tensor<23xf32> {{
          %r = "pith.pit_tile"(%p, %x, %y) ({{
          ^bb0(%tx: tensor<8x16xf32>, %ty: tensor<8xf32>):
            %t = linalg.reduce {{arith.addf}} ins(%tx : tensor<8x16xf32>) outs(%ty : tensor<8xf32>) dimensions = [1]
            "pith.yield"(%t) : (tensor<8xf32>) -> ()
          }}) {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
               iterator_types = ["parallel", "reduction"], axes = array<i64: {axis}>, tile = {array(micro)},
               micro_tile = array<i64: 1>, accumulate = false, {segments(1)}}}
              : ({pattern}, tensor<23x41xf32>, tensor<23xf32>) -> tensor<23xf32>
          return %r : tensor<23xf32>
        }}"""
        rng = np.random.default_rng(axis)
        x, y = rng.standard_normal((23, 41)).astype(np.float32), rng.standard_normal(23).astype(np.float32)
        entries = rng.permutation((23, 41)[axis])[:11].astype(np.int32)
        reference = y.astype(np.float64)
        if axis == 0:
            reference[entries] += x[entries].astype(np.float64).sum(1)
        else:
            reference += x[:, entries].astype(np.float64).sum(1)
        assert error(compile_program(text, "sums")(entries, x, y), reference) < TOLERANCE


def test_elementwise_with_a_broadcast_operand():
    """``out[i, j] = x[i, j] * s[j]`` where row i is listed; other rows keep their value."""
    x_type, s_type, tile = tensor("f32", 19, 21), tensor("f32", 21), tensor("f32", 6, 21)
    pattern = pattern_type([19], [2])
    text = f"""
    func.func @scale(%p: {pattern}, %x: {x_type}, %s: {s_type}, %y: {x_type}) -> {x_type} {{
      %r = "pith.pit_tile"(%p, %x, %s, %y) ({{
      ^bb0(%tx: {tile}, %ts: tensor<21xf32>, %ty: {tile}):
        %b = linalg.broadcast ins(%ts : tensor<21xf32>) outs(%ty : {tile}) dimensions = [0]
        %t = linalg.mul ins(%tx, %b : {tile}, {tile}) outs(%ty : {tile}) -> {tile}
        "pith.yield"(%t) : ({tile}) -> ()
      }}) {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
           iterator_types = ["parallel", "parallel"], axes = array<i64: 0>, tile = array<i64: 6, 0>,
           micro_tile = array<i64: 2>, accumulate = false, {segments(2)}}}
          : ({pattern}, {x_type}, {s_type}, {x_type}) -> {x_type}
      return %r : {x_type}
    }}"""
    rng = np.random.default_rng(14)
    x, y = (rng.standard_normal((19, 21)).astype(np.float32) for _ in range(2))
    s = rng.standard_normal(21).astype(np.float32)
    entries = np.array([9, 0, 4, 5], np.int32)
    rows = np.array([18, 0, 1, 8, 9, 10, 11])
    reference = y.astype(np.float64)
    reference[rows] = x[rows].astype(np.float64) * s
    assert error(compile_program(text, "scale")(entries, x, s, y), reference) < TOLERANCE


def test_convolution_over_listed_channels():
    """The channel axis of a convolution: its spatial maps are compound, so those dimensions stay whole."""
    maps = (
        "[affine_map<(n, y, x, f, u, v, c) -> (n, y + u, x + v, c)>, "
        "affine_map<(n, y, x, f, u, v, c) -> (u, v, c, f)>, affine_map<(n, y, x, f, u, v, c) -> (n, y, x, f)>]"
    )
    image, weight, out = tensor("f32", 2, 7, 6, 11), tensor("f32", 3, 2, 11, 5), tensor("f32", 2, 5, 5, 5)
    t_image, t_weight = tensor("f32", 2, 7, 6, 4), tensor("f32", 3, 2, 4, 5)
    pattern = pattern_type([11], [1])
    text = f"""
    func.func @conv(%p: {pattern}, %x: {image}, %w: {weight}, %y: {out}) -> {out} {{
      %r = "pith.pit_tile"(%p, %x, %w, %y) ({{
      ^bb0(%tx: {t_image}, %tw: {t_weight}, %ty: {out}):
        %t = linalg.conv_2d_nhwc_hwcf ins(%tx, %tw : {t_image}, {t_weight}) outs(%ty : {out}) -> {out}
        "pith.yield"(%t) : ({out}) -> ()
      }}) {{indexing_maps = {maps}, iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction",
           "reduction", "reduction"], axes = array<i64: 6>, tile = array<i64: 0, 0, 0, 0, 0, 0, 4>,
           micro_tile = array<i64: 1>, accumulate = false, {segments(2)}}}
          : ({pattern}, {image}, {weight}, {out}) -> {out}
      return %r : {out}
    }}"""
    rng = np.random.default_rng(15)
    x, w, y = (rng.standard_normal(s).astype(np.float32) for s in ((2, 7, 6, 11), (3, 2, 11, 5), (2, 5, 5, 5)))
    entries = rng.permutation(11)[:6].astype(np.int32)
    reference = y.astype(np.float64)
    for u in range(3):
        for v in range(2):
            window = x[:, u : u + 5, v : v + 5][..., entries].astype(np.float64)
            reference += window @ w[u, v, entries].astype(np.float64)
    assert error(compile_program(text, "conv")(entries, x, w, y), reference) < TOLERANCE
