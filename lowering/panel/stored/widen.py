"""Where a register tile finds stored values: in the buffer itself, or widened beside it.

A scalar of 16 or 8 bits takes several instructions to become a broadcast f32, for every vector of the
tile that it is multiplied with. So the values of one strip of a row, which lie side by side, are widened
by vector code first, into memory that stays in L1; the tile then reads f32 as if they were stored so.
Formats whose rows do not lie in one piece widen scalars as they read them.
"""

import dataclasses
import functools
import math
from typing import Protocol

from pith._mlir import arith, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...quantized import Quantized
from ...sparse.levels import Storage
from ..arithmetic import Arithmetic, convert
from ..decoder import Decoder

#: Values widened at once: one register of f32 with AVX2.
_LANES = 8

#: Most bytes of widened values on the stack.
_STACK_BYTES = 32 << 10


class Values(Protocol):
    """The stored values as a register tile reads them."""

    def scalar(self, unit: int, position: Index) -> ir.Value:
        """The value at a position, which belongs to member ``unit`` of the tile's group."""
        ...

    def vector(self, type_: ir.VectorType, unit: int, position: Index) -> ir.Value:
        """As many values from a position on as ``type_`` has elements."""
        ...


@dataclasses.dataclass(frozen=True)
class Stored:
    """Values in the buffer they are stored in, converted as they are read."""

    buffer: ir.Value
    arithmetic: Arithmetic
    decoder: Decoder | None = None

    @property
    def quantized(self) -> Quantized | None:
        """What they stand for, where they are integers in groups."""
        return self.decoder.quantized if self.decoder else None

    @property
    def narrow(self) -> bool:
        """True when reading converts."""
        return self.buffer.type.element_type != self.arithmetic.element

    def scalar(self, unit: int, position: Index) -> ir.Value:
        """See :class:`Values`."""
        if self.quantized:
            return self.quantized.scalar(position)
        loaded = memref.load(self.buffer, [b.value(position)])
        return convert(loaded, self.arithmetic.element, self.arithmetic.sparse_unsigned)

    def vector(self, type_: ir.VectorType, unit: int, position: Index) -> ir.Value:
        """See :class:`Values`; quantised values are read one by one, or a group at a time by :class:`Widening`."""
        narrow = ir.VectorType.get(type_.shape, self.buffer.type.element_type)
        loaded = vector.load(narrow, self.buffer, [b.value(position)])
        return convert(loaded, self.arithmetic.element, self.arithmetic.sparse_unsigned)


@dataclasses.dataclass(frozen=True)
class Widened:
    """Values of one strip of each member's row, ``buffer[unit]``, from position ``starts[unit]`` on."""

    buffer: ir.Value
    starts: tuple[Index, ...]

    def scalar(self, unit: int, position: Index) -> ir.Value:
        """See :class:`Values`."""
        return memref.load(self.buffer, self._at(unit, position))

    def vector(self, type_: ir.VectorType, unit: int, position: Index) -> ir.Value:
        """See :class:`Values`."""
        return vector.load(type_, self.buffer, self._at(unit, position))

    def _at(self, unit: int, position: Index) -> list[ir.Value]:
        return [b.value(unit), b.value(b.sub(position, self.starts[unit]))]


@dataclasses.dataclass(frozen=True)
class Widening:
    """Widens the values of rows into ``scratch``, a strip at a time.

    Attributes:
        scratch: ``(members of the group, values of a strip)``.
        aligned: a number that divides the positions where strips begin and end.
    """

    storage: Storage
    values: Stored
    scratch: ir.Value
    aligned: int = 1

    def fill(self, units: list[Index], span: tuple[Index, Index] | None) -> Widened:
        """Widen the values of ``units`` of the first level, coordinates ``span`` of the second."""
        starts = []
        for member, unit in enumerate(units):
            start, end = _range(self.storage, unit, span)
            if self.values.decoder:
                self._copy_groups(self.values.decoder, member, start, end)
            else:
                self._copy(member, start, end)
            starts.append(start)
        return Widened(self.scratch, tuple(starts))

    def _copy(self, member: int, start: Index, end: Index) -> None:
        element = self.values.arithmetic.element
        type_ = ir.VectorType.get([_LANES], element)
        whole = b.mul(b.div(b.sub(end, start), _LANES), _LANES)

        def at(i: Index) -> list[ir.Value]:
            return [b.value(member), b.value(i)]

        def some(i: Index) -> None:
            vector.store(self.values.vector(type_, member, b.add(start, i)), self.scratch, at(i))

        def one(i: Index) -> None:
            memref.store(self.values.scalar(member, b.add(start, i)), self.scratch, at(i))

        b.for_loop(0, whole, some, step=_LANES)
        b.for_loop(whole, b.sub(end, start), one)

    def _copy_groups(self, decoder: Decoder, member: int, start: Index, end: Index) -> None:
        """As :meth:`_copy`, with one scale and zero point for the part of each group."""
        quantized = decoder.quantized
        lanes = next((n for n in (32, 16) if math.gcd(self.aligned, quantized.group) % n == 0), _LANES)
        looked_up = decoder.table is not None and lanes >= decoder.lanes
        lanes = decoder.lanes if looked_up else lanes

        def at(position: Index) -> list[ir.Value]:
            return [b.value(member), b.value(b.sub(position, start))]

        def one(p: Index) -> None:
            memref.store(quantized.scalar(p), self.scratch, at(p))

        def part(group: Index) -> None:
            first = b.mul(group, quantized.group)
            lo = arith.maxui(b.value(first), b.value(start))
            hi = b.minimum(b.add(first, quantized.group), end)
            even = lo if quantized.bits == 8 else b.minimum(b.mul(b.ceildiv(lo, 2), 2), hi)
            whole = b.add(even, b.mul(b.div(b.sub(hi, even), lanes), lanes))
            if looked_up:
                read = decoder.reader(group, decoder.order(False))
            else:
                read = functools.partial(quantized.vector, lanes, parameters=quantized.parameters(group))

            def some(p: Index) -> None:
                vector.store(read(p), self.scratch, at(p))

            b.for_loop(lo, even, one)
            b.for_loop(even, whole, some, step=lanes)
            b.for_loop(whole, hi, one)

        b.for_loop(b.div(start, quantized.group), b.ceildiv(end, quantized.group), part)


def widening(
    storage: Storage, values: Values, members: int, lo: Index, units: Index, strip: int | None
) -> Widening | None:
    """The widening of a chunk's rows: ``units`` of the first level from ``lo`` on; its memory is allocated here.

    Returns: None when values need none, or do not lie in one piece per row.
    """
    if not isinstance(values, Stored) or not values.narrow or not in_one_piece(storage):
        return None
    element = values.arithmetic.element
    size = _strip_values(storage, strip) if strip is not None else None
    aligned = size or 1
    if size is None:
        size = _largest(storage, lo, units)
    if isinstance(size, int) and members * size * element.width // 8 <= _STACK_BYTES:
        scratch = memref.alloca(ir.MemRefType.get([members, size], element), [], [], alignment=64)
    else:
        dynamic = ir.ShapedType.get_dynamic_size()
        type_ = ir.MemRefType.get([members, dynamic], element)
        scratch = memref.alloc(type_, [b.value(size)], [], alignment=64)
    return Widening(storage, values, scratch, aligned)


def _range(storage: Storage, unit: Index, span: tuple[Index, Index] | None) -> tuple[Index, Index]:
    """Positions of the values of one coordinate of the first level, or of a span of the second below it."""
    if span is None:
        return first_value(storage, 1, unit), first_value(storage, 1, b.add(unit, 1))
    base = b.mul(unit, storage.level_sizes[1])
    lo, hi = (first_value(storage, 2, b.add(base, c)) for c in span)
    return lo, hi


def in_one_piece(storage: Storage) -> bool:
    """True when the values below one position of any level are neighbours, and follow those of the position before."""
    return all(level.kind != "loose_compressed" for level in storage.format.levels)


def first_value(storage: Storage, level: int, position: Index) -> Index:
    """Position of the first value below ``position`` of the level above ``level``."""
    for i in range(level, len(storage.format.levels)):
        kind = storage.format.levels[i].kind
        if kind in ("compressed", "bitmask"):
            position = b.load_index(storage.metadata[i, "positions"], position)
        elif kind == "nm":
            position = b.mul(position, storage.format.levels[i].g)
        elif kind in ("dense", "band"):
            position = b.mul(position, storage.level_sizes[i])
    return position


def _strip_values(storage: Storage, strip: int) -> int | None:
    """Values of a strip of one row, when all have as many and the number is known now."""
    levels = storage.format.levels[2:]
    if not all(level.is_static for level in levels):
        return None
    sizes = [level.g if level.kind == "nm" else size for level, size in zip(levels, storage.level_sizes[2:])]
    return strip * math.prod(sizes) if all(isinstance(size, int) for size in sizes) else None


def _largest(storage: Storage, lo: Index, units: Index) -> Index:
    """The most values of one of the rows ``lo`` to ``lo + units``."""
    count = b.minimum(units, b.sub(storage.level_sizes[0], lo))

    def larger(u: Index, most: ir.Value) -> list[ir.Value]:
        start, end = _range(storage, b.add(lo, u), None)
        return [arith.maxui(most, b.value(b.sub(end, start)))]

    return b.for_loop(0, count, larger, [b.value(1)])[0]
