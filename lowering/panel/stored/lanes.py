"""Products with one column: the lanes of a vector run over stored elements instead of columns.

Four cases, by the innermost level:

- ``rows``: dense over rows (row sharing V): a vector of values per coordinate, one element of ``x`` for all; of four
  rows the values of four coordinates, whose elements of ``x`` are permuted as those of ``gather`` are;
- ``dot``: dense over contracted coordinates (blocks): a vector of values, as many elements of ``x``;
- ``gather``: groups ``G:H``: a vector of values from several groups. Every group's elements of ``x`` are in
  a window no wider than a register, or two, from which one permutation takes them for all lanes at once. The groups are
  those of a row one after the other, or those of rows side by side, which choose from one window;
- ``entries``: compressed over contracted coordinates: a vector of values and coordinates, elements of ``x`` gathered
  from all over it (entries.py), where registers have masks and gathers are worth it.

Other formats keep scalars and several partial sums (tile.py).
"""

import dataclasses
import math
from collections.abc import Sequence

from pith._mlir import arith, ir, vector

from ... import builder as b
from ...builder import Index
from ...isa import Isa
from ...sparse.levels import Storage
from ...x86.convert_pith_vectors_to_llvm import has_permute
from ..arithmetic import bytes_of
from ..decoder import Decoder
from ..roles import Roles
from ..variant import BLOCK_OPERATIONS
from .gather import QUAD
from .lane_stream import LaneStream, no_leaf
from .stream import Leaf, Stream
from .tile import CHAINS, STRIP_OPERATIONS, Place, RegisterTile, run_stream
from .widen import Stored

#: Vectors that the innermost run of a block is unrolled into, at most: times eight rows that is a page of code.
MOST_VECTORS = 8


def lane_kind(roles: Roles, element: ir.Type, isa: Isa) -> str | None:
    """Which of the cases a format falls into, or None."""
    fmt, last = roles.format, len(roles.format.levels) - 1
    if not roles.direct or last == 0 or fmt.exprs[last].div != 1:
        return None  # formats whose innermost coordinates stand apart: so would the lanes
    level, size, lanes = fmt.levels[last], fmt.exprs[last].mod, isa.vector_bytes // 4
    if fmt.exprs[last].dim == roles.row_dim:
        return "rows" if level.is_dense and size >= 4 and size & (size - 1) == 0 else None
    if level.kind in ("compressed", "loose_compressed"):
        return "entries" if isa.gathers else None
    if level.is_dense:
        return "dot" if size in (4, 8, 16) or (size % lanes == 0 and 0 < size <= MOST_VECTORS * lanes) else None
    permutes = has_permute(str(element), (lanes,), isa.vector_bytes)
    return "gather" if (roles.gathers or roles.shares_groups) and level.h <= lanes and permutes else None


@dataclasses.dataclass(frozen=True)
class LaneTile(RegisterTile):
    """Accumulators for one column of some rows.

    Attributes:
        together: elements of ``rows`` in a register: of several, with all of their rows each, ``x`` is permuted as for
            ``gather``.
    """

    kind: str = "dot"
    isa_lanes: int = 8
    together: int = 1

    @property
    def lanes(self) -> int:
        """Elements of one accumulator."""
        last = len(self.roles.format.levels) - 1
        size = self.roles.format.exprs[last].mod
        if self.kind == "entries":
            return 4 * self.isa_lanes // bytes_of(self.element)
        in_one = size if size in (4, 8, 16) else self.isa_lanes  # longer runs are several vectors
        rows = self.windows.get(last, 0) * self.together
        return {"rows": rows, "dot": in_one}.get(self.kind, self.isa_lanes)

    @property
    def period(self) -> int:
        """Neighbouring elements of ``gather`` that belong to several rows, the same ones again after them; else 0."""
        return self.rows * self.roles.format.levels[-1].g if self.kind == "gather" and self.roles.inner else 0

    @property
    def sums(self) -> int:
        """Accumulators per chain."""
        if self.period:
            return max(1, self.period // self.lanes)
        return self.rows * self.together // self.lanes if self.kind == "rows" else self.rows

    @property
    def chains(self) -> int:
        """Partial sums kept per accumulator: half of a column tile's, for every step does other work too."""
        if self.kind == "entries":
            return 1  # gathering takes longer than adding
        return max(1, CHAINS // (2 * self.sums))

    @property
    def widens(self) -> bool:
        """Only quantised ones that do not fill registers: others are converted there, for they are read once."""
        return isinstance(self.values, Stored) and self.values.quantized is not None and self.decoder is None

    @property
    def decoder(self) -> Decoder | None:
        """What makes real values of a register of integers, where it looks them up and each register is of one group.

        Else 32 at once, through memory: 4096x4096 of 2:4 with AVX2 takes 1.61 ms, in registers 1.93 (2026-11-22).
        """
        decoder = self.values.decoder if isinstance(self.values, Stored) else None
        if decoder is None or decoder.table is None:
            return None
        return decoder if self.lanes == decoder.lanes and decoder.quantized.group % self.lanes == 0 else None

    @property
    def operations(self) -> int:
        """Multiply-adds of an unrolled block, about: long ones decode the scale and zero point of a group once.

        One column of 2048x2048 int4, a core of Emerald Rapids: 2:4 0.192 to 0.176 ms, 1:4 0.175 to 0.138 (2026-11-23).
        """
        return STRIP_OPERATIONS if self.decoder else BLOCK_OPERATIONS

    def _stream(self, window_at: dict[int, Index], leaf: Leaf, turn: int = 0) -> Stream:
        return dataclasses.replace(super()._stream(window_at, leaf, turn), most=self.operations, divides=True)

    @property
    def order(self) -> Sequence[int]:
        """Which of the stored elements that are read together each lane has.

        Lanes of one permutation, whose coordinates are in one word, may have any; then integers need no permutation of
        their own: 4096x4096x1 of int4 in 2:4 takes 0.89 ms instead of 0.97 (Emerald Rapids, 2026-11-23).
        """
        if self.decoder is None:
            return range(self.lanes)
        fmt = self.roles.format
        in_one_word = all(self.lanes * fmt.coord_bits(n) <= 32 for n in range(2, len(fmt.levels)))
        turns = self.kind == "gather" and not self.period and self.pairs and in_one_word
        return self.decoder.order(turns and 2 * fmt.density >= 1)

    @property
    def exact_terms(self) -> int | None:
        """Products of a row that its accumulators hold exactly: lanes take turns."""
        most = self.arithmetic.most_terms
        return most and most * (self.together if self.kind == "rows" else self.lanes)

    @property
    def pad(self) -> int:
        """Elements of the panel that may be read past its end."""
        return self.isa_lanes * (2 if self.pairs else 1) if self.kind == "gather" or self.together > 1 else 0

    @property
    def parts(self) -> int:
        """Parts of a gathering register that are permuted each in itself, where one or two hold any group."""
        if self.pairs:
            return 1
        shape = self.isa_lanes // QUAD, QUAD
        quads = self.roles.format.levels[-1].h <= 2 * QUAD and has_permute(str(self.element), shape, 4 * self.isa_lanes)
        return shape[0] if quads else 1

    @property
    def pairs(self) -> bool:
        """True when a permutation takes from two registers, and those hold whatever a lane chooses from."""
        lanes = 2 * self.isa_lanes
        return self.roles.reach <= lanes and has_permute(str(self.element), (lanes,), 4 * self.isa_lanes)

    @property
    def chooses(self) -> bool:
        """True when lanes differ in the coordinates of groups around theirs, and each adds up its own."""
        if self.together > 1:
            return True
        if self.kind != "gather" or not self.pairs or (self.period and self.period % self.lanes == 0):
            return False
        return self.bytes_begin_blocks

    @property
    def bytes_begin_blocks(self) -> bool:
        """True when the coordinates of unrolled blocks begin on bytes."""
        fmt, entries = self.roles.format, self.block
        for level, of in list(enumerate(fmt.levels))[2:]:
            entries *= of.g if of.kind == "nm" else self.windows[level]
            if of.has_coordinates and entries * fmt.coord_bits(level) % 8:
                return False  # coordinates begin inside a byte
        return True

    @property
    def fits(self) -> bool:
        """True when unrolled blocks hold whole vectors."""
        if self.kind != "gather":
            return True
        fmt, rows = self.roles.format, 1
        if self.period:
            if self.period * fmt.coord_bits(len(fmt.levels) - 1) % 8:
                return False  # coordinates begin inside a byte
            if self.period % self.lanes == 0:
                return True
            if self.lanes % self.period or not self.roles.has_strips or not fmt.is_static:
                return False
            rows = self.rows
        entries = math.prod(lvl.g for lvl in fmt.levels[2:] if lvl.kind == "nm") * rows
        loops = any(fmt.levels[i].is_dense for i in range(2, len(fmt.levels)) if i not in self.roles.inner)
        block = self.block
        if not self._stream({}, no_leaf).cuts(1, block):
            return False  # groups past the last whole block would not fill a vector
        return not loops and block * entries % self.lanes == 0 and block * entries <= BLOCK_OPERATIONS

    def _across(self, total: ir.Value) -> ir.Value:
        """The sum over the lanes, in any order."""
        sums = self.arithmetic.sums
        order = arith.FastMathFlags.reassoc if isinstance(sums, ir.FloatType) else None
        return vector.reduction(sums, vector.CombiningKind.ADD, total, fastmath=order)

    def visit(self, at: Place, window_at: dict[int, Index], span: tuple[Index, Index] | None, turn: int = 0) -> None:
        """As :meth:`RegisterTile.visit`."""
        type_ = ir.VectorType.get([self.lanes], self.element)
        zero = vector.broadcast(type_, b.zero_of(self.element))
        stream = LaneStream(
            self.storage,
            self.roles,
            self.windows,
            window_at,
            self.multiple,
            1,
            leaf=no_leaf,
            most=self.operations,
            divides=True,
            tile=self,
            type=type_,
            panel=at.panel,
        )
        sums = run_stream(stream, at, span, [zero] * (self.sums * self.chains))
        totals = [self._total(sums[i :: self.sums]) for i in range(self.sums)]
        if self.period:
            totals = [self._per_row(totals)]
        elif self.together > 1:
            rows = self.lanes // self.together
            parts = [vector.shuffle(t, t, list(range(i, i + rows))) for t in totals for i in range(0, self.lanes, rows)]
            totals = [self._total(parts)]
        elif self.kind != "rows":
            one = ir.VectorType.get([1], self.arithmetic.sums)
            totals = [vector.broadcast(one, self._across(total)) for total in totals]
        for offset, total in zip(self.row_offsets()[:: totals[0].type.shape[0]], totals):
            self.put(total, at.results, [b.value(b.add(at.first, offset)), b.value(0)], more=span is not None)

    def _per_row(self, totals: Sequence[ir.Value]) -> ir.Value:
        """The rows' sums, each that of the lanes which its elements take turns in."""
        whole, g = totals[0], self.roles.format.levels[-1].g
        for total in totals[1:]:
            whole = vector.shuffle(whole, total, list(range(whole.type.shape[0] + self.lanes)))
        firsts = [turn + i for turn in range(0, whole.type.shape[0], self.period) for i in range(g)]
        return self._total([vector.shuffle(whole, whole, list(range(i, i + self.period, g))) for i in firsts])


def lane_tile(storage: Storage, roles: Roles, tile: RegisterTile, isa: Isa) -> RegisterTile:
    """The lane tile that computes what ``tile`` would, where one suits; else ``tile``."""
    one_column = tile.variant.lanes == 1 and isinstance(tile.element, ir.FloatType)
    kind = lane_kind(roles, tile.element, isa) if one_column else None
    if kind is None or (kind == "entries" and storage.quantized):
        return tile
    lanes = isa.vector_bytes // 4
    variant = dataclasses.replace(tile.variant, strip=0) if kind == "entries" else tile.variant  # one column is near
    made = LaneTile(storage, roles, variant, tile.multiple, 1, tile.arithmetic, tile.values, kind, lanes)
    if kind == "rows":
        made = dataclasses.replace(made, together=_together(made))
        return made if made.lanes >= 4 else tile
    # Fewer rows leave room for longer blocks: 48 elements of 3:4 fill three registers, 24 one and a half. One column of
    # 2048x2048, ns per element: 3:4 0.64 and 0.16, C1(3:4)->C0(2:4) 1.06 and 0.17 (Emerald Rapids, 2026-11-22).
    while not made.fits and made.rows > 1 and not roles.inner:
        made = dataclasses.replace(made, variant=dataclasses.replace(made.variant, rows=made.variant.rows // 2))
    return made if made.fits else tile


def _together(tile: LaneTile) -> int:
    """:attr:`LaneTile.together` of rows that do not fill a register: those of groups. Quantised ones fill registers.

    4096x4096 of V(4)C0(2:4), one core of Emerald Rapids, element by element and so: f32 1.85, 1.75 ms (memory); bf16
    1.33, 0.89; i8 1.29, 0.79; int4 1.67, 0.77; i8 B(4x1)C0(3:10) 1.04, 0.69. 1024x2048 of V(8)C0(2:8) in f32 loses: 61,
    71 us (2026-11-22).
    """
    fmt, last = tile.roles.format, len(tile.roles.format.levels) - 1
    rows, below = fmt.exprs[last].mod, fmt.levels[2:last]
    groups = fmt.levels[1].is_dense and below and all(level.kind == "nm" for level in below)
    groups = groups and all(fmt.coord_bits(i) < 8 for i in range(2, last))  # words are broadcast, bytes are not
    if not groups or not tile.pairs or tile.windows[last] != rows or rows > QUAD or tile.rows != rows:
        return 1
    count, entries = tile.isa_lanes // rows, tile.block * math.prod(level.g for level in below)
    quantized = isinstance(tile.values, Stored) and tile.values.quantized is not None
    return count if tile.bytes_begin_blocks and (entries % count == 0 or not quantized) and entries > 1 else 1
