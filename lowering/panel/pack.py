"""Packing of the dense operand into panels: ``lanes`` columns, one row per contracted coordinate."""

import dataclasses

from pith._mlir import arith, ir, memref, vector

from .. import builder as b
from ..builder import Index
from ..transpose import copy_transposed
from .arithmetic import convert


@dataclasses.dataclass(frozen=True)
class Panel:
    """One packed panel: ``panels[number]``, of shape ``(reds, lanes)``."""

    panels: ir.Value
    number: ir.Value

    def row(self, type_: ir.VectorType, red: Index, offset: int = 0, lane: int = 0) -> ir.Value:
        """From ``lane`` on, the panel's row of contracted coordinate ``red + offset``."""
        return vector.load(type_, self.panels, [self.number, b.value(b.add(red, offset)), b.value(lane)])


def pack_panel(
    source: ir.Value,
    transposed: bool,
    panels: ir.Value,
    panel: Index,
    reds: Index,
    cols: Index,
    lanes: int,
    slot: Index | None = None,
    unsigned: bool = False,
) -> None:
    """Copy block ``panel`` of columns into ``panels[slot]``, by default the panel's; columns past the edge become zero.

    Elements become those of ``panels``, integers as ``unsigned`` says.

    Shapes: source: ``(reds, cols)``, or ``(cols, reds)`` when ``transposed``; panels: ``(_, reds, lanes)``.
    """
    first = b.mul(panel, lanes)
    every_panel_full = isinstance(cols, int) and cols % lanes == 0
    width = lanes if every_panel_full else b.minimum(lanes, b.sub(cols, first))
    panel = b.value(panel if slot is None else slot)
    if not transposed:
        _copy_rows(source, panels, panel, reds, first, width, lanes, unsigned)
        return
    element = panels.type.element_type
    b.for_loop(0, reds, lambda k: _clear(element, panels, panel, k, width, lanes))
    copy_transposed(
        source,
        lambda j, k: [b.value(b.add(first, j)), b.value(k)],
        panels,
        lambda k, j: [panel, b.value(k), b.value(j)],
        rows=width,
        cols=reds,
        transform=lambda value, _: convert(value, element, unsigned),
    )


def _copy_rows(
    source: ir.Value,
    panels: ir.Value,
    panel: ir.Value,
    reds: Index,
    first: Index,
    width: Index,
    lanes: int,
    unsigned: bool,
) -> None:
    element = panels.type.element_type
    type_ = ir.VectorType.get([lanes], source.type.element_type)

    def whole(k: Index) -> None:
        row = vector.load(type_, source, [b.value(k), b.value(first)])
        vector.store(convert(row, element, unsigned), panels, [panel, b.value(k), b.value(0)])

    def ragged(k: Index) -> None:
        def copy(j: Index) -> None:
            value = memref.load(source, [b.value(k), b.value(b.add(first, j))])
            memref.store(convert(value, element, unsigned), panels, [panel, b.value(k), b.value(j)])

        b.for_loop(0, width, copy)
        _clear(element, panels, panel, k, width, lanes)

    if isinstance(width, int):
        b.for_loop(0, reds, whole)
        return
    full = arith.cmpi(arith.CmpIPredicate.eq, b.value(width), b.value(lanes))
    b.if_else(full, lambda: b.for_loop(0, reds, whole), lambda: b.for_loop(0, reds, ragged))


def clear_rows(panels: ir.Value, panel: ir.Value, lo: Index, hi: Index, lanes: int) -> None:
    """Zero the rows past the dense operand's last one that a padded format may ask for."""
    element = panels.type.element_type
    b.for_loop(lo, hi, lambda k: _clear(element, panels, panel, k, 0, lanes))


def _clear(element: ir.Type, panels: ir.Value, panel: ir.Value, k: Index, width: Index, lanes: int) -> None:
    zero = b.zero_of(element)
    b.for_loop(width, lanes, lambda j: memref.store(zero, panels, [panel, b.value(k), b.value(j)]))
