"""Tensor maps: what the copy engine of a GPU (TMA) must know of an array to copy boxes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .sizes import Fact, Size

#: Bytes of the hardware's descriptor, and what its address must be a multiple of.
MAP_BYTES, MAP_ALIGNMENT = 128, 128
#: What the driver's cuTensorMapEncodeTiled allows: dimensions, extents of a box, bytes that addresses and strides are
#: multiples of, and the rows of shared memory that a swizzle permutes (CUDA driver API, tensor map objects).
MAX_RANK, MAX_BOX, STRIDE_BYTES, SWIZZLES = 5, 256, 16, (0, 32, 64, 128)


@dataclasses.dataclass(frozen=True)
class TensorMap:
    """A kernel operand: boxes of a row-major array, passed by value as a descriptor of :data:`MAP_BYTES`.

    Attributes:
        operand: the number of the array among the operands of the program.
        shape: extents of the array as the kernel sees it, slowest first.
        box: elements per dimension that one copy brings; what lies outside of the array is zero.
        swizzle: bytes of the rows of shared memory within which chunks of 16 bytes are permuted; 0: in order.

    Errors: ``ValueError`` for what no descriptor can say.

    Example:
        >>> from pith.programs import const
        >>> held = TensorMap(0, (const(100), const(64)), (32, 64), 128)
        >>> TensorMap.from_json(held.to_json()) == held, held.extents([(100, 64)])
        (True, (100, 64))
    """

    operand: int
    shape: tuple[Size, ...]
    box: tuple[int, ...]
    swizzle: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= MAX_RANK or len(self.box) != len(self.shape):
            raise ValueError(f"expects 1 to {MAX_RANK} dimensions and a box of as many, got {self.box}")
        if not all(1 <= n <= MAX_BOX for n in self.box):
            raise ValueError(f"expects a box of 1 to {MAX_BOX} elements per dimension, got {self.box}")
        if self.swizzle not in SWIZZLES:
            raise ValueError(f"expects a swizzle of {SWIZZLES} bytes, got {self.swizzle}")

    def extents(self, facts: Sequence[Fact]) -> tuple[int, ...]:
        """The shape for operands with these facts."""
        return tuple(size.evaluate(facts) for size in self.shape)

    def __str__(self) -> str:
        """As ``explain()`` shows it.

        Example:
            >>> from pith.programs import dim
            >>> str(TensorMap(2, (dim(2, 0), dim(2, 1)), (32, 64), 128))
            'boxes 32x64 of arg2'
        """
        return f"boxes {'x'.join(map(str, self.box))} of arg{self.operand}"

    def to_json(self) -> dict[str, Any]:
        """Plain data; :meth:`from_json` is the inverse."""
        shape = [size.to_json() for size in self.shape]
        return {"operand": self.operand, "shape": shape, "box": list(self.box), "swizzle": self.swizzle}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorMap:
        """Rebuild a map from :meth:`to_json`.

        Errors: ``ValueError``, ``KeyError`` or ``TypeError`` for what is none.
        """
        shape = tuple(map(Size.from_json, data["shape"]))
        return cls(int(data["operand"]), shape, tuple(map(int, data["box"])), int(data["swizzle"]))
