"""CSR-like and sampled products of bytes and of 16-bit results on an emulated GPU, and through ptxas."""

import numpy as np
import pith
import pytest
from needs import needs_ptxas
from pith.errors import PassError
from pith.formats import Format
from pith.tools import ptxas
from sparse_programs import DCSR, sddmm, spmm, spmv

CSR, CSC, COO = Format.csr(), Format.csc(), Format.coo()
HIGHLIGHT = pith.HSS.parse("C1(1:2)->C0(2:4)")


def run(source, *args):
    return pith.compile(source, target="emulate:sm_90")(*args)


def bytes_of(rng, shape, density=1.0):
    return (rng.integers(-128, 128, shape) * (rng.random(shape) < density)).astype(np.int8)


PRODUCTS = [
    # format, shape, columns, options
    (CSR, (37, 190), 33, {}),
    (CSR, (37, 190), 64, {"fill": False}),
    (CSR, (37, 190), 1, {}),
    (CSR, (40, 70), 33, {"dense_transposed": True, "out_transposed": True}),
    (CSR, (40, 70), 33, {"transposed": True}),
    (CSC, (40, 300), 36, {"fill": False}),
    (COO, (40, 70), 5, {}),
    (DCSR, (40, 70), 12, {}),
    (DCSR, (40, 70), 12, {"out_transposed": True}),
    (Format.banded(3, 4), (40, 70), 9, {}),
    (Format.dia(), (40, 70), 8, {"transposed": True}),
]


@pytest.mark.parametrize(("fmt", "shape", "columns", "options"), PRODUCTS)
def test_products_of_bytes_are_exact(fmt, shape, columns, options):
    rng = np.random.default_rng([*shape, columns])
    w = bytes_of(rng, shape, 0.3)
    if fmt in (Format.banded(3, 4), Format.dia()):
        w = np.triu(np.tril(w, 4), -3)
    m, k = shape[::-1] if options.get("transposed") else shape
    transposed_in, transposed_out = options.get("dense_transposed"), options.get("out_transposed")
    x = bytes_of(rng, (columns, k) if transposed_in else (k, columns))
    given = np.full((columns, m) if transposed_out else (m, columns), np.iinfo(np.int32).min, np.int32)
    before = 0 if options.get("fill", True) else 7
    given[...] = given if options.get("fill", True) else before
    out = run(spmm(fmt, shape, columns, element="i8", out="i32", **options), pith.compress(w, fmt), x, given)
    ref = (w.T if options.get("transposed") else w).astype("i8").astype("i4") @ (x.T if transposed_in else x).astype(
        "i4"
    )
    np.testing.assert_array_equal(out, (ref.T if transposed_out else ref) + before)


def test_a_vector_of_bytes():
    rng = np.random.default_rng(0)
    w, x = bytes_of(rng, (65, 700), 0.2), bytes_of(rng, (700,))
    out = run(spmv(CSR, w.shape, element="i8", out="i32"), pith.compress(w, CSR), x, np.zeros(65, "i4"))
    np.testing.assert_array_equal(out, w.astype("i4") @ x.astype("i4"))


def test_unsigned_bytes_are_refused():
    source = spmm(CSR, (8, 8), 8, element="i8", out="i32").replace("extsi", "extui")
    with pytest.raises(PassError, match="expects floats, or signed integers, got i8, i8, i32"):
        pith.compile(source, target="sm_90")


@pytest.mark.parametrize("fmt", [CSR, COO, HIGHLIGHT], ids=str)
@pytest.mark.parametrize(("element", "out"), [("f16", "f16"), ("bf16", "bf16"), ("i8", "i32")])
@pytest.mark.parametrize("depth", [7, 40, 520])
def test_sampled_products(fmt, element, out, depth):
    """Sums are in f32 and rounded once; those of bytes are exact."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    types = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "i8": np.int8, "i32": np.int32}
    rng = np.random.default_rng(depth)
    kept = rng.random((20, 32)) < 0.3
    kept = pith.prune(kept.astype("f4"), fmt) if fmt is HIGHLIGHT else kept.astype("f4")
    pattern = pith.compress(kept, fmt)

    def holding(values):
        return pith.SparseTensor(pattern.shape, pattern.format, (*pattern.buffers[:-1], values), pattern.hss)

    draw = bytes_of if element == "i8" else lambda rng, shape: rng.standard_normal(shape).astype(types[element])
    a, b = draw(rng, (20, depth)), draw(rng, (32, depth))
    source = sddmm(pattern.format, pattern.shape, depth, element=element, out=out, right_transposed=True)
    *_, values = run(source, holding(np.full(len(pattern.values), types[out](3))), a, b)
    there = holding(np.ones(len(pattern.values), "f4")).to_dense()
    ref = there * (a.astype("f8") @ b.astype("f8").T + 3)
    result = holding(np.asarray(values).astype("f4")).to_dense()
    tolerance = {"f16": 5e-4, "bf16": 4e-3, "i32": 0}[out]
    assert there.any() and np.linalg.norm(result - ref) <= tolerance * np.linalg.norm(ref)


PROGRAMS = {
    "csr_i8": spmm(CSR, (64, 96), 64, element="i8", out="i32"),
    "csc_i8": spmm(CSC, (64, 96), 64, element="i8", out="i32"),
    "sddmm_f16": sddmm(CSR, (64, 96), 64, element="f16", out="f16", right_transposed=True),
    "sddmm_i8": sddmm(CSR, (64, 96), 64, element="i8", out="i32", right_transposed=True),
}


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles_without_spills(name, chip):
    assembled = ptxas.assemble(pith.compile(PROGRAMS[name], target=chip).ir("ptx"), chip)
    assert assembled.registers and max(assembled.spill_bytes.values()) == 0
