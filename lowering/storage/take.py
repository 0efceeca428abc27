"""What a pattern stores, taken from rows of a dense matrix: a vector at a time of groups that lie side by side."""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, vector
from pith.formats import Format

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..panel.pack import Panel
from ..panel.stored.gather import Gather, Slot
from ..panel.stored.members import Position
from ..sparse.levels import Cursor, Storage, descend, visit_level, walk
from ..x86.convert_pith_vectors_to_llvm import has_permute


@dataclasses.dataclass(frozen=True)
class Row(Panel):
    """A row of a matrix, as permutations read it: ``panels[number]``, whose columns are the coordinates."""

    def row(self, type_: ir.VectorType, red: Index, offset: int = 0, lane: int = 0) -> ir.Value:
        """Neighbours from column ``red + offset`` on."""
        return vector.load(type_, self.panels, [self.number, b.value(b.add(red, offset))])


#: ``scalar(cursor)`` stores one element; ``row_of(coords)`` is the row of ``source`` that holds those coordinates.
Scalar = Callable[[Cursor], None]
RowOf = Callable[[Sequence[Index]], Index]

#: ``store(values, position)`` writes neighbours from a position on.
Store = Callable[[ir.Value, ir.Value], None]


def group_lanes(fmt: Format, element: ir.Type, isa: Isa) -> int:
    """Elements that one permutation takes from two registers; 0 where a format's rows do not end in such groups.

    Repacking 1024x1024 f32 takes 0.082, 0.076, 0.077, 0.064 and 0.067 ms so (2:4, 1:2, 4:8, 1:4, 2:8), element by
    element 0.326, 0.270, 0.214, 0.183 and 0.107 (one core of Zen 4, 2026-11).
    """
    last = len(fmt.levels) - 1
    level, lanes = fmt.levels[last], isa.vector_bytes // 4
    if fmt.rank != 2 or fmt.padded or last < 2 or fmt.diagonal is not None or not level.has_coordinates:
        return 0
    inner, outer = fmt.exprs[last], fmt.exprs[last - 1]
    beside = inner.dim == outer.dim == 1 and inner.div == 1 and outer.div == inner.mod and not outer.mod
    permutes = has_permute(str(element), (2 * lanes,), isa.vector_bytes)
    if level.kind != "nm" or not beside or not permutes or not fmt.levels[last - 1].is_dense or lanes % level.g:
        return 0
    reach = lanes // level.g * level.h
    bits = lanes * fmt.coord_bits(last)
    fits = level.h <= 2 * lanes and reach % (2 * lanes) == 0 and (2 * lanes) % level.h == 0
    return lanes if fits and fmt.coord_bits(last) < 8 and bits % 8 == 0 else 0


def take_below(
    storage: Storage, source: ir.Value, at: Cursor, lanes: int, row_of: RowOf, store: Store, scalar: Scalar
) -> None:
    """Emit the loops below a cursor that take what is stored there: whole vectors of :func:`group_lanes`, and what is
    left element by element."""
    last = len(storage.format.levels) - 1

    def leaf(child: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        scalar(child)
        return carried

    def below(child: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        if child.level == last - 1:
            _groups(storage, source, child, lanes, row_of, store, leaf)
            return carried
        return visit_level(storage, child, below, carried)

    if lanes and at.level <= last - 1:
        below(at, [])
    else:
        walk(storage, at, leaf)


def _groups(
    storage: Storage,
    source: ir.Value,
    at: Cursor,
    lanes: int,
    row_of: RowOf,
    store: Store,
    leaf: Callable[[Cursor, list[ir.Value]], list[ir.Value]],
) -> None:
    """The groups of a row."""
    fmt, last = storage.format, len(storage.format.levels) - 1
    level, size = fmt.levels[last], storage.level_sizes[last - 1]
    per, bits = lanes // level.g, level.g * fmt.coord_bits(last)
    type_ = ir.VectorType.get([lanes], source.type.element_type)
    base = b.mul(at.position, size)
    whole = b.mul(b.div(size, per), per)
    if bits % 8:  # rows whose coordinates begin inside of a byte
        on_byte = arith.cmpi(arith.CmpIPredicate.eq, b.value(b.mod(b.mul(size, bits), 8)), b.value(0))
        whole = arith.select(on_byte, b.value(whole), b.value(0))
    row = Row(source, b.value(row_of(at.coords)))

    def some(c: Index) -> None:
        first = b.add(base, c)
        column = b.add(at.coords[1], b.mul(c, level.h))
        slots = []
        for u in range(per):
            group = Position(first, align=per, count=per, offset=u)
            slots += [Slot(((last, group.child(level.g, i)),), column, u * level.h) for i in range(level.g)]
        taken = Gather(storage, row, type_, level.h, pairs=True)(slots)
        store(taken, b.value(b.mul(first, level.g)))

    b.for_loop(0, whole, some, step=per, rolled=True)

    def single(c: Index) -> None:
        visit_level(storage, descend(storage, at, b.add(base, c), c), leaf, [])

    b.for_loop(whole, size, single, rolled=True)
