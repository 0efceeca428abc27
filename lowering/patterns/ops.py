"""What ``convert-pith-patterns-to-linalg`` makes of the ops that make and use patterns."""

from __future__ import annotations

import dataclasses

from pith._mlir import ir, tensor
from pith.dialect.fields import read_bool, read_i64s
from pith.dialect.ops_pattern import UNUSED
from pith.dialect.pattern import PatternShape, PatternType
from pith.dialect.tiling import Tiling, tiling_of
from pith.formats import DYNAMIC
from pith.passes.core import load

from ..builder import Index, dim_size, for_loop, mul
from .convert_pith_patterns import MAKERS
from .lists import IndexList, assert_distinct_in_range
from .sample import lower_sample
from .slices import Span, cut, store, zeros
from .tile import lower_pit_tile


@dataclasses.dataclass(frozen=True)
class PatternOp:
    """An op to lower and what its types said before patterns became tensors."""

    op: ir.OpView
    shapes: tuple[PatternShape, ...]
    slots: tuple[int, ...]
    tiling: Tiling | None

    @classmethod
    def of(cls, op: ir.OpView) -> PatternOp:
        values = [*op.operation.results, *op.operation.operands]
        shapes = tuple(PatternType(v.type).to_shape() for v in values if isinstance(v.type, PatternType))
        slots = tuple(i for i, v in enumerate(op.operation.operands) if isinstance(v.type, PatternType))
        return cls(op, shapes, slots, tiling_of(op) if op.operation.name == "pith.pit_tile" else None)

    @property
    def patterns(self) -> tuple[ir.Value, ...]:
        """The operands that were patterns, as they are now: what made them may have been lowered meanwhile."""
        return tuple(self.op.operation.operands[i] for i in self.slots)


def lower_op(item: PatternOp, check: bool) -> list[ir.Value]:
    """What replaces the results of an op; with ``check``, coordinates are asserted to be distinct and in range."""
    op, name = item.op, item.op.operation.name
    if name == "pith.sample":
        return [lower_sample(op)]
    if name in MAKERS:
        return [load(MAKERS[name])(op, item.shapes[0])]
    if name == "pith.coordinates":
        return [op.pattern]
    if name == "pith.from_coordinates":
        return [_from_coordinates(item, check)]
    lists = _lists(item)
    if check:
        for entries in lists:
            assert_distinct_in_range(op, entries)
    if item.tiling is not None:
        return lower_pit_tile(op, item.tiling, lists)
    return [_lower_sread(op, lists[0]) if name == "pith.sread" else _lower_swrite(op, lists[0])]


def _from_coordinates(item: PatternOp, check: bool) -> ir.Value:
    """The coordinates themselves, checked where the type knows the grid (else where the pattern is used)."""
    (shape,), type_ = item.shapes, item.op.operation.results[0].type
    values = item.op.coordinates
    values = values if values.type == type_ else tensor.cast(type_, values)
    if check and DYNAMIC not in shape.sizes:
        assert_distinct_in_range(item.op, IndexList(values, shape.sizes, shape.granularity))
    return values


def _lists(item: PatternOp) -> list[IndexList]:
    """The patterns of an op as lists.

    The size of an axis is the type's, or that of the dimension it indexes (None: it indexes none).
    """
    dims = _axis_dims(item)
    lists, axis = [], 0
    for values, shape in zip(item.patterns, item.shapes):
        known = [
            n if n >= 0 else dim_size(*dims[i]) if i in dims else None for i, n in enumerate(shape.sizes, start=axis)
        ]
        lists.append(IndexList(values, tuple(known), shape.granularity))
        axis += shape.rank
    return lists


def _axis_dims(item: PatternOp) -> dict[int, tuple[ir.Value, int]]:
    """For every pattern axis that indexes an operand (numbered through all patterns), that operand and dimension."""
    op = item.op
    if item.tiling is None:
        whole = op.source if op.operation.name == "pith.sread" else op.dest
        return {axis: (whole, d) for axis, d in enumerate(read_i64s(op, "dims")) if d != UNUSED}
    found: dict[int, tuple[ir.Value, int]] = {}
    for n, operand in enumerate([*op.inputs, op.init]):
        for axis, d in enumerate(item.tiling.operand_dims(n)):
            if d != UNUSED:
                found.setdefault(axis, (operand, d))
    return found


def _lower_sread(op: ir.OpView, entries: IndexList) -> ir.Value:
    """``for p: tile[p * g0 ...] = source[list[p] * g ...]``."""
    source, dims = op.source, read_i64s(op, "dims")
    tile = zeros(_gathered_sizes(source, entries, dims), source.type.element_type)

    def gather(p: Index, tile: ir.Value) -> list[ir.Value]:
        outside, inside = _chunk(source, entries, dims, p)
        return [store(cut(source, outside), tile, inside)]

    return for_loop(0, entries.count(), gather, [tile])[0]


def _lower_swrite(op: ir.OpView, entries: IndexList) -> ir.Value:
    """``for p: dest[list[p] * g ...] = (+=) tile[p * g0 ...]``."""
    tile, dims, accumulate = op.tile, read_i64s(op, "dims"), read_bool(op, "accumulate")

    def scatter(p: Index, dest: ir.Value) -> list[ir.Value]:
        outside, inside = _chunk(dest, entries, dims, p)
        return [store(cut(tile, inside), dest, outside, accumulate)]

    return for_loop(0, entries.count(), scatter, [op.dest])[0]


def _chunk(whole: ir.Value, entries: IndexList, dims: tuple[int, ...], p: Index) -> tuple[list[Span], list[Span]]:
    """Where entry ``p`` lies in the whole tensor and in the packed tile."""
    outside = [Span(0, dim_size(whole, d)) for d in range(whole.type.rank)]
    inside = list(outside)
    first = True
    for axis, dim in enumerate(dims):
        if dim == UNUSED:
            continue
        outside[dim] = entries.span(p, axis)
        inside[dim] = Span(mul(p, entries.granularity[axis]) if first else 0, outside[dim].size)
        first = False
    return outside, inside


def _gathered_sizes(source: ir.Value, entries: IndexList, dims: tuple[int, ...]) -> list[Index]:
    sizes = [dim_size(source, d) for d in range(source.type.rank)]
    used = [(axis, dim) for axis, dim in enumerate(dims) if dim != UNUSED]
    for n, (axis, dim) in enumerate(used):
        sizes[dim] = entries.granularity[axis] if n else mul(entries.count(), entries.granularity[axis])
    return sizes
