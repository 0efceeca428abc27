"""Pruning unstructured levels: a share of the whole tensor, chosen over all of it."""

from __future__ import annotations

import dataclasses
import math
import numbers

import numpy as np

from .errors import ArgumentError, FormatError
from .formats import Format, Level
from .formats.pack_digits import dense_view, entry_end, level_view, rounded_up, slot_limits
from .formats.prune import Ranking, elements_ranked, keep_mask

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
    ranked = elements_ranked(ranked, ranking, [0] * ranked.ndim)
    ranked, fmt = rounded_up(ranked, fmt), fmt.with_padding(False)
    keep = keep_mask(ranked, _without_limits(fmt, range(target.level + 1)), ranking)
    sizes = fmt.level_sizes(ranked.shape)
    below = tuple(range(target.level + 1, len(sizes)))
    slots = math.prod(level.g for level in fmt.levels[target.level + 1 :] if level.kind == "nm")
    groups = math.prod(level.h for level in fmt.levels[target.level + 1 :] if level.kind == "nm")
    stored = math.prod(sizes[target.level + 1 :]) * slots // max(1, groups)
    count = round(target.density * math.prod(s.stop for s in inside) / max(1, stored))
    best = _best(_block_scores(ranked, keep, fmt, ranking, below), count)
    chosen = np.broadcast_to(best.reshape(best.shape + (1,) * len(below)), sizes)
    keep &= dense_view(chosen, fmt, ranked.shape)
    above = _without_limits(fmt, range(target.level + 1, len(fmt.levels)))
    return keep_mask(ranked, above, ranking, keep)[inside] if slot_limits(above) else keep[inside]


def _block_scores(
    ranked: np.ndarray, keep: np.ndarray, fmt: Format, ranking: Ranking, below: tuple[int, ...]
) -> np.ndarray:
    """Scores of the blocks that span the levels ``below``; of elements, where there are none."""
    if not below:
        return level_view(np.where(keep, ranked, -math.inf), fmt)
    wide = np.where(keep, ranked.astype(np.float64), 0)
    if ranking.score in ("l1", "value"):
        return level_view(wide, fmt).sum(axis=below)
    squares = level_view(wide * wide, fmt).sum(axis=below)
    if ranking.score == "l2":
        return squares
    return squares / np.maximum(np.count_nonzero(level_view(wide, fmt), axis=below), 1)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Mask of the ``count`` largest; ties go to the lower position."""
    flat = scores.ravel()
    if count >= flat.size or not count:
        return np.full(scores.shape, count > 0)
    bound = np.partition(flat, flat.size - count)[flat.size - count]
    keep = flat > bound
    ties = np.flatnonzero(flat == bound)[: count - np.count_nonzero(keep)]
    keep[ties] = True
    return keep.reshape(scores.shape)


def _without_limits(fmt: Format, levels: range) -> Format:
    """``fmt`` with the limited ones among ``levels`` made dense."""
    limits = slot_limits(fmt)
    dense = Level("dense")
    return dataclasses.replace(
        fmt, levels=tuple(dense if i in limits and i in levels else level for i, level in enumerate(fmt.levels))
    )
