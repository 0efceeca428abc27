"""Compute an epilogue where a product writes its tiles back: nothing between the two is ever in memory.

:func:`bind` emits views of the operands once; :meth:`BoundEpilogue.apply` the bodies on each vector that a kernel is
about to store.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import bufferization, ir, memref, vector
from pith.passes.analysis.vanishing import is_zero_filled

from .. import builder as b
from ..bufferization.destination import buffer_to_overwrite, is_exclusive, result_buffer
from ..builder import Index
from ..numbers import plus
from ..vectorize import broadcast, evaluate
from .match import Epilogue, Operand


@dataclasses.dataclass(frozen=True)
class BoundEpilogue:
    """An :class:`Epilogue` whose operands are memrefs.

    Attributes:
        buffer: the destination in its own shape.
        out: the destination in the dimensions of the product, of a matrix maybe transposed; kernels store here what
            :meth:`apply` returns.
        addend: what the product is added to, in the product's own order, or None for zero.
        views: per stage and block argument a memref with one dimension per index, a scalar, or None.
        around: of one matrix of a batch, its place in the dimensions of the product; None in those of the matrix.
    """

    epilogue: Epilogue
    buffer: ir.Value
    out: ir.Value
    addend: ir.Value | None
    views: tuple[tuple[ir.Value | None, ...], ...]
    around: tuple[Index | None, ...] = ()

    def of_matrix(self, around: Sequence[Index | None]) -> "BoundEpilogue":
        """What follows one matrix of a batch, see :attr:`around`; places in it are those of the matrix."""
        return dataclasses.replace(self, around=tuple(around))

    @property
    def transposed(self) -> bool:
        """``out`` holds the columns of the product's result as rows."""
        return self.epilogue.transposed

    def apply(self, value: ir.Value, at: Sequence[Index]) -> ir.Value:
        """What is stored at ``out[at]``, given the product's ``value`` there.

        ``value`` is a scalar, or a vector of neighbours along the last dimension of ``out``.
        """
        lanes = value.type.shape[0] if isinstance(value.type, ir.VectorType) else None
        if self.around:
            inner = iter(at)
            at = [next(inner) if place is None else place for place in self.around]
        if self.addend is not None:
            value = plus(self._load(self.addend, range(len(at)), at, lanes), value)
        for stage, views in zip(self.epilogue.stages, self.views):
            block = stage.op.regions[0].blocks[0]
            scalars = {}
            for argument, operand, view in zip(block.arguments, stage.operands, views):
                if operand is None:
                    scalars[argument] = value
                elif view is not None:
                    scalars[argument] = self._load(view, operand.dims, at, lanes)
            value = broadcast(evaluate(block, scalars)[0], lanes)
        return value

    def result(self) -> ir.Value:
        """The tensor that replaces the chain's result, once everything is stored."""
        type_ = self.epilogue.destination.value.type
        result = bufferization.to_tensor(type_, self.buffer, restrict=True, writable=True)
        for view in self.epilogue.views:
            clone = view.operation.clone(ip=ir.InsertionPoint.current)
            clone.operands[0] = result
            result = clone.results[0]
        return result

    def _load(self, view: ir.Value, dims: Sequence[int | None], at: Sequence[Index], lanes: int | None) -> ir.Value:
        """One operand's elements beside the value at ``at``."""
        if not isinstance(view.type, ir.MemRefType):
            return view
        last = len(at) - 1
        places = [None if d is None else 1 - d if self.transposed else d for d in dims]

        def element(lane: int) -> ir.Value:
            index = [0 if p is None else b.add(at[p], lane if p == last else 0) for p in places]
            return memref.load(view, [b.value(i) for i in index])

        if lanes is None or last not in places:
            return element(0)
        type_ = ir.VectorType.get([lanes], view.type.element_type)
        if places[-1] == last and places.count(last) == 1:
            return vector.load(type_, view, [b.value(0 if p is None else at[p]) for p in places])
        return vector.from_elements(type_, [element(lane) for lane in range(lanes)])


def bind(epilogue: Epilogue) -> BoundEpilogue:
    """Emit views of all operands at the insertion point, which must be at the last op of the chain."""
    init = epilogue.product.operands[len(epilogue.product.operands) - 1]
    destination = epilogue.destination
    if in_place := destination.value == init:
        buffer, fresh = result_buffer(init)
    else:
        buffer = buffer_to_overwrite(destination.value, is_exclusive(destination.value))
        fresh = is_zero_filled(init)
    out = _collapse(buffer, destination.groups)
    addend = None
    if not fresh:
        addend = out if in_place else b.buffer_of(init)
    views = tuple(tuple(_view(o, s.op, i) for i, o in enumerate(s.operands)) for s in epilogue.stages)
    return BoundEpilogue(epilogue, buffer, out, addend, views)


def _view(operand: Operand | None, op: ir.OpView, position: int) -> ir.Value | None:
    """A memref of ``operand`` with one dimension per group; None when nothing reads it."""
    argument = op.regions[0].blocks[0].arguments[position]
    if operand is None or not any(True for _ in argument.uses):
        return None
    if not isinstance(operand.value.type, ir.RankedTensorType):
        return operand.value
    buffer = b.buffer_of(operand.value)
    return _collapse(buffer, operand.groups)


def _collapse(buffer: ir.Value, groups: Sequence[Sequence[int]]) -> ir.Value:
    if all(len(group) == 1 for group in groups):
        return buffer
    return memref.collapse_shape(_collapsed_type(buffer.type, groups), buffer, [list(g) for g in groups])


def _collapsed_type(type_: ir.MemRefType, groups: Sequence[Sequence[int]]) -> ir.MemRefType:
    dynamic = ir.ShapedType.get_dynamic_size()
    shape = []
    for group in groups:
        sizes = [type_.shape[d] for d in group]
        shape.append(dynamic if dynamic in sizes else int(b.product(sizes)))
    return ir.MemRefType.get(shape, type_.element_type)
