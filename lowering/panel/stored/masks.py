"""Entries that rows share in part: a column of some rows, with a mask of those that have it.

The rows of a group list their columns together, ``d1 : compressed(nonordered), d0 mod 4 : bitmask``. One load of the
panel serves every row that has the column. Packers put entries with the same mask side by side, so which rows those are
is known inside of a loop over them, and nothing branches on a bit. Any other order is right, too, and slower.

GF/s of masked(4) and CSR on one core of Emerald Rapids, for 3072x768x128 and 4096x4096x32: half stored 100, 84 and
67, 53; 30 % 76, 77 and 56, 46; 20 % 63, 66 and 46, 45. With AVX2, whose 16 registers hold two vectors of four rows,
2048x512x256 has 37 and 49 (2026-11).
"""

import dataclasses
from typing import TYPE_CHECKING

from pith._mlir import arith, ir, math, memref, vector

from ... import builder as b
from ...sparse.levels import load_coordinate
from .members import Member, Position

if TYPE_CHECKING:
    from .stream import Stream

#: Masks that are compared at once. Against a comparison per entry, 2048x512x256 with half of its elements stored goes
#: from 91 to 97 GF/s (one core of Emerald Rapids, 2026-11).
_WORD = 64


def visit_masks(stream: "Stream", level: int, member: Member, accs: list[ir.Value]) -> list[ir.Value]:
    """Visit the entries of compressed ``level`` below ``member``, a run of one mask after the other::

        while q < end:
          for q in run of 0b0001: acc[0] += values[v] * panel[column[q]];  v += 1
          for q in run of 0b0010: acc[1] += values[v] * panel[column[q]];  v += 1
          for q in run of 0b0011: acc[0] += values[v] * ...;  acc[1] += values[v + 1] * ...;  v += 2
          ...

    How long a run is nobody foresees: 15 times per group of 4 rows, which few columns do not make up for.
    """
    positions, first = stream.storage.metadata[level, "positions"], stream.storage.metadata[level + 1, "positions"]
    at = member.position.value
    begin, end = b.load_index(positions, at), b.load_index(positions, b.add(at, 1))

    def runs(q: ir.Value, *state: ir.Value) -> list[ir.Value]:
        carried = list(state)
        for mask in range(1 << stream.windows[level + 1]):
            q, *carried = _run(stream, level, member, mask, (q, end), carried)
        return [q, *carried]

    state = [begin, b.load_index(first, begin), *accs]
    return b.while_loop(state, lambda q, *_: b.less(q, end), runs)[2:]


def _run(
    stream: "Stream", level: int, member: Member, mask: int, span: tuple[ir.Value, ir.Value], state: list[ir.Value]
) -> list[ir.Value]:
    """Visit the entries from ``span[0]`` on whose mask is ``mask``, before ``span[1]``.

    Args:
        state: position of the first of their values, accumulators.
    Returns: the next entry, and ``state`` after them.
    """
    storage = stream.storage
    rows = [row for row in range(stream.windows[level + 1]) if mask >> row & 1]

    def entry(q: ir.Value, v: ir.Value, *inner: ir.Value) -> list[ir.Value]:
        with stream.own_words():
            red = b.add(member.red, b.mul(load_coordinate(storage, level, q), storage.format.exprs[level].div))
            at = member.at(Position(q), red)
            below = [dataclasses.replace(at, row=row, position=Position(v, offset=i)) for i, row in enumerate(rows)]
            return [b.value(b.add(v, len(rows))), *stream.visit(level + 2, below, list(inner))]

    end = _end_of_run(storage.metadata[level + 1, "bits"], mask, *span)
    return [end, *b.for_loop(span[0], end, entry, state, rolled=True)]


def _end_of_run(bits: ir.Value, mask: int, begin: ir.Value, end: ir.Value) -> ir.Value:
    """The first entry from ``begin`` on whose mask is another one, or ``end``."""
    byte, word = bits.type.element_type, ir.IntegerType.get_signless(_WORD)
    wanted, none = arith.constant(byte, mask), arith.constant(word, 0)
    size = b.dim_size(bits, 0)

    def others(q: ir.Value) -> ir.Value:
        """A bit per entry from ``q`` on: it has another mask."""
        type_ = ir.VectorType.get([_WORD], byte)
        differ = arith.cmpi(arith.CmpIPredicate.ne, vector.load(type_, bits, [q]), vector.broadcast(type_, wanted))
        return vector.extract(vector.bitcast(ir.VectorType.get([1], word), differ), [], [0])

    def goes_on(q: ir.Value, found: ir.Value) -> ir.Value:
        inside = arith.cmpi(arith.CmpIPredicate.ule, b.value(b.add(q, _WORD)), b.value(size))
        return arith.andi(inside, arith.cmpi(arith.CmpIPredicate.eq, found, none))

    def step(q: ir.Value, _: ir.Value) -> list[ir.Value]:
        found = others(q)
        return [b.value(b.add(q, arith.index_castui(ir.IndexType.get(), math.cttz(found)))), found]

    def one_by_one(q: ir.Value) -> ir.Value:  # past the last whole word of the buffer
        left = arith.andi(b.less(q, end), arith.cmpi(arith.CmpIPredicate.eq, found, none))

        def same() -> list[ir.Value]:
            return [arith.cmpi(arith.CmpIPredicate.eq, memref.load(bits, [q]), wanted)]

        return b.if_else(left, same, lambda: [left], [left.type])[0]

    q, found = b.while_loop([begin, none], goes_on, step)
    (q,) = b.while_loop([q], one_by_one, lambda q: [b.value(b.add(q, 1))])
    return b.value(b.minimum(q, end))
