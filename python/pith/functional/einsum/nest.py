"""What an einsum kernel depends on, and how its iteration space is tiled."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

#: Micro-tiles are fetched in pieces of at most this many elements.
_MICRO = 64

#: Elements of a dense tile along a packed axis: rows of a register tile several times over, and enough terms per
#: sum that the tile of the result is read and written seldom (128 terms: 2 * 128 operations per element and pass).
_PACKED = {"parallel": 32, "reduction": 128}


@dataclasses.dataclass(frozen=True)
class Listed:
    """The axes a pattern lies on.

    Attributes:
        axes: a dimension of the nest per pattern axis.
        granularity: elements of a micro-tile along each.
    """

    axes: tuple[str, ...]
    granularity: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Nest:
    """An iteration space, how operands are indexed in it, and the patterns on it.

    Attributes:
        dims: names of the dimensions; the result's first.
        inputs: an affine expression per dimension of every operand.
        result: the dimensions of the result in the order it is stored.
        patterns: no dimension is on two of them.

    Example (a matrix product whose left operand is sparse in micro-tiles of 32 x 1):
        >>> nest = Nest(("m", "n", "k"), (("m", "k"), ("k", "n")), ("m", "n"), (Listed(("m", "k"), (32, 1)),))
        >>> nest.kinds, nest.contracting, nest.outer_patterns, nest.accumulates
        (('parallel', 'parallel', 'reduction'), True, (), True)
        >>> tiling(nest)
        Tiles(tile={'m': 32, 'n': 0, 'k': 128}, micro_tile=(32, 1))
    """

    dims: tuple[str, ...]
    inputs: tuple[tuple[str, ...], ...]
    result: tuple[str, ...]
    patterns: tuple[Listed, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Iterator type per dimension."""
        return tuple("parallel" if d in self.result else "reduction" for d in self.dims)

    @property
    def contracting(self) -> bool:
        """Whether some pattern is on a dimension that is summed over: then sums build up over several tiles."""
        return any(d not in self.result for p in self.patterns for d in p.axes)

    @property
    def outer_patterns(self) -> tuple[Listed, ...]:
        """The patterns that say which places of the result are computed."""
        return tuple(p for p in self.patterns if all(d in self.result for d in p.axes))

    @property
    def accumulates(self) -> bool:
        """Whether tiles of one pattern meet in the result (see the rule of ``pith.pit_tile``)."""
        return any(len({d in self.result for d in p.axes}) == 2 for p in self.patterns)

    def over_result(self) -> Nest:
        """The result's own nest: its places, one by one, where the outer patterns name them."""
        return Nest(self.result, (self.result,), self.result, self.outer_patterns)


def nest_of(inputs: Sequence[str], result: str, listed: Sequence[Listed]) -> tuple[Nest, dict[str, str]]:
    """The iteration space of operands and a result by their letters, and the letter of every dimension."""
    letters = result + "".join(c for c in dict.fromkeys("".join(inputs)) if c not in result)
    name = {c: f"d{i}" for i, c in enumerate(letters)}
    nest = Nest(
        tuple(name.values()),
        tuple(tuple(name[c] for c in o) for o in inputs),
        tuple(name[c] for c in result),
        tuple(Listed(tuple(name[c] for c in p.axes), p.granularity) for p in listed),
    )
    return nest, {d: c for c, d in name.items()}


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Extent of the dense tile per dimension (0: all of it) and of the micro-tile per pattern axis."""

    tile: dict[str, int]
    micro_tile: tuple[int, ...]


@functools.cache
def tiling(nest: Nest) -> Tiles:
    """Tile a nest: one packed axis per pattern, batches one by one, everything else whole."""
    tile = dict.fromkeys(nest.dims, 0)
    for d in _batch_dims(nest):
        tile[d] = 1
    micro_tile: list[int] = []
    for pattern in nest.patterns:
        micro = [_largest_divisor(g) for g in pattern.granularity]
        packed = _packed_axis(nest, pattern, micro)
        for axis, (d, extent) in enumerate(zip(pattern.axes, micro)):
            many = _PACKED["parallel" if d in nest.result else "reduction"] // extent if axis == packed else 1
            tile[d] = extent * max(1, many)
        micro_tile += micro
    return Tiles(tile, tuple(micro_tile))


@functools.cache
def factor_of(nest: Nest) -> int | None:
    """The one of three operands by which sums of products of the others can be multiplied, if there is one.

    None of its dimensions is summed over inside a tile: it weighs rows, say, or what each expert adds.

    Example:
        >>> operands = (("t", "k"), ("e", "k", "n"), ("t", "e"))
        >>> factor_of(Nest(tuple("tnek"), operands, ("t", "n"), (Listed(("t", "e"), (1, 1)),)))
        2

    Where a loop over tiles carries sums that are not whole yet, there is none: it would weigh them once per tile.
        >>> patterns = Listed(("t", "e"), (1, 1)), Listed(("k",), (1,))
        >>> factor_of(Nest(tuple("tnek"), operands, ("t", "n"), patterns)) is None
        True
    """
    if len(nest.inputs) != 3 or (nest.contracting and not nest.accumulates) or _carries_sums(nest):
        return None
    contracted = {d for d in nest.dims if d not in nest.result}
    tile = tiling(nest).tile if nest.patterns else {}
    for i in (2, 1, 0):
        pair = {d for j, o in enumerate(nest.inputs) if j != i for d in o}
        own = [d for d in nest.inputs[i] if d not in nest.result]
        if contracted <= pair and len(own) < len(contracted) and all(tile.get(d) == 1 for d in own):
            return i
    return None


def _carries_sums(nest: Nest) -> bool:
    """Whether a pattern packs a dimension that is summed over: its sums build up from one tile to the next."""
    packed = (p.axes[_packed_axis(nest, p, [_largest_divisor(g) for g in p.granularity])] for p in nest.patterns)
    return any(d not in nest.result for d in packed)


def _largest_divisor(granularity: int) -> int:
    """
    >>> [_largest_divisor(g) for g in (1, 32, 96, 4096, 67)]
    [1, 32, 48, 64, 1]
    """
    return next(n for n in range(min(granularity, _MICRO), 0, -1) if granularity % n == 0)


def _packed_axis(nest: Nest, pattern: Listed, micro: list[int]) -> int:
    """The axis whose operands have the fewest dimensions to gather beside it, then the smallest micro-tile."""

    def cost(axis: int) -> tuple[int, int, int]:
        d = pattern.axes[axis]
        operands = [o for o in (*nest.inputs, nest.result) if d in o]
        beside = max((len([e for e in o if e not in pattern.axes]) for o in operands), default=0)
        return beside, micro[axis], -axis

    return min(range(len(pattern.axes)), key=cost)


def _batch_dims(nest: Nest) -> list[str]:
    """Dimensions of all operands and the result that no pattern is on."""
    listed = {d for p in nest.patterns for d in p.axes}
    operands = (*nest.inputs, nest.result)
    if len(operands) < 3 or not nest.patterns:
        return []
    return [d for d in nest.result if d not in listed and all(d in o for o in operands)]
