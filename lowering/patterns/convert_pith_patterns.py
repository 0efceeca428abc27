"""``convert-pith-patterns-to-linalg``: run-time patterns on a CPU, as index lists and loops."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

from pith._mlir import ir, tensor
from pith.dialect import coordinates_type
from pith.dialect.fields import read_bool, read_i64s
from pith.dialect.ops_pattern import UNUSED
from pith.dialect.pattern import PatternShape, PatternType
from pith.dialect.tiling import Tiling, tiling_of
from pith.formats import DYNAMIC
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

from ..builder import Index, dim_size, for_loop, mul
from .detect import lower_detect
from .indices import lower_from_lengths, lower_from_routing
from .lists import IndexList, assert_distinct_in_range
from .sample import lower_sample
from .sets import lower_set
from .slices import Span, cut, store, zeros
from .tile import lower_pit_tile
from .topk import lower_topk

#: Ops that make a pattern -> how; they get the op and what the type of its result said.
_MAKERS: dict[str, Callable[[ir.OpView, PatternShape], ir.Value]] = {
    "pith.complement": lower_set,
    "pith.detect": lower_detect,
    "pith.detect_by": lower_detect,
    "pith.from_lengths": lower_from_lengths,
    "pith.from_routing": lower_from_routing,
    "pith.intersection": lower_set,
    "pith.topk": lower_topk,
    "pith.union": lower_set,
}

_USERS = ("pith.coordinates", "pith.from_coordinates", "pith.pit_tile", "pith.sread", "pith.swrite")
_OPS = (*_MAKERS, *_USERS, "pith.sample")


@dataclasses.dataclass(frozen=True)
class _Work:
    """An op to lower and what its types said before patterns became tensors."""

    op: ir.OpView
    shapes: tuple[PatternShape, ...]
    slots: tuple[int, ...]
    tiling: Tiling | None

    @classmethod
    def of(cls, op: ir.OpView) -> _Work:
        values = [*op.operation.results, *op.operation.operands]
        shapes = tuple(PatternType(v.type).to_shape() for v in values if isinstance(v.type, PatternType))
        slots = tuple(i for i, v in enumerate(op.operation.operands) if isinstance(v.type, PatternType))
        return cls(op, shapes, slots, tiling_of(op) if op.operation.name == "pith.pit_tile" else None)

    @property
    def patterns(self) -> tuple[ir.Value, ...]:
        """The operands that were patterns, as they are now: what made them may have been lowered meanwhile."""
        return tuple(self.op.operation.operands[i] for i in self.slots)


@dataclasses.dataclass(frozen=True)
class ConvertPithPatternsPass(Pass):
    """Lower patterns and the ops on them to loops and ``linalg`` on tensors, destination-passing throughout.

    Before: ``%p = "pith.detect"(%a)``, ``"pith.pit_tile"(%p, %a, %b, %c) ({ body })``.
    After: ``%p : tensor<?xi32>`` (``tensor<?xRxi32>`` over R axes; its extent is the count), loops that
    copy micro-tiles into dense tiles, one instance of the body, loops that copy results back.
    ``pith.coordinates`` and ``pith.from_coordinates`` are that tensor. A pattern anywhere else (function
    arguments and results, calls, loop-carried values) becomes it too, so callers pass one array of
    coordinates per pattern.

    What makes a pattern (``detect``, ``detect_by``, ``topk``, sets, lengths, routing) becomes parallel loops on
    memrefs that flag elements 64 to a word and list the cells found, in a buffer that grows with their number.

    Coordinates past the grid are cut to nothing: read as zeros, written nowhere. A coordinate listed
    twice is visited twice. ``check=true`` asserts at every op that neither happens (``cf.assert``).

    Requires: pith ops on tensors without encodings. Preserves: all other ops. Does not do:
    bufferization; a tile of dense memory per operand that is gathered stays to be hoisted
    (``one-shot-bufferize``, ``buffer-loop-hoisting``).
    """

    name: ClassVar[str] = "convert-pith-patterns-to-linalg"
    check: bool = False

    def run(self, module: ir.Module) -> None:
        with module.context, ir.Location.unknown():
            work = [_Work.of(op) for op in _find(module.operation)]
            _retype(module.operation)
            for item in work:
                op = item.op
                with ir.InsertionPoint(op), op.operation.location:
                    results = self._lower(item)
                for old, new in zip(op.operation.results, results):
                    old.replace_all_uses_with(new)
                op.operation.erase()

    def _lower(self, item: _Work) -> list[ir.Value]:
        op, name = item.op, item.op.operation.name
        if name == "pith.sample":
            return [lower_sample(op)]
        if name in _MAKERS:
            return [_MAKERS[name](op, item.shapes[0])]
        if name == "pith.coordinates":
            return [op.pattern]
        if name == "pith.from_coordinates":
            return [self._from_coordinates(item)]
        lists = _lists(item)
        if self.check:
            for entries in lists:
                assert_distinct_in_range(op, entries)
        if item.tiling is not None:
            return lower_pit_tile(op, item.tiling, lists)
        return [_lower_sread(op, lists[0]) if name == "pith.sread" else _lower_swrite(op, lists[0])]

    def _from_coordinates(self, item: _Work) -> ir.Value:
        """The coordinates themselves, checked where the type knows the grid (else where the pattern is used)."""
        (shape,), type_ = item.shapes, item.op.operation.results[0].type
        values = item.op.coordinates
        values = values if values.type == type_ else tensor.cast(type_, values)
        if self.check and DYNAMIC not in shape.sizes:
            assert_distinct_in_range(item.op, IndexList(values, shape.sizes, shape.granularity))
        return values


def _find(root: ir.Operation) -> list[ir.OpView]:
    """Pith's pattern ops below ``root`` in program order."""
    return [op.opview for op in ops_named(root, *_OPS)]


def _retype(root: ir.Operation) -> None:
    """Give every value of pattern type, and every function signature, the tensor type that stands for it."""

    def visit(op: ir.Operation) -> ir.WalkResult:
        for value in [*op.results, *(a for r in op.regions for b in r.blocks for a in b.arguments)]:
            value.set_type(_converted(value.type))
        if "function_type" in op.attributes:
            type_ = ir.TypeAttr(op.attributes["function_type"]).value
            if isinstance(type_, ir.FunctionType):
                lists = ([_converted(t) for t in types] for types in (type_.inputs, type_.results))
                op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(*lists))
        return ir.WalkResult.ADVANCE

    root.walk(visit, ir.WalkOrder.PRE_ORDER)


def _converted(type_: ir.Type) -> ir.Type:
    return coordinates_type(PatternType(type_).to_shape().rank) if isinstance(type_, PatternType) else type_


def _lists(item: _Work) -> list[IndexList]:
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


def _axis_dims(item: _Work) -> dict[int, tuple[ir.Value, int]]:
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
