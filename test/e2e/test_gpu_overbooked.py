"""Overbooked tiles under emulation: what stays in shared memory and what is streamed never changes the result."""

import functools

import gpu_programs
import numpy as np
import pith
import pytest
from needs import needs_ptxas
from pith import dialect
from pith._mlir import ir
from pith.lowering.gpu import compile_ptx
from pith.lowering.targets import GpuTarget
from pith.tools import ptxas

NUMPY = {"f32": np.float32, "f16": np.float16}
#: ||out - ref|| / ||ref||: sums are in f32.
TOLERANCE = 2e-6


def program(element, capacity, tile):
    """``c + a[:, listed] @ b[listed, :]`` with a buffer of ``capacity`` elements for the rows of b."""
    source = gpu_programs.pit_matmul("k", element=element, out="f32", tile=tile)
    buffer = f'pith.buffer = #pith.buffer<{capacity} : i64, "stream", "shared">, operandSegmentSizes'
    return source.replace("operandSegmentSizes", buffer)


@functools.cache
def compiled(element, capacity, tile):
    return pith.compile(program(element, capacity, tile), target="emulate:sm_90")


CASES = [
    # element, capacity in elements, tile (m, n, k): none, one, two or more tiles than there are stay
    ("f32", 1, (16, 16, 8)),
    ("f32", 8 * 16, (16, 16, 8)),
    ("f32", 3 * 8 * 16 + 5, (16, 16, 8)),
    ("f32", 100 * 8 * 16, (16, 16, 8)),
    ("f16", 2 * 16 * 16, (16, 16, 16)),
    ("f16", 64 * 16 * 32, (32, 32, 16)),
]


@pytest.mark.parametrize(("element", "capacity", "tile"), CASES)
def test_results_do_not_depend_on_what_fits(element, capacity, tile):
    """Lists shorter than the buffer, as long, longer, and empty; rows for several passes over the panel."""
    rng, (m, n, k) = np.random.default_rng(capacity), (211, 70, 96)
    a, b = rng.standard_normal((m, k)).astype(NUMPY[element]), rng.standard_normal((k, n)).astype(NUMPY[element])
    kernel = compiled(element, capacity, tile)
    for count in (0, 1, 17, k):
        listed = np.full(1 + k, -1, np.int32)
        chosen = rng.permutation(k)[:count]
        listed[0], listed[1 : 1 + count] = count, chosen
        c = rng.standard_normal((m, n)).astype(np.float32)
        expected = c.astype("f8") + a[:, chosen].astype("f8") @ b[chosen].astype("f8")
        out = kernel(listed, a, b, c)
        assert np.linalg.norm(out - expected) <= TOLERANCE * np.linalg.norm(expected)


def test_sums_of_bytes_are_exact():
    source = gpu_programs.pit_matmul("k", element="i8", out="i32", tile=(32, 32, 32))
    source = source.replace("extf", "extsi").replace("mulf", "muli").replace("addf", "addi")
    buffer = 'pith.buffer = #pith.buffer<4096 : i64, "stream", "shared">, operandSegmentSizes'
    kernel = pith.compile(source.replace("operandSegmentSizes", buffer), target="emulate:sm_90")
    rng, (m, n, k) = np.random.default_rng(8), (211, 70, 96)
    a, b = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    listed = np.array([17, *rng.permutation(k)], np.int32)
    chosen = listed[1:18]
    out = kernel(listed, a, b, np.full((m, n), 3, np.int32))
    np.testing.assert_array_equal(out, 3 + a[:, chosen].astype("i4") @ b[chosen].astype("i4"))


@pytest.mark.parametrize("shape", [(0, 5, 4), (5, 0, 4), (5, 4, 0), (1, 1, 1)])
def test_degenerate_shapes(shape):
    m, n, k = shape
    a, b, c = np.ones((m, k), "f4"), np.ones((k, n), "f4"), np.full((m, n), 2, "f4")
    listed = np.array([k, *range(k)], np.int32)
    assert (compiled("f32", 8 * 16, (16, 16, 8))(listed, a, b, c) == 2 + k).all()


def test_blocks_walk_over_rows_and_say_what_stays():
    (launch,) = [x for x in compiled("f32", 3 * 8 * 16, (16, 16, 8)).launches if "overbooked" in x.kernel]
    facts = [(97,), (10000, 96), (96, 32), (10000, 32)]
    assert launch.grid[0].evaluate(facts) == 2 * 66, "two panels, one block for each of 132 multiprocessors"


def test_a_buffer_that_is_too_large_says_what_fits():
    with pytest.raises(pith.PassError, match=r"expects a buffer of [0-9]+ elements at most"):
        pith.compile(program("f32", 1000000, (16, 16, 8)), target="emulate:sm_90")


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
def test_ptxas_assembles(chip):
    with dialect.make_context(), ir.Location.unknown():
        source = program("f16", 4 * 64 * 64, (64, 64, 64))
        made = ptxas.assemble(compile_ptx(ir.Module.parse(source), GpuTarget(chip)).ptx, chip)
    assert made.cubin and max(made.spill_bytes.values()) <= 32
