"""Pith-level IR of the hidden layer of :func:`pith.relu_ffn`."""

from __future__ import annotations

from ..compiler.linear import COMPUTED_IN
from .ir_text import widened, yielded


def hidden_source(element: str, bias: bool, limits: bool) -> str:
    """``out = x @ w + bias``, zero where that is at most 0, or at most ``limits`` of the column. NaN stays NaN."""
    t = COMPUTED_IN[element]
    matrix, sums, column = f"tensor<?x?x{element}>", f"tensor<?x?x{t}>", f"tensor<?x{element}>"
    extras = ["bias"] * bias + ["limits"] * limits
    parameters = "".join(f'%{name}: {column} {{pith.name = "{name}"}}, ' for name in extras)
    maps = ", ".join(["#y", *["#column"] * len(extras), "#y"])
    inputs = ", ".join(["%sum", *(f"%{name}" for name in extras)])
    types = ", ".join([sums, *[column] * len(extras)])
    scalars = "".join(f"%{name}_in: {element}, " for name in extras)
    (wide_v, v), (wide_u, u) = widened("v", element, t), widened("u", element, t)
    wide_b, b = widened("bias_in", element, t)
    wide_l, limit = widened("limits_in", element, t)
    biased = f"{wide_b}    %z = arith.addf %s, %{b} : {t}\n" if bias else ""
    z = "z" if bias else "s"
    return f"""#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (k, j)>
#out = affine_map<(i, j, k) -> (i, j)>
#y = affine_map<(i, j) -> (i, j)>
#column = affine_map<(i, j) -> (j)>
func.func @hidden(%x: {matrix} {{pith.name = "x"}}, %w: {matrix} {{pith.name = "w1"}}, {parameters}
                  %out: memref<?x?x{element}> {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : {t}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %dst = bufferization.to_tensor %out restrict writable : memref<?x?x{element}> to {matrix}
  %m = memref.dim %out, %c0 : memref<?x?x{element}>
  %n = memref.dim %out, %c1 : memref<?x?x{element}>
  %wide = tensor.empty(%m, %n) : {sums}
  %init = linalg.fill ins(%zero : {t}) outs(%wide : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#x, #w, #out], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%x, %w : {matrix}, {matrix}) outs(%init : {sums}) {{
  ^bb0(%v: {element}, %u: {element}, %s: {t}):
{wide_v}{wide_u}    %p = arith.mulf %{v}, %{u} : {t}
    %a = arith.addf %s, %p : {t}
    linalg.yield %a : {t}
  }} -> {sums}
  %res = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins({inputs} : {types}) outs(%dst : {matrix}) {{
  ^bb0(%s: {t}, {scalars}%o: {element}):
{biased}{wide_l if limits else ""}    %low = arith.cmpf ole, %{z}, %{limit if limits else "zero"} : {t}
    %y = arith.select %low, %zero, %{z} : {t}
{yielded("y", t, element)}  }} -> {matrix}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, memref<?x?x{element}>) -> ()
  return
}}
"""
