"""2:4 weights on Hopper's sparse warpgroups, emulated, against float64; and through ptxas."""

import functools

import numpy as np
import pith
import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import GpuTarget
from pith.tools import ptxas
from relative_error import error_of
from structured_programs import TOLERANCE, random, reference, source, weight

#: format, shape, element, result, x @ W^T instead of W @ x, columns of x, tile
CASES = [
    # Whole rows, copied; rows and columns that no tile divides.
    ("C0(2:4)", (192, 256), "f16", "f32", False, 70, (128, 64, 64, 4, 1, 3)),
    ("C0(2:4)", (150, 192), "f16", "f16", True, 45, (32, 64, 64, 2, 4, 3)),
    ("C0(2:4)", (150, 192), "bf16", "bf16", True, 133, (128, 64, 64, 4, 1, 2)),
    ("C0(2:4)", (100, 128), "bf16", "f32", False, 17, (64, 16, 64, 4, 1, 4)),
    ("C0(2:4) pad", (85, 99), "f16", "f32", True, 21, (64, 64, 64, 4, 1, 3)),
    # Groups are chosen by 64 rows, whose stream k follows (V:2:8 of VENOM).
    ("V(64)C1(2:8)->C0(2:4)", (192, 320), "f16", "f16", True, 70, (128, 64, 64, 4, 1, 3)),
    ("V(64)C1(2:8)->C0(2:4)", (128, 320), "f16", "f32", False, 33, (64, 32, 64, 4, 1, 3)),
    ("V(128)C1(2:8)->C0(2:4)", (256, 320), "f16", "f32", False, 33, (128, 64, 64, 4, 1, 3)),
    # Bytes, whose dense operand lies along k.
    ("C0(2:4)", (128, 256), "i8", "i32", True, 70, (64, 64, 64, 4, 1, 3)),
]


def program(text, shape, element, out, transposed, tile):
    made = source(text, shape, element=element, out=out, transposed=transposed)
    for operands in (" ins(%a, %b", " ins(%b, %a"):
        made = made.replace(operands, f" {{pith.gpu_tile = array<i64: {', '.join(map(str, tile))}>}}{operands}")
    return made


@functools.lru_cache(maxsize=32)
def compiled(text):
    return pith.compile(text, target="emulate:sm_90a")


@pytest.mark.parametrize(("text", "shape", "element", "out", "transposed", "columns", "tile"), CASES)
def test_product(text, shape, element, out, transposed, columns, tile):
    rng = np.random.default_rng([*shape, columns])
    w = weight(rng, text, shape, element)
    x = random(rng, (columns, shape[1]) if transposed else (shape[1], columns), element)
    kernel = compiled(program(text, shape, element, out, transposed, tile))
    assert "wgmma.mma_async.sp" in kernel.ir("gpu") and "nvgpu.mma.sp" not in kernel.ir("gpu")
    result = np.asarray(kernel(pith.compress(w, pith.HSS.parse(text)), x))
    assert error_of(result, reference(w, x, transposed)) <= TOLERANCE[out]


def test_what_is_not_stored_does_not_meet_infinities():
    """The dense operand is not multiplied where the weight stores nothing."""
    text, shape = "C0(2:4)", (128, 128)
    w = np.zeros(shape, np.float16)
    w[:, 0::4], w[:, 1::4] = 1, 2
    x = np.ones((128, 40), np.float16)
    x[2::4], x[3::4] = np.inf, np.nan
    kernel = compiled(program(text, shape, "f16", "f32", False, (64, 64, 64, 4, 1, 3)))
    result = np.asarray(kernel(pith.compress(w, pith.HSS.parse(text)), x))
    np.testing.assert_array_equal(result, np.full((128, 40), 96.0))


def test_fewer_rows_than_an_instruction_has_keep_mma_sp():
    text = compiled(program("C0(2:4)", (64, 128), "f16", "f32", False, (32, 64, 64, 2, 2, 3))).ir("gpu")
    assert "nvgpu.mma.sp.sync" in text and "wgmma" not in text


@needs_ptxas
@pytest.mark.parametrize(("text", "shape", "element", "out", "transposed", "columns", "tile"), CASES)
def test_ptxas_assembles(text, shape, element, out, transposed, columns, tile):
    with dialect.make_context(), ir.Location.unknown():
        module = ir.Module.parse(program(text, shape, element, out, transposed, tile))
        artifact = compile_ptx(module, GpuTarget("sm_90a"))
    assembled = ptxas.assemble(artifact.ptx, "sm_90a")
    assert "wgmma.mma_async.sp.sync.aligned" in artifact.ptx
    assert not any(assembled.spill_bytes.values()) and "serialized" not in assembled.log


@needs_ptxas
@pytest.mark.parametrize("transposed", [False, True])
def test_the_planner_takes_warpgroups(transposed):
    """Without a tile that is asked for."""
    with dialect.make_context(), ir.Location.unknown():
        made = source("V(128)C1(2:8)->C0(2:4)", (4096, 4096), out="f16", transposed=transposed)
        artifact = compile_ptx(ir.Module.parse(made), GpuTarget("sm_90a"))
    assembled = ptxas.assemble(artifact.ptx, "sm_90a")
    assert "wgmma.mma_async.sp.sync.aligned" in artifact.ptx
    assert not any(assembled.spill_bytes.values()) and "serialized" not in assembled.log
