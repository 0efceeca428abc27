"""Elementwise ops, reductions, fills, reshapes and slices on an emulated GPU. No GPU is needed."""

import numpy as np
import pith
import pytest
from glue_programs import ADD, mapped, reduction, unary
from needs import needs_ptxas
from pith.tools import ptxas

NUMPY = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "i32": np.int32, "i64": np.int64, "i1": np.bool_}


def run(source, *args):
    return pith.compile(source, target="emulate:sm_90")(*args)


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (3, 7), (130, 2), (2, 1500), (0, 4), (4, 0), (1, 5000)])
@pytest.mark.parametrize("known", [False, True], ids=["dynamic", "static"])
def test_broadcast(shape, known):
    rng = np.random.default_rng(shape)
    a, row = rng.standard_normal(shape).astype("f4"), rng.standard_normal(shape[1]).astype("f4")
    m, n = shape if known else ("?", "?")
    types = [f"tensor<{m}x{n}xf32>", f"tensor<{n}xf32>", f"tensor<{m}x{n}xf32>"]
    sizes = () if known else [(0, 0), (0, 1)]
    source = mapped(["i, j", "j", "i, j"], types, ADD, dims="i, j", sizes=sizes)
    assert (run(source, a, row) == a + row).all()


def test_transposed_and_constant_maps():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 20, 7)).astype("f4"), rng.standard_normal((7, 1)).astype("f4")
    types = ["tensor<3x20x7xf32>", "tensor<7x1xf32>", "tensor<7x3x20xf32>"]
    source = mapped(["j, k, i", "i, 0", "i, j, k"], types, ADD, dims="i, j, k")
    assert (run(source, a, b) == a.transpose(2, 0, 1) + b[:, :, None]).all()


@pytest.mark.parametrize("count", [4, 37])
def test_gathers_at_indices(count):
    source = f"""
#same = affine_map<(i) -> (i)>
func.func @f(%table: tensor<11xf32>, %at: tensor<{count}xindex>) -> (tensor<{count}xf32>, tensor<{count}xindex>) {{
  %e = tensor.empty() : tensor<{count}xf32>
  %n = tensor.empty() : tensor<{count}xindex>
  %r:2 = linalg.generic {{indexing_maps = [#same, #same, #same], iterator_types = ["parallel"]}}
      ins(%at : tensor<{count}xindex>) outs(%e, %n : tensor<{count}xf32>, tensor<{count}xindex>) {{
  ^bb0(%i: index, %o: f32, %p: index):
    %v = tensor.extract %table[%i] : tensor<11xf32>
    %twice = arith.addi %i, %i : index
    linalg.yield %v, %twice : f32, index
  }} -> (tensor<{count}xf32>, tensor<{count}xindex>)
  return %r#0, %r#1 : tensor<{count}xf32>, tensor<{count}xindex>
}}"""
    rng = np.random.default_rng(count)
    table, at = rng.standard_normal(11).astype("f4"), rng.integers(0, 11, count)
    values, twice = run(source, table, at)
    assert (values == table[at]).all() and (twice == 2 * at).all()
    assert ".global" in pith.compile(source, target="sm_90").ir("ptx")


def test_numbers_of_loops_and_gathers():
    """``linalg.index`` and ``tensor.extract`` in a body: an embedding with positions added."""
    rng = np.random.default_rng(2)
    table, tokens = rng.standard_normal((11, 6)).astype("f4"), rng.integers(0, 11, (2, 5))
    source = """
#tokens = affine_map<(b, t, d) -> (b, t)>
#all = affine_map<(b, t, d) -> (b, t, d)>
func.func @f(%table: tensor<11x6xf32>, %tokens: tensor<2x5xi64>) -> tensor<2x5x6xf32> {
  %e = tensor.empty() : tensor<2x5x6xf32>
  %r = linalg.generic {indexing_maps = [#tokens, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%tokens : tensor<2x5xi64>) outs(%e : tensor<2x5x6xf32>) {
  ^bb0(%token: i64, %o: f32):
    %row = arith.index_cast %token : i64 to index
    %column = linalg.index 2 : index
    %at = linalg.index 1 : index
    %value = tensor.extract %table[%row, %column] : tensor<11x6xf32>
    %i = arith.index_cast %at : index to i32
    %position = arith.sitofp %i : i32 to f32
    %s = arith.addf %value, %position : f32
    linalg.yield %s : f32
  } -> tensor<2x5x6xf32>
  return %r : tensor<2x5x6xf32>
}"""
    expected = table[tokens] + np.arange(5, dtype="f4")[None, :, None]
    assert (run(source, table, tokens) == expected).all()


def test_several_results_and_an_updated_argument():
    source = """
#id = affine_map<(i) -> (i)>
func.func @f(%a: tensor<?xf32>, %b: tensor<?xf32> {bufferization.writable = true}) -> (tensor<?xi1>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %a, %c0 : tensor<?xf32>
  %e = tensor.empty(%n) : tensor<?xi1>
  %r:2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%a : tensor<?xf32>) outs(%e, %b : tensor<?xi1>, tensor<?xf32>) {
  ^bb0(%x: f32, %o: i1, %y: f32):
    %less = arith.cmpf olt, %x, %y : f32
    %s = arith.addf %x, %y : f32
    linalg.yield %less, %s : i1, f32
  } -> (tensor<?xi1>, tensor<?xf32>)
  return %r#0, %r#1 : tensor<?xi1>, tensor<?xf32>
}"""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal(77).astype("f4"), rng.standard_normal(77).astype("f4")
    updated = b.copy()
    less, total = run(source, a, updated)
    assert (less == (a < b)).all() and (total == a + b).all() and (updated == total).all()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 300), (300, 3), (40, 33), (0, 4), (4, 0)])
def test_sums(axis, shape):
    a = np.random.default_rng(shape).standard_normal(shape).astype("f4")
    out = run(reduction(axis, "f32", "addf", "1.0"), a)
    assert np.abs(out - (1 + a.astype("f8").sum(axis))).max(initial=0) < 1e-5


@pytest.mark.parametrize("shape", [(2, 5000), (70, 4000)])
def test_long_sums_share_a_block(shape):
    a = np.random.default_rng(shape).standard_normal(shape).astype("f4")
    out = run(reduction(1, "f32", "addf", "0.0", known=shape), a)
    assert np.abs(out - a.astype("f8").sum(1)).max() < 1e-4


REDUCERS = [
    ("f32", "maximumf", "0xFF800000", np.max),
    ("f32", "minnumf", "0x7F800000", np.nanmin),
    ("f16", "maximumf", "0xFC00", np.max),
    ("f64", "addf", "0.0", np.sum),
    ("i32", "maxsi", "-2147483648", np.max),
    ("i64", "addi", "0", np.sum),
    ("i32", "xori", "0", np.bitwise_xor.reduce),
]


@pytest.mark.parametrize(("element", "op", "init", "reference"), REDUCERS)
@pytest.mark.parametrize("axis", [0, 1])
def test_reducers(axis, element, op, init, reference):
    rng = np.random.default_rng(4)
    a = (rng.standard_normal((9, 70)) * 100).astype(NUMPY[element])
    if op == "minnumf":
        a[3, 5] = np.nan
    out = run(reduction(axis, element, op, init), a)
    assert np.allclose(out, reference(a, axis=axis), rtol=1e-12)


@pytest.mark.parametrize("op", ["addi", "maxsi", "minui"])
@pytest.mark.parametrize("axis", [0, 1])
def test_reductions_of_indices(axis, op):
    a = np.random.default_rng(5).integers(0, 100, (9, 70))
    init, reference = {"addi": (0, np.sum), "maxsi": (-1, np.max), "minui": (2**40, np.min)}[op]
    assert (run(reduction(axis, "index", op, str(init)), a) == reference(a, axis=axis)).all()


def test_nan_passes_through_a_maximum():
    a = np.zeros((4, 50), "f4")
    a[2, 31] = np.nan
    out = run(reduction(1, "f32", "maximumf", "0xFF800000"), a)
    assert np.isnan(out[2]) and (out[[0, 1, 3]] == 0).all()


def test_bodies_that_do_not_combine_run_in_order():
    """An index of the maximum: two results that depend on each other."""
    source = """
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
func.func @f(%a: tensor<?x?xf32>) -> tensor<?xi64> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %a, %c0 : tensor<?x?xf32>
  %low = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0 : i64
  %e = tensor.empty(%n) : tensor<?xf32>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %f = tensor.empty(%n) : tensor<?xi64>
  %k = linalg.fill ins(%zero : i64) outs(%f : tensor<?xi64>) -> tensor<?xi64>
  %r:2 = linalg.generic {indexing_maps = [#id, #row, #row], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<?x?xf32>) outs(%i, %k : tensor<?xf32>, tensor<?xi64>) {
  ^bb0(%x: f32, %best: f32, %at: i64):
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %more = arith.cmpf ogt, %x, %best : f32
    %v = arith.select %more, %x, %best : f32
    %p = arith.select %more, %here, %at : i64
    linalg.yield %v, %p : f32, i64
  } -> (tensor<?xf32>, tensor<?xi64>)
  return %r#1 : tensor<?xi64>
}"""
    a = np.random.default_rng(5).standard_normal((19, 45)).astype("f4")
    assert (run(source, a) == a.argmax(1)).all()


def test_reshapes_are_views_and_slices_copies():
    source = """
#id = affine_map<(i, j) -> (i, j)>
func.func @f(%a: tensor<?x4x6xf32>) -> (tensor<?x2x12xf32>, tensor<?x3xf32>) {
  %c0 = arith.constant 0 : index
  %two = arith.constant 2 : index
  %n = tensor.dim %a, %c0 : tensor<?x4x6xf32>
  %flat = tensor.collapse_shape %a [[0], [1, 2]] : tensor<?x4x6xf32> into tensor<?x24xf32>
  %e = tensor.empty(%n) : tensor<?x24xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%flat : tensor<?x24xf32>) outs(%e : tensor<?x24xf32>) {
  ^bb0(%x: f32, %o: f32):
    %s = arith.addf %x, %x : f32
    linalg.yield %s : f32
  } -> tensor<?x24xf32>
  %r = tensor.expand_shape %d [[0], [1, 2]] output_shape [%n, 2, 12] : tensor<?x24xf32> into tensor<?x2x12xf32>
  %m = arith.subi %n, %two : index
  %s = tensor.extract_slice %d[1, 5] [%m, 3] [1, 4] : tensor<?x24xf32> to tensor<?x3xf32>
  return %r, %s : tensor<?x2x12xf32>, tensor<?x3xf32>
}"""
    a = np.random.default_rng(6).standard_normal((5, 4, 6)).astype("f4")
    kernel = pith.compile(source, target="emulate:sm_90")
    reshaped, sliced = kernel(a)
    assert (reshaped == 2 * a.reshape(5, 2, 12)).all()
    assert (sliced == 2 * a.reshape(5, 24)[1:4, 5:17:4]).all()
    host = kernel.ir("gpu").split("func.func @f")[1]
    assert "expand_shape" not in host and "collapse_shape" not in host


def test_numbers_from_outside_are_computed_in_the_kernel():
    source = """
#id = affine_map<(i) -> (i)>
#none = affine_map<(i) -> ()>
func.func @f(%a: tensor<?xf32>, %scale: f32, %shift: index) -> (tensor<?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %third = arith.constant 0.25 : f64
  %n = tensor.dim %a, %c0 : tensor<?xf32>
  %narrow = arith.truncf %third : f64 to f32
  %twice = arith.addf %scale, %scale : f32
  %e = tensor.empty(%n) : tensor<?xf32>
  %filled = linalg.fill ins(%twice : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.generic {indexing_maps = [#id, #none, #id], iterator_types = ["parallel"]}
      ins(%a, %narrow : tensor<?xf32>, f32) outs(%e : tensor<?xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %i = arith.index_cast %shift : index to i32
    %s = arith.sitofp %i : i32 to f32
    %p = arith.mulf %x, %twice : f32
    %q = arith.addf %p, %y : f32
    %t = arith.addf %q, %s : f32
    linalg.yield %t : f32
  } -> tensor<?xf32>
  return %filled, %r : tensor<?xf32>, tensor<?xf32>
}"""
    a = np.arange(33, dtype="f4")
    filled, out = run(source, a, 1.5, 4)
    assert (filled == 3).all() and filled.shape == (33,) and (out == a * 3 + 4.25).all()


def test_padding_insertion_and_concatenation():
    source = """
func.func @f(%a: tensor<?x5xf32>, %b: tensor<2x5xf32>, %n: index)
    -> (tensor<?x9xf32>, tensor<?x5xf32>, tensor<?x5xf32>) {
  %value = arith.constant 7.0 : f32
  %p = tensor.pad %a low[%n, 1] high[2, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %value : f32
  } : tensor<?x5xf32> to tensor<?x9xf32>
  %s = tensor.insert_slice %b into %a[%n, 0] [2, 5] [2, 1] : tensor<2x5xf32> into tensor<?x5xf32>
  %c = tensor.concat dim(0) %a, %b, %a : (tensor<?x5xf32>, tensor<2x5xf32>, tensor<?x5xf32>) -> tensor<?x5xf32>
  return %p, %s, %c : tensor<?x9xf32>, tensor<?x5xf32>, tensor<?x5xf32>
}"""
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((6, 5)).astype("f4"), rng.standard_normal((2, 5)).astype("f4")
    kept = a.copy()
    padded, inserted, joined = run(source, a, b, 1)
    assert (padded == np.pad(a, ((1, 2), (1, 3)), constant_values=7)).all()
    expected = a.copy()
    expected[1:5:2] = b
    assert (inserted == expected).all() and (a == kept).all()
    assert (joined == np.concatenate([a, b, a])).all()


def test_fills_cost_no_launch_where_the_next_op_starts_from_a_constant():
    kernel = pith.compile(reduction(1, "f32", "addf", "0.0"), target="emulate:sm_90")
    assert kernel.ir("gpu").count("gpu.launch_func") == 1
    filled = """
func.func @f(%a: tensor<3x?xf16>) -> tensor<3x?xf16> {
  %one = arith.constant 1.0 : f16
  %r = linalg.fill ins(%one : f16) outs(%a : tensor<3x?xf16>) -> tensor<3x?xf16>
  return %r : tensor<3x?xf16>
}"""
    assert (run(filled, np.full((3, 37), np.nan, "f2")) == 1).all()


PROGRAMS = {
    "map": mapped(["i, j", "j", "i, j"], ["tensor<8x40xf32>", "tensor<40xf32>", "tensor<8x40xf32>"], ADD, dims="i, j"),
    "expm1": unary("%r = math.expm1 %x : f32"),
    "sin": unary("%r = math.sin %x : f16", "f16"),
    "rows": reduction(1, "f32", "addf", "0.0"),
    "block": reduction(1, "f64", "addf", "0.0", known=(2, 5000)),
    "columns": reduction(0, "f16", "maximumf", "0xFC00"),
    "numbers": reduction(1, "f16", "minnumf", "0x7C00"),
    "bf16": reduction(1, "bf16", "addf", "0.0"),
    "remainder": unary("%r = arith.remf %x, %x : f32"),
}


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles_without_spills(name, chip):
    assembled = ptxas.assemble(pith.compile(PROGRAMS[name], target=chip).ir("ptx"), chip)
    assert assembled.registers and max(assembled.spill_bytes.values()) == 0
