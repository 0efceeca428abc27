"""Products of dense matrices inside programs: every orientation, batch and size, against float64."""

from __future__ import annotations

import functools

import numpy as np
import pith
import pytest
import torch
from cpu_programs import Operand, check, generic, kernel, multiply_add, random_dense, wide
from pith.formats import HSS, Format
from pith.lowering.isa import HOST, host_isa, parse_isa
from pith.lowering.panel.variant import Roles, default_variant
from pith.runtime import live_bytes, num_threads, set_num_threads
from pith.runtime.cpu import cpu_features

#: Operands of products as in einsum.
MATRICES = [f"{a},{b}->{c}" for a in ("ik", "ki") for b in ("kj", "jk") for c in ("ij", "ji")]
BATCHES = [
    "bik,bkj->bij",
    "bik,bjk->bij",
    "bki,bkj->bij",
    "bik,bkj->bji",
    "bik,kj->bij",  # one matrix for all
    "bik,jk->bij",
    "ik,bkj->bij",
    "bqhd,bkhd->bhqk",  # attention on heads that were never transposed
    "bhqk,bkhd->bqhd",
    "bhik,hkj->bhij",
    "biak,kj->biaj",
]


def program(einsum: str, sizes: dict[str, int], element: str, dynamic: str = "", isa: str = HOST):
    """A compiled ``@f(a, b, init)`` that adds the product to ``init``, and its shapes."""
    inputs, out = einsum.split("->")
    subscripts = [*inputs.split(","), out]
    loops = sorted(set("".join(subscripts)))
    a, b, c = (Operand(tuple(-1 if d in dynamic else sizes[d] for d in s), element, ", ".join(s)) for s in subscripts)
    kinds = "".join("p" if d in out else "r" for d in loops)
    source = generic(", ".join(loops), kinds, [a, b], c, multiply_add(element))
    return _compiled(source, isa=isa), [tuple(sizes[d] for d in s) for s in subscripts]


_compiled = functools.cache(kernel)


def run(einsum: str, sizes: dict[str, int], element: str = "f32", dynamic: str = "", isa: str = HOST) -> None:
    compiled, shapes = program(einsum, sizes, element, dynamic, isa)
    rng = np.random.default_rng(list(sizes.values()))
    a, b, init = (random_dense(rng, s, element) for s in shapes)
    before = live_bytes()
    out = compiled(a, b, init)
    check(out, wide(init) + np.einsum(einsum, wide(a), wide(b)), element)
    del out
    assert live_bytes() == before


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("einsum", MATRICES)
def test_orientations(einsum, element):
    run(einsum, {"i": 37, "k": 29, "j": 41}, element)


@pytest.mark.parametrize("einsum", MATRICES)
def test_run_time_sizes(einsum):
    for i, k, j in ((1, 1, 1), (6, 7, 16), (70, 3, 33), (5, 900, 15), (13, 0, 9), (0, 4, 4), (4, 4, 0), (66, 64, 8)):
        run(einsum, {"i": i, "k": k, "j": j}, dynamic="ikj")


@pytest.mark.parametrize("einsum", ["ik,kj->ij", "ki,kj->ij", "ik,kj->ji", "bik,bkj->bij"])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_few_rows_pack_nothing(einsum, element):
    """Sizes on both sides of a strip's columns, of the coordinates at a time, and of the rows that are few."""
    for i, k, j in ((1, 8, 4096), (1, 3, 5), (2, 17, 4099), (12, 40, 33), (13, 40, 33), (3, 0, 9), (1, 9, 0)):
        run(einsum, {"b": 2, "i": i, "k": k, "j": j}, element, dynamic="ikj")


@pytest.mark.parametrize("dynamic", ["", "ikj"])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_the_next_panel_is_packed_ahead(element, dynamic):
    """Rows on both sides of those that pack the next panel, by one vector or two, and meet it once; also odd panels."""
    for i, k, j in ((48, 64, 192), (49, 64, 320), (96, 63, 200), (103, 63, 330), (112, 3, 200), (252, 37, 257)):
        run("ik,kj->ij", {"i": i, "k": k, "j": j}, element, dynamic)
        run("bik,bkj->bij", {"b": 3, "i": i, "k": k, "j": j}, element, dynamic)
    run("ik,kj->ij", {"i": 253, "k": 40, "j": 200}, element, dynamic)


@pytest.mark.parametrize("einsum", ["ik,jk->ij", "ik,jk->ji", "ki,jk->ij", "bik,bjk->bij"])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_few_rows_are_dot_products(einsum, element):
    """Every number of rows that is few, and more; columns and coordinates on both sides of what is taken at a time."""
    for i in range(2, 14):
        for k, j in ((40, 9), (17, 258), (3, 6), (64, 4)):
            sizes = {"b": 2, "i": i, "k": k + i % 3, "j": j}
            run(einsum, sizes, element, dynamic="ikj")
            if k == 17:
                run(einsum, sizes, element)


@pytest.mark.parametrize("isa", ["sse", "avx2"])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_dot_products_of_short_vectors(element, isa):
    """A register may hold fewer sums than there are columns at a time."""
    if not parse_isa(isa).runs_on(cpu_features()):
        pytest.skip(f"no {isa}")
    for i in (2, 3, 4):
        run("ik,jk->ij", {"i": i, "k": 17, "j": 259}, element, isa=isa)
        run("ik,jk->ij", {"i": i, "k": 17, "j": 259}, element, dynamic="ikj", isa=isa)
    run("ik,k->i", {"i": 70, "k": 17}, element, isa=isa)
    run("ik,kj->ij", {"i": 70, "k": 17, "j": 1}, element, isa=isa)


@pytest.mark.parametrize("j", [4, 7, 8, 9, 16, 17, 24, 31, 130])
@pytest.mark.parametrize("k", [1, 8, 700])
def test_columns_that_do_not_fill_panels(j, k):
    run("ik,kj->ij", {"i": 65, "k": k, "j": j})
    run("ik,kj->ij", {"i": 65, "k": k, "j": j}, dynamic="j")


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("i", [3, 5, 8, 12, 16, 70, 300])
def test_panels_packed_by_the_first_rows(i, element):
    """Whole panels and ragged ones, of one to four vectors; as few rows as one tile has, and several chunks of them."""
    for k, j in ((1, 128), (40, 96), (33, 200), (700, 50)):
        run("ik,kj->ij", {"i": i, "k": k, "j": j}, element)
    run("ik,kj->ij", {"i": i, "k": 40, "j": 200}, element, dynamic="ikj")


@pytest.mark.parametrize("isa", ["avx2", HOST])
@pytest.mark.parametrize("k", [40, 5000])
def test_last_rows_take_a_lower_tile(k, isa):
    """Every number of rows that one and two tiles have, and those on both sides of a chunk; one strip and several."""
    for i in (*range(1, 19), *range(65, 74), *range(251, 260)):
        run("ik,kj->ij", {"i": i, "k": k, "j": 200}, dynamic="i", isa=isa)
    for i in (8, 9, 15, 20):
        run("ik,kj->ij", {"i": i, "k": k, "j": 200}, isa=isa)


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("i", [9, 16, 24, 25, 66, 96, 97])
def test_few_rows_meet_blocks_of_a_large_matrix(i, element):
    """More rows than a tile has, on both sides of what is cut and of what is read where it lies; blocks of whole rows
    and of parts, whole panels and ragged ones, a short last block."""
    for k, j in ((700, 1000), (1030, 640), (4200, 140)):
        run("ik,kj->ij", {"i": i, "k": k, "j": j}, element)
        run("ik,kj->ij", {"i": i, "k": k, "j": j}, element, dynamic="ikj")
    for k, j in ((130, 2100), (300, 900)):
        run("bik,bkj->bij", {"b": 3, "i": i, "k": k, "j": j}, element, dynamic="i")


@pytest.mark.parametrize("rows", [16, 33])
def test_what_follows_few_rows_is_computed_along(rows):
    """Sums of blocks are put down although the contracted coordinates are one strip: the epilogue comes last."""
    source = """
func.func @f(%a: tensor<ROWSx700xf32>, %b: tensor<700x1152xf32>, %y: tensor<ROWSx1152xf32>) -> tensor<ROWSx1152xf32> {
  %zero = arith.constant 0.0 : f32
  %init = linalg.fill ins(%zero : f32) outs(%y : tensor<ROWSx1152xf32>) -> tensor<ROWSx1152xf32>
  %p = linalg.matmul ins(%a, %b : tensor<ROWSx700xf32>, tensor<700x1152xf32>) outs(%init : tensor<ROWSx1152xf32>)
    -> tensor<ROWSx1152xf32>
  %r = linalg.abs ins(%p : tensor<ROWSx1152xf32>) outs(%y : tensor<ROWSx1152xf32>) -> tensor<ROWSx1152xf32>
  return %r : tensor<ROWSx1152xf32>
}""".replace("ROWS", str(rows))
    a, b = (random_dense(np.random.default_rng(3), shape, "f32") for shape in ((rows, 700), (700, 1152)))
    out = pith.compile(source)(a, b, np.full((rows, 1152), np.nan, np.float32))
    np.testing.assert_allclose(out, abs(a.astype(np.float64) @ b), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dynamic", ["", "all"])
@pytest.mark.parametrize("einsum", BATCHES)
def test_batches(einsum, dynamic):
    sizes = dict(zip(sorted(set(einsum) - set(",->")), (3, 5, 18, 21, 13)))
    run(einsum, sizes, dynamic="".join(sizes) if dynamic else "")


@pytest.mark.parametrize("einsum", ["ik,kj->ij", "bik,bjk->bij"])
@pytest.mark.parametrize("dynamic", ["", "ij"])
def test_threads_share_groups(einsum, dynamic):
    """Whole groups of columns, and parts of those left over: every one once, on any number of threads."""
    before = num_threads()
    for columns in (23, 130, 196, 300):
        for threads in (1, 2, 3, 5, 8):
            set_num_threads(threads)
            run(einsum, {"b": 3, "i": 67, "k": 2100, "j": columns}, "f64", dynamic=dynamic)
    set_num_threads(before)


def test_threads_agree():
    compiled, shapes = program("bik,bjk->bij", {"b": 6, "i": 70, "k": 65, "j": 90}, "f32")
    a, b, init = (random_dense(np.random.default_rng(0), s, "f32") for s in shapes)
    before = num_threads()
    results = []
    for threads in (1, 2):
        set_num_threads(threads)
        results.append(compiled(a, b, init))
    set_num_threads(before)
    np.testing.assert_array_equal(*results)


def test_nan_and_infinity_spread_as_in_sums():
    compiled, shapes = program("ik,kj->ij", {"i": 12, "k": 20, "j": 17}, "f32")
    a, b, init = (random_dense(np.random.default_rng(0), s, "f32") for s in shapes)
    a[11, 3], b[5, 16] = np.nan, np.inf
    out = compiled(a, b, init)
    assert np.isnan(out[11]).all() and np.isinf(out[:11, 16]).all()
    assert np.isfinite(out[:11, :16]).all()


@pytest.mark.parametrize("columns", [1, 3, 8, 17, 40])
@pytest.mark.parametrize("rows", [37, 64])
def test_formats_that_hold_everything_run_the_dense_kernel(rows, columns):
    rng = np.random.default_rng(columns)
    w, x, y = (random_dense(rng, s, "f32") for s in ((rows, 48), (48, columns), (columns, rows)))
    dense, levels = (pith.compress(w, f) for f in (Format.dense(2), HSS.parse("C1(4:4)->C0(4:4)")))
    isa = host_isa()
    variants = {default_variant(Roles.of(a.format, 0), columns, 4, isa) for a in (dense, levels)}
    assert len(variants) == 1
    for product in (lambda a: pith.matmul(a, x, variant="sparse"), lambda a: pith.matmul(y, a, variant="sparse")):
        if columns >= isa.vector_bytes // 4:  # narrower ones have tiles that follow the levels
            np.testing.assert_array_equal(product(dense), product(levels))
    check(pith.matmul(levels, x, variant="sparse"), wide(w) @ wide(x), "f32")
    check(pith.matmul(y, levels, variant="sparse"), wide(y) @ wide(w), "f32")


class Attention(torch.nn.Module):
    """Linear layers, scores, softmax and values: what products of a transformer look like once imported."""

    def __init__(self, width: int = 24, heads: int = 3):
        super().__init__()
        self.q, self.k, self.v, self.o = (torch.nn.Linear(width, width) for _ in range(4))
        self.up = torch.nn.Linear(width, 4 * width)
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = (f(x).view(batch, tokens, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        p = (q @ k.transpose(-1, -2) / 3).softmax(-1)
        y = self.o((p @ v).transpose(1, 2).reshape(batch, tokens, width))
        return torch.nn.functional.gelu(self.up(y))


@pytest.mark.parametrize("tokens", [1, 7, 33])
def test_attention_as_torch_writes_it(tokens):
    torch.manual_seed(tokens)
    module, x = Attention().eval(), torch.randn(2, tokens, 24)
    with torch.no_grad():
        out = pith.compile(module, (x,))(x)
        ref = module.double()(x.double())
    assert float((out - ref).norm() / ref.norm()) < 1e-5


@pytest.mark.parametrize("encoding", ["", ", #dense"])
@pytest.mark.parametrize("m, k, n", [(64, 0, 64), (5, 0, 3), (0, 4, 3), (5, 4, 0)])
def test_sizes_of_zero_known_at_compile_time(m, k, n, encoding):
    t = f"tensor<{m}x{n}xf32>"
    multiply = pith.compile(
        f"""#dense = #pith.format<affine_map<(i, j) -> (i, j)>, [#pith.level<"dense">, #pith.level<"dense">], 0, 0, 0>
func.func @f(%a: tensor<{m}x{k}xf32{encoding}>, %b: tensor<{k}x{n}xf32>) -> {t} {{
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : {t}
  %init = linalg.fill ins(%zero : f32) outs(%empty : {t}) -> {t}
  %r = linalg.matmul ins(%a, %b : tensor<{m}x{k}xf32{encoding}>, tensor<{k}x{n}xf32>) outs(%init : {t}) -> {t}
  return %r : {t}
}}"""
    )
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    assert np.array_equal(multiply(pith.compress(a, Format.dense()) if encoding else a, b), a @ b)
