"""Tiles that the copy engine brings in boxes (TMA): which operands they are of, what describes them, and the source.

A tile is cut into panels of 128, 64 or 32 bytes per row, one box each, whose chunks the engine permutes as bodies read
them. What lies outside of the array comes as zeros, so shapes that divide nothing need no code. The engine wants rows
of the array at multiples of 16 bytes: where only run time knows, the host launches this kernel or the one that copies
chunk by chunk (:func:`fits`).
Source: PTX ISA, "cp.async.bulk.tensor", "Swizzling Modes"; CUDA driver API, "Tensor Map Object Management".
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from pith._mlir import ir, memref, nvgpu
from pith.dialect import shape_of
from pith.programs.tensor_map import MAX_BOX, MAX_RANK, STRIDE_BYTES

from ... import builder as b
from ...builder import Index
from .layout import CHUNK_BYTES, layout_of
from .match import Product, View
from .mbarriers import Barriers, Bulk
from .staging import Filler, Threads
from .tiles import Axis, SharedTile, TileShape, pick, shared_space

#: Bytes of the rows that the engine permutes; a tile starts where their pattern does, every 8 rows of 128 bytes.
_ROWS, _ALIGNMENT = (128, 64, 32), 1024


def boxed_shape(shape: TileShape) -> TileShape | None:
    """``shape`` in panels as the engine fills them; None for layouts that it does not know.

    The swizzles of ``layout_of`` are the engine's: chunk c of row r is at c ^ r % 8 in 128 bytes, c ^ r / 2 % 4 in 64.
    """
    if shape.panels > 1 or shape.swizzle.up or shape.pitch * shape.panels != shape.extents[1]:
        return shape if _is_boxed(shape) else None
    row = next((r for r in _ROWS if shape.extents[1] * shape.width % r == 0), None)
    if row is None:
        return None
    pitch = row // shape.width
    swizzle = layout_of(row // CHUNK_BYTES)[1]
    made = dataclasses.replace(
        shape, pitch=pitch, swizzle=swizzle, panels=shape.extents[1] // pitch, alignment=_ALIGNMENT
    )
    return made if _is_boxed(made) else None


def _is_boxed(shape: TileShape) -> bool:
    row = shape.pitch * shape.width
    known = row in _ROWS and shape.swizzle == layout_of(row // CHUNK_BYTES)[1]
    return known and shape.pitch * shape.panels == shape.extents[1] and shape.extents[0] <= MAX_BOX


def box_of(product: Product, view: View, shape: TileShape, steps: Mapping[str, int]) -> TileShape | None:
    """The layout in which boxes bring a dense operand's tile of ``shape``; None where its elements are not in boxes.

    ``steps`` are the positions that a block owns per role.
    """
    made, sizes = boxed_shape(shape), shape_of(view.value.type)
    if made is None or view.roles[-1] != shape.roles[1] or not 2 <= len(view.roles) <= MAX_RANK:
        return None
    for role in shape.roles:
        if product.listing(role) or product.grouped(role) or steps[role] != shape.extent(role):
            return None
    if 0 in sizes or (sizes[-1] > 0 and sizes[-1] * shape.width % STRIDE_BYTES):
        return None
    return made


def fits(buffer: ir.Value) -> Index:
    """1 where the engine can address ``buffer``, on the host: rows at multiples of 16 bytes, and no size 0; else 0."""
    width = buffer.type.element_type.width // 8
    last = buffer.type.rank - 1
    rest = b.mod(b.dim_size(buffer, last), STRIDE_BYTES // width)
    return b.product([b.sub(1, b.minimum(rest, 1)), *(b.minimum(b.dim_size(buffer, d), 1) for d in range(last + 1))])


def _box(roles: Sequence[str], shape: TileShape) -> list[int]:
    """Elements per dimension of the array in one box."""
    extents = {shape.roles[0]: shape.extents[0], shape.roles[1]: shape.pitch}
    return [extents.get(role, 1) for role in roles]


def _map_type(roles: Sequence[str], shape: TileShape) -> ir.Type:
    tile = ir.MemRefType.get(_box(roles, shape), shape.element, memory_space=shared_space())
    swizzle = f"swizzle_{shape.pitch * shape.width}b"
    return ir.Type.parse(
        f"!nvgpu.tensormap.descriptor<tensor = {tile}, swizzle = {swizzle}, l2promo = l2promo_128b, oob = zero, "
        "interleave = none>"
    )


def describe(buffer: ir.Value, roles: Sequence[str], shape: TileShape) -> ir.Value:
    """The tensor map of ``buffer``, on the host: what a kernel takes for it."""
    unranked = ir.UnrankedMemRefType.get(buffer.type.element_type, None)
    box = [b.value(n) for n in _box(roles, shape)]
    made = nvgpu.tma_create_descriptor(_map_type(roles, shape), memref.cast(unranked, buffer), box)
    return _cast(ir.Type.parse("!llvm.ptr"), made)


def _cast(type_: ir.Type, value: ir.Value) -> ir.Value:
    return ir.Operation.create("builtin.unrealized_conversion_cast", [type_], [value]).results[0]


@dataclasses.dataclass(frozen=True)
class BoxSource:
    """Row-major memory whose dimensions have ``roles``, through ``parameter``, its tensor map as the kernel has it."""

    parameter: ir.Value
    roles: tuple[str, ...]

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        (shape,) = shapes
        held = _cast(_map_type(self.roles, shape), self.parameter)

        def issue(tiles: Sequence[SharedTile], k: Axis, barriers: Barriers, copy: Index) -> None:
            first = {role: _first(axis) for role, axis in {**axes, "k": k}.items() if role in self.roles}
            for panel in range(shape.panels):
                at = {**first, shape.roles[1]: b.add(first[shape.roles[1]], panel * shape.pitch)}
                coordinates = [b.value(at[role]) for role in reversed(self.roles)]
                to = _panel(tiles[0], self.roles, panel)
                nvgpu.tma_async_load(to, barriers.group, held, coordinates, b.value(copy))

        return Filler(lambda tiles, k: None, True, bulk=Bulk(shape.nbytes, issue))


def _first(axis: Axis) -> Index:
    """Where a tile begins; outside of the array if a list has nothing there."""
    element, exists = axis.at(0)
    # Consecutive elements: what does not exist is outside of the array, but for what a list leaves out.
    return element if axis.run is None else pick(exists, element, axis.size)


def _panel(tile: SharedTile, roles: Sequence[str], panel: int) -> ir.Value:
    """The memory of one panel as an array of the box's shape."""
    shape, unknown = tile.shape, ir.ShapedType.get_dynamic_stride_or_offset()
    box = _box(roles, shape)
    strides = [math.prod(box[d + 1 :]) for d in range(len(box))]
    first = b.mul(b.add(b.mul(tile.copy, shape.rows), panel * shape.extents[0]), shape.pitch)
    static, given = (first, []) if isinstance(first, int) else (unknown, [first])
    layout = ir.StridedLayoutAttr.get(static, strides)
    type_ = ir.MemRefType.get(box, shape.element, layout=layout, memory_space=shared_space())
    return memref.ReinterpretCastOp(type_, tile.memory, given, [], [], [static], box, strides).result
