"""``pith.repack``: new values for a pattern that stays."""

from pith._mlir import bufferization, ir, memref, vector
from pith.dialect import AssembleOp, buffer_types, format_of
from pith.passes.generic import filled

from .. import builder as b
from ..isa import Isa
from ..sparse.levels import Cursor, Storage, descend, inside, start, storage_of
from .take import group_lanes, take_below


def emit_repack(whole: AssembleOp, source: ir.Value, isa: Isa) -> ir.Value:
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

    def store(taken: ir.Value, position: ir.Value) -> None:
        vector.store(taken, values, [position])

    def scalar(at: Cursor) -> None:
        memref.store(_element(storage, source, at), values, [b.value(at.position)])

    lanes = group_lanes(fmt, storage.values.type.element_type, isa)

    def take(at: Cursor) -> None:
        take_below(storage, source, at, lanes, lambda coords: coords[0], store, scalar)

    if fmt.levels[0].kind == "dense":
        work = b.mul(b.dim_size(storage.values, 0), 4)
        b.parallel_loop([storage.level_sizes[0]], lambda c: take(descend(storage, start(fmt), c, c)), work=work)
    else:
        take(start(fmt))
    tensor = bufferization.to_tensor(buffer_types(type_)[-1], values, restrict=True, writable=True)
    return AssembleOp.build(type_, [*metadata, tensor], list(whole.sizes)).result


def _element(storage: Storage, source: ir.Value, at: Cursor) -> ir.Value:
    """The element at a cursor; zero beyond the edge."""

    def load() -> list[ir.Value]:
        return [memref.load(source, [b.value(c) for c in at.coords])]

    within = inside(storage, at.coords)
    element = source.type.element_type
    return load()[0] if within is None else b.if_else(within, load, lambda: [b.zero_of(element)], [element])[0]
