"""What each query of an attention sees, as the index arrays its kernel takes: bookkeeping, no arithmetic on values."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, CheckError, DTypeError, ShapeError
from ...patterns import Pattern
from ...patterns.check import in_range, integer_array, truth

_WHERE = "pith.attention"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Who sees whom, as a call of :func:`pith.attention` gives it; see there."""

    lengths: Any = None
    window: int | Sequence[int] | None = None
    global_tokens: Any = None
    pattern: Pattern | None = None
    causal: bool = False


@dataclasses.dataclass(frozen=True)
class Visibility:
    """What a kernel is told of who sees whom.

    Attributes:
        intervals: ``(batch or 1, queries, 2)`` int32: first key a query sees and the end.
        tokens: ``(batch or 1, count)`` int32, global tokens, or None.
        reach: as intervals, for pairs with a global token.
        pattern: over (queries, keys), or None.
    """

    intervals: np.ndarray
    tokens: np.ndarray | None
    reach: np.ndarray | None
    pattern: Pattern | None

    @property
    def granularity(self) -> tuple[int, int] | None:
        """Of the pattern."""
        return None if self.pattern is None else (self.pattern.granularity[0], self.pattern.granularity[1])


def visibility(sizes: tuple[int, int, int], packed: bool, limits: Limits, by_key: bool = False) -> Visibility:
    """Checks ``limits`` and works them out for ``sizes`` (batch, queries, keys).

    ``packed``: the sequences lie one after the other in one. ``by_key``: the other way round, which queries each key
    is seen by.
    """
    lengths, pattern = _lengths(limits.lengths, sizes, packed), _pattern(limits.pattern, sizes[1:])
    window = window_of(limits.window)
    if by_key:
        sizes = sizes[0], sizes[2], sizes[1]
        window = None if window is None else (window[1], window[0])
        pattern = None if pattern is None else _transposed(pattern)
    batch, queries, keys = sizes
    causal = truth(limits.causal, "attention: causal", "of a mask: pattern=pith.Pattern.from_mask(mask)")
    given = (window, causal, by_key)
    if lengths is None:
        intervals, reach = _of_one(queries, keys, *given)
    else:
        intervals, reach = _limited(*_sequences(lengths, queries, packed), keys, *given)
    tokens = None
    if limits.global_tokens is not None:
        if queries != keys:
            raise ShapeError(
                f"global tokens are queries and keys at once, of which there are {queries} and {keys}", where=_WHERE
            )
        tokens = _tokens(limits.global_tokens, batch, keys, lengths, packed)
    return Visibility(intervals, tokens, None if tokens is None else reach, pattern)


def _lengths(lengths: Any, sizes: tuple[int, int, int], packed: bool) -> np.ndarray | None:
    if lengths is None:
        return None
    batch, queries, keys = sizes
    if queries != keys:
        raise ShapeError(f"lengths need as many queries as keys, got {queries} and {keys}", where=_WHERE)
    return lengths_of(lengths, None if packed else batch, queries)


def _pattern(pattern: Any, sizes: tuple[int, int]) -> Pattern | None:
    if pattern is None:
        return None
    where = f"{_WHERE}: pattern"
    if not isinstance(pattern, Pattern):
        raise ArgumentError(
            f"expects a pith.Pattern, got {type(pattern).__name__}",
            where=where,
            hint="pith.Pattern.from_mask(mask, 64)",
        )
    if pattern.sizes != sizes:
        raise ShapeError(
            f"expects axes of sizes {sizes}, got {pattern.sizes}",
            where=where,
            hint="its axes are queries and keys, the same for all sequences; for padding give lengths=",
        )
    return pattern


def _transposed(pattern: Pattern) -> Pattern:
    """The same blocks over (keys, queries)."""
    coordinates = np.ascontiguousarray(pattern.coordinates[:, ::-1])
    return Pattern.trusted(pattern.sizes[::-1], pattern.granularity[::-1], coordinates)


@functools.lru_cache(maxsize=16)
def _of_one(
    queries: int, keys: int, window: tuple[int, int] | None, causal: bool, by_key: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals and reach where all keys are of one sequence."""
    lo, hi = np.zeros((1, queries), np.int32), np.full((1, queries), keys, np.int32)
    made = _limited(lo, hi, keys, window, causal, by_key)
    for array in made:
        array.flags.writeable = False
    return made


def _sequences(lengths: np.ndarray, size: int, packed: bool) -> tuple[np.ndarray, np.ndarray]:
    """First position and end of the sequence of every position: both zero in padding."""
    if packed:
        ends = np.cumsum(lengths)
        lo, hi = (np.repeat(x, lengths).astype(np.int32)[None] for x in (ends - lengths, ends))
        return lo, hi
    inside = np.arange(size) < lengths[:, None]
    return np.zeros((lengths.size, size), np.int32), np.where(inside, lengths[:, None], 0).astype(np.int32)


def _limited(
    lo: np.ndarray, hi: np.ndarray, keys: int, window: tuple[int, int] | None, causal: bool, by_key: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals and reach, of sequences cut by window and causality."""
    i = np.arange(lo.shape[1], dtype=np.int32)
    if causal:
        lo, hi = (np.maximum(lo, i), hi) if by_key else (lo, np.minimum(hi, i + 1))
    reach = _pairs(lo, hi)
    if window is None:
        return reach, reach
    before, after = (min(n, max(lo.shape[1], keys)) for n in window)
    return _pairs(np.maximum(lo, i - before), np.minimum(hi, i + after + 1)), reach


def _pairs(lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    out = np.empty((*np.broadcast_shapes(lo.shape, hi.shape), 2), np.int32)
    out[..., 0], out[..., 1] = lo, hi
    return out


def lengths_of(lengths: Any, batch: int | None, size: int) -> np.ndarray:
    """Checked lengths: of ``batch`` sequences of at most ``size``, or (None) of any number that make ``size``."""
    where = f"{_WHERE}: lengths"
    array = integer_array(lengths, where).astype(np.int64, copy=False)
    if array.ndim != 1 or (batch is not None and array.size != batch):
        wanted = "one length per sequence" if batch is None else f"one length for each of {batch} sequences"
        raise ShapeError(f"expects {wanted}, got shape {array.shape}", where=where)
    if array.size and array.min() < 0:
        at = int(array.argmin())
        raise CheckError(f"sequence {at} has length {int(array[at])}", where=where, hint="an empty one has length 0")
    if batch is None and (total := int(array.sum())) != size:
        raise ShapeError(f"the lengths make {total} positions, the arrays have {size}", where=where)
    if batch is not None and array.size and array.max() > size:
        at = int(array.argmax())
        raise CheckError(
            f"sequence {at} has length {int(array[at])}, the axis has {size} positions",
            where=where,
            hint="numpy.minimum(lengths, size) cuts sequences off",
        )
    return array


def window_of(window: Any) -> tuple[int, int] | None:
    """Keys before and after a query: ``w`` means ``(w, w)``."""
    if window is None:
        return None
    pair = tuple(window) if isinstance(window, Sequence) else (window, window)
    try:
        before, after = (operator.index(n) for n in pair)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"expects a number of keys or a pair (before, after), got {window!r}", where=f"{_WHERE}: window"
        ) from error
    if min(before, after) < 0:
        raise ArgumentError(f"expects numbers of keys >= 0, got {window!r}", where=f"{_WHERE}: window")
    return before, after


def scale_of(scale: Any, depth: int) -> float:
    """The factor of the scores, by default ``1 / sqrt(depth)``."""
    if scale is None:
        return 1.0 / math.sqrt(depth) if depth else 1.0
    try:
        value = float(scale)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"expects a number, got {scale!r}", where=f"{_WHERE}: scale") from error
    if not math.isfinite(value):
        raise ArgumentError(f"expects a finite number, got {value}", where=f"{_WHERE}: scale")
    return value


def _tokens(tokens: Any, batch: int, size: int, lengths: np.ndarray | None, packed: bool) -> np.ndarray | None:
    """Positions of global tokens per sequence of the kernel's batch, ``size`` where there are fewer."""
    lists = _token_lists(tokens, len(lengths) if packed and lengths is not None else batch)
    longest = size if lengths is None or not packed else max(map(int, lengths), default=0)
    for own in lists:
        in_range(own, longest, f"{_WHERE}: global_tokens", "the sequence")
        if np.unique(own).size != own.size:
            raise CheckError("a global token is listed twice", where=f"{_WHERE}: global_tokens", hint="numpy.unique")
    if packed and lengths is not None:
        starts = np.cumsum(lengths) - lengths
        shared = len(lists) == 1
        lists = [
            np.concatenate(
                [s + (own := lists[0 if shared else n])[own < m] for n, (s, m) in enumerate(zip(starts, lengths))]
            )
            if len(lengths)
            else np.empty(0, np.int64)
        ]
    count = max((own.size for own in lists), default=0)
    out = np.full((max(len(lists), 1), count), size, np.int32)
    for row, own in zip(out, lists):
        row[: own.size] = own
    return out if count else None


def _token_lists(tokens: Any, sequences: int) -> list[np.ndarray]:
    """One list per sequence, or one that all share."""
    where = f"{_WHERE}: global_tokens"
    if isinstance(tokens, (list, tuple)) and tokens and not all(np.ndim(t) == 0 for t in tokens):
        lists = [integer_array(t, where) for t in tokens]
    else:
        array = integer_array(tokens, where)
        if array.ndim == 0:
            raise ShapeError(f"expects a list of positions, got {tokens!r}", where=where, hint=f"[{tokens!r}]")
        lists = list(array) if array.ndim == 2 else [array]
    if any(own.ndim != 1 for own in lists) or len(lists) not in (1, sequences):
        shapes = [own.shape for own in lists]
        raise ShapeError(f"expects indices, or one list for each of {sequences} sequences, got {shapes}", where=where)
    if any(own.dtype.kind == "b" for own in lists):
        raise DTypeError("expects indices, got a mask", where=where, hint="np.flatnonzero(mask)")
    return [own.astype(np.int64, copy=False) for own in lists]
