"""Matrix products on AMX tiles, emulated (and real where there are tiles), against float64 NumPy.

Products of two bf16 are exact in f32, so the only error is that of adding f32 sums: 1e-6 is what 512
of them may be off by. Integers must be equal.
"""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.formats.attribute import format_attribute
from pith.formats.parse import parse_format
from pith.lowering.isa import ISAS
from pith.runtime.cpu import cpu_features

TARGETS = ["emulate:amx", *(["amx"] if ISAS["amx"].runs_on(cpu_features()) else [])]
TOLERANCE = 1e-6

SOURCE = """
#fmt = {fmt}
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> {x}>
#y = affine_map<(i, j, k) -> {y}>
func.func @product(%a: tensor<?x?x{t}, #fmt>, %x: tensor<?x?x{t}>, %out: memref<?x?x{acc}>) {{
  %zero = arith.constant {zero} : {acc}
  %old = bufferization.to_tensor %out restrict writable : memref<?x?x{acc}> to tensor<?x?x{acc}>
  %cleared = linalg.fill ins(%zero : {acc}) outs(%old : tensor<?x?x{acc}>) -> tensor<?x?x{acc}>
  %r = linalg.generic {{indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %x : tensor<?x?x{t}, #fmt>, tensor<?x?x{t}>) outs(%{init} : tensor<?x?x{acc}>) {{
  ^bb0(%v: {t}, %w: {t}, %s: {acc}):
    %v1 = arith.{ext} %v : {t} to {acc}
    %w1 = arith.{ext} %w : {t} to {acc}
    %p = arith.{mul} %v1, %w1 : {acc}
    %q = arith.{add} %s, %p : {acc}
    linalg.yield %q : {acc}
  }} -> tensor<?x?x{acc}>
  bufferization.materialize_in_destination %r in restrict writable %out
      : (tensor<?x?x{acc}>, memref<?x?x{acc}>) -> ()
  return
}}
"""

TYPES = {
    "bf16": {"acc": "f32", "zero": "0.0", "ext": "extf", "mul": "mulf", "add": "addf"},
    "i8": {"acc": "i32", "zero": "0", "ext": "extsi", "mul": "muli", "add": "addi"},
}
NUMPY = {"bf16": ml_dtypes.bfloat16, "i8": np.int8, "f32": np.float32, "i32": np.int32}

#: Format -> rows and columns that it divides, and the density given to patterns that are free.
FORMATS = {
    "dense": (1, 1, 1.0),
    "nm(2:4)": (1, 4, 1.0),
    "nm(1:4)": (1, 4, 1.0),
    "nm(1:128)": (1, 128, 1.0),
    "nm(3:8)": (1, 8, 1.0),
    "C1(2:4)->C0(2:4)": (1, 16, 1.0),
    "C1(4:4)->C0(4:4)": (1, 16, 1.0),
    "V(16)C0(2:4)": (16, 4, 1.0),
    "V(3)C0(1:4)": (3, 4, 1.0),
    "bsr(16x32)": (16, 32, 0.5),
    "bsr(16x64)": (16, 64, 0.5),
    "bsr(32x64)": (32, 64, 0.3),
    "bsr(64x128)": (64, 128, 0.3),
    "bsr(4x4)": (4, 4, 0.1),
    "csr": (1, 1, 0.02),
    "nm(2:4) pad": (1, 1, 1.0),
    "bsr(16x64) pad": (1, 1, 0.5),
    "d0 : dense, d1 : bitmask": (1, 1, 0.1),
}


@functools.cache
def product(target, fmt, t, dense_transposed=False, out_transposed=False, accumulate=False):
    """A kernel, and whether it was made of tiles."""
    text = SOURCE.format(
        fmt=format_attribute(fmt),
        x="(j, k)" if dense_transposed else "(k, j)",
        y="(j, i)" if out_transposed else "(i, j)",
        init="old" if accumulate else "cleared",
        t=t,
        **TYPES[t],
    )
    return compile_source(text, "product", isa=target)


def draw(rng, t, shape):
    if t == "i8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(-3, 4, shape)).astype(ml_dtypes.bfloat16)


def draw_sparse(rng, t, text, shape):
    """A matrix that obeys a format, and itself packed."""
    fmt, (rows, cols, density) = parse_format(text), FORMATS.get(text, (1, 1, 1.0))
    free = np.kron(rng.random((-(-shape[0] // rows), -(-shape[1] // cols))) < density, np.ones((rows, cols)))
    wide = draw(rng, t, shape).astype(np.float32) * free[: shape[0], : shape[1]]
    dense = pith.prune(wide.astype(np.float32), fmt).astype(NUMPY[t])
    return dense, pith.compress(dense, fmt)


def check(rng, target, t, text, shape, cols, **options):
    dense, packed = draw_sparse(rng, t, text, shape)
    x = draw(rng, t, (shape[1], cols))
    acc = NUMPY[TYPES[t]["acc"]]
    old = draw(rng, t, (shape[0], cols)).astype(acc)
    out = old.copy() if options.get("accumulate") else np.full(old.shape, np.nan if t == "bf16" else 77, acc)
    wanted = dense.astype(np.float64) @ x.astype(np.float64) + (old if options.get("accumulate") else 0)
    x, out = (np.ascontiguousarray(v.T) if options.get(o) else v for v, o in zip((x, out), ORIENTATIONS))
    kernel = product(target, packed.format, t, **options)
    kernel.native(*packed.buffers, *packed.shape, x, out)
    got = out.T if options.get("out_transposed") else out
    if t == "i8":
        np.testing.assert_array_equal(got, wanted.astype(np.int64).astype(np.int32))
    else:
        assert np.linalg.norm(got - wanted) <= TOLERANCE * np.linalg.norm(wanted)
    return kernel


ORIENTATIONS = ("dense_transposed", "out_transposed")


def shapes(rng, text, count):
    """Shapes that the format divides and tiles do not."""
    rows, cols, _ = FORMATS[text]
    for _ in range(count):
        yield (rows * int(rng.integers(1, 1 + 100 // rows)), cols * int(rng.integers(1, 1 + 300 // cols)))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("t", ["bf16", "i8"])
@pytest.mark.parametrize("text", FORMATS)
def test_random_shapes(target, t, text):
    rng = np.random.default_rng([len(text), len(t)])
    for shape in shapes(rng, text, 6):
        for cols in (1, int(rng.integers(2, 70))):
            kernel = check(rng, target, t, text, shape, cols)
    assert "x86.amx.tile_mul" in kernel.ir("vector") and "] tiles: " in kernel.explain()


@pytest.mark.parametrize("text", ["dense", "nm(2:4)", "bsr(16x64)", "csr"])
@pytest.mark.parametrize("t", ["bf16", "i8"])
def test_orientations_and_accumulation(t, text):
    rng = np.random.default_rng(5)
    for shape in shapes(rng, text, 3):
        options = dict.fromkeys(ORIENTATIONS, True)
        check(rng, "emulate:amx", t, text, shape, 37, **options)
        check(rng, "emulate:amx", t, text, shape, 16, accumulate=True, **options)


@pytest.mark.parametrize("text", FORMATS)
def test_unstored_elements_do_not_meet_infinities(text):
    """An element that is not stored counts as an exact zero, whatever it meets."""
    rng = np.random.default_rng(9)
    (shape,) = shapes(rng, text, 1)
    dense, packed = draw_sparse(rng, "bf16", text, shape)
    ones = [*packed.buffers[:-1], np.ones(len(packed.values), np.float32)]
    stored = pith.SparseTensor(packed.shape, packed.format, tuple(ones)).to_dense() != 0
    x = draw(rng, "bf16", (shape[1], 21))
    x[rng.integers(shape[1]), 3], x[-1, 20], x[0, 17] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        terms = dense.astype(np.float64)[:, :, None] * x.astype(np.float64)[None]
        wanted = np.where(stored[:, :, None], terms, 0).sum(1)
    out = np.full(wanted.shape, 77, np.float32)
    product("emulate:amx", packed.format, "bf16").native(*packed.buffers, *packed.shape, x, out)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(wanted))
    np.testing.assert_allclose(out, wanted, rtol=1e-3, atol=1e-3)
    assert np.isfinite(out).any() and not np.isfinite(out).all()


@pytest.mark.parametrize("text", ["dense", "nm(2:4)", "bsr(16x64)", "csr"])
def test_epilogues_are_computed_on_the_sums(text):
    """A layer, ``relu(x @ W.T + bias)``: the result is rounded to bf16 once."""
    from pith.functional.linear.ir import linear_source

    rng = np.random.default_rng(10)
    (shape,) = shapes(rng, text, 1)
    dense, packed = draw_sparse(rng, "bf16", text, shape)
    x, bias = draw(rng, "bf16", (39, shape[1])), draw(rng, "bf16", shape[:1])
    x[5, 0] = np.inf
    with np.errstate(invalid="ignore"):
        wanted = np.maximum(x.astype(np.float64) @ dense.T.astype(np.float64) + bias.astype(np.float64), 0)
    out = np.full((39, shape[0]), np.nan, ml_dtypes.bfloat16)
    kernel = compile_source(linear_source(packed.format, "bf16", True, "relu"), "linear", isa="emulate:amx")
    kernel.native(*packed.buffers, *packed.shape, x, bias, out)
    finite = np.arange(39) != 5
    got, wanted = out[finite].astype(np.float64), wanted[finite]
    assert np.linalg.norm(got - wanted) <= 2**-8 * np.linalg.norm(wanted)
    assert "fused: relu" in kernel.explain()
    assert kernel.ir("vector").count("scf.parallel") == 2, "pack and multiply, nothing after them"


def group_shapes(text):
    """Contracted sizes that are whole tiles of groups, and some that are not."""
    span = parse_format(text).to_format().exprs[1].div
    return [(rows, span * groups) for rows, groups in ((1, 64 // span), (33, 256 // span), (45, 19), (16, 1))]


@pytest.mark.parametrize("t", ["bf16", "i8"])
@pytest.mark.parametrize(
    "text",
    [
        "nm(2:4)",
        "nm(1:4)",
        "nm(1:2)",
        "nm(5:16)",
        "nm(2:8)",
        "C1(2:4)->C0(2:4)",
        "C1(1:2)->C0(2:8)",
        "C2(1:2)->C1(2:2)->C0(2:4)",
        "C1(4:4)->C0(1:4)",
        "C1(1:2)->C0(2:2)",
        "C1(4:5)->C0(2:4)",
        "C1(4:7)->C0(1:4)",
        "nm(1:5)",
    ],
)
def test_groups_are_expanded_by_vectors(t, text):
    rng = np.random.default_rng(11)
    for shape in group_shapes(text):
        kernel = check(rng, "emulate:amx", t, text, shape, 17)
    assert "vector.shuffle" in kernel.ir("vector")


@pytest.mark.parametrize("text", ["dense", "nm(2:4)", "bsr(16x64)"])
def test_many_tasks(text):
    """More rows and columns than one task has, in threads."""
    rng = np.random.default_rng(6)
    check(rng, "emulate:amx", "i8", text, (208, 192), 531)


@pytest.mark.parametrize("text", ["csr", "bsr(16x64)", "dense"])
def test_empty_matrices(text):
    rng = np.random.default_rng(7)
    for shape, cols in (((0, 64), 3), ((16, 64), 0), ((16, 0), 5)):
        dense = np.zeros(shape, np.int8)
        packed = pith.compress(dense, parse_format(text))
        out = np.full((shape[0], cols), 77, np.int32)
        product("emulate:amx", packed.format, "i8").native(
            *packed.buffers, *packed.shape, draw(rng, "i8", (shape[1], cols)), out
        )
        assert not out.any()


@pytest.mark.parametrize("text", ["csc", "coo", "d1 : dense, d0 : dense"])
def test_other_formats_take_other_paths(text):
    rng = np.random.default_rng(8)
    dense = draw(rng, "i8", (40, 30)) * (rng.random((40, 30)) < 0.1)
    packed = pith.compress(dense, parse_format(text))
    x, out = draw(rng, "i8", (30, 5)), np.full((40, 5), 77, np.int32)
    kernel = product("emulate:amx", packed.format, "i8")
    kernel.native(*packed.buffers, *packed.shape, x, out)
    np.testing.assert_array_equal(out, dense.astype(np.int32) @ x.astype(np.int32))
    assert "x86.amx" not in kernel.ir("vector")


@pytest.mark.parametrize(("t", "instruction"), [("bf16", "tdpbf16ps"), ("i8", "tdpbssd")])
@pytest.mark.parametrize("text", ["dense", "nm(2:4)", "bsr(16x64)", "csr", "d0 : dense, d1 : bitmask"])
def test_real_instructions_are_selected(t, instruction, text):
    """Code for a processor with tiles, assembled here: sums stay in tile registers."""
    from pith._mlir import ir
    from pith.compiler.build import parse
    from pith.compiler.emit import emit
    from pith.lowering.cpu import run_stage, stages

    packed = pith.compress(np.zeros((64, 64), np.int8), parse_format(text))
    source = product("emulate:amx", packed.format, t).source
    module = parse(source, "amx")
    with module.context, ir.Location.unknown():
        for stage in stages("auto"):
            run_stage(module, stage)
        assembly = emit(module, "asm").splitlines()
    ops = [line.split() for line in assembly if line.startswith("\t") and "%tmm" in line]
    assert sum(op[0] == instruction for op in ops) >= 4
    assert not [op for op in ops if op[0] == "tileloadd" and "(%rsp" in op[1]], "sums are spilled"
