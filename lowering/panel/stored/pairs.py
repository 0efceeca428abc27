"""Stored elements of 16 bits in pairs, by dot instructions on two rows of a panel.

Panels hold elements as they are, half as wide as in f32, and a dot instruction does two products in the time of one.
Two neighbours of a row are a dword of its values. The rows of the panel that they pick are interleaved in registers,
32 columns by two shuffles::

    x, y = panel[k0][0:32], panel[k1][0:32]             what two neighbours pick
    a = the dword of their values, in every lane
    acc[0] = dot(acc[0], low(x, y), a)                  of every 16 bytes the first four columns
    acc[1] = dot(acc[1], high(x, y), a)                 and the last four

That is a load and a shuffle per dot, which take no time of their own where shuffles issue beside dots. Sums have their
columns in the order of these shuffles while they are in registers. Only what is stored is multiplied, so infinities
stay where they belong.

One core of Zen 4 (2026-11), widened to f32, all elements by dots, and so: 2:4 2048x512x256 3.0, 2.5, 1.8 ms,
1024x4096x64 3.1, 2.5, 1.9; 1:4 1.7, 2.5, 1.05 and 1.7, 2.5, 1.1; C1(2:4)->C0(2:4) 1.8, 2.5, 1.0 and 1.8, 2.5, 1.05.
"""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, vector, x86

from ... import builder as b
from ...builder import Index
from ..pack import Panel
from ..paired import COLUMNS
from .members import Member
from .tile import Leaf, Place, RegisterTile

#: Sums in a register.
SUMS = 16

#: Where the columns of two registers are while they are interleaved, and where their sums find them again.
_APART = [[8 * part + 4 * half + t for part in range(4) for t in range(4)] for half in range(2)]
_IN_ORDER = [[SUMS * (part % 2) + 4 * (part // 2) + t for part in range(n, n + 4) for t in range(4)] for n in (0, 4)]

#: Lower and upper halves of every 16 bytes of two rows, an element of each in turn.
_HALVES = [[k + COLUMNS * row for k in order for row in range(2)] for order in _APART]


@dataclasses.dataclass(frozen=True)
class PairTile(RegisterTile):
    """A register tile whose panels hold elements of 16 bits, where :func:`~..paired.in_pairs` says so."""

    @property
    def panel_element(self) -> ir.Type:
        """See :class:`RegisterTile`."""
        return self.storage.values.type.element_type

    @property
    def widens(self) -> bool:
        """See :class:`RegisterTile`."""
        return False

    @property
    def weight(self) -> int:
        """See :class:`RegisterTile`: two elements by an instruction."""
        return max(1, self.vectors // 2)

    @property
    def pieces(self) -> list[tuple[int, ir.VectorType]]:
        """See :class:`RegisterTile`: one per register."""
        return [(lane, ir.VectorType.get([SUMS], self.element)) for lane in range(0, self.variant.lanes, SUMS)]

    def entered(self, sums: list[ir.Value]) -> list[ir.Value]:
        """See :class:`RegisterTile`."""
        return _shuffled(sums, _APART)

    def left(self, sums: list[ir.Value]) -> list[ir.Value]:
        """See :class:`RegisterTile`."""
        return _shuffled(sums, _IN_ORDER)

    def leaf(self, at: Place, count: int) -> Leaf:
        """See :class:`RegisterTile`: every other call multiplies what it and the one before were called with."""
        chain, waiting = self.next_chain(), []

        def leaf(members: Sequence[Member], inner: list[ir.Value]) -> list[ir.Value]:
            if not waiting:
                waiting.append(members)
                return inner
            (first,), (second,) = waiting.pop(), members
            out, base = list(inner), next(chain) * count
            after = out[base : base + count] if self.native else []
            dword = self._dword(first.position.value)
            rows = zip(*(self._row(at.panel, m, after) for m in (first, second)))
            for i, x in enumerate((vector.shuffle(*row, half) for row in rows for half in _HALVES), base):
                out[i] = x86.avx512_dot(out[i], x, dword)
            return out

        return leaf

    def _row(self, panel: Panel, m: Member, after: Sequence[ir.Value]) -> list[ir.Value]:
        """The row of a panel that an element picks, once LLVM has computed the registers ``after``."""
        type_ = ir.VectorType.get([COLUMNS], self.panel_element)
        columns = [(lane, type_) for lane in range(0, self.variant.lanes, COLUMNS)]
        return panel.pieces(columns, m.red, m.red_offset, m.picked, beside=after)

    def _dword(self, position: Index) -> ir.Value:
        """The values from a position on, in every lane."""
        i32, pair = ir.IntegerType.get_signless(32), ir.VectorType.get([2], self.panel_element)
        loaded = vector.load(pair, self.storage.values, [b.value(position)])
        one = vector.extract(vector.bitcast(ir.VectorType.get([1], i32), loaded), [], [0])
        every = vector.broadcast(ir.VectorType.get([SUMS], i32), one)
        return vector.bitcast(ir.VectorType.get([COLUMNS], self.panel_element), every)


def _shuffled(sums: list[ir.Value], orders: list[list[int]]) -> list[ir.Value]:
    """Columns of every two registers in another order."""
    return [vector.shuffle(x, y, order) for x, y in zip(sums[::2], sums[1::2]) for order in orders]
