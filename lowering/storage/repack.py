"""``pith.repack``: new values for a pattern that stays."""

from pith._mlir import bufferization, ir, memref
from pith.dialect import AssembleOp, buffer_types, format_of
from pith.passes.generic import filled

from .. import builder as b
from ..sparse.levels import Cursor, Storage, descend, inside, start, storage_of, walk


def emit_repack(whole: AssembleOp, source: ir.Value) -> ir.Value:
    """Emit the gathering of values from the memref ``source``; returns the assembled result.

    The walk over the stored positions of ``whole`` is that of every product; threads share its first level
    where that is dense.
    """
    type_ = whole.operation.results[0].type
    fmt = format_of(type_)
    metadata = whole.buffers[:-1]
    sizes = [b.dim_size(source, d) for d in range(fmt.rank)]
    storage = storage_of(fmt, sizes, whole.buffers)
    values = memref.alloc(storage.values.type, [b.value(b.dim_size(storage.values, 0))], [], alignment=64)

    # The walk leaves out what holds no element: the ends of diagonals, and what lies between rows.
    if fmt.diagonal is not None or any(level.kind == "loose_compressed" for level in fmt.levels):
        filled(values, b.zero_of(storage.values.type.element_type))

    def leaf(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        memref.store(_element(storage, source, at), values, [b.value(at.position)])
        return carried

    if fmt.levels[0].kind == "dense":

        def part(c: ir.Value) -> None:
            walk(storage, descend(storage, start(fmt), c, c), leaf)

        b.parallel_loop([storage.level_sizes[0]], part, work=b.mul(b.dim_size(storage.values, 0), 4))
    else:
        walk(storage, start(fmt), leaf)
    tensor = bufferization.to_tensor(buffer_types(type_)[-1], values, restrict=True, writable=True)
    return AssembleOp.build(type_, [*metadata, tensor], list(whole.sizes)).result


def _element(storage: Storage, source: ir.Value, at: Cursor) -> ir.Value:
    """The element at a cursor; zero beyond the edge."""

    def load() -> list[ir.Value]:
        return [memref.load(source, [b.value(c) for c in at.coords])]

    within = inside(storage, at.coords)
    element = source.type.element_type
    return load()[0] if within is None else b.if_else(within, load, lambda: [b.zero_of(element)], [element])[0]
