"""Pith-level IR of feed-forward layers on a few rows: both products, and detection between them, as one kernel."""

from __future__ import annotations

from ..functional.einsum.ir import FRESH, SUMS, Program, computed
from ..functional.einsum.nest import Listed, nest_of
from ..functional.ir_text import multiply_add, widened, yielded


def relu_ffn_source(element: str, first_bias: bool, second_bias: bool, limits: bool) -> str:
    """``relu(x @ w1 + b1) @ w2 + b2``; hidden neurons that are zero in all rows are left out of the second product.

    Parameters: x, w1, b1, the limits that activations must exceed, w2, b2, out; those that are there.
    """
    t, matrix, vector = SUMS[element], f"tensor<?x?x{element}>", f"tensor<?x{element}>"
    buffer = matrix.replace("tensor", "memref")
    nest, letters = nest_of(("th", "hn"), "tn", (Listed(("h",), (1,)),))
    columns = next(d for d, letter in letters.items() if letter == "n")
    second = Program(nest, element, FRESH, columns if second_bias else None)
    named = [("x", matrix), ("w1", matrix), *[("b1", vector)] * first_bias, *[("limits", vector)] * limits]
    along = "axes = array<i64: 1>, granularity = array<i64: 1>, threshold = 0.0 : f64"
    pattern = "!pith.pattern<[-1], [1]>"
    named += [("a1", matrix), *[("bias", vector)] * second_bias, ("out", buffer)]
    return f"""#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>
#each = affine_map<(i, j) -> (i, j)>
#column = affine_map<(i, j) -> (j)>
func.func @relu_ffn({", ".join(f"%{name}: {type_}" for name, type_ in named)}) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : {t}
  %nothing = arith.constant 0.0 : {element}
{_hidden(element, t, first_bias, limits)}  %p0 = "pith.detect"(%a0) {{{along}}} : ({matrix}) -> {pattern}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {matrix}
{computed(second)}  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, {buffer}) -> ()
  return
}}
"""


def _hidden(element: str, t: str, bias: bool, limits: bool) -> str:
    """``%a0``: the hidden layer, zero up to the limits."""
    matrix, sums, vector = f"tensor<?x?x{element}>", f"tensor<?x?x{t}>", f"tensor<?x{element}>"
    extras = ["b1"] * bias + ["limits"] * limits
    ins = ", ".join(["%z", *(f"%{name}" for name in extras)])
    types = ", ".join([sums, *[vector] * len(extras)])
    maps = ", ".join(["#each", *["#column"] * len(extras), "#each"])
    scalars = ", ".join([f"%v: {t}", *(f"%{name}_one: {element}" for name in extras), f"%o: {element}"])
    lines, value, limit = "", "v", "zero"
    if bias:
        widen, b = widened("b1_one", element, t)
        lines, value = f"{widen}    %biased = arith.addf %v, %{b} : {t}\n", "biased"
    if limits:
        widen, limit = widened("limits_one", element, t)
        lines += widen
    return f"""  %rows = tensor.dim %x, %c0 : {matrix}
  %neurons = tensor.dim %w1, %c1 : {matrix}
  %room = tensor.empty(%rows, %neurons) : {sums}
  %start = linalg.fill ins(%zero : {t}) outs(%room : {sums}) -> {sums}
  %z = linalg.generic {{indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%x, %w1 : {matrix}, {matrix}) outs(%start : {sums}) {{
{multiply_add(element, element, t)}  }} -> {sums}
  %layer = tensor.empty(%rows, %neurons) : {matrix}
  %a0 = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins({ins} : {types}) outs(%layer : {matrix}) {{
  ^bb0({scalars}):
{lines}    %active = arith.cmpf ugt, %{value}, %{limit} : {t}
    %y = arith.select %active, %{value}, %zero : {t}
{yielded("y", t, element)}  }} -> {matrix}
"""
