"""Index streams, and tiles in shared memory.

An :class:`Axis` is the index stream of one role: consecutive elements, or those a pattern lists.
SRead and SWrite are nothing but loads and stores through an axis that follows a pattern.
"""

import dataclasses
import functools

from pith._mlir import arith, gpu, ir, memref, vector

from ... import builder as b
from ...builder import Index
from .layout import CHUNK_BYTES, NO_SWIZZLE, Swizzle, layout_of


def is_below(x: Index, bound: Index) -> ir.Value:
    """``x < bound``, unsigned: negative values are never below."""
    return arith.cmpi(arith.CmpIPredicate.ult, b.value(x), b.value(bound))


def all_of(*conditions: ir.Value | None) -> ir.Value | None:
    """Whether all conditions hold; None is one that always does."""
    known = [c for c in conditions if c is not None]
    return functools.reduce(arith.andi, known) if known else None


def pick(condition: ir.Value | None, x: Index, otherwise: Index) -> Index:
    """``x`` where the condition holds, else ``otherwise``."""
    return x if condition is None else arith.select(condition, b.value(x), b.value(otherwise))


@dataclasses.dataclass(frozen=True)
class Axis:
    """One role of the iteration space, seen from a tile of ``extent`` places that starts at ``base``.

    Attributes:
        base: first position of the tile in the (packed) index space.
        extent: places of the tile.
        size: elements of the tensors along this role.
        whole: every place of every tile is an element.
    """

    base: Index
    extent: int
    size: Index
    whole: bool = False

    @property
    def length(self) -> Index:
        """Positions to visit in all tiles together."""
        return self.size

    @property
    def run(self) -> int | None:
        """Positions from a multiple of which on as many elements follow each other; None: all do."""
        return None

    def at(self, place: Index) -> tuple[Index, ir.Value | None]:
        """(element, whether it exists) at ``place`` of the tile; None: it does."""
        element = b.add(self.base, place)
        return element, None if self.whole else is_below(element, self.size)

    def moved(self, base: Index) -> "Axis":
        """The same axis seen from the tile that starts at ``base``."""
        return dataclasses.replace(self, base=base)


def plain_axis(base: Index, extent: int, size: Index) -> Axis:
    """Consecutive elements; ``base`` is a multiple of ``extent``."""
    return Axis(base, extent, size, isinstance(size, int) and size % extent == 0)


def micro_tiles(extent: int, granularity: int) -> int:
    """Micro-tiles of ``granularity`` elements that one tile of ``extent`` can touch.

    Example:
        >>> micro_tiles(32, 8), micro_tiles(8, 32), micro_tiles(32, 5)
        (4, 1, 8)
    """
    if extent % granularity == 0:
        return extent // granularity
    return 1 if granularity % extent == 0 else extent // granularity + 2


@dataclasses.dataclass(frozen=True)
class PatternAxis(Axis):
    """An axis that visits micro-tiles that a list names, in the order of the list.

    Coordinates are checked against the size, so a corrupt list cannot reach outside of a tensor.

    Attributes:
        entries: memory that holds the coordinates of micro-tiles.
        first: where in ``entries`` the first one is.
        count: how many there are.
        granularity: elements of a micro-tile.
        staged: the coordinates of this tile in shared memory, once :meth:`with_staged` has said so.
    """

    entries: ir.Value = dataclasses.field(kw_only=True)
    first: Index = dataclasses.field(kw_only=True)
    count: ir.Value = dataclasses.field(kw_only=True)
    granularity: int = dataclasses.field(kw_only=True)
    staged: "SharedTile | None" = None

    @property
    def length(self) -> Index:
        """Positions the present micro-tiles fill."""
        return b.mul(self.count, self.granularity)

    @property
    def run(self) -> int | None:
        return self.granularity

    @property
    def micro_tiles(self) -> int:
        """Micro-tiles one tile can touch."""
        return micro_tiles(self.extent, self.granularity)

    def with_staged(self, tile: "SharedTile") -> "PatternAxis":
        """The same axis, whose coordinates :func:`stage_list` has put into row 0 of ``tile``."""
        return dataclasses.replace(self, staged=tile)

    def at(self, place: Index) -> tuple[Index, ir.Value | None]:
        """(element, whether it exists) at ``place`` of the packed tile."""
        position = b.add(self.base, place)
        micro = b.div(position, self.granularity)
        listed = is_below(micro, self.count)
        element = b.add(b.mul(self._coordinate(micro, listed), self.granularity), b.mod(position, self.granularity))
        return element, arith.andi(listed, is_below(element, self.size))

    def _coordinate(self, micro: Index, listed: ir.Value) -> Index:
        if self.staged is not None:
            slot = b.sub(micro, b.div(self.base, self.granularity))
            return arith.index_castui(ir.IndexType.get(), self.staged.load(0, slot))
        return self.coordinate(micro, listed)

    @property
    def copies(self) -> bool:
        """Whether ``entries`` holds the coordinates themselves, in 32 bits each."""
        return True

    def coordinate(self, micro: Index, listed: ir.Value) -> Index:
        """The coordinate of micro-tile ``micro``, read from ``entries``; any other where it is not listed."""
        return b.load_index(self.entries, self.place_of(micro, listed))

    def place_of(self, micro: Index, listed: ir.Value) -> Index:
        """Where in ``entries`` the coordinate of micro-tile ``micro`` is; 0, which exists, where it is not listed."""
        return pick(listed, b.add(self.first, micro), 0)


def pattern_axis(entries: ir.Value, granularity: int, base: Index, extent: int, size: Index) -> PatternAxis:
    """The axis of a list in the runtime's form: ``entries[0]`` is the count, clamped to the room behind it."""
    capacity = b.sub(b.dim_size(entries, 0), 1)
    count = b.value(b.minimum(b.load_index(entries, 0), capacity))
    return PatternAxis(base, extent, size, entries=entries, first=1, count=count, granularity=granularity)


@dataclasses.dataclass(frozen=True)
class TileShape:
    """Layout of a shared tile before it exists.

    Attributes:
        roles: (slow, fast): places of the fast role follow each other in memory.
        extents: rows, columns.
        element: element type.
        pitch: elements from row to row, whole chunks of 16 bytes.
        swizzle: order of the 16-byte chunks of a row.
        panels: parts of ``pitch`` columns, one behind the other.
        alignment: bytes of which the tile starts at a multiple.
    """

    roles: tuple[str, str]
    extents: tuple[int, int]
    element: ir.Type
    pitch: int
    swizzle: Swizzle = NO_SWIZZLE
    panels: int = 1
    alignment: int = CHUNK_BYTES

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return self.element.width // 8  # type: ignore[attr-defined]

    @property
    def chunk(self) -> int:
        """Elements of 16 bytes."""
        return CHUNK_BYTES // self.width

    @property
    def rows(self) -> int:
        """Rows in memory: those of all panels."""
        return self.panels * self.extents[0]

    @property
    def nbytes(self) -> int:
        """Bytes: whole chunks, as ldmatrix needs of where the next tile starts."""
        return self.rows * self.pitch * self.width

    def extent(self, role: str) -> int:
        """Places along a role."""
        return self.extents[self.roles.index(role)]

    def address(self, row: int, column: int) -> int:
        """Byte address of a place within the tile."""
        panel, inside = divmod(column, self.pitch)
        chunk, inside = divmod(inside, self.chunk)
        place = (panel * self.extents[0] + row) * self.pitch + self.swizzle.place(row, chunk) * self.chunk + inside
        return place * self.width


def tile_shape(roles: tuple[str, str], extents: tuple[int, int], element: ir.Type, apart: int = 1) -> TileShape:
    """A tile without bank conflicts; rows are whole chunks of 16 bytes. ``apart``: see :func:`layout_of`."""
    chunk = CHUNK_BYTES * 8 // element.width  # type: ignore[attr-defined]
    pitch, swizzle = layout_of(-(-extents[1] // chunk), apart)
    return TileShape(roles, extents, element, pitch * chunk, swizzle)


@dataclasses.dataclass(frozen=True)
class SharedTile:
    """One of several copies of a tile in shared memory.

    Attributes:
        memory: ``memref<copies x rows x pitch>``.
        shape: its layout.
        copy: which copy this is.
    """

    memory: ir.Value
    shape: TileShape
    copy: Index = 0

    def of_stage(self, copy: Index) -> "SharedTile":
        """Another copy."""
        return dataclasses.replace(self, copy=copy)

    def at(self, row: Index, column: Index) -> list[ir.Value]:
        """Indices into ``memory`` of a place."""
        swizzle, size, start = self.shape.swizzle, self.shape.chunk, row
        if self.shape.panels > 1:
            panel, column = b.div(column, self.shape.pitch), b.mod(column, self.shape.pitch)
            start = b.add(b.mul(panel, self.shape.extents[0]), row)
        if swizzle.bits:
            chunk = swizzle.emit(row, b.div(column, size))
            column = b.add(b.mul(chunk, size), b.mod(column, size))
        return [b.value(self.copy), b.value(start), b.value(column)]

    def load(self, row: Index, column: Index) -> ir.Value:
        """Read one element."""
        return memref.load(self.memory, self.at(row, column))

    def store(self, element: ir.Value, row: Index, column: Index) -> None:
        """Write one element."""
        memref.store(element, self.memory, self.at(row, column))

    def load_vector(self, lanes: int, row: Index, column: Index) -> ir.Value:
        """Read ``lanes`` neighbours, which one chunk holds, from a multiple of ``lanes`` on."""
        type_ = ir.VectorType.get([lanes], self.shape.element)
        return vector.load(type_, self.memory, self.at(row, column), alignment=lanes * self.shape.width)

    def store_vector(self, elements: ir.Value, row: Index, column: Index) -> None:
        """Write neighbours, which one chunk holds, from a multiple of their number on."""
        lanes = elements.type.shape[0]
        vector.store(elements, self.memory, self.at(row, column), alignment=lanes * self.shape.width)


def shared_space() -> ir.Attribute:
    """``#gpu.address_space<workgroup>``."""
    return ir.Attribute.parse("#gpu.address_space<workgroup>")


@dataclasses.dataclass
class SharedMemory:
    """The block's dynamic shared memory, handed out from its start."""

    memory: ir.Value
    used: int = 0

    @classmethod
    def open(cls) -> "SharedMemory":
        """All of it."""
        dynamic = ir.ShapedType.get_dynamic_size()
        type_ = ir.MemRefType.get([dynamic], ir.IntegerType.get_signless(8), memory_space=shared_space())
        return cls(gpu.dynamic_shared_memory(type_))

    def take(self, shape: TileShape, copies: int = 1) -> SharedTile:
        """The next ``copies`` tiles of ``shape``."""
        first = -(-self.used // shape.alignment) * shape.alignment
        self.used = first + copies * shape.nbytes
        return self.view(shape, copies, first)

    def view(self, shape: TileShape, copies: int = 1, offset: int = 0) -> SharedTile:
        """Tiles of ``shape`` from byte ``offset`` on, whatever else lies there."""
        type_ = ir.MemRefType.get([copies, shape.rows, shape.pitch], shape.element, memory_space=shared_space())
        return SharedTile(memref.view(type_, self.memory, b.value(offset), []), shape)
