"""How a loop of a product passes over its dimension: along all of it, or along a list of indices."""

import dataclasses

from pith._mlir import ir

from .. import builder as b
from ..builder import Index


@dataclasses.dataclass(frozen=True)
class Walk:
    """Positions ``0 .. count`` of a loop and the index that each stands for.

    Attributes:
        count: how many positions there are.
        ids: a memref of indices, those of this loop from ``first`` on; None: position p is index ``first + p``.
    """

    count: Index
    ids: ir.Value | None = None
    first: Index = 0

    @property
    def is_listed(self) -> bool:
        """Neighbouring positions need not be neighbours in memory."""
        return self.ids is not None

    def at(self, position: Index) -> Index:
        """The index at ``position``."""
        at = b.add(self.first, position)
        return at if self.ids is None else b.load_index(self.ids, at)

    def part(self, first: Index, most: Index) -> "Walk":
        """At most ``most`` positions from ``first`` on; none where ``first`` is past the last one."""
        start = b.minimum(first, self.count)
        return Walk(b.minimum(most, b.sub(self.count, start)), self.ids, b.add(self.first, start))

    def whole(self, step: int) -> bool:
        """``step`` is known to divide the count."""
        return isinstance(self.count, int) and self.count % step == 0
