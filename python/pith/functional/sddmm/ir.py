"""IR of products sampled where a sparse tensor stores."""

from __future__ import annotations

from ...compiler.stored_text import StoredText
from ...formats import Format
from ...formats.attribute import format_attribute

#: Element type of the operands and of the result -> element type of the sums.
SUMS = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}


def sddmm_source(
    fmt: Format,
    element: str,
    left: bool = False,
    right: bool = False,
    accumulate: bool = False,
    program: bool = False,
) -> str:
    """Pith-level IR of a sampled product with dynamic shapes; ``left``, ``right``: that factor is transposed.

    ``program``: of tensors, the values written in place and returned, as GPU programs are; else of memory.
    """
    acc, storage = SUMS[element], StoredText.of(fmt)
    sums, dense, encoded = f"tensor<?x{acc}>", f"tensor<?x?x{element}>", f"tensor<?x?x{acc}, #fmt>"
    widen = "" if element == acc else "".join(f"    %{x}w = arith.extf %{x} : {element} to {acc}\n" for x in "xy")
    x, y = ("x", "y") if element == acc else ("xw", "yw")
    before, init = _initial(element, acc, accumulate)
    after = "" if element == acc else _convert("w", "narrow", "truncf", acc, element, "dst")
    stored = storage.arguments
    taken, returned, start, end = _destination(element, "narrow" if after else "w", program)
    return f"""#fmt = {format_attribute(fmt)}
#a = affine_map<(i, j, k) -> {"(k, i)" if left else "(i, k)"}>
#b = affine_map<(i, j, k) -> {"(j, k)" if right else "(k, j)"}>
#s = affine_map<(i, j, k) -> (i, j)>
#id = affine_map<(p) -> (p)>
func.func @sddmm({stored}%m: index, %n: index, %a: {dense} {{pith.name = "a"}}, %b: {dense} {{pith.name = "b"}},
                 {taken}){returned} {{
  %zero = arith.constant 0.0 : {acc}
{start}{before}{storage.assemble(init, sums, encoded)}\
  %r = linalg.generic {{indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %b : {dense}, {dense}) outs(%s : {encoded}) {{
  ^bb0(%x: {element}, %y: {element}, %z: {acc}):
{widen}    %p = arith.mulf %{x}, %{y} : {acc}
    %t = arith.addf %z, %p : {acc}
    linalg.yield %t : {acc}
  }} -> {encoded}
{storage.disassemble(sums, encoded)}{after}{end}}}
"""


def _destination(element: str, values: str, program: bool) -> tuple[str, str, str, str]:
    """Where ``%values`` go: the argument, the type that is returned, and the ops at both ends of the function."""
    outs, buffer = f"tensor<?x{element}>", f"memref<?x{element}>"
    if program:
        taken = f'%dst: {outs} {{bufferization.writable = true, pith.name = "out"}}'
        return taken, f" -> {outs}", "", f"  return %{values} : {outs}\n"
    start = f"  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {outs}\n"
    end = f"""  bufferization.materialize_in_destination %{values} in restrict writable %out
      : ({outs}, {buffer}) -> ()
  return
"""
    return f'%out: {buffer} {{pith.name = "out"}}', "", start, end


def _initial(element: str, acc: str, accumulate: bool) -> tuple[str, str]:
    """IR that makes the values the products are added to, and their name."""
    sums = f"tensor<?x{acc}>"
    size = ""
    if element != acc:
        size = f"""  %c0 = arith.constant 0 : index
  %size = tensor.dim %dst, %c0 : tensor<?x{element}>
  %wide = tensor.empty(%size) : {sums}
"""
    if accumulate:
        return (size + _convert("dst", "v", "extf", element, acc, "wide"), "%v") if size else ("", "%dst")
    into = "wide" if size else "dst"
    return f"{size}  %v = linalg.fill ins(%zero : {acc}) outs(%{into} : {sums}) -> {sums}\n", "%v"


def _convert(source: str, result: str, op: str, old: str, new: str, into: str) -> str:
    """IR that converts a vector of values."""
    return f"""  %{result} = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel"]}}
      ins(%{source} : tensor<?x{old}>) outs(%{into} : tensor<?x{new}>) {{
  ^bb0(%e: {old}, %o: {new}):
    %c = arith.{op} %e : {old} to {new}
    linalg.yield %c : {new}
  }} -> tensor<?x{new}>
"""
