"""How a tile lies in shared memory: 16-byte chunks, permuted or padded so that the banks are all busy.

Shared memory has 32 banks of 4 bytes, so 8 chunks of 16 bytes are served at once. Threads write chunks of a row that
follow each other, and read one chunk of each of 8 rows (``ldmatrix``): both must meet 8 different places modulo 8.
A row of at least 8 chunks, or a power of two below, is permuted by an exclusive or with its row number and wastes
nothing; other rows are padded to an odd number of chunks, which keeps reads free of conflicts.
"""

import dataclasses

from pith._mlir import arith

from ... import builder as b
from ...builder import Index

#: Bytes one thread copies or reads at once, and what ldmatrix takes as a row.
CHUNK_BYTES = 16
#: Where the widest swizzle begins again: 8 rows of 128 bytes. Hardware that computes swizzled addresses starts here.
SWIZZLE_BYTES = 8 * 128


@dataclasses.dataclass(frozen=True)
class Swizzle:
    """Chunk ``c`` of row ``r`` is at ``c ^ (((r >> shift) % 2**bits) << up)`` of that row.

    Example:
        >>> s = Swizzle(shift=1, bits=2)
        >>> [[s.place(r, c) for c in range(4)] for r in (0, 1, 2, 7)]
        [[0, 1, 2, 3], [0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]]
    """

    shift: int = 0
    bits: int = 0
    up: int = 0

    def place(self, row: int, chunk: int) -> int:
        """Where chunk ``chunk`` of row ``row`` is, in chunks."""
        return chunk ^ ((row >> self.shift) % (1 << self.bits) << self.up)

    def emit(self, row: Index, chunk: Index) -> Index:
        """:meth:`place` of values known in the kernel."""
        if not self.bits:
            return chunk
        if isinstance(row, int) and isinstance(chunk, int):
            return self.place(row, chunk)
        turn = b.mul(b.mod(b.div(row, 1 << self.shift), 1 << self.bits), 1 << self.up)
        return arith.xori(b.value(chunk), b.value(turn))


NO_SWIZZLE = Swizzle()


def layout_of(chunks: int, apart: int = 1) -> tuple[int, Swizzle]:
    """(chunks from row to row, swizzle) for rows of ``chunks`` chunks.

    Readers of 8 rows meet different banks. With ``apart`` = 2 they are readers of 2 neighbouring chunks of 4 rows.

    Example:
        >>> layout_of(8), layout_of(4)
        ((8, Swizzle(shift=0, bits=3, up=0)), (4, Swizzle(shift=1, bits=2, up=0)))
        >>> [layout_of(chunks)[0] for chunks in (3, 6, 24)]
        [3, 7, 24]
    """
    if chunks % 8 == 0:
        return chunks, Swizzle(0, 3) if apart == 1 else Swizzle(0, 2, 1)
    if apart == 1 and chunks in (1, 2, 4):
        bits = chunks.bit_length() - 1
        return chunks, Swizzle(3 - bits, bits)
    # Padded: rows then start an odd number of chunks apart, or (in pairs) an odd number of pairs.
    pitch = -(-chunks // apart) * apart
    return pitch if pitch // apart % 2 else pitch + apart, NO_SWIZZLE
