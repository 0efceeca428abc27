"""The universal template: any ``linalg.generic`` with one encoded operand, one scalar at a time.

Shape of the code it emits (levels of the sparse operand outside, all other dimensions inside)::

    scf.parallel over the first level, when it is dense and indexes the output
      loops over the remaining levels          (lowering/levels.py)
        loops over the dimensions the sparse operand does not have
          out[...] = body(loads..., out[...])

It is correct for every format and every body whose result vanishes with the sparse operand; the
inner loop is contiguous for row-major operands, so LLVM vectorises it.
"""

from collections.abc import Sequence

from pith._mlir import affine, bufferization, ir, linalg, memref

from . import builder as b
from .builder import Index
from .contraction import SparseGeneric
from .levels import Cursor, Storage, descend, load_value, start, walk


def emit_scalar(g: SparseGeneric, storage: Storage) -> ir.Value:
    """Emit the kernel at the insertion point; returns the result tensor."""
    views = [None if i == g.sparse else _view(v, True) for i, v in enumerate(g.inputs)]
    views.append(_view(g.init, False))
    sizes = _iteration_sizes(g, storage)
    if not g.accumulates:
        linalg.fill(b.zero_of(g.init.type.element_type), outs=[views[-1]])
    sparse_dims = g.dims(g.sparse)
    free = [d for d in range(len(g.iterators)) if d not in sparse_dims]

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        point: list[Index] = [0] * len(g.iterators)
        for dim, coord in zip(sparse_dims, at.coords):
            point[dim] = coord
        stored = load_value(storage, at.position)
        _free_loops(free, sizes, point, lambda: _update(g, views, point, stored))
        return carried

    first = storage.format.exprs[0]
    top = start(storage.format)
    if storage.format.levels[0].kind == "dense" and sparse_dims[first.dim] in g.dims(len(g.maps) - 1):
        size = storage.level_sizes[0]
        b.parallel_loop([size], lambda c: walk(storage, descend(storage, top, c, c), leaf))
    else:
        walk(storage, top, leaf)
    return bufferization.to_tensor(g.init.type, views[-1], restrict=True, writable=True)


def _view(v: ir.Value, read_only: bool) -> ir.Value:
    type_ = ir.MemRefType.get(v.type.shape, v.type.element_type)
    return bufferization.to_buffer(type_, v, read_only=read_only)


def _iteration_sizes(g: SparseGeneric, storage: Storage) -> list[Index | None]:
    sizes: list[Index | None] = [None] * len(g.iterators)
    for operand, dims in ((i, g.dims(i)) for i in range(len(g.maps)) if i != g.sparse):
        for position, dim in enumerate(dims):
            if dim is not None and not isinstance(sizes[dim], int):
                sizes[dim] = b.dim_size(g.op.operands[operand], position)
    return sizes


def _free_loops(free: Sequence[int], sizes, point: list[Index], leaf) -> None:
    if not free:
        leaf()
        return

    def body(iv: Index) -> None:
        point[free[0]] = iv
        _free_loops(free[1:], sizes, point, leaf)

    b.for_loop(0, sizes[free[0]], body)


def _update(g: SparseGeneric, views: list[ir.Value | None], point: list[Index], stored: ir.Value) -> None:
    """``out[...] = body(...)`` at one point of the iteration space."""
    block = g.op.regions[0].blocks[0]
    scalars: dict[ir.Value, ir.Value] = {}
    for i, (view, exprs) in enumerate(zip(views, g.maps)):
        scalars[block.arguments[i]] = stored if view is None else memref.load(view, _indices(exprs, point))
    for op in list(block.operations)[:-1]:
        clone = op.operation.clone()
        for i, v in enumerate(op.operands):
            if v in scalars:
                clone.operands[i] = scalars[v]
        scalars.update(zip(op.results, clone.results))
    result = list(block.operations)[-1].operands[0]
    memref.store(scalars.get(result, result), views[-1], _indices(g.maps[-1], point))


def _indices(exprs: Sequence[ir.AffineExpr], point: Sequence[Index]) -> list[ir.Value]:
    out = []
    for e in exprs:
        if isinstance(e, ir.AffineDimExpr):
            out.append(b.value(point[e.position]))
        else:
            map_ = ir.AffineMap.get(len(point), 0, [e])
            out.append(affine.apply(map_, [b.value(p) for p in point]))
    return out
