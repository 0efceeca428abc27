"""CSR-like products and sampled products on an emulated GPU against float64, and through ptxas. No GPU is needed."""

import numpy as np
import pith
import pytest
from needs import needs_ptxas
from pith.formats import Format
from pith.tools import ptxas
from relative_error import error_of
from sparse_programs import DCSR, sddmm, spmm, spmv

#: ||out - ref|| / ||ref|| per type of the result; sums are in f32 and rounded once.
TOLERANCE = {"f32": 1e-6, "f16": 5e-4}
NUMPY = {"f32": np.float32, "f16": np.float16}
CSR, CSC, COO = Format.csr(), Format.csc(), Format.coo()


def ragged(rng, shape, density, element="f32"):
    """A matrix with a full row, empty rows at either end, and one in the middle."""
    rows, columns = shape
    a = rng.standard_normal(shape) * (rng.random(shape) < density)
    if rows > 4:
        a[rows // 2] = rng.standard_normal(columns)
        a[[0, 2, rows - 1]] = 0
    return a.astype(NUMPY[element])


def run(source, *args):
    return pith.compile(source, target="emulate:sm_90")(*args)


def run_spmm(fmt, shape, columns, density=0.1, *, size=None, **options):
    """Result and reference of one product."""
    rng = np.random.default_rng([*shape, columns or size])
    n = columns if columns is not None else size
    element, out = options.get("element", "f32"), options.get("out", "f32")
    a = ragged(rng, shape, density, element)
    transposed_in, transposed_out = options.get("dense_transposed"), options.get("out_transposed")
    b = rng.standard_normal((n, shape[1]) if transposed_in else (shape[1], n)).astype(NUMPY[element])
    c = rng.standard_normal((n, shape[0]) if transposed_out else (shape[0], n)).astype(NUMPY[out])
    # Without a read of the init, poison in it does not show.
    given = np.full_like(c, np.nan) if options.get("fill", True) else c
    result = run(spmm(fmt, shape, columns, **options), pith.compress(a, fmt), b, given)
    ref = a.astype("f8") @ (b.T if transposed_in else b).astype("f8")
    ref = ref.T if transposed_out else ref
    return result, ref if options.get("fill", True) else ref + c.astype("f8")


@pytest.mark.parametrize("columns", [1, 2, 7, 8, 33, 64, 100, 129, 300])
def test_columns(columns):
    result, ref = run_spmm(CSR, (37, 190), columns, 0.3)
    assert error_of(result, ref) < TOLERANCE["f32"]


def test_large_matrices_have_larger_shares(monkeypatch):
    """So that the parts of rows that are carried stay few: here as if a GPU held four teams."""
    monkeypatch.setattr("pith.lowering.gpu.sparse.gather.MOST_TEAMS", 4)
    result, ref = run_spmm(CSR, (61, 703), 35, 0.4)
    assert error_of(result, ref) < TOLERANCE["f32"]
    kernel = pith.compile(spmm(CSR, (61, 703), 35), target="sm_90")
    carries = next(x for x in kernel.program.buffers if len(x.shape) == 3)
    facts = [(62,), (17000,), (17000,), (703, 35), (61, 35)]
    assert [size.evaluate(facts) for size in carries.shape] == [2, 4, 35]


CASES = [
    # format, shape, columns, density, options
    (CSR, (40, 70), None, 0.1, {"size": 33}),
    (CSR, (40, 70), None, 0.1, {"size": 1}),
    (Format.csr(8), (40, 70), 33, 0.02, {"fill": False}),
    (Format.csr(16), (20, 2000), 36, 0.5, {"element": "f16", "fill": False}),
    (CSR, (20, 900), 36, 0.5, {"element": "f16", "out": "f16"}),
    (Format.csr(0), (40, 70), 33, 0.1, {}),
    (CSR, (40, 70), 33, 0.1, {"dense_transposed": True, "out_transposed": True}),
    (CSR, (40, 70), 33, 0.1, {"dense_transposed": True, "out_transposed": True, "fill": False}),
    (CSR, (40, 70), 33, 0.1, {"out_transposed": True, "out": "f16", "element": "f16"}),
    (CSC, (40, 70), 33, 0.1, {}),
    (CSC, (40, 300), 36, 0.3, {"element": "f16", "out": "f16", "fill": False}),
    (CSC, (300, 40), 5, 0.3, {"out_transposed": True}),
    (COO, (40, 70), 33, 0.1, {}),
    (COO, (40, 700), 8, 0.4, {"fill": False}),
    (DCSR, (40, 70), 33, 0.1, {}),
    (DCSR, (40, 700), 12, 0.4, {"fill": False}),
    (DCSR, (40, 70), 33, 0.1, {"out_transposed": True}),
    (CSR, (1, 5000), 4, 0.9, {}),
    (CSR, (3000, 3), 4, 0.1, {}),
    (CSR, (1, 1), 1, 1.0, {}),
]


@pytest.mark.parametrize(("fmt", "shape", "columns", "density", "options"), CASES)
def test_formats_and_layouts(fmt, shape, columns, density, options):
    result, ref = run_spmm(fmt, shape, columns, density, **options)
    assert error_of(result, ref) < TOLERANCE[options.get("out", "f32")]


@pytest.mark.parametrize("fmt", [Format.csr(16), CSC], ids=str)
def test_bf16(fmt):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    a = (torch.randn(37, 300) * (torch.rand(37, 300) < 0.3)).bfloat16()
    b, c = torch.randn(300, 33).bfloat16(), torch.full((37, 33), float("nan")).bfloat16()
    result = run(spmm(fmt, a.shape, 33, element="bf16", out="bf16"), pith.compress(a, fmt), b, c)
    ref = a.double() @ b.double()
    assert (result.double() - ref).norm() < 2.5e-3 * ref.norm()


@pytest.mark.parametrize("fmt", [CSR, CSC, COO, DCSR], ids=str)
@pytest.mark.parametrize(("shape", "columns"), [((6, 9), 4), ((6, 0), 3), ((0, 5), 3), ((6, 9), 0)])
def test_nothing_stored(fmt, shape, columns):
    a = pith.compress(np.zeros(shape, "f4"), fmt)
    b, c = np.ones((shape[1], columns), "f4"), np.full((shape[0], columns), 3, "f4")
    assert (run(spmm(fmt, shape, columns), a, b, c) == 0).all()
    assert (run(spmm(fmt, shape, columns, fill=False), a, b, c) == 3).all()


@pytest.mark.parametrize("fmt", [CSR, CSC, COO, DCSR], ids=str)
@pytest.mark.parametrize("shape", [(45, 700), (3, 2000), (2000, 3)])
def test_vectors(fmt, shape):
    rng = np.random.default_rng(shape)
    a, x = ragged(rng, shape, 0.2), rng.standard_normal(shape[1]).astype("f4")
    ref = a.astype("f8") @ x
    result = run(spmv(fmt, shape), pith.compress(a, fmt), x, np.full(shape[0], np.nan, "f4"))
    assert error_of(result, ref) < TOLERANCE["f32"]
    c = rng.standard_normal(shape[0]).astype("f4")
    assert error_of(run(spmv(fmt, shape, fill=False), pith.compress(a, fmt), x, c), ref + c) < TOLERANCE["f32"]


def test_rows_of_any_length_give_the_same_bits_every_time():
    """No atomics: sums are added in an order that follows from the positions."""
    rng = np.random.default_rng(0)
    a = ragged(rng, (60, 1500), 0.05)
    b, c = rng.standard_normal((1500, 9)).astype("f4"), np.zeros((60, 9), "f4")
    kernel = pith.compile(spmm(CSR, a.shape, 9), target="emulate:sm_90")
    assert "atomic" not in kernel.ir("gpu")
    first, second = (kernel(pith.compress(a, CSR), b, c) for _ in range(2))
    assert (first == second).all()


def test_values_are_not_multiplied_where_nothing_is_stored():
    """NaN and Inf stay out where the matrix stores nothing, and come through where it does."""
    a = np.zeros((5, 4), "f4")
    a[1, 2], a[3, 0] = 2, 1
    b = np.ones((4, 3), "f4")
    b[1], b[0, 1], b[2, 0] = np.nan, np.inf, np.nan
    result = run(spmm(CSR, (5, 4), 3), pith.compress(a, CSR), b, np.zeros((5, 3), "f4"))
    assert np.isnan(result[1, 0]) and (result[1, 1:] == 2).all()
    assert result[3, 1] == np.inf and (result[3, [0, 2]] == 1).all()
    assert (result[[0, 2, 4]] == 0).all()


DIAGONALS = [
    "band(1:2)",
    "band(0:0)",
    "band(40:40)",
    "dia",
    "d1 : dense, d0 - d1 : band(2:1)",
    "d0 : dense, d1 - d0 : compressed",
    "d0 floordiv 4 : dense, d1 - d0 : compressed, d0 mod 4 : dense pad",
]


@pytest.mark.parametrize("text", DIAGONALS)
@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (33, {}),
        (1, {"fill": False}),
        (36, {"out_transposed": True}),
        (8, {"transposed": True}),
        (5, {"transposed": True, "fill": False}),
    ],
)
def test_diagonals(text, columns, options):
    rng = np.random.default_rng(columns)
    for shape in ((70, 70), (37, 90), (90, 37), (1, 4), (4, 1), (0, 3)):
        w = pith.prune(ragged(rng, shape, 0.1), text)
        left = (w.T if options.get("transposed") else w).astype("f8")
        x = rng.standard_normal((left.shape[1], columns)).astype("f4")
        c = rng.standard_normal((left.shape[0], columns)[:: -1 if options.get("out_transposed") else 1]).astype("f4")
        fill = options.get("fill", True)
        a = pith.compress(w, text)
        out = run(spmm(a.format, shape, columns, **options), a, x, np.full_like(c, np.nan) if fill else c)
        ref = left @ x + (0 if fill else c)
        assert error_of(out, ref.T if options.get("out_transposed") else ref) < TOLERANCE["f32"]


@pytest.mark.parametrize("text", ["band(3:1)", "dia"])
def test_diagonals_times_vectors_and_halves(text):
    rng = np.random.default_rng(3)
    w = pith.prune(ragged(rng, (65, 50), 0.2, "f16"), text)
    a, x = pith.compress(w, text), rng.standard_normal((50, 24)).astype("f2")
    out = run(spmm(a.format, w.shape, 24, element="f16", out="f16"), a, x, np.full((65, 24), np.nan, "f2"))
    assert error_of(out, w.astype("f8") @ x.astype("f8")) < TOLERANCE["f16"]
    a, x = pith.compress(w.astype("f4"), text), rng.standard_normal(50).astype("f4")
    out = run(spmv(a.format, w.shape), a, x, np.full(65, np.nan, "f4"))
    assert error_of(out, w.astype("f8") @ x) < TOLERANCE["f32"]


@pytest.mark.parametrize("text", ["band(1:2)", "dia"])
def test_the_ends_of_diagonals_meet_nothing(text):
    """They are stored, but no element."""
    a = pith.compress(np.eye(12, k=1, dtype="f4"), text)
    x = np.ones((12, 8), "f4")
    x[0], x[-1] = np.nan, np.inf
    rows, columns = a.coordinates()[0]
    out = run(spmm(a.format, (12, 12), 8), a, x, np.zeros((12, 8), "f4"))
    touched = np.unique(rows[(columns == 0) | (columns == 11)])
    np.testing.assert_array_equal(np.flatnonzero(~np.isfinite(out).all(1)), touched)


SAMPLED = [
    # format, shape, depth, options
    (CSR, (20, 30), 64, {}),
    (CSR, (20, 30), 33, {"right_transposed": True}),
    (Format.csr(16), (20, 30), 520, {"right_transposed": True, "element": "f16"}),
    (CSC, (20, 30), 64, {"left_transposed": True}),
    (COO, (20, 30), 7, {}),
    (DCSR, (20, 30), 64, {"right_transposed": True}),
    (Format.bsr(4, 2), (20, 30), 64, {}),
    (pith.HSS.parse("C1(1:2)->C0(2:4)"), (20, 32), 64, {}),
    (pith.HSS.parse("V(4)C1(1:2)->C0(2:4)"), (20, 32), 40, {"element": "f16", "right_transposed": True}),
    (pith.HSS.parse("C0(2:4)"), (3, 8), 1, {}),
]


@pytest.mark.parametrize(("fmt", "shape", "depth", "options"), SAMPLED)
def test_sampled_products(fmt, shape, depth, options):
    rng = np.random.default_rng([*shape, depth])
    dtype = NUMPY[options.get("element", "f32")]
    w = ragged(rng, shape, 0.3)
    hss = isinstance(fmt, pith.HSS)
    stored = pith.compress(pith.prune(w, fmt) if hss else w, fmt)
    m, n = shape
    a = rng.standard_normal((depth, m) if options.get("left_transposed") else (m, depth)).astype(dtype)
    b = rng.standard_normal((n, depth) if options.get("right_transposed") else (depth, n)).astype(dtype)
    source = sddmm(fmt.to_format() if hss else fmt, shape, depth, **options)
    *metadata, values = run(source, stored, a, b)
    left = (a.T if options.get("left_transposed") else a).astype("f8")
    right = (b.T if options.get("right_transposed") else b).astype("f8")
    for got, given in zip(metadata, stored.buffers):
        assert (got.view(given.dtype) == given).all()
    ones = pith.SparseTensor(shape, stored.format, (*stored.buffers[:-1], np.ones_like(values)), stored.hss)
    ref = stored.to_dense() + (left @ right) * (ones.to_dense() != 0)
    result = pith.SparseTensor(shape, stored.format, (*stored.buffers[:-1], values), stored.hss)
    assert error_of(result.to_dense(), ref) < TOLERANCE["f32"]


def test_sampled_products_of_nothing():
    stored = pith.compress(np.zeros((5, 6), "f4"), CSR)
    *_, values = run(sddmm(CSR, (5, 6), 4), stored, np.ones((5, 4), "f4"), np.ones((4, 6), "f4"))
    assert values.shape == (0,)


PROGRAMS = {
    "csr": spmm(CSR, (64, 96), 64),
    "csr_f16": spmm(Format.csr(16), (64, 96), 64, element="f16", out="f16"),
    "csr_dynamic": spmm(CSR, (64, 96), None),
    "csr_transposed": spmm(CSR, (64, 96), 64, dense_transposed=True, out_transposed=True),
    "csc": spmm(CSC, (64, 96), 64),
    "coo": spmm(COO, (64, 96), 33),
    "dcsr": spmm(DCSR, (64, 96), 33),
    "band": spmm(Format.banded(3, 4), (64, 96), 64, element="f16", out="f16"),
    "diagonals": spmm(Format.dia(), (64, 96), 33, transposed=True),
    "spmv": spmv(CSR, (64, 96)),
    "sddmm_csr": sddmm(CSR, (64, 96), 64),
    "sddmm_hss": sddmm(
        pith.HSS.parse("C1(1:2)->C0(2:4)").to_format(), (64, 96), 64, element="f16", right_transposed=True
    ),
}


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_ptxas_assembles_without_spills(name, chip):
    assembled = ptxas.assemble(pith.compile(PROGRAMS[name], target=chip).ir("ptx"), chip)
    assert assembled.registers and max(assembled.spill_bytes.values()) == 0
