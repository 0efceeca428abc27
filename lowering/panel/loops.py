"""How the loops of a product are walked: along lists, or whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pith._mlir import ir

from ..builder import Index
from ..linalg.contraction import DenseContraction
from .batch import Operand
from .walk import Walk

#: Indices of the outer loops.
Point = Mapping[int, Index]


@dataclasses.dataclass(frozen=True)
class Loops:
    """How the loops of a product are walked.

    Attributes:
        rows, cols, reds: the walk of each at a point of the outer loops.
        most_rows, most_cols: positions that walks of rows and columns have at most.
        outer: the walk of every outer loop.
        all_reds: positions of all walks of contracted coordinates together, where each has a list.
        lists_cols: whether columns are listed.
        red_loops, row_loops: the outer loops that lists of contracted coordinates and of rows depend on, and how many
            neighbours share a list.
    """

    rows: Callable[[Point], Walk]
    cols: Callable[[Point], Walk]
    reds: Callable[[Point], Walk]
    most_rows: Index
    most_cols: Index
    outer: dict[int, Walk]
    all_reds: Index | None = None
    lists_cols: bool = False
    red_loops: Mapping[int, int] = dataclasses.field(default_factory=dict)
    row_loops: Mapping[int, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def whole(cls, c: DenseContraction, buffers: Sequence[ir.Value]) -> Loops:
        """The loops of a product of dense operands, of which nothing is listed."""
        *inputs, out = (Operand(buffer, dims) for buffer, dims in zip(buffers, c.dims))
        rows, cols = out.size(c.row), out.size(c.col)
        reds = next(i for i in (inputs[c.lhs], inputs[c.rhs]) if c.red in i.dims).size(c.red)
        outer = {d: Walk(out.size(d)) for d in c.outer}
        return cls(lambda _: Walk(rows), lambda _: Walk(cols), lambda _: Walk(reds), rows, cols, outer)
