"""Tiles in shared memory and the axes that say which element of a tensor a place of a tile is.

An :class:`Axis` is the index stream of one role: consecutive elements, or those a pattern lists.
SRead and SWrite are nothing but loads and stores through an axis that follows a pattern.
"""

import dataclasses

from pith._mlir import arith, gpu, ir, memref

from .. import builder as b
from ..builder import Index


def is_below(x: Index, bound: Index) -> ir.Value:
    """``x < bound``, unsigned: negative values are never below."""
    return arith.cmpi(arith.CmpIPredicate.ult, b.value(x), b.value(bound))


def remainder(x: Index, d: int) -> Index:
    """``x mod d`` for non-negative ``x``."""
    if isinstance(x, int):
        return x % d
    return 0 if d == 1 else arith.remui(x, b.value(d))


@dataclasses.dataclass(frozen=True)
class Axis:
    """One role of the iteration space, seen from a tile of ``extent`` places that starts at ``base``.

    Attributes:
        base: first position of the tile in the (packed) index space.
        extent: places of the tile.
        size: elements of the tensors along this role.
    """

    base: Index
    extent: int
    size: Index

    @property
    def length(self) -> Index:
        """Positions to visit in all tiles together."""
        return self.size

    def at(self, place: Index) -> tuple[Index, ir.Value]:
        """(element, whether it exists) at ``place`` of the tile."""
        element = b.add(self.base, place)
        return element, is_below(element, self.size)

    def moved(self, base: Index) -> "Axis":
        """The same axis seen from the tile that starts at ``base``."""
        return dataclasses.replace(self, base=base)


@dataclasses.dataclass(frozen=True)
class PatternAxis(Axis):
    """An axis that visits the micro-tiles of a list: ``list[0]`` is the count, then their coordinates.

    The count is clamped to the list's length and coordinates are checked against the size, so a
    corrupt list cannot reach outside of a tensor.
    """

    entries: ir.Value
    count: ir.Value
    granularity: int

    @property
    def length(self) -> Index:
        """Positions the present micro-tiles fill."""
        return b.mul(self.count, self.granularity)

    def at(self, place: Index) -> tuple[Index, ir.Value]:
        """(element, whether it exists) at ``place`` of the packed tile."""
        position = b.add(self.base, place)
        micro = b.div(position, self.granularity)
        listed = is_below(micro, self.count)
        # Places past the end read entry 0, which every list has.
        entry = arith.select(listed, b.value(b.add(micro, 1)), b.value(0))
        coordinate = b.load_index(self.entries, entry)
        inside = remainder(position, self.granularity)
        element = b.add(b.mul(coordinate, self.granularity), inside)
        return element, arith.andi(listed, is_below(element, self.size))


def pattern_axis(entries: ir.Value, granularity: int, base: Index, extent: int, size: Index) -> PatternAxis:
    """Read the count of ``entries`` and make its axis."""
    capacity = b.sub(b.dim_size(entries, 0), 1)
    count = b.minimum(b.load_index(entries, 0), capacity)
    return PatternAxis(base, extent, size, entries, b.value(count), granularity)


@dataclasses.dataclass(frozen=True)
class SharedTile:
    """A tile in shared memory, ``rows x columns`` of roles ``roles``, rows ``pitch`` elements apart."""

    memory: ir.Value
    roles: tuple[str, str]
    extents: tuple[int, int]

    def store(self, element: ir.Value, row: Index, column: Index) -> None:
        """Write one element."""
        memref.store(element, self.memory, [b.value(row), b.value(column)])


@dataclasses.dataclass(frozen=True)
class TileShape:
    """Layout of a shared tile before it exists: extents, row pitch and element type."""

    roles: tuple[str, str]
    extents: tuple[int, int]
    pitch: int
    element: ir.Type

    @property
    def nbytes(self) -> int:
        """Bytes, rounded up so that the next tile is 16-byte aligned (what ldmatrix needs)."""
        width = self.element.width // 8  # type: ignore[attr-defined]
        return -(-self.extents[0] * self.pitch * width // 16) * 16


def shared_space() -> ir.Attribute:
    """``#gpu.address_space<workgroup>``."""
    return ir.Attribute.parse("#gpu.address_space<workgroup>")


def allocate(shapes: list[TileShape]) -> list[SharedTile]:
    """Lay tiles one after the other into the block's dynamic shared memory."""
    i8 = ir.IntegerType.get_signless(8)
    dynamic = ir.ShapedType.get_dynamic_size()
    bytes_type = ir.MemRefType.get([dynamic], i8, memory_space=shared_space())
    all_bytes = gpu.dynamic_shared_memory(bytes_type)
    tiles, offset = [], 0
    for shape in shapes:
        type_ = ir.MemRefType.get([shape.extents[0], shape.pitch], shape.element, memory_space=shared_space())
        memory = memref.view(type_, all_bytes, b.value(offset), [])
        tiles.append(SharedTile(memory, shape.roles, shape.extents))
        offset += shape.nbytes
    return tiles
