"""Pieces of MLIR text that kernels of einsums consist of: types, maps, and ops over a nest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .nest import Listed, Nest

#: Patterns an op can have, and inputs: the slots of ``pith.pit_tile``.
MAX_PATTERNS, _INPUTS = 3, 8


def tensor_type(rank: int, element: str) -> str:
    """
    >>> tensor_type(2, "f32")
    'tensor<?x?xf32>'
    """
    return f"tensor<{'?x' * rank}{element}>"


def tile_type(expressions: Sequence[str], element: str, tile: Mapping[str, int]) -> str:
    """The type of an operand's tile; dimensions of compound expressions are whole.

    >>> tile_type(("m", "k + r"), "f32", {"m": 32, "k": 8, "r": 0})
    'tensor<32x?xf32>'
    """
    return f"tensor<{''.join(str(tile.get(e) or '?') + 'x' for e in expressions)}{element}>"


def pattern_type(listed: Listed) -> str:
    """The type of a pattern over axes whose sizes are known at run time."""
    return f"!pith.pattern<{[-1] * len(listed.axes)}, {list(listed.granularity)}>"


def map_text(nest: Nest, expressions: Sequence[str]) -> str:
    """An affine map from the dimensions of a nest."""
    return f"affine_map<({', '.join(nest.dims)}) -> ({', '.join(expressions)})>"


def kinds_text(nest: Nest) -> str:
    """The iterator types of a nest."""
    return "[" + ", ".join(f'"{k}"' for k in nest.kinds) + "]"


def i64_array(values: Iterable[int]) -> str:
    """An ``array<i64>`` attribute."""
    return f"array<i64: {', '.join(map(str, values))}>"


def segments(patterns: int, inputs: int) -> str:
    """The segment sizes of a ``pith.pit_tile``."""
    used = [*(i < patterns for i in range(MAX_PATTERNS)), *(i < inputs for i in range(_INPUTS)), True]
    return f"operandSegmentSizes = array<i32: {', '.join(str(int(u)) for u in used)}>"


def zero(element: str) -> str:
    """The literal of a type's zero."""
    return "0.0" if "f" in element else "0"


def widened(name: str, element: str, sums: str) -> tuple[str, str]:
    """Ops that bring the scalar ``%name`` to the type of sums, and its name then."""
    if element == sums:
        return "", name
    return f"      %{name}w = arith.{'extf' if 'f' in sums else 'extsi'} %{name} : {element} to {sums}\n", f"{name}w"


def generic(
    nest: Nest,
    inputs: Sequence[tuple[str, str, Sequence[str]]],
    init: tuple[str, str],
    result: str,
    scalars: Sequence[tuple[str, str]],
    body: str,
) -> str:
    """``%result = linalg.generic`` over a nest.

    Args:
        inputs: name, type and indexing expressions; ``init``: name and type.
        scalars: name and type of the body's arguments; ``body``: its ops, the yield included.
    """
    maps = ", ".join(map_text(nest, o) for o in (*(o for _, _, o in inputs), nest.result))
    names, types = (", ".join(parts) for parts in ([f"%{n}" for n, _, _ in inputs], [t for _, t, _ in inputs]))
    ins = f"ins({names} : {types}) " if inputs else ""
    return f"""    %{result} = linalg.generic {{indexing_maps = [{maps}], iterator_types = {kinds_text(nest)}}}
        {ins}outs(%{init[0]} : {init[1]}) {{
    ^bb0({", ".join(f"%{n}: {t}" for n, t in scalars)}):
{body}    }} -> {init[1]}
"""


def products(
    nest: Nest, names: Sequence[str], types: Sequence[str], init: tuple[str, str], result: str, element: str, sums: str
) -> str:
    """Products of all operands, summed onto ``init``; where nothing is summed over, they replace it."""
    mul, add = ("mulf", "addf") if "f" in sums else ("muli", "addi")
    lines, value = "", ""
    for i in range(len(names)):
        widen, operand = widened(f"x{i}", element, sums)
        lines += widen + (f"      %y{i} = arith.{mul} %{value}, %{operand} : {sums}\n" if value else "")
        value = f"y{i}" if value else operand
    if "reduction" in nest.kinds:
        lines += f"      %sum = arith.{add} %acc, %{value} : {sums}\n"
        value = "sum"
    scalars = [*((f"x{i}", element) for i in range(len(names))), ("acc", sums)]
    inputs = list(zip(names, types, nest.inputs))
    return generic(nest, inputs, init, result, scalars, f"{lines}      linalg.yield %{value} : {sums}\n")


def fill(element: str, init: str, type_: str, result: str, constant: str = "zero") -> str:
    """``%result``: ``%constant`` in place of what ``%init`` holds."""
    return f"    %{result} = linalg.fill ins(%{constant} : {element}) outs(%{init} : {type_}) -> {type_}\n"


def zeros(like: str, type_: str, element: str, result: str) -> str:
    """``%result``: zeros of an element type and of the sizes of ``%like``, a tensor of type ``type_``."""
    *extents, _ = type_.removeprefix("tensor<").rstrip(">").split("x")
    lines, sizes = "", []
    for d, extent in enumerate(extents):
        if extent == "?":
            lines += f"    %{result}_i{d} = arith.constant {d} : index\n"
            lines += f"    %{result}_n{d} = tensor.dim %{like}, %{result}_i{d} : {type_}\n"
            sizes.append(f"%{result}_n{d}")
    made = f"tensor<{''.join(f'{n}x' for n in extents)}{element}>"
    lines += f"    %{result}_empty = tensor.empty({', '.join(sizes)}) : {made}\n"
    return lines + fill(element, f"{result}_empty", made, result)


def padded(rank: int, element: str, pad: tuple[int, int]) -> str:
    """``%padded``: ``%a0`` with zeros around its last two dimensions."""
    whole, sizes, lines = tensor_type(rank, element), [], ""
    for d in range(rank):
        extra = 2 * pad[d - rank + 2] if d >= rank - 2 else 0
        lines += f"  %i{d} = arith.constant {d} : index\n  %n{d} = tensor.dim %a0, %i{d} : {whole}\n"
        lines += f"  %e{d} = arith.constant {extra} : index\n  %m{d} = arith.addi %n{d}, %e{d} : index\n"
        sizes.append(f"%n{d}")
    offsets = ", ".join(["0"] * (rank - 2) + [str(n) for n in pad])
    grown = ", ".join(f"%m{d}" for d in range(rank))
    return f"""{lines}  %room = tensor.empty({grown}) : {whole}
  %nil = arith.constant {zero(element)} : {element}
  %frame = linalg.fill ins(%nil : {element}) outs(%room : {whole}) -> {whole}
  %padded = tensor.insert_slice %a0 into %frame[{offsets}] [{", ".join(sizes)}] [{", ".join(["1"] * rank)}]
      : {whole} into {whole}
"""
