"""Walk the levels of a stored tensor: the index stream every sparse kernel on the CPU follows.

:func:`walk` emits the loop nest that visits the stored elements of one tensor in storage order
and hands each one's position and coordinates to a leaf. It knows every level kind at every
depth, so any nesting of formats is one code path (see the storage contract in
:mod:`pith.formats.format`).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, math, memref
from pith.formats import Format, buffer_specs

from .. import builder as b
from ..builder import Index
from ..quantized import Quantized
from .words import load_word

#: Attribute of an encoded argument, and of the ``pith.assemble`` that it becomes: the share of elements that is stored.
DENSITY_ATTRIBUTE = "pith.density"


@dataclasses.dataclass(frozen=True)
class Storage:
    """The buffers of one encoded tensor as memrefs, with its format, level sizes and sizes.

    ``quantized`` says what the values stand for when they are not the elements themselves, ``density`` what share of
    all elements is stored where that is known.
    """

    format: Format
    level_sizes: tuple[Index, ...]
    metadata: dict[tuple[int, str], ir.Value]
    values: ir.Value
    sizes: tuple[Index, ...] = ()
    quantized: Quantized | None = None
    density: float | None = None


@dataclasses.dataclass(frozen=True)
class Cursor:
    """Where a walk is: position in the level above, and the coordinates gathered so far per dimension."""

    level: int
    position: Index
    coords: tuple[Index, ...]


#: ``step(cursor, carried) -> carried`` continues a walk below a cursor.
Step = Callable[[Cursor, list[ir.Value]], list[ir.Value]]


def storage_of(fmt: Format, sizes: Sequence[Index], buffers: Sequence[ir.Value]) -> Storage:
    """View the 1-D tensors of an assembled value as read-only memrefs."""
    memrefs = [b.buffer_of(t) for t in buffers]
    keys = [(s.level, s.role) for s in buffer_specs(fmt)]
    return Storage(fmt, level_sizes(fmt, sizes), dict(zip(keys, memrefs)), memrefs[-1], tuple(sizes))


def level_sizes(fmt: Format, sizes: Sequence[Index]) -> tuple[Index, ...]:
    """Number of coordinates of every level for a tensor of ``sizes``."""
    out = [e.mod or b.ceildiv(sizes[e.dim], e.div) for e in fmt.exprs]
    if fmt.diagonal is not None:
        level = fmt.levels[fmt.diagonal]
        band = level.kind == "band"
        out[fmt.diagonal] = level.lower + level.upper + 1 if band else b.sub(b.add(*sizes), 1)
    return tuple(out)


def start(fmt: Format) -> Cursor:
    """The cursor above the first level."""
    return Cursor(0, 0, (0,) * fmt.rank)


def walk(
    storage: Storage, cursor: Cursor, leaf: Step, carried: Sequence[ir.Value] = (), until: int | None = None
) -> list[ir.Value]:
    """Emit loops over the levels from ``cursor.level`` to ``until`` (default: all), then ``leaf``.

    The leaf sees the position in the last visited level: at the end that is the index into values.
    """
    carried = list(carried)
    if cursor.level == (len(storage.format.levels) if until is None else until):
        return leaf(cursor, carried)

    def below(child: Cursor, inner: list[ir.Value]) -> list[ir.Value]:
        return walk(storage, child, leaf, inner, until)

    return visit_level(storage, cursor, below, carried)


def visit_level(storage: Storage, cursor: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    """Emit the loop over the level of ``cursor`` alone; ``below`` gets the cursor one level down."""
    kind = storage.format.levels[cursor.level].kind
    return _LEVELS[kind](storage, cursor, below, carried)


def descend(storage: Storage, cursor: Cursor, position: Index, coord: Index) -> Cursor:
    """The cursor one level down, at ``coord`` of the present level."""
    fmt = storage.format
    expr = fmt.exprs[cursor.level]
    coords = list(cursor.coords)
    step = b.mul(coord, expr.div) if expr.minus is None else b.add(coord, lowest_diagonal(storage))
    coords[expr.dim] = b.add(coords[expr.dim], step)
    if fmt.diagonal is not None and expr.minus is None:
        other = fmt.exprs[fmt.diagonal].dim  # the coordinate there is that of this dimension plus the diagonal
        coords[other] = b.add(coords[other], step)
    return Cursor(cursor.level + 1, position, tuple(coords))


def lowest_diagonal(storage: Storage) -> Index:
    """The diagonal that is coordinate 0 of its level."""
    at = storage.format.diagonal or 0
    level, expr = storage.format.levels[at], storage.format.exprs[at]
    return -level.lower if level.kind == "band" else b.sub(1, storage.sizes[expr.minus or 0])


def _extent(storage: Storage, at: Cursor) -> tuple[Index, Index]:
    """The coordinates of a dense level to visit: all, but those of diagonals that are inside the matrix."""
    size, fmt = storage.level_sizes[at.level], storage.format
    if fmt.diagonal is None or at.level != len(fmt.levels) - 1:
        return 0, size
    dim = fmt.exprs[fmt.diagonal].dim
    first = at.coords[dim]  # of the element at coordinate 0
    if at.level == fmt.diagonal:
        first = b.add(first, lowest_diagonal(storage))
    return b.overlap(first, size, storage.sizes[dim])


def _dense(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    base = b.mul(at.position, storage.level_sizes[at.level])

    def body(c: Index, *inner: ir.Value) -> list[ir.Value]:
        return below(descend(storage, at, b.add(base, c), c), list(inner))

    return b.for_loop(*_extent(storage, at), body, carried)


def _nm(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    level = storage.format.levels[at.level]
    if level.is_dense:
        return _dense(storage, at, below, carried)
    base = b.mul(at.position, level.g)
    for slot in range(level.g):
        position = b.add(base, slot)
        coord = load_coordinate(storage, at.level, position)
        carried = below(descend(storage, at, position, coord), carried)
    return carried


def _segment(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value], lo: Index, hi: Index):
    def body(q: Index, *inner: ir.Value) -> list[ir.Value]:
        coord = load_coordinate(storage, at.level, q)
        return below(descend(storage, at, q, coord), list(inner))

    return b.for_loop(lo, hi, body, carried)


def _compressed(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    positions = storage.metadata[at.level, "positions"]
    lo = b.load_index(positions, at.position)
    hi = b.load_index(positions, b.add(at.position, 1))
    return _segment(storage, at, below, carried, lo, hi)


def _loose_compressed(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    positions = storage.metadata[at.level, "positions"]
    first = b.mul(at.position, 2)
    lo = b.load_index(positions, first)
    hi = b.load_index(positions, b.add(first, 1))
    return _segment(storage, at, below, carried, lo, hi)


def _singleton(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    coord = load_coordinate(storage, at.level, at.position)
    return below(descend(storage, at, at.position, coord), carried)


def _bitmask(storage: Storage, at: Cursor, below: Step, carried: list[ir.Value]) -> list[ir.Value]:
    """Visit the bits that are set, a word at a time: no branch depends on a bit, only how often a word is visited."""
    bits, first = storage.metadata[at.level, "bits"], storage.metadata[at.level, "positions"]
    span = b.ceildiv(storage.level_sizes[at.level], 8)
    base, one = b.mul(at.position, span), arith.constant(_word(), 1)

    def visit_word(w: Index, q: ir.Value, *inner: ir.Value) -> list[ir.Value]:
        def visit_bit(_: Index, rest: ir.Value, q: ir.Value, *inner: ir.Value) -> list[ir.Value]:
            c = b.add(b.mul(w, 64), arith.index_castui(ir.IndexType.get(), math.cttz(rest)))
            after = below(descend(storage, at, q, c), list(inner))
            return [arith.andi(rest, arith.subi(rest, one)), b.value(b.add(q, 1)), *after]

        byte = b.mul(w, 8)
        word = _bits(bits, b.add(base, byte), b.sub(span, byte), whole=isinstance(span, int) and span % 8 == 0)
        count = arith.index_castui(ir.IndexType.get(), math.ctpop(word))
        return b.for_loop(0, count, visit_bit, [word, q, *inner])[1:]

    return b.for_loop(0, b.ceildiv(span, 8), visit_word, [b.load_index(first, at.position), *carried])[1:]


def _word() -> ir.Type:
    return ir.IntegerType.get_signless(64)


def _bits(buffer: ir.Value, byte: Index, left: Index, whole: bool) -> ir.Value:
    """Eight bytes from ``byte`` on as a word, lowest bits first; zeros for those beyond ``left``."""

    def load() -> list[ir.Value]:
        return [arith.index_castui(_word(), load_word(buffer, byte, 8))]

    def gather() -> list[ir.Value]:
        def shift_in(i: Index, word: ir.Value) -> list[ir.Value]:
            read = arith.index_castui(_word(), b.load_index(buffer, b.add(byte, i)))
            return [arith.ori(word, arith.shli(read, arith.index_castui(_word(), b.value(b.mul(i, 8)))))]

        return b.for_loop(0, left, shift_in, [arith.constant(_word(), 0)])

    if whole or isinstance(left, int):
        return (load if whole or left >= 8 else gather)()[0]
    enough = arith.cmpi(arith.CmpIPredicate.uge, b.value(left), b.value(8))
    return b.if_else(enough, load, gather, [_word()])[0]


_LEVELS = {
    "dense": _dense,
    "nm": _nm,
    "compressed": _compressed,
    "loose_compressed": _loose_compressed,
    "singleton": _singleton,
    "bitmask": _bitmask,
    "band": _dense,
}


def load_coordinate(storage: Storage, level: int, entry: Index) -> ir.Value:
    """Coordinate number ``entry`` of ``level``, unpacked from its byte when it is narrower than one."""
    buffer = storage.metadata[level, "coordinates"]
    width = storage.format.coord_bits(level)
    if width >= 8:
        return b.load_index(buffer, entry)
    per_word = 8 // width
    word_at = b.div(entry, per_word)
    slot = b.sub(entry, b.mul(word_at, per_word))
    return _extract(b.load_index(buffer, word_at), b.mul(slot, width), width)


def _extract(word: ir.Value, shift: Index, width: int) -> ir.Value:
    shifted = word if isinstance(shift, int) and shift == 0 else arith.shrui(word, b.value(shift))
    return arith.andi(shifted, b.value(2**width - 1))


def inside(storage: Storage, coords: Sequence[Index]) -> ir.Value | None:
    """Whether an element is in the tensor, not beyond the edge of a padded one; None when it cannot be beyond."""
    checks = []
    for size, divisor, coord in zip(storage.sizes, storage.format.divisors(), coords):
        if storage.format.padded and not (isinstance(size, int) and size % divisor == 0):
            checks.append(arith.cmpi(arith.CmpIPredicate.ult, b.value(coord), b.value(size)))
    return functools.reduce(arith.andi, checks) if checks else None


def load_value(storage: Storage, position: Index) -> ir.Value:
    """The element stored at ``position``."""
    if storage.quantized:
        return storage.quantized.scalar(position)
    return memref.load(storage.values, [b.value(position)])
