"""The pith-level IR of einsums and convolutions with run-time patterns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .einsum_nest import Nest, tiling
from .linear import ACTIVATIONS

#: Element type of the operands -> of the sums; the result has the operands' type, or the sums' for integers.
SUMS = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64", "i8": "i32", "i16": "i32", "i32": "i32", "i64": "i64"}

#: Patterns an op can have; inputs that ``pith.pit_tile`` has slots for.
MAX_PATTERNS, _INPUTS = 3, 8


@dataclasses.dataclass(frozen=True)
class Program:
    """One kernel.

    Attributes:
        nest: the iteration space.
        element: type of the operands.
        adds: whether the result is added to what ``out`` holds, instead of replacing it.
        bias: the result's dimension a bias lies along, None without one.
        activation: a key of :data:`ACTIVATIONS`; ``scaled``: whether sums are multiplied by a number first.
        pad: rows and columns of zeros around the last two dimensions of the first operand.
    """

    nest: Nest
    element: str
    adds: bool = False
    bias: str | None = None
    activation: str | None = None
    scaled: bool = False
    pad: tuple[int, int] = (0, 0)

    @property
    def sums(self) -> str:
        """Type of the sums."""
        return SUMS[self.element]

    @property
    def stored(self) -> str:
        """Type of the result."""
        return self.element if "f" in self.element else self.sums

    @property
    def plain(self) -> bool:
        """Whether the result is the sums and nothing else."""
        return self.bias is None and self.activation is None and not self.scaled and self.sums == self.stored


def program_source(p: Program) -> str:
    """IR with dynamic shapes: operands, coordinates of the patterns, bias, scale, ``out``."""
    result = f"{_dynamic(len(p.nest.result))}{p.stored}"
    parameters = [
        f'%a{i}: tensor<{_dynamic(len(o))}{p.element}> {{pith.name = "operand {i}"}}'
        for i, o in enumerate(p.nest.inputs)
    ]
    made = ""
    for i, listed in enumerate(p.nest.patterns):
        rank = len(listed.axes)
        coordinates = f"tensor<?{'' if rank == 1 else f'x{rank}'}xi32>"
        parameters.append(f'%c{i}: {coordinates} {{pith.name = "pattern {i}"}}')
        made += f'  %p{i} = "pith.from_coordinates"(%c{i}) : ({coordinates}) -> {_pattern_type(listed)}\n'
    if p.bias is not None:
        parameters.append(f'%bias: tensor<?x{p.stored}> {{pith.name = "bias"}}')
    if p.scaled:
        parameters.append(f'%scale: {p.sums} {{pith.name = "scale"}}')
    parameters.append(f'%out: memref<{result}> {{pith.name = "out"}}')
    listed = ",\n                  ".join(parameters)
    return f"""func.func @einsum({listed}) {{
  %zero = arith.constant {_zero(p.sums)} : {p.sums}
  %dst = bufferization.to_tensor %out restrict writable : memref<{result}> to tensor<{result}>
{made}{_padded(p)}{_core(p)}  bufferization.materialize_in_destination %res in restrict writable %out
      : (tensor<{result}>, memref<{result}>) -> ()
  return
}}
"""


def rule_source(nest: Nest) -> str:
    """The op of a nest alone, on whole tensors: what the rule of permutation-invariant axes judges."""
    inputs = [f"tensor<{_dynamic(len(o))}f32>" for o in nest.inputs]
    result = f"tensor<{_dynamic(len(nest.result))}f32>"
    parameters = ", ".join([*(f"%a{i}: {t}" for i, t in enumerate(inputs)), f"%out: {result}"])
    names = [f"a{i}" for i in range(len(inputs))]
    op = _products(nest, names, inputs, "out", result, "res", "f32", "f32", adds=True)
    return f"func.func @rule({parameters}) -> {result} {{\n{op}  return %res : {result}\n}}\n"


def _core(p: Program) -> str:
    """From the operands and ``%dst`` to ``%res``."""
    nest = p.nest
    if not nest.contracting:
        return _nest_op(p, nest, _operands(p), "dst", "res", _closed_body)
    if p.plain:
        cleared, init = ("", "dst") if p.adds else (_clear(p), "cleared")
        return cleared + _nest_op(p, nest, _operands(p)[: len(nest.inputs)], init, "res", _open_body)
    wide = f"tensor<{_dynamic(len(nest.result))}{p.sums}>"
    result = f"tensor<{_dynamic(len(nest.result))}{p.stored}>"
    sums = _zeros("dst", result, wide, "wide")
    sums += _nest_op(p, nest, _operands(p)[: len(nest.inputs)], "wide", "sums", _open_body, p.sums)
    return sums + _nest_op(p, nest.over_result(), [("sums", p.sums, nest.result), *_extras(p)], "dst", "res", _finish)


#: Name, element type and indexing expressions of an operand.
_Operand = tuple[str, str, tuple[str, ...]]


def _operands(p: Program) -> list[_Operand]:
    names = ["padded" if i == 0 and any(p.pad) else f"a{i}" for i in range(len(p.nest.inputs))]
    return [*((name, p.element, o) for name, o in zip(names, p.nest.inputs)), *_extras(p)]


def _extras(p: Program) -> list[_Operand]:
    return [] if p.bias is None else [("bias", p.stored, (p.bias,))]


def _nest_op(p: Program, nest: Nest, operands: Sequence[_Operand], init: str, res: str, body, stored="") -> str:
    """``%res``: a body on the tiles of a ``pith.pit_tile``, or on whole tensors where there is no pattern."""
    stored = stored or p.stored
    whole = [f"tensor<{_dynamic(len(o))}{t}>" for _, t, o in operands]
    result = f"tensor<{_dynamic(len(nest.result))}{stored}>"
    if not nest.patterns:
        text = body(p, nest, [name for name, _, _ in operands], whole, init, result)
        return text.replace("%tile_out", f"%{res}")
    tiles = tiling(nest)
    inner = [_tile_type(o, t, tiles.tile) for _, t, o in operands]
    inner_result = _tile_type(nest.result, stored, tiles.tile)
    names = [f"t_{name}" for name, _, _ in operands]
    arguments = ", ".join(f"%{n}: {t}" for n, t in zip([*names, "t_init"], [*inner, inner_result]))
    maps = ", ".join(_map(nest, o) for o in (*(o for _, _, o in operands), nest.result))
    values = [f"%p{i}" for i, q in enumerate(p.nest.patterns) if q in nest.patterns]
    values += [f"%{name}" for name, _, _ in operands]
    types = [*map(_pattern_type, nest.patterns), *whole, result]
    axes = [nest.dims.index(d) for q in nest.patterns for d in q.axes]
    return f"""  %{res} = "pith.pit_tile"({", ".join([*values, f"%{init}"])}) ({{
  ^bb0({arguments}):
{body(p, nest, names, inner, "t_init", inner_result)}    "pith.yield"(%tile_out) : ({inner_result}) -> ()
  }}) {{indexing_maps = [{maps}], iterator_types = {_kinds(nest)}, axes = {_i64(axes)},
       tile = {_i64(tiles.tile[d] for d in nest.dims)}, micro_tile = {_i64(tiles.micro_tile)},
       accumulate = {str(nest.accumulates).lower()}, {_segments(len(nest.patterns), len(operands))}}}
      : ({", ".join(types)}) -> {result}
"""


def _open_body(p: Program, nest: Nest, names, types, init: str, result: str) -> str:
    """Sums of products added to a tile."""
    return _products(nest, names, types, init, result, "tile_out", p.element, p.sums, adds=True)


def _closed_body(p: Program, nest: Nest, names, types, init: str, result: str) -> str:
    """Whole sums of products, and what follows them."""
    n = len(nest.inputs)
    if p.plain and (p.adds or nest.kinds.count("parallel") == len(nest.dims)):
        return _products(nest, names, types, init, result, "tile_out", p.element, p.sums, p.adds)
    if p.plain:
        fill = f"    %t_zero = linalg.fill ins(%zero : {p.sums}) outs(%{init} : {result}) -> {result}\n"
        return fill + _products(nest, names, types, "t_zero", result, "tile_out", p.element, p.sums, True)
    wide = result.replace(p.stored + ">", p.sums + ">")
    sums = _zeros(init, result, wide, "t_wide")
    sums += _products(nest, names[:n], types[:n], "t_wide", wide, "t_sums", p.element, p.sums, True)
    return sums + _finish(p, nest, ["t_sums", *names[n:]], [wide, *types[n:]], init, result)


def _finish(p: Program, nest: Nest, names, types, init: str, result: str) -> str:
    """Scale, bias, activation, what ``out`` holds, and rounding, element by element."""
    own = Nest(nest.result, (), nest.result, ())
    operands = [nest.result, *([(p.bias,)] if p.bias is not None else []), nest.result]
    maps = ", ".join(_map(own, o) for o in operands)
    scalars = ["s", *(["b"] if p.bias is not None else []), "o"]
    arguments = ", ".join(f"%{v}: {t}" for v, t in zip(scalars, [p.sums, *[p.stored] * (len(scalars) - 1)]))
    lines, value = "", "s"
    if p.scaled:
        lines, value = f"      %scaled = arith.mulf %s, %scale : {p.sums}\n", "scaled"
    if p.bias is not None:
        widen, operand = _widened("b", p.stored, p.sums)
        lines += f"{widen}      %biased = arith.addf %{value}, %{operand} : {p.sums}\n"
        value = "biased"
    if p.activation is not None:
        lines += ACTIVATIONS[p.activation].format(z=value, t=p.sums)
        value = "y"
    if p.adds:
        widen, operand = _widened("o", p.stored, p.sums)
        lines += f"{widen}      %added = arith.addf %{value}, %{operand} : {p.sums}\n"
        value = "added"
    if p.sums != p.stored:
        lines += f"      %narrow = arith.truncf %{value} : {p.sums} to {p.stored}\n"
        value = "narrow"
    inputs = f"{', '.join(f'%{n}' for n in names)} : {', '.join(types)}"
    return f"""    %tile_out = linalg.generic {{indexing_maps = [{maps}], iterator_types = {_kinds(own)}}}
        ins({inputs}) outs(%{init} : {result}) {{
    ^bb0({arguments}):
{lines}      linalg.yield %{value} : {p.stored}
    }} -> {result}
"""


def _products(nest: Nest, names, types, init: str, result: str, res: str, element: str, sums: str, adds: bool) -> str:
    """Products of all operands, summed over what the result has not (``adds``: onto ``init``)."""
    mul, add = ("mulf", "addf") if "f" in sums else ("muli", "addi")
    maps = ", ".join(_map(nest, o) for o in (*nest.inputs, nest.result))
    scalars = ", ".join(f"%x{i}: {element}" for i in range(len(names)))
    lines, value = "", ""
    for i in range(len(names)):
        widen, operand = _widened(f"x{i}", element, sums)
        lines += widen
        lines += f"      %y{i} = arith.{mul} %{value}, %{operand} : {sums}\n" if value else ""
        value = f"y{i}" if value else operand
    if adds:
        lines += f"      %sum = arith.{add} %acc, %{value} : {sums}\n"
        value = "sum"
    inputs = f"{', '.join(f'%{n}' for n in names)} : {', '.join(types)}"
    return f"""    %{res} = linalg.generic {{indexing_maps = [{maps}], iterator_types = {_kinds(nest)}}}
        ins({inputs}) outs(%{init} : {result}) {{
    ^bb0({scalars}, %acc: {sums}):
{lines}      linalg.yield %{value} : {sums}
    }} -> {result}
"""


def _clear(p: Program) -> str:
    """``%cleared``: ``%dst`` with zeros at the places that are computed."""
    nest = Nest(p.nest.result, (), p.nest.result, p.nest.outer_patterns)

    def body(p: Program, nest: Nest, names, types, init: str, result: str) -> str:
        return f"    %tile_out = linalg.fill ins(%zero : {p.sums}) outs(%{init} : {result}) -> {result}\n"

    return _nest_op(p, nest, [], "dst", "cleared", body)


def _padded(p: Program) -> str:
    """``%padded``: the first operand with zeros around its last two dimensions."""
    if not any(p.pad):
        return ""
    rank = len(p.nest.inputs[0])
    whole = f"tensor<{_dynamic(rank)}{p.element}>"
    sizes, lines = [], ""
    for d in range(rank):
        extra = 2 * p.pad[d - rank + 2] if d >= rank - 2 else 0
        lines += f"  %i{d} = arith.constant {d} : index\n  %n{d} = tensor.dim %a0, %i{d} : {whole}\n"
        lines += f"  %e{d} = arith.constant {extra} : index\n  %m{d} = arith.addi %n{d}, %e{d} : index\n"
        sizes.append(f"%n{d}")
    offsets = ", ".join(["0"] * (rank - 2) + [str(n) for n in p.pad])
    grown = ", ".join(f"%m{d}" for d in range(rank))
    return f"""{lines}  %room = tensor.empty({grown}) : {whole}
  %nil = arith.constant {_zero(p.element)} : {p.element}
  %frame = linalg.fill ins(%nil : {p.element}) outs(%room : {whole}) -> {whole}
  %padded = tensor.insert_slice %a0 into %frame[{offsets}] [{", ".join(sizes)}] [{", ".join(["1"] * rank)}]
      : {whole} into {whole}
"""


def _zeros(like: str, type_: str, zeros: str, name: str) -> str:
    """``%name``: zeros of type ``zeros``, of the sizes of ``%like``."""
    lines, sizes = "", []
    extents = type_.removeprefix("tensor<").split("x")[:-1]
    for d, extent in enumerate(extents):
        if extent == "?":
            lines += f"    %{name}_i{d} = arith.constant {d} : index\n"
            lines += f"    %{name}_n{d} = tensor.dim %{like}, %{name}_i{d} : {type_}\n"
            sizes.append(f"%{name}_n{d}")
    element = zeros.rstrip(">").removeprefix("tensor<").split("x")[-1]
    return f"""{lines}    %{name}_empty = tensor.empty({", ".join(sizes)}) : {zeros}
    %{name} = linalg.fill ins(%zero : {element}) outs(%{name}_empty : {zeros}) -> {zeros}
"""


def _widened(name: str, element: str, sums: str) -> tuple[str, str]:
    """Ops that bring a scalar to the type of the sums, and its name then."""
    if element == sums:
        return "", name
    return f"      %{name}w = arith.{'extf' if 'f' in sums else 'extsi'} %{name} : {element} to {sums}\n", f"{name}w"


def _map(nest: Nest, expressions: Sequence[str]) -> str:
    return f"affine_map<({', '.join(nest.dims)}) -> ({', '.join(expressions)})>"


def _kinds(nest: Nest) -> str:
    return "[" + ", ".join(f'"{k}"' for k in nest.kinds) + "]"


def _tile_type(expressions: Sequence[str], element: str, tile: dict[str, int]) -> str:
    return f"tensor<{''.join(str(tile.get(e) or '?') + 'x' for e in expressions)}{element}>"


def _pattern_type(listed) -> str:
    return f"!pith.pattern<{[-1] * len(listed.axes)}, {list(listed.granularity)}>"


def _segments(patterns: int, inputs: int) -> str:
    used = [*(i < patterns for i in range(MAX_PATTERNS)), *(i < inputs for i in range(_INPUTS)), True]
    return f"operandSegmentSizes = array<i32: {', '.join(str(int(u)) for u in used)}>"


def _i64(values) -> str:
    return f"array<i64: {', '.join(map(str, values))}>"


def _dynamic(rank: int) -> str:
    return "?x" * rank


def _zero(element: str) -> str:
    return "0.0" if "f" in element else "0"
