"""Pruning: zero what a format cannot keep, rank by rank, lowest first, keeping the largest magnitudes.

Source: Wu et al., HighLight, MICRO 2023 (sparsify rank by rank from the lowest rank up).
"""

from __future__ import annotations

import numpy as np

from ..errors import FormatError
from .format import Format
from .pack_digits import dense_view, level_view, rounded_up, slabs, slot_limits

#: Up to this many coordinates per group, ranks come from comparing all pairs; above, from a sort. On 2^18 float64
#: in groups of 8, 16, 32 pairs take 1.9, 4.0, 7.6 ms of CPU and the sort 10 ms (2-core Xeon, 2026-11).
_PAIRWISE = 32


def keep_mask(dense: np.ndarray, fmt: Format) -> np.ndarray:
    """True where pruning ``dense`` to ``fmt`` keeps the element.

    Semantics: from the innermost limited level outwards, every group keeps the coordinates with the
        largest sum of kept magnitudes below them; ties go to the lower coordinate. Infinities are the
        largest magnitudes.
    Errors:  :class:`pith.FormatError` naming the first NaN; :class:`pith.ShapeError` when ``fmt`` does not
        divide the shape.

    Example:
        >>> from pith.formats import HSS
        >>> keep_mask(np.array([[1.0, -4.0, 3.0, 2.0]]), HSS.parse("C0(2:4)").to_format()).tolist()
        [[False, True, True, False]]
    """
    fmt.check_shape(dense.shape)
    if (whole := rounded_up(dense, fmt)) is not dense:
        return keep_mask(whole, fmt)[tuple(slice(size) for size in dense.shape)]
    keep = np.ones(dense.shape, bool)
    if not slot_limits(fmt) or not dense.size:
        return keep
    for slab in slabs(fmt, dense.shape):
        keep[slab] = _keep(_magnitudes(dense[slab], [s.start or 0 for s in slab]), fmt)
    return keep


def _keep(magnitudes: np.ndarray, fmt: Format) -> np.ndarray:
    """:func:`keep_mask` of a part that the format treats independently."""
    limits = slot_limits(fmt)
    scores = level_view(magnitudes, fmt)
    sizes = scores.shape
    keep = np.ones((1,) * len(sizes), bool)
    for level in sorted(limits, reverse=True):
        scores = scores.sum(axis=tuple(range(level + 1, scores.ndim)), dtype=_accumulator(scores.dtype))
        kept = _largest(scores, limits[level])
        scores = np.where(kept, scores, 0)
        keep = keep & kept.reshape(kept.shape + (1,) * (len(sizes) - level - 1))
    return dense_view(np.broadcast_to(keep, sizes), fmt, magnitudes.shape)


def prune_array(dense: np.ndarray, fmt: Format) -> np.ndarray:
    """A copy of ``dense`` with everything ``fmt`` cannot keep set to zero (see :func:`keep_mask`)."""
    return np.where(keep_mask(dense, fmt), dense, dense.dtype.type(0))


def _magnitudes(dense: np.ndarray, origin: list[int]) -> np.ndarray:
    """Absolute values in a type that holds them all and compares fast; ``origin`` is where the part begins."""
    kind = dense.dtype.kind
    if kind in "biu":
        return np.abs(dense.astype(np.float32 if dense.dtype.itemsize <= 2 else np.float64))
    wide = dense if kind == "c" or dense.dtype.itemsize > 2 else dense.astype(np.float32)
    out = np.abs(wide)
    nan = np.isnan(out)
    if nan.any():
        where = [int(i) + o for i, o in zip(np.unravel_index(int(np.argmax(nan)), dense.shape), origin)]
        raise FormatError("cannot prune by magnitude: NaN", where=f"element {where}", hint="replace NaN, e.g. by 0")
    return out


def _accumulator(dtype: np.dtype) -> np.dtype:
    """Sums of magnitudes are taken in float64: float32 sums would order near-ties by their rounding."""
    return np.dtype(np.float64) if dtype != np.longdouble else dtype


def _largest(scores: np.ndarray, keep: int) -> np.ndarray:
    """Mask of the ``keep`` largest along the last axis; ties go to the lower index."""
    groups = scores.reshape(-1, scores.shape[-1])
    mask = _largest_pairwise(groups, keep) if groups.shape[1] <= _PAIRWISE else _largest_sorted(groups, keep)
    return mask.reshape(scores.shape)


def _largest_sorted(groups: np.ndarray, keep: int) -> np.ndarray:
    order = np.argsort(-groups, axis=1, kind="stable")[:, :keep]
    mask = np.zeros(groups.shape, bool)
    np.put_along_axis(mask, order, True, axis=1)
    return mask


def _largest_pairwise(groups: np.ndarray, keep: int) -> np.ndarray:
    columns = np.ascontiguousarray(groups.T)
    ranks = np.zeros(columns.shape, np.int8)  # how many beat each
    for j in range(len(columns)):
        for i in range(j):
            first_wins = columns[i] >= columns[j]
            ranks[j] += first_wins
            ranks[i] += ~first_wins
    return (ranks < keep).T
