"""The pith-level IR of products with a quantised matrix."""

from __future__ import annotations

import dataclasses

from ...formats import Format
from ...formats.attribute import format_attribute
from ..linear.ir import ACTIVATIONS


@dataclasses.dataclass(frozen=True)
class QuantizedProduct:
    """What a kernel computes.

    Attributes:
        format, bits, group: of the quantised matrix; 32 bits: its values in f32.
        x: element type of the dense operand, f32 or i8.
        linear: ``x @ A.T`` instead of ``A @ x``.
        offsets: a number per row of A is added to the scaled product.
        activation, residual: as in :func:`pith.linear`.
        requantise: the result is i8.
    """

    format: Format
    bits: int
    group: int | None
    x: str
    linear: bool = False
    offsets: bool = False
    activation: str | None = None
    residual: bool = False
    requantise: bool = False

    @property
    def stored(self) -> str:
        """Element type of what is stored."""
        return "f32" if self.bits == 32 else f"i{self.bits}"

    @property
    def scaled(self) -> bool:
        """Sums are multiplied by a scale per row."""
        return self.group is None and self.bits == 8

    @property
    def result(self) -> str:
        """Element type of the result."""
        return "i8" if self.requantise else "f32"


def quantized_source(p: QuantizedProduct, variant: str | None, multiple: int, column: bool = False) -> str:
    """IR of ``@quantized(A, scales[, zero_points], x[, offsets][, residual][, out_inverse, out_zero], out)``.

    A product, and one elementwise op that the lowering computes where the product stores its tiles.

    Args:
        column: ``x`` is one column (``linear``: one row); the kernel knows it.
    """
    acc = "i32" if p.x == "i8" else "f32"
    dims, sizes = "?x?", "%m, %n"
    if column:
        dims, sizes = ("1x?", "%n") if p.linear else ("?x1", "%m")
    extras = _extras(p, dims)
    parameters = "".join(f"%{name}: {type_}, " for name, type_, _ in extras if name != "scales")
    zero_points = "%zero_points: tensor<?xi8>, " if p.group else ""
    weight = f"tensor<?x?x{'f32' if p.group else p.stored}, #fmt>"
    maps = ("(j, k)", "(i, k)") if p.linear else ("(i, k)", "(k, j)")
    dequantize = _DEQUANTIZE.format(bits=p.bits, group=p.group) if p.group else ""
    source = "w" if p.group else "a"
    out, sums, buffer = f"tensor<{dims}x{p.result}>", f"tensor<{dims}x{acc}>", f"memref<{dims}x{p.result}>"
    body = _product_body(p, acc)
    chosen = f'"pith.variant" = "{variant}", ' if variant else ""
    scalars = "".join(f"%{name}_in: f32, " for name, _, _ in extras)
    indexing = ", ".join(["#id", *(m for _, _, m in extras), "#id"])
    inputs = ", ".join(["%sum", *(f"%{name}" for name, _, _ in extras)])
    types = ", ".join([sums, *(t for _, t, _ in extras)])
    return f"""#fmt = {format_attribute(p.format)}
#a = affine_map<(i, j, k) -> {maps[0]}>
#x = affine_map<(i, j, k) -> {maps[1]}>
#y = affine_map<(i, j, k) -> (i, j)>
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> {"(j)" if p.linear else "(i)"}>
#one = affine_map<(i, j) -> (0)>
func.func @quantized(%a: tensor<?x?x{p.stored}, #fmt>, %scales: tensor<?xf32>, {zero_points}%x: tensor<{dims}x{p.x}>,
                     {parameters}%out: {buffer}) {{
  %zero = arith.constant {"0" if acc == "i32" else "0.0"} : {acc}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {out}
  %m = memref.dim %out, %c0 : {buffer}
  %n = memref.dim %out, %c1 : {buffer}
  %wide = tensor.empty({sizes}) : {sums}
  %init = linalg.fill ins(%zero : {acc}) outs(%wide : {sums}) -> {sums}
{dequantize}  %sum = linalg.generic {{
      indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%{source}, %x : {weight}, tensor<{dims}x{p.x}>) outs(%init : {sums})
      attrs = {{{chosen}"pith.multiple" = {multiple} : i64}} {{
{body}
  }} -> {sums}
  %y = linalg.generic {{indexing_maps = [{indexing}], iterator_types = ["parallel", "parallel"]}}
      ins({inputs} : {types}) outs(%dst : {out}) {{
  ^bb0(%s: {acc}, {scalars}%o: {p.result}):
{_epilogue(p, acc)}
  }} -> {out}
  bufferization.materialize_in_destination %y in restrict writable %out : ({out}, {buffer}) -> ()
  return
}}
"""


_DEQUANTIZE = """  %w = "pith.dequantize"(%a, %scales, %zero_points) {{group = {group} : i64}}
      : (tensor<?x?xi{bits}, #fmt>, tensor<?xf32>, tensor<?xi8>) -> tensor<?x?xf32, #fmt>
"""

_REQUANTISE = """    %inverse = arith.mulf %{v}, %out_inverse_in : f32
    %rounded = math.roundeven %inverse : f32
    %moved = arith.addf %rounded, %out_zero_in : f32
    %lowest = arith.constant -128.0 : f32
    %highest = arith.constant 127.0 : f32
    %above = arith.maxnumf %moved, %lowest : f32
    %within = arith.minnumf %above, %highest : f32
    %byte = arith.fptosi %within : f32 to i8
"""


def _extras(p: QuantizedProduct, dims: str) -> list[tuple[str, str, str]]:
    """Name, type and map of the elementwise op's operands beside the product."""
    out = [("scales", "tensor<?xf32>", "#row")] * p.scaled
    out += [("offsets", "tensor<?xf32>", "#row")] * p.offsets
    out += [("residual", f"tensor<{dims}xf32>", "#id")] * p.residual
    return out + [(name, "tensor<1xf32>", "#one") for name in ("out_inverse", "out_zero") if p.requantise]


def _product_body(p: QuantizedProduct, acc: str) -> str:
    if p.group or p.bits == 32:
        return """  ^bb0(%v: f32, %u: f32, %s: f32):
    %p = arith.mulf %v, %u : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32"""
    if acc == "f32":
        return """  ^bb0(%v: i8, %u: f32, %s: f32):
    %f = arith.sitofp %v : i8 to f32
    %p = arith.mulf %f, %u : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32"""
    return """  ^bb0(%v: i8, %u: i8, %s: i32):
    %v1 = arith.extsi %v : i8 to i32
    %u1 = arith.extsi %u : i8 to i32
    %p = arith.muli %v1, %u1 : i32
    %t = arith.addi %s, %p : i32
    linalg.yield %t : i32"""


def _epilogue(p: QuantizedProduct, acc: str) -> str:
    """The body of the elementwise op, from ``%s`` to the yield."""
    lines, value = "", "s"
    if acc == "i32":
        lines, value = "    %real = arith.sitofp %s : i32 to f32\n", "real"
    if p.scaled:
        lines += f"    %scaled = arith.mulf %{value}, %scales_in : f32\n"
        value = "scaled"
    if p.offsets:
        lines += f"    %biased = arith.addf %{value}, %offsets_in : f32\n"
        value = "biased"
    if p.activation is not None:
        lines += ACTIVATIONS[p.activation].format(z=value, t="f32")
        value = "y"
    if p.residual:
        lines += f"    %added = arith.addf %{value}, %residual_in : f32\n"
        value = "added"
    if p.requantise:
        lines += _REQUANTISE.format(v=value)
        value = "byte"
    return f"{lines}    linalg.yield %{value} : {p.result}"
