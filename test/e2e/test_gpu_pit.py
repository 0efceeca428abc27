"""``pith.pit_tile`` products on emulated GPUs against float64: any axes, one pattern or several. No GPU is needed."""

import functools

import numpy as np
import pith
import pytest

TOLERANCE = {"f16": 6e-4, "f32": 2e-6}
NUMPY = {"f16": np.float16, "f32": np.float32}


def numbers(values):
    return ", ".join(map(str, values))


def pit(roles, patterns, tile, micro, element="f32", result="f32", accumulate=False):
    """A ``pit_tile`` over ``out += lhs * rhs``; ``patterns``: (axes as letters, granularity) each."""
    lhs, rhs, out = roles
    dims = "".join(sorted({*lhs, *rhs, *out}, key="bmnk".index))
    maps = [f"affine_map<({', '.join(dims)}) -> ({', '.join(r)})>" for r in roles]
    kinds = "[" + ", ".join('"parallel"' if d in out else '"reduction"' for d in dims) + "]"
    whole = ["tensor<" + "?x" * len(r) + e + ">" for r, e in zip(roles, (element, element, result))]
    tiles = ["tensor<" + "".join(f"{tile[d]}x" for d in r) + e + ">" for r, e in zip(roles, (element, element, result))]
    types = [f"!pith.pattern<[{', '.join('-1' for _ in a)}], [{', '.join(map(str, g))}]>" for a, g in patterns]
    names = [f"%p{i}" for i in range(len(types))]
    arguments = ", ".join(f"{n}: {t}" for n, t in zip([*names, "%a", "%b", "%c"], [*types, *whole]))
    axes = [dims.index(d) for a, _ in patterns for d in a]
    wide = element == result
    kind = result[0]
    extend = {"f": "arith.extf", "i": "arith.extsi"}[kind]
    widen = "" if wide else f"%u = {extend} %x : {element} to {result} %v = {extend} %y : {element} to {result}"
    factors = "%x, %y" if wide else "%u, %v"
    slots = [1] * len(types) + [0] * (3 - len(types)) + [1, 1] + [0] * 6 + [1]
    return f"""func.func @f({arguments}) -> {whole[2]} {{
      %r = "pith.pit_tile"({", ".join([*names, "%a", "%b", "%c"])}) ({{
      ^bb0(%ta: {tiles[0]}, %tb: {tiles[1]}, %tc: {tiles[2]}):
        %s = linalg.generic {{indexing_maps = [{", ".join(maps)}], iterator_types = {kinds}}}
          ins(%ta, %tb : {tiles[0]}, {tiles[1]}) outs(%tc : {tiles[2]}) {{
        ^bb0(%x: {element}, %y: {element}, %z: {result}):
          {widen}
          %w = arith.mul{kind} {factors} : {result}
          %t = arith.add{kind} %z, %w : {result}
          linalg.yield %t : {result}
        }} -> {tiles[2]}
        "pith.yield"(%s) : ({tiles[2]}) -> ()
      }}) {{indexing_maps = [{", ".join(maps)}], iterator_types = {kinds}, axes = array<i64: {numbers(axes)}>,
           tile = array<i64: {numbers(tile[d] for d in dims)}>, micro_tile = array<i64: {numbers(micro)}>,
           accumulate = {str(accumulate).lower()}, operandSegmentSizes = array<i32: {numbers(slots)}>}}
        : ({", ".join([*types, *whole])}) -> {whole[2]}
      return %r : {whole[2]}
    }}"""


@functools.lru_cache(maxsize=64)
def compiled(source):
    return pith.compile(source, target="emulate:sm_90")


def random_pattern(rng, sizes, granularity, share):
    grid = [-(-s // g) for s, g in zip(sizes, granularity)]
    cells = rng.permutation(np.argwhere(rng.random(grid) < share)).astype(np.int32)
    mask = np.zeros(grid, bool)
    mask[tuple(cells.T)] = True
    for d, g in enumerate(granularity):
        mask = np.repeat(mask, g, axis=d)
    mask = mask[tuple(slice(s) for s in sizes)]
    return pith.Pattern.from_indices(cells if len(sizes) > 1 else cells[:, 0], sizes, granularity), mask


SIZES = {"b": 3, "m": 70, "n": 45, "k": 90}

#: roles, patterns, tile, micro-tiles, accumulate
CASES = {
    "rows": (("mk", "kn", "mn"), [("m", (1,))], {"m": 32, "n": 32, "k": 32}, (1,), False),
    "columns of a transposed result": (("km", "nk", "nm"), [("n", (3,))], {"m": 32, "n": 32, "k": 32}, (1,), False),
    "depth, gathered rows": (("km", "kn", "mn"), [("k", (1,))], {"m": 32, "n": 32, "k": 32}, (1,), False),
    "depth, gathered columns": (("mk", "nk", "mn"), [("k", (5,))], {"m": 32, "n": 32, "k": 32}, (1,), False),
    "rows and depth": (("mk", "kn", "mn"), [("m", (2,)), ("k", (4,))], {"m": 32, "n": 16, "k": 32}, (2, 4), False),
    "rows and columns": (("mk", "kn", "mn"), [("m", (1,)), ("n", (8,))], {"m": 32, "n": 16, "k": 32}, (1, 8), False),
    "depth per block of rows": (("mk", "kn", "mn"), [("mk", (32, 1))], {"m": 32, "n": 32, "k": 32}, (32, 1), True),
    "depth per block of columns": (("mk", "kn", "mn"), [("nk", (16, 4))], {"m": 32, "n": 16, "k": 32}, (16, 4), True),
    "depth per small block": (("mk", "kn", "mn"), [("mk", (4, 2))], {"m": 4, "n": 32, "k": 32}, (4, 2), True),
    "rows per block of depth": (("mk", "kn", "mn"), [("mk", (1, 32))], {"m": 32, "n": 32, "k": 32}, (1, 32), True),
    "columns per block of rows": (("mk", "kn", "mn"), [("mn", (32, 8))], {"m": 32, "n": 16, "k": 32}, (32, 8), False),
    "rows per batch": (("bmk", "bkn", "bmn"), [("bm", (1, 1))], {"b": 1, "m": 32, "n": 32, "k": 32}, (1, 1), False),
    "batches": (("bmk", "kn", "bmn"), [("b", (1,))], {"b": 1, "m": 32, "n": 32, "k": 32}, (1,), False),
    "depth in batches": (("bmk", "bkn", "bmn"), [("k", (1,))], {"b": 1, "m": 32, "n": 32, "k": 32}, (1,), False),
}


def reference(roles, patterns, masks, a, b, c):
    """The product over the points of the iteration space that all patterns name."""
    lhs, rhs, out = roles
    dims = "".join(sorted({*lhs, *rhs, *out}))
    keep = [(axes, mask.astype("f8")) for (axes, _), mask in zip(patterns, masks)]
    spec = ",".join([lhs, rhs, *(axes for axes, _ in keep)]) + "->" + out
    assert set(dims) >= {d for axes, _ in keep for d in axes}
    return c.astype("f8") + np.einsum(spec, a.astype("f8"), b.astype("f8"), *(m for _, m in keep))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("element", ["f16", "f32"])
@pytest.mark.parametrize("name", CASES)
def test_patterns(name, element, share):
    roles, patterns, tile, micro, accumulate = CASES[name]
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal([SIZES[r] for r in role]).astype(NUMPY[element]) for role in roles[:2])
    c = rng.standard_normal([SIZES[r] for r in roles[2]]).astype("f4")
    made = [random_pattern(rng, tuple(SIZES[d] for d in axes), g, share) for axes, g in patterns]
    expected = reference(roles, patterns, [mask for _, mask in made], a, b, c)
    out = compiled(pit(roles, patterns, tile, micro, element, "f32", accumulate))(*[p for p, _ in made], a, b, c)
    assert np.linalg.norm(out - expected) < TOLERANCE["f32"] * np.linalg.norm(expected)


@pytest.mark.parametrize("name", CASES)
def test_sums_of_bytes_are_exact(name):
    roles, patterns, tile, micro, accumulate = CASES[name]
    rng = np.random.default_rng(5)
    a, b = (rng.integers(-128, 128, [SIZES[r] for r in role], np.int8) for role in roles[:2])
    c = rng.integers(-99, 99, [SIZES[r] for r in roles[2]], np.int32)
    made = [random_pattern(rng, tuple(SIZES[d] for d in axes), g, 0.4) for axes, g in patterns]
    expected = reference(roles, patterns, [mask for _, mask in made], a, b, c)
    out = compiled(pit(roles, patterns, tile, micro, "i8", "i32", accumulate))(*[p for p, _ in made], a, b, c)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[-1]])
@pytest.mark.parametrize("start", ["given", "zeros"])
def test_narrow_results_that_blocks_add_to_are_rounded_once(name, start):
    roles, patterns, tile, micro, accumulate = CASES[name]
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal([SIZES[r] for r in role]).astype("f2") for role in roles[:2])
    c = rng.standard_normal([SIZES[r] for r in roles[2]]).astype("f2")
    made = [random_pattern(rng, tuple(SIZES[d] for d in axes), g, 0.4) for axes, g in patterns]
    source = pit(roles, patterns, tile, micro, "f16", "f16", accumulate)
    if start == "zeros":
        fill = "%zero = arith.constant 0.0 : f16\n      %cleared = linalg.fill ins(%zero : f16) outs(%c : TYPE) -> TYPE"
        source = source.replace("%r =", fill.replace("TYPE", "tensor<?x?xf16>") + "\n      %r =", 1)
        source = source.replace("%a, %b, %c)", "%a, %b, %cleared)", 1)
    begin = np.zeros_like(c) if start == "zeros" else c
    expected = reference(roles, patterns, [mask for _, mask in made], a, b, begin)
    given = np.full_like(c, np.nan) if start == "zeros" else c
    out = compiled(source)(*[p for p, _ in made], a, b, given)
    assert np.linalg.norm(out - expected) < TOLERANCE["f16"] * np.linalg.norm(expected)


def test_consumers_of_a_product_over_listed_depth():
    """A sparse activation times a weight, plus a bias: every place of the result is written, so one kernel does all."""
    source = pit(*CASES["depth, gathered columns"][:4], "f16", "f32")
    source = source.replace("%c: tensor<?x?xf32>)", "%c: tensor<?x?xf32>, %bias: tensor<?xf32>)", 1)
    source = source.replace(
        "return %r",
        """%s = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>,
            affine_map<(m, n) -> (m, n)>], iterator_types = ["parallel", "parallel"]}
          ins(%r, %bias : tensor<?x?xf32>, tensor<?xf32>) outs(%c : tensor<?x?xf32>) {
        ^bb0(%x: f32, %y: f32, %z: f32):
          %w = arith.addf %x, %y : f32
          linalg.yield %w : f32
        } -> tensor<?x?xf32>
      return %s""",
    )
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal(shape).astype("f2") for shape in ((70, 90), (45, 90)))
    c, bias = rng.standard_normal((70, 45)).astype("f4"), rng.standard_normal(45).astype("f4")
    pattern, mask = random_pattern(rng, (90,), (5,), 0.4)
    kernel = compiled(source)
    out = kernel(pattern, a, b, c, bias)
    expected = c + (a.astype("f8") * mask) @ b.astype("f8").T + bias
    assert np.linalg.norm(out - expected) < TOLERANCE["f32"] * np.linalg.norm(expected)
    assert kernel.ir("gpu").count("gpu.launch_func") == 1
