"""Write a block's sums back: SWrite, with what surrounds the product computed on the way.

Sums go through shared memory a slab of rows at a time: a warp holds them scattered over rows, but memory wants
whole rows, 16 bytes per thread. Each slab takes the same loop, so an epilogue is in the code once per slab.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pith._mlir import arith, gpu, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ...numbers import plus
from .bodies import Body
from .layout import CHUNK_BYTES
from .staging import Threads
from .tiles import Axis, SharedMemory, SharedTile, all_of

#: ``finish(value, (m, n))``: the value to store, given the product's; a scalar, or neighbours along n.
Finish = Callable[[ir.Value, Sequence[Index]], ir.Value]


@dataclasses.dataclass(frozen=True)
class Output:
    """Where sums go.

    Attributes:
        buffer: row-major memory; the last role is ``n``.
        roles: of its dimensions.
        element: element type of the product's result, which sums are rounded to.
        addend: what the product is added to, in memory of the same shape, or None for zero.
        atomic: several blocks add to one place.
        finish: what is computed from the product's result before it is stored.
    """

    buffer: ir.Value
    roles: tuple[str, ...]
    element: ir.Type
    addend: ir.Value | None = None
    atomic: bool = False
    finish: Finish | None = None


def write_back(
    body: Body,
    acc: Sequence[ir.Value],
    axes: Mapping[str, Axis],
    output: Output,
    threads: Threads,
    memory: SharedMemory,
) -> None:
    """Store this block's tile at ``axes``; all its threads call it, and tiles in shared memory are gone after."""
    shape = body.slab_shape()
    slab = memory.view(shape)
    lanes = _lanes(output, body, axes["n"])
    for i in range(body.slabs):
        gpu.barrier()
        body.deposit(acc, i, slab, threads.number)
        gpu.barrier()

        def rows(width: int, i: int = i) -> None:
            columns = body.n // width

            def one(j: Index) -> None:
                row, column = b.div(j, columns), b.mul(b.mod(j, columns), width)
                _store(output, axes, slab, row, body.slab_row(i, row), column, width)

            threads.share(body.slab_rows * columns, one)

        aligned = _aligned(output, lanes)
        if lanes == 1 or aligned is None:
            rows(lanes)
        else:
            b.if_else(aligned, lambda r=rows: r(lanes), lambda r=rows: r(1))


def _lanes(output: Output, body: Body, n: Axis) -> int:
    """Neighbours stored at once: 16 bytes, where rows (if only run time will tell, perhaps) allow."""
    lanes = CHUNK_BYTES * 8 // output.buffer.type.element_type.width
    last = output.buffer.type.rank - 1
    ends = 0 if output.buffer.type.is_dynamic_dim(last) else output.buffer.type.get_dim_size(last)
    fits = (
        output.roles[-1] == "n" and ends % lanes == 0 and body.n % lanes == 0 and (n.run is None or n.run % lanes == 0)
    )
    return lanes if fits and not output.atomic else 1


def _aligned(output: Output, lanes: int) -> ir.Value | None:
    """Whether rows of the output start at multiples of ``lanes``; None: the type says so."""
    last = output.buffer.type.rank - 1
    if lanes == 1 or not output.buffer.type.is_dynamic_dim(last):
        return None
    rest = b.value(b.mod(b.dim_size(output.buffer, last), lanes))
    return arith.cmpi(arith.CmpIPredicate.eq, rest, b.value(0))


def _store(
    output: Output, axes: Mapping[str, Axis], slab: SharedTile, slab_row: Index, row: Index, column: Index, width: int
) -> None:
    places = {role: axes[role].at({"m": row, "n": column}.get(role, 0)) for role in output.roles}
    exists = all_of(*(p[1] for p in places.values()))
    where = [places[role][0] for role in output.roles]

    def store() -> None:
        value = _load(slab.memory, [0, slab_row, column], width)
        store_value(output, value, where)

    b.only_if(exists, store)


def store_value(output: Output, sums: ir.Value, where: Sequence[Index]) -> None:
    """Store what becomes of ``sums``, a scalar or aligned neighbours along the columns, at an element of the output."""
    at = [b.value(i) for i in where]
    integer = isinstance(output.element, ir.IntegerType)
    if output.atomic:
        if output.finish is not None:
            sums = output.finish(sums, where[-2:])
        kind = arith.AtomicRMWKind.addi if integer else arith.AtomicRMWKind.addf
        memref.atomic_rmw(kind, sums, output.buffer, at)
        return
    width = sums.type.shape[0] if isinstance(sums.type, ir.VectorType) else 1
    if output.addend is not None:
        old = _convert(_load(output.addend, where, width), sums.type)
        sums = plus(old, sums)
    value = _convert(sums, _like(sums, output.element))
    if output.finish is not None:
        value = output.finish(value, where[-2:])
    if width == 1:
        memref.store(value, output.buffer, at)
    else:
        nbytes = width * value.type.element_type.width // 8
        vector.store(value, output.buffer, at, alignment=min(nbytes, CHUNK_BYTES))


def _load(memory: ir.Value, where: Sequence[Index], width: int) -> ir.Value:
    at = [b.value(i) for i in where]
    if width == 1:
        return memref.load(memory, at)
    element = memory.type.element_type
    return vector.load(ir.VectorType.get([width], element), memory, at, alignment=min(width * element.width // 8, 16))


def _like(value: ir.Value, element: ir.Type) -> ir.Type:
    type_ = value.type
    return ir.VectorType.get(type_.shape, element) if isinstance(type_, ir.VectorType) else element


def _convert(value: ir.Value, type_: ir.Type) -> ir.Value:
    """``value`` widened, or rounded once, to ``type_``."""
    if value.type == type_:
        return value
    element = type_.element_type if isinstance(type_, ir.VectorType) else type_
    old = value.type.element_type if isinstance(value.type, ir.VectorType) else value.type
    return arith.extf(type_, value) if old.width < element.width else arith.truncf(type_, value)
