"""Ops that put elements elsewhere: slices, insertions, concatenations, padding, casts of types that differ in sizes.

One kernel serves them all: a thread per element of a box, which says where it is read and where it goes.
"""

from collections.abc import Callable, Sequence

from pith._mlir import arith, gpu, ir, memref
from pith.dialect import shape_of
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from ..host import Host, buffer_type
from ..outputs import constant_of, extents
from .fill import BLOCK_THREADS, linear_grid
from .loops import split_index

#: Coordinates of the source and of the result at a point of the box, from the numbers a kernel was given.
Places = Callable[[list[Index], list[Index]], tuple[list[Index], list[Index]]]


def convert_cast(host: Host, op: ir.OpView) -> None:
    """``tensor.cast``: the same memory, or a copy into a buffer of the other type."""
    source, result = op.operands[0], op.results[0]
    buffer = host.buffers_of(op, source)[-1]
    if buffer_type(source.type) != buffer_type(result.type):
        sizes = extents(host, op, source)
        copy = host.allocate(buffer_type(result.type), sizes)
        _move(host, op, buffer, copy, sizes, [], lambda at, _: (at, at))
        buffer = copy
    host.bind(result, [buffer])


def convert_slice(host: Host, op: ir.OpView) -> None:
    """``tensor.extract_slice``: element i is the source's at ``offsets + i * strides``."""
    rank = op.operands[0].type.rank
    offsets, sizes, strides = _window(host, op, list(op.operands)[1:])
    kept = _kept_dimensions(list(_numbers(op, "static_sizes")), shape_of(op.results[0].type), rank)
    shape = [sizes[d] for d in kept]
    out = host.allocate(buffer_type(op.results[0].type), shape)

    def places(at: list[Index], given: list[Index]) -> tuple[list[Index], list[Index]]:
        return _spread(at, kept, given[:rank], given[rank:]), at

    _move(host, op, host.buffers_of(op, op.operands[0])[-1], out, shape, [*offsets, *strides], places)
    host.bind(op.results[0], [out])


def convert_insert(host: Host, op: ir.OpView) -> None:
    """``tensor.insert_slice``: the destination, with the source at ``offsets + i * strides``."""
    source, target = op.operands[0], op.operands[1]
    offsets, _, strides = _window(host, op, list(op.operands)[2:])
    rank = target.type.rank
    kept = _kept_dimensions(list(_numbers(op, "static_sizes")), shape_of(source.type), rank)
    out = host.init_buffer(op, target)

    def places(at: list[Index], given: list[Index]) -> tuple[list[Index], list[Index]]:
        return at, _spread(at, kept, given[:rank], given[rank:])

    shape = extents(host, op, source)
    _move(host, op, host.buffers_of(op, source)[-1], out, shape, [*offsets, *strides], places)
    host.bind(op.results[0], [out])


def convert_concat(host: Host, op: ir.OpView) -> None:
    """``tensor.concat``: the inputs, one after the other along a dimension."""
    axis = ir.IntegerAttr(op.operation.attributes["dim"]).value
    shapes = [extents(host, op, v) for v in op.operands]
    total: Index = 0
    for shape in shapes:
        total = b.add(total, shape[axis])
    whole = [total if d == axis else s for d, s in enumerate(shapes[0])]
    out = host.allocate(buffer_type(op.results[0].type), whole)
    start: Index = 0
    for value, shape in zip(op.operands, shapes):

        def places(at: list[Index], given: list[Index]) -> tuple[list[Index], list[Index]]:
            return at, [b.add(x, given[0]) if d == axis else x for d, x in enumerate(at)]

        _move(host, op, host.buffers_of(op, value)[-1], out, shape, [start], places)
        start = b.add(start, shape[axis])
    host.bind(op.results[0], [out])


def convert_pad(host: Host, op: ir.OpView) -> None:
    """``tensor.pad`` with one value: elements of the source, the value around them."""
    body = list(op.operation.regions[0].blocks[0].operations)
    value = constant_of(body[-1].operands[0])
    if len(body) != 1 or value is None:
        pass_error(op, "has no GPU lowering: expects to pad with a constant")
    given = iter(list(op.operands)[1:])
    low, high = (_mixed(host, op, name, given) for name in ("static_low", "static_high"))
    inner = extents(host, op, op.operands[0])
    shape = [b.add(b.add(x, y), z) for x, y, z in zip(low, inner, high)]
    out = host.allocate(buffer_type(op.results[0].type), shape)
    source = host.buffers_of(op, op.operands[0])[-1]
    numbers = [v for v in low if not isinstance(v, int)]
    with host.kernel("pad", [v.type for v in (source, out, *numbers)], BLOCK_THREADS) as (name, block):
        read, write, *rest = block.arguments
        before = _known(low, rest)

        def one(at: list[Index]) -> None:
            place = [b.value(b.sub(x, y)) for x, y in zip(at, before)]
            inside = [b.less(p, b.dim_size(read, d)) for d, p in enumerate(place)]
            element = write.type.element_type
            loaded = b.if_else(
                _all(inside),
                lambda: [memref.load(read, place)],
                lambda: [arith.ConstantOp(element, value).result],
                [element],
            )
            memref.store(loaded[0], write, [b.value(x) for x in at])

        _each([b.dim_size(write, d) for d in range(len(shape))], one)
    host.launch(op, name, [linear_grid(shape)], BLOCK_THREADS, 0, [source, out, *numbers])
    host.bind(op.results[0], [out])


def _window(host: Host, op: ir.OpView, dynamic: Sequence[ir.Value]) -> tuple[list[Index], list[Index], list[Index]]:
    """Offsets, sizes and strides of a slice."""
    given = iter(dynamic)
    offsets, sizes, strides = (
        _mixed(host, op, name, given) for name in ("static_offsets", "static_sizes", "static_strides")
    )
    return offsets, sizes, strides


def _mixed(host: Host, op: ir.OpView, name: str, dynamic) -> list[Index]:
    """Numbers of which some are operands."""
    unknown = ir.ShapedType.get_dynamic_size()
    return [n if n != unknown else host.size(op, next(dynamic)) for n in _numbers(op, name)]


def _numbers(op: ir.OpView, name: str) -> list[int]:
    return list(ir.DenseI64ArrayAttr(op.operation.attributes[name]))


def _kept_dimensions(sizes: Sequence[int], result: Sequence[int], rank: int) -> list[int]:
    """Dimension of the whole per dimension of a slice, which may drop some of extent 1."""
    kept: list[int] = []
    for d in range(rank):
        wanted = result[len(kept)] if len(kept) < len(result) else None
        matches = wanted is not None and (sizes[d] == wanted or (sizes[d] < 0 and wanted < 0))
        if matches and (sizes[d] != 1 or rank - d <= len(result) - len(kept) or wanted == 1):
            kept.append(d)
    return kept


def _spread(at: list[Index], kept: list[int], offsets: list[Index], strides: list[Index]) -> list[Index]:
    """Where an element of a slice is in the whole."""
    place = list(offsets)
    for x, d in zip(at, kept):
        place[d] = b.add(place[d], b.mul(x, strides[d]))
    return place


def _move(
    host: Host, op: ir.OpView, source: ir.Value, out: ir.Value, shape: list[Index], numbers: list[Index], places: Places
) -> None:
    """Copy what ``places`` says for every point of a box; ``numbers`` are known to the kernel as well."""
    passed = [b.value(s) for s in (*shape, *numbers) if not isinstance(s, int)]
    arguments = [source, out, *passed]
    with host.kernel("move", [v.type for v in arguments], BLOCK_THREADS) as (name, block):
        read, write, *rest = block.arguments
        known = _known([*shape, *numbers], rest)

        def one(at: list[Index]) -> None:
            here, there = places(at, known[len(shape) :])
            memref.store(memref.load(read, [b.value(i) for i in here]), write, [b.value(i) for i in there])

        _each(known[: len(shape)], one)
    host.launch(op, name, [linear_grid(shape)], BLOCK_THREADS, 0, arguments)


def _known(numbers: Sequence[Index], arguments: Sequence[ir.Value]) -> list[Index]:
    """Numbers inside of a kernel that was given those that are not constants."""
    given = iter(arguments)
    return [n if isinstance(n, int) else next(given) for n in numbers]


def _each(shape: list[Index], body: Callable[[list[Index]], None]) -> None:
    """``body`` of this thread's point of a box."""
    i = b.add(b.mul(gpu.block_id(gpu.Dimension.x), BLOCK_THREADS), gpu.thread_id(gpu.Dimension.x))
    b.if_else(b.less(i, b.product(shape)), lambda: body(split_index(i, shape)))


def _all(conditions: list[ir.Value]) -> ir.Value:
    held = arith.constant(ir.IntegerType.get_signless(1), 1)
    for condition in conditions:
        held = arith.andi(held, condition)
    return held
