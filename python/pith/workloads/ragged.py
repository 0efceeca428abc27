"""Ragged batches: sequences of their own lengths, one behind the other (:class:`Ragged`)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.kernel import Kernel, compile_source
from ..errors import ArgumentError, CheckError, DTypeError, ShapeError
from ..foreign_names import INSTEAD_OF_RAGGED, ForeignNames
from ..patterns import Pattern
from ..patterns.check import integer
from ..runtime import dtype_name
from ..sparse_interop import array_like
from . import ragged_ir
from .arguments import array_of, empty, float_element, like
from .rows import activate, layer_norm

_WHERE = "pith.Ragged"


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged(ForeignNames):
    """A batch of sequences that differ in length, packed: no position is padding.

    Shapes: data: ``(T, ...)``, T the sum of lengths, sequence after sequence; lengths: ``(batch,)``.
    Semantics: what works on tokens (linear layers, norms, activations) works on ``data``, any function
        of yours included: ``r.with_data(f(r.data))``. :func:`pith.attention` takes ``lengths``. Results
        are NumPy arrays, or torch tensors where ``data`` is one.
    Errors: :class:`pith.CheckError` for lengths below 0, or that do not add up to the rows of ``data``.

    Example:
        >>> r = Ragged.from_padded(np.arange(12, dtype=np.float32).reshape(2, 3, 2), lengths=[1, 3])
        >>> r
        <pith ragged: 4 tokens of (2,) in 2 sequences>
        >>> r[1].tolist()
        [[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]
        >>> r.to_padded(value=-1)[0].tolist()
        [[0.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]]
    """

    data: Any
    lengths: np.ndarray

    INSTEAD = INSTEAD_OF_RAGGED

    def __post_init__(self) -> None:
        lengths = _lengths(self.lengths)
        object.__setattr__(self, "lengths", lengths)
        shape: tuple[int, ...] = tuple(getattr(self.data, "shape", ()))
        if not shape:
            raise ArgumentError(f"expects an array of tokens, got {type(self.data).__name__}", where=_WHERE)
        if int(lengths.sum()) != shape[0]:
            raise CheckError(f"lengths add up to {int(lengths.sum())}, data has {shape[0]} rows", where=_WHERE)

    @classmethod
    def from_padded(cls, x: Any, lengths: Any) -> Ragged:
        """The first ``lengths[b]`` positions of every sequence of a padded batch.

        Shapes: x: ``(batch, size, ...)``.
        Errors: :class:`pith.CheckError` for a length above ``size``, :class:`pith.ShapeError` for another batch.

        Example:
            >>> Ragged.from_padded(np.ones((2, 3)), [2, 0]).data
            array([1., 1.])
        """
        padded, used = array_of(x, f"{_WHERE}: x"), _lengths(lengths)
        if padded.ndim < 2 or padded.shape[0] != used.size:
            raise ShapeError(f"expects x of shape ({used.size}, size, ...), got {padded.shape}", where=_WHERE)
        tokens = Pattern.from_lengths(used, padded.shape[1]).flatten()
        element, width = dtype_name(padded.dtype), math.prod(padded.shape[2:])
        out = empty((tokens.count, *padded.shape[2:]), element)
        rows = padded.shape[0] * padded.shape[1]
        _kernel("pack", element).native(
            padded.reshape(rows, width), tokens.coordinates, out.reshape(tokens.count, width)
        )
        return cls(like(out, x), used)

    @classmethod
    def from_sequences(cls, sequences: Sequence[Any]) -> Ragged:
        """Sequences ``(length, ...)``, one behind the other.

        Errors: :class:`pith.ArgumentError` for no sequences; :class:`pith.ShapeError` when tokens differ in
            shape, :class:`pith.DTypeError` when they differ in type.

        Example:
            >>> Ragged.from_sequences([np.zeros((2, 4)), np.ones((1, 4))]).lengths
            array([2, 1])
        """
        arrays = [array_of(s, f"{_WHERE}: sequence {i}") for i, s in enumerate(sequences)]
        if not arrays:
            raise ArgumentError("expects at least one sequence", where=_WHERE)
        for i, array in enumerate(arrays):
            if array.ndim < 1 or array.shape[1:] != arrays[0].shape[1:]:
                raise ShapeError(
                    f"expects tokens of shape {arrays[0].shape[1:]}, got a sequence of shape {array.shape}",
                    where=f"{_WHERE}: sequence {i}",
                )
            if array.dtype != arrays[0].dtype:
                raise DTypeError(f"expects {arrays[0].dtype}, got {array.dtype}", where=f"{_WHERE}: sequence {i}")
        return cls(like(np.concatenate(arrays), sequences[0]), np.array([a.shape[0] for a in arrays]))

    @property
    def offsets(self) -> np.ndarray:
        """Where sequences begin in ``data``, and the number of tokens: int32, ``(batch + 1,)``."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)

    def tokens(self, size: int | None = None) -> Pattern:
        """Which positions of the padded batch (batch and position as one axis) are tokens.

        Semantics: the pattern for ``pith.linear(x, w, where=...)`` and other products on the padded batch itself.

        Example:
            >>> Ragged(np.zeros((3, 1)), [1, 2]).tokens(size=4).coordinates
            array([0, 4, 5], dtype=int32)
        """
        return Pattern.from_lengths(self.lengths, self._size(size)).flatten()

    def to_padded(self, size: int | None = None, value: float = 0) -> Any:
        """The padded batch ``(batch, size, ...)``; ``size`` is the longest length by default.

        Errors: :class:`pith.CheckError` when a sequence is longer than ``size``.
        """
        tokens, extent = self.tokens(size), self._size(size)
        packed = array_of(self.data, f"{_WHERE}: data")
        element, width = dtype_name(packed.dtype), math.prod(packed.shape[1:])
        out = empty((len(self), extent, *packed.shape[1:]), element)
        out.fill(value)
        _kernel("unpack", element).native(
            packed.reshape(tokens.count, width), tokens.coordinates, out.reshape(len(self) * extent, width)
        )
        return like(out, self.data)

    def with_data(self, data: Any) -> Ragged:
        """A batch of the same lengths."""
        return Ragged(data, self.lengths)

    def linear(self, weight: Any, bias: Any = None, activation: str | None = None, residual: Any = None) -> Ragged:
        """``activation(x @ weight.T + bias) + residual`` for every token: :func:`pith.linear`.

        Shapes: weight: ``(out, in)``, dense or sparse; residual: a :class:`Ragged` of the same lengths.
        """
        from ..functional.linear.linear import linear

        added = None if residual is None else self._same(residual).data
        return self.with_data(linear(self.data, weight, bias, activation, added))

    def layer_norm(self, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Ragged:
        """Every token normalised over its last dimension: :func:`pith.layer_norm`."""
        return self.with_data(layer_norm(self.data, weight, bias, eps))

    def gelu(self) -> Ragged:
        """GELU (with erf) of every element."""
        return self.with_data(activate(self.data, "gelu"))

    def __add__(self, other: Ragged) -> Ragged:
        """The sum of two batches of the same lengths."""
        return self.with_data(self.data + self._same(other).data)

    def softmax(self) -> Ragged:
        """Softmax over the positions of every sequence, for each element of a token by itself.

        Semantics: computed in f32 for 16-bit types. An empty sequence has no result.

        Example:
            >>> Ragged(np.float32([0, 0, 5]), [2, 1]).softmax().data
            array([0.5, 0.5, 1. ], dtype=float32)
        """
        packed = array_of(self.data, f"{_WHERE}: data")
        element, flat = float_element(packed, f"{_WHERE}: data"), (packed.shape[0], math.prod(packed.shape[1:]))
        out = empty(packed.shape, element)
        _kernel("softmax", element).native(packed.reshape(flat), self.offsets, out.reshape(flat))
        return self.with_data(like(out, self.data))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, sequence: int) -> Any:
        """A view of one sequence.

        Errors: :class:`pith.CheckError` (an ``IndexError``) when there is no such sequence.
        """
        try:
            at = range(len(self))[sequence]
        except IndexError:
            raise CheckError(f"there is no sequence {sequence} of {len(self)}", where=_WHERE) from None
        start = int(self.lengths[:at].sum())
        return self.data[start : start + int(self.lengths[at])]

    def __repr__(self) -> str:
        tokens, *shape = self.data.shape
        return f"<pith ragged: {tokens} tokens of {tuple(shape)} in {len(self)} sequences>"

    def _size(self, size: int | None) -> int:
        return int(self.lengths.max(initial=0)) if size is None else integer(size, "size")

    def _same(self, other: Any) -> Ragged:
        if not isinstance(other, Ragged):
            raise ArgumentError(f"expects a pith.Ragged, got {type(other).__name__}", where=_WHERE)
        if not np.array_equal(other.lengths, self.lengths):
            raise ShapeError("expects two batches of the same lengths", where=_WHERE)
        return other


def _lengths(values: Any) -> np.ndarray:
    lengths = array_like(values, "lengths")
    if lengths.ndim != 1 or (lengths.size and lengths.dtype.kind not in "iu"):
        raise DTypeError(
            f"expects one integer per sequence, got {lengths.dtype} of shape {lengths.shape}", where="lengths"
        )
    lengths = lengths.astype(np.int64)
    if lengths.size and lengths.min() < 0:
        at = int(np.flatnonzero(lengths < 0)[0])
        hint = "an empty sequence has length 0"
        raise CheckError(f"sequence {at} has length {int(lengths[at])}", where="lengths", hint=hint)
    return lengths


_SOURCES = {"pack": ragged_ir.pack_source, "unpack": ragged_ir.unpack_source, "softmax": ragged_ir.softmax_source}


@functools.cache
def _kernel(what: str, element: str) -> Kernel:
    return compile_source(_SOURCES[what](element), what)
