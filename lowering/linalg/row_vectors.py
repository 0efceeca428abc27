"""Elementwise ops along rows that lie contiguously, in whole vectors.

LLVM vectorises such loops too, after it has tested at run time whether operands overlap, half as wide on processors
with AVX-512, and at a price: the three copies of heads in an encoder layer, rows of 32 elements, were 28 % of LLVM's
time for the layer (Emerald Rapids, 2026-11).
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from pith._mlir import ir, memref, vector
from pith.dialect.tiling import dims_of

from .. import builder as b
from ..builder import Index
from ..module_isa import isa_of
from ..sparse.template_scalar import indices_at
from ..vectorize import broadcast, evaluate, is_vectorizable
from .row_gathers import Gathers

#: Shorter vectors are not worth a loop of their own.
_LEAST_LANES = 4

#: Ops that f16 and bf16 may have.
_MOVES = ("arith.extf", "arith.truncf", "arith.select", "linalg.yield", "arith.constant", "memref.load")


@dataclasses.dataclass(frozen=True)
class RowVectors:
    """How the innermost loop of an op is computed in vectors.

    Attributes:
        loop: the iteration dimension, along which every operand that has it is contiguous.
        lanes: elements of a vector.
        gathers: how the body is computed, where it is more than arithmetic on what the operands hold.
    """

    op: ir.OpView
    maps: Sequence[Sequence[ir.AffineExpr]]
    loop: int
    lanes: int
    gathers: Gathers | None = None

    @classmethod
    def of(cls, op: ir.OpView, maps: Sequence[Sequence[ir.AffineExpr]], loop: int, size: Index) -> "RowVectors | None":
        """For a parallel ``loop`` of ``size``; None where elements have to be computed one by one."""
        block = op.regions[0].blocks[0]
        gathers = None if is_vectorizable(block) else Gathers.of(block, _along(block, maps, loop), loop)
        if not (is_vectorizable(block) or gathers) or not all(map(_is_wide, _operations_in(block))):
            return None
        if not all(map(_is_in_bytes, (v for v in op.operands if isinstance(v.type, ir.MemRefType)))):
            return None
        if not all(_is_contiguous(v, exprs, loop) for v, exprs in zip(op.operands, maps)):
            return None
        outs = len(list(block.operations)[-1].operands)
        if not all(loop in dims_of(exprs[-1]) for exprs in maps[-outs:] if exprs) or not all(maps[-outs:]):
            return None
        values = (*block.arguments, *(r for inner in block.operations for r in inner.operation.results))
        lanes = isa_of(op).vector_bytes * 8 // (gathers.bits() if gathers else max(v.type.width for v in values))
        while isinstance(size, int) and lanes > size:
            lanes //= 2
        side_by_side = gathers.vectors(block, size, lanes) if gathers and lanes else 1
        return cls(op, maps, loop, lanes * side_by_side, gathers) if lanes >= _LEAST_LANES else None

    def emit(self, size: Index, point: list[Index], single: Callable[[], None]) -> None:
        """The loop at the insertion point; ``single`` computes one element, at ``point``."""
        along = {i for i, exprs in enumerate(self.maps) if any(self.loop in dims_of(e) for e in exprs)}
        arguments = list(self.op.regions[0].blocks[0].arguments)
        uniform = {a: self._scalar(i, point) for i, a in enumerate(arguments) if i not in along and _is_used(a)}

        def some(at: Index) -> None:
            point[self.loop] = at
            row = {a: self._vector(i, point) for i, a in enumerate(arguments) if i in along and _is_used(a)}
            block, values = self.op.regions[0].blocks[0], {**uniform, **row}
            evaluated = self.gathers and self.gathers.evaluate(block, values, point, self.lanes)
            results = evaluated or evaluate(block, values)
            first = len(arguments) - len(results)
            for view, exprs, result in zip(list(self.op.operands)[first:], self.maps[first:], results):
                vector.store(broadcast(result, self.lanes), view, indices_at(exprs, point))

        def one(at: Index) -> None:
            point[self.loop] = at
            single()

        whole = b.mul(b.div(size, self.lanes), self.lanes)
        b.for_loop(0, whole, some, step=self.lanes)
        b.for_loop(whole, size, one, rolled=True)

    def _scalar(self, operand: int, point: Sequence[Index]) -> ir.Value:
        view = self.op.operands[operand]
        if not isinstance(view.type, ir.MemRefType):
            return view
        return memref.load(view, indices_at(self.maps[operand], point))

    def _vector(self, operand: int, point: Sequence[Index]) -> ir.Value:
        view = self.op.operands[operand]
        type_ = ir.VectorType.get([self.lanes], view.type.element_type)
        return vector.load(type_, view, indices_at(self.maps[operand], point))


def _along(block: ir.Block, maps: Sequence[Sequence[ir.AffineExpr]], loop: int) -> list[ir.Value]:
    """Arguments that are other elements at every coordinate of ``loop``."""
    return [a for a, exprs in zip(block.arguments, maps) if any(loop in dims_of(e) for e in exprs)]


def _operations_in(block: ir.Block) -> Iterator[ir.Operation]:
    """The ops of a body, and of the loops in it."""
    for op in block.operations:
        yield op.operation
        for region in op.operation.regions:
            yield from _operations_in(region.blocks[0])


def _is_wide(op: ir.Operation) -> bool:
    """Not arithmetic in f16 or bf16, which no processor has vectors for that pith asks for them."""
    moves = op.name in _MOVES
    types = (v.type for v in (*op.operands, *op.results))
    return moves or all(t.width >= 32 for t in types if isinstance(t, ir.FloatType))


def _is_in_bytes(view: ir.Value) -> bool:
    """Elements of whole bytes lie in memory as vectors expect them; truth values do not."""
    type_ = view.type.element_type
    return isinstance(type_, (ir.IntegerType, ir.FloatType)) and type_.width % 8 == 0


def _is_contiguous(view: ir.Value, exprs: Sequence[ir.AffineExpr], loop: int) -> bool:
    """Neighbours along ``loop`` are neighbours in memory, or the same element."""
    having = [i for i, e in enumerate(exprs) if loop in dims_of(e)]
    if not having:
        return True
    steps = having == [len(exprs) - 1] and steps_by_one(exprs[-1], loop)
    return steps and isinstance(view.type, ir.MemRefType) and view.type.get_strides_and_offset()[0][-1] == 1


def steps_by_one(e: ir.AffineExpr, loop: int) -> bool:
    """Whether ``e`` is the ``loop`` plus something of other loops: neighbours stay neighbours."""
    if isinstance(e, ir.AffineAddExpr):
        sides = [side for side in (e.lhs, e.rhs) if loop in dims_of(side)]
        return len(sides) == 1 and steps_by_one(sides[0], loop)
    return isinstance(e, ir.AffineDimExpr)


def _is_used(argument: ir.BlockArgument) -> bool:
    return any(True for _ in argument.uses)
