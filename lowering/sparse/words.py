"""Words of packed coordinates: several bytes loaded at once."""

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index

#: What :func:`load_bits` loads at most: one byte more and a shift are still an index.
SHIFTED_BYTES = 4


def piece(span: int, byte: int, most: int = 8) -> tuple[int, int]:
    """First byte and size of the word that holds ``byte`` when ``span`` bytes are cut into 8, 4, 2 and 1.

    Args:
        most: the largest size.

    >>> [piece(7, i) for i in (0, 3, 4, 6)]
    [(0, 4), (0, 4), (4, 2), (6, 1)]
    """
    first = 0
    while True:
        size = next(s for s in (8, 4, 2, 1) if s <= min(most, span - first))
        if byte < first + size:
            return first, size
        first += size


def load_word(buffer: ir.Value, byte: Index, size: int) -> ir.Value:
    """``size`` bytes from ``byte`` on as an index, little-endian."""
    if size == 1:
        return b.load_index(buffer, byte)
    i8 = ir.IntegerType.get_signless(8)
    loaded = vector.load(ir.VectorType.get([size], i8), buffer, [b.value(byte)])
    word = vector.bitcast(ir.VectorType.get([1], ir.IntegerType.get_signless(8 * size)), loaded)
    element = vector.extract(word, [], [0])
    return arith.index_castui(ir.IndexType.get(), element)


def load_bits(buffer: ir.Value, base: Index, first: int, count: int) -> ir.Value:
    """``count`` bits of bytes, little-endian, from bit ``base`` and ``first`` bytes on; whatever is above them.

    ``base`` may be inside a byte, then the bits reach into one byte more than they fill. Their last byte is read by
    itself and put behind those. It is the last of those again where they have all bits, and nobody reads the copy.
    Nothing is read that has none of the bits.
    """
    size = -(-count // 8)
    word = load_word(buffer, b.add(b.div(base, 8), first), size)
    last = load_word(buffer, b.div(b.add(base, 8 * first + count - 1), 8), 1)
    word = arith.ori(word, arith.shli(last, b.value(8 * size)))
    return arith.shrui(word, b.value(b.mod(base, 8)))
