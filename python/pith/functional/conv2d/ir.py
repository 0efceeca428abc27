"""IR of convolutions with stored filters: the sum of products, and bias, activation and residual on it."""

from __future__ import annotations

from ...formats import Format
from ...formats.attribute import format_attribute
from ..linear.ir import epilogue_body
from .geometry import Geometry

_MAPS = """#filters = affine_map<(n, f, y, x, c, r, s) -> (f, c, r, s)>
#out = affine_map<(n, f, y, x, c, r, s) -> (n, f, y, x)>
#same = affine_map<(n, f, y, x) -> (n, f, y, x)>
#f = affine_map<(n, f, y, x) -> (f)>
"""


def conv2d_source(
    fmt: Format,
    element: str,
    image: tuple[int, int, int],
    filters: tuple[int, int, int, int],
    geometry: Geometry,
    bias: bool,
    activation: str | None,
    residual: bool,
    one_image: bool,
) -> str:
    """Pith-level IR of ``out = activation(conv2d(x, w) + bias) + residual`` for images of a size.

    Shapes: ``image``: channels, height, width; ``filters``: filters, channels, rows, columns.
    ``one_image``: there is one, and the kernel knows it.
    """
    n, (c, height, width) = 1 if one_image else "?", image
    _, _, y, x = geometry.shape((1, *image), filters)
    (top, left), given = geometry.padding, f"tensor<{n}x{c}x{height}x{width}x{element}>"
    padded = f"tensor<{n}x{c}x{height + 2 * top}x{width + 2 * left}x{element}>"
    weight = f"tensor<{'x'.join(map(str, filters))}x{element}, {format_attribute(fmt)}>"
    made, memory = (f"{kind}<{n}x{filters[0]}x{y}x{x}x{element}>" for kind in ("tensor", "memref"))
    extras = [("bias", f"tensor<{filters[0]}x{element}>", "#f")] * bias + [("residual", made, "#same")] * residual
    parameters = "".join(f'%{name}: {type_} {{pith.name = "{name}"}}, ' for name, type_, _ in extras)
    rows, columns = geometry.places()
    return f"""{_MAPS}#image = affine_map<(n, f, y, x, c, r, s) -> (n, c, {rows}, {columns})>
func.func @conv2d(%w: {weight} {{pith.name = "w"}},
                  %x: {given} {{pith.name = "x"}}, {parameters}
                  %out: {memory} {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : {element}
  %dst = bufferization.to_tensor %out restrict writable : {memory} to {made}
  %padded = tensor.pad %x low[0, 0, {top}, {left}] high[0, 0, {top}, {left}] {{
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : {element}
  }} : {given} to {padded}
  %init = linalg.fill ins(%zero : {element}) outs(%dst : {made}) -> {made}
  %sum = linalg.generic {{indexing_maps = [#image, #filters, #out],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}}
      ins(%padded, %w : {padded}, {weight}) outs(%init : {made}) {{
  ^bb0(%v: {element}, %u: {element}, %s: {element}):
    %p = arith.mulf %v, %u : {element}
    %q = arith.addf %s, %p : {element}
    linalg.yield %q : {element}
  }} -> {made}
{_finish(element, made, extras, activation)}
  bufferization.materialize_in_destination %res in restrict writable %out : ({made}, {memory}) -> ()
  return
}}
"""


def _finish(element: str, made: str, extras: list[tuple[str, str, str]], activation: str | None) -> str:
    """``%res`` of ``%sum`` and ``extras``; the same where nothing is to be done."""
    names = [name for name, _, _ in extras]
    maps = ", ".join([*(m for _, _, m in extras), "#same"])
    inputs = ", ".join(f"%{name}" for name in names)
    listed = ", ".join(type_ for _, type_, _ in extras)
    scalars = "".join(f"%{name}_in: {element}, " for name in names)
    operands = f"ins({inputs} : {listed}) " if names else ""
    body = epilogue_body(element, element, "bias" in names, activation, "residual" in names)
    return f"""  %res = linalg.generic {{indexing_maps = [{maps}],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} {operands}outs(%sum : {made}) {{
  ^bb0({scalars}%s: {element}):
{body}  }} -> {made}
"""
