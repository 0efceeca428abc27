"""The pith-level IR of einsums and convolutions with run-time patterns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from ..linear.ir import ACTIVATIONS
from .nest import Nest, factor_of, tiling
from .text import (
    fill,
    generic,
    i64_array,
    kinds_text,
    map_text,
    padded,
    pattern_type,
    products,
    segments,
    tensor_type,
    tile_type,
    widened,
    zero,
    zeros,
)

#: Element type of the operands -> of the sums; the result has the operands' type, or the sums' for integers.
SUMS = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64", "i8": "i32", "i16": "i32", "i32": "i32", "i64": "i64"}

#: What becomes of the result's old content: nothing is left of it; it stays where nothing is computed; it is added to.
FRESH, NAMED, ADDED = "fresh", "named", "added"


@dataclasses.dataclass(frozen=True)
class Program:
    """One kernel.

    Attributes:
        nest: the iteration space.
        element: type of the operands.
        into: :data:`FRESH`, :data:`NAMED` or :data:`ADDED`.
        bias: the result's dimension a bias lies along, None without one.
        activation: a key of :data:`ACTIVATIONS`; ``scaled``: whether sums are multiplied by a number first.
        copies: whether one operand is copied as it is, without sums.
        pad: rows and columns of zeros around the last two dimensions of the first operand.
    """

    nest: Nest
    element: str
    into: str = FRESH
    bias: str | None = None
    activation: str | None = None
    scaled: bool = False
    copies: bool = False
    pad: tuple[int, int] = (0, 0)

    @property
    def sums(self) -> str:
        """Type of the sums."""
        return self.element if self.copies else SUMS[self.element]

    @property
    def stored(self) -> str:
        """Type of the result."""
        return self.element if self.copies else stored_type(self.element)

    @property
    def plain(self) -> bool:
        """Whether the result is the sums and nothing else."""
        return self.bias is None and self.activation is None and not self.scaled and self.sums == self.stored


def stored_type(element: str) -> str:
    """Element type of the result for one of the operands.

    >>> stored_type("bf16"), stored_type("i8")
    ('bf16', 'i32')
    """
    return element if "f" in element else SUMS[element]


def program_source(p: Program) -> str:
    """IR with dynamic shapes: operands, coordinates of the patterns, bias, scale, ``out``."""
    result = tensor_type(len(p.nest.result), p.stored)
    buffer = result.replace("tensor", "memref")
    parameters = [
        f'%a{i}: {tensor_type(len(o), p.element)} {{pith.name = "operand {i}"}}' for i, o in enumerate(p.nest.inputs)
    ]
    made = ""
    for i, listed in enumerate(p.nest.patterns):
        coordinates = "tensor<?xi32>" if len(listed.axes) == 1 else f"tensor<?x{len(listed.axes)}xi32>"
        parameters.append(f'%c{i}: {coordinates} {{pith.name = "pattern {i}"}}')
        made += f'  %p{i} = "pith.from_coordinates"(%c{i}) : ({coordinates}) -> {pattern_type(listed)}\n'
    if p.bias is not None:
        parameters.append(f'%bias: tensor<?x{p.stored}> {{pith.name = "bias"}}')
    if p.scaled:
        parameters.append(f'%scale: {p.sums} {{pith.name = "scale"}}')
    parameters.append(f'%out: {buffer} {{pith.name = "out"}}')
    listed = ",\n                  ".join(parameters)
    pad = padded(len(p.nest.inputs[0]), p.element, p.pad) if any(p.pad) else ""
    return f"""func.func @einsum({listed}) {{
  %zero = arith.constant {zero(p.sums)} : {p.sums}
  %nothing = arith.constant {zero(p.stored)} : {p.stored}
  %dst = bufferization.to_tensor %out restrict writable : {buffer} to {result}
{made}{pad}{computed(p)}  bufferization.materialize_in_destination %res in restrict writable %out
      : ({result}, {buffer}) -> ()
  return
}}
"""


def rule_source(nest: Nest) -> str:
    """The op of a nest alone, on whole tensors: what the rule of permutation-invariant axes judges."""
    inputs = [tensor_type(len(o), "f32") for o in nest.inputs]
    result = tensor_type(len(nest.result), "f32")
    parameters = ", ".join([*(f"%a{i}: {t}" for i, t in enumerate(inputs)), f"%out: {result}"])
    names = [f"a{i}" for i in range(len(inputs))]
    op = products(nest, names, inputs, ("out", result), "res", "f32", "f32")
    return f"func.func @rule({parameters}) -> {result} {{\n{op}  return %res : {result}\n}}\n"


#: Name, element type and indexing expressions of an operand.
_Operand = tuple[str, str, tuple[str, ...]]

#: Makes a body: ``body(names, types, (init, its type))`` ends with ``%tile``.
_Body = Callable[[Sequence[str], Sequence[str], tuple[str, str]], str]


def computed(p: Program) -> str:
    """From the operands and ``%dst`` to ``%res``.

    Sums that some pattern contracts build up over several tiles, so what follows them is an op of its own;
    all others are finished in the body that makes them.
    """
    nest = p.nest
    if not nest.contracting:
        starts = p.into == FRESH and bool(nest.patterns or p.plain)
        cleared, init = (_cleared(p), "cleared") if starts else ("", "dst")
        return cleared + tiled(p, nest, [*operands_of(p), *bias_of(p)], init, "res", p.stored, _whole_body(p))
    if p.plain:
        cleared, init = ("", "dst") if p.into == ADDED else (_cleared(p), "cleared")
        return cleared + tiled(p, nest, operands_of(p), init, "res", p.stored, sums_body(p))
    over_result = nest.over_result()
    sums = zeros("dst", tensor_type(len(nest.result), p.stored), p.sums, "wide")
    sums += tiled(p, nest, operands_of(p), "wide", "sums", p.sums, sums_body(p))
    cleared, init = ("", "dst") if p.into != FRESH or not over_result.patterns else (_cleared(p), "cleared")
    operands = [("sums", p.sums, nest.result), *bias_of(p)]
    return sums + cleared + tiled(p, over_result, operands, init, "res", p.stored, finish_body(p))


def operands_of(p: Program) -> list[_Operand]:
    """What is multiplied."""
    names = ["padded" if i == 0 and any(p.pad) else f"a{i}" for i in range(len(p.nest.inputs))]
    return [(name, p.element, o) for name, o in zip(names, p.nest.inputs)]


def bias_of(p: Program) -> list[_Operand]:
    """The bias, if there is one."""
    return [] if p.bias is None else [("bias", p.stored, (p.bias,))]


def _cleared(p: Program) -> str:
    """``%cleared``: ``%dst`` with zeros everywhere, or (:data:`NAMED`) at the places that are computed."""
    nest = dataclasses.replace(p.nest.over_result(), inputs=())
    if p.into != NAMED:
        nest = dataclasses.replace(nest, patterns=())

    def body(names: Sequence[str], types: Sequence[str], init: tuple[str, str]) -> str:
        return fill(p.stored, *init, "tile", "nothing")

    return tiled(p, nest, [], "dst", "cleared", p.stored, body)


def tiled(
    p: Program, nest: Nest, operands: Sequence[_Operand], init: str, result: str, stored: str, body: _Body
) -> str:
    """``%result``: a body on the tiles of a ``pith.pit_tile``, or on whole tensors where there is no pattern."""
    names = [name for name, _, _ in operands]
    whole = [tensor_type(len(o), t) for _, t, o in operands]
    out = tensor_type(len(nest.result), stored)
    if not nest.patterns:
        return body(names, whole, (init, out)).replace("%tile ", f"%{result} ")
    tiles = tiling(nest)
    inner = [tile_type(o, t, tiles.tile) for _, t, o in operands]
    inner_out = tile_type(nest.result, stored, tiles.tile)
    names = [f"t_{name}" for name in names]
    arguments = ", ".join(f"%{n}: {t}" for n, t in zip([*names, "t_init"], [*inner, inner_out]))
    maps = ", ".join(map_text(nest, o) for o in (*(o for _, _, o in operands), nest.result))
    values = [f"%p{i}" for i, q in enumerate(p.nest.patterns) if q in nest.patterns]
    values += [*(f"%{name}" for name, _, _ in operands), f"%{init}"]
    axes = [nest.dims.index(d) for q in nest.patterns for d in q.axes]
    return f"""  %{result} = "pith.pit_tile"({", ".join(values)}) ({{
  ^bb0({arguments}):
{body(names, inner, ("t_init", inner_out))}    "pith.yield"(%tile) : ({inner_out}) -> ()
  }}) {{indexing_maps = [{maps}], iterator_types = {kinds_text(nest)}, axes = {i64_array(axes)},
       tile = {i64_array(tiles.tile[d] for d in nest.dims)}, micro_tile = {i64_array(tiles.micro_tile)},
       accumulate = {str(nest.accumulates).lower()}, {segments(len(nest.patterns), len(operands))}}}
      : ({", ".join([*map(pattern_type, nest.patterns), *whole, out])}) -> {out}
"""


def sums_body(p: Program) -> _Body:
    """Sums of products added to a tile."""

    def body(names: Sequence[str], types: Sequence[str], init: tuple[str, str]) -> str:
        factor = factor_of(p.nest)
        if factor is None:
            return products(p.nest, names, types, init, "tile", p.element, p.sums)
        made = _pair_products(p, factor, names, types, init)
        widen, operand = widened("f", p.element, p.sums)
        lines = f"{widen}      %weighed = arith.{_mul(p)} %s, %{operand} : {p.sums}\n"
        nest, scalars = p.nest.over_result(), [("s", p.sums), ("f", p.element), ("o", p.sums)]
        inputs = [("t_sums", init[1], nest.result), (names[factor], types[factor], _factor_place(p, factor))]
        return made + generic(nest, inputs, init, "tile", scalars, f"{lines}      linalg.yield %weighed : {p.sums}\n")

    return body


def _pair_products(p: Program, factor: int, names: Sequence[str], types: Sequence[str], init: tuple[str, str]) -> str:
    """``%t_sums``: sums of products of the two operands that are no factor."""
    pair = [i for i in range(3) if i != factor]
    nest = dataclasses.replace(p.nest, inputs=tuple(p.nest.inputs[i] for i in pair))
    return products(nest, [names[i] for i in pair], [types[i] for i in pair], init, "t_sums", p.element, p.sums)


def _factor_place(p: Program, factor: int) -> tuple[str, ...]:
    """Where a factor's element for a place of the result's tile is; summed dimensions have one place."""
    return tuple(d if d in p.nest.result else "0" for d in p.nest.inputs[factor])


def _mul(p: Program) -> str:
    return "mulf" if "f" in p.sums else "muli"


def _whole_body(p: Program) -> _Body:
    """Whole sums of products, and what follows them."""
    n, sums_up = len(p.nest.inputs), "reduction" in p.nest.kinds

    def body(names: Sequence[str], types: Sequence[str], init: tuple[str, str]) -> str:
        factor = factor_of(p.nest)
        if factor is not None:
            made = zeros(*init, p.sums, "t_wide")
            wide = init[1].replace(f"{p.stored}>", f"{p.sums}>")
            made += _pair_products(p, factor, names, types, ("t_wide", wide))
            operands = [("t_sums", wide), (names[factor], types[factor]), *zip(names[n:], types[n:])]
            return made + finish_body(p, factor)([o for o, _ in operands], [t for _, t in operands], init)
        if p.plain and p.into != (NAMED if sums_up else ADDED):
            return products(p.nest, names, types, init, "tile", p.element, p.sums)
        if p.plain and sums_up:
            cleared = fill(p.stored, *init, "t_zero")
            return cleared + products(p.nest, names, types, ("t_zero", init[1]), "tile", p.element, p.sums)
        made = zeros(*init, p.sums, "t_wide")
        wide = init[1].replace(f"{p.stored}>", f"{p.sums}>")
        made += products(p.nest, names[:n], types[:n], ("t_wide", wide), "t_sums", p.element, p.sums)
        return made + finish_body(p)(["t_sums", *names[n:]], [wide, *types[n:]], init)

    return body


def finish_body(p: Program, factor: int | None = None) -> _Body:
    """A factor of the sums, scale, bias, activation, what ``out`` holds, and rounding."""
    nest = p.nest.over_result()
    lines, value = "", "s"
    extras: list[tuple[str, str, tuple[str, ...]]] = []
    if factor is not None:
        widen, operand = widened("f", p.element, p.sums)
        lines, value = f"{widen}      %weighed = arith.{_mul(p)} %s, %{operand} : {p.sums}\n", "weighed"
        extras.append(("f", p.element, _factor_place(p, factor)))
    if p.scaled:
        lines, value = f"{lines}      %scaled = arith.mulf %{value}, %scale : {p.sums}\n", "scaled"
    if p.bias is not None:
        extras.append(("b", p.stored, (p.bias,)))
        widen, operand = widened("b", p.stored, p.sums)
        lines += f"{widen}      %biased = arith.addf %{value}, %{operand} : {p.sums}\n"
        value = "biased"
    if p.activation is not None:
        lines += ACTIVATIONS[p.activation].format(z=value, t=p.sums)
        value = "y"
    if p.into == ADDED:
        add = "addf" if "f" in p.sums else "addi"
        widen, operand = widened("o", p.stored, p.sums)
        lines += f"{widen}      %added = arith.{add} %{value}, %{operand} : {p.sums}\n"
        value = "added"
    if p.sums != p.stored:
        lines += f"      %narrow = arith.truncf %{value} : {p.sums} to {p.stored}\n"
        value = "narrow"
    scalars = [("s", p.sums), *((name, type_) for name, type_, _ in extras), ("o", p.stored)]
    expressions = [nest.result, *(place for _, _, place in extras)]

    def body(names: Sequence[str], types: Sequence[str], init: tuple[str, str]) -> str:
        yielded = f"      linalg.yield %{value} : {p.stored}\n"
        return generic(nest, list(zip(names, types, expressions)), init, "tile", scalars, lines + yielded)

    return body
