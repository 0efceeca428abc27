"""Fetching values far down the buffer of a product with one column, which waits for memory."""

import dataclasses

from pith._mlir import arith, ir, memref

from ... import builder as b
from ..ahead import SECOND_LEVEL
from ..arithmetic import CACHE_LINE, bytes_of
from .members import Position
from .widen import Stored, Values

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
