"""Which elements of rows are present, many to a thread: 16-byte loads where memory allows them, as bits of a word."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...patterns.presence import Presence, integer
from .cut import Rows
from .lists import i32, word

#: Bytes of the widest load.
_LOAD_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads rows of a buffer as flags.

    Attributes:
        presence: the test; its source is a buffer whose last dimension is a row.
        lanes: elements that are read at once.
        batch: rows of a cell that are read before the first is looked at.
    """

    presence: Presence
    lanes: int
    batch: int

    @classmethod
    def of(cls, presence: Presence, height: int | None) -> Reader:
        """Loads of 16 bytes (booleans one by one), of up to eight of the ``height`` rows of a cell in flight."""
        width = presence.source.type.element_type.width
        return cls(presence, lanes_of(width), 8 if height is None else max(min(height, 8), 1))

    @property
    def size(self) -> Index:
        """Elements of a row."""
        source = self.presence.source
        return b.dim_size(source, source.type.rank - 1)

    def aligned(self, *offsets: Index) -> ir.Value | None:
        """Whether vectors at multiples of these elements lie on 16-byte boundaries in all rows; None: they do."""
        multiples = [*offsets] if self.presence.source.type.rank == 1 else [*offsets, self.size]
        rests = [b.mod(n, self.lanes) for n in multiples]
        if all(isinstance(r, int) and r == 0 for r in rests):
            return None
        total: Index = 0
        for rest in rests:
            total = b.add(total, rest)
        return arith.cmpi(arith.CmpIPredicate.eq, b.value(total), b.value(0))

    def words(
        self, rows: Rows, bounds: tuple[Index, Index], starts: Sequence[Index], end: Index, aligned: ir.Value | None
    ) -> list[ir.Value]:
        """A word per start: bit i says whether element ``start + i`` of any row of ``bounds`` is present.

        Elements from ``end`` on count as absent. ``starts`` ascend.
        """
        whole = arith.cmpi(arith.CmpIPredicate.ule, b.value(b.add(starts[-1], self.lanes)), b.value(end))
        fast = whole if aligned is None else arith.andi(aligned, whole)
        types = [i32()] * len(starts)
        return b.if_else(
            fast,
            lambda: self._by_vectors(rows, bounds, starts),
            lambda: self._one_by_one(rows, bounds, starts, end),
            types,
        )

    def _by_vectors(self, rows: Rows, bounds: tuple[Index, Index], starts: Sequence[Index]) -> list[ir.Value]:
        lo, hi = bounds

        def several(count: int):
            def step(row: Index, *words: ir.Value) -> list[ir.Value]:
                places = [[*rows.at(b.add(row, r)), s] for r in range(count) for s in starts]
                loaded = [self._load(at, self.lanes) for at in places]
                new = [self._flags(bits, at) for bits, at in zip(loaded, places)]
                return [_or([words[i], *new[i :: len(starts)]]) for i in range(len(starts))]

            return step

        words = [word(0)] * len(starts)
        count = b.sub(hi, lo)
        whole = b.add(lo, b.mul(b.div(count, self.batch), self.batch))
        words = b.for_loop(lo, whole, several(self.batch), words, step=self.batch)
        return words if whole == hi else b.for_loop(whole, hi, several(1), words)

    def _one_by_one(
        self, rows: Rows, bounds: tuple[Index, Index], starts: Sequence[Index], end: Index
    ) -> list[ir.Value]:
        """The edge of a row, and rows that 16-byte loads cannot read."""

        def row(r: Index, *words: ir.Value) -> list[ir.Value]:
            out = []
            for start, before in zip(starts, words):
                left = arith.minsi(arith.maxsi(b.value(b.sub(end, start)), b.value(0)), b.value(self.lanes))

                def element(i: Index, so_far: ir.Value, start: Index = start) -> list[ir.Value]:
                    at = [*rows.at(r), b.add(start, i)]
                    flag = self.flag(at)
                    return [arith.ori(so_far, arith.shli(flag, arith.index_cast(i32(), b.value(i))))]

                out += b.for_loop(0, left, element, [before], rolled=True)
            return out

        return b.for_loop(*bounds, row, [word(0)] * len(starts))

    def flag(self, at: Sequence[Index]) -> ir.Value:
        """1 where an element is present, else 0."""
        return self._flags(self._load(at, 1), at)

    def _load(self, at: Sequence[Index], lanes: int) -> ir.Value:
        """Bits of the elements from ``at`` on, as a vector of integers."""
        source = self.presence.source
        element, place = source.type.element_type, [b.value(i) for i in at]
        width = max(element.width, 8)
        type_ = ir.VectorType.get([lanes], integer(width))
        if lanes == 1:
            loaded = memref.load(source, place)
            if element.width == 1:
                loaded = arith.extui(integer(8), loaded)
            elif isinstance(element, ir.FloatType):
                loaded = arith.bitcast(integer(width), loaded)
            return vector.broadcast(type_, loaded)
        loaded = vector.load(ir.VectorType.get([lanes], element), source, place, alignment=lanes * width // 8)
        return arith.bitcast(type_, loaded)

    def _flags(self, bits: ir.Value, at: Sequence[Index]) -> ir.Value:
        """The test of a vector of elements as the low bits of a word."""
        flags = self.presence.flags(bits, at)
        lanes = flags.type.get_dim_size(0)
        each = [arith.extui(i32(), vector.extract(flags, [], [i])) for i in range(lanes)]
        return _or([arith.shli(f, word(i)) if i else f for i, f in enumerate(each)])


def lanes_of(width: int) -> int:
    """Elements of ``width`` bits in a 16-byte load; booleans lie in a byte each and are read one by one."""
    return 1 if width == 1 else _LOAD_BYTES * 8 // width


def _or(words: Sequence[ir.Value]) -> ir.Value:
    out = words[0]
    for w in words[1:]:
        out = arith.ori(out, w)
    return out
