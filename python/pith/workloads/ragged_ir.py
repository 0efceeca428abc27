"""Pith-level IR of the kernels behind :class:`pith.Ragged`."""

from __future__ import annotations

from ..functional.ir_text import LEAST, widened, yielded
from ..functional.linear.ir import COMPUTED_IN

_TOKENS = "!pith.pattern<[-1], [1]>"


def pack_source(element: str) -> str:
    """``out`` = the rows of ``x`` that ``tokens`` name, in their order: one SRead."""
    rows, buffer = f"tensor<?x?x{element}>", f"memref<?x?x{element}>"
    return f"""func.func @pack(%x: {rows} {{pith.name = "x"}}, %tokens: {_TOKENS} {{pith.name = "tokens"}},
                %out: {buffer} {{pith.name = "out"}}) {{
  %packed = "pith.sread"(%x, %tokens) {{dims = array<i64: 0>}} : ({rows}, {_TOKENS}) -> {rows}
  bufferization.materialize_in_destination %packed in restrict writable %out : ({rows}, {buffer}) -> ()
  return
}}
"""


def unpack_source(element: str) -> str:
    """Row p of ``x`` goes to row ``tokens[p]`` of ``out``, all others are left: one SWrite."""
    rows, buffer = f"tensor<?x?x{element}>", f"memref<?x?x{element}>"
    return f"""func.func @unpack(%x: {rows} {{pith.name = "x"}}, %tokens: {_TOKENS} {{pith.name = "tokens"}},
                  %out: {buffer} {{pith.name = "out"}}) {{
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {rows}
  %padded = "pith.swrite"(%x, %tokens, %dst) {{dims = array<i64: 0>, accumulate = false}}
      : ({rows}, {_TOKENS}, {rows}) -> {rows}
  bufferization.materialize_in_destination %padded in restrict writable %out : ({rows}, {buffer}) -> ()
  return
}}
"""


def softmax_source(element: str) -> str:
    """Softmax of every column over each run ``offsets[b]`` to ``offsets[b + 1]`` of the rows, runs in parallel.

    The exponentials are computed twice, which takes less than keeping them.
    """
    t = COMPUTED_IN[element]
    buffer, part = f"memref<?x?x{element}>", f"memref<?x?x{element}, strided<[?, 1], offset: ?>>"
    column = f"memref<?x{t}>"
    widen, w = widened("v", element, t)
    exponential = f"{widen}    %c = arith.subf %{w}, %m : {t}\n    %e = math.exp %c : {t}\n"
    return f"""#rows = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(i, j) -> (j)>
func.func @softmax(%x: {buffer} {{pith.name = "x"}}, %offsets: memref<?xi32> {{pith.name = "offsets"}},
                   %out: {buffer} {{pith.name = "out"}}) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : {t}
  %least = arith.constant {LEAST[t]} : {t}
  %d = memref.dim %x, %c1 : {buffer}
  %bounds = memref.dim %offsets, %c0 : memref<?xi32>
  %runs = arith.subi %bounds, %c1 : index
  scf.parallel (%b) = (%c0) to (%runs) step (%c1) {{
    %next = arith.addi %b, %c1 : index
    %lo32 = memref.load %offsets[%b] : memref<?xi32>
    %hi32 = memref.load %offsets[%next] : memref<?xi32>
    %lo = arith.index_castui %lo32 : i32 to index
    %hi = arith.index_castui %hi32 : i32 to index
    %n = arith.subi %hi, %lo : index
    %xs = memref.subview %x[%lo, 0] [%n, %d] [1, 1] : {buffer} to {part}
    %ys = memref.subview %out[%lo, 0] [%n, %d] [1, 1] : {buffer} to {part}
    %most = memref.alloc(%d) : {column}
    %sum = memref.alloc(%d) : {column}
    linalg.fill ins(%least : {t}) outs(%most : {column})
    linalg.fill ins(%zero : {t}) outs(%sum : {column})
    linalg.generic {{indexing_maps = [#rows, #columns], iterator_types = ["reduction", "parallel"]}}
        ins(%xs : {part}) outs(%most : {column}) {{
    ^bb0(%v: {element}, %m: {t}):
{widen}    %y = arith.maximumf %m, %{w} : {t}
    linalg.yield %y : {t}
    }}
    linalg.generic {{indexing_maps = [#rows, #columns, #columns], iterator_types = ["reduction", "parallel"]}}
        ins(%xs, %most : {part}, {column}) outs(%sum : {column}) {{
    ^bb0(%v: {element}, %m: {t}, %s: {t}):
{exponential}    %y = arith.addf %s, %e : {t}
    linalg.yield %y : {t}
    }}
    linalg.generic {{indexing_maps = [#rows, #columns, #columns, #rows], iterator_types = ["parallel", "parallel"]}}
        ins(%xs, %most, %sum : {part}, {column}, {column}) outs(%ys : {part}) {{
    ^bb0(%v: {element}, %m: {t}, %s: {t}, %o: {element}):
{exponential}    %y = arith.divf %e, %s : {t}
{yielded("y", t, element)}    }}
    scf.reduce
  }}
  return
}}
"""
