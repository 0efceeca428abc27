"""IR of linear layers: a product with a weight, and bias, activation and residual on its sums."""

from __future__ import annotations

from ...errors import ArgumentError
from ...formats import Format
from ...formats.attribute import format_attribute
from ..ir_text import multiply_add, widened, yielded

#: Element type of the operands and of the result -> the type everything is computed in.
COMPUTED_IN = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}

#: Activation -> ops that make ``%y`` from ``%{z}``, all of type ``{t}``.
ACTIVATIONS = {
    "relu": """    %floor = arith.constant 0.0 : {t}
    %y = arith.maximumf %{z}, %floor : {t}
""",
    "gelu": """    %half = arith.constant 0.5 : {t}
    %one = arith.constant 1.0 : {t}
    %rsqrt2 = arith.constant 0.70710678118654752 : {t}
    %g0 = arith.mulf %{z}, %rsqrt2 : {t}
    %g1 = math.erf %g0 : {t}
    %g2 = arith.addf %g1, %one : {t}
    %g3 = arith.mulf %{z}, %half : {t}
    %y = arith.mulf %g3, %g2 : {t}
""",
    "gelu_tanh": """    %half = arith.constant 0.5 : {t}
    %one = arith.constant 1.0 : {t}
    %root = arith.constant 0.79788456080286536 : {t}
    %cubic = arith.constant 0.044715 : {t}
    %g0 = arith.mulf %{z}, %{z} : {t}
    %g1 = arith.mulf %g0, %cubic : {t}
    %g2 = arith.addf %g1, %one : {t}
    %g3 = arith.mulf %{z}, %root : {t}
    %g4 = arith.mulf %g3, %g2 : {t}
    %g5 = math.tanh %g4 : {t}
    %g6 = arith.addf %g5, %one : {t}
    %g7 = arith.mulf %{z}, %half : {t}
    %y = arith.mulf %g7, %g6 : {t}
""",
    "silu": """    %one = arith.constant 1.0 : {t}
    %g0 = arith.negf %{z} : {t}
    %g1 = math.exp %g0 : {t}
    %g2 = arith.addf %g1, %one : {t}
    %y = arith.divf %{z}, %g2 : {t}
""",
}

_MAPS = """#x = affine_map<(i, j, k) -> (i, k)>
#a = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>
#y2 = affine_map<(i, j) -> (i, j)>
#j = affine_map<(i, j) -> (j)>
"""


def require_activation(activation: str | None, where: str) -> None:
    """Raise :class:`pith.ArgumentError` unless ``activation`` is None or one of :data:`ACTIVATIONS`."""
    if activation is not None and not (isinstance(activation, str) and activation in ACTIVATIONS):
        hint = "one of " + ", ".join(ACTIVATIONS) + ", or None"
        raise ArgumentError(f"unknown activation {activation!r}", where=where, hint=hint)


def linear_source(
    fmt: Format,
    element: str,
    bias: bool = False,
    activation: str | None = None,
    residual: bool = False,
    variant: str | None = None,
    multiple: int = 1,
    rows: int | None = None,
) -> str:
    """Pith-level IR of ``out = activation(x @ a.T + bias) + residual`` with dynamic shapes.

    A product and one elementwise op: the lowering computes the second where the first stores its tiles.

    Args:
        variant: shape of the kernel (``lanes=64,rows=1``), None for the compiler's choice.
        multiple: a number known to divide ``in``.
        rows: of ``x``, where the kernel knows them.
    """
    t, m = COMPUTED_IN[element], rows or "?"
    matrix, weight = f"tensor<{m}x?x{element}>", f"tensor<?x?x{element}, {format_attribute(fmt)}>"
    sums, extras = f"tensor<{m}x?x{t}>", _extras(bias, residual, f"tensor<?x{element}>", matrix)
    parameters = "".join(f'%{name}: {type_} {{pith.name = "{name}"}}, ' for name, type_, _ in extras)
    chosen = f'"pith.variant" = "{variant}", ' if variant else ""
    attributes = f'\n      attrs = {{{chosen}"pith.multiple" = {multiple} : i64}}'
    product = _product(element, (matrix, weight, sums), attributes)
    body = product + _finish(element, (sums, matrix), extras, activation)
    return f"""{_MAPS}func.func @linear(%a: {weight} {{pith.name = "a"}},
                  %x: {matrix} {{pith.name = "x"}}, {parameters}
                  %out: memref<{m}x?x{element}> {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : {t}
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %dst = bufferization.to_tensor %out restrict writable : memref<{m}x?x{element}> to {matrix}
  %m = memref.dim %out, %c0 : memref<{m}x?x{element}>
  %n = memref.dim %out, %c1 : memref<{m}x?x{element}>
  %wide = tensor.empty({"%n" if rows else "%m, %n"}) : {sums}
{body}
  bufferization.materialize_in_destination %res in restrict writable %out : ({matrix}, memref<{m}x?x{element}>) -> ()
  return
}}
"""


def device_source(
    fmt: Format | None, element: str, shape: tuple[int, int], bias: bool, activation: str | None, residual: bool
) -> str:
    """The same with a weight of known shape, for any number of rows, as a program; ``fmt``: None for a dense weight."""
    (n, k), t = shape, COMPUTED_IN[element]
    weight = f"tensor<{n}x{k}x{element}{'' if fmt is None else f', {format_attribute(fmt)}'}>"
    given, made, sums = f"tensor<?x{k}x{element}>", f"tensor<?x{n}x{element}>", f"tensor<?x{n}x{t}>"
    extras = _extras(bias, residual, f"tensor<{n}x{element}>", made)
    parameters = "".join(f', %{name}: {type_} {{pith.name = "{name}"}}' for name, type_, _ in extras)
    product = _product(element, (given, weight, sums))
    return f"""{_MAPS}func.func @linear(%a: {weight} {{pith.name = "a"}},
                  %x: {given} {{pith.name = "x"}}{parameters}) -> {made} {{
  %zero = arith.constant 0.0 : {t}
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : {given}
  %wide = tensor.empty(%m) : {sums}
  %dst = tensor.empty(%m) : {made}
{product}{_finish(element, (sums, made), extras, activation)}  return %res : {made}
}}
"""


def _extras(bias: bool, residual: bool, vector: str, matrix: str) -> list[tuple[str, str, str]]:
    """Name, type and map of what is added to the sums."""
    return [("bias", vector, "#j")] * bias + [("residual", matrix, "#y2")] * residual


def _product(element: str, types: tuple[str, str, str], attributes: str = "") -> str:
    """``%sum`` of ``%x`` and ``%a``, in the memory ``%wide``; ``types``: theirs and its."""
    t = COMPUTED_IN[element]
    given, weight, sums = types
    return f"""  %init = linalg.fill ins(%zero : {t}) outs(%wide : {sums}) -> {sums}
  %sum = linalg.generic {{indexing_maps = [#x, #a, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%x, %a : {given}, {weight}) outs(%init : {sums}){attributes} {{
{multiply_add(element, element, t)}  }} -> {sums}
"""


def _finish(element: str, types: tuple[str, str], extras: list[tuple[str, str, str]], activation: str | None) -> str:
    """``%res`` of ``%sum`` and ``extras``, in the memory ``%dst``; ``types``: of the sums and the result."""
    t = COMPUTED_IN[element]
    sums, result = types
    names = [name for name, _, _ in extras]
    maps = ", ".join(["#y2", *(m for _, _, m in extras), "#y2"])
    inputs = ", ".join(["%sum", *(f"%{name}" for name in names)])
    listed = ", ".join([sums, *(type_ for _, type_, _ in extras)])
    scalars = "".join(f"%{name}_in: {element}, " for name in names)
    return f"""  %res = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins({inputs} : {listed}) outs(%dst : {result}) {{
  ^bb0(%s: {t}, {scalars}%o: {element}):
{epilogue_body(element, t, "bias" in names, activation, "residual" in names)}  }} -> {result}
"""


def epilogue_body(element: str, t: str, bias: bool, activation: str | None, residual: bool) -> str:
    """The body of the elementwise op, from ``%s`` to the yield."""
    lines, value = "", "s"
    if bias:
        widen, operand = widened("bias_in", element, t)
        lines += f"{widen}    %biased = arith.addf %s, %{operand} : {t}\n"
        value = "biased"
    if activation is not None:
        lines += ACTIVATIONS[activation].format(z=value, t=t)
        value = "y"
    if residual:
        widen, operand = widened("residual_in", element, t)
        lines += f"{widen}    %added = arith.addf %{value}, %{operand} : {t}\n"
        value = "added"
    return lines + yielded(value, t, element)
