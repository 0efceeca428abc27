"""Neighbouring groups side by side in the lanes of vectors: loads that split rows into columns of groups.

A row of a tensor whose groups span ``n`` columns is, for ``lanes`` groups next to each other, ``n`` vectors
of memory. :class:`Lanes` turns them into one vector per column of the group, lane ``i`` for group ``i``, so
that what is done to one group becomes straight-line arithmetic on all of them, and back. The shuffles stay
inside of 128-bit blocks: block ``q`` of every vector is loaded from the groups it is to hold, so each
shuffle is one instruction on every x86 since SSE2.
"""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, vector

from .. import builder as b
from ..builder import Index

#: Bits of a vector (two registers' worth is no faster on AVX2) and of the blocks that shuffles stay inside of.
_VECTOR, _BLOCK = 256, 128


@dataclasses.dataclass(frozen=True)
class Lanes:
    """How many groups go side by side, and in how wide integers their elements are held."""

    count: int
    width: int

    @classmethod
    def holding(cls, *elements: ir.Type) -> "Lanes | None":
        """Lanes wide enough for numbers of these types; None where there are none."""
        widths = [bits_of(e) for e in elements]
        if None in widths:
            return None
        width = 64 if 64 in widths else 32
        return cls(_VECTOR // width, width)

    @property
    def type(self) -> ir.Type:
        """The vector that holds one element of every group."""
        return ir.VectorType.get([self.count], ir.IntegerType.get_signless(self.width))

    def load(self, source: ir.Value, at: Sequence[Index], columns: Sequence[int], stride: int) -> list[ir.Value]:
        """Bits of the elements in ``columns`` of every group, zero-extended; ``stride`` is from group to group."""
        stream = []
        for chunk in self._chunks(columns, stride):
            stream.append(_join([self._load_block(source, at, offsets) for offsets in chunk]))
        return self._split(stream)

    def store(
        self, values: Sequence[ir.Value], target: ir.Value, at: Sequence[Index], columns: Sequence[int], stride: int
    ) -> None:
        """The inverse of :meth:`load`."""
        for v, chunk in zip(self._merge(list(values)), self._chunks(columns, stride)):
            for q, offsets in enumerate(chunk):
                first = q * self._per_block
                block = vector.shuffle(v, v, list(range(first, first + self._per_block)))
                self._store_block(block, target, at, offsets)

    @property
    def _per_block(self) -> int:
        return _BLOCK // self.width

    def _chunks(self, columns: Sequence[int], stride: int) -> list[list[list[int]]]:
        """Per vector and block the offsets, along the last dimension, of what it holds of the stream of groups."""
        per = self._per_block
        n = len(columns)

        def offset(block: int, entry: int) -> int:
            return (block * per + entry // n) * stride + columns[entry % n]

        return [[[offset(q, v * per + i) for i in range(per)] for q in range(self.count // per)] for v in range(n)]

    def _load_block(self, source: ir.Value, at: Sequence[Index], offsets: Sequence[int]) -> ir.Value:
        element = source.type.element_type
        type_ = ir.VectorType.get([len(offsets)], element)
        if _is_contiguous(offsets):
            loaded = vector.load(type_, source, _moved(at, offsets[0]))
        else:
            one = ir.VectorType.get([1], element)
            parts = [vector.load(one, source, _moved(at, o)) for o in offsets]
            loaded = _join(parts)
        width = bits_of(element)
        bits = arith.bitcast(ir.VectorType.get([len(offsets)], ir.IntegerType.get_signless(width)), loaded)
        if width == self.width:
            return bits
        return arith.extui(ir.VectorType.get([len(offsets)], ir.IntegerType.get_signless(self.width)), bits)

    def _store_block(self, block: ir.Value, target: ir.Value, at: Sequence[Index], offsets: Sequence[int]) -> None:
        element = target.type.element_type
        width = bits_of(element)
        if width != self.width:
            block = arith.trunci(ir.VectorType.get([len(offsets)], ir.IntegerType.get_signless(width)), block)
        block = arith.bitcast(ir.VectorType.get([len(offsets)], element), block)
        if _is_contiguous(offsets):
            vector.store(block, target, _moved(at, offsets[0]))
            return
        for i, o in enumerate(offsets):
            vector.store(vector.shuffle(block, block, [i]), target, _moved(at, o))

    def _split(self, stream: list[ir.Value]) -> list[ir.Value]:
        """Groups of ``n`` entries one after the other in ``n`` vectors -> a vector per entry of the group."""
        n = len(stream)
        if n == 1:
            return stream
        if n % 2:
            return [self._pick(stream, lambda lane, c=c: divmod(c + n * lane, self._per_block)) for c in range(n)]
        half = self._per_block // 2
        evens, odds = [], []
        for a, c in zip(stream[::2], stream[1::2]):
            evens.append(self._shuffle(a, c, lambda i: (i >= half, 2 * (i % half))))
            odds.append(self._shuffle(a, c, lambda i: (i >= half, 2 * (i % half) + 1)))
        return [v for pair in zip(self._split(evens), self._split(odds)) for v in pair]

    def _merge(self, columns: list[ir.Value]) -> list[ir.Value]:
        """The inverse of :meth:`_split`."""
        n = len(columns)
        if n == 1:
            return columns
        per = self._per_block
        if n % 2:
            return [self._pick(columns, lambda i, v=v: ((v * per + i) % n, (v * per + i) // n)) for v in range(n)]
        half = per // 2
        out = []
        for e, o in zip(self._merge(columns[::2]), self._merge(columns[1::2])):
            out.append(self._shuffle(e, o, lambda i: (i % 2, i // 2)))
            out.append(self._shuffle(e, o, lambda i: (i % 2, half + i // 2)))
        return out

    def _pick(self, vectors: list[ir.Value], entry: Callable[[int], tuple[int, int]]) -> ir.Value:
        """A vector whose place ``i`` of every block comes from ``(vector, place) = entry(i)``."""
        wanted = [entry(i) for i in range(self._per_block)]
        out = vectors[wanted[0][0]]
        places = [p if v == wanted[0][0] else None for v, p in wanted]
        for v in sorted({v for v, _ in wanted} - {wanted[0][0]}):
            step = [(True, p) if w == v else (False, places[i] or 0) for i, (w, p) in enumerate(wanted)]
            out = self._shuffle(out, vectors[v], step.__getitem__)
            places = [i if w == v or places[i] is not None else None for i, (w, _) in enumerate(wanted)]
        if len({v for v, _ in wanted}) == 1:
            out = self._shuffle(out, out, lambda i: (False, wanted[i][1]))
        return out

    def _shuffle(self, a: ir.Value, c: ir.Value, entry: Callable[[int], tuple[bool | int, int]]) -> ir.Value:
        """A shuffle inside of blocks: place ``i`` from place ``p`` of the second operand or not, ``entry(i)``."""
        mask = []
        for first in range(0, self.count, self._per_block):
            for i in range(self._per_block):
                second, place = entry(i)
                mask.append(first + place + (self.count if second else 0))
        return vector.shuffle(a, c, mask)


def bits_of(element: ir.Type) -> int | None:
    """Width of a number of at most 64 bits; None for other types, booleans and 64-bit integers among them."""
    if isinstance(element, ir.IntegerType):
        return element.width if element.width in (8, 16) else None
    return element.width if isinstance(element, ir.FloatType) and element.width in (16, 32, 64) else None


def _join(parts: list[ir.Value]) -> ir.Value:
    """Vectors one after the other in one."""
    while len(parts) > 1:
        n = parts[0].type.shape[0]
        parts = [vector.shuffle(x, y, list(range(2 * n))) for x, y in zip(parts[::2], parts[1::2])]
    return parts[0]


def _is_contiguous(offsets: Sequence[int]) -> bool:
    return list(offsets) == list(range(offsets[0], offsets[0] + len(offsets)))


def _moved(at: Sequence[Index], offset: int) -> list[ir.Value]:
    return [*(b.value(i) for i in at[:-1]), b.value(b.add(at[-1], offset))]
