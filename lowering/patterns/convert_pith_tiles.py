"""``convert-pith-tiles-to-panels``: products that patterns restrict, through packed panels and register tiles."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass


@dataclasses.dataclass(frozen=True)
class ConvertPithTilesPass(Pass):
    """Lower ``pith.pit_tile`` around a matrix product to panels, tiles and parallel loops over index lists.

    Before::

        %c = "pith.pit_tile"(%p, %a, %b, %init) ({ linalg.generic { mulf, addf }; pith.yield })
            : (!pith.pattern<[?], [1]>, tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>

    After: ``pith.coordinates`` sorted into lists; an ``scf.parallel`` over parts of the rows and groups of columns; in
    it panels packed along the lists, and ``vector.fma`` on accumulators whose rows are read and written where the
    lists say. Nothing is gathered into tiles and scattered from them, and ``tile`` is not obeyed.

    Patterns may list rows, columns, contracted coordinates and outer loops, one axis each or together with outer
    loops (one list per batch or expert), or blocks of rows by contracted coordinates. Small micro-tiles of the result
    are dot products (``lowering/sampled/listed.py``). Batches that share the right operand are one product
    (``patterns/flatten.py``). Elementwise ops on the result of a single product are computed before it is stored, and
    zeros it would be added to are only written where nothing is listed. So is one elementwise op behind the product
    in the body, on what is listed alone. An op with the unit attribute ``pith.partition`` promises that its patterns
    name every place of the init exactly once (a row per token and expert, say): what the init holds is not read then,
    and nothing is added to it. Coordinates past the grid name nothing; one listed twice is a race.

    Requires: ``linalg.generic`` bodies (run ``linalg-generalize-named-ops``), before
    ``convert-pith-patterns-to-linalg``. Preserves: everything else, ``pit_tile`` inside loops. Does not do: sums
    in other types than f32, f64 and i32. Cost: linear.
    """

    name: ClassVar[str] = "convert-pith-tiles-to-panels"

    def run(self, module: ir.Module) -> None:
        if ops_named(module.operation, "pith.pit_tile"):
            from .tiles import lower_tiles  # most programs have no use for its modules

            lower_tiles(module)
