"""Where a kernel finds what a format stores: positions of entries of the index stream, and of elements below them."""

import dataclasses
import math

from pith._mlir import arith, ir
from pith.formats import Level, LevelExpr

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from ..product.tiles import all_of
from .split import Split


@dataclasses.dataclass(frozen=True)
class Stored:
    """A matrix in memory, seen as rows of entries (see :class:`Split`)."""

    storage: levels.Storage
    split: Split

    def first_and_count(self, row: Index) -> tuple[Index, Index]:
        """(where the list of the block that holds ``row`` begins, its entries); the beginning is 0 without a list."""
        first, lists, static = 0, False, 1
        cursor = levels.start(self.split.format)
        for i, (expr, level) in self._stream():
            if level.kind == "compressed":
                positions = self.storage.metadata[i, "positions"]
                first = b.load_index(positions, cursor.position)
                static, lists = b.mul(static, b.sub(b.load_index(positions, b.add(cursor.position, 1)), first)), True
            elif expr.dim == self.split.row:
                cursor = self.step(cursor, i, _digit(row, expr))
            else:
                static = b.mul(static, self._slots(i, level))
        return (first if lists else 0), static

    def entry(self, row: Index, number: Index, first: Index = 0, lookup: bool = True) -> levels.Cursor:
        """The cursor below entry ``number`` of the stream of ``row``, whose list begins at ``first``.

        Its coordinate along k is that of the entry's first element; without ``lookup`` only the position holds.
        """
        digits: dict[int, Index] = {}
        for i, (expr, level) in reversed(list(self._stream())):
            if expr.dim == self.split.row:
                digits[i] = _digit(row, expr)
            elif level.kind == "compressed" or (level.kind == "dense" and not expr.mod):
                digits[i] = number  # the most significant one
            else:
                slots = self._slots(i, level)
                digits[i], number = b.mod(number, slots), b.div(number, slots)
        cursor = levels.start(self.split.format)
        for i, (_, level) in self._stream():
            at = b.add(first, digits[i]) if level.kind == "compressed" else digits[i]
            cursor = self.step(cursor, i, at, lookup)
        return cursor

    def below(self, cursor: levels.Cursor, row: Index, inside: Index, until: int) -> tuple[Index, ir.Value | None]:
        """(position in level ``until - 1``, whether it exists) of row ``row`` and element ``inside`` below an entry.

        In groups the slot that holds the element is searched for; None: it exists, the levels are dense.
        """
        present = None
        for i in range(self.split.stream, until):
            expr, level = self.split.format.exprs[i], self.split.format.levels[i]
            digit = _digit(row if expr.dim == self.split.row else inside, expr)
            if not level.is_dense:
                digit, found = self._slot(i, level, cursor.position, digit)
                present = all_of(present, found)
            cursor = self.step(cursor, i, digit, lookup=False)
        return cursor.position, present

    def _slot(self, i: int, level: Level, parent: Index, coordinate: Index) -> tuple[Index, ir.Value]:
        """(slot, whether one does) of the group ``parent`` of level ``i`` that holds a coordinate; slot 0 if none."""
        at: Index = 0
        found: ir.Value | None = None
        for slot in range(level.g):
            held = levels.load_coordinate(self.storage, i, b.add(b.mul(parent, level.g), slot))
            same = arith.cmpi(arith.CmpIPredicate.eq, held, b.value(coordinate))
            at = arith.select(same, b.value(slot), b.value(at)) if slot else at
            found = same if found is None else arith.ori(found, same)
        return at, found  # type: ignore[return-value]

    def run(self, dim: int, end: int) -> int:
        """Elements along ``dim``, from a multiple of which on positions above level ``end`` follow each other."""
        exprs, kinds = self.split.format.exprs, self.split.format.levels
        run = math.prod(e.mod for e in exprs[end:] if e.dim == dim)
        for i in reversed(range(end)):
            size = exprs[i].mod or self.storage.level_sizes[i]
            if exprs[i].dim != dim or not kinds[i].is_dense or exprs[i].div != run or not isinstance(size, int):
                break
            run *= size
        return run

    def row_digit(self, row: Index, i: int) -> Index:
        """The digit of a row that level ``i`` is."""
        return _digit(row, self.split.format.exprs[i])

    def _stream(self) -> list[tuple[int, tuple[LevelExpr, Level]]]:
        pairs = zip(self.split.format.exprs, self.split.format.levels)
        return list(enumerate(pairs))[: self.split.stream]

    def _slots(self, i: int, level: Level) -> Index:
        return level.g if level.kind == "nm" else self.storage.level_sizes[i]

    def step(self, cursor: levels.Cursor, i: int, digit: Index, lookup: bool = True) -> levels.Cursor:
        """One level down: ``digit`` is a coordinate of dense levels, a slot of others (absolute in a list)."""
        level = self.split.format.levels[i]
        if level.is_dense:
            size = level.g if level.kind == "nm" else self.storage.level_sizes[i]
            return levels.descend(self.storage, cursor, b.add(b.mul(cursor.position, size), digit), digit)
        position = digit if level.kind == "compressed" else b.add(b.mul(cursor.position, level.g), digit)
        coordinate = levels.load_coordinate(self.storage, i, position) if lookup else 0
        return levels.descend(self.storage, cursor, position, coordinate)


def _digit(x: Index, expr: LevelExpr) -> Index:
    """The digit of a coordinate that a level of ``expr`` is."""
    high = b.div(x, expr.div)
    return b.mod(high, expr.mod) if expr.mod else high
