"""Panels that are read where they lie: never packed, or packed while they are multiplied for the first time, so that
memory and multiply-adds are busy together."""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import ir, memref, vector

from ... import builder as b
from ...builder import Index
from ..arithmetic import CACHE_LINE, bytes_of, convert
from ..pack import Panel
from ..walk import Walk

#: Rows between the one that is multiplied and the one that is fetched. Milliseconds with 8, 12 and 20 of 6, 16, 24 and
#: 48 rows times 1024x1024 f32: 0.25, 0.32, 0.30; 0.35, 0.36, 0.41; 0.41, 0.42, 0.44; 0.69, 0.73, 0.72 (Emerald Rapids,
#: 2026-11).
UNPACKED_AHEAD = 8


@dataclasses.dataclass(frozen=True)
class InSource:
    """A panel that is read where it lies.

    Attributes:
        source: ``(reds, cols)``, in rows.
        reds: positions of contracted coordinates, and what they are in ``source``.
        first: column of the panel's first lane.
        element: of a panel.
    """

    source: ir.Value
    reds: Walk
    first: Index
    element: ir.Type

    def part(self, type_: ir.VectorType, red: Index, column: Index) -> ir.Value:
        """See :meth:`Panel.part`."""
        here = [b.value(self.reds.at(red)), b.value(b.add(self.first, column))]
        row = vector.load(ir.VectorType.get(type_.shape, self.source.type.element_type), self.source, here)
        return convert(row, self.element)


@dataclasses.dataclass(frozen=True)
class Unpacked(InSource):
    """A panel that is packed while it is multiplied for the first time.

    Attributes:
        panel: where it is packed, or None: no other row meets it.
        met: whether another does, where only run time knows.
        lanes: of the panel.
        meanwhile: told every contracted position.
    """

    panel: Panel | None
    met: ir.Value | None
    lanes: int
    meanwhile: Callable[[Index], None] | None = None

    def keep(self, red: Index, row: Sequence[tuple[int, ir.Value]]) -> None:
        """Store the row of contracted position ``red``, of which the parts begin at some lanes; fetch a later one.

        Comes before the row is multiplied: LLVM moves no loads across stores, and loads ahead need registers.
        """
        later = b.value(self.reds.at(b.minimum(b.add(red, UNPACKED_AHEAD), b.sub(self.reds.count, 1))))
        step = CACHE_LINE // bytes_of(self.source.type.element_type)
        if self.panel is not None:
            b.only_if(self.met, lambda: self._store(red, row))
        for lane in range(0, self.lanes, step):
            memref.prefetch(self.source, [later, b.value(b.add(self.first, lane))], False, 3, True)
        if self.meanwhile is not None:
            self.meanwhile(red)

    def _store(self, red: Index, row: Sequence[tuple[int, ir.Value]]) -> None:
        assert self.panel is not None
        place = b.value(b.sub(red, self.panel.first))
        for lane, part in row:
            vector.store(part, self.panel.panels, [self.panel.number, place, b.value(lane)])
