"""Words of packed coordinates: several bytes loaded at once."""

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index


def piece(span: int, byte: int) -> tuple[int, int]:
    """First byte and size of the word that holds ``byte`` when ``span`` bytes are cut into 8, 4, 2 and 1.

    >>> [piece(7, i) for i in (0, 3, 4, 6)]
    [(0, 4), (0, 4), (4, 2), (6, 1)]
    """
    first = 0
    while True:
        size = next(s for s in (8, 4, 2, 1) if s <= span - first)
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
