"""Products with one column: the lanes of a vector run over stored elements instead of columns.

Four cases, by the innermost level:

- ``rows``: dense over rows (row sharing V): a vector of values per coordinate, one element of ``x`` for all;
- ``dot``: dense over contracted coordinates (blocks): a vector of values, as many elements of ``x``;
- ``gather``: groups ``G:H``: a vector of values from several groups. Every group's elements of ``x`` are in
  a window no wider than a register, or two, from which one permutation takes them for all lanes at once. The groups are
  those of a row one after the other, or those of rows side by side, which choose from one window;
- ``entries``: compressed over contracted coordinates: a vector of values and coordinates, elements of ``x`` gathered
  from all over it (entries.py), where registers have masks and gathers are worth it.

Other formats keep scalars and several partial sums (tile.py).
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index
from ..convert_pith_vectors_to_llvm import has_permute
from ..isa import Isa
from ..levels import Storage
from .ahead import FarAhead
from .arithmetic import bytes_of
from .entries import add_entries
from .gather import QUAD, Gather, Slot
from .members import Member, Position
from .pack import Panel
from .roles import Roles
from .stream import BLOCK_OPERATIONS, Stream
from .tile import CHAINS, Place, RegisterTile, run_stream
from .widen import Stored

#: Vectors that the innermost run of a block is unrolled into, at most: times eight rows that is a page of code.
MOST_VECTORS = 8

#: Bytes of registers whose lanes have masks: there entries are gathered. 4096 x 4096 x 1 in CSR with 50, 80 and 95 %
#: zeros, GF/s on one core of Emerald Rapids: one by one 1.5, 1.5, 1.8, gathered 2.9, 5.3, 5.2 (2026-11).
_MASKED_BYTES = 64


def lane_kind(roles: Roles, element: ir.Type, isa: Isa) -> str | None:
    """Which of the cases a format falls into, or None."""
    fmt, last = roles.format, len(roles.format.levels) - 1
    if not roles.direct or last == 0 or fmt.exprs[last].div != 1:
        return None  # formats whose innermost coordinates stand apart: so would the lanes
    level, size, lanes = fmt.levels[last], fmt.exprs[last].mod, isa.vector_bytes // 4
    if fmt.exprs[last].dim == roles.row_dim:
        return "rows" if level.is_dense and size >= 4 and size & (size - 1) == 0 else None
    if level.kind in ("compressed", "loose_compressed"):
        return "entries" if isa.vector_bytes >= _MASKED_BYTES else None
    if level.is_dense:
        return "dot" if size in (4, 8, 16) or (size % lanes == 0 and 0 < size <= MOST_VECTORS * lanes) else None
    permutes = has_permute(str(element), (lanes,), isa.vector_bytes)
    return "gather" if (roles.gathers or roles.shares_groups) and level.h <= lanes and permutes else None


@dataclasses.dataclass(frozen=True)
class LaneTile(RegisterTile):
    """Accumulators for one column of some rows."""

    kind: str = "dot"
    isa_lanes: int = 8

    @property
    def lanes(self) -> int:
        """Elements of one accumulator."""
        last = len(self.roles.format.levels) - 1
        size = self.roles.format.exprs[last].mod
        if self.kind == "entries":
            return 4 * self.isa_lanes // bytes_of(self.element)
        in_one = size if size in (4, 8, 16) else self.isa_lanes  # longer runs are several vectors
        return {"rows": self.windows.get(last, 0), "dot": in_one}.get(self.kind, self.isa_lanes)

    @property
    def period(self) -> int:
        """Neighbouring elements of ``gather`` that belong to several rows, the same ones again after them; else 0."""
        return self.rows * self.roles.format.levels[-1].g if self.kind == "gather" and self.roles.inner else 0

    @property
    def sums(self) -> int:
        """Accumulators per chain."""
        if self.period:
            return max(1, self.period // self.lanes)
        return self.rows // self.lanes if self.kind == "rows" else self.rows

    @property
    def chains(self) -> int:
        """Partial sums kept per accumulator: half of a column tile's, for every step does other work too."""
        if self.kind == "entries":
            return 1  # gathering takes longer than adding
        return max(1, CHAINS // (2 * self.sums))

    @property
    def widens(self) -> bool:
        """Only quantised ones: values are read once, many at a time, and others are converted in the register."""
        return isinstance(self.values, Stored) and self.values.quantized is not None

    @property
    def exact_terms(self) -> int | None:
        """Products of a row that its accumulators hold exactly: lanes take turns."""
        most = self.arithmetic.most_terms
        return most and most * (1 if self.kind == "rows" else self.lanes)

    @property
    def pad(self) -> int:
        """Elements of the panel that may be read past its end."""
        return self.isa_lanes * (2 if self.pairs else 1) if self.kind == "gather" else 0

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
        fmt, entries = self.roles.format, self.block
        if self.kind != "gather" or not self.pairs or (self.period and self.period % self.lanes == 0):
            return False
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
        if not self._stream({}, _no_leaf).cuts(1, block):
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
        stream = _LaneStream(
            self.storage,
            self.roles,
            self.windows,
            window_at,
            self.multiple,
            1,
            leaf=_no_leaf,
            tile=self,
            type=type_,
            panel=at.panel,
        )
        sums = run_stream(stream, at, span, [zero] * (self.sums * self.chains))
        totals = [self._total(sums[i :: self.sums]) for i in range(self.sums)]
        if self.period:
            totals = [self._per_row(totals)]
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


def _no_leaf(members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
    return accs


@dataclasses.dataclass(kw_only=True)
class _LaneStream(Stream):
    """Visits the innermost level a vector at a time."""

    tile: LaneTile
    type: ir.VectorType
    panel: Panel

    def __post_init__(self) -> None:
        self._pending: dict[int, tuple[list[Slot], Iterator[int]]] = {}
        self._turn = itertools.cycle(range(self.tile.chains))
        self._far = FarAhead.of(self.tile.values)

    def visit(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        if level < len(self.storage.format.levels) - 1:
            return super().visit(level, members, accs)
        if self.tile.kind == "gather":
            return self._gather(level, members, accs)
        if self.tile.kind == "rows":
            return self._across_rows(level, members, accs)
        if self.tile.kind == "entries":
            return self._entries(level, members, accs)
        out, size, lanes = list(accs), self.storage.format.exprs[level].mod, self.tile.lanes
        for first in range(0, size, lanes):
            base = next(self._turn) * self.tile.sums
            for m in members:
                x = self.panel.row(self.type, m.run_time_red, m.red_offset + first)
                values = self._values(m, m.position.child(size, first))
                out[base + m.row] = vector.fma(values, x, out[base + m.row])
        return out

    def _group(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        if not self.tile.chooses:
            return super()._group(level, members, accs)
        g = self.storage.format.levels[level].g
        for slot in range(g):
            accs = self.visit(level + 1, [m.choose(level, m.position.child(g, slot)) for m in members], accs)
        return accs

    def _across_rows(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        out, base, lanes = list(accs), next(self._turn) * self.tile.sums, self.tile.lanes
        for m in self._rows(level, members)[::lanes]:
            at = base + m.row // lanes
            x = vector.broadcast(self.type, self._element(m.run_time_red, m.red_offset))
            out[at] = vector.fma(self._values(m, m.position), x, out[at])
        return out

    def _entries(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        out = list(accs)
        for m in members:
            out[m.row] = add_entries(self.storage, self.tile.arithmetic, self.panel, level, m, out[m.row])
        return out

    def _values(self, m: Member, position: Position) -> ir.Value:
        self._far.ask(position)
        return self.tile.values.vector(self.type, self.tile.member(m.row), position.value)

    def _element(self, red: Index, offset: int) -> ir.Value:
        one = self.panel.row(ir.VectorType.get([1], self.type.element_type), red, offset)
        return vector.extract(one, [], [0])

    def _gather(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        g = self.storage.format.levels[level].g
        reach = self.tile.roles.reach if self.tile.chooses else self.storage.format.levels[level].h
        out, shared = list(accs), bool(self.tile.period)
        for m in members:
            first = 0 if shared else m.row
            turns = range(first, len(accs), 1 if shared else self.tile.sums)
            pending, turn = self._pending.setdefault(first, ([], itertools.cycle(turns)))
            red = m.run_time_red
            for slot in range(g):
                at = m.choose(level, m.position.child(g, slot))
                pending.append(Slot(at.chosen, red, m.red_offset))
                if len(pending) == self.tile.lanes:
                    values, sums = self._values(m, dict(pending[0].chosen)[level]), next(turn)
                    gather = Gather(self.storage, self.panel, self.type, reach, self.tile.parts, self.tile.pairs)
                    out[sums] = vector.fma(values, gather(pending), out[sums])
                    pending.clear()
        return out


def lane_tile(storage: Storage, roles: Roles, tile: RegisterTile, isa: Isa) -> RegisterTile:
    """The lane tile that computes what ``tile`` would, where one suits; else ``tile``."""
    one_column = tile.variant.lanes == 1 and isinstance(tile.element, ir.FloatType)
    kind = lane_kind(roles, tile.element, isa) if one_column else None
    if kind is None or (kind == "entries" and storage.quantized):
        return tile
    lanes = isa.vector_bytes // 4
    variant = dataclasses.replace(tile.variant, strip=0) if kind == "entries" else tile.variant  # one column is near
    made = LaneTile(storage, roles, variant, tile.multiple, 1, tile.arithmetic, tile.values, kind, lanes)
    if kind == "rows" and made.lanes < 4:
        return tile
    return made if made.fits else tile
