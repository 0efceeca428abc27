"""Packing of the dense operand into panels: ``lanes`` columns, one row per contracted coordinate."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..transpose import copy_transposed, tile_width
from .address import address_of, kept, load_at, opaque, pointer_to
from .arithmetic import CACHE_LINE, bytes_of, convert
from .walk import Walk

#: Columns of a row that are packed together: pieces of one panel's width are too short for the hardware to see a
#: stream. With 64 instead of 16, packing 4 MiB takes half of the time (Zen 3, 2026-11).
PACKED_COLUMNS = 64

#: Rows between the one that is packed and the one that is fetched: rows lie pages apart, where hardware looks for
#: nothing. 1024^3 f32 with 5 % and 1 % of the 32x1 micro-tiles 2.76 to 2.62 and 1.21 to 1.14 ms (Zen 3, 2026-11-22).
PACKED_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Panel:
    """One packed panel: ``panels[number]``, of shape ``(reds, lanes)``, from contracted position ``first`` on."""

    panels: ir.Value
    number: ir.Value
    first: Index = 0

    def part(self, type_: ir.VectorType, red: Index, column: Index) -> ir.Value:
        """Some columns from ``column`` on of the row of contracted position ``red``."""
        return vector.load(type_, self.panels, [self.number, b.value(b.sub(red, self.first)), b.value(column)])

    def row(self, type_: ir.VectorType, red: Index, offset: int = 0, lane: int = 0) -> ir.Value:
        """From ``lane`` on, the panel's row of contracted coordinate ``red + offset``."""
        return vector.load(type_, self.panels, [self.number, b.value(b.add(red, offset)), b.value(lane)])

    def pieces(
        self,
        pieces: Sequence[tuple[int, ir.VectorType]],
        red: Index,
        offset: int,
        picked: Sequence[Index],
        shared: bool = False,
        after: Sequence[ir.Value] = (),
        beside: Sequence[ir.Value] | None = None,
    ) -> list[ir.Value]:
        """Pieces, each from a lane on, of the row of contracted coordinate ``red + sum(picked) + offset``.

        What the ``picked`` coordinates add to the address is added up one by one, so each goes from its word to its
        place in the address by one shift and one mask.

        Args:
            shared: rows side by side pick from one group: LLVM would add to its address in vectors, see :func:`opaque`.
                V(4)C1(2:4)->C0(2:4) takes 1.01 to 1.035 times less, with AVX2 1.0 to 1.07. What shares nothing would
                lose: C1(2:4)->C0(2:4) of 32 columns 1.07 times (4 shapes, one core of Emerald Rapids, 2026-11-22).
            after: registers that LLVM computes first, see :func:`opaque`.
            beside: in place of both: those, and what the last coordinate adds stays in a register of its own, for
                instructions that load from a sum of two. Else LLVM adds up addresses of several rows in a vector, and
                loads more rows than there are registers: 2:4 of bf16 takes 2.6 ms, not 1.8; 2.1 without the order, 1.9
                with whole addresses in registers (2048x512x256, one core of Zen 4, 2026-11).
        """
        if not picked:
            return [self.row(type_, red, offset, lane) for lane, type_ in pieces]
        lanes, size = self.panels.type.shape[-1], bytes_of(self.panels.type.element_type)
        row = b.add(b.mul(self.number, b.dim_size(self.panels, 1)), red)
        address = b.add(address_of(self.panels), b.mul(row, lanes * size))
        *before, last = (b.mul(coordinate, lanes * size) for coordinate in picked)
        for part in before:
            address = b.add(address, part)
        if beside is not None:
            pointer = pointer_to(b.add(address, kept(last, beside)))
        else:
            pointer = opaque(b.add(address, kept(last) if shared and before else last), after)
        return [load_at(type_, pointer, (offset * lanes + lane) * size) for lane, type_ in pieces]


def pack_walked(
    source: ir.Value,
    transposed: bool,
    panels: ir.Value,
    panel: Index,
    red_walk: Walk,
    col_walk: Walk,
    lanes: int,
    slot: Index,
    unsigned: bool = False,
) -> None:
    """Copy block ``panel`` of columns into ``panels[slot]``; columns past the edge become zero.

    Elements become those of ``panels``, integers as ``unsigned`` says. Contracted coordinates and columns are those
    that walks pass, in their order.

    Shapes: source: ``(reds, cols)``, or ``(cols, reds)`` when ``transposed``; panels: ``(_, reds, lanes)``.
    """
    reds, cols = red_walk.count, col_walk.count
    first = b.mul(panel, lanes)
    every_panel_full = isinstance(cols, int) and cols % lanes == 0
    width = lanes if every_panel_full else b.minimum(lanes, b.sub(cols, first))
    panel = b.value(slot)
    apart = source.type.get_strides_and_offset()[0][-1] != 1  # a part of a tensor whose last dimension is neither
    if apart or (red_walk if transposed else col_walk).is_listed:
        _gather(source, transposed, panels, panel, red_walk, col_walk.part(first, lanes), lanes, unsigned)
        return
    if not transposed:
        first = b.add(col_walk.first, first)
        _copy_rows(source, panels, panel, red_walk, first, width, lanes, unsigned)
        return
    element = panels.type.element_type
    if not isinstance(width, int):
        partial = arith.select(_is_full(width, lanes), b.value(0), b.value(reds))
        b.for_loop(0, partial, lambda k: _clear(panels, panel, k, lanes), rolled=True)
    copy_transposed(
        source,
        lambda j, k: [b.value(col_walk.at(b.add(first, j))), b.value(red_walk.at(k))],
        panels,
        lambda k, j: [panel, b.value(k), b.value(j)],
        rows=width,
        cols=reds,
        transform=lambda value, _: convert(value, element, unsigned),
    )


def pack_group(
    source: ir.Value,
    transposed: bool,
    panels: ir.Value,
    members: tuple[Index, Index],
    red_walk: Walk,
    col_walk: Walk,
) -> None:
    """Pack the panels ``members[0]`` up to ``members[1]`` into the first slots of ``panels``.

    Where the source has rows, those of several panels are read in one go (:data:`PACKED_COLUMNS`).
    """
    first, last = members
    lanes = panels.type.shape[-1]
    count, together = b.sub(last, first), max(1, PACKED_COLUMNS // lanes)

    def one(slot: Index) -> None:
        pack_walked(source, transposed, panels, b.add(first, slot), red_walk, col_walk, lanes, slot)

    def some(slot: Index) -> None:
        start = b.mul(b.add(first, slot), lanes)
        b.for_loop(0, red_walk.count, lambda k: _pack_row(source, panels, (slot, k), start, red_walk, col_walk))

    if transposed or (together == 1 and not col_walk.is_listed):
        b.for_loop(0, count, one)
        return
    full = b.minimum(last, b.div(col_walk.count, lanes))
    whole = b.mul(b.div(b.sub(full, b.minimum(first, full)), together), together)
    b.for_loop(0, whole, some, step=together)
    b.for_loop(whole, count, one)


def _pack_row(
    source: ir.Value, panels: ir.Value, at: tuple[Index, Index], start: Index, red_walk: Walk, col_walk: Walk
) -> None:
    """A row of neighbouring panels, ``at`` the first panel and the row, columns from position ``start`` on."""
    (first, k), lanes = at, panels.type.shape[-1]
    element, red = panels.type.element_type, b.value(red_walk.at(k))
    type_ = ir.VectorType.get([lanes], source.type.element_type)
    if not col_walk.is_listed:
        next_red = b.value(red_walk.at(b.minimum(b.add(k, PACKED_AHEAD), b.sub(red_walk.count, 1))))
        for j in range(0, PACKED_COLUMNS, CACHE_LINE // bytes_of(source.type.element_type)):
            column = b.value(b.add(b.add(col_walk.first, start), j))
            memref.prefetch(source, [next_red, column], False, 3, True)
    for i in range(max(1, PACKED_COLUMNS // lanes)):
        slot, begin = b.value(b.add(first, i)), b.add(start, i * lanes)
        if not col_walk.is_listed:
            row = vector.load(type_, source, [red, b.value(b.add(col_walk.first, begin))])
            vector.store(convert(row, element), panels, [slot, b.value(k), b.value(0)])
            continue
        for j in range(lanes):
            col = b.value(col_walk.at(b.add(begin, j)))
            value = convert(memref.load(source, [red, col]), element)
            memref.store(value, panels, [slot, b.value(k), b.value(j)])


def _copy_rows(
    source: ir.Value,
    panels: ir.Value,
    panel: ir.Value,
    red_walk: Walk,
    first: Index,
    width: Index,
    lanes: int,
    unsigned: bool,
) -> None:
    element, reds = panels.type.element_type, red_walk.count
    type_ = ir.VectorType.get([lanes], source.type.element_type)

    def whole(k: Index) -> None:
        row = vector.load(type_, source, [b.value(red_walk.at(k)), b.value(first)])
        vector.store(convert(row, element, unsigned), panels, [panel, b.value(k), b.value(0)])

    def ragged(k: Index) -> None:
        red = b.value(red_walk.at(k))

        def copy(j: Index, n: int) -> None:
            here, there = [red, b.value(b.add(first, j))], [panel, b.value(k), b.value(j)]
            if n == 1:
                memref.store(convert(memref.load(source, here), element, unsigned), panels, there)
                return
            part = vector.load(ir.VectorType.get([n], source.type.element_type), source, here)
            vector.store(convert(part, element, unsigned), panels, there)

        _clear(panels, panel, k, lanes)
        b.by_vectors(width, tile_width(element), copy)

    def rows(copy) -> None:
        b.for_loop(0, reds, copy, rolled=True)

    if isinstance(width, int):
        rows(whole)
    else:
        b.if_else(_is_full(width, lanes), lambda: rows(whole), lambda: rows(ragged))


def _gather(
    source: ir.Value,
    transposed: bool,
    panels: ir.Value,
    panel: Index,
    red_walk: Walk,
    col_walk: Walk,
    lanes: int,
    unsigned: bool,
) -> None:
    """One element after the other, where those of a row of the panel are no neighbours in memory."""
    element = panels.type.element_type

    def row(k: Index) -> None:
        red = b.value(red_walk.at(k))

        def copy(j: Index) -> None:
            col = b.value(col_walk.at(j))
            value = memref.load(source, [col, red] if transposed else [red, col])
            memref.store(convert(value, element, unsigned), panels, [panel, b.value(k), b.value(j)])

        _clear(panels, panel, k, lanes)
        b.for_loop(0, col_walk.count, copy, rolled=True)

    b.for_loop(0, red_walk.count, row, rolled=True)


def clear_rows(panels: ir.Value, panel: ir.Value, lo: Index, hi: Index, lanes: int) -> None:
    """Zero the rows past the dense operand's last one that a padded format may ask for."""
    b.for_loop(lo, hi, lambda k: _clear(panels, panel, k, lanes), rolled=True)


def _clear(panels: ir.Value, panel: ir.Value, k: Index, lanes: int) -> None:
    element = panels.type.element_type
    zeros = vector.broadcast(ir.VectorType.get([lanes], element), b.zero_of(element))
    vector.store(zeros, panels, [panel, b.value(k), b.value(0)])


def _is_full(width: Index, lanes: int) -> ir.Value:
    return arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(lanes))
