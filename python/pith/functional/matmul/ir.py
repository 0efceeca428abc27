"""The pith-level IR that :func:`pith.matmul` compiles."""

from __future__ import annotations

from ...formats import Format
from ...formats.attribute import format_attribute

#: Element type of the operands -> element type the sum is kept in and the result has.
ACCUMULATORS = {
    "f16": "f32",
    "bf16": "f32",
    "f32": "f32",
    "f64": "f64",
    "i8": "i32",
    "i16": "i32",
    "i32": "i32",
    "i64": "i64",
}

#: Element type of the result, where it is not the accumulator's.
RESULTS = {"f16": "f16", "bf16": "bf16"}


def matmul_source(
    fmt: Format,
    element: str,
    right: bool,
    variant: str | None = None,
    multiple: int = 1,
    transposed: bool = False,
    column: bool = False,
) -> str:
    """Pith-level IR of ``out = A @ x`` (``right``: ``out = x @ A``) with dynamic shapes.

    Args:
        variant: shape of the kernel (``lanes=64,rows=1``), None for the compiler's choice.
        multiple: a number known to divide the contracted size.
        transposed: the dense operand is stored by columns.
        column: the dense operand of ``A @ x`` has one column; the kernel knows it.
    """
    acc = ACCUMULATORS[element]
    result = RESULTS.get(element, acc)
    n = 1 if column else "?"
    dense, encoded = f"tensor<{f'{n}x?' if transposed else f'?x{n}'}x{element}>", f"tensor<?x?x{element}, #fmt>"
    sums, outs, buffer = f"tensor<?x{n}x{acc}>", f"tensor<?x{n}x{result}>", f"memref<?x{n}x{result}>"
    maps = ["(k, j)", "(i, k)"] if right else ["(i, k)", "(k, j)"]
    if transposed:
        maps[1] = "(k, i)" if right else "(j, k)"
    mul, add, zero = ("mulf", "addf", "0.0") if acc.startswith("f") else ("muli", "addi", "0")
    sizes = "%m" if column else "%m, %n"
    into, allocate = ("dst", "") if acc == result else ("wide", _EMPTY.format(sums=sums, outs=outs, sizes=sizes))
    product, narrow = ("y", "") if acc == result else ("sum", _NARROW.format(**locals()))
    chosen = f'"pith.variant" = "{variant}", ' if variant else ""
    v, w, widen = ("v", "w", "") if element == acc else ("v1", "w1", _widen(element, acc))
    return f"""#fmt = {format_attribute(fmt)}
#a = affine_map<(i, j, k) -> {maps[0]}>
#x = affine_map<(i, j, k) -> {maps[1]}>
#y = affine_map<(i, j, k) -> (i, j)>
#id = affine_map<(i, j) -> (i, j)>
func.func @matmul(%a: {encoded} {{pith.name = "a"}},
                  %x: {dense} {{pith.name = "x"}},
                  %out: {buffer} {{pith.name = "out"}}) {{
  %zero = arith.constant {zero} : {acc}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {outs}
{allocate}  %init = linalg.fill ins(%zero : {acc}) outs(%{into} : {sums}) -> {sums}
  %{product} = linalg.generic {{indexing_maps = [#a, #x, #y], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %x : {encoded}, {dense}) outs(%init : {sums})
      attrs = {{{chosen}"pith.multiple" = {multiple} : i64}} {{
  ^bb0(%v: {element}, %w: {element}, %s: {acc}):
{widen}    %p = arith.{mul} %{v}, %{w} : {acc}
    %t = arith.{add} %s, %p : {acc}
    linalg.yield %t : {acc}
  }} -> {sums}
{narrow}  bufferization.materialize_in_destination %y in restrict writable %out : ({outs}, {buffer}) -> ()
  return
}}
"""


_EMPTY = """  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %dst, %c0 : {outs}
  %n = tensor.dim %dst, %c1 : {outs}
  %wide = tensor.empty({sizes}) : {sums}
"""

_NARROW = """  %y = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}}
      ins(%sum : {sums}) outs(%dst : {outs}) {{
  ^bb0(%s: {acc}, %o: {result}):
    %r = arith.truncf %s : {acc} to {result}
    linalg.yield %r : {result}
  }} -> {outs}
"""


def _widen(element: str, acc: str) -> str:
    extend = "extf" if acc.startswith("f") else "extsi"
    return "".join(f"    %{x}1 = arith.{extend} %{x} : {element} to {acc}\n" for x in "vw")
