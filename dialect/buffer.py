"""Bounded buffers: the attribute ``#pith.buffer``."""

import dataclasses

from pith._mlir import ir
from pith.errors import FormatError

from .pith import Pith

#: What happens to elements past the capacity.
OVERFLOWS = ("stream", "spill", "grow", "error")
#: Where a buffer lives.
SPACES = ("register", "l1", "l2", "shared", "global")


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Checked contents of a :class:`BufferAttr`.

    Attributes:
        capacity: elements the buffer holds.
        overflow: one of :data:`OVERFLOWS`.
        space: one of :data:`SPACES`.

    Errors: :class:`pith.FormatError` for a capacity below 1, an unknown policy or space, or a
        policy the space cannot carry out (registers cannot grow).

    Example:
        >>> Buffer(4096, "stream", "shared").capacity
        4096
    """

    capacity: int
    overflow: str
    space: str

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise FormatError(f"buffer expects a capacity >= 1, got {self.capacity}")
        if self.overflow not in OVERFLOWS:
            raise FormatError(f"buffer expects overflow to be one of {', '.join(OVERFLOWS)}, got {self.overflow!r}")
        if self.space not in SPACES:
            raise FormatError(f"buffer expects space to be one of {', '.join(SPACES)}, got {self.space!r}")
        if self.overflow == "grow" and self.space != "global":
            raise FormatError(f"buffer in space {self.space!r} cannot grow", hint='only "global" buffers can')


class BufferAttr(Pith.Attribute, name="buffer"):
    """``#pith.buffer<capacity, "overflow", "space">``: where data is held, how much fits, and what happens past it.

    Semantics: ``capacity`` counts elements. ``overflow`` says what happens to those that do not
        fit: ``stream`` re-reads them on every pass, ``spill`` moves them to the next larger
        space, ``grow`` enlarges the buffer, ``error`` stops the program with an error. ``space``
        is ``register``, ``l1``, ``l2``, ``shared`` or ``global``. Results never depend on what fits.
        Ops carry it as the discardable attribute ``pith.buffer``: detections for their list, on a GPU
        also a ``pith.pit_tile`` over a product for the rows of its second factor (``stream``, ``shared``).
    Errors: "expects a capacity >= 1", "expects overflow to be one of", "expects space to be one of",
        "cannot grow" (only ``global`` buffers can).
    Source: overbooked buffers of Tailors, MICRO 2023.
    Example: ``#pith.buffer<4096, "stream", "shared">``.
    """

    capacity: ir.IntegerAttr
    overflow: ir.StringAttr
    space: ir.StringAttr

    @classmethod
    def from_buffer(cls, buffer: Buffer) -> "BufferAttr":
        """The attribute that says ``buffer`` (in the current context)."""
        i64 = ir.IntegerType.get_signless(64)
        return cls.get(
            ir.IntegerAttr.get(i64, buffer.capacity),
            ir.StringAttr.get(buffer.overflow),
            ir.StringAttr.get(buffer.space),
        )

    def to_buffer(self) -> Buffer:
        """The checked contents. Errors: :class:`pith.FormatError`."""
        return Buffer(
            ir.IntegerAttr(self.capacity).value,
            ir.StringAttr(self.overflow).value,
            ir.StringAttr(self.space).value,
        )
