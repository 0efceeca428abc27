"""Pruning: zero what a format cannot keep, rank by rank, lowest first.

Source: Wu et al., HighLight, MICRO 2023 (sparsify rank by rank from the lowest rank up; scaled norms).
"""

from __future__ import annotations

import dataclasses
import math
import numbers

import numpy as np

from ..errors import ArgumentError, FormatError
from .diagonals import bent, straight, straightened
from .format import Format
from .pack_digits import dense_view, level_view, rounded_up, slabs, slot_limits

#: Up to this many coordinates per group, ranks come from comparing all pairs; above, from a sort. On 2^18 float64
#: in groups of 8, 16, 32 pairs take 1.9, 4.0, 7.6 ms of CPU and the sort 10 ms (2-core Xeon, 2026-11).
_PAIRWISE = 32

#: How elements and blocks can be ranked; ``value`` is for a saliency tensor.
SCORES = ("l1", "l2", "scaled", "value")


@dataclasses.dataclass(frozen=True)
class Ranking:
    """What pruning keeps first.

    Attributes:
        score: elements are ranked by their magnitude, or with ``"value"`` by the number itself. Blocks by the sum
            over what is kept in them of magnitudes (``"l1"``), numbers (``"value"``) or squares (``"l2"``), or
            by the mean of the squares of what is kept and not zero (``"scaled"``).
        floor: elements below it are dropped even where there is room.

    Errors: :class:`pith.ArgumentError` for other scores and a floor that is NaN.
    """

    score: str = "l1"
    floor: float = -math.inf

    def __post_init__(self) -> None:
        if not isinstance(self.score, str) or self.score not in SCORES:
            raise ArgumentError(f"no score {self.score!r}", hint="l1, l2, scaled; or give saliency=")
        if not isinstance(self.floor, numbers.Real) or math.isnan(self.floor):
            raise ArgumentError(f"at_most is a number other than NaN, got {self.floor!r}", hint="None: no threshold")


MAGNITUDE = Ranking()


def keep_mask(
    ranked: np.ndarray, fmt: Format, ranking: Ranking = MAGNITUDE, allowed: np.ndarray | None = None
) -> np.ndarray:
    """True where pruning a tensor to ``fmt`` keeps the element.

    Shapes:  ranked: what is ranked by, the tensor itself or its saliency; allowed: the same, of booleans.
    Semantics: from the innermost limited level outwards, every group keeps the coordinates with the
        best score (:class:`Ranking`); ties go to the lower coordinate. Infinities are the largest
        magnitudes. Elements that are not ``allowed`` are dropped before all others.
    Errors:  :class:`pith.FormatError` naming the first NaN; :class:`pith.ShapeError` when ``fmt`` does not
        divide the shape.

    Example:
        >>> from pith.formats import HSS
        >>> keep_mask(np.array([[1.0, -4.0, 3.0, 2.0]]), HSS.parse("C0(2:4)").to_format()).tolist()
        [[False, True, True, False]]
    """
    fmt.check_shape(ranked.shape)
    if fmt.diagonal is not None:
        if ranking.floor != -math.inf:
            ranked = elements_ranked(ranked, ranking, [0, 0])
        inside = straightened(np.ones(ranked.shape, bool) if allowed is None else allowed, fmt)
        return bent(keep_mask(straightened(ranked, fmt), straight(fmt), ranking, inside), fmt, ranked.shape)
    if fmt.padded and (padded := fmt.padded_shape(ranked.shape)) != ranked.shape:
        inside = np.zeros(padded, bool)
        part = tuple(slice(s) for s in ranked.shape)
        inside[part] = True if allowed is None else allowed
        return keep_mask(rounded_up(ranked, fmt), fmt, ranking, inside)[part]
    keep = np.ones(ranked.shape, bool) if allowed is None else allowed.copy()
    if not ranked.size or (not slot_limits(fmt) and ranking.floor == -math.inf):
        return keep
    for slab in slabs(fmt, ranked.shape):
        elements = elements_ranked(ranked[slab], ranking, [s.start or 0 for s in slab])
        inside = keep[slab]
        keep[slab] = _keep(np.where(inside, elements, -math.inf), fmt, ranking) & inside
    return keep


def _keep(elements: np.ndarray, fmt: Format, ranking: Ranking) -> np.ndarray:
    """:func:`keep_mask` of a part that the format treats independently; -inf marks what is not allowed."""
    limits = slot_limits(fmt)
    keys = level_view(elements, fmt)
    depth = keys.ndim
    keep = (keys >= ranking.floor) & (keys > -math.inf)
    sums = _sums(keys, keep, ranking.score)
    for level in sorted(limits, reverse=True):
        inner = tuple(range(level + 1, sums[0].ndim))
        sums = [s.sum(axis=inner) for s in sums]
        scores = keys if level == depth - 1 else _block_scores(sums)
        kept = _largest(scores, limits[level])
        sums = [np.where(kept, s, 0) for s in sums]
        keep = keep & kept.reshape(kept.shape + (1,) * (depth - level - 1))
    return dense_view(keep, fmt, elements.shape)


def _sums(elements: np.ndarray, keep: np.ndarray, score: str) -> list[np.ndarray]:
    """What elements add to the blocks around them. In float64: float32 sums would order near-ties by rounding."""
    wide = np.where(keep, elements.astype(_accumulator(elements.dtype), copy=False), 0)
    if score in ("l1", "value"):
        return [wide]
    with np.errstate(over="ignore", under="ignore"):
        squares = wide * wide
    return [squares] if score == "l2" else [squares, (wide != 0).astype(np.float64)]


def _block_scores(sums: list[np.ndarray]) -> np.ndarray:
    return sums[0] if len(sums) == 1 else sums[0] / np.maximum(sums[1], 1)


def masked(array: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """``array`` with zeros where ``keep`` is False, whatever stood there.

    >>> masked(np.array([1.0, np.nan, -np.inf]), np.array([True, False, False]))
    array([1., 0., 0.])
    """
    if array.dtype.kind == "b" or array.dtype.itemsize not in (1, 2, 4, 8):
        return np.where(keep, array, array.dtype.type(0))
    bits = f"u{array.dtype.itemsize}"  # times 0 or 1: a third of the time of a choice
    return np.multiply(np.ascontiguousarray(array).view(bits), keep, dtype=bits).view(array.dtype)


def prune_array(dense: np.ndarray, fmt: Format) -> np.ndarray:
    """A copy of ``dense`` with everything ``fmt`` cannot keep set to zero (see :func:`keep_mask`)."""
    return masked(dense, keep_mask(dense, fmt))


def elements_ranked(ranked: np.ndarray, ranking: Ranking, origin: list[int]) -> np.ndarray:
    """What elements are ranked by, in a type that holds it and compares fast; ``origin`` is where the part begins.

    Errors: :class:`pith.FormatError` naming the first NaN.
    """
    kind = ranked.dtype.kind
    if kind in "biu":
        out = ranked.astype(np.float32 if ranked.dtype.itemsize <= 2 else np.float64)
    else:
        out = ranked if kind == "c" or ranked.dtype.itemsize > 2 else ranked.astype(np.float32)
    out = out if ranking.score == "value" else np.abs(out)
    nan = np.isnan(out)
    if nan.any():
        raise nan_error(nan, ranking, origin)
    return out


def nan_error(nan: np.ndarray, ranking: Ranking, origin: list[int] | None = None) -> FormatError:
    """The error for what is ranked and NaN where ``nan`` is True; ``origin`` is where that part of it begins."""
    first = np.unravel_index(int(np.argmax(nan)), nan.shape)
    where = [int(i) + o for i, o in zip(first, origin or [0] * nan.ndim)]
    by = "saliency" if ranking.score == "value" else "magnitude"
    return FormatError(f"cannot prune by {by}: NaN", where=f"element {where}", hint="replace NaN, e.g. by 0")


def _accumulator(dtype: np.dtype) -> np.dtype:
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
