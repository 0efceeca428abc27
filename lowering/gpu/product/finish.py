"""What the body of a ``pith.pit_tile`` makes of its sums before they are stored, in a kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pith._mlir import ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...panel.write import added_to
from ...patterns import body as patterns
from ..linalg.loops import Nest, evaluate

#: ``finish(value, at)``: what becomes of a value, or of neighbours along the columns, at (row, column).
Finish = Callable[[ir.Value, Sequence[Index]], ir.Value]


@dataclasses.dataclass(frozen=True)
class TileFinish:
    """An elementwise op on sums, whose operands are memory.

    Attributes:
        finish: the op, and which operand of the ``pith.pit_tile`` each of its arguments is.
        roles: per operand of the ``pith.pit_tile``, the role of each dimension.
        buffers: of these operands.
        fixed: the index along roles other than m and n.
    """

    finish: patterns.Finish
    roles: Sequence[Sequence[str]]
    buffers: Sequence[ir.Value]
    fixed: Mapping[str, Index]

    def __call__(self, value: ir.Value, at: Sequence[Index]) -> ir.Value:
        width = value.type.shape[0] if isinstance(value.type, ir.VectorType) else None
        lanes = [value] if width is None else [vector.extract(value, [], [i]) for i in range(width)]
        place, nest = {**self.fixed, "m": at[0], "n": at[1]}, Nest.of(self.finish.op)
        read = [any(True for _ in a.uses) for a in nest.body.arguments]
        given = [
            lanes if number is None else self._elements(number, place, len(lanes)) if used else None
            for used, number in zip(read, self.finish.operands)
        ]
        out = [evaluate(nest, [g[i] if g else None for g in given], at, {})[0] for i in range(len(lanes))]
        return out[0] if width is None else vector.from_elements(ir.VectorType.get([width], out[0].type), out)

    def _elements(self, number: int, place: Mapping[str, Index], lanes: int) -> list[ir.Value]:
        """Elements of an operand beside the lanes."""
        buffer, roles = self.buffers[number], self.roles[number]
        where = [b.value(place[r]) for r in roles]
        if "n" not in roles or lanes == 1:
            return [memref.load(buffer, where)] * lanes
        if roles[-1] == "n":
            run = vector.load(ir.VectorType.get([lanes], buffer.type.element_type), buffer, where)
            return [vector.extract(run, [], [lane]) for lane in range(lanes)]
        ahead = [[b.value(b.add(w, lane) if r == "n" else w) for r, w in zip(roles, where)] for lane in range(lanes)]
        return [memref.load(buffer, at) for at in ahead]


def then_added(finish: Finish | None, out: ir.Value, before: Sequence[Index]) -> Finish:
    """``finish``, and then added what ``out`` holds there; ``before``: its indices before (row, column)."""

    def apply(value: ir.Value, at: Sequence[Index]) -> ir.Value:
        finished = value if finish is None else finish(value, at)
        return added_to(out)(finished, [*before, *at])

    return apply
