"""``convert-pith-tiles-to-panels``: products that patterns restrict, through packed panels and register tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

from pith._mlir import bufferization, ir
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

from ..bufferization.destination import result_buffer
from ..builder import Index, buffer_of, dim_size
from ..epilogue.match import Epilogue, match_epilogue
from ..epilogue.values import bind
from ..isa import Isa
from ..module_isa import isa_of
from ..panel.blocks import BlockEmitter
from ..panel.walk import Walk
from ..panel.write import as_it_is
from ..replace_product import replace_product
from ..sampled.listed import lower_listed_sampling, match_listed_sampling
from ..tiled.listed import listed_emitter, listed_unit
from ..transpose import Transform
from .body import finish_at_point
from .flatten import flat_loops, flatten
from .products import ListedProduct, match_listed_product
from .rest import unlisted_rows
from .walks import BoundPatterns, fill_rest

#: What a matcher returns.
_P = TypeVar("_P")


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
        isa = isa_of(module)
        with module.context:
            for p in _products(module, match_listed_product):
                _lower(p, isa)
            for p in _products(module, match_listed_sampling):
                lower_listed_sampling(p)


def _products(module: ir.Module, match: Callable[[ir.OpView], _P | None]) -> Iterator[_P]:
    """What ``match`` sees in every op, when its turn comes: what was lowered before may have replaced its operands."""
    tiles = [op.opview for op in ops_named(module.operation, "pith.pit_tile") if _runs_once(op)]
    return (p for op in tiles if (p := match(op)) is not None)


def _runs_once(op: ir.Operation) -> bool:
    """At the top of a function, or in branches there."""
    above = op.parent
    while above.name == "scf.if":
        above = above.parent
    return above.name == "func.func"


def _lower(p: ListedProduct, isa: Isa) -> None:
    op = p.product.op
    fusible = op.operation.results[0].type.rank == 2 and not p.summed and not p.body.is_whole
    epilogue = match_epilogue(op) if fusible else None
    with ir.InsertionPoint(epilogue.last if epilogue else op), op.operation.location:
        result = _emit_into(p, isa, epilogue)
    replace_product(op.operation, epilogue, result)


def _emit_into(p: ListedProduct, isa: Isa, epilogue: Epilogue | None) -> ir.Value:
    """Emit the kernel; the tensor of its results."""
    if epilogue is not None:
        bound = bind(epilogue)
        if bound.transposed:
            c = p.product
            p = dataclasses.replace(p, product=dataclasses.replace(c, dims=(*c.dims[:2], c.dims[2][::-1])))
        _emit(p, isa, bound.out, True, bound.apply)
        return bound.result()
    init = p.product.op.init
    out, fresh = result_buffer(init)
    _emit(p, isa, out, fresh, None)
    return bufferization.to_tensor(init.type, out, restrict=True, writable=True)


def _emit(p: ListedProduct, isa: Isa, out: ir.Value, fresh: bool, finish: Transform | None) -> None:
    c = p.product
    inputs = [buffer_of(v) for v in c.op.inputs]
    buffers = [*(inputs[i] for i in p.body.factors), out]
    sizes, given = _sizes(p, buffers), None
    if batches := flat_loops(p):
        p, buffers, given = flatten(p, batches, buffers, sizes)
        c, out, sizes = p.product, buffers[-1], _sizes(p, buffers)
    bound = BoundPatterns(p, sizes, given)
    rest = _rest(bound, isa) if fresh and finish is None else None
    if fresh and not p.is_partition and rest is None:
        lanes = isa.vector_bytes // (8 if isinstance(out.type.element_type, ir.F64Type) else 4)
        filled = fill_rest(bound, out, finish or as_it_is, lanes)
        fresh = not (filled and p.summed)
    fresh = fresh or p.body.replaces or p.is_partition
    loops, blocks = bound.loops(), bound.blocks()
    if blocks is None:
        adds = p.tiling.accumulate and not (fresh and (p.is_partition or not p.summed))
        finish_at = p.body.finish and finish_at_point(p, [*inputs, out])
        emitter = listed_emitter(c, p.body.sums, isa, rest)
        emitter(c, buffers, isa, fresh, finish, loops, finish_at, p.is_partition, adds=adds).emit()
    else:
        BlockEmitter(c, buffers, isa, fresh, finish, loops, blocks, p.body.sums).emit()


def _rest(bound: BoundPatterns, isa: Isa) -> Walk | None:
    """The rows that become zero while others are multiplied."""
    p = bound.p
    if p.is_partition or p.body.finish is not None or listed_unit(p.product, p.body.sums, isa) is not None:
        return None
    return unlisted_rows(bound)


def _sizes(p: ListedProduct, buffers: list[ir.Value]) -> dict[int, Index]:
    """Extent of every loop: a constant when a type tells it."""
    sizes: dict[int, Index] = {}
    for buffer, dims in zip(buffers, p.product.dims):
        for i, d in enumerate(dims):
            if d not in sizes or (not isinstance(sizes[d], int) and not buffer.type.is_dynamic_dim(i)):
                sizes[d] = dim_size(buffer, i)
    return sizes
