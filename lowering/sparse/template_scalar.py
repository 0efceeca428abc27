"""The universal template: any ``linalg.generic`` with one encoded operand, one scalar at a time.

Shape of the code it emits (levels of the sparse operand outside, all other dimensions inside)::

    scf.parallel over the first level, when it is dense and indexes the output
      loops over the remaining levels          (lowering/sparse/levels.py)
        loops over the dimensions the sparse operand does not have
          out[...] = body(loads..., out[...])

It is correct for every format and every body whose result vanishes with the sparse operand; the
inner loop is contiguous for row-major operands, so LLVM vectorises it.
"""

from collections.abc import Callable, Sequence

from pith._mlir import bufferization, ir, memref
from pith.passes.cloning import clone
from pith.passes.generic import filled

from .. import builder as b
from ..bufferization.destination import buffer_to_overwrite, is_exclusive, updated_buffer
from ..builder import Index
from .contraction import SparseGeneric, indexing_maps
from .levels import Cursor, Storage, descend, inside, load_value, start, walk


def emit_scalar(g: SparseGeneric, storage: Storage) -> ir.Value:
    """Emit the kernel at the insertion point; returns the result tensor."""
    views = [None if i == g.sparse else b.buffer_of(v) for i, v in enumerate(g.inputs)]
    views.append(updated_buffer(g.init) if g.accumulates else buffer_to_overwrite(g.init, is_exclusive(g.init)))
    sizes = _iteration_sizes(g, storage)
    if not g.accumulates:
        filled(views[-1], b.zero_of(g.init.type.element_type))
    sparse_dims, maps = g.sparse_dims, indexing_maps(g.op)
    free = [d for d in range(len(g.iterators)) if d not in sparse_dims]

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        point: list[Index] = [0] * len(g.iterators)
        for dim, coord in zip(sparse_dims, at.coords):
            point[dim] = coord

        def update() -> None:
            stored = load_value(storage, at.position)
            free_loops(free, sizes, point, lambda: update_point(g.op, maps, views, point, stored))

        b.only_if(inside(storage, at.coords), update)
        return carried

    first = storage.format.exprs[0]
    top = start(storage.format)
    if storage.format.levels[0].kind == "dense" and sparse_dims[first.dim] in g.dims(len(g.maps) - 1):
        size = storage.level_sizes[0]
        work = b.product([b.dim_size(storage.values, 0), *(sizes[d] for d in free)])
        b.parallel_loop([size], lambda c: walk(storage, descend(storage, top, c, c), leaf), work=b.mul(work, 4))
    else:
        walk(storage, top, leaf)
    return bufferization.to_tensor(g.init.type, views[-1], restrict=True, writable=True)


def _iteration_sizes(g: SparseGeneric, storage: Storage) -> list[Index | None]:
    sizes: list[Index | None] = [None] * len(g.iterators)
    for operand, dims in ((i, g.dims(i)) for i in range(len(g.maps)) if i != g.sparse):
        for position, dim in enumerate(dims):
            if dim is not None and not isinstance(sizes[dim], int):
                sizes[dim] = b.dim_size(g.op.operands[operand], position)
    return sizes


def free_loops(dims: Sequence[int], sizes: Sequence[Index], point: list[Index], leaf: Callable[[], None]) -> None:
    """Serial loops over iteration dimensions ``dims``; each writes its coordinate into ``point``."""
    if not dims:
        leaf()
        return

    def body(iv: Index) -> None:
        point[dims[0]] = iv
        free_loops(dims[1:], sizes, point, leaf)

    b.for_loop(0, sizes[dims[0]], body)


def update_point(
    op: ir.OpView,
    maps: Sequence[Sequence[ir.AffineExpr]],
    views: Sequence[ir.Value | None],
    point: Sequence[Index],
    stored: ir.Value | None = None,
) -> None:
    """``outs[...] = body(...)`` at one point of the iteration space; a view of None reads ``stored``."""
    store_outputs(op, maps, views, point, compute_point(op, maps, views, point, stored=stored))


def store_outputs(op: ir.OpView, maps, views, point: Sequence[Index], results: Sequence[ir.Value]) -> None:
    """Write one value per output at ``point``."""
    first = len(views) - len(results)
    for view, exprs, result in zip(views[first:], maps[first:], results):
        memref.store(result, view, indices_at(exprs, point))


def load_outputs(op: ir.OpView, maps, views, point: Sequence[Index]) -> list[ir.Value]:
    """The present value of every output at ``point``."""
    first = len(views) - len(list(op.regions[0].blocks[0].operations)[-1].operands)
    return [memref.load(view, indices_at(exprs, point)) for view, exprs in zip(views[first:], maps[first:])]


def compute_point(
    op: ir.OpView,
    maps: Sequence[Sequence[ir.AffineExpr]],
    views: Sequence[ir.Value | None],
    point: Sequence[Index],
    *,
    stored: ir.Value | None = None,
    outputs: Sequence[ir.Value] | None = None,
) -> list[ir.Value]:
    """The body's results at ``point``; ``outputs`` replaces loads of the outputs."""
    block = op.regions[0].blocks[0]
    *body, terminator = block.operations
    first = len(views) - len(terminator.operands)
    scalars: dict[ir.Value, ir.Value] = {}
    for i, (arg, view, exprs) in enumerate(zip(block.arguments, views, maps)):
        if view is None:
            scalars[arg] = stored
        elif outputs is not None and i >= first:
            scalars[arg] = outputs[i - first]
        elif any(True for _ in arg.uses):
            at = indices_at(exprs, point)
            scalars[arg] = memref.load(view, at) if isinstance(view.type, ir.MemRefType) else view
    for inner in body:
        if inner.operation.name == "linalg.index":
            scalars[inner.results[0]] = b.value(point[ir.IntegerAttr(inner.operation.attributes["dim"]).value])
            continue
        clone([inner], scalars)
    return [scalars.get(v, v) for v in terminator.operands]


def indices_at(exprs: Sequence[ir.AffineExpr], point: Sequence[Index]) -> list[ir.Value]:
    """Values of ``exprs`` at ``point``: where an operand with that map is read."""
    return [b.value(b.apply(e, point)) for e in exprs]
