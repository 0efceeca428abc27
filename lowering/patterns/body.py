"""The body of a ``pith.pit_tile`` around a product: which inputs it multiplies, and what it makes of the sums."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pith._mlir import ir, memref, vector
from pith.dialect.tiling import REDUCTION, Tiling, bare_dim
from pith.passes.analysis.multiply_add import SIGNED_CASTS, multiplies_inputs
from pith.passes.analysis.structured import iterator_types
from pith.passes.analysis.vanishing import is_zero_filled

from .. import builder as b
from ..builder import Index
from ..panel.batch import Operand
from ..sparse.contraction import indexing_maps, is_generic
from ..transpose import Transform
from ..vectorize import broadcast, evaluate, is_vectorizable

#: What may stand beside the product: the tiles that ops start from.
_SETUP = ("tensor.empty", "tensor.dim", "arith.constant", "linalg.fill", "linalg.generic")


@dataclasses.dataclass(frozen=True)
class Finish:
    """An elementwise op on the sums of a tile.

    Attributes:
        op: the ``linalg.generic``.
        operands: per block argument the input of the ``pit_tile`` (its last one: the init), or None for the sums.
    """

    op: ir.OpView
    operands: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Body:
    """What the body computes.

    Attributes:
        factors: the two inputs that are multiplied.
        replaces: what the init holds where something is listed does not matter.
        finish: makes the new tile of the sums, None where they are it.
        sums: type of the sums.
    """

    factors: tuple[int, int]
    replaces: bool
    finish: Finish | None
    sums: ir.Type

    @property
    def is_whole(self) -> bool:
        """All terms of a sum must be seen at once."""
        return self.replaces or self.finish is not None


def match_body(op: ir.OpView, tiling: Tiling) -> Body | None:
    """Recognise a product of two inputs over the loops of ``op``, with or without an elementwise op behind it."""
    block = op.operation.regions[0].blocks[0]
    *before, end = block.operations
    arguments = list(block.arguments)
    generics = [o for o in before if is_generic(o) and len(o.operands) == 3]
    products = [o for o in generics if multiplies_inputs(o.regions[0].blocks[0], *SIGNED_CASTS)]
    if len(products) != 1 or any(o.operation.name not in _SETUP for o in before):
        return None
    (product,), last = products, before[-1]
    finish = None if last == product else last
    operands = list(product.operands)
    closed = is_zero_filled(operands[2])
    known = [product.operation, last.operation, *([operands[2].owner.operation] if closed else [])]
    if list(end.operands) != list(last.results) or any(is_generic(o) and o.operation not in known for o in before):
        return None
    if any(v not in arguments[:-1] for v in operands[:2]) or not (closed or operands[2] == arguments[-1]):
        return None
    factors = [arguments.index(v) for v in operands[:2]]
    if factors[0] == factors[1] or not _same_loops(product, tiling, [*factors, len(arguments) - 1]):
        return None
    if (closed or finish is not None) and not _is_whole_sum(tiling, closed):
        return None
    ends = None if finish is None else _match_finish(finish, product.results[0], arguments, tiling)
    if finish is not None and ends is None:
        return None
    sums = product.results[0].type.element_type
    return Body((min(factors), max(factors)), closed and not tiling.accumulate, ends, sums)


def finish_at_point(p: Any, buffers: Sequence[ir.Value]) -> Callable[[Mapping[int, Index], ir.Value], Transform]:
    """What the body of a :class:`ListedProduct` stores for its sums: a function of the outer loops and of the output.

    Args:
        buffers: the operands of the ``pit_tile``, inputs and init, as memrefs.
    """
    c, finish = p.product, p.body.finish
    block = finish.op.regions[0].blocks[0]
    loops = [tuple(bare_dim(e) for e in m.results) for m in p.tiling.maps]

    def at_point(point: Mapping[int, Index], out: ir.Value) -> Transform:
        def apply(value: ir.Value, at: Sequence[Index]) -> ir.Value:
            lanes = value.type.shape[0] if isinstance(value.type, ir.VectorType) else None
            place = {**point, c.row: at[c.out_transposed], c.col: at[not c.out_transposed]}
            along = c.row if c.out_transposed else c.col
            scalars = {}
            for argument, number in zip(block.arguments, finish.operands):
                if number is None:
                    scalars[argument] = value
                elif any(True for _ in argument.uses):
                    scalars[argument] = _load(Operand(buffers[number], loops[number]), place, along, lanes)
            return broadcast(evaluate(block, scalars)[0], lanes)

        return apply

    return at_point


def _load(operand: Operand, place: dict[int, Index], along: int, lanes: int | None) -> ir.Value:
    """The element of an operand at a place, or as many neighbours along a loop."""

    def element(lane: int) -> ir.Value:
        where = [b.add(place[d], lane if d == along else 0) for d in operand.dims]
        return memref.load(operand.buffer, [b.value(i) for i in where])

    if lanes is None or along not in operand.dims:
        return element(0)
    type_ = ir.VectorType.get([lanes], operand.buffer.type.element_type)
    if operand.dims[-1] == along:
        return vector.load(type_, operand.buffer, [b.value(place[d]) for d in operand.dims])
    return vector.from_elements(type_, [element(lane) for lane in range(lanes)])


def _is_whole_sum(tiling: Tiling, closed: bool) -> bool:
    """Whether a body that starts from zeros and ends with the stored value sees all terms of a sum at once."""
    if not closed and not tiling.accumulate:
        return False
    packed = {tiling.axes[a] for a in tiling.packed_axes if a is not None}
    reductions = [d for d, kind in enumerate(tiling.iterators) if kind == REDUCTION]
    return all(
        not tiling.tile[d] or (tiling.accumulate and tiling.tile[d] == 1 and d not in packed) for d in reductions
    )


def _same_loops(product: ir.OpView, tiling: Tiling, order: Sequence[int]) -> bool:
    """The loops of ``product`` are those of the op under other numbers; operand i of it is operand ``order[i]``."""
    kinds = iterator_types(product)
    loops: dict[int, int] = {}
    for exprs, i in zip(indexing_maps(product), order):
        for e, outside in zip(exprs, tiling.maps[i].results):
            inside, dim = bare_dim(e), bare_dim(outside)
            if inside is None or dim is None or loops.setdefault(inside, dim) != dim:
                return False
    alike = all((kinds[i] == REDUCTION) == (tiling.iterators[d] == REDUCTION) for i, d in loops.items())
    return alike and len(loops) == len(kinds) == len(tiling.iterators) == len(set(loops.values()))


def _match_finish(op: ir.OpView, sums: ir.Value, arguments: list[ir.Value], tiling: Tiling) -> Finish | None:
    """``op`` as a function of the sums and of elements of inputs at the same place."""
    block, maps = op.regions[0].blocks[0], indexing_maps(op)
    if len(op.results) != 1 or set(iterator_types(op)) != {"parallel"} or not is_vectorizable(block):
        return None
    dims = [bare_dim(e) for e in tiling.maps[-1].results]
    loops = {bare_dim(e): dims[i] for i, e in enumerate(maps[-1])}
    if None in loops or len(loops) != len(iterator_types(op)):
        return None
    operands: list[int | None] = []
    for value, exprs in zip(op.operands, maps):
        is_sums = value == sums
        unread = not any(True for _ in block.arguments[len(operands)].uses)
        if not is_sums and value not in arguments and not unread:
            return None
        number = None if is_sums else arguments.index(value) if value in arguments else len(arguments) - 1
        places = tiling.maps[-1 if number is None else number].results
        if not all(_is_place(e, bare_dim(outside), loops, tiling) for e, outside in zip(exprs, places)):
            return None
        operands.append(number)
    return Finish(op, tuple(operands)) if None in operands else None


def _is_place(expr: ir.AffineExpr, dim: int | None, loops: dict[int | None, int | None], tiling: Tiling) -> bool:
    """``expr`` is the place in a tile that belongs to a place of the result, along iteration dimension ``dim``."""
    inside = bare_dim(expr)
    if inside is not None:
        return dim is not None and loops[inside] == dim
    return isinstance(expr, ir.AffineConstantExpr) and expr.value == 0 and dim is not None and tiling.tile[dim] == 1
