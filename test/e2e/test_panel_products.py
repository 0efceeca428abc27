"""The matrix-product generator against float64: random formats, shapes, sides, variants and instruction sets."""

import numpy as np
import pith
import pytest
from pith.compiler.kernel import compile_source
from pith.formats import Format
from pith.formats.attribute import format_attribute
from pith.functional.matmul.ir import matmul_source
from pith.lowering.isa import parse_isa
from pith.lowering.panel.variant import Roles, default_variant, size_class

SEED = 20261121

#: Relative error ||out - ref|| / ||ref|| allowed: the rounding of sums of up to a few thousand terms.
TOLERANCE = {"f32": 2e-6, "f64": 1e-14}
NUMPY = {"f32": np.float32, "f64": np.float64}

FIXED = (
    "C0(2:4)",
    "C0(1:4)",
    "C0(3:16)",
    "C0(4:4)",
    "C1(4:4)->C0(4:4)",
    "C1(2:4)->C0(2:4)",
    "C1(3:4)->C0(2:4)",
    "C2(1:2)->C1(2:3)->C0(2:4)",
    "C3(1:2)->C2(2:2)->C1(2:3)->C0(1:4)",
    "V(4)C0(2:4)",
    "V(16)C1(2:4)->C0(2:4)",
    "V(32)C1(1:4)->V(8)C0(2:4)",
    "C1(2:4)->V(4)C0(2:4)",
    "C1(3:4)->B(4x1)C0(2:4)",
    "V(6)C1(1:2)->V(2)C0(2:3)",
    "B(4x4)C0(1:2)",
    "B(4x1)C0(2:4)",
    "B(1x4)C0(2:4)",
    "B(16x32)C0(1:3)",
    "V(8)C1(1:2)->B(4x2)C0(1:3)",
    "C1(*)->C0(2:4)",
    "B(4x8)C0(*)",
    "C0(*)",
    "C1(bitmask)->C0(1:2)",
    "M1->C1(*)->M0(4)->C0(2:4)",
    "C2->C0(2:4)->C1(1:4)",  # innermost coordinates that stand apart
    "C0(2:4)->C1(4)",
    "C0(4)->C1",  # a loop of unknown length inside
    "C1(2:4)->C0(2:2)->C2",
    "M2->M0(4)->C0(2:4)->M1(4)",
)


def random_hss(rng: np.random.Generator) -> str:
    """A format of up to 4 ranks, with row sharing and blocks."""
    depth = int(rng.integers(1, 5))
    shares = [1]
    for _ in range(depth - 1):
        shares.append(shares[-1] * int(rng.choice((1, 1, 2, 4))))
    ranks = []
    for i, share in zip(range(depth), shares):
        h = int(rng.integers(1, 9)) if depth < 3 else int(rng.integers(1, 5))
        g = int(rng.integers(1, h + 1))
        block = "B({}x{})".format(*rng.integers(1, 5, 2)) if i == 0 and rng.random() < 0.3 and share == 1 else ""
        v = f"V({share})" if share > 1 and not block else ""
        ranks.append(f"{v}{block}C{i}({g}:{h})")
    return "->".join(reversed(ranks))


def source(fmt, element: str, right: bool, attributes: str, isa: str) -> str:
    """``out = A @ x`` (``right``: ``x @ A.T``-like, rows of A are columns of the result) with dynamic sizes."""
    x, y = ("(j, k)", "(j, i)") if right else ("(k, j)", "(i, j)")
    t = f"tensor<?x?x{element}>"
    return f"""#fmt = {format_attribute(fmt)}
#a = affine_map<(i, j, k) -> (i, k)>
#x = affine_map<(i, j, k) -> {x}>
#y = affine_map<(i, j, k) -> {y}>
module attributes {{pith.isa = "{isa}"}} {{
func.func @product(%a: tensor<?x?x{element}, #fmt>, %x: {t}, %out: memref<?x?x{element}>) {{
  %zero = arith.constant 0.0 : {element}
  %dst = bufferization.to_tensor %out restrict writable : memref<?x?x{element}> to {t}
  %init = linalg.fill ins(%zero : {element}) outs(%dst : {t}) -> {t}
  %y = linalg.generic {{indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %x : tensor<?x?x{element}, #fmt>, {t}) outs(%init : {t}) attrs = {{{attributes}}} {{
  ^bb0(%v: {element}, %w: {element}, %s: {element}):
    %p = arith.mulf %v, %w : {element}
    %t = arith.addf %s, %p : {element}
    linalg.yield %t : {element}
  }} -> {t}
  bufferization.materialize_in_destination %y in restrict writable %out : ({t}, memref<?x?x{element}>) -> ()
  return
}}
}}
"""


def check_product(
    rng, text: str, columns: int, element: str = "f32", right: bool = False, isa: str = "host", times=None
):
    """Compile one product and compare it with float64, the output poisoned."""
    hss = pith.HSS.parse(text)
    fmt = hss.to_format()
    rows, reds = (int(d) * int(n) for d, n in zip(fmt.divisors(), times or rng.integers(1, 9, 2)))
    if fmt.padded:
        rows, reds = max(0, rows - 1), max(0, reds - 1)
    dense = pith.prune(rng.standard_normal((rows, reds)).astype(NUMPY[element]), hss, **density(text))
    a = pith.compress(dense, hss)
    x = rng.standard_normal((columns, reds) if right else (reds, columns)).astype(NUMPY[element])
    target = parse_isa(isa)
    roles = Roles.of(fmt, 0)
    variant = default_variant(roles, columns, x.itemsize, target)
    attributes = f'"pith.variant" = "{variant}", "pith.multiple" = {size_class(roles, reds)} : i64'
    kernel = compile_source(source(fmt, element, right, attributes, target.name), "product")
    out = np.full((columns, rows) if right else (rows, columns), np.nan, NUMPY[element])
    kernel.native(*a.buffers, *a.shape, x, out)
    w, wide = dense.astype(np.float64), x.astype(np.float64)
    reference = wide @ w.T if right else w @ wide
    error = np.linalg.norm(out - reference) / max(np.linalg.norm(reference), 1e-30)
    assert error < TOLERANCE[element], f"{text} {rows}x{reds}x{columns} {variant}: relative error {error:.1e}"


def density(text: str) -> dict:
    """Unstructured ranks keep a third of what they can."""
    return {"density": 0.33} if "*" in text or "bitmask" in text else {}


@pytest.mark.parametrize("text", FIXED)
def test_formats(text):
    rng = np.random.default_rng(SEED)
    for columns, right in ((1, False), (3, True), (33, False), (70, True)):
        check_product(rng, text, columns, right=right)


@pytest.mark.parametrize("seed", range(24))
def test_random_formats(seed):
    rng = np.random.default_rng(SEED + seed)
    element = "f64" if seed % 4 == 3 else "f32"
    columns = int(rng.choice((1, 2, 5, 8, 24, 64, 100)))
    check_product(rng, random_hss(rng), columns, element, right=bool(seed % 2))


@pytest.mark.parametrize("isa", ["generic", "emulate:avx2", "emulate:avx512"])
@pytest.mark.parametrize("text", ["C1(2:4)->C0(2:4)", "V(4)C0(2:4)", "B(4x4)C0(1:2)", "C0(8:8)"])
def test_register_tiles_of_other_machines(isa, text):
    """Vectors of any width are legal everywhere; instructions that are not are emulated."""
    rng = np.random.default_rng(SEED)
    for columns in (1, 50):
        check_product(rng, text, columns, isa=isa, times=(3, 16))


@pytest.mark.parametrize(
    "text", ["C1(2:4)->C0(2:4)", "V(4)C0(2:4)", "B(4x4)C0(1:2)", "V(8)C1(1:2)->C0(2:4)", "B(3x5)C0(*)"]
)
def test_padded_formats(text):
    """Entries beyond the edge meet zeros, whatever lies behind the dense operand."""
    rng = np.random.default_rng(SEED)
    for columns, right in ((1, False), (20, False), (33, True)):
        check_product(rng, text + " pad", columns, right=right)


@pytest.mark.parametrize("isa", ["host", "emulate:avx2", "emulate:avx512"])
@pytest.mark.parametrize("groups", [2, 30, 32, 33, 34, 50, 62, 64, 68, 98, 100, 420])
@pytest.mark.parametrize("text", ["C0(2:4)", "C0(1:4)", "C0(3:4)", "C1(2:4)->C0(2:4)", "V(4)C0(2:4)"])
def test_strips_that_do_not_divide_the_contracted_dimension(text, groups, isa):
    """A strip is one unrolled block, what is left behind the last one takes a loop; rows begin anywhere in a line."""
    rng = np.random.default_rng(SEED + groups)
    for columns in (20, 64) if isa == "host" else (64,):
        check_product(rng, text, columns, isa=isa, times=(10, groups))


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 130])
def test_chunks_of_rows(rows):
    for text in ("C0(2:4)", "C0(4:4)"):
        for columns in (1, 20):
            check_product(np.random.default_rng(rows), text, columns, times=(rows, 70))


def test_no_contracted_coordinates():
    for text in ("C0(2:4)", "C0(4:4)", "C0(*)", "V(4)C0(2:4)"):
        for columns in (1, 20):
            check_product(np.random.default_rng(0), text, columns, times=(5, 0))


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 64, 96, 97, 129])
def test_unknown_numbers_of_columns_share_a_kernel(columns):
    """Without a variant, a last panel that is at most half full takes a tile of half the lanes."""
    rng = np.random.default_rng(SEED + columns)
    fmt = pith.HSS.parse("C1(2:4)->C0(2:4)")
    w = pith.prune(rng.standard_normal((70, 320)).astype(np.float32), fmt)
    a, x = pith.compress(w, fmt), rng.standard_normal((320, columns)).astype(np.float32)
    kernel = compile_source(
        source(fmt.to_format(), "f32", False, '"pith.multiple" = 64 : i64', parse_isa("host").name), "product"
    )
    out = np.full((70, columns), np.nan, np.float32)
    kernel.native(*a.buffers, *a.shape, x, out)
    reference = w.astype(np.float64) @ x.astype(np.float64)
    assert np.linalg.norm(out - reference) < TOLERANCE["f32"] * np.linalg.norm(reference)


@pytest.mark.parametrize("isa", ["host", "emulate:avx512"])
@pytest.mark.parametrize(("fmt", "rows"), [("C1(2:4)->V(4)C0(2:4)", 4), ("C1(2:4)->C0(2:4)", 1)])
def test_nested_groups_name_only_registers_there_are(fmt, rows, isa):
    """An assembly statement takes whole registers, none of a tile of two columns or of odd ones."""
    rng = np.random.default_rng(SEED)
    w = pith.prune(rng.standard_normal((20, 80)).astype(np.float32), fmt)
    a, x = pith.compress(w, fmt), rng.standard_normal((80, 60)).astype(np.float32)
    for lanes in (2, 4, 8, 16, 20, 56):
        text = matmul_source(a.format, "f32", False, f"lanes={lanes},rows={rows}")
        kernel, out = compile_source(text, "matmul", isa=isa), np.full((20, 60), np.nan, np.float32)
        assert not (kernel.ir("llvm").count('"=r,0,v') and isa != "host")
        kernel.native(*a.buffers, *a.shape, x, out)
        reference = w.astype(np.float64) @ x
        assert np.linalg.norm(out - reference) <= TOLERANCE["f32"] * np.linalg.norm(reference)


@pytest.mark.parametrize("nm_width", [2, 8, 16, 32])
@pytest.mark.parametrize("groups", [5, 7, 16, 25])
def test_coordinates_of_any_width_with_one_column(nm_width, groups):
    rng = np.random.default_rng(SEED)
    fmt = pith.HSS.parse("C0(2:4)").to_format(nm_width=nm_width)
    w = pith.prune(rng.standard_normal((9, 4 * groups)).astype(np.float32), fmt)
    x = rng.standard_normal((4 * groups, 1)).astype(np.float32)
    out = pith.matmul(pith.compress(w, fmt), x, variant="sparse")
    assert np.linalg.norm(out - w.astype(np.float64) @ x) < 1e-5 * np.linalg.norm(w @ x)


@pytest.mark.parametrize("columns", [1, 7, 63, 64, 65, 136, 200])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_words_of_a_bitmask(columns, density):
    """Rows whose bits fill words of 64, and rows whose last word is a part of one; bits of the next row follow."""
    rng = np.random.default_rng(columns)
    w = np.where(rng.random((9, columns)) < density, rng.standard_normal((9, columns)), 0).astype(np.float32)
    a, x = pith.compress(w, "C0(bitmask)"), rng.standard_normal((columns, 20)).astype(np.float32)
    out = np.full((9, 20), np.nan, np.float32)
    pith.matmul(a, x, out=out, variant="sparse")
    np.testing.assert_allclose(out, w.astype(np.float64) @ x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pith.matmul(x.T, a.T, variant="sparse"), out.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("isa", ["host", "emulate:avx512"])
@pytest.mark.parametrize("lanes", [8, 32, 64])
def test_entries_that_are_taken_together(lanes, isa):
    """Rows of any number of entries in every strip; a row that is not stored meets NaN."""
    rng = np.random.default_rng(SEED)
    for strip in ("", ",strip=96"):
        text = matmul_source(Format.csr(), "f32", False, f"lanes={lanes},rows=1{strip}")
        kernel = compile_source(text, "matmul", isa=isa)
        for m, k in ((1, 1), (67, 97), (130, 300)):
            w = rng.standard_normal((m, k)).astype(np.float32) * (rng.random((m, k)) < np.linspace(0, 1, m)[:, None])
            w[:, -1] = 0
            x = rng.standard_normal((k, lanes + 3)).astype(np.float32)
            a, out = pith.compress(w, Format.csr()), np.full((m, lanes + 3), np.nan, np.float32)
            reference = w.astype(np.float64) @ x
            x[-1] = np.nan
            kernel.native(*a.buffers, *a.shape, x, out)
            assert np.linalg.norm(out - reference) <= TOLERANCE["f32"] * np.linalg.norm(reference)


@pytest.mark.parametrize("fmt", ["C0(2:4)", "V(4)C1(2:4)->C0(2:4)", "C0(2:4) pad"])
@pytest.mark.parametrize("offset", [0, 4, 32])
def test_an_operand_that_is_a_panel_is_read_as_it_lies(fmt, offset):
    """On a cache line or not, and with columns beside it that are not of the product."""
    rng, (m, k, n) = np.random.default_rng(SEED), (72, 256, 64)
    w = pith.prune(rng.standard_normal((m, k), np.float32), fmt)
    room = np.full(k * n + 32, np.nan, np.float32)
    begin = (-room.ctypes.data % 64 + offset) // 4
    x = room[begin : begin + k * n].reshape(k, n)
    x[...] = rng.standard_normal((k, n))
    beside = np.concatenate([x, np.full_like(x, np.nan)], axis=1)[:, :n]
    a, expected = pith.compress(w, fmt), w.astype(np.float64) @ x
    for operand in (x, beside):
        for variant in ("lanes=64,rows=1", "lanes=32,rows=1"):
            out = np.full((m, n), np.nan, np.float32)
            pith.matmul(a, operand, out=out, variant=variant)
            assert np.linalg.norm(out - expected) <= TOLERANCE["f32"] * np.linalg.norm(expected)
