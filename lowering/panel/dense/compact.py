"""Copies of the left operand: listed contracted coordinates of a row side by side, columns turned to rows, and rows
widened to the type of the sums."""

import dataclasses
from collections.abc import Callable, Mapping

from pith._mlir import ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...linalg.contraction import DenseContraction
from ...transpose import copy_transposed, tile_width
from ..arithmetic import convert
from ..batch import Operand, Sharing
from ..loops import Loops
from ..walk import Walk

#: Rows that one task copies.
COPIED_ROWS = 64

#: Columns from which on a copy of the listed elements of ``lhs`` pays: an element is copied in about two cycles, and
#: every 64 columns pass over it again.
COMPACT_COLUMNS = 256


@dataclasses.dataclass(frozen=True)
class Compact:
    """A copy of the matrices of ``lhs``, row-major, as long as what is contracted.

    Attributes:
        lhs: the operand; ``row``, ``red``: its loops.
        sharing: its matrices that share a list of contracted coordinates.
        reds: the walk over contracted coordinates at a point of the outer loops.
        total: positions of all lists together.
        buffer: flat; lists with their rows one after the other, as often as matrices share them.
    """

    lhs: Operand
    row: int
    red: int
    sharing: Sharing
    reds: Callable[[Mapping[int, Index]], Walk]
    total: Index
    buffer: ir.Value

    @classmethod
    def of(
        cls,
        sharing: Sharing,
        row: int,
        red: int,
        reds: Callable[[Mapping[int, Index]], Walk],
        total: Index,
        element: ir.Type,
    ) -> "Compact":
        """Room for the copy, in a type as wide as that of ``lhs`` or wider."""
        lhs = sharing.operand
        buffer = b.alloc([b.product([sharing.count, lhs.size(row), total])], element)
        return cls(lhs, row, red, sharing, reds, total, buffer)

    def matrix(self, point: Mapping[int, Index]) -> ir.Value:
        """``(rows, positions)`` at a point of the outer loops."""
        walk, rows = self.reds(point), self.lhs.size(self.row)
        first = walk.first if walk.is_listed else 0
        offset = b.mul(b.add(b.mul(self.sharing.number(point), self.total), first), rows)
        sizes, strides = [rows, walk.count], [walk.count, 1]
        dynamic = ir.ShapedType.get_dynamic_size()
        shape, steps = ([n if isinstance(n, int) else dynamic for n in ns] for ns in (sizes, strides))
        layout = ir.StridedLayoutAttr.get(ir.ShapedType.get_dynamic_stride_or_offset(), steps)
        type_ = ir.MemRefType.get(shape, self.buffer.type.element_type, layout)
        return memref.ReinterpretCastOp(
            type_,
            self.buffer,
            [b.value(offset)],
            [n for n in sizes if not isinstance(n, int)],
            [n for n in strides if not isinstance(n, int)],
            [dynamic],
            shape,
            steps,
        ).result

    def fill(self, point: Mapping[int, Index], rows: Walk) -> None:
        """Copy the rows that a walk passes."""
        source, target = self.lhs.matrix(point, self.row, self.red), self.matrix(point)
        walk = self.reds(point)
        if not self.transposed:
            copy_rows(source, target, rows, walk, in_place=True)
        elif rows.is_listed:
            b.for_loop(0, rows.count, lambda r: self._copy_column(source, target, b.value(rows.at(r)), walk))
        else:
            copy_transposed(
                source,
                lambda p, r: [b.value(walk.at(p)), b.value(rows.at(r))],
                target,
                lambda r, p: [b.value(rows.at(r)), b.value(p)],
                rows=walk.count,
                cols=rows.count,
                transform=lambda value, _: self._convert(value),
            )

    @property
    def transposed(self) -> bool:
        """``lhs`` holds its rows as columns."""
        return self.lhs.dims.index(self.red) < self.lhs.dims.index(self.row)

    def _copy_column(self, source: ir.Value, target: ir.Value, row: ir.Value, walk: Walk) -> None:
        def one(p: Index) -> None:
            value = memref.load(source, [b.value(walk.at(p)), row])
            memref.store(self._convert(value), target, [row, b.value(p)])

        b.for_loop(0, walk.count, one)

    def _convert(self, value: ir.Value) -> ir.Value:
        return convert(value, self.buffer.type.element_type)


def copy_rows(source: ir.Value, target: ir.Value, rows: Walk, reds: Walk, in_place: bool = False) -> None:
    """Copy the elements that walks pass into rows of ``target`` in its type: the first ones, or (``in_place``) those of
    the same number."""
    element = target.type.element_type

    def copy(r: Index) -> None:
        row = b.value(rows.at(r))
        there = row if in_place else b.value(r)

        def some(p: Index, lanes: int) -> None:
            here, at = [row, b.value(reds.at(p))], [there, b.value(p)]
            if lanes == 1:
                memref.store(convert(memref.load(source, here), element), target, at)
            else:
                value = vector.load(ir.VectorType.get([lanes], source.type.element_type), source, here)
                vector.store(convert(value, element), target, at)

        if reds.is_listed:
            b.for_loop(0, reds.count, lambda p: some(p, 1))
        else:
            b.by_vectors(reds.count, tile_width(element), some)

    b.for_loop(0, rows.count, copy)


def copy_left(c: DenseContraction, lhs: Operand, size: Index, loops: Loops, element: ir.Type) -> Compact | None:
    """Copy what is read of ``lhs`` where its elements would be picked out of rows again and again.

    Args:
        size: contracted coordinates where none is listed.
        element: of the copy.
    """
    columns = c.static_size(c.col)
    listed = loops.all_reds is not None and (columns is None or columns >= COMPACT_COLUMNS)
    if not (listed or c.lhs_transposed):
        return None
    sharing = Sharing(lhs, tuple((d, loops.red_loops.get(d)) for d in lhs.dims if d not in (c.row, c.red)))
    total = loops.all_reds if loops.all_reds is not None else size
    copy = Compact.of(sharing, c.row, c.red, loops.reds, total, element)
    outer = [d for d in c.outer if d in lhs.dims or d in (*loops.red_loops, *loops.row_loops)]
    sizes = [loops.outer[d].count for d in outer]

    def task(*at: ir.Value) -> None:
        point = {d: loops.outer[d].at(i) for d, i in zip(outer, at[:-1])}
        copy.fill(point, loops.rows(point).part(b.mul(at[-1], COPIED_ROWS), COPIED_ROWS))

    chunks = b.ceildiv(loops.most_rows, COPIED_ROWS)
    b.parallel_loop([*sizes, chunks], task, work=b.product([*sizes, loops.most_rows, total]))
    return copy
