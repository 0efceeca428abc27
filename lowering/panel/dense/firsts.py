"""Sums over outer loops along lists of rows: the first that meets a row stores it, the others add to it.

What no list names is zero. 8 and 64 experts of 512x1024 f32, two for each of 4096 tokens, take 56.1 and 60.8 ms where
all of the output is cleared before, and 54.9 and 59.2 so; with a load in place of a masked one, which waits for the
line, 55.9 and 59.5 (one thread, Emerald Rapids, 2026-11-22).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...numbers import plus
from ...transpose import Transform
from ..loops import Point
from ..walk import Walk
from ..write import as_it_is, fill_block


@dataclasses.dataclass(frozen=True)
class Firsts:
    """Which point of the summed loops meets a row first.

    Attributes:
        numbers: that point's number, per row of the output; -1 where none does.
        sizes: of the summed loops, in their order.
    """

    numbers: ir.Value
    sizes: Mapping[int, Index]

    @classmethod
    def find(
        cls,
        rows: Index,
        loops: Mapping[int, Walk],
        sizes: Mapping[int, Index],
        at: Point,
        listed: Callable[[Point], Walk],
    ) -> Firsts:
        """Walk the lists once, in the order in which they are multiplied.

        Args:
            rows: of the output.
            loops, sizes: of the loops that are summed over; ``at``: indices of the others.
        """
        i32 = ir.IntegerType.get_signless(32)
        none, found = arith.constant(i32, -1), cls(b.alloc([b.maximum(rows, 1)], i32), sizes)
        b.for_loop(0, rows, lambda row: memref.store(none, found.numbers, [b.value(row)]), rolled=True)

        def visit(rest: Sequence[int], point: Point) -> None:
            if rest:
                walk = loops[rest[0]]
                b.for_loop(0, walk.count, lambda i: visit(rest[1:], {**point, rest[0]: walk.at(i)}))
                return
            rows, number = listed(point), found._number(point)

            def meet(position: Index) -> None:
                row = [b.value(rows.at(position))]
                before = memref.load(found.numbers, row)
                is_first = arith.cmpi(arith.CmpIPredicate.eq, before, none)
                memref.store(arith.select(is_first, number, before), found.numbers, row)

            b.for_loop(0, rows.count, meet, rolled=True)

        visit(tuple(loops), at)
        return found

    def _number(self, point: Point) -> ir.Value:
        number: Index = 0
        for loop, size in self.sizes.items():
            number = b.add(b.mul(number, size), point[loop])
        return arith.index_cast(self.numbers.type.element_type, b.value(number))

    def _is(self, row: Index, number: ir.Value) -> ir.Value:
        return arith.cmpi(arith.CmpIPredicate.eq, memref.load(self.numbers, [b.value(row)]), number)

    def added(self, finish: Transform | None, point: Point, out: ir.Value, transposed: bool) -> Transform:
        """The transform that adds what ``finish`` makes to what points before stored in ``out``."""
        number = self._number(point)

        def apply(value: ir.Value, at: Sequence[Index]) -> ir.Value:
            where, is_first = [b.value(i) for i in at], self._is(at[transposed], number)
            value = finish(value, at) if finish else value
            if not isinstance(value.type, ir.VectorType):
                return plus(arith.select(is_first, b.zero_of(value.type), memref.load(out, where)), value)
            zeros = vector.broadcast(value.type, b.zero_of(value.type.element_type))
            i1 = ir.IntegerType.get_signless(1)
            later = arith.xori(is_first, arith.constant(i1, 1))
            mask = vector.broadcast(ir.VectorType.get(value.type.shape, i1), later)
            return plus(vector.maskedload(value.type, out, where, mask, zeros), value)

        return apply

    def clear_others(self, out: ir.Value, transposed: bool, rows: Index, cols: tuple[Index, Index], lanes: int) -> None:
        """Zero some columns of the rows that no point meets."""
        none = arith.constant(self.numbers.type.element_type, -1)

        def one(row: Index) -> None:
            here = (row, b.add(row, 1))
            down, across = (cols, here) if transposed else (here, cols)
            b.only_if(self._is(row, none), lambda: fill_block(out, down, across, lanes, as_it_is))

        b.for_loop(0, rows, one, rolled=True)
