"""The storage contract as data: which flat buffers a format keeps, in which order and width.

``pith.assemble`` takes these buffers as operands, :class:`pith.SparseTensor` holds them, and
every lowering expands an encoded argument into them. See :mod:`pith.formats.format` for what
they contain.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from .format import DYNAMIC, Format


@dataclasses.dataclass(frozen=True)
class BufferSpec:
    """One metadata buffer of a format (the values buffer is not listed: it always comes last).

    Attributes:
        level: the level it belongs to.
        role: ``positions``, ``coordinates`` or ``bits`` (the words of a ``bitmask``).
        bits: width of one entry; below 8, entries are packed into bytes.
        native: True when the width is the native index (``index`` in IR, int64 in NumPy).
    """

    level: int
    role: str
    bits: int
    native: bool = False

    @property
    def storage_bits(self) -> int:
        """Width of one element of the buffer as it is allocated (packed entries live in bytes)."""
        return max(8, self.bits)

    @property
    def per_word(self) -> int:
        """Entries per allocated element: 8 // bits for packed entries, else 1."""
        return max(1, 8 // self.bits)

    def words(self, entries: int) -> int:
        """Allocated elements that hold ``entries`` entries."""
        return -(-entries // self.per_word)


def buffer_specs(fmt: Format) -> tuple[BufferSpec, ...]:
    """Metadata buffers of ``fmt`` in storage order: per level positions first, then coordinates.

    >>> from pith.formats import HSS
    >>> [(b.role, b.level, b.bits) for b in buffer_specs(Format.csr())]
    [('positions', 1, 32), ('coordinates', 1, 32)]
    >>> [(b.role, b.level, b.bits) for b in buffer_specs(HSS.parse("C1(3:4)->C0(2:4)").to_format())]
    [('coordinates', 2, 2), ('coordinates', 3, 2)]
    """
    out: list[BufferSpec] = []
    for i, level in enumerate(fmt.levels):
        if level.has_positions:
            out.append(BufferSpec(i, "positions", fmt.pos_bits, fmt.pos_width == 0))
        if level.kind == "bitmask":
            out.append(BufferSpec(i, "bits", 8))
        elif level.has_coordinates:
            out.append(BufferSpec(i, "coordinates", fmt.coord_bits(i), level.kind != "nm" and fmt.crd_width == 0))
    return tuple(out)


def static_entries(fmt: Format, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Entries of every buffer (values last) for a static format and shape, else None.

    >>> from pith.formats import HSS
    >>> static_entries(HSS.parse("C0(2:4)").to_format(), (8, 16))
    (64, 64)
    """
    if not fmt.is_static or DYNAMIC in shape:
        return None
    shapes = fmt.packed_shapes(shape)
    metadata = (math.prod(shapes[f"coordinates[{b.level}]"]) for b in buffer_specs(fmt))
    return (*metadata, math.prod(shapes["values"]))
