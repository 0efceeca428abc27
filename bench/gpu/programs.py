"""The program of every family, at the pith level: what the compiler is given. Needs no GPU and no torch.

Results are arguments that may be written, so that a caller can fill them with garbage first and reuse them. Sums start
from zeros; products of patterns with several lists per row of the result add to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pith.formats.attribute import format_attribute
from pith.formats.format import Format
from pith.formats.parse import parse_format

#: Bytes of an element.
BYTES = {"f16": 2, "bf16": 2, "f32": 4, "i8": 1}

#: Element type of a result, of the operands' one.
RESULTS = {"f16": "f16", "bf16": "bf16", "f32": "f32", "i8": "i32"}

_MATMUL = ("mk", "kn", "mn")


def program(family: str, build: Mapping[str, Any]) -> str:
    """The module of a kernel."""
    return PROGRAMS[family](**build)


def storage(name: str) -> Format:
    """A format by its name or notation."""
    parsed = parse_format(name)
    return parsed if isinstance(parsed, Format) else parsed.to_format()


def _dense(m: int, n: int, k: int, element: str, tile: str = "") -> str:
    """A product; ``tile``: the lowering's choice, ``m x n x bytes along k x warps down x warps across x stages``."""
    a, b, c = _tensor((m, k), element), _tensor((k, n), element), _tensor((m, n), RESULTS[element])
    return _function(
        ["a", "b", "out"], [a, b, c], c, _zeros(c) + _matmul(a, b, c, "a", "b", asked=_asked(tile, element))
    )


def _asked(tile: str, element: str) -> str:
    """The attribute by which an op asks for a tile."""
    if not tile:
        return ""
    m, n, nbytes, *rest = map(int, tile.split("x"))
    return f"{{pith.gpu_tile = {_array([m, n, nbytes // BYTES[element], *rest])}}} "


def _pit(m: int, n: int, k: int, element: str, block: Sequence[int]) -> str:
    """Empty micro-tiles of the left operand are found and skipped: packed along k where they are columns, else m."""
    a, b, c = _tensor((m, k), element), _tensor((k, n), element), _tensor((m, n), pit_result(element, block))
    pattern = f"!pith.pattern<[{m}, {k}], [{block[0]}, {block[1]}]>"
    tile = (block[0], 128, 32) if block[1] == 1 else (64 if block[0] == 1 else block[0], 128, block[1])
    text = _detect_op("a", a, (0, 1), block, pattern) + _zeros(c)
    text += _tiled(("a", "b"), (a, b, c), pattern, (0, 2), block, tile, accumulate=True)
    return _function(["a", "b", "out"], [a, b, c], c, text)


def pit_result(element: str, block: Sequence[int]) -> str:
    """Element type of a product over micro-tiles: rows that every block of columns lists for itself meet in f32.

    >>> pit_result("f16", (32, 1)), pit_result("f16", (1, 64))
    ('f16', 'f32')
    """
    return "f32" if "f" in element and block[0] == 1 and block[1] > 1 else RESULTS[element]


def _axis(m: int, n: int, k: int, element: str, axis: str, resident: int = 0) -> str:
    """One list on one axis: rows of the left operand, columns of both, or columns of the right one.

    ``resident`` elements of the right operand stay in shared memory, what is beyond them is streamed.
    """
    a, b, c = _tensor((m, k), element), _tensor((k, n), element), _tensor((m, n), element)
    at = "mnk".index(axis)
    pattern = f"!pith.pattern<[{(m, n, k)[at]}], [1]>"
    source, dims = {"m": ("a", (0,)), "k": ("a", (1,)), "n": ("b", (1,))}[axis]
    text = _detect_op(source, {"a": a, "b": b}[source], dims, (1,), pattern) + _zeros(c)
    marks = f', pith.buffer = #pith.buffer<{resident} : i64, "stream", "shared">' if resident else ""
    text += _tiled(("a", "b"), (a, b, c), pattern, (at,), (1,), (64, 64, 32), accumulate=False, marks=marks)
    return _function(["a", "b", "out"], [a, b, c], c, text)


def _detect(m: int, k: int, element: str, block: Sequence[int]) -> str:
    a, pattern = _tensor((m, k), element), f"!pith.pattern<[{m}, {k}], [{block[0]}, {block[1]}]>"
    return _function(["a"], [a], pattern, _detect_op("a", a, (0, 1), block, pattern), result="p")


def _hss(m: int, k: int, n: int, element: str, format: str) -> str:
    a = _tensor((m, k), element, storage(format))
    b, c = _tensor((k, n), element), _tensor((m, n), RESULTS[element])
    return _function(["a", "b", "out"], [a, b, c], c, _zeros(c) + _matmul(a, b, c, "a", "b"))


def _csr(m: int, k: int, n: int, element: str) -> str:
    return _hss(m, k, n, element, "csr")


def _skinny(m: int, k: int, n: int, element: str) -> str:
    return _hss(m, k, n, element, "C0(bitmask)")


def _spmv(m: int, k: int, element: str) -> str:
    a, x, y = _tensor((m, k), element, storage("csr")), _tensor((k,), element), _tensor((m,), element)
    text = _zeros(y) + f"  %r = linalg.matvec ins(%a, %x : {a}, {x}) outs(%i : {y}) -> {y}\n"
    return _function(["a", "x", "out"], [a, x, y], y, text)


def _sddmm(m: int, n: int, k: int, element: str) -> str:
    """The values of a stored matrix of zeros, each with its element of the product added."""
    s = _tensor((m, n), element, storage("csr"))
    a, b = _tensor((m, k), element), _tensor((k, n), element)
    names = ["s", "a", "b"]
    text = _matmul(a, b, s, "a", "b", init="s")
    return _function(names, [s, a, b], s, text, written="s")


def _moe(tokens: int, experts: int, inner: int, outer: int, element: str) -> str:
    """``out[t] = x[t] @ w[expert of t]``, in f32; every token has one expert, so rows of tiles never meet."""
    x, w = _tensor((tokens, inner), element), _tensor((experts, inner, outer), element)
    c, e = _tensor((tokens, outer), "f32"), f"tensor<{tokens}xi32>"
    pattern = f"!pith.pattern<[{tokens}, {experts}], [1, 1]>"
    terms, kinds = ("sk", "ekn", "sn"), ("parallel", "parallel", "reduction", "reduction")
    maps, tile, sizes = _maps("snek", terms), (64, 0, 1, 0), (tokens, outer, experts, inner)
    extents = [t or size for t, size in zip(tile, sizes)]
    parts = [_tensor(_take(extents, "snek", term), type_) for term, type_ in zip(terms, (element, element, "f32"))]
    body = _contraction(maps, kinds, parts, element)
    text = f'  %p = "pith.from_routing"(%e) : ({e}) -> {pattern}\n' + _zeros(c)
    marks = ", pith.partition"
    text += _pit_tile(("x", "w"), (x, w, c), parts, pattern, (maps, kinds), (0, 2), (1, 1), tile, body, True, marks)
    return _function(["e", "x", "w", "out"], [e, x, w, c], c, text)


def _attention(batch: int, heads: int, tokens: int, depth: int, element: str) -> str:
    """Every query sees an interval of the keys; whole, causal and sliding windows are data."""
    q, seen = _tensor((batch, heads, tokens, depth), element), f"tensor<1x{tokens}x2xi32>"
    text = f"""  %scale = arith.constant {depth**-0.5:.17g} : f64
  %r = "pith.attention"(%q, %k, %v, %scale, %out, %seen) {{operandSegmentSizes =
      array<i32: 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>}}
    : ({q}, {q}, {q}, f64, {q}, {seen}) -> {q}
"""
    return _function(["q", "k", "v", "seen", "out"], [q, q, q, seen, q], q, text)


#: Family -> its module, from what a case builds.
PROGRAMS: dict[str, Callable[..., str]] = {
    "dense": _dense,
    "pit": _pit,
    "axis": _axis,
    "detect": _detect,
    "hss": _hss,
    "csr": _csr,
    "skinny": _skinny,
    "spmv": _spmv,
    "sddmm": _sddmm,
    "moe": _moe,
    "attention": _attention,
}


def _tensor(shape: Sequence[int], element: str, stored: Format | None = None) -> str:
    encoding = f", {format_attribute(stored)}" if stored is not None else ""
    return f"tensor<{'x'.join(map(str, shape))}x{element}{encoding}>"


def _function(
    names: Sequence[str], types: Sequence[str], result_type: str, body: str, result: str = "r", written: str = "out"
) -> str:
    marks = {written: " {bufferization.writable = true}"}
    listed = ", ".join(f"%{n}: {t}{marks.get(n, '')}" for n, t in zip(names, types))
    return f"func.func @main({listed}) -> {result_type} {{\n{body}  return %{result} : {result_type}\n}}\n"


def _element(type_: str) -> str:
    return type_.removesuffix(">").split(",")[0].rpartition("x")[2]


def _zeros(type_: str) -> str:
    """``%i``: the result, filled with zeros."""
    element = _element(type_)
    zero = "0.0" if "f" in element else "0"
    return f"""  %zero = arith.constant {zero} : {element}
  %i = linalg.fill ins(%zero : {element}) outs(%out : {type_}) -> {type_}
"""


def _matmul(a: str, b: str, c: str, left: str, right: str, init: str = "i", asked: str = "") -> str:
    """``%r``: a named matrix product, widened the way ``linalg.matmul`` does it."""
    return f"  %r = linalg.matmul {asked}ins(%{left}, %{right} : {a}, {b}) outs(%{init} : {c}) -> {c}\n"


def _detect_op(source: str, type_: str, axes: Sequence[int], block: Sequence[int], pattern: str) -> str:
    attrs = f"axes = {_array(axes)}, granularity = {_array(block)}, threshold = 0.0 : f64"
    return f'  %p = "pith.detect"(%{source}) {{{attrs}}} : ({type_}) -> {pattern}\n'


def _tiled(
    inputs: Sequence[str],
    types: Sequence[str],
    pattern: str,
    axes: Sequence[int],
    micro: Sequence[int],
    tile: Sequence[int],
    accumulate: bool,
    marks: str = "",
) -> str:
    """``%r``: a matrix product over the micro-tiles of ``%p``."""
    kinds = ("parallel", "parallel", "reduction")
    maps = _maps("mnk", _MATMUL)
    parts = [_tensor(_take(tile, "mnk", term), _element(type_)) for term, type_ in zip(_MATMUL, types)]
    body = f"    %t = linalg.matmul ins(%t0, %t1 : {parts[0]}, {parts[1]}) outs(%t2 : {parts[2]}) -> {parts[2]}\n"
    return _pit_tile(inputs, types, parts, pattern, (maps, kinds), axes, micro, tile, body, accumulate, marks)


def _pit_tile(
    inputs: Sequence[str],
    types: Sequence[str],
    parts: Sequence[str],
    pattern: str,
    structure: tuple[str, Sequence[str]],
    axes: Sequence[int],
    micro: Sequence[int],
    tile: Sequence[int],
    body: str,
    accumulate: bool,
    marks: str = "",
) -> str:
    maps, kinds = structure
    arguments = ", ".join(f"%t{i}: {t}" for i, t in enumerate(parts))
    operands = ", ".join(["%p", *(f"%{x}" for x in inputs), "%i"])
    quoted = ", ".join(f'"{kind}"' for kind in kinds)
    return f"""  %r = "pith.pit_tile"({operands}) ({{
  ^bb0({arguments}):
{body}    "pith.yield"(%t) : ({parts[-1]}) -> ()
  }}) {{indexing_maps = {maps}, iterator_types = [{quoted}], axes = {_array(axes)}, tile = {_array(tile)},
       micro_tile = {_array(micro)}, accumulate = {str(accumulate).lower()}{marks},
       operandSegmentSizes = array<i32: 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1>}}
    : ({", ".join([pattern, *types])}) -> {types[-1]}
"""


def _contraction(maps: str, kinds: Sequence[str], parts: Sequence[str], element: str) -> str:
    """``%t``: products, summed in f32."""
    quoted = ", ".join(f'"{kind}"' for kind in kinds)
    widen = "".join(f"      %w{i} = arith.extf %x{i} : {element} to f32\n" for i in (0, 1) if element != "f32")
    factors = "%w0, %w1" if widen else "%x0, %x1"
    return f"""    %t = linalg.generic {{indexing_maps = {maps}, iterator_types = [{quoted}]}}
        ins(%t0, %t1 : {parts[0]}, {parts[1]}) outs(%t2 : {parts[2]}) {{
    ^bb0(%x0: {element}, %x1: {element}, %x2: f32):
{widen}      %u = arith.mulf {factors} : f32
      %s = arith.addf %x2, %u : f32
      linalg.yield %s : f32
    }} -> {parts[2]}
"""


def _maps(dims: str, terms: Sequence[str]) -> str:
    return "[" + ", ".join(f"affine_map<({', '.join(dims)}) -> ({', '.join(t)})>" for t in terms) + "]"


def _take(tile: Sequence[int], dims: str, letters: str) -> list[int]:
    return [tile[dims.index(c)] for c in letters]


def _array(values: Sequence[int]) -> str:
    return f"array<i64: {', '.join(map(str, values))}>"
