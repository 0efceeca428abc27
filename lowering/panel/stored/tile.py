"""The register tile: accumulators of some rows by some lanes, fed by an index stream."""

import dataclasses
import enum
import itertools
import math
from collections.abc import Iterator, Sequence

from pith._mlir import ir, vector

from ... import builder as b
from ...builder import Index
from ...numbers import plus
from ...sparse.levels import Storage
from ..address import REGISTERS, registers
from ..arithmetic import Arithmetic, bytes_of, multiply_add, to_sums
from ..pack import Panel
from ..roles import Roles
from ..variant import ACCUMULATORS, BLOCK_OPERATIONS, STRIP_BYTES, Variant
from .members import Cursors, Member, Position, identity
from .runs import visit_until
from .spread import Spread, in_all_lanes
from .stream import Leaf, Stream
from .widen import Stored, Values

#: Independent chains of multiply-adds that hide the latency of one (4 cycles, two a cycle).
CHAINS = 8

#: Bytes of registers among which a strip of L1 is one block: cores that have them keep 4 Ki decoded operations (Golden
#: Cove), and take half as long for a strip, between which a loop costs 6 cycles of 110. Its multiply-adds, for half of
#: all elements. One core of Emerald Rapids, over dense torch, against blocks of 128 and half a strip: C1(2:4)->C0(2:4)
#: 2.34 to 2.48, V(4) of it 2.42 to 2.54, V(16) 2.32 to 2.39, 2:4 and 1:4 1.02x and 1.03x (4 shapes, 2026-11-22).
WIDE, STRIP_OPERATIONS = 64, 256


class Extent(enum.Enum):
    """How many coordinates of the second level a pass over rows visits: any number, a block, or less than one."""

    ANY = "any"
    BLOCK = "block"
    REST = "rest"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one register tile works.

    Attributes:
        units: coordinates of the first level, one per member of the group.
        first: row of ``results`` of the tile's first row.
        results: the chunk's results, ``(rows, lanes)``.
        begun: what sums start from, where coordinates are visited in strips.
        cursors: where the row stands in a compressed second level that is visited in strips.
        extent: what is known of the number of coordinates that are visited.
    """

    units: Sequence[Index]
    first: Index
    panel: Panel
    results: ir.Value
    begun: ir.Value
    cursors: Cursors | None = None
    extent: Extent = Extent.ANY


@dataclasses.dataclass(frozen=True)
class RegisterTile:
    """Shape of the accumulators, and how to fill them.

    Attributes:
        vectors: machine vectors per row of the tile.
        values: where the stored values are read.
        native: the processor has these registers; those of an emulated instruction set it may lack.
        spreads: rows that share nothing load several values at once and spread them (spread.py).
        near: the cache level that rows are asked for into.
    """

    storage: Storage
    roles: Roles
    variant: Variant
    multiple: int
    vectors: int
    arithmetic: Arithmetic
    values: Values
    native: bool = dataclasses.field(default=True, kw_only=True)
    spreads: bool = dataclasses.field(default=False, kw_only=True)
    near: int = dataclasses.field(default=1, kw_only=True)

    @property
    def element(self) -> ir.Type:
        """Of the accumulators."""
        return self.arithmetic.element

    @property
    def panel_element(self) -> ir.Type:
        """Of the panels."""
        return self.element

    @property
    def weight(self) -> int:
        """Instructions that multiply, per element and row."""
        return self.vectors

    @property
    def register_bytes(self) -> int:
        """Of a machine vector, or less where the tile is narrower."""
        return self.variant.lanes * bytes_of(self.element) // self.vectors

    @property
    def widens(self) -> bool:
        """True when values are converted a strip at a time before they are read."""
        return isinstance(self.values, Stored) and self.values.narrow

    @property
    def turns(self) -> int:
        """How many tiles the rows of a window are computed in, one after the other, by code that knows which."""
        return self.roles.turns(self.variant.rows) if self.variant.lanes > 1 else 1

    @property
    def windows(self) -> dict[int, int]:
        """Per inner row level, how many of its coordinates are in the tile, or in all of its turns."""
        return self.roles.windows(self.variant.rows * self.turns)

    @property
    def group(self) -> int:
        """Units of the first level in the tile."""
        return self.roles.group(self.variant.rows)

    @property
    def rows(self) -> int:
        """Rows in the tile."""
        return self.group * math.prod(self.windows.values()) // self.turns

    @property
    def chains(self) -> int:
        """Partial sums kept per accumulator."""
        return max(1, CHAINS // (self.rows * self.vectors))

    @property
    def exact_terms(self) -> int | None:
        """Products of a row that its accumulators hold exactly, None for any number."""
        return self.arithmetic.most_terms

    @property
    def pad(self) -> int:
        """Rows of the panel that may be read past its end."""
        return 0

    @property
    def type(self) -> ir.VectorType:
        """Of one row of the tile."""
        return ir.VectorType.get([self.variant.lanes], self.element)

    @property
    def pieces(self) -> list[tuple[int, ir.VectorType]]:
        """First lane and type of the accumulators of one row: the powers of two that make up the lanes.

        LLVM keeps vectors of other lengths in memory: with 48 or 56 lanes CSR ran at a fifth of its speed.
        """
        out, first = [], 0
        for bit in reversed(range(self.variant.lanes.bit_length())):
            if self.variant.lanes >> bit & 1:
                out.append((first, ir.VectorType.get([1 << bit], self.element)))
                first += 1 << bit
        return out

    @property
    def block(self) -> int:
        """Coordinates of the second level that are unrolled together."""
        return self._stream({}, lambda _, accs: accs).block(1, self.group)

    @property
    def divisor(self) -> int:
        """What is known to divide the number of coordinates of the second level."""
        return self._stream({}, lambda _, accs: accs).divisor(1)

    def _stream(self, window_at: dict[int, Index], leaf: Leaf, turn: int = 0) -> Stream:
        # Strips are whole blocks: of two or more, what rounding down wastes of L1 is little. C1(2:4)->C0(2:4) gains
        # 1.05x over blocks of half the length. Every turn unrolls a block: four that long no longer fit the decoded
        # instructions, and V(4)C1(2:4)->C0(2:4) loses 1.15x (Zen 3, 64 lanes, 2026-11).
        wide = self.register_bytes == WIDE
        held = STRIP_BYTES // (self.variant.lanes * bytes_of(self.panel_element))
        longest = held // (1 if wide else max(2, self.turns))
        turns = turn, self.turns
        sizes = self.windows, window_at, self.multiple, self.weight
        most = STRIP_OPERATIONS if wide else BLOCK_OPERATIONS
        return Stream(self.storage, self.roles, *sizes, leaf, longest, turns, self.chains, most)

    def row_offsets(self, turn: int = 0) -> list[int]:
        """Row of the output per row of the tile, counted from the window's first."""
        offsets = [g * self.roles.unit for g in range(self.group)]
        for level, window in self.windows.items():
            step = self.roles.format.exprs[level].div
            offsets = [o + i * step for o in offsets for i in range(window)]
        return offsets[turn * self.rows :][: self.rows]

    def visit(self, at: Place, window_at: dict[int, Index], span: tuple[Index, Index] | None, turn: int = 0) -> None:
        """Add the products of the tile's rows to their results, or store them when ``span`` is None.

        Args:
            at: where the rows, the panel and the results are.
            window_at: which window of each inner row level that has several.
            span: coordinates of the second level to visit, None for all levels' whole extent.
            turn: which rows of the window.
        """
        pieces = self.pieces
        places = [(b.value(b.add(at.first, row)), *piece) for row in self.row_offsets(turn) for piece in pieces]
        begun = span is not None and self.arithmetic.sums == self.element
        zeros = [vector.broadcast(type_, b.zero_of(self.element)) for _, type_ in pieces] * self.rows
        accs = [vector.load(type_, at.begun, [row, b.value(lane)]) for row, lane, type_ in places] if begun else zeros
        stream = self._stream(window_at, self.leaf(at, len(places)), turn)
        sums = run_stream(stream, at, span, self.entered(accs) + zeros * (self.chains - 1))
        totals = self.left([self._total(sums[i :: len(places)]) for i in range(len(places))])
        for total, (row, lane, _) in zip(totals, places):
            where = [row, b.value(lane)]
            if span is not None and not begun:
                total = plus(vector.load(total.type, at.begun, where), total)
            vector.store(total, at.results, where)

    def next_chain(self) -> Iterator[int]:
        """Which partial sums the next element is added to."""
        return itertools.cycle(range(self.chains))

    def entered(self, sums: list[ir.Value]) -> list[ir.Value]:
        """Sums of columns in order, as registers hold them."""
        return sums

    def left(self, sums: list[ir.Value]) -> list[ir.Value]:
        """Sums as registers hold them, of columns in order."""
        return sums

    def leaf(self, at: Place, count: int) -> Leaf:
        """What multiplies elements that the stream has reached; a chain has ``count`` sums."""
        pieces, chain = self.pieces, self.next_chain()
        values = Spread(self.values, self.element, self.register_bytes // bytes_of(self.element))

        def leaf(members: Sequence[Member], inner: list[ir.Value]) -> list[ir.Value]:
            out, base, loaded = list(inner), next(chain) * count, {}
            keys = [(identity(m.red), *map(identity, m.picked), m.red_offset) for m in members]
            after = self._before(members, inner) if len(set(keys)) == 1 else []
            alone = self.spreads and len(set(keys)) == len(keys)
            for m, key in zip(members, keys):
                if key not in loaded:
                    loaded[key] = at.panel.pieces(pieces, m.red, m.red_offset, m.picked, self.rows > 1, after)
                stored = values.read(self.member(m.row), m.position, alone)
                for i, x in enumerate(loaded[key], base + m.row * len(pieces)):
                    out[i] = multiply_add(in_all_lanes(x.type, stored), x, out[i])
            return out

        return leaf

    def _before(self, members: Sequence[Member], accs: Sequence[ir.Value]) -> list[ir.Value]:
        """The registers that LLVM computes before it loads the panel's row of some members, if it is to keep an order.

        In nested formats it works far ahead else. Where rows share, it loads rows of the panel and spills them:
        C1(2:4)->V(4)C0(2:4) takes 0.86 to 0.93 of the time. Where such a row is one register and innermost groups hold
        several elements, it spills addresses: 16 columns of f32 C1(2:4)->C0(2:4) take 0.89 to 0.91 (5 shapes), bf16
        0.98, C1(4:6)->C0(2:4) 0.98. C1(2:4)->C0(1:4) would take 1.07 (a core of Emerald Rapids, 2026-11-23).
        """
        alone = len(members) == 1 and (self.vectors > 1 or self.storage.format.levels[-1].g < 2)
        if alone or len(members[0].picked) < 2 or not self.native or self.register_bytes not in REGISTERS:
            return []
        cut = registers(accs, self.register_bytes // bytes_of(self.element))
        return cut if len(cut) <= ACCUMULATORS[32 if self.register_bytes == WIDE else 16] else []

    def member(self, row: int) -> int:
        """Which member of the group a row of the tile belongs to."""
        return row // (self.rows // self.group)

    def put(self, total: ir.Value, results: ir.Value, where: Sequence[ir.Value], more: bool) -> None:
        """Store a total, or add it to what is there when ``more``."""
        if more:
            total = plus(vector.load(total.type, results, where), total)
        vector.store(total, results, where)

    def _total(self, parts: list[ir.Value]) -> ir.Value:
        """The sum of an accumulator's partial sums, in pairs and in the type of the results."""
        parts = [to_sums(part, self.arithmetic.sums) for part in parts]
        while len(parts) > 1:
            pairs = [plus(x, y) for x, y in zip(parts[::2], parts[1::2])]
            parts = pairs + parts[2 * len(pairs) :]
        return parts[0]


def run_stream(stream: Stream, at: Place, span: tuple[Index, Index] | None, accs: list[ir.Value]) -> list[ir.Value]:
    """Visit the levels below the rows of a tile, coordinates ``span`` of the second level when it is given."""
    members = [Member(i, Position(unit)) for i, unit in enumerate(at.units)]
    if span is None:
        return stream.visit(1, members, accs)
    if at.cursors:
        return visit_until(stream, 1, members[0], at.cursors, span[1], accs)
    if at.extent is Extent.BLOCK:
        return dataclasses.replace(stream, is_block=True).unrolled_block(1, members, span[0], accs)
    if at.extent is Extent.REST:
        return stream.rest(1, members, *span, accs)
    return stream.range(1, members, *span, accs)
