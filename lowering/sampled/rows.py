"""Sampled products of few terms: rows of the whole product in L1, of which the stored elements are taken.

Code it emits, where rows are the dimension that the format's first level cuts::

    scf.parallel (some coordinates of the first level, ROWS rows or more)
      for each tile of rows and vectors of columns
        for k: sum[r][v] += left[i + r, k] * right[k, columns of v]      in registers
        rows[r][columns] = sums
      for each stored (i, j) of these rows: values[p] = rows[i][j]       (lowering/storage/take.py)

A dot product per stored element (:mod:`.template`) takes as long for one term as for a strip of them, and lists entries
before. Here a term takes what it takes of a dense product, and an element what taking it does.
"""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..panel.arithmetic import bytes_of
from ..sparse.levels import Cursor, Storage, descend, inside, start
from ..storage.take import group_lanes, take_below
from .few import MOST_BYTES, has_rows
from .match import SampledProduct
from .tile import Leaf, Tile

#: Rows that are computed together: as many sums share what is loaded of ``right``.
ROWS = 4

#: Cycles: of a multiply-add of a vector here; per load of one in dot products; of a dot product more than taking an
#: element, and of an entry. One core of Zen 4 (2026-11), 1024x1024 with half of it stored, per element, 32 and 128
#: terms: CSR and 2:4 12.7 and 23.6, V(4)C0(2:4) 6.0 and 13, blocks of 4x4 5.1 and 12; by rows 5 to 6 and 20.
_WHOLE, _LOAD, _DOT, _ENTRY = 1.25, 1.6, 1.5, 6

#: What those are counted in, to compare integers.
_PARTS = 16


@dataclasses.dataclass(frozen=True)
class WholeRows:
    """What stays fixed while the kernel is emitted.

    Attributes:
        out: where values are written; ``adds``: they are added to what is there.
    """

    p: SampledProduct
    storage: Storage
    out: ir.Value
    adds: bool
    isa: Isa

    @property
    def applies(self) -> bool:
        """Whether rows can be computed: a coordinate of the first level has some, and their elements are neighbours."""
        factors = {self.p.rows.value.type.element_type, self.p.cols.value.type.element_type}
        return has_rows(self.p.format) and self.p.cols.contracted == 0 and factors == {self.p.element}

    @property
    def lanes(self) -> int:
        """Elements of a register."""
        return self.isa.vector_bytes // bytes_of(self.p.element)

    @property
    def sizes(self) -> tuple[Index, Index, Index]:
        """Rows, columns and terms."""
        rows, cols = self.p.rows, self.p.cols
        return (
            b.dim_size(rows.value, 1 - rows.contracted),
            b.dim_size(cols.value, 1),
            b.dim_size(cols.value, 0),
        )

    def pays(self, leaf: Leaf, tile: Tile) -> ir.Value:
        """Emit whether this is predicted to be faster than a dot product per element, of tiles of them."""
        rows, cols, reds = self.sizes
        loads = (tile.rows + tile.entries * tile.cols) / (tile.entries * tile.rows * tile.cols)
        whole = b.product([rows, cols, reds, round(_PARTS * _WHOLE)])
        element = round(_PARTS * self.lanes * (_DOT + _ENTRY / leaf.size))
        terms = b.mul(b.maximum(reds, 2 * self.lanes), round(_PARTS * _LOAD * loads))
        dots = b.mul(b.dim_size(self.out, 0), b.add(terms, element))
        near = b.less(b.mul(b.mul(cols, reds), bytes_of(self.p.element)), MOST_BYTES + 1)
        return arith.andi(near, b.less(whole, b.add(dots, 1)))

    def emit(self) -> None:
        """Emit the kernel."""
        fmt = self.p.format
        rows, cols, reds = self.sizes
        unit = fmt.exprs[0].div
        units = max(1, ROWS // unit)
        width = b.mul(b.ceildiv(cols, self.lanes), self.lanes)
        count = self.storage.level_sizes[0]
        left, right = (b.buffer_of(f.value) for f in (self.p.rows, self.p.cols))

        def task(number: ir.Value) -> None:
            lo = b.mul(number, units)
            first = b.mul(lo, unit)
            buffer = b.alloc([units * unit, width], self.p.element)
            last = b.sub(rows, 1)
            for r in range(0, units * unit, ROWS):
                of_tile = range(r, min(r + ROWS, units * unit))
                at = [b.minimum(b.add(first, i), last) for i in of_tile]
                self._tile(left, right, buffer, r, at, (cols, reds))
            hi = b.minimum(b.add(lo, units), count)
            b.for_loop(lo, hi, lambda c: self._take(buffer, first, c))

        work = b.add(b.div(b.product([rows, cols, reds]), self.lanes), b.mul(b.dim_size(self.out, 0), 2))
        b.parallel_loop([b.ceildiv(count, units)], task, work=work)

    def _tile(
        self, left: ir.Value, right: ir.Value, buffer: ir.Value, r: int, at: list[Index], sizes: tuple[Index, Index]
    ) -> None:
        """Rows ``at`` of the product, to rows of ``buffer`` from ``r`` on."""
        cols, reds = sizes
        vectors = 4 if self.isa.vector_bytes == 64 else 2
        type_ = ir.VectorType.get([self.lanes], self.p.element)
        zero = vector.broadcast(type_, b.zero_of(self.p.element))
        swapped = self.p.rows.contracted == 0

        def columns(j: Index, n: int, mask: ir.Value | None = None) -> None:
            def term(k: Index, *sums: ir.Value) -> list[ir.Value]:
                x = [self._load(right, k, b.add(j, v * self.lanes), type_, mask, zero) for v in range(n)]
                out = []
                for i, row in enumerate(at):
                    place = [b.value(k), b.value(row)] if swapped else [b.value(row), b.value(k)]
                    y = vector.broadcast(type_, memref.load(left, place))
                    out += [vector.fma(y, x[v], sums[i * n + v]) for v in range(n)]
                return out

            sums = b.for_loop(0, reds, term, [zero] * (n * len(at)), rolled=True)
            for i in range(len(at)):
                for v in range(n):
                    place = [b.value(r + i), b.value(b.add(j, v * self.lanes))]
                    vector.store(sums[i * n + v], buffer, place)

        whole = b.mul(b.div(cols, vectors * self.lanes), vectors * self.lanes)
        single = b.mul(b.div(cols, self.lanes), self.lanes)
        b.for_loop(0, whole, lambda j: columns(j, vectors), step=vectors * self.lanes, rolled=True)
        b.for_loop(whole, single, lambda j: columns(j, 1), step=self.lanes, rolled=True)
        bits = ir.VectorType.get([self.lanes], ir.IntegerType.get_signless(1))

        def rest() -> None:
            columns(single, 1, vector.create_mask(bits, [b.value(b.sub(cols, single))]))

        b.only_if(b.less(single, cols), rest)

    def _load(
        self, right: ir.Value, k: Index, j: Index, type_: ir.VectorType, mask: ir.Value | None, zero: ir.Value
    ) -> ir.Value:
        where = [b.value(k), b.value(j)]
        if mask is None:
            return vector.load(type_, right, where)
        return vector.maskedload(type_, right, where, mask, zero)

    def _take(self, buffer: ir.Value, first: Index, c: ir.Value) -> None:
        """What coordinate ``c`` of the first level stores."""
        outer = self.p.outer

        def store(taken: ir.Value, position: ir.Value) -> None:
            if self.adds:
                taken = arith.addf(vector.load(taken.type, self.out, [position]), taken)
            vector.store(taken, self.out, [position])

        def scalar(at: Cursor) -> None:
            within = inside(self.storage, at.coords)
            where = [b.value(b.sub(at.coords[outer], first)), b.value(at.coords[1 - outer])]

            def load() -> list[ir.Value]:
                return [memref.load(buffer, where)]

            zero = b.zero_of(self.p.element)
            x = load()[0] if within is None else b.if_else(within, load, lambda: [zero], [self.p.element])[0]
            place = [b.value(at.position)]
            memref.store(arith.addf(memref.load(self.out, place), x) if self.adds else x, self.out, place)

        lanes = group_lanes(self.p.format, self.p.element, self.isa)
        at = descend(self.storage, start(self.p.format), c, c)
        take_below(self.storage, buffer, at, lanes, lambda coords: b.sub(coords[0], first), store, scalar)
