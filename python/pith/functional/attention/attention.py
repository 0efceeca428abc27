"""``pith.attention``: softmax attention over what a query may see, through kernels cached per head size."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, as_torch, compile_source
from ...errors import ArgumentError, DTypeError, ShapeError
from ...patterns import Pattern
from ...runtime import dtype_name, numpy_dtype
from ...runtime.arrays import as_array, empty_array, is_torch
from ...traceable import traceable
from .ir import COMPUTED_IN, Variant
from .visibility import Limits, Visibility, scale_of, visibility

_WHERE = "pith.attention"


@traceable
def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    lengths: Any = None,
    window: int | Sequence[int] | None = None,
    global_tokens: Any = None,
    pattern: Pattern | None = None,
    causal: bool = False,
    scale: float | None = None,
    return_lse: bool = False,
    out: Any = None,
) -> Any:
    """Softmax attention in which a query sees part of the keys; nothing of the size of the scores is ever made.

    Shapes: q: ``(..., H, Q, D)``; k: ``(..., G, K, D)``; v: ``(..., G, K, E)``, G a divisor of H (query head h
        reads head ``h // (H // G)``); matrices are one head. Result: ``(..., H, Q, E)``; lse: ``(..., H, Q)``.
        With ``lengths`` arrays of rank 3 are packed: q ``(T, H, D)``, k ``(T, G, D)``, v ``(T, G, E)``, the
        sequences one after the other; result ``(T, H, E)``, lse ``(T, H)``.
    Semantics: query i sees key j when all that is given allows it: ``window`` (``|i - j| <= w``, or
        ``i - before <= j <= i + after``), ``pattern`` (the block of (i, j) is listed), ``causal`` (``j <= i``) and
        ``lengths`` (both lie in the sequence). Where i or j is a global token, window and pattern do not
        apply. A query that sees nothing gives zeros, and -inf as lse: padding stays zero, whatever it holds.
        lse is the natural logarithm of the sum of the exponentials. Computed in f32 (f64 for f64), rounded once.
        NaN in what a query sees gives NaN, a score of +inf too; what it does not see has no influence.
        Patterns, windows, lengths, tokens and sizes are data: a kernel is compiled per element type, head
        sizes D and E, and which of them are given (for patterns: the granularity).
    Args:
        q, k, v: NumPy arrays or torch CPU tensors of one element type: f16, bf16, f32 or f64. Any strides; a last
            dimension that is not contiguous is copied. Or torch tensors on one GPU, but for f64; those that are not
            contiguous as ``(batch, heads, positions, features)`` are copied.
        lengths: of the sequences: ``(batch,)`` for padded arrays, any number that make T for packed ones.
        window: keys to either side of a query, or a pair ``(before, after)``.
        global_tokens: positions that see and are seen by all of their sequence: ``(n,)`` for every sequence, or
            one list per sequence. Positions count from the start of the sequence, also in packed arrays; in a sequence
        that is shorter, a token has no effect.
        pattern: over the axes (queries, keys), shared by batch and heads. Query blocks of 24 cost least (f32, AVX2;
            others are cut into such).
        scale: factor of the scores, by default ``1 / sqrt(D)``.
        return_lse: return ``(result, lse)``.
        out: an array for the result, last dimension contiguous.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`
        (needs a gradient: :func:`pith.torch.sparse_attention`), :class:`pith.CheckError` (lengths, tokens out of range
        or twice); nothing is written then.
    Source: online softmax as in FlashAttention (NeurIPS 2022); global tokens of Longformer (2020).

    Example:
        >>> import numpy as np
        >>> import pith
        >>> x = np.eye(4, dtype=np.float32)[None]
        >>> pith.attention(x, x, x, window=1, scale=0.0)[0].round(2)
        array([[0.5 , 0.5 , 0.  , 0.  ],
               [0.33, 0.33, 0.33, 0.  ],
               [0.  , 0.33, 0.33, 0.33],
               [0.  , 0.  , 0.5 , 0.5 ]], dtype=float32)
        >>> pith.attention(x, x, x, window=0, global_tokens=[3], scale=0.0)[0].round(2)
        array([[0.5 , 0.  , 0.  , 0.5 ],
               [0.  , 0.5 , 0.  , 0.5 ],
               [0.  , 0.  , 0.5 , 0.5 ],
               [0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    limits = Limits(lengths, window, global_tokens, pattern, causal)
    return attend(q, k, v, limits, scale=scale, return_lse=return_lse, out=out)


def attend(
    q: Any, k: Any, v: Any, limits: Limits, *, scale: float | None = None, return_lse: bool = False, out: Any = None
) -> Any:
    """:func:`attention`, who sees whom in one value."""
    if is_torch(q) and q.is_cuda:
        from .device import attention_on_device

        return attention_on_device(q, k, v, limits, scale=scale, return_lse=return_lse, out=out)
    call = Call.of(q, k, v, packed=limits.lengths is not None)
    seen = visibility(call.sizes, call.packed, limits)
    result, lse = call.results(out, return_lse)
    call = call.apart_from(result)
    kernel = kernel_of(call.variant(lse is not None, seen))
    coordinates = None if seen.pattern is None else seen.pattern.coordinates
    optional = (call.lse_view(lse), coordinates, seen.tokens, seen.reach)
    arrays = (call.query, call.key, call.value, scale_of(scale, call.depth), call.view(result), seen.intervals)
    kernel.native(*arrays, *(a for a in optional if a is not None))
    if out is None:
        out = as_torch(result) if is_torch(q) else result
    if lse is None:
        return out
    return out, as_torch(lse) if is_torch(q) else lse


@dataclasses.dataclass(frozen=True)
class Call:
    """Checked operands as kernels see them: ``(batch, heads, positions, features)``, any strides but the last.

    Attributes:
        lead: leading sizes of the arrays as they were given: ``(..., H, Q)``, or ``(T, H)`` of packed ones.
        packed: positions come before heads.
    """

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    lead: tuple[int, ...]
    packed: bool

    @classmethod
    def of(cls, q: Any, k: Any, v: Any, packed: bool) -> Call:
        """The operands of a call; arrays of rank 3 are packed when ``packed``."""
        arrays = [_operand(x, name) for x, name in ((q, "q"), (k, "k"), (v, "v"))]
        shapes = [a.shape for a in arrays]
        if len({len(s) for s in shapes}) > 1 or len(shapes[0]) < 2:
            raise ShapeError(f"expects operands of one rank, at least 2, got shapes {shapes}", where=_WHERE)
        if len({a.dtype for a in arrays}) > 1:
            raise DTypeError(f"expects one element type, got {[str(a.dtype) for a in arrays]}", where=_WHERE)
        packed = packed and len(shapes[0]) == 3
        query, key, value = (_four_axes(a, packed) for a in arrays)
        same = query.shape[0] == key.shape[0] and query.shape[3] == key.shape[3] and key.shape[:3] == value.shape[:3]
        grouped = (key.shape[1] and query.shape[1] % key.shape[1] == 0) or key.shape[1] == query.shape[1]
        if not (same and grouped and shapes[0][:-3] == shapes[1][:-3]):
            raise ShapeError(f"shapes {shapes} of q, k and v do not fit each other", where=_WHERE)
        if not (query.shape[3] and value.shape[3]):
            raise ShapeError(f"expects at least one feature, got shapes {shapes}", where=_WHERE)
        return cls(query, key, value, shapes[0][:-1], packed)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Batch, queries, keys."""
        return self.query.shape[0], self.query.shape[2], self.key.shape[2]

    @property
    def depth(self) -> int:
        """Features of a query."""
        return self.query.shape[3]

    def variant(self, lse: bool, seen: Visibility) -> Variant:
        """The kernel that is called."""
        sizes = self.depth, self.value.shape[3]
        return Variant(dtype_name(self.query.dtype), *sizes, lse, seen.tokens is not None, seen.granularity)

    def results(self, out: Any, with_lse: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Arrays for the result and the logarithms, in the layout of the operands."""
        shape = (*self.lead, self.value.shape[3])
        lse = None
        if with_lse:
            computed = numpy_dtype(COMPUTED_IN[dtype_name(self.query.dtype)])
            lse = empty_array(self.lead, computed)
        if out is None:
            return empty_array(shape, self.query.dtype), lse
        return _checked_out(out, shape, self.query.dtype), lse

    def view(self, result: np.ndarray) -> np.ndarray:
        """The result as its kernel sees it."""
        return _four_axes(result, self.packed)

    def lse_view(self, lse: np.ndarray | None) -> np.ndarray | None:
        """The logarithms as their kernel sees them."""
        return None if lse is None else _four_axes(lse[..., None], self.packed)[..., 0]

    def apart_from(self, result: np.ndarray) -> Call:
        """The call with copies of the operands that share memory with the result."""
        names = [n for n in ("query", "key", "value") if np.may_share_memory(getattr(self, n), result)]
        return dataclasses.replace(self, **{n: getattr(self, n).copy() for n in names}) if names else self


def _operand(x: Any, name: str) -> np.ndarray:
    array = as_array(x, f"{_WHERE}: {name}")
    if (array.ndim and array.strides[-1] != array.itemsize) or any(s % array.itemsize for s in array.strides):
        return np.ascontiguousarray(array)
    return array


def _four_axes(array: np.ndarray, packed: bool) -> np.ndarray:
    """``(batch, heads, positions, features)``; a copy only where leading axes cannot be merged."""
    if packed:
        return array.transpose(1, 0, 2)[None]
    if array.ndim == 4:
        return array
    if array.ndim < 4:
        return array[(None,) * (4 - array.ndim)]
    return array.reshape(math.prod(array.shape[:-3]), *array.shape[-3:])


def _checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    array = as_array(out, f"{_WHERE}: out")
    if array.shape != shape:
        raise ShapeError(f"the result has shape {shape}, got {array.shape}", where=f"{_WHERE}: out")
    if array.dtype != dtype:
        raise DTypeError(f"expects {dtype}, got {array.dtype}", where=f"{_WHERE}: out")
    if not array.flags.writeable:
        raise ArgumentError("the array is read-only", where=f"{_WHERE}: out", hint="pass a writable copy")
    whole = array.strides[-1] == array.itemsize or array.shape[-1] == 1 or not array.size
    if not whole or (array.ndim > 4 and not array.flags.c_contiguous):
        raise ShapeError(
            f"expects a contiguous last dimension, got strides of {array.strides} bytes",
            where=f"{_WHERE}: out",
            hint="pass a contiguous array and copy the result into place",
        )
    return array


@functools.cache
def kernel_of(variant: Variant) -> Kernel:
    """The kernel of a variant; all sizes but the head sizes are arguments."""
    if variant.element not in COMPUTED_IN:
        raise DTypeError(
            f"no attention kernel for {variant.element}",
            where=_WHERE,
            hint="convert to one of " + ", ".join(COMPUTED_IN),
        )
    return compile_source(variant.source(), "attention")
