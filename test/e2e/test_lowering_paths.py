"""Every path, format, element type and kind of op on encoded tensors against NumPy in float64."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import sys

import numpy as np
import pith
import pytest
from cpu_programs import (
    DTYPES,
    PATHS,
    Operand,
    check,
    generic,
    kernel,
    multiply_add,
    poisoned,
    random_dense,
    random_sparse,
    wide,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pith.formats import HSS, Format, LevelExpr, Rank

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "unit"))
from format_strategies import can_be_written, formats

RNG = np.random.default_rng(2026)

#: Formats both worlds can say.
SHARED = {
    "csr": Format.csr(),
    "csc": Format.csc(),
    "coo": Format.coo(),
    "bsr": Format.bsr(3, 4),
    "nm": HSS.parse("C0(2:4)").to_format(nm_width=8),
}

#: Formats only pith can say.
OWN = {
    "hss": HSS.parse("C1(3:4)->C0(2:4)").to_format(),
    "rows": HSS.parse("V(6)C1(1:2)->C0(2:4)").to_format(),
    "blocks": HSS.parse("C1(1:2)->B(3x2)C0(1:2)").to_format(),
    "nm under csr": Format.make(2, (0, "dense"), (LevelExpr(1, 4), "compressed"), (LevelExpr(1, 1, 4), "nm(2:4)")),
    "bitmask": Format.make(2, (0, "dense"), (1, "bitmask")),
    "loose": Format.make(2, (0, "dense"), (1, "loose_compressed"), pos_width=32, crd_width=16),
    "dcsc": Format.make(2, (1, "compressed"), (0, "compressed"), pos_width=16, crd_width=8),
}

EVERY = SHARED | OWN

fast = settings(derandomize=True, deadline=None, database=None)


def operands(fmt: Format, element: str, shape=(6, 16)):
    """A sparse array and the same in its format."""
    x = random_sparse(RNG, shape, element, fmt)
    return x, pith.compress(x, fmt)


# -- matrix products, static shapes ---------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", SHARED)
def test_paths_agree_on_what_upstream_can_say(name, path):
    """One static product of f32 per format and path; the init is poison behind a fill."""
    fmt, (m, k, n) = SHARED[name], (6, 16, 5)
    a, x, y = Operand((m, k), "f32", "i, k", fmt), Operand((k, n), "f32", "k, j"), Operand((m, n), "f32", "i, j")
    source = filled(generic("i, j, k", "ppr", (a, x), y, multiply_add("f32")), y, "0.0")
    w, stored = operands(fmt, "f32")
    dense = random_dense(RNG, (k, n), "f32")
    check(kernel(source, path)(stored, dense, poisoned((m, n), "f32")), wide(w) @ wide(dense), "f32")


def filled(source: str, out: Operand, value: str) -> str:
    """The program with its destination filled first."""
    fill = f"""%value = arith.constant {value} : {out.element}
  %filled = linalg.fill ins(%value : {out.element}) outs(%init : {out.type}) -> {out.type}
  %r = linalg.generic"""
    return (
        source.replace("%r = linalg.generic", fill)
        .replace("outs(%init :", "outs(%filled :")
        .replace(f"ins(%value : {out.element}) outs(%filled", f"ins(%value : {out.element}) outs(%init")
    )


@pytest.mark.parametrize("start", ["fill 0", "fill 2", "init"])
@pytest.mark.parametrize("orientation", ["nn", "nt", "tn", "tt"])
def test_orientations_and_starts(orientation, start):
    """Dense operand and output stored either way, accumulating into zeros, a constant and an argument."""
    fmt, (m, k, n) = OWN["rows"], (6, 16, 70)
    x_map, x_shape = ("k, j", (k, n)) if orientation[0] == "n" else ("j, k", (n, k))
    y_map, y_shape = ("i, j", (m, n)) if orientation[1] == "n" else ("j, i", (n, m))
    out = Operand(y_shape, "f32", y_map)
    inputs = (Operand((m, k), "f32", "i, k", fmt), Operand(x_shape, "f32", x_map))
    source = generic("i, j, k", "ppr", inputs, out, multiply_add("f32"))
    w, stored = operands(fmt, "f32")
    dense, init = random_dense(RNG, x_shape, "f32"), random_dense(RNG, y_shape, "f32")
    ref = wide(w) @ wide(dense if orientation[0] == "n" else dense.T)
    ref = ref if orientation[1] == "n" else ref.T
    if start == "init":
        before = init.copy()
        check(kernel(source)(stored, dense, init), ref + wide(init), "f32")
        np.testing.assert_array_equal(init, before)  # arguments stay as they are
    else:
        value = start.split()[1]
        program = kernel(filled(source, out, f"{value}.0"))
        check(program(stored, dense, poisoned(y_shape, "f32")), ref + float(value), "f32")


@pytest.mark.parametrize("path", PATHS)
def test_products_that_share_a_zero_fill(path):
    """CSE makes one fill of two; each product still needs a destination of its own."""
    fmts = (SHARED["csr"], OWN["hss"])
    a, b = (Operand((6, 16), "f32", "", f).type for f in fmts)
    fill = """  %e{a} = tensor.empty() : tensor<6x5xf32>
  %f{a} = linalg.fill ins(%zero : f32) outs(%e{a} : tensor<6x5xf32>) -> tensor<6x5xf32>
"""
    product = """  %y{a} = linalg.generic {{
      indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
                       affine_map<(i, j, k) -> (i, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%{a}, %x : {type}, tensor<16x5xf32>) outs(%f{a} : tensor<6x5xf32>) {{
  ^bb0(%b0: f32, %b1: f32, %o: f32):
    {body}
  }} -> tensor<6x5xf32>
"""
    body = multiply_add("f32")
    source = (
        f"func.func @f(%a: {a}, %b: {b}, %x: tensor<16x5xf32>) -> (tensor<6x5xf32>, tensor<6x5xf32>) {{\n"
        "  %zero = arith.constant 0.0 : f32\n"
        + fill.format(a="a")
        + fill.format(a="b")
        + product.format(a="a", type=a, body=body)
        + product.format(a="b", type=b, body=body)
        + "  return %ya, %yb : tensor<6x5xf32>, tensor<6x5xf32>\n}"
    )
    (v, first), (w, second) = (operands(f, "f32") for f in fmts)
    x = random_dense(RNG, (16, 5), "f32")
    ya, yb = kernel(source, path)(first, second, x)
    check(ya, wide(v) @ wide(x), "f32")
    check(yb, wide(w) @ wide(x), "f32")


# -- matrix products, dynamic shapes --------------------------------------------------


@st.composite
def hss_formats(draw) -> HSS:
    """Any nesting of up to four ranks, with row sharing and blocks."""
    depth = draw(st.integers(1, 4))
    shares = [1] * depth
    block = draw(st.sampled_from(((1, 1), (1, 1), (2, 1), (1, 2), (3, 2))))
    shares[-1] = draw(st.sampled_from((1, 2)))
    inner = shares[-1] * block[0] // (2 if shares[-1] == 2 and block[0] == 2 else 1)
    for i in range(depth - 2, -1, -1):
        if draw(st.booleans()):
            inner *= draw(st.sampled_from((1, 2)))
            shares[i] = inner
    ranks = []
    for i, v in enumerate(shares):
        h = draw(st.integers(1, 4 if depth < 3 else 3))
        ranks.append(Rank(draw(st.integers(1, h)), h, v, block if i == depth - 1 else (1, 1)))
    return HSS(tuple(ranks))


@fast.__class__(fast, max_examples=24)
@given(hss_formats(), st.sampled_from(list(DTYPES)), st.booleans(), st.data())
def test_any_hss_nesting(hss, element, right, data):
    """Sizes from one group up, none of which a panel or chunk divides; densities down to nothing."""
    rows, cols = hss.group
    shape = (rows * data.draw(st.integers(1, 3)), cols * data.draw(st.integers(1, 3)))
    fmt = hss.to_format()
    for n, density in ((1, 0.0), (data.draw(st.integers(2, 70)), 0.5), (0, 0.5), (3, 1.0)):
        w = random_sparse(RNG, shape, element, fmt, density)
        x = random_dense(RNG, (n, shape[0]) if right else (shape[1], n), element)
        stored = pith.compress(w, fmt)
        out = pith.matmul(x, stored) if right else pith.matmul(stored, x)
        check(out, wide(x) @ wide(w) if right else wide(w) @ wide(x), element)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("element", ["f32", "i32"])
def test_other_formats_with_rows_of_zeros(name, element, right):
    """Dynamic shapes: one kernel each for sizes below and above a chunk of 64 rows; empty rows and tensors."""
    fmt = OWN[name]
    for m, k, n in ((6, 16, 3), (192, 32, 65), (0, 16, 4)):
        w = random_sparse(RNG, (m, k), element, fmt, 0.3)
        w[m // 3 : m // 2] = 0
        x = random_dense(RNG, (n, m) if right else (k, n), element)
        out = poisoned((n, k) if right else (m, n), element)
        stored = pith.compress(w, fmt)
        result = pith.matmul(x, stored, out=out) if right else pith.matmul(stored, x, out=out)
        assert result is out
        check(out, wide(x) @ wide(w) if right else wide(w) @ wide(x), element)


@pytest.mark.parametrize("pos, crd", list(itertools.product((8, 16, 32, 64, 0), repeat=2)))
def test_widths_of_positions_and_coordinates(pos, crd):
    fmt = Format.csr().with_widths(pos=pos, crd=crd)
    w, stored = operands(fmt, "f32", (7, 40))
    x = random_dense(RNG, (40, 2), "f32")
    check(pith.matmul(stored, x), wide(w) @ wide(x), "f32")


@pytest.mark.parametrize("width", (0, 2, 4, 8, 16, 32, 64))
def test_widths_of_nm_coordinates(width):
    fmt = HSS.parse("C1(2:3)->C0(2:4)").to_format(nm_width=width)
    w, stored = operands(fmt, "f32", (7, 24))
    x = random_dense(RNG, (24, 2), "f32")
    check(pith.matmul(stored, x), wide(w) @ wide(x), "f32")


def test_groups_wider_than_a_byte():
    """300 coordinates take two bytes each, and so do those of the other rank."""
    fmt = HSS.parse("C1(1:2)->C0(1:300)").to_format()
    w, stored = operands(fmt, "f32", (3, 1200))
    check(pith.matmul(stored, np.eye(1200, dtype=np.float32)), wide(w), "f32")


# -- ops other than products ----------------------------------------------------------

#: name -> (body on %b0 (sparse), %b1 (dense) and the output %o; the same in NumPy).
BODIES = {
    "multiply": ("%p = arith.mulf %b0, %b1 : f32", lambda a, b, o: a * b),
    "negate": ("%p = arith.negf %b0 : f32", lambda a, b, o: -a),
    "square": ("%p = arith.mulf %b0, %b0 : f32", lambda a, b, o: a * a),
    "copy": ("%p = arith.negf %b0 : f32\n %q = arith.negf %p : f32", lambda a, b, o: a),
    "tanh": ("%p = math.tanh %b0 : f32", lambda a, b, o: np.tanh(a)),
    "positive part": (
        "%z = arith.constant 0.0 : f32\n %m = arith.maximumf %b0, %z : f32\n %p = arith.mulf %m, %b1 : f32",
        lambda a, b, o: np.maximum(a, 0) * b,
    ),
    "accumulate twice": (
        "%m = arith.mulf %b0, %b1 : f32\n %n = arith.mulf %m, %b0 : f32\n %s = arith.addf %m, %n : f32\n"
        " %p = arith.addf %s, %o : f32",
        lambda a, b, o: a * b + a * a * b + o,
    ),
    "accumulate": ("%m = arith.mulf %b0, %b1 : f32\n %p = arith.addf %m, %o : f32", lambda a, b, o: a * b + o),
    "scale the output": ("%p = arith.mulf %b0, %o : f32", lambda a, b, o: a * o),
    "add": ("%p = arith.addf %b0, %b1 : f32", lambda a, b, o: a + b),
    "subtract from": ("%p = arith.subf %b1, %b0 : f32", lambda a, b, o: b - a),
    "maximum": ("%p = arith.maximumf %b0, %b1 : f32", lambda a, b, o: np.maximum(a, b)),
    "exponential": ("%p = math.exp %b0 : f32", lambda a, b, o: np.exp(a)),
    "select": (
        "%z = arith.constant 0.0 : f32\n %c = arith.cmpf ogt, %b0, %z : f32\n %p = arith.select %c, %b0, %b1 : f32",
        lambda a, b, o: np.where(a > 0, a, b),
    ),
    "branch": (
        "%z = arith.constant 0.0 : f32\n %c = arith.cmpf ogt, %b0, %z : f32\n %p = scf.if %c -> f32 {\n"
        "  %s = arith.addf %b0, %b1 : f32\n scf.yield %s : f32\n } else {\n scf.yield %b1 : f32 }",
        lambda a, b, o: np.where(a > 0, a + b, b),
    ),
    "index": (
        "%i = linalg.index 1 : index\n %n = arith.index_cast %i : index to i32\n %x = arith.sitofp %n : i32 to f32\n"
        " %p = arith.mulf %x, %b0 : f32",
        lambda a, b, o: a * np.arange(a.shape[1]),
    ),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fmt", [SHARED["csr"], SHARED["coo"], OWN["hss"]], ids=["csr", "coo", "hss"])
def test_elementwise_ops(fmt, path):
    """All bodies in one module: those that vanish with the sparse operand, and those that may not skip zeros."""
    shape = (6, 16)
    a, b, o = (Operand(shape, "f32", "i, j", f) for f in (fmt, None, None))
    w, stored = operands(fmt, "f32")
    dense, init = random_dense(RNG, shape, "f32"), random_dense(RNG, shape, "f32")
    for name, (body, reference) in BODIES.items():
        result = "%q" if "%q =" in body else "%p"
        program = kernel(generic("i, j", "pp", (a, b), o, f"{body}\n    linalg.yield {result} : f32"), path)
        before = init.copy()
        out = program(stored, dense, init)
        np.testing.assert_array_equal(init, before, err_msg=name)
        check(out, reference(wide(w), wide(dense), wide(init)), "f32")


MIXED = ("csr", "csc", "coo", "hss")


@pytest.mark.parametrize("path", ("auto", "loops"))
@pytest.mark.parametrize("first, second", [p for p in itertools.product(MIXED, repeat=2) if p != ("coo", "csc")])
def test_two_encoded_operands(first, second, path):
    """Formats that iterate together, in no common order, and of two worlds; elementwise and product."""
    f, g = EVERY[first], EVERY[second]
    (v, left), (w, right) = operands(f, "f32"), operands(g, "f32")
    a, b, o = (Operand((6, 16), "f32", "i, j", x) for x in (f, g, None))
    body = "%p = arith.mulf %b0, %b1 : f32\n    linalg.yield %p : f32"
    out = kernel(generic("i, j", "pp", (a, b), o, body), path)(left, right, poisoned((6, 16), "f32"))
    check(out, wide(v) * wide(w), "f32")
    a, b = dataclasses.replace(a, map="i, k"), dataclasses.replace(b, map="j, k")
    init = np.ones((6, 6), np.float32)
    program = generic("i, j, k", "ppr", (a, b), Operand((6, 6), "f32", "i, j"), multiply_add("f32"))
    check(kernel(program, path)(left, right, init), wide(v) @ wide(w).T + 1, "f32")


def test_batch_and_several_free_dimensions():
    """out[b, i, h] += sparse[i, k] * x[b, k, h] * s[h], with dynamic sizes of everything dense."""
    fmt = OWN["hss"]
    inputs = (
        Operand((6, 16), "f32", "i, k", fmt),
        Operand((-1, -1, -1), "f32", "b, k, h"),
        Operand((-1,), "f32", "h"),
    )
    body = """%p = arith.mulf %b0, %b1 : f32
    %q = arith.mulf %p, %b2 : f32
    %t = arith.addf %q, %o : f32
    linalg.yield %t : f32"""
    program = kernel(generic("b, i, h, k", "pppr", inputs, Operand((-1, -1, -1), "f32", "b, i, h"), body))
    w, stored = operands(fmt, "f32")
    for b, h in ((1, 1), (3, 7), (0, 2)):
        x, s = random_dense(RNG, (b, 16, h), "f32"), random_dense(RNG, (h,), "f32")
        ref = np.einsum("ik,bkh,h->bih", wide(w), wide(x), wide(s))
        check(program(stored, x, s, np.zeros((b, 6, h), np.float32)), ref, "f32")


@pytest.mark.parametrize("name", ["csr", "csc", "nm", "rows", "blocks", "bitmask"])
@pytest.mark.parametrize(
    ("sparse", "dense", "out"),
    [
        ("i, k", "k", "i"),
        ("k, i", "k", "i"),
        ("i, k", "b, k, h", "b, i, h"),
        ("i, k", "b, h, k", "i, b, h"),
        ("k, i", "h, k, b", "b, h, i"),
        ("i, k", "h, k, b", "b, h, i"),
        ("i, k", "k, h, b", "b, i, h"),
        ("i, k", "b, k, g, h", "g, i, b, h"),
    ],
)
def test_vectors_and_batches_are_products(sparse, dense, out, name):
    """Vectors, and any number of loops around matrices that the sparse operand does not see; sums start from ones."""
    fmt, sizes = EVERY[name], {"b": 3, "g": 2, "h": 21} | dict(zip(sparse.split(", "), (6, 16)))
    w, stored = operands(fmt, "f32")
    shapes = [[sizes[c] for c in letters.split(", ")] for letters in (dense, out)]
    x = random_dense(RNG, shapes[0], "f32")
    letters = list(dict.fromkeys(f"{sparse}, {dense}".split(", ")))
    inputs = (Operand((6, 16), "f32", sparse, fmt), Operand((-1,) * x.ndim, "f32", dense))
    kinds = "".join("r" if c == "k" else "p" for c in letters)
    result = Operand((-1,) * len(shapes[1]), "f32", out)
    program = kernel(generic(", ".join(letters), kinds, inputs, result, multiply_add("f32")))
    assert "] panel: " in program.explain()
    equation = f"{sparse},{dense}->{out}".replace(", ", "")
    ref = np.einsum(equation, wide(w), wide(x)) + 1
    check(program(stored, x, np.ones(shapes[1], np.float32)), ref, "f32")


def test_reduction_over_all_dimensions():
    """A sum over every element: the output has no loop of its own."""
    for name in ("csr", "hss"):
        inputs = (Operand((6, 16), "f64", "i, j", EVERY[name]), Operand((6, 16), "f64", "i, j"))
        program = kernel(generic("i, j", "rr", inputs, Operand((), "f64", ""), multiply_add("f64")))
        w, stored = operands(EVERY[name], "f64")
        x = random_dense(RNG, (6, 16), "f64")
        check(program(stored, x, np.array(0.5)), np.asarray((wide(w) * x).sum() + 0.5), "f64")


def test_index_and_window_in_dense_ops():
    """Dense ops next to sparse ones: positions in the body, and maps with sums of loops."""
    body = """%i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i64
    %f = arith.sitofp %n : i64 to f32
    %p = arith.mulf %f, %b0 : f32
    %q = arith.mulf %p, %b1 : f32
    %t = arith.addf %o, %q : f32
    linalg.yield %t : f32"""
    inputs = (Operand((9,), "f32", "i + k"), Operand((3,), "f32", "k"))
    program = kernel(generic("i, k", "pr", inputs, Operand((7,), "f32", "i"), body))
    x, w = random_dense(RNG, (9,), "f32"), random_dense(RNG, (3,), "f32")
    ref = np.arange(7) * np.correlate(wide(x), wide(w), "valid")
    check(program(x, w, np.zeros(7, np.float32)), ref, "f32")


@fast.__class__(fast, max_examples=20)
@given(formats(max_rank=3, max_levels=5), st.sampled_from(PATHS), st.data())
def test_any_format_of_any_rank(fmt, path, data):
    """Unpacking, and a reduction beside a dense operand, for every kind of level anywhere."""
    assume(can_be_written(fmt))
    shape = tuple(d * data.draw(st.integers(1, 2)) for d in fmt.divisors())
    w = random_sparse(RNG, shape, "f32", fmt)
    stored = pith.compress(pith.prune(w, fmt), fmt)
    loops = ", ".join(f"d{i}" for i in range(fmt.rank))
    unpack = f"""func.func @f(%a: {Operand(shape, "f32", "", fmt).type}) -> {Operand(shape, "f32", "").type} {{
      %r = "pith.decompress"(%a) : ({Operand(shape, "f32", "", fmt).type}) -> {Operand(shape, "f32", "").type}
      return %r : {Operand(shape, "f32", "").type}
    }}"""
    np.testing.assert_array_equal(kernel(unpack, path)(stored), w)
    inputs = (Operand(shape, "f32", loops, fmt), Operand(shape, "f32", loops))
    out = Operand(shape[:1], "f32", "d0")
    program = kernel(generic(loops, "p" + "r" * (fmt.rank - 1), inputs, out, multiply_add("f32")), path)
    x = random_dense(RNG, shape, "f32")
    ref = (wide(w) * x).reshape(shape[0], -1).sum(axis=1)
    result = program(stored, x, np.zeros(shape[:1], np.float32))
    np.testing.assert_allclose(result, ref, rtol=1e-5, atol=1e-5)  # the sums may cancel


@pytest.mark.parametrize("path", PATHS)
def test_elements_stored_in_parts_add_up(path):
    """A nonunique last level: 2 + 3 at position 1. The square of a sum is not the sum of squares."""
    fmt = Format.make(1, (0, "compressed(nonunique)"))
    buffers = [np.array([0, 3]), np.array([1, 1, 2]), np.array([2, 3, 4], np.float32)]
    stored = pith.SparseTensor((4,), fmt, buffers)
    a, o = Operand((4,), "f32", "i", fmt), Operand((4,), "f32", "i")
    body = "%p = arith.mulf %b0, %b0 : f32\n %q = arith.addf %p, %o : f32\n linalg.yield %q : f32"
    out = kernel(generic("i", "p", (a,), o, body), path)(stored, np.ones(4, np.float32))
    assert out.tolist() == [1, 26, 17, 1]
    body = "%q = arith.addf %b0, %o : f32\n linalg.yield %q : f32"
    out = kernel(generic("i", "p", (a,), o, body), path)(stored, np.ones(4, np.float32))
    assert out.tolist() == [1, 6, 5, 1]


# -- NaN and infinity -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "hss", "bitmask"])
def test_what_is_not_stored_is_zero_whatever_it_meets(name):
    """NaN and infinity in rows of the dense operand that no stored element meets; then in a stored one."""
    fmt = EVERY[name]
    w = np.zeros((6, 16), np.float32)
    w[:, [1, 2, 4, 6, 8, 11]] = random_dense(RNG, (6, 6), "f32")
    w = pith.prune(w, fmt)
    stored = pith.compress(w, fmt)
    x = random_dense(RNG, (16, 3), "f32")
    met = np.zeros(16, bool)
    met[stored.coordinates()[0][1]] = True  # zeros that fill up a group are stored
    ref = wide(w[:, met]) @ wide(x[met])
    x[~met] = [np.nan, np.inf, -np.inf]
    check(pith.matmul(stored, x), ref, "f32")
    stored.values[:] = np.where(np.arange(stored.nse) == 0, np.nan, stored.values)
    row = stored.coordinates()[0][0, 0]
    out = pith.matmul(stored, x)
    assert np.isnan(out[row]).all()
    assert not np.isnan(np.delete(out, row, axis=0)).any()
