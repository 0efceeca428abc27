"""Words of bits, as constants and as masks of vectors."""

from pith._mlir import arith, ir, vector


def word(x: int) -> ir.Value:
    """A constant ``i64`` with the bits of ``x``."""
    return arith.constant(ir.IntegerType.get_signless(64), x - (x >> 63 << 64))


def repeated(field: int, width: int, count: int) -> int:
    """``count`` fields of ``width`` bits that all hold ``field``.

    >>> f"{repeated(0b01, 2, 4):b}"
    '1010101'
    """
    return sum(field << i * width for i in range(count))


def as_mask(bits: ir.Value, lanes: int) -> ir.Value:
    """The lowest ``lanes`` bits of a word as a vector of booleans."""
    short = arith.trunci(ir.IntegerType.get_signless(lanes), bits)
    one = vector.broadcast(ir.VectorType.get([1], short.type), short)
    return vector.bitcast(ir.VectorType.get([lanes], ir.IntegerType.get_signless(1)), one)
