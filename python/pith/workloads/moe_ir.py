"""Pith-level IR of the kernels behind :func:`pith.moe`."""

from __future__ import annotations

from ..functional.einsum.text import segments
from ..functional.ir_text import multiply_add, widened, yielded
from ..functional.linear.ir import ACTIVATIONS, COMPUTED_IN

#: Rows of an expert that are multiplied together where no faster lowering takes the whole op.
_ROWS = 64

_ROUTING = "!pith.pattern<[-1, -1], [1, 1]>"


def grouped_source(
    x: str, w: str, bias: bool, activation: str | None, gates: bool, summed: bool = False, rounded: bool = False
) -> str:
    """``out[s] = gates[s] * activation(x[s] @ w[e] + bias[e])`` for the one expert e that routing names with s.

    Args:
        x, w: element types; the result has the type that ``w``'s products are computed in.
        rounded: the result has the type of ``w``.
        summed: routing names any number of experts with s, gates are ``gates[s, e]``, and ``out[s]`` is the sum.
    """
    t = COMPUTED_IN[w]
    out = w if rounded else t
    rows, weights, sums = f"tensor<?x?x{x}>", f"tensor<?x?x?x{w}>", f"tensor<?x?x{out}>"
    tile_x, tile_w, tile_y = f"tensor<{_ROWS}x?x{x}>", f"tensor<1x?x?x{w}>", f"tensor<{_ROWS}x?x{out}>"
    inputs = [("x", rows, tile_x, "#x"), ("w", weights, tile_w, "#w")]
    inputs += [("bias", f"tensor<?x?x{w}>", f"tensor<1x?x{w}>", "#b")] * bias
    given = (f"tensor<?x?x{w}>", f"tensor<{_ROWS}x1x{w}>") if summed else (f"tensor<?x{w}>", f"tensor<{_ROWS}x{w}>")
    inputs += [("gates", *given, "#g")] * gates
    parameters = ", ".join(f'%{name}: {type_} {{pith.name = "{name}"}}' for name, type_, _, _ in inputs)
    arguments = ", ".join(f"%t{name}: {tile}" for name, _, tile, _ in inputs)
    operands = ", ".join(["%routing", *(f"%{name}" for name, *_ in inputs), "%init"])
    types = ", ".join([_ROUTING, *(type_ for _, type_, _, _ in inputs), sums])
    maps = ", ".join([*(m for *_, m in inputs), "#y"])
    epilogue, result = _epilogue(w, (t, out), bias, activation, given[1] if gates else None)
    start, before = ("ty", "") if out == t else ("start", _start(t, out))
    wide = f"tensor<{_ROWS}x?x{t}>"
    sums_up = "accumulate = true" + ("" if summed else ", pith.partition")
    return f"""#x = affine_map<(s, n, e, k) -> (s, k)>
#w = affine_map<(s, n, e, k) -> (e, k, n)>
#b = affine_map<(s, n, e, k) -> (e, n)>
#g = affine_map<(s, n, e, k) -> ({"s, e" if summed else "s"})>
#y = affine_map<(s, n, e, k) -> (s, n)>
#each = affine_map<(s, n) -> (s, n)>
#one = affine_map<(s, n) -> (0, n)>
#row = affine_map<(s, n) -> ({"s, 0" if summed else "s"})>
func.func @grouped(%routing: {_ROUTING} {{pith.name = "routing"}}, {parameters},
                   %out: memref<?x?x{out}> {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : {out}
  %dst = bufferization.to_tensor %out restrict writable : memref<?x?x{out}> to {sums}
  %init = linalg.fill ins(%zero : {out}) outs(%dst : {sums}) -> {sums}
  %res = "pith.pit_tile"({operands}) ({{
  ^bb0({arguments}, %ty: {tile_y}):
{before}    %product = linalg.generic {{indexing_maps = [#x, #w, #y],
        iterator_types = ["parallel", "parallel", "reduction", "reduction"]}}
        ins(%tx, %tw : {tile_x}, {tile_w}) outs(%{start} : {wide}) {{
{multiply_add(x, w, t)}    }} -> {wide}
{epilogue}    "pith.yield"(%{result}) : ({tile_y}) -> ()
  }}) {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel", "reduction", "reduction"],
      axes = array<i64: 0, 2>, tile = array<i64: {_ROWS}, 0, 1, 0>, micro_tile = array<i64: 1, 1>,
      {sums_up}, {segments(1, len(inputs))}}} : ({types}) -> {sums}
  bufferization.materialize_in_destination %res in restrict writable %out : ({sums}, memref<?x?x{out}>) -> ()
  return
}}
"""


def combine_source(element: str) -> str:
    """``out[t] = sum over j of parts[t, j]``; parts and sums have the type that is computed in."""
    t = COMPUTED_IN[element]
    parts, buffer, sums = f"tensor<?x?x?x{t}>", f"memref<?x?x{element}>", f"tensor<?x?x{t}>"
    result = "sum" if element == t else "res"
    return f"""#parts = affine_map<(i, n, j) -> (i, j, n)>
#out = affine_map<(i, n, j) -> (i, n)>
#each = affine_map<(i, n) -> (i, n)>
func.func @combine(%parts: {parts} {{pith.name = "parts"}}, %out: {buffer} {{pith.name = "out"}}) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : {t}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to tensor<?x?x{element}>
  %m = tensor.dim %dst, %c0 : tensor<?x?x{element}>
  %n = tensor.dim %dst, %c1 : tensor<?x?x{element}>
  %wide = tensor.empty(%m, %n) : {sums}
  %init = linalg.fill ins(%zero : {t}) outs({"%dst" if element == t else "%wide"} : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#parts, #out], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%parts : {parts}) outs(%init : {sums}) {{
  ^bb0(%v: {t}, %s: {t}):
    %a = arith.addf %s, %v : {t}
    linalg.yield %a : {t}
  }} -> {sums}
{_narrowed(element, t)}  bufferization.materialize_in_destination %{result} in restrict writable %out
      : (tensor<?x?x{element}>, {buffer}) -> ()
  return
}}
"""


def _narrowed(element: str, t: str) -> str:
    if element == t:
        return ""
    return f"""  %res = linalg.generic {{indexing_maps = [#each, #each], iterator_types = ["parallel", "parallel"]}}
      ins(%sum : tensor<?x?x{t}>) outs(%dst : tensor<?x?x{element}>) {{
  ^bb0(%y: {t}, %o: {element}):
{yielded("y", t, element)}  }} -> tensor<?x?x{element}>
"""


def _start(t: str, out: str) -> str:
    """What the sums of a tile start from where its result has another type."""
    wide = f"tensor<{_ROWS}x?x{t}>"
    return f"""    %columns = arith.constant 1 : index
    %cols = tensor.dim %ty, %columns : tensor<{_ROWS}x?x{out}>
    %none = tensor.empty(%cols) : {wide}
    %from = arith.constant 0.0 : {t}
    %start = linalg.fill ins(%from : {t}) outs(%none : {wide}) -> {wide}
"""


def _epilogue(w: str, types: tuple[str, str], bias: bool, activation: str | None, gates: str | None) -> tuple[str, str]:
    """The op behind the product of a tile, and the name of its result.

    Args:
        types: of the sums and of the result.
        gates: their type in a tile.
    """
    t, out = types
    if not bias and activation is None and not gates and t == out:
        return "", "product"
    tile, value, lines = f"tensor<{_ROWS}x?x{t}>", "v", ""
    inputs = [("product", tile, "#each", f"%v: {t}")]
    inputs += [("tbias", f"tensor<1x?x{w}>", "#one", f"%b: {w}")] * bias
    inputs += [] if gates is None else [("tgates", gates, "#row", f"%g: {w}")]
    if bias:
        widen, b = widened("b", w, t)
        lines, value = f"{widen}    %biased = arith.addf %v, %{b} : {t}\n", "biased"
    if activation is not None:
        lines += ACTIVATIONS[activation].format(z=value, t=t)
        value = "y"
    if gates:
        widen, g = widened("g", w, t)
        lines += f"{widen}    %gated = arith.mulf %{value}, %{g} : {t}\n"
        value = "gated"
    operands, kinds = (", ".join(part) for part in zip(*((f"%{name}", type_) for name, type_, _, _ in inputs)))
    result = f"tensor<{_ROWS}x?x{out}>"
    text = f"""    %finished = linalg.generic {{indexing_maps = [{", ".join(m for _, _, m, _ in inputs)}, #each],
        iterator_types = ["parallel", "parallel"]}} ins({operands} : {kinds}) outs(%ty : {result}) {{
    ^bb0({", ".join(scalar for *_, scalar in inputs)}, %o: {out}):
{lines}{yielded(value, t, out)}    }} -> {result}
"""
    return text, "finished"
