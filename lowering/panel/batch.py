"""One matrix out of an operand of any rank, and those that share a list."""

import dataclasses
from collections.abc import Mapping

from pith._mlir import ir, memref

from .. import builder as b
from ..builder import Index
from ..subview import part_of


@dataclasses.dataclass(frozen=True)
class Operand:
    """A memref, and the loop that walks each of its dimensions."""

    buffer: ir.Value
    dims: tuple[int, ...]

    def size(self, loop: int) -> Index:
        """Extent of the dimension that ``loop`` walks."""
        return b.dim_size(self.buffer, self.dims.index(loop))

    def matrix(self, point: Mapping[int, Index], first: int, second: int) -> ir.Value:
        """The matrix over loops ``first`` and ``second``, in the order of storage, at ``point`` of the others."""
        return self._part(point, (first, second))

    def columns(self, point: Mapping[int, Index], first: int, second: int | None) -> ir.Value:
        """:meth:`matrix`, or a vector over ``first`` as a matrix of one column where there is no ``second``."""
        if second is not None:
            return self.matrix(point, first, second)
        vector = self._part(point, (first,))
        (stride,), offset = vector.type.get_strides_and_offset()
        contiguous = (stride, offset) == (1, 0)
        layout = None if contiguous else ir.StridedLayoutAttr.get(offset, [stride, stride])
        type_ = ir.MemRefType.get([vector.type.shape[0], 1], vector.type.element_type, layout)
        return memref.expand_shape(type_, vector, [[0, 1]], *_sizes(vector))

    def _part(self, point: Mapping[int, Index], loops: tuple[int, ...]) -> ir.Value:
        if len(self.dims) == len(loops):
            return self.buffer
        kept = [i for i, d in enumerate(self.dims) if d in loops]
        offsets = [0 if i in kept else point[d] for i, d in enumerate(self.dims)]
        sizes = [b.dim_size(self.buffer, i) if i in kept else 1 for i in range(len(self.dims))]
        return part_of(self.buffer, offsets, sizes, kept)


@dataclasses.dataclass(frozen=True)
class Sharing:
    """The matrices of an operand that share a list, of rows or of contracted coordinates.

    Attributes:
        loops: outer loops that tell them apart, each with the number of its neighbours that share a list, or None for
            all of them.
    """

    operand: Operand
    loops: tuple[tuple[int, int | None], ...]

    @property
    def count(self) -> Index:
        """How many share a list."""
        return b.product([self.operand.size(d) if share is None else share for d, share in self.loops])

    def number(self, point: Mapping[int, Index]) -> Index:
        """Which of them is at ``point`` of the outer loops."""
        number: Index = 0
        for d, share in self.loops:
            size, index = (self.operand.size(d), point[d]) if share is None else (share, b.mod(point[d], share))
            number = b.add(b.mul(number, size), index)
        return number


def _sizes(vector: ir.Value) -> tuple[list[ir.Value], list[int]]:
    """Dynamic and static sizes of ``vector`` as a column."""
    size = b.dim_size(vector, 0)
    if isinstance(size, int):
        return [], [size, 1]
    return [size], [ir.ShapedType.get_dynamic_size(), 1]
