"""The kernels of one plan: where sizes that only run time knows decide how operands are copied, there are two."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir

from ... import builder as b
from ...builder import Index
from .boxes import describe, fits
from .match import View
from .plan import Plan


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run a plan.

    Attributes:
        plan: with the boxes of this one.
        maps: tensor maps that its kernel takes, on the host.
        wanted: 1 where the sizes ask for it, else 0: a factor of its grid. An empty grid is not launched.
    """

    plan: Plan
    maps: list[ir.Value]
    wanted: Index


def variants(plan: Plan, views: Sequence[View], buffers: Sequence[ir.Value]) -> list[Variant]:
    """The variants of a plan for operands in ``buffers``; sizes ask for exactly one of them."""
    boxed = [(view, shape, buffer) for view, shape, buffer in zip(views, plan.boxes, buffers) if shape is not None]
    wanted = b.product([fits(buffer) for *_, buffer in boxed]) if boxed else 0
    out = []
    if wanted != 0:
        maps = [describe(buffer, view.roles, shape) for view, shape, buffer in boxed]
        out.append(Variant(plan, maps, wanted))
    if wanted != 1:
        out.append(Variant(dataclasses.replace(plan, boxes=(None, None)), [], b.sub(1, wanted)))
    return out
