"""What attention's lowerings for CPU and GPU share: sizes by the names of their axes, rows that sequences share."""

from pith._mlir import ir

from .. import builder as b
from ..builder import Index


class AttentionSizes:
    """Sizes of ``(batch, heads, positions, features)`` buffers ``query`` and ``key``."""

    query: ir.Value
    key: ir.Value

    @property
    def batch(self) -> Index:
        """Sequences."""
        return b.dim_size(self.query, 0)

    @property
    def heads(self) -> Index:
        """Of the queries."""
        return b.dim_size(self.query, 1)

    @property
    def queries(self) -> Index:
        """Positions of a sequence that ask."""
        return b.dim_size(self.query, 2)

    @property
    def keys(self) -> Index:
        """Positions of a sequence that are asked."""
        return b.dim_size(self.key, 2)


def shared_row(buffer: ir.Value, batch: ir.Value) -> Index:
    """The row of ``buffer`` for a sequence of the batch: its only one, where all share it."""
    return b.minimum(batch, b.sub(b.dim_size(buffer, 0), 1))
