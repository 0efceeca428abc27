"""Programs for the GPU tests of products with CSR-like operands, and of products sampled at stored positions."""

from pith.formats import Format
from pith.formats.attribute import format_attribute

DCSR = Format.make(2, (0, "compressed"), (1, "compressed"), pos_width=32, crd_width=32)


def _widened(element, out):
    if element == out:
        return "", "%x", "%y"
    widen = "extsi" if element[0] == "i" else "extf"
    casts = f"%xw = arith.{widen} %x : {element} to {out}\n    %yw = arith.{widen} %y : {element} to {out}"
    return casts, "%xw", "%yw"


def _product(maps, iterators, ins, out, element, result):
    casts, x, y = _widened(element, out)
    listed, kind = ", ".join(f"affine_map<{m}>" for m in maps), "i" if out[0] == "i" else "f"
    return f"""linalg.generic {{indexing_maps = [{listed}], iterator_types = [{iterators}]}} {ins} {{
  ^bb0(%x: {element}, %y: {element}, %o: {out}):
    {casts}
    %p = arith.mul{kind} {x}, {y} : {out}
    %q = arith.add{kind} %o, %p : {out}
    linalg.yield %q : {out}
  }} -> {result}"""


def spmm(
    fmt,
    shape,
    columns,
    *,
    element="f32",
    out="f32",
    dense_transposed=False,
    out_transposed=False,
    transposed=False,
    fill=True,
):
    """``out = A @ B`` (or ``out += A @ B`` without ``fill``), A sparse and of ``shape``; columns None: dynamic.

    ``transposed``: ``A.T @ B``.
    """
    m, k = shape[::-1] if transposed else shape
    n = "?" if columns is None else columns
    a = f"tensor<{shape[0]}x{shape[1]}x{element}, {format_attribute(fmt)}>"
    b = f"tensor<{n}x{k}x{element}>" if dense_transposed else f"tensor<{k}x{n}x{element}>"
    c = f"tensor<{n}x{m}x{out}>" if out_transposed else f"tensor<{m}x{n}x{out}>"
    maps = [
        f"(m, n, k) -> ({'k, m' if transposed else 'm, k'})",
        f"(m, n, k) -> ({'n, k' if dense_transposed else 'k, n'})",
        f"(m, n, k) -> ({'n, m' if out_transposed else 'm, n'})",
    ]
    return _spmm(a, b, c, maps, '"parallel", "parallel", "reduction"', element, out, fill)


def spmv(fmt, shape, *, element="f32", out="f32", fill=True):
    """The same with a vector."""
    m, k = shape
    a, b, c = f"tensor<{m}x{k}x{element}, {format_attribute(fmt)}>", f"tensor<{k}x{element}>", f"tensor<{m}x{out}>"
    maps = ["(m, k) -> (m, k)", "(m, k) -> (k)", "(m, k) -> (m)"]
    return _spmm(a, b, c, maps, '"parallel", "reduction"', element, out, fill)


def _spmm(a, b, c, maps, iterators, element, out, fill):
    init = f"%i = linalg.fill ins(%z : {out}) outs(%c : {c}) -> {c}" if fill else ""
    ins = f"ins(%a, %b : {a}, {b}) outs({'%i' if fill else '%c'} : {c})"
    return f"""
func.func @spmm(%a: {a}, %b: {b}, %c: {c}) -> {c} {{
  %z = arith.constant {0 if out[0] == "i" else 0.0} : {out}
  {init}
  %r = {_product(maps, iterators, ins, out, element, c)}
  return %r : {c}
}}"""


def sddmm(fmt, shape, depth, *, element="f32", out="f32", left_transposed=False, right_transposed=False):
    """``S + A @ B`` where S, of ``shape``, stores."""
    m, n = shape
    s = f"tensor<{m}x{n}x{out}, {format_attribute(fmt)}>"
    a = f"tensor<{depth}x{m}x{element}>" if left_transposed else f"tensor<{m}x{depth}x{element}>"
    b = f"tensor<{n}x{depth}x{element}>" if right_transposed else f"tensor<{depth}x{n}x{element}>"
    maps = [
        f"(i, j, k) -> ({'k, i' if left_transposed else 'i, k'})",
        f"(i, j, k) -> ({'j, k' if right_transposed else 'k, j'})",
        "(i, j, k) -> (i, j)",
    ]
    ins = f"ins(%a, %b : {a}, {b}) outs(%s : {s})"
    return f"""
func.func @sddmm(%s: {s}, %a: {a}, %b: {b}) -> {s} {{
  %r = {_product(maps, '"parallel", "parallel", "reduction"', ins, out, element, s)}
  return %r : {s}
}}"""
