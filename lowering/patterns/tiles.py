"""What ``convert-pith-tiles-to-panels`` makes of the products that patterns restrict: their kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeVar

from pith._mlir import bufferization, ir
from pith.passes.analysis.traversal import ops_named

from ..bufferization.destination import result_buffer
from ..builder import Index, buffer_of, dim_size
from ..epilogue.match import Epilogue, match_epilogue
from ..epilogue.values import bind
from ..isa import Isa
from ..module_isa import isa_of
from ..panel.dense.blocks import BlockEmitter
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


def lower_tiles(module: ir.Module) -> None:
    """Lower every ``pith.pit_tile`` of the module that has a kernel."""
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
