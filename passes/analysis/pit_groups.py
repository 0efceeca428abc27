"""Axes of composites: what several ops (a softmax or a layer norm of generics) must permute together.

Two ops that touch the same dimension of the same tensor share one index list along it, so their axes form
a group. The composite may be permuted along a group only when every member may be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

from pith._mlir import ir
from pith.dialect.tiling import dims_of

from .pit_axes import PitAxes, pit_axes
from .structured import Structured


@dataclasses.dataclass(frozen=True)
class Member:
    """One axis of one op; ``refusal`` says why it may not be permuted, None when it may."""

    op: ir.Operation
    axis: int
    refusal: str | None


@dataclasses.dataclass(frozen=True)
class PitGroup:
    """Axes that share one index list.

    Attributes:
        members: in program order.
    """

    members: tuple[Member, ...]

    @property
    def culprit(self) -> Member | None:
        """The first member that forbids the group; None: the composite may be permuted along it."""
        return next((m for m in self.members if m.refusal is not None), None)


def pit_groups(ops: Sequence[ir.OpView | ir.Operation]) -> tuple[PitGroup, ...]:
    """The groups of axes of structured ``ops`` (others are skipped), by first appearance.

    Example: of ``max, exp(x - max), sum, divide`` over ``[rows, columns]`` there are two groups, and both may be
    permuted; with a generic between them whose body reads ``linalg.index 1``, only the rows may.
    """
    sets = _DisjointSets()
    members: list[Member] = []
    for op in (o.operation for o in ops):
        verdict = pit_axes(op)
        if verdict is None:
            continue
        refusals = {r.axis: r.reason for r in verdict.refusals}
        n_axes = len(verdict.axes) + len(refusals)
        members += [Member(op, axis, refusals.get(axis)) for axis in range(n_axes)]
        for axis, operand, dim in _links(op, verdict):
            value = op.operands[operand]
            sets.join((op, axis), (value, dim))
            result = operand - (len(op.operands) - len(op.results))
            if result >= 0:
                sets.join((op, axis), (op.results[result], dim))
    groups: dict[Hashable, list[Member]] = {}
    for member in members:
        groups.setdefault(sets.root((member.op, member.axis)), []).append(member)
    return tuple(PitGroup(tuple(group)) for group in groups.values())


def _links(op: ir.Operation, verdict: PitAxes) -> list[tuple[int, int, int]]:
    """(axis, operand, dimension) wherever an axis indexes an operand, alone or within an expression."""
    structured = Structured.of(op)
    if structured is None:  # linalg.softmax
        return [(a.axis, operand, dim) for a in verdict.axes for operand, dim in a.operands]
    return [
        (axis, operand, dim)
        for operand, map_ in enumerate(structured.maps)
        for dim, expr in enumerate(map_.results)
        for axis in dims_of(expr)
    ]


class _DisjointSets:
    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def root(self, item: Hashable) -> Hashable:
        while (parent := self._parent.setdefault(item, item)) != item:
            item = parent
        return item

    def join(self, a: Hashable, b: Hashable) -> None:
        self._parent[self.root(a)] = self.root(b)
