"""Pith-level IR of linear layers on some rows of a matrix."""

from __future__ import annotations

from ..functional.einsum.text import segments
from ..functional.ir_text import multiply_add, widened, yielded
from ..functional.linear.ir import ACTIVATIONS, COMPUTED_IN

#: Rows that are multiplied together where no faster lowering takes the whole op, at least.
_ROWS = 64


def linear_source(element: str, granularity: int, bias: bool, activation: str | None) -> str:
    """``out[i] = activation(x[i] @ w.T + bias)`` for the rows that ``rows`` names; all others are left."""
    t, tile = COMPUTED_IN[element], granularity * -(-_ROWS // granularity)
    pattern = f"!pith.pattern<[-1], [{granularity}]>"
    matrix, buffer = f"tensor<?x?x{element}>", f"memref<?x?x{element}>"
    part, sums = f"tensor<{tile}x?x{element}>", f"tensor<{tile}x?x{t}>"
    inputs = [("x", matrix, part, "#x"), ("w", matrix, matrix, "#w")]
    inputs += [("bias", f"tensor<?x{element}>", f"tensor<?x{element}>", "#b")] * bias
    parameters = ", ".join(f'%{name}: {type_} {{pith.name = "{name}"}}' for name, type_, _, _ in inputs)
    arguments = ", ".join(f"%t{name}: {cut}" for name, _, cut, _ in inputs)
    operands = ", ".join(["%rows", *(f"%{name}" for name, *_ in inputs), "%dst"])
    types = ", ".join([pattern, *(type_ for _, type_, _, _ in inputs), matrix])
    maps = ", ".join([*(m for *_, m in inputs), "#y"])
    return f"""#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#b = affine_map<(i, j, k) -> (j)>
#y = affine_map<(i, j, k) -> (i, j)>
#each = affine_map<(i, j) -> (i, j)>
#column = affine_map<(i, j) -> (j)>
func.func @linear(%rows: {pattern} {{pith.name = "rows"}}, {parameters},
                  %out: {buffer} {{pith.name = "out"}}) {{
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : {t}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {matrix}
  %n = tensor.dim %dst, %c1 : {matrix}
  %res = "pith.pit_tile"({operands}) ({{
  ^bb0({arguments}, %ty: {part}):
    %empty = tensor.empty(%n) : {sums}
    %init = linalg.fill ins(%zero : {t}) outs(%empty : {sums}) -> {sums}
    %product = linalg.generic {{indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
        ins(%tx, %tw : {part}, {matrix}) outs(%init : {sums}) {{
{multiply_add(element, element, t)}    }} -> {sums}
{_epilogue(element, t, sums, part, bias, activation)}    "pith.yield"(%finished) : ({part}) -> ()
  }}) {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel", "reduction"],
      axes = array<i64: 0>, tile = array<i64: {tile}, 0, 0>, micro_tile = array<i64: {granularity}>, accumulate = false,
      {segments(1, len(inputs))}}} : ({types}) -> {matrix}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, {buffer}) -> ()
  return
}}
"""


def _epilogue(element: str, t: str, sums: str, part: str, bias: bool, activation: str | None) -> str:
    """The op behind the product of a tile."""
    inputs, maps, scalars, lines, value = "%product", "#each", f"%v: {t}", "", "v"
    types = sums
    if bias:
        widen, b = widened("b", element, t)
        inputs, maps, scalars = f"{inputs}, %tbias", f"{maps}, #column", f"{scalars}, %b: {element}"
        types, value = f"{types}, tensor<?x{element}>", "biased"
        lines = f"{widen}    %biased = arith.addf %v, %{b} : {t}\n"
    if activation is not None:
        lines += ACTIVATIONS[activation].format(z=value, t=t)
        value = "y"
    return f"""    %finished = linalg.generic {{indexing_maps = [{maps}, #each],
        iterator_types = ["parallel", "parallel"]}}
        ins({inputs} : {types}) outs(%ty : {part}) {{
    ^bb0({scalars}, %o: {element}):
{lines}{yielded(value, t, element)}    }} -> {part}
"""
