"""Pruning unstructured levels: a share of the whole tensor, chosen over all of it."""

from __future__ import annotations

import dataclasses
import math
import numbers

import numpy as np

from .errors import ArgumentError, FormatError
from .formats import Format, Level
from .formats.diagonals import bent, straight, straightened
from .formats.pack_digits import dense_view, entry_end, level_view, rounded_up, slabs, slot_limits
from .formats.prune import Ranking, elements_ranked, keep_mask
from .formats.threshold import SAMPLE, Cut, find_cut

_UNSTRUCTURED = ("compressed", "loose_compressed", "bitmask")


@dataclasses.dataclass(frozen=True)
class Target:
    """How much an unstructured level may store.

    Attributes:
        level: the level below which blocks are kept or dropped whole.
        density: share of the tensor's elements that may be stored.
    """

    level: int
    density: float

    @classmethod
    def of(cls, fmt: Format, density: float | None, sparsity: float | None) -> Target | None:
        """The target the user gave; None when there is none.

        Errors: :class:`pith.ArgumentError` unless one number from 0 to 1 is given; :class:`pith.FormatError`
            when nothing in the format is unstructured.
        """
        if density is None and sparsity is None:
            return None
        if density is not None and sparsity is not None:
            raise ArgumentError("density and sparsity exclude each other")
        given = density if sparsity is None else sparsity
        if not isinstance(given, numbers.Real) or not 0 <= given <= 1:
            raise ArgumentError(f"a density or sparsity is a number from 0 to 1, got {given!r}")
        share = float(given) if sparsity is None else 1.0 - float(given)
        levels = [i for i, level in enumerate(fmt.levels) if level.kind in _UNSTRUCTURED]
        if not levels:
            raise FormatError(
                f"format {fmt} has no unstructured level: its density is {fmt.density:g}",
                hint="density= is for compressed and bitmask levels; at_most= drops more from structured ones",
            )
        return cls(_end(fmt, levels[-1]), share)

    def __str__(self) -> str:
        return f"unstructured, density {self.density:g}"


def _end(fmt: Format, level: int) -> int:
    """The last level whose coordinate an entry of ``level`` names."""
    return level if fmt.levels[level].kind == "bitmask" else entry_end(fmt, level)


def prune_to_density(ranked: np.ndarray, fmt: Format, ranking: Ranking, target: Target) -> np.ndarray:
    """The mask of what is kept: lowest ranks first, then the best blocks of the whole tensor, then the ranks above.

    Errors: :class:`pith.FormatError` naming the first NaN; :class:`pith.ShapeError`.

    Example:
        >>> fmt = Format.csr()
        >>> prune_to_density(np.array([[1.0, -4.0], [3.0, 2.0]]), fmt, Ranking(), Target(1, 0.5)).tolist()
        [[False, True], [True, False]]
    """
    fmt.check_shape(ranked.shape)
    inside = tuple(slice(s) for s in ranked.shape)
    elements = target.density * ranked.size
    if fmt.diagonal is not None:
        ranked = elements_ranked(ranked, ranking, [0, 0])  # NaN is named where the user sees it
        mask = _chosen(straightened(ranked, fmt), straight(fmt), ranking, target, elements)
        return bent(mask, fmt, ranked.shape)
    keep = _chosen(rounded_up(ranked, fmt), fmt.with_padding(False), ranking, target, elements)
    above = _without_limits(fmt.with_padding(False), range(target.level + 1, len(fmt.levels)))
    if not slot_limits(above):
        return keep[inside]
    return keep_mask(rounded_up(ranked, fmt), above, ranking, keep)[inside]


def _chosen(ranked: np.ndarray, fmt: Format, ranking: Ranking, target: Target, elements: float) -> np.ndarray:
    """What the target and the ranks below it keep of a tensor that the format divides."""
    if target.level == len(fmt.levels) - 1:
        return _best_elements(ranked, fmt, ranking, round(elements))
    below = _without_limits(fmt, range(target.level + 1))
    keep = np.empty(ranked.shape, bool)
    scores = []
    for slab in slabs(fmt, ranked.shape):
        part = elements_ranked(ranked[slab], ranking, [s.start or 0 for s in slab])
        keep[slab] = keep_mask(part, below, ranking)
        scores.append(_block_scores(part, keep[slab], fmt, ranking, target.level + 1))
    sizes = fmt.level_sizes(ranked.shape)
    slots = math.prod(level.g for level in fmt.levels[target.level + 1 :] if level.kind == "nm")
    groups = math.prod(level.h for level in fmt.levels[target.level + 1 :] if level.kind == "nm")
    stored = math.prod(sizes[target.level + 1 :]) * slots // max(1, groups)
    best = _best(np.concatenate(scores), round(elements / max(1, stored)))
    blocks = best.reshape(sizes[: target.level + 1] + (1,) * (len(sizes) - target.level - 1))
    keep &= dense_view(np.broadcast_to(blocks, sizes), fmt, ranked.shape)
    return keep


def _best_elements(ranked: np.ndarray, fmt: Format, ranking: Ranking, count: int) -> np.ndarray:
    """The ``count`` best elements, in two passes; ties go to the lower position in the order they are stored."""
    parts = list(slabs(fmt, ranked.shape))

    def scores(slab: tuple[slice, ...]) -> np.ndarray:
        part = elements_ranked(ranked[slab], ranking, [s.start or 0 for s in slab])
        return level_view(part, fmt).reshape(-1)

    if 0 < count < ranked.size:
        drawn = ranked[tuple(np.random.default_rng(0).integers(0, size, SAMPLE) for size in ranked.shape)]
        sample = elements_ranked(drawn[drawn == drawn], ranking, [0])  # the first pass names a NaN
        cut = find_cut(lambda: map(scores, parts), sample, ranked.size, count)
    else:
        cut = Cut(-math.inf, ranked.size) if count else Cut(math.inf, 0)
    keep, equal = np.empty(ranked.shape, bool), 0
    for slab in parts:
        part = scores(slab)
        kept, equal = cut.keeps(part, equal)
        if ranking.floor != -math.inf:
            kept &= part >= ranking.floor
        keep[slab] = dense_view(kept.reshape(fmt.level_sizes(ranked[slab].shape)), fmt, ranked[slab].shape)
    return keep


def _block_scores(ranked: np.ndarray, keep: np.ndarray, fmt: Format, ranking: Ranking, level: int) -> np.ndarray:
    """Scores of the blocks below the levels above ``level``, in storage order."""
    wide = level_view(np.where(keep, ranked, 0).astype(np.float64), fmt)
    if ranking.score in ("l1", "value"):
        return _summed(wide, level)
    squares = _summed(wide * wide, level)
    return squares if ranking.score == "l2" else squares / np.maximum(_summed((wide != 0).astype(np.float64), level), 1)


def _summed(x: np.ndarray, first: int) -> np.ndarray:
    """Sums over the axes from ``first`` on: the outermost first, whose elements are farthest apart."""
    while x.ndim > first:
        x = x.sum(axis=first)
    return x.reshape(-1)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Mask of the ``count`` largest; ties go to the lower position."""
    if count >= scores.size or not count:
        return np.full(scores.shape, count > 0)
    rank = scores.size - count
    bound = np.partition(scores, rank)[rank]
    return Cut(bound, count - int(np.count_nonzero(scores > bound))).keeps(scores, 0)[0]


def _without_limits(fmt: Format, levels: range) -> Format:
    """``fmt`` with the limited ones among ``levels`` made dense."""
    limits = slot_limits(fmt)
    dense = Level("dense")
    return dataclasses.replace(
        fmt, levels=tuple(dense if i in limits and i in levels else level for i, level in enumerate(fmt.levels))
    )
