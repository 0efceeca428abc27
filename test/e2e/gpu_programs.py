"""Programs for the GPU tests: ``pit_tile`` over a matmul, and matmuls with a hierarchical operand."""

from pith import dialect
from pith.formats import HSS

_DIM = {"m": 0, "n": 1, "k": 2}


def pit_matmul(
    axis, *, element="f32", out="f32", tile=(0, 0, 0), granularity=1, accumulate=False, rhs="kn", out_roles="mn"
):
    """``out[m, n] += lhs[m, k] * rhs[k, n]`` where a pattern on ``axis`` says; ``rhs`` may be stored ``nk``."""

    def tile_type(roles, dtype):
        sizes = ("?" if not tile[_DIM[r]] else str(tile[_DIM[r]]) for r in roles)
        return f"tensor<{'x'.join(sizes)}x{dtype}>"

    def affine(roles):
        return f"affine_map<(m, n, k) -> ({roles[0]}, {roles[1]})>"

    maps = f"[{affine('mk')}, {affine(rhs)}, {affine(out_roles)}]"
    whole, result = f"tensor<?x?x{element}>", f"tensor<?x?x{out}>"
    ta, tb, tc = tile_type("mk", element), tile_type(rhs, element), tile_type(out_roles, out)
    extent = tile[_DIM[axis]]
    micro = next(u for u in range(min(granularity, extent), 0, -1) if granularity % u == 0 and extent % u == 0)
    pattern = f"!pith.pattern<[-1], [{granularity}]>"
    widen = f"%xe = arith.extf %x : {element} to {out} %ye = arith.extf %y : {element} to {out}"
    scalars = ("%xe", "%ye") if element != out else ("%x", "%y")
    return f"""
func.func @pit(%p: {pattern}, %a: {whole}, %b: {whole}, %c: {result}) -> {result} {{
  %r = "pith.pit_tile"(%p, %a, %b, %c) ({{
  ^bb0(%ta: {ta}, %tb: {tb}, %tc: {tc}):
    %s = linalg.generic {{indexing_maps = {maps}, iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%ta, %tb : {ta}, {tb}) outs(%tc : {tc}) {{
    ^bb0(%x: {element}, %y: {element}, %z: {out}):
      {widen if element != out else ""}
      %u = arith.mulf {scalars[0]}, {scalars[1]} : {out}
      %v = arith.addf %z, %u : {out}
      linalg.yield %v : {out}
    }} -> {tc}
    "pith.yield"(%s) : ({tc}) -> ()
  }}) {{indexing_maps = {maps}, iterator_types = ["parallel", "parallel", "reduction"],
       axes = array<i64: {_DIM[axis]}>, tile = array<i64: {", ".join(map(str, tile))}>,
       micro_tile = array<i64: {micro}>, accumulate = {str(accumulate).lower()},
       operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}}
    : ({pattern}, {whole}, {whole}, {result}) -> {result}
  return %r : {result}
}}"""


def hss_matmul(text, shape, *, element="f32", out="f32", transposed=False):
    """``A @ B`` into a new tensor, A ``shape`` in format ``text``; ``transposed``: ``B @ A^T`` (a linear layer)."""
    fmt = dialect.FormatAttr.from_format(HSS.parse(text).to_format())
    rows, depth = shape
    a = f"tensor<{rows}x{depth}x{element}, {fmt}>"
    b = f"tensor<?x{depth}x{element}>" if transposed else f"tensor<{depth}x?x{element}>"
    c = f"tensor<?x{rows}x{out}>" if transposed else f"tensor<{rows}x?x{out}>"
    free = 0 if transposed else 1
    maps = (
        "indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, "
        "affine_map<(m, n, k) -> (m, n)>] "
        if transposed
        else ""
    )
    ins = f"%b, %a : {b}, {a}" if transposed else f"%a, %b : {a}, {b}"
    return f"""
func.func @hss(%a: {a}, %b: {b}) -> {c} {{
  %d = arith.constant {free} : index
  %n = tensor.dim %b, %d : {b}
  %e = tensor.empty(%n) : {c}
  %z = arith.constant 0.0 : {out}
  %i = linalg.fill ins(%z : {out}) outs(%e : {c}) -> {c}
  %r = linalg.matmul {maps}ins({ins}) outs(%i : {c}) -> {c}
  return %r : {c}
}}"""
