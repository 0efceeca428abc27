"""Fetching what is read later: rows that are packed next while this is multiplied, and values far down the buffer."""

import dataclasses
from collections.abc import Callable

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index
from .arithmetic import CACHE_LINE, bytes_of, whole_bytes
from .members import Position
from .walk import Walk
from .widen import Stored, Values

#: How near to the core: into the second level, where panels are packed from.
SECOND_LEVEL = 2

#: Cache lines that are asked for one by one; more take a loop. Narrow panels have strips of 96, a fifth of all ops.
MOST_LINES = 8

#: Bytes between a value that one column is multiplied with and the one that is asked for. Such products wait for
#: memory: rows are a page or less, and at its end the hardware begins anew. 4096x4096x1 over dense torch, one and two
#: threads of Emerald Rapids without, and with 16, 32, 64 and 128 KiB: C1(2:4)->C0(2:4) 3.2, 4.1, 3.9, 3.9, 3.9 and 2.3,
#: 2.8, 2.9, 2.8, 2.8; V(4) of it 2.7, 3.9, 3.9, 4.1, 4.0 and 1.9, 3.0, 3.0, 3.0, 2.9; 2:4 1.66, 1.76, 1.82, 1.87, 1.87
#: and 1.43, 1.40, 1.54, 1.55, 1.47 (2026-11-22).
_FAR_BYTES = 64 << 10

#: Bytes of values from which on that pays. Hot ones, that L3 or L2 holds, lose: 1, 4 and 8 MiB of V(16)C0(2:16) and
#: V(4)C0(2:4) up to 18, 10 and 8 %; 8 MiB between products that read others gain 1.1x to 1.45x (as above). Quantised
#: ones, which wait for their decoding, gain at any size: 1, 2 and 8 MiB of int4 in 2:4 1.04x, 1.05x and 1.03x when hot,
#: 8 MiB between others 1.28x (2026-11-23).
_FAR_LEAST = 8 << 20


@dataclasses.dataclass(frozen=True)
class Ahead:
    """The rows that the panel which follows a panel is packed from.

    Every unrolled block of every register tile fetches one of them, so as many tiles as a block has contracted
    coordinates fetch them all.

    Attributes:
        source: ``(reds, cols)``.
        reds: which rows are packed.
        distance: columns from a panel to the one that follows it.
        lanes: columns of a panel.
    """

    source: ir.Value
    reds: Walk
    distance: Index
    lanes: int

    def fetch(self, tile: Index, blocks: Index, column: Index) -> Callable[[Index], None]:
        """What asks for the row that falls to a block of a register tile; after the last row for that row again.

        Args:
            tile: number of the tile among those that meet the panel.
            blocks: of a tile.
            column: the first of the panel that is multiplied.
        """
        before, last = b.mul(tile, blocks), b.sub(self.reds.count, 1)
        step = CACHE_LINE // bytes_of(self.source.type.element_type)

        def row(block: Index) -> None:
            red = b.value(self.reds.at(b.minimum(b.add(before, block), last)))
            for lane in range(0, self.lanes, step):
                at = b.value(b.add(b.add(column, self.distance), lane))
                memref.prefetch(self.source, [red, at], False, SECOND_LEVEL, True)

        return row


@dataclasses.dataclass(frozen=True)
class FarAhead:
    """Stored values far behind those that are read.

    Attributes:
        buffer: of the values; None where those that are read were converted before, beside it.
        short: whether its values are too few for that; None: never.
        bits: of a value.
    """

    buffer: ir.Value | None
    short: ir.Value | None = None
    bits: int = 8

    @classmethod
    def of(cls, values: Values) -> "FarAhead":
        """What follows ``values``."""
        if not isinstance(values, Stored):
            return cls(None)
        element = values.buffer.type.element_type
        if values.quantized:
            return cls(values.buffer, None, values.quantized.bits)
        return cls(values.buffer, b.less(b.dim_size(values.buffer, 0), _FAR_LEAST // bytes_of(element)), element.width)

    def ask(self, position: Position) -> None:
        """Ask for the line that far behind ``position``, once per line of an unrolled block.

        Of a short buffer for its first lines, which are near: asking for what is about to be read costs L2 20 %.
        """
        if self.buffer is None or position.offset * self.bits // 8 % CACHE_LINE:
            return
        per = max(1, 8 // self.bits)  # values of an element of the buffer
        far = b.add(b.div(b.mul(position.base, position.scale), per), _FAR_BYTES * 8 // (self.bits * per))
        if self.short is not None:
            far = arith.select(self.short, b.value(0), b.value(far))
        memref.prefetch(self.buffer, [b.value(b.add(far, position.offset // per))], False, SECOND_LEVEL, True)


def ask(buffer: ir.Value, first: Index, count: int, bits: int, place: Callable[[Index], Index] | None = None) -> None:
    """Ask for ``count`` elements of ``bits`` bits from element ``first`` on; ``place`` says where an element is."""
    line = CACHE_LINE * 8 // bits
    place = place or (lambda at: at if bits >= 8 else whole_bytes(at, bits))

    def line_of(at: Index) -> None:
        memref.prefetch(buffer, [b.value(place(b.add(first, at)))], False, 3, True)

    if count > MOST_LINES * line:
        b.for_loop(0, count, line_of, step=line, rolled=True)
        return
    for at in range(0, count, line):
        line_of(at)
