"""``detect``, ``sread`` and ``swrite`` against NumPy."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from tile_programs import array, compile_program, error, pattern_type, tensor

DTYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "i8": np.int8, "i32": np.int32, "i1": np.bool_}


@functools.cache
def detector(sizes, axes, granularity, threshold=0.0, element="f32"):
    source, pattern = tensor(element, *sizes), pattern_type([sizes[a] for a in axes], granularity)
    return compile_program(
        f"""
        func.func @detect(%x: {source}) -> {pattern} {{
          %p = "pith.detect"(%x) {{axes = {array(axes)}, granularity = {array(granularity)},
               threshold = {threshold!r} : f64}} : ({source}) -> {pattern}
          return %p : {pattern}
        }}""",
        "detect",
    )


def present_tiles(x, axes, granularity, threshold=0.0):
    """Coordinates of the micro-tiles that hold a magnitude not below or equal to the threshold."""
    magnitude = np.abs(x.astype(np.float64))
    hits = np.argwhere(~(magnitude <= threshold))[:, list(axes)] // np.array(granularity)
    return {tuple(h) for h in hits.tolist()}


def listed(result):
    entries = [tuple(np.atleast_1d(e).tolist()) for e in result]
    assert len(set(entries)) == len(entries)
    return set(entries)


def sparse(rng, shape, density=0.1, dtype=np.float32):
    return (rng.standard_normal(shape) * 5 * (rng.random(shape) < density)).astype(dtype)


@pytest.mark.parametrize(
    ("sizes", "axes", "granularity"),
    [
        ((17, 23), (0, 1), (1, 1)),
        ((17, 23), (0, 1), (1, 8)),
        ((17, 23), (0, 1), (4, 4)),
        ((16, 24), (0, 1), (4, 4)),
        ((17, 23), (1, 0), (4, 1)),
        ((17, 23), (0,), (1,)),
        ((17, 23), (1,), (5,)),
        ((64,), (0,), (3,)),
        ((3, 17, 5), (1,), (2,)),
        ((3, 17, 5), (2, 0), (2, 1)),
        ((5, 4), (0, 1), (100, 100)),
    ],
)
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_detect(sizes, axes, granularity, density):
    x = sparse(np.random.default_rng(1), sizes, density)
    assert listed(detector(sizes, axes, granularity)(x)) == present_tiles(x, axes, granularity)


@pytest.mark.parametrize("sizes", [(1, 1), (17, 23), (0, 4), (4, 0), (64, 3)])
def test_detect_run_time_sizes(sizes):
    x = sparse(np.random.default_rng(2), sizes)
    assert listed(detector((-1, -1), (0, 1), (4, 8))(x)) == present_tiles(x, (0, 1), (4, 8))


def test_threshold_nan_and_infinity():
    x = np.zeros((8, 8), np.float32)
    x[1, 1], x[3, 3], x[5, 5], x[7, 7], x[0, 6] = 0.5, -0.75, np.nan, -np.inf, -0.25
    assert listed(detector((8, 8), (0, 1), (2, 2), 0.5)(x)) == {(1, 1), (2, 2), (3, 3)}
    assert listed(detector((8, 8), (0, 1), (2, 2))(x)) == {(0, 0), (0, 3), (1, 1), (2, 2), (3, 3)}
    assert listed(detector((8, 8), (0, 1), (2, 2), float(2**200))(x)) == {(2, 2), (3, 3)}
    x[:] = 0.1  # as a float32 it lies above 0.1
    assert len(listed(detector((8, 8), (0, 1), (2, 2), 0.1)(x))) == 16
    x[:] = -0.0
    assert listed(detector((8, 8), (0, 1), (2, 2))(x)) == set()


@pytest.mark.parametrize("element", ["f64", "f16", "i8", "i32", "i1"])
@pytest.mark.parametrize("threshold", [0.0, 2.5, 200.0])
def test_detect_element_types(element, threshold):
    x = sparse(np.random.default_rng(3), (9, 14), 0.3, DTYPES[element])
    if element in ("i8", "i32"):
        x[8, 13] = np.iinfo(x.dtype).min
    found = listed(detector((9, 14), (0, 1), (2, 3), threshold, element)(x))
    assert found == present_tiles(x, (0, 1), (2, 3), threshold)


@functools.cache
def reader(sizes, pattern_sizes, granularity, dims):
    source, pattern = tensor("f32", *sizes), pattern_type(pattern_sizes, granularity)
    tile = tensor("f32", *_tile_sizes(sizes, granularity, dims))
    return compile_program(
        f"""
        func.func @read(%x: {source}, %p: {pattern}) -> {tile} {{
          %t = "pith.sread"(%x, %p) {{dims = {array(dims)}}} : ({source}, {pattern}) -> {tile}
          return %t : {tile}
        }}""",
        "read",
    )


@functools.cache
def writer(sizes, pattern_sizes, granularity, dims, accumulate):
    dest, pattern = tensor("f32", *sizes), pattern_type(pattern_sizes, granularity)
    tile = tensor("f32", *_tile_sizes(sizes, granularity, dims))
    return compile_program(
        f"""
        func.func @write(%t: {tile}, %p: {pattern}, %d: {dest}) -> {dest} {{
          %r = "pith.swrite"(%t, %p, %d) {{dims = {array(dims)}, accumulate = {str(accumulate).lower()}}}
              : ({tile}, {pattern}, {dest}) -> {dest}
          return %r : {dest}
        }}""",
        "write",
    )


def _tile_sizes(sizes, granularity, dims):
    out, used = list(sizes), [(a, d) for a, d in enumerate(dims) if d >= 0]
    for n, (axis, dim) in enumerate(used):
        out[dim] = granularity[axis] if n else -1
    return out


def _places(shape, entry, granularity, dims, position):
    """Index of one micro-tile in the whole tensor and in the packed tile."""
    outside, inside, first = [slice(None)] * len(shape), [slice(None)] * len(shape), True
    for axis, dim in enumerate(dims):
        if dim < 0:
            continue
        g = granularity[axis]
        stop = min((entry[axis] + 1) * g, shape[dim])
        outside[dim] = slice(entry[axis] * g, stop)
        start = position * g if first else 0
        inside[dim] = slice(start, start + stop - entry[axis] * g)
        first = False
    return tuple(outside), tuple(inside)


CASES = [
    ((17, 9), (17,), (1,), (0,)),
    ((17, 9), (17,), (4,), (0,)),
    ((9, 17), (17,), (4,), (1,)),
    ((17, 9), (17, 9), (4, 2), (0, 1)),
    ((17, 9), (9, 17), (2, 4), (1, 0)),
    ((3, 17, 5), (17,), (3,), (1,)),
    ((17, 9), (17, 30), (4, 2), (0, -1)),
]


@pytest.mark.parametrize(("sizes", "pattern_sizes", "granularity", "dims"), CASES)
@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_read_and_write(sizes, pattern_sizes, granularity, dims, density):
    rng = np.random.default_rng(4)
    grid = [-(-n // g) for n, g in zip(pattern_sizes, granularity)]
    entries = rng.permutation(np.argwhere(rng.random(grid) < density)).astype(np.int32)
    native = np.ascontiguousarray(entries[:, 0] if len(grid) == 1 else entries)
    x, dest = (rng.standard_normal(sizes).astype(np.float32) for _ in range(2))

    tile = reader(sizes, pattern_sizes, granularity, dims)(x, native)
    places = [_places(sizes, e, granularity, dims, p) for p, e in enumerate(entries.tolist())]
    expected = np.zeros_like(tile)
    for outside, inside in places:
        expected[inside] = x[outside]
    np.testing.assert_array_equal(tile, expected)

    result = writer(sizes, pattern_sizes, granularity, dims, True)(tile, native, dest)
    reference = dest.astype(np.float64)
    for outside, inside in places:
        reference[outside] += tile[inside]
    assert error(result, reference) < 1e-6
    if -1 not in dims:
        result = writer(sizes, pattern_sizes, granularity, dims, False)(tile, native, dest)
        reference = dest.copy()
        for outside, _ in places:
            reference[outside] = x[outside]
        np.testing.assert_array_equal(result, reference)


def test_one_pattern_serves_several_ops():
    """Rows that hold anything, detected, gathered, doubled and put back: one program, no host in between."""
    rows, pattern = tensor("f32", -1, 6), pattern_type([-1], [1])
    text = f"""
    func.func @double_rows(%x: {rows}, %y: {rows}) -> {rows} {{
      %p = "pith.detect"(%x) {{axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}}
          : ({rows}) -> {pattern}
      %r = func.call @double(%x, %y, %p) : ({rows}, {rows}, {pattern}) -> {rows}
      return %r : {rows}
    }}
    func.func private @double(%x: {rows}, %y: {rows}, %p: {pattern}) -> {rows} {{
      %t = "pith.sread"(%x, %p) {{dims = array<i64: 0>}} : ({rows}, {pattern}) -> {rows}
      %d = linalg.add ins(%t, %t : {rows}, {rows}) outs(%t : {rows}) -> {rows}
      %r = "pith.swrite"(%d, %p, %y) {{dims = array<i64: 0>, accumulate = false}}
          : ({rows}, {pattern}, {rows}) -> {rows}
      return %r : {rows}
    }}"""
    function = compile_program(text, "double_rows")
    rng = np.random.default_rng(5)
    for height in (1, 31, 0):
        x = rng.standard_normal((height, 6)).astype(np.float32)
        x[::3] = 0
        y = rng.standard_normal((height, 6)).astype(np.float32)
        np.testing.assert_array_equal(function(x, y), np.where((x != 0).any(1, keepdims=True), x + x, y))
