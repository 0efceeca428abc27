"""Template: convolutions of every channel by itself, as depthwise ones.

Code it emits for ``out[n, c, y, x] += image[n, c, y + r, x + s] * filters[c, r, s]``::

    scf.parallel (n, c)
      copy the channel, zeros around it, to where it stays in L1
      for each R lines, each vector of neighbours in them
        R sums over r and s, in registers

A product would reuse nothing: every window meets one filter. What is reused here is in registers: vectors of the image
by the lines of a tile that read them, elements of the filter by all lines.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from pith._mlir import ir, memref, vector
from pith.dialect.tiling import bare_dim
from pith.passes.analysis.structured import iterator_types

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..panel.write import added_to, as_it_is
from ..transpose import Transform
from .channels import ChannelConvolution


def emit_channels(
    c: ChannelConvolution, buffers: Sequence[ir.Value], isa: Isa, fresh: bool, finish: Transform | None
) -> None:
    """Emit the kernel at the insertion point.

    Args:
        buffers: :attr:`ChannelConvolution.sources` and the output as memrefs.
        fresh: the content of the output does not matter.
        finish: makes what is stored of what the convolution would store.
    """
    out, shape = buffers[2], [int(s) for s in c.op.operands[c.image].type.shape[c.lead :]]
    leads = [b.dim_size(out, d) for d in range(c.lead)]
    store = finish or (as_it_is if fresh else added_to(out))
    kernel = _Channel(c, buffers[c.image], buffers[1 - c.image], out, store, isa, shape)
    points = math.prod(kernel.places) * len(c.points)
    b.parallel_loop(leads, kernel.emit, work=b.mul(b.product(leads), max(1, points // kernel.lanes)))


@dataclasses.dataclass(frozen=True)
class _Channel:
    """The kernel of a channel; ``shape``: of the padded image in the dimensions of a window."""

    c: ChannelConvolution
    image: ir.Value
    filters: ir.Value
    out: ir.Value
    store: Transform
    isa: Isa
    shape: list[int]

    @property
    def element(self) -> ir.Type:
        return self.image.type.element_type

    @property
    def places(self) -> list[int]:
        """Lines and elements of a line of the result."""
        sizes = [int(s) for s in self.out.type.shape[self.c.lead :]]
        return _of_plane(sizes)

    @property
    def lanes(self) -> int:
        """Of a vector: no more than a line fills."""
        return min(self.isa.vector_bytes * 8 // self.element.width, 1 << (self.places[1] - 1).bit_length())

    @property
    def lines(self) -> int:
        """Of a tile: few enough for sums and a column of the filter to stay in registers, a divisor where one is near.

        Seven lines of 7x7 filters on 14x14 take 0.78 of the time of four, 0.76 of eight (Emerald Rapids, 2026-11-22).
        """
        most = min(self.places[0], max(1, self.isa.vector_registers // 4))
        whole = max(n for n in range(1, most + 1) if self.places[0] % n == 0)
        return whole if 2 * whole > most else most

    def emit(self, *lead: ir.Value) -> None:
        """One channel, at ``lead`` in images and channels."""
        plane = self._copy(lead)
        (height, width), (lines, lanes) = self.places, (self.lines, self.lanes)

        def across(y: Index, count: int) -> None:
            whole = width // lanes * lanes
            b.for_loop(0, whole, lambda x: self._tile(plane, lead, (y, x), count, lanes), step=lanes, rolled=True)
            if whole < width:
                self._tile(plane, lead, (y, whole), count, width - whole)

        def for_loop(lo: int, hi: int, count: int) -> None:
            b.for_loop(lo, hi, lambda y: across(y, count), step=count, rolled=True)

        whole = height // lines * lines
        for_loop(0, whole, lines)
        if whole < height:
            across(whole, height - whole)

    def _copy(self, lead: Sequence[ir.Value]) -> ir.Value:
        """The channel with zeros around it, line after line, and room for a vector that is read past the end."""
        lines, line = _of_plane(self.shape)
        lanes, low = self.lanes, _of_plane(self.c.low[self.c.lead :], 0)
        rows, count = _of_plane(self.image.type.shape[self.c.lead :])
        step = max(self._steps())
        room = lines * line + (step + 1) * lanes
        plane = memref.alloca(ir.MemRefType.get([room], self.element), [], [], alignment=64)
        zeros = vector.broadcast(ir.VectorType.get([lanes], self.element), b.zero_of(self.element))

        def clear(lo: Index, size: int) -> None:  # may clear what is behind, which is copied later
            b.for_loop(0, size, lambda i: vector.store(zeros, plane, [b.value(b.add(lo, i))]), step=lanes, rolled=True)

        clear(0, low[0] * line + low[1])

        def copy(y: Index) -> None:
            at = b.add(b.mul(y, line), low[0] * line + low[1])
            here = [*self._lead(lead), b.value(y)][: len(self.c.low) - 1]
            for first, width in _pieces(count, lanes):
                self._move(here, first, width, plane, b.add(at, first))
            clear(b.add(at, count), line - count)

        b.for_loop(0, rows, copy, rolled=True)
        below = (low[0] + rows) * line + low[1]
        clear(below, lines * line + step * lanes - below)
        return plane

    def _move(self, here: list[ir.Value], first: int, width: int, plane: ir.Value, to: Index) -> None:
        """Copy ``width`` elements of a line, or as many again and again."""
        type_ = ir.VectorType.get([self.lanes if width > self.lanes else width], self.element)

        def piece(i: Index) -> None:
            value = vector.load(type_, self.image, [*here, b.value(b.add(i, first))])
            vector.store(value, plane, [b.value(b.add(to, i))])

        b.for_loop(0, width, piece, step=type_.shape[0], rolled=True)

    def _lead(self, lead: Sequence[ir.Value]) -> list[ir.Value]:
        """Where the channel is in the image."""
        return [b.value(0) if bare_dim(e) is None else at for e, at in zip(self.c.maps[self.c.image], lead)]

    def _steps(self) -> list[int]:
        """How far the image goes per line and per element of a line of the result."""
        loops = [bare_dim(e) for e in self.c.maps[2][self.c.lead :]]
        return _of_plane([self.c.offset(self.c.lead + i, {loop: 1}) for i, loop in enumerate(loops)])

    def _filter(self, lead: Sequence[ir.Value]) -> list[ir.Value]:
        """The elements of the channel's filter, as :attr:`ChannelConvolution.points` lists them."""
        loops = {bare_dim(e): lead[i] for i, e in enumerate(self.c.maps[2][: self.c.lead])}
        maps = self.c.maps[1 - self.c.image]
        count = len(iterator_types(self.c.op))
        found = []
        for point in self.c.points:
            places = [point.get(d, loops.get(d, 0)) for d in range(count)]
            found.append(memref.load(self.filters, [b.value(b.apply(e, places)) for e in maps]))
        return found

    def _tile(
        self,
        plane: ir.Value,
        lead: Sequence[ir.Value],
        at: tuple[Index, Index],
        lines: int,
        width: int,
    ) -> None:
        """``lines`` lines of ``width`` neighbours each."""
        type_ = ir.VectorType.get([self.lanes], self.element)
        (y, x), (step_y, step_x), line = at, self._steps(), self.shape[-1]
        start = b.add(b.mul(y, step_y * line), b.mul(x, step_x))
        filter_, loaded = self._filter(lead), dict[int, ir.Value]()
        sums = [vector.broadcast(type_, b.zero_of(self.element))] * lines
        for i, j, offset in self._reads(lines):
            if offset not in loaded:
                loaded[offset] = self._load(plane, b.add(start, offset), step_x, type_)
            sums[i] = vector.fma(loaded[offset], vector.broadcast(type_, filter_[j]), sums[i])
        for i, total in enumerate(sums):
            row = [b.value(b.add(y, i))] if len(self.shape) == 2 else []
            for first, size in _pieces(width, self.lanes):
                here = [*lead, *row, b.value(b.add(x, first))]
                if size == 1:
                    memref.store(self.store(vector.extract(total, [], [first]), here), self.out, here)
                    continue
                part = total if size == self.lanes else vector.shuffle(total, total, list(range(first, first + size)))
                vector.store(self.store(part, here), self.out, here)

    def _reads(self, lines: int) -> Iterator[tuple[int, int, int]]:
        """Line of the tile, element of the filter, and where in the plane they meet; a column of the filter at a time,
        so that vectors of the image are read once for it."""
        lead, loops = self.c.lead, [bare_dim(e) for e in self.c.maps[2][self.c.lead :]]
        step_y, line = self._steps()[0], self.shape[-1]
        found = []
        for j, point in enumerate(self.c.points):
            row = self.c.offset(lead, point) if len(loops) == 2 else 0
            column = self.c.offset(lead + len(loops) - 1, point)
            found += [(column, row + i * step_y, i, j) for i in range(lines)]
        for column, row, i, j in sorted(found):
            yield i, j, row * line + column

    def _load(self, plane: ir.Value, at: Index, step: int, type_: ir.VectorType) -> ir.Value:
        """A vector of every ``step``-th element."""
        lanes = type_.shape[0]
        first = vector.load(type_, plane, [b.value(at)])
        if step == 1:
            return first
        second = vector.load(type_, plane, [b.value(b.add(at, lanes))])
        return vector.shuffle(first, second, list(range(0, 2 * lanes, 2)))


def _of_plane(numbers: Sequence[int], missing: int = 1) -> list[int]:
    """Numbers per line and per element of a line, of a window's dimensions: a line alone is a plane of one."""
    return [missing] * (2 - len(numbers)) + [int(n) for n in numbers]


def _pieces(count: int, lanes: int) -> Iterator[tuple[int, int]]:
    """Where pieces of ``count`` elements begin, and their sizes: whole vectors as one, then powers of two."""
    whole = count // lanes * lanes
    if whole:
        yield 0, whole
    at, size = whole, lanes
    while at < count:
        size //= 2
        if at + size <= count:
            yield at, size
            at += size
