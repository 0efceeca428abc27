"""Pith-level IR of what works on every row of a matrix by itself: layer normalisation, activations."""

from __future__ import annotations

from ..functional.ir_text import LEAST, widened, yielded
from ..functional.linear.ir import ACTIVATIONS, COMPUTED_IN

_MAPS = """#rows = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#column = affine_map<(i, j) -> (j)>
"""

_EACH = 'iterator_types = ["parallel", "parallel"]'
_SUMMED = 'iterator_types = ["parallel", "reduction"]'


def layer_norm_source(element: str, weight: bool, bias: bool) -> str:
    """``out = (x - mean) / sqrt(variance + eps) * weight + bias`` per row, as ops that share a loop over the rows."""
    t = COMPUTED_IN[element]
    matrix, buffer, sums = f"tensor<?x?x{element}>", f"memref<?x?x{element}>", f"tensor<?x{t}>"
    extras = ["weight"] * weight + ["bias"] * bias
    parameters = "".join(f'%{name}: tensor<?x{element}> {{pith.name = "{name}"}}, ' for name in extras)
    maps = ", ".join(["#rows", "#row", "#row", *["#column"] * len(extras), "#rows"])
    inputs = ", ".join(["%x", "%sum", "%squares", *(f"%{name}" for name in extras)])
    types = ", ".join([matrix, sums, sums, *[f"tensor<?x{element}>"] * len(extras)])
    scalars = "".join(f"%{name}_in: {element}, " for name in extras)
    widen, v = widened("v", element, t)
    centre = f"{widen}    %mean = arith.divf %s, %count : {t}\n    %c = arith.subf %{v}, %mean : {t}\n"
    return f"""{_MAPS}func.func @layer_norm(%x: {matrix} {{pith.name = "x"}}, {parameters}
                      %eps: {t} {{pith.name = "eps"}}, %out: {buffer} {{pith.name = "out"}}) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : {t}
  %m = tensor.dim %x, %c0 : {matrix}
  %n = tensor.dim %x, %c1 : {matrix}
  %n64 = arith.index_cast %n : index to i64
  %count = arith.sitofp %n64 : i64 to {t}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {matrix}
  %e0 = tensor.empty(%m) : {sums}
  %i0 = linalg.fill ins(%zero : {t}) outs(%e0 : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#rows, #row], {_SUMMED}}} ins(%x : {matrix}) outs(%i0 : {sums}) {{
  ^bb0(%v: {element}, %s: {t}):
{widen}    %a = arith.addf %s, %{v} : {t}
    linalg.yield %a : {t}
  }} -> {sums}
  %e1 = tensor.empty(%m) : {sums}
  %i1 = linalg.fill ins(%zero : {t}) outs(%e1 : {sums}) -> {sums}
  %squares = linalg.generic {{indexing_maps = [#rows, #row, #row], {_SUMMED}}}
      ins(%x, %sum : {matrix}, {sums}) outs(%i1 : {sums}) {{
  ^bb0(%v: {element}, %s: {t}, %q: {t}):
{centre}    %p = arith.mulf %c, %c : {t}
    %a = arith.addf %q, %p : {t}
    linalg.yield %a : {t}
  }} -> {sums}
  %res = linalg.generic {{indexing_maps = [{maps}], {_EACH}}} ins({inputs} : {types}) outs(%dst : {matrix}) {{
  ^bb0(%v: {element}, %s: {t}, %q: {t}, {scalars}%o: {element}):
{centre}    %variance = arith.divf %q, %count : {t}
    %shifted = arith.addf %variance, %eps : {t}
    %deviation = math.sqrt %shifted : {t}
    %y0 = arith.divf %c, %deviation : {t}
{_affine(element, t, weight, bias)}  }} -> {matrix}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, {buffer}) -> ()
  return
}}
"""


def softmax_source(element: str) -> str:
    """``out = softmax(x)`` per row, as ops that share a loop over the rows."""
    t = COMPUTED_IN[element]
    matrix, buffer, sums = f"tensor<?x?x{element}>", f"memref<?x?x{element}>", f"tensor<?x{t}>"
    widen, v = widened("v", element, t)
    exponential = f"{widen}    %c = arith.subf %{v}, %m : {t}\n    %e = math.exp %c : {t}\n"
    return f"""{_MAPS}func.func @softmax(%x: {matrix} {{pith.name = "x"}}, %out: {buffer} {{pith.name = "out"}}) {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : {t}
  %least = arith.constant {LEAST[t]} : {t}
  %rows = tensor.dim %x, %c0 : {matrix}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {matrix}
  %e0 = tensor.empty(%rows) : {sums}
  %i0 = linalg.fill ins(%least : {t}) outs(%e0 : {sums}) -> {sums}
  %most = linalg.generic {{indexing_maps = [#rows, #row], {_SUMMED}}} ins(%x : {matrix}) outs(%i0 : {sums}) {{
  ^bb0(%v: {element}, %m: {t}):
{widen}    %y = arith.maximumf %m, %{v} : {t}
    linalg.yield %y : {t}
  }} -> {sums}
  %e1 = tensor.empty(%rows) : {sums}
  %i1 = linalg.fill ins(%zero : {t}) outs(%e1 : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#rows, #row, #row], {_SUMMED}}}
      ins(%x, %most : {matrix}, {sums}) outs(%i1 : {sums}) {{
  ^bb0(%v: {element}, %m: {t}, %s: {t}):
{exponential}    %a = arith.addf %s, %e : {t}
    linalg.yield %a : {t}
  }} -> {sums}
  %res = linalg.generic {{indexing_maps = [#rows, #row, #row, #rows], {_EACH}}}
      ins(%x, %most, %sum : {matrix}, {sums}, {sums}) outs(%dst : {matrix}) {{
  ^bb0(%v: {element}, %m: {t}, %s: {t}, %o: {element}):
{exponential}    %y = arith.divf %e, %s : {t}
{yielded("y", t, element)}  }} -> {matrix}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, {buffer}) -> ()
  return
}}
"""


def activation_source(element: str, activation: str) -> str:
    """``out = activation(x)`` for a matrix."""
    t = COMPUTED_IN[element]
    matrix, buffer = f"tensor<?x?x{element}>", f"memref<?x?x{element}>"
    widen, v = widened("v", element, t)
    return f"""{_MAPS}func.func @{activation}(%x: {matrix} {{pith.name = "x"}}, %out: {buffer} {{pith.name = "out"}}) {{
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {matrix}
  %res = linalg.generic {{indexing_maps = [#rows, #rows], {_EACH}}} ins(%x : {matrix}) outs(%dst : {matrix}) {{
  ^bb0(%v: {element}, %o: {element}):
{widen}{ACTIVATIONS[activation].format(z=v, t=t)}{yielded("y", t, element)}  }} -> {matrix}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, {buffer}) -> ()
  return
}}
"""


def _affine(element: str, t: str, weight: bool, bias: bool) -> str:
    """The end of the body, from ``%y0`` on: scaled, shifted, stored."""
    lines, value = "", "y0"
    for name, present, op in (("weight", weight, "mulf"), ("bias", bias, "addf")):
        if present:
            widen, operand = widened(f"{name}_in", element, t)
            lines += f"{widen}    %{name}ed = arith.{op} %{value}, %{operand} : {t}\n"
            value = f"{name}ed"
    return lines + yielded(value, t, element)
