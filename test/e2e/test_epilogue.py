"""Elementwise ops computed where a product stores its tiles: every activation, orientation and shape of chain."""

from __future__ import annotations

import numpy as np
import pith
import pytest
from cpu_programs import check, random_dense, random_sparse, wide
from pith.compiler.build import parse
from pith.compiler.kernel import compile_source
from pith.formats import HSS, Format
from pith.formats.attribute import format_attribute
from pith.lowering.cpu import run_stage, stages
from pith.lowering.plan import OpPlan, plan_module

RNG = np.random.default_rng(2026)

FORMATS = {
    "csr": Format.csr(),
    "hss": HSS.parse("C1(3:4)->C0(2:4)").to_format(),
    "rows": HSS.parse("V(4)C0(1:4)").to_format(),
    "csc": Format.csc(),
}

# Chains written out as IR. %p is the product of %a and %x, stored as (rows, cols) or (cols, rows).

PROGRAM = """#fmt = {fmt}
#ij = affine_map<(i, j) -> (i, j)>
#ji = affine_map<(i, j) -> (j, i)>
#i = affine_map<(i, j) -> (i)>
#j = affine_map<(i, j) -> (j)>
#none = affine_map<(i, j) -> ()>
#ijk = affine_map<(i, j, k) -> (i, j, k)>
#ij0 = affine_map<(i, j, k) -> (i, j, 0)>
#k = affine_map<(i, j, k) -> (k)>
func.func @f(%a: tensor<{A}x{t}, #fmt>, %x: tensor<{X}x{t}>, {arguments}) -> {result} {{
  %zero = arith.constant 0.0 : {t}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %e = tensor.empty({sizes}) : tensor<{P}x{t}>
  %init = linalg.fill ins(%zero : {t}) outs(%e : tensor<{P}x{t}>) -> tensor<{P}x{t}>
  %p = linalg.generic {{indexing_maps = [affine_map<(r, c, k) -> (r, k)>, affine_map<(r, c, k) -> (k, c)>,
      affine_map<(r, c, k) -> ({order})>], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %x : tensor<{A}x{t}, #fmt>, tensor<{X}x{t}>) outs({into} : tensor<{P}x{t}>) {{
  ^bb0(%av: {t}, %xv: {t}, %pv: {t}):
    %ax = arith.mulf %av, %xv : {t}
    %sum = arith.addf %pv, %ax : {t}
    linalg.yield %sum : {t}
  }} -> tensor<{P}x{t}>
{chain}
}}
"""


def generic(name: str, maps: str, ins: list[tuple[str, str]], out: tuple[str, str], body: str) -> str:
    """One elementwise op; ``ins`` and ``out`` are values with their types, the body reads %b0, %b1, ..."""
    arguments = "".join(f"%b{i}: {{t}}, " for i in range(len(ins)))
    element = out[1].rpartition("x")[2].rstrip(">")
    return f"""  {name} = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins({", ".join(v for v, _ in ins)} : {", ".join(t for _, t in ins)}) outs({out[0]} : {out[1]}) {{
  ^bb0({arguments}%o: {element}):
    {body}
  }} -> {out[1]}
"""


def case(
    chain: str,
    arguments: str,
    result: str,
    *,
    transposed: bool,
    dynamic: bool,
    t: str,
    fmt: str,
    into: str = "%init",
) -> str:
    """The program; in ``chain`` and ``arguments`` P, Q, I, J and t stand for sizes and the element type.

    P is the product's shape, Q its transpose, I and J its two sizes.
    """
    rows, cols = (ROWS, COLS) if not dynamic else ("?", "?")
    i, j = (cols, rows) if transposed else (rows, cols)
    names = {"{P}": f"{i}x{j}", "{Q}": f"{j}x{i}", "{I}": f"{i}", "{J}": f"{j}", "{t}": t}

    def fill(text: str) -> str:
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    asked = "  %height = tensor.dim %a, %c0 : tensor<{A}x{t}, #fmt>\n  %width = tensor.dim %x, %c1 : tensor<{X}x{t}>\n"
    text = PROGRAM.replace("  %e =", asked + "  %e =") if dynamic else PROGRAM
    return text.format(
        fmt=format_attribute(FORMATS[fmt]),
        A=f"{rows}x{INNER}",
        X=f"{INNER}x{cols}",
        P=f"{i}x{j}",
        t=t,
        order="c, r" if transposed else "r, c",
        sizes="" if not dynamic else "%width, %height" if transposed else "%height, %width",
        into=into,
        arguments=fill(arguments),
        result=fill(result),
        chain=fill(chain),
    )


ROWS, COLS, INNER = 44, 39, 32

M, N = "tensor<{P}x{t}>", "tensor<{Q}x{t}>"
ROW, COLUMN = "tensor<{I}x{t}>", "tensor<{J}x{t}>"
ADD = "%r = arith.addf %b0, %b1 : {t}\n    linalg.yield %r : {t}"
MUL = "%r = arith.mulf %b0, %b1 : {t}\n    linalg.yield %r : {t}"

ADD_SUBTRACT = """%s = arith.addf %b0, %b1 : {t}
    %r = arith.subf %s, %b2 : {t}
    linalg.yield %r : {t}"""
SQUARE_SCALE = """%m = arith.mulf %b0, %b1 : {t}
    %r = arith.mulf %m, %b2 : {t}
    linalg.yield %r : {t}"""
RELU = """%r = arith.maximumf %b0, %zero : {t}
    linalg.yield %r : {t}"""
RELU_BY_SELECT = """%g = arith.cmpf ugt, %b0, %zero : {t}
    %r = arith.select %g, %b0, %zero : {t}
    linalg.yield %r : {t}"""
REQUANTISE = """%m = arith.mulf %b0, %b1 : {t}
    %lo = arith.constant -127.0 : {t}
    %hi = arith.constant 127.0 : {t}
    %l = arith.maximumf %m, %lo : {t}
    %h = arith.minimumf %l, %hi : {t}
    %n = math.roundeven %h : {t}
    %r = arith.fptosi %n : {t} to i8
    linalg.yield %r : i8"""
ADD_POSITION = """%n = linalg.index 1 : index
    %m = arith.index_cast %n : index to i64
    %f = arith.sitofp %m : i64 to {t}
    %r = arith.addf %b0, %f : {t}
    linalg.yield %r : {t}"""
ADD_OLD = """%r = arith.addf %b0, %o : {t}
    linalg.yield %r : {t}"""

D, DT, BYTES = ("%d", M), ("%d", N), "tensor<{P}xi8>"

#: name -> (chain, arguments after %a and %x, result type, reference on (product, *arguments), what is fused)
CHAINS = {
    "row operand": (
        [generic("%q", "#ij, #i, #ij", [("%p", M), ("%u", ROW)], D, ADD)],
        [("u", ROW), ("d", M)],
        M,
        lambda p, u, d: p + u[:, None],
        ("bias",),
    ),
    "column operand, then residual": (
        [
            generic("%q", "#ij, #j, #ij", [("%p", M), ("%u", COLUMN)], ("%e", M), MUL),
            generic("%r", "#ij, #ij, #ij", [("%q", M), ("%v", M)], D, ADD),
        ],
        [("u", COLUMN), ("v", M), ("d", M)],
        M,
        lambda p, u, v, d: p * u + v,
        ("scale", "residual"),
    ),
    "transposed residual": (
        [generic("%q", "#ij, #ji, #ij", [("%p", M), ("%v", N)], D, ADD)],
        [("v", N), ("d", M)],
        M,
        lambda p, v, d: p + v.T,
        ("residual",),
    ),
    "stored transposed": (
        [
            generic("%q", "#ij, #i, #ji", [("%p", M), ("%u", ROW)], DT, MUL),
            generic("%r", "#ij, #j, #ij, #ij", [("%q", N), ("%u", ROW), ("%v", N)], DT, ADD_SUBTRACT),
        ],
        [("u", ROW), ("v", N), ("d", N)],
        N,
        lambda p, u, v, d: (p * u[:, None]).T + u - v,
        ("scale", "bias", "residual"),
    ),
    "scalar, square, in place": (
        [generic("%q", "#ij, #ij, #none, #ij", [("%p", M), ("%p", M), ("%s0", "{t}")], ("%p", M), SQUARE_SCALE)],
        [("s0", "{t}")],
        M,
        lambda p, s: p * p * s,
        ("scale",),
    ),
    "relu by select": (
        [generic("%q", "#ij, #ij", [("%p", M)], D, RELU_BY_SELECT)],
        [("d", M)],
        M,
        lambda p, d: np.maximum(p, 0),
        ("relu",),
    ),
    "requantise": (
        [generic("%q", "#ij, #j, #ij", [("%p", M), ("%u", COLUMN)], ("%d", BYTES), REQUANTISE)],
        [("u", COLUMN), ("d", BYTES)],
        BYTES,
        lambda p, u, d: np.clip(np.rint(p * u), -127, 127),
        ("scale", "requantise"),
    ),
}


def steps(chain: list[str], result: str) -> str:
    """A chain of ops and the return of the last one's result."""
    last = chain[-1].split("=")[0].strip()
    return "".join(chain) + f"  return {last} : {result}"


def plan(source: str) -> list[OpPlan]:
    module = parse(source)
    with module.context:
        run_stage(module, stages("auto")[0])
        return plan_module(module, "auto")


def operands(types: list[tuple[str, str]], t: str, transposed: bool) -> list:
    i, j = (COLS, ROWS) if transposed else (ROWS, COLS)
    shapes = {M: (i, j), N: (j, i), ROW: (i,), COLUMN: (j,)}
    out = []
    for _, type_ in types:
        if type_ == "{t}":
            out.append(1.5)
        elif "i8" in type_:
            out.append(np.zeros((i, j), np.int8))
        else:
            out.append(random_dense(RNG, shapes[type_], t))
    return out


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("t", ["f32", "f64"])
@pytest.mark.parametrize("name", CHAINS)
def test_chains(name: str, t: str, transposed: bool, dynamic: bool):
    chain, types, result, reference, fused = CHAINS[name]
    # Every format meets both orientations, static and dynamic sizes, over the chains.
    fmt = list(FORMATS)[(list(CHAINS).index(name) + 2 * transposed + dynamic) % len(FORMATS)]
    arguments = ", ".join(f"%{n}: {type_}" for n, type_ in types)
    source = case(steps(chain, result), arguments, result, transposed=transposed, dynamic=dynamic, t=t, fmt=fmt)
    assert [p.fused for p in plan(source)] == [fused]
    others = operands(types, t, transposed)
    out, product = run(source, fmt, t, transposed, others)
    ref = reference(product, *(o if isinstance(o, float) else wide(o) for o in others))
    if out.dtype == np.int8:  # halves may round the other way
        assert np.abs(out - ref).max() <= 1 and (out == ref).mean() > 0.99
    else:
        check(out, ref, t)


def run(source: str, fmt: str, t: str, transposed: bool, others: list) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's result for random operands, and the exact product in the order it is stored in."""
    a = random_sparse(RNG, (ROWS, INNER), t, FORMATS[fmt])
    x = random_dense(RNG, (INNER, COLS), t)
    product = wide(a) @ wide(x)
    out = compile_source(source, "f")(pith.compress(a, FORMATS[fmt]), x, *others)
    return out, product.T if transposed else product


@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
def test_added_to_an_existing_result(transposed: bool):
    chain = steps([generic("%q", "#ij, #ij", [("%p", M)], D, RELU)], M)
    for into, types in (("%u", [("u", M), ("d", M)]), ("%d", [("d", M)])):
        arguments = ", ".join(f"%{n}: {type_}" for n, type_ in types)
        source = case(chain, arguments, M, transposed=transposed, dynamic=True, t="f32", fmt="hss", into=into)
        others = operands(types, "f32", transposed)
        kept = wide(others[0]).copy()
        out, product = run(source, "hss", "f32", transposed, others)
        assert [p.fused for p in plan(source)] == [("relu",)]
        check(out, np.maximum(product + kept, 0), "f32")


CUBE, FLAT = "tensor<?x?x?xf32>", "tensor<?x?xf32>"

#: What torch import leaves around a product: (batch, tokens, features) outside, a matrix inside.
RESHAPED = f"""  %c3 = arith.constant 3 : index
  %c13 = arith.constant 13 : index
  %r0 = tensor.expand_shape %p [[0, 1], [2]] output_shape [%c13, %c3, %height] : {FLAT} into {CUBE}
  %r1 = linalg.generic {{indexing_maps = [#ijk, #k, #ij0, #ijk, #ijk],
      iterator_types = ["parallel", "parallel", "parallel"]}}
      ins(%r0, %u, %t, %v : {CUBE}, tensor<?xf32>, tensor<?x?x1xf32>, {CUBE}) outs(%d : {CUBE}) {{
  ^bb0(%x0: f32, %x1: f32, %x2: f32, %x3: f32, %o: f32):
    %y0 = arith.addf %x0, %x1 : f32
    %y1 = arith.mulf %y0, %x2 : f32
    %y2 = arith.addf %y1, %x3 : f32
    linalg.yield %y2 : f32
  }} -> {CUBE}
"""


def test_through_reshapes():
    batch, tokens = 13, COLS // 13
    u, t, v = (random_dense(RNG, s, "f32") for s in ((ROWS,), (batch, tokens, 1), (batch, tokens, ROWS)))
    others = [u, t, v, np.zeros((batch, tokens, ROWS), np.float32)]
    arguments = f"%u: tensor<?xf32>, %t: tensor<?x?x1xf32>, %v: {CUBE}, %d: {CUBE}"

    def exact(product: np.ndarray) -> np.ndarray:
        return (product.reshape(batch, tokens, ROWS) + u) * wide(t) + v

    chain = RESHAPED + f"  return %r1 : {CUBE}"
    source = case(chain, arguments, CUBE, transposed=True, dynamic=True, t="f32", fmt="hss")
    assert [p.fused for p in plan(source)] == [("bias", "scale", "residual")]
    out, product = run(source, "hss", "f32", True, others)
    check(out, exact(product), "f32")

    back = f"  %z = tensor.collapse_shape %r1 [[0, 1], [2]] : {CUBE} into {FLAT}\n"
    chain = steps([RESHAPED + back, generic("%q", "#ij, #ij", [("%z", FLAT)], ("%z", FLAT), RELU)], FLAT)
    source = case(chain, arguments, FLAT, transposed=True, dynamic=True, t="f32", fmt="csc")
    assert [p.fused for p in plan(source)] == [("bias", "scale", "residual", "relu")]
    out, product = run(source, "csc", "f32", True, others)
    check(out, np.maximum(exact(product), 0).reshape(COLS, ROWS), "f32")


#: name -> (chain, reference): none of these may be computed before the product is stored.
REFUSED = {
    "position": ([generic("%q", "#ij, #ij", [("%p", M)], D, ADD_POSITION)], lambda p: p + np.arange(p.shape[1])),
    "reads what it overwrites": ([generic("%q", "#ij, #ij", [("%p", M)], D, ADD_OLD)], lambda p: p + 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_chains_still_compute(name: str):
    chain, reference = REFUSED[name]
    source = case(steps(chain, M), f"%d: {M}", M, transposed=False, dynamic=True, t="f32", fmt="csr")
    assert [p.fused for p in plan(source)] == [()]
    out, product = run(source, "csr", "f32", False, [np.ones((ROWS, COLS), np.float32)])
    check(out, reference(product), "f32")
