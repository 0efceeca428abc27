"""Products of formats whose rows begin inside a byte of packed coordinates, against float64."""

import ctypes
import itertools
import mmap

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.functional.matmul.ir import matmul_source
from test_panel_products import SEED, TOLERANCE, check_product


@pytest.mark.parametrize("isa", ["host", "emulate:avx2", "emulate:avx512"])
@pytest.mark.parametrize("groups", [1, 3, 17, 33, 63, 105])
@pytest.mark.parametrize(
    "text",
    [
        "C1(2:4)->C0(2:4)",
        "V(4)C1(2:4)->C0(2:4)",
        "C1(1:2)->C0(1:2)",
        "C1(3:4)->C0(2:4)",
        "C0(3:8)",
        "C0(1:2)",
        "C0(1:4)",
    ],
)
def test_rows_that_begin_inside_a_byte(text, groups, isa):
    """Blocks of an odd number of groups a row: words of coordinates are shifted by what a row begins with."""
    rng = np.random.default_rng(SEED + groups)
    for columns in (1, 20, 64) if isa == "host" else (1, 64):
        check_product(rng, text, columns, isa=isa, times=(10, groups))


@pytest.mark.parametrize("text", ["C1(2:4)->C0(2:4)", "C1(1:2)->C0(1:2)", "C0(3:8)", "C0(1:2)"])
def test_nothing_is_read_behind_coordinates(text):
    """Coordinates of odd rows end where a page begins that nobody may read."""
    libc, page = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE
    for groups, columns in itertools.product((9, 33, 63), (1, 64)):
        rng, fmt = np.random.default_rng(groups), pith.HSS.parse(text).to_format()
        w = pith.prune(rng.standard_normal((3, fmt.divisors()[1] * groups)).astype(np.float32), fmt)
        a, x = pith.compress(w, fmt), rng.standard_normal((w.shape[1], columns)).astype(np.float32)
        kept, buffers = [], list(a.buffers)
        for i, buffer in enumerate(buffers[:-1]):
            pages = -(-buffer.nbytes // page)
            room = mmap.mmap(-1, (pages + 1) * page)
            whole = np.frombuffer(room, np.uint8)
            guard = whole.ctypes.data + pages * page
            assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
            end = whole[pages * page - buffer.nbytes : pages * page]
            end[...] = buffer.view(np.uint8)
            buffers[i] = end.view(buffer.dtype)
            kept.append((room, whole))
        kernel = compile_source(matmul_source(fmt, "f32", False, f"lanes={columns},rows=1"), "matmul")
        out = np.full((3, columns), np.nan, np.float32)
        kernel.native(*buffers, *a.shape, x, out)
        reference = w.astype(np.float64) @ x
        assert np.linalg.norm(out - reference) <= TOLERANCE["f32"] * np.linalg.norm(reference)
