"""Quantised sparse tensors: small integers with scales, stored in any format.

Storage contract: the metadata buffers of the format, then the values as integers in storage order. Values of
4 bits are packed two per byte, the one of even position in the low half, both signed; an odd last one is
followed by zero bits. ``scales`` are per row (``group`` None): element ``[i, j]`` is ``value * scales[i]``. Or
per group of consecutive stored values: value number ``p`` is
``(value - zero_points[p // group]) * scales[p // group]``, rounded to f32 after each step.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError, FormatError, ShapeError, UnsupportedError
from .foreign_names import INSTEAD_OF_QUANTIZED, SAME_OF_QUANTIZED, ForeignNames
from .formats.format import Format
from .formats.hss import HSS
from .formats.pack_buffers import aligned_zeros
from .formats.pack_read import slots_of
from .formats.parse import format_name
from .sparse import FormatLike, SparseTensor, compress
from .untraced import whole

_WHERE = "pith.quantize"


@whole
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class QuantizedTensor(ForeignNames):
    """A sparse matrix of quantised values. Made by :func:`quantize`.

    Attributes:
        shape, format, hss: as of :class:`pith.SparseTensor`.
        buffers: metadata buffers, then the values as int8 (two per byte when ``bits`` is 4).
        scales: f32, one per row or one per group.
        zero_points: int8, one per group, that ``bits`` bits hold; None with one scale per row.
        bits: of a value, 8 or 4.
        group: stored values per scale, None for one scale per row.
        count: stored values.

    Errors: :class:`pith.ShapeError`, :class:`pith.FormatError` for buffers that do not go together;
        :class:`pith.ArgumentError` (zero points).

    Example:
        >>> q = quantize(np.float32([[0, 1, 0, -127]]), "C0(2:4)")
        >>> q.integers.tolist(), q.scales.tolist(), q.dequantize().to_dense().tolist()
        ([1, -127], [1.0], [[0.0, 1.0, 0.0, -127.0]])
    """

    shape: tuple[int, int]
    format: Format
    buffers: tuple[np.ndarray, ...]
    scales: np.ndarray
    zero_points: np.ndarray | None
    bits: int
    group: int | None
    count: int
    hss: HSS | None = None

    SAME, INSTEAD = SAME_OF_QUANTIZED, INSTEAD_OF_QUANTIZED

    def __post_init__(self) -> None:
        groups = self.shape[0] if self.group is None else -(-self.count // self.group)
        for name, array in (("scales", self.scales), ("zero_points", self.zero_points)):
            if array is not None and array.shape != (groups,):
                raise ShapeError(f"expects {groups} {name}, got {array.shape}", where="pith.QuantizedTensor")
        if self.bits == 4 and self.zero_points is not None:
            far: np.ndarray = self.zero_points[(self.zero_points < -8) | (self.zero_points > 7)]
            if far.size:
                raise ArgumentError(f"expects zero_points from -8 to 7, got {far[0]}", where="pith.QuantizedTensor")
        if self.buffers[-1].shape != (-(-self.count * self.bits // 8),) or self.buffers[-1].dtype != np.int8:
            raise FormatError(
                f"expects {self.count} values of {self.bits} bits as int8, got {self.buffers[-1].size} "
                f"{self.buffers[-1].dtype}",
                where="pith.QuantizedTensor",
            )

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers, scales and zero points."""
        extra = () if self.zero_points is None else (self.zero_points,)
        return sum(array.nbytes for array in (*self.buffers, self.scales, *extra))

    @property
    def integers(self) -> np.ndarray:
        """The values as they are stored, one int8 each."""
        if self.bits == 8:
            return self.buffers[-1]
        packed = self.buffers[-1]
        halves = np.stack([np.left_shift(packed, 4) >> 4, packed >> 4], axis=1)
        return halves.reshape(-1)[: self.count]

    @functools.cached_property
    def row_sums(self) -> np.ndarray:
        """Sums of the integers of each row: what a zero point of the other operand is multiplied with."""
        return np.bincount(self._rows(), self.integers, self.shape[0])

    def dequantize(self) -> SparseTensor:
        """The tensor in f32: what products with f32 operands multiply."""
        wide = self.integers.astype(np.float32)
        if self.group is None or self.zero_points is None:
            values = wide * self.scales[self._rows()]
        else:
            group = np.arange(self.count) // self.group
            values = (wide - self.zero_points[group].astype(np.float32)) * self.scales[group]
        return SparseTensor(self.shape, self.format, (*self.buffers[:-1], values), self.hss)

    @property
    def T(self) -> QuantizedTensor:
        """The transposed tensor on the same buffers, where scales belong to groups of stored values.

        Errors: :class:`pith.UnsupportedError` with one scale per row: it would be one per column.
        """
        if self.group is None:
            raise UnsupportedError(
                "the transpose of a tensor with a scale per row has one per column",
                where="pith.QuantizedTensor.T",
                hint="q.linear(x) is x @ q.T; or pith.quantize(w.T, fmt), or quantise in groups",
            )
        return dataclasses.replace(self, shape=self.shape[::-1], format=self.format.transposed(), hss=None)

    def matmul(self, x: Any, **quantisation: Any) -> Any:
        """``A @ x``; see :func:`pith.matmul`.

        Args:
            x: f32, or i8 when scales are per row.
            x_scale, x_zero: an i8 ``x`` stands for ``(x - x_zero) * x_scale`` (default: 1, 0).
            out_scale, out_zero: the result is ``clamp(round(y / out_scale) + out_zero)`` in i8 instead of f32.
            variant: ``auto``, ``sparse`` (what is stored, without a dense copy) or ``dense``.
        """
        from .functional.matmul.quantized import multiply

        return multiply(self, x, linear=False, **quantisation)

    def linear(
        self, x: Any, bias: Any = None, activation: str | None = None, residual: Any = None, **quantisation: Any
    ):
        """``activation(x @ A.T + bias) + residual``; see :func:`pith.linear`, and :meth:`matmul` for the arguments."""
        from .functional.matmul.quantized import multiply

        return multiply(self, x, linear=True, bias=bias, activation=activation, residual=residual, **quantisation)

    #: NumPy leaves ``array @ tensor`` to :meth:`__rmatmul__`.
    __array_ufunc__ = None

    def __matmul__(self, x: Any) -> Any:
        return self.matmul(x)

    def __rmatmul__(self, x: Any) -> Any:
        from .functional.matmul.matmul import matmul

        return matmul(x, self)

    def _rows(self) -> np.ndarray:
        return _rows_of(SparseTensor(self.shape, self.format, (*self.buffers[:-1], self.integers)))

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        scales = "a scale per row" if self.group is None else f"groups of {self.group}"
        name = self.hss or format_name(self.format)
        return f"QuantizedTensor({size} i{self.bits}, {scales}, {name}, {self.count} stored, {self.nbytes} bytes)"


@dataclasses.dataclass(frozen=True)
class Quantized:
    """How a weight is to be stored: a format and what :func:`quantize` is told beside it.

    Attributes:
        format: HSS, Format or text.
        bits, group: as for :func:`quantize`: 8 with a scale per row, or 8 or 4 with one per group.

    Errors: :class:`pith.ArgumentError` (bits, group).

    Example:
        >>> import numpy as np
        >>> Quantized(bits=4, group=64).of(np.ones((8, 64), np.float32))
        QuantizedTensor(8x64 i4, groups of 64, dense, 512 stored, 296 bytes)
    """

    format: FormatLike = "dense"
    bits: int = 8
    group: int | None = None

    def __post_init__(self) -> None:
        _check_scheme(self.bits, 0, self.group, "pith.Quantized")

    def of(self, w: Any) -> QuantizedTensor:
        """``w`` as this says; see :func:`quantize`."""
        return quantize(w, self.format, bits=self.bits, group=self.group)


def quantize(
    w: Any, fmt: FormatLike | None = None, *, bits: int = 8, axis: int | None = 0, group: int | None = None
) -> QuantizedTensor:
    """Round the stored values of a matrix to small integers.

    Args:
        w: :class:`pith.SparseTensor`, or a dense matrix to store in ``fmt`` (default: dense).
        bits: 8, or 4 with ``group``.
        axis: 0 for a scale per row (channel), None for one scale; without zero points.
        group: stored values that share a scale and a zero point, in storage order.
    Semantics: per row, a value is at most half its scale off. In groups, scale and zero point stretch the
        group's values and 0 over all integers, and a value is at most its scale off.
    Errors: :class:`pith.ArgumentError` (bits, axis, group, values that are not finite),
        :class:`pith.UnsupportedError` (lists of diagonals per row), those of :func:`pith.compress`.

    Example:
        >>> import numpy as np, pith
        >>> q = pith.quantize(np.array([[0, 1, 0, 2], [4, 0, 0, -8]], np.float32), "C0(2:4)")
        >>> q
        QuantizedTensor(2x4 i8, a scale per row, C0(2:4), 4 stored, 13 bytes)
        >>> q.dequantize().to_dense().round(1).tolist()
        [[0.0, 1.0, 0.0, 2.0], [4.0, 0.0, 0.0, -8.0]]
    """
    _check_scheme(bits, axis, group, _WHERE)
    a = w if isinstance(w, SparseTensor) and fmt is None else compress(w, "dense" if fmt is None else fmt)
    if len(a.shape) != 2:
        raise ShapeError(f"expects a matrix, got shape {a.shape}", where=_WHERE)
    if a.dtype.kind not in "fV":
        raise DTypeError(f"expects floating-point values, got {a.dtype}", where=_WHERE)
    values = a.values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ArgumentError("expects finite values", where=_WHERE, hint="replace the others: numpy.nan_to_num(w)")
    integers, scales, zero_points = _per_row(a, values, axis) if group is None else _per_group(values, bits, group)
    stored = _packed(integers) if bits == 4 else integers
    return QuantizedTensor(
        a.shape, a.format, (*a.buffers[:-1], stored), scales, zero_points, bits, group, values.size, a.hss
    )


def _check_scheme(bits: int, axis: int | None, group: int | None, where: str) -> None:
    if not isinstance(bits, (int, np.integer)) or bits not in (4, 8) or (bits == 4 and group is None):
        raise ArgumentError(f"expects bits=8, or bits=4 with a group, got bits={bits}", where=where)
    positive = isinstance(group, (int, np.integer)) and not isinstance(group, bool) and bool(group >= 1)
    known = axis is None or (isinstance(axis, (int, np.integer)) and axis == 0)
    if not known or not (group is None or positive):
        raise ArgumentError(f"expects axis 0 or None and a positive group, got {axis} and {group!r}", where=where)


def _per_row(a: SparseTensor, values: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray, None]:
    rows, largest = _rows_of(a), np.zeros(a.shape[0], np.float32)
    np.maximum.at(largest, rows, np.abs(values))
    if axis is None:
        largest[:] = largest.max(initial=0)
    scales = _scales(largest, 127)
    return np.rint(values / scales[rows]).clip(-127, 127).astype(np.int8), scales, None


def _per_group(values: np.ndarray, bits: int, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lowest, highest = -(1 << bits - 1), (1 << bits - 1) - 1
    group = min(group, max(1, values.size))
    count = -(-values.size // group)
    padded = np.zeros(count * group, np.float32)
    padded[: values.size] = values
    padded = padded.reshape(count, group)
    low, high = (np.float32(0), np.float32(0)) if not count else (padded.min(1).clip(None, 0), padded.max(1).clip(0))
    span = np.broadcast_to(np.asarray(high, np.float64) - low, (count,))
    scales = _scales(span, highest - lowest)
    zero_points = np.rint(lowest - low / scales).clip(lowest, highest).astype(np.int8)
    integers = np.rint(padded / scales[:, None]) + zero_points[:, None]
    return integers.clip(lowest, highest).astype(np.int8).reshape(-1)[: values.size], scales, zero_points


def _scales(span: np.ndarray, steps: int) -> np.ndarray:
    """Step sizes that cut spans into ``steps``: never 0 or infinite, whatever finite values span."""
    limits = np.finfo(np.float32)
    exact = span.astype(np.float64) / steps
    return np.where(span > 0, exact.clip(limits.tiny, limits.max), 1).astype(np.float32)


def _packed(integers: np.ndarray) -> np.ndarray:
    """Values of 4 bits, two per byte, the first in the low half."""
    out = aligned_zeros(-(-integers.size // 2), np.int8)
    out |= integers[::2] & 15
    out[: integers.size // 2] |= np.left_shift(integers[1::2], 4)
    return out


def _rows_of(a: SparseTensor) -> np.ndarray:
    """Row of every stored value, in storage order; of the zeros below the edge of a padded format the last one."""
    fmt = a.format
    if fmt.diagonal is None or fmt.exprs[fmt.diagonal].dim == 1:
        slots, (rows, _) = slots_of(a.buffers, fmt, a.shape)  # the ends of diagonals have rows, too
        if slots.size == a.nse:
            return np.minimum(rows[np.argsort(slots)], max(0, a.shape[0] - 1))
    raise UnsupportedError(
        f"format {format_name(fmt)} stores values beyond the edge, which belong to no row",
        where=_WHERE,
        hint="pass group=...",
    )
