"""Lists of coordinates whose groups stand together as they are: nothing is sorted.

What detection lists of whole rows is like that: rows in any order, all micro-tiles of a row one after the other.
"""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from .presence import packed
from .scan import word_of
from .sort import Coordinates, Lists, group_of, room_for, sort_into, store_id

#: Entries that one task looks at, a microsecond or two, and those that are looked at together.
_PART, _LANES = 2048, 16

#: Operations an entry counts as: 2.6 ns where lists come from other caches (1024^3 with 1 % of the elements, Emerald
#: Rapids, 2026-11-22).
_ENTRY_WORK = 8

_ANY = ir.ShapedType.get_dynamic_size()


def group_coordinates(c: Coordinates, axis: int) -> Lists:
    """:func:`.sort.sort_by_groups` of coordinates, the groups in any order; all threads look whether they stand
    together.

    1024^3 with 10 and 5 % of the elements takes 5.47 and 3.08 ms on one thread, sorted 5.85 and 3.23; on two 2.94 and
    2.08, sorted 3.32 and 2.22; with 1 % as long (Emerald Rapids, 2026-11-22).
    """
    lists = room_for(c, axis, False, 2)
    if axis != len(c.sizes) - 1 or len(c.sizes) == 1:
        sort_into(c, axis, False, lists)
        return lists
    past = b.value(b.add(lists.groups, 1))
    found = _Runs(c, axis, dataclasses.replace(lists, past=past)).find()

    def sort() -> list[ir.Value]:
        sort_into(c, axis, False, lists)
        return [b.value(1)]

    (past,) = b.if_else(found, lambda: [past], sort, [past.type])
    return dataclasses.replace(lists, past=past)


@dataclasses.dataclass(frozen=True)
class _Runs:
    """Neighbours in ``c`` that agree on every axis but ``axis``, and ``lists`` of them as they stand."""

    c: Coordinates
    axis: int
    lists: Lists

    def find(self) -> ir.Value:
        """Fill the lists; whether that is all, because no group has two runs and nothing lies past the grid."""
        bounds, groups = self.lists.bounds, self.lists.groups
        b.for_loop(0, b.mul(self.lists.past, 2), lambda i: memref.store(_none(), bounds, [b.value(i)]))
        parts = b.ceildiv(self.c.count, _PART)
        runs = b.alloc([parts], ir.IndexType.get())
        b.parallel_loop([parts], lambda part: self._look(part, runs), work=b.mul(self.c.count, _ENTRY_WORK))

        def add_up(i: Index, total: ir.Value) -> list[ir.Value]:
            return [arith.addi(total, memref.load(runs, [b.value(i)]))]

        def fill(g: Index, seen: ir.Value) -> list[ir.Value]:
            first = memref.load(bounds, [b.value(g)])
            used = arith.cmpi(arith.CmpIPredicate.ne, first, _none())
            return [arith.addi(seen, arith.index_castui(ir.IndexType.get(), used))]

        (total,) = b.for_loop(0, parts, add_up, [b.value(0)])
        (seen,) = b.for_loop(0, groups, fill, [b.value(0)])
        return arith.cmpi(arith.CmpIPredicate.eq, total, seen)

    def _look(self, part: ir.Value, runs: ir.Value) -> None:
        """Where runs begin and end among the entries of one part; groups that several begin are counted twice."""
        first, count = b.mul(part, _PART), self.c.count
        end = b.minimum(b.add(first, _PART), count)
        (before,) = b.if_else(
            b.less(0, first), lambda: [self._group(b.sub(first, 1))[0]], lambda: [_none()], [ir.IndexType.get()]
        )

        def some(p: Index, last: ir.Value, number: ir.Value) -> list[ir.Value]:
            def by_one() -> list[ir.Value]:
                return b.for_loop(p, b.minimum(b.add(p, _LANES), end), self._entry, [last, number])

            if len(self.c.sizes) != 2:
                return by_one()
            full = b.less(b.add(p, _LANES - 1), end)
            flag = [ir.IntegerType.get_signless(1)]
            (alike,) = b.if_else(full, lambda: [self._take(p, last)], lambda: [_false()], flag)
            return b.if_else(alike, lambda: [last, number], by_one, [last.type, number.type])

        last, number = b.for_loop(first, end, some, [before, b.value(0)], step=_LANES)
        memref.store(number, runs, [part])
        is_last = arith.cmpi(arith.CmpIPredicate.eq, b.value(end), b.value(count))
        b.only_if(is_last, lambda: self._store(b.add(last, self.lists.past), end))

    def _entry(self, p: Index, last: ir.Value, runs: ir.Value) -> list[ir.Value]:
        """List entry ``p``; its group, and the runs up to it."""
        group, wrong = self._group(p)
        store_id(self.lists.ids, p, self.c.at(p, self.axis))
        differs = arith.cmpi(arith.CmpIPredicate.ne, group, last)
        b.only_if(differs, lambda: self._begin(p, group, last))
        return [group, arith.addi(runs, arith.index_castui(ir.IndexType.get(), arith.ori(differs, wrong)))]

    def _take(self, p: Index, last: ir.Value) -> ir.Value:
        """List some entries from ``p`` on; whether they go on the run of group ``last``, within the grid."""
        i32 = ir.IntegerType.get_signless(32)
        flat = memref.collapse_shape(ir.MemRefType.get([_ANY], i32), self.c.values, [[0, 1]])
        pairs = vector.load(ir.VectorType.get([2 * _LANES], i32), flat, [b.value(b.mul(p, 2))])
        groups, ids = vector.deinterleave(pairs)
        vector.store(ids, self.lists.ids, [b.value(p)])

        def compared(predicate: arith.CmpIPredicate, some: ir.Value, to: Index) -> ir.Value:
            return arith.cmpi(predicate, some, vector.broadcast(some.type, arith.index_cast(i32, b.value(to))))

        same = compared(arith.CmpIPredicate.eq, groups, last)
        inside = compared(arith.CmpIPredicate.ult, ids, self.c.grid[self.axis])
        every = arith.cmpi(arith.CmpIPredicate.eq, packed(arith.andi(same, inside)), word_of((1 << _LANES) - 1))
        return arith.andi(every, b.less(last, self.lists.groups))

    def _begin(self, p: Index, group: ir.Value, last: ir.Value) -> None:
        """A run begins at entry ``p``, and that of ``last`` ends."""
        self._store(group, p)
        b.only_if(b.less(last, _none()), lambda: self._store(b.add(last, self.lists.past), p))

    def _store(self, at: Index, entry: Index) -> None:
        memref.store(b.value(entry), self.lists.bounds, [b.value(at)])

    def _group(self, p: Index) -> tuple[ir.Value, ir.Value]:
        """Of entry ``p``, the last one for what lies past the grid; and whether it does."""
        others = [a for a in range(len(self.c.sizes)) if a != self.axis]
        group, legal = group_of(self.c, p, others, self.c.grid)
        inside = b.less(self.c.at(p, self.axis), self.c.grid[self.axis])
        legal = inside if legal is None else arith.andi(legal, inside)
        wrong = arith.xori(legal, arith.constant(legal.type, True))
        return arith.select(legal, b.value(group), b.value(self.lists.groups)), wrong


def _false() -> ir.Value:
    return arith.constant(ir.IntegerType.get_signless(1), 0)


def _none() -> ir.Value:
    return b.value(-1)
