"""What a compiled function takes, as the user sees it: dense arrays, sparse tensors, numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, FormatError, ShapeError
from ..formats import DYNAMIC, HSS, Format, buffer_specs
from ..formats.parse import parse_format
from ..quantization import QuantizedTensor
from ..sparse import SparseTensor


@dataclasses.dataclass(frozen=True)
class Param:
    """One parameter at the pith level.

    Attributes:
        name: what errors call it.
        kind: ``dense``, ``encoded``, ``pattern`` or ``number``.
        dtype: element type (``f32``, ``index``, ...).
        shape: sizes, -1 where dynamic; of a pattern those of its axes.
        format: storage of an encoded parameter.
        granularity: micro-tiles of a pattern.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...] = ()
    format: Format | None = None
    granularity: tuple[int, ...] = ()

    @property
    def native_count(self) -> int:
        """Native arguments it expands into: buffers, values, one size per dynamic dimension."""
        if self.format is None:
            return 1
        return len(buffer_specs(self.format)) + 1 + self.shape.count(DYNAMIC)

    def shape_of(self, native: Sequence[Any]) -> tuple[int, ...]:
        """The shape of the value that :meth:`flatten` made ``native`` of."""
        if self.format is None:
            return tuple(getattr(native[0], "shape", ()))
        dynamic = iter(native[len(native) - self.shape.count(DYNAMIC) :])
        return tuple(next(dynamic) if s == DYNAMIC else s for s in self.shape)

    def flatten(self, value: Any, where: str) -> list[Any]:
        """The native arguments for ``value``; dense values pass through unchecked (the call checks them)."""
        if self.format is None:
            if isinstance(value, SparseTensor):
                raise FormatError("expects a dense array, got a SparseTensor", where=where, hint="pass A.to_dense()")
            return [value]
        tensor = self.tensor(value, where)
        sizes = [n for n, s in zip(tensor.shape, self.shape) if s == DYNAMIC]
        return [*tensor.buffers, *sizes]

    def tensor(self, value: Any, where: str) -> SparseTensor | QuantizedTensor:
        """``value``, when it is a sparse tensor as an encoded parameter takes it: quantised where its integers are.

        Errors: :class:`pith.FormatError`, :class:`pith.ShapeError`.
        """
        quantized = isinstance(value, QuantizedTensor) and self.dtype == f"i{value.bits}"
        if not quantized and not (isinstance(value, SparseTensor) and self.dtype != "i4"):
            raise FormatError(
                f"expects a pith.{'QuantizedTensor of 4 bits' if self.dtype == 'i4' else 'SparseTensor'} "
                f"in the format {self.format}, got {type(value).__name__}",
                where=where,
                hint="pack it first: pith." + ("quantize(w, fmt, ...)" if self.dtype == "i4" else "compress(w, fmt)"),
            )
        if value.format is not self.format and value.format != self.format:
            raise _other_format(self.format, value.format, where)
        if len(value.shape) != len(self.shape) or any(s not in (DYNAMIC, n) for s, n in zip(self.shape, value.shape)):
            expected = "x".join("?" if s == DYNAMIC else str(s) for s in self.shape)
            raise ShapeError(f"expects shape {expected}, got {'x'.join(map(str, value.shape))}", where=where)
        return value

    def pattern(self, value: Any, where: str) -> Any:
        """``value``, when it is a pattern over the axes and micro-tiles that a pattern parameter has.

        Errors: :class:`pith.ArgumentError`, :class:`pith.ShapeError`, :class:`pith.FormatError`.
        """
        from ..patterns import Pattern

        if not isinstance(value, Pattern):
            raise ArgumentError(f"expects a pith.Pattern, got {type(value).__name__}", where=where)
        if value.granularity != self.granularity:
            raise FormatError(
                f"expects micro-tiles of {list(self.granularity)}, got {list(value.granularity)}",
                where=where,
                hint="detect at this granularity, or pattern.coarsen(...)",
            )
        if any(s not in (DYNAMIC, n) for s, n in zip(self.shape, value.sizes)):
            expected = ", ".join("?" if s == DYNAMIC else str(s) for s in self.shape)
            raise ShapeError(f"expects a pattern over [{expected}], got one over {list(value.sizes)}", where=where)
        return value

    def to_json(self) -> dict[str, Any]:
        """Plain data for caches and bundles; the format as its text."""
        fmt = self.format
        stored = None if fmt is None else {"levels": str(fmt), "widths": [fmt.pos_width, fmt.crd_width, fmt.nm_width]}
        plain = {"name": self.name, "kind": self.kind, "dtype": self.dtype, "shape": self.shape, "format": stored}
        return {**plain, "granularity": self.granularity} if self.kind == "pattern" else plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Param:
        """Inverse of :meth:`to_json`."""
        fmt = data["format"]
        if fmt is not None:
            pos, crd, nm = fmt["widths"]
            parsed = parse_format(fmt["levels"])
            fmt = (parsed.to_format() if isinstance(parsed, HSS) else parsed).with_widths(pos, crd, nm)
        shape, granularity = tuple(data["shape"]), tuple(data.get("granularity", ()))
        return cls(data["name"], data["kind"], data["dtype"], shape, fmt, granularity)


def _other_format(expected: Any, got: Any, where: str) -> FormatError:
    """The error for a tensor in another format: where levels are the same, the widths of buffers differ."""
    if str(expected) != str(got):
        return FormatError(f"expects the format {expected}, got {got}", where=where, hint="convert it: A.to(fmt)")
    wanted, had = ([f.pos_width or 64, f.crd_width or 64, f.nm_width or "as few as hold them"] for f in (expected, got))
    names = ("positions", "coordinates", "nm coordinates")
    differ = [(name, a, b) for name, a, b in zip(names, wanted, had) if a != b]
    said = " and ".join(f"{name} of {a} bits, got {b}" for name, a, b in differ)
    widths = f"pos={expected.pos_width}, crd={expected.crd_width}, nm={expected.nm_width}"
    return FormatError(
        f"expects the format {expected} with {said}",
        where=where,
        hint=f"convert it: A.to(A.format.with_widths({widths}))",
    )


def flatten(params: Sequence[Param], args: Sequence[Any], name: str) -> list[Any]:
    """Native arguments for user arguments."""
    out: list[Any] = []
    for param, value in zip(params, args):
        out += param.flatten(value, f"{name}: argument {param.name!r}")
    return out
