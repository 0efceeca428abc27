"""Tiles without tile registers: rows of ``A`` in memory, sums in vectors, dot instructions between them.

One position of a tile, a dword of contracted coordinates::

    B0, B1 = row p of two panels                 vectors of dwords, one per column
    for each row r of A:
      a = dword p of row r, in every lane
      sums[r][0] = dot(sums[r][0], B0, a);  sums[r][1] = dot(sums[r][1], B1, a)

``vpdpbusd`` multiplies unsigned bytes with signed ones. So panels hold their bytes plus 128 (as unsigned
bytes: the sign bit flipped), and sums start from -128 times the sum of the row of ``A``: exact modulo 2^32.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pith._mlir import arith, ir, memref, vector, x86
from pith.dialect import DotOp

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from .choice import dot_rows
from .unit import TileUnit

#: What unsigned bytes exceed the signed ones by that they stand for.
OFFSET = 128

#: Dot instructions in one trip of the loop over the positions of a tile, at least. With 32 and 64, LLVM loads dwords
#: of rows ahead until it has no registers left, and spills them.
TRIP_DOTS = 16


@dataclasses.dataclass(frozen=True)
class Rows:
    """``A`` in memory, from ``at`` on, rows ``stride`` elements or one row of ``buffer`` apart."""

    buffer: ir.Value
    at: tuple[ir.Value, ...]
    stride: ir.Value | None

    def place(self, row: int, k: Index) -> list[ir.Value]:
        """Indices of an element."""
        *outer, last = self.at
        if self.stride is not None:
            return [*outer, b.value(b.add(b.add(last, b.mul(self.stride, row)), k))]
        return [*outer[:-1], b.value(b.add(outer[-1], row)), b.value(b.add(last, k))]


@dataclasses.dataclass(frozen=True)
class DotUnit(TileUnit):
    """Dot instructions on vectors.

    Attributes:
        lanes: sums in one vector.
        offset: panels hold unsigned bytes, 128 more than their elements.
        signed: the instruction is that for signed bytes.
    """

    lanes: int = 16
    offset: bool = False
    signed: bool = False

    @property
    def title(self) -> str:
        """See :class:`TileUnit`."""
        pairs = "pairs of 16-bit integers" if self.widens else self.stored
        return f"tiles in vectors, dot instructions of {pairs}"

    @property
    def column_tiles(self) -> int:
        """Tiles of columns whose sums are in registers together: 16 vectors of 512 bits or 8 of 256, of 32 and 16."""
        return min(4, max(1, self.lanes * self.lanes // (self.rows * self.columns)))

    @property
    def takes_offsets(self) -> bool:
        """See :class:`TileUnit`."""
        return self.offset

    @property
    def acc_type(self) -> ir.VectorType:
        """Sums in one vector."""
        return ir.VectorType.get([self.lanes], self.acc)

    def packed(self, value: ir.Value) -> ir.Value:
        """See :class:`TileUnit`."""
        value = self.widened(value)
        if not self.offset:
            return value
        flip = arith.constant(self.element, -OFFSET)
        return arith.xori(value, vector.broadcast(value.type, flip) if value.type != self.element else flip)

    def load(self, buffer: ir.Value, at: Sequence[ir.Value], stride: ir.Value | None = None) -> Rows:
        """See :class:`TileUnit`."""
        return Rows(buffer, tuple(at), stride)

    def start(self, height: int, width: int, offsets: ir.Value | None, row: Index) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        count = width * self.columns // self.lanes
        if offsets is None:
            return self._zeros(height * self.rows * count)
        loaded = [memref.load(offsets, [b.value(b.add(row, r))]) for r in range(height * self.rows)]
        return [vector.broadcast(self.acc_type, value) for value in loaded for _ in range(count)]

    def _zeros(self, count: int) -> list[ir.Value]:
        return [vector.broadcast(self.acc_type, b.zero_of(self.acc))] * count

    def multiply(
        self, a: list[Any], panels: ir.Value, at: Callable[[int], list[ir.Value]], sums: list[ir.Value]
    ) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        per_row = len(sums) // (len(a) * self.rows)
        per_panel = self.columns // self.lanes
        places = [(at(i // per_panel), i % per_panel * self.lanes * self.group) for i in range(per_row)]
        type_ = ir.VectorType.get([self.lanes * self.group], self.element)

        def position(p: Index, accs: list[ir.Value]) -> list[ir.Value]:
            columns = []
            for (number, row, _), lane in places:
                columns.append(vector.load(type_, panels, [number, b.value(b.add(row, p)), b.value(lane)]))
            return self._add_row_by_row(a, p, columns, accs)

        unrolled = min(max(1, TRIP_DOTS // len(sums)), self.positions)

        def some(p: Index, *inner: ir.Value) -> list[ir.Value]:
            accs = list(inner)
            for u in range(unrolled):
                accs = position(b.add(p, u), accs)
            return accs

        if self.positions == unrolled:
            return some(0, *sums)
        return b.for_loop(0, self.positions, some, sums, step=unrolled)

    def _add_row_by_row(self, a: list[Rows], p: Index, columns: list[ir.Value], sums: list[ir.Value]) -> list[ir.Value]:
        """``sums`` with the products of dword ``p`` of every row with vectors of columns."""
        out, per_row = list(sums), len(columns)
        for r in range(len(a) * self.rows):
            dword = self._every_lane(a[r // self.rows], r % self.rows, b.mul(p, self.group), columns[0].type)
            for i, column in enumerate(columns, r * per_row):
                out[i] = self.dots(out[i], column, dword)
        return out

    def _every_lane(self, a: Rows, row: int, k: Index, type_: ir.VectorType) -> ir.Value:
        dword = ir.VectorType.get([1], ir.IntegerType.get_signless(32))
        loaded = vector.load(ir.VectorType.get([self.group], self.element), a.buffer, a.place(row, k))
        one = vector.extract(vector.bitcast(dword, loaded), [], [0])
        return vector.bitcast(type_, vector.broadcast(ir.VectorType.get([self.lanes], one.type), one))

    def dots(self, acc: ir.Value, column: ir.Value, dword: ir.Value) -> ir.Value:
        """``acc`` with the products of the dwords in each lane added."""
        if isinstance(self.acc, ir.F32Type):
            return x86.avx512_dot(acc, column, dword)
        if self.signed:
            return x86.avx_dot_i8(acc, column, dword)
        return DotOp.build(acc, column, dword).result

    def store(self, sums: list[ir.Value], width: int, buffer: ir.Value, corner: tuple[Index, Index]) -> None:
        """See :class:`TileUnit`."""
        per_row = width * self.columns // self.lanes
        for i, value in enumerate(sums):
            place = (b.add(corner[0], i // per_row), b.add(corner[1], i % per_row * self.lanes))
            vector.store(value, buffer, [b.value(x) for x in place])

    def no_offsets(self) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        return self._zeros(self.rows)

    def add_offsets(self, a: Rows, sums: list[ir.Value]) -> list[ir.Value]:
        """See :class:`TileUnit`: 128 times the elements, lane by lane, by the dot instruction itself.

        Widened and reduced tile by tile they took as long as the product with 16 columns (Emerald Rapids, 2026-11-23).
        """
        whole = ir.VectorType.get([self.lanes * self.group], self.element)
        offset = vector.broadcast(whole, arith.constant(self.element, -OFFSET))
        out = list(sums)
        for r in range(self.rows):
            for k in range(0, self.depth, self.lanes * self.group):
                out[r] = self.dots(out[r], offset, self._elements(a, r, k))
        return out

    def _elements(self, a: Rows, row: int, k: int) -> ir.Value:
        """As many elements of a row as fill a vector, and zeros where the tile is narrower."""
        count = self.lanes * self.group
        part = ir.VectorType.get([min(count, self.depth - k)], self.element)
        loaded = vector.load(part, a.buffer, a.place(row, k))
        if part.shape[0] == count:
            return loaded
        zeros = vector.broadcast(part, b.zero_of(self.element))
        return vector.shuffle(loaded, zeros, [min(i, part.shape[0]) for i in range(count)])

    def offsets(self, sums: list[ir.Value]) -> list[ir.Value]:
        """See :class:`TileUnit`."""
        zero = b.zero_of(self.acc)
        return [arith.subi(zero, vector.reduction(self.acc, vector.CombiningKind.ADD, total)) for total in sums]


def dot_unit(element: ir.Type, acc: ir.Type, isa: Isa) -> DotUnit | None:
    """The unit of dot instructions for an element type and its sums, when the instruction set has one worth using.

    Registers hold 8 or 4 rows by two vectors of sums, two vectors of columns and the dword of a row.
    """
    lanes, rows = isa.vector_bytes // 4, dot_rows(isa)
    if not isa.dot_gain(str(element)):
        return None
    if str(element) == "bf16" and str(acc) == "f32":
        return DotUnit(element, element, acc, 2, rows, lanes=lanes)
    if str(element) != "i8" or str(acc) != "i32":
        return None
    if isa.vnni:
        return DotUnit(element, element, acc, 4, rows, lanes=lanes, offset=not isa.vnni_int8, signed=isa.vnni_int8)
    return DotUnit(ir.IntegerType.get_signless(16), element, acc, 2, rows, lanes=lanes)
