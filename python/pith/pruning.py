"""Pruning dense tensors to a format: :func:`prune`, :func:`prune_mask`, :func:`prune_report`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError, ShapeError
from .formats import Format
from .formats.prune import Ranking, masked
from .named_formats import in_the_words_of
from .packing import prune_array
from .packing import prune_mask as mask_array
from .pruning_density import Target, prune_to_density
from .pruning_report import PruneReport, ranks_of, report_of
from .sparse import FormatLike, as_format, check_dtype
from .sparse_interop import is_torch, numpy_of, torch_of_numpy


def prune(
    w: Any,
    fmt: FormatLike,
    *,
    saliency: Any = None,
    score: str | None = None,
    at_most: float | None = None,
    density: float | None = None,
    sparsity: float | None = None,
) -> Any:
    """Zero what a format cannot keep, rank by rank, lowest first, keeping what scores best.

    Args:
        saliency: rank by this tensor instead of magnitudes: the larger (not: the larger in magnitude), the more
            it is worth keeping, -inf not at all. Blocks are ranked by the sum over what is kept in them.
        score: how magnitudes rank blocks: ``"l1"`` (default), their sum over what is kept; ``"l2"``, that of
            squares; ``"scaled"``, the mean square of what is kept and not zero. Elements are ranked by magnitude.
        at_most: elements that score below this are dropped even where there is room, so that groups hold at
            most G. The default keeps exactly G of every group.
        density: share of the elements that unstructured levels (``csr``, ``bsr``, ``bitmask``, ...) may store:
            what is below the innermost of them is ranked over the whole tensor. They keep everything by default.
        sparsity: ``1 - density``.

    Shapes:  w: NumPy array or torch tensor; saliency: either, of the same shape; result: the kind, shape, dtype
        and device of ``w``, which is untouched.
    Semantics: ties go to the lower coordinate. Infinities are the largest magnitudes.
    Errors:  :class:`pith.FormatError` naming the first NaN, or for a density without unstructured levels;
        :class:`pith.ShapeError` for a saliency of another shape; :class:`pith.ArgumentError` for
        arguments that exclude each other; else as :func:`pith.compress`.
    Source:  Wu et al., HighLight, MICRO 2023.

    Example:
        >>> w = np.array([[1.0, -4.0, 3.0, 2.0]])
        >>> prune(w, "C0(2:4)")
        array([[ 0., -4.,  3.,  0.]])
        >>> prune(w, "C0(2:4)", saliency=np.array([[9.0, 0.0, 0.0, 8.0]]))
        array([[1., 0., 0., 2.]])
        >>> prune(w, "C0(2:4)", at_most=3.5)
        array([[ 0., -4.,  0.,  0.]])
        >>> prune(w, "csr", density=0.25)
        array([[ 0., -4.,  0.,  0.]])
    """
    job = _Job.of(w, fmt, saliency, score, at_most, density, sparsity)
    pruned = job.pruned()
    if not is_torch(w):
        return pruned
    if w.device.type == "cpu":
        return torch_of_numpy(pruned).to(w.dtype)
    import torch

    keep = torch.from_numpy(np.ascontiguousarray(job.mask())).to(w.device)
    return w.masked_fill(~keep, 0)


def prune_mask(
    w: Any,
    fmt: FormatLike,
    *,
    saliency: Any = None,
    score: str | None = None,
    at_most: float | None = None,
    density: float | None = None,
    sparsity: float | None = None,
) -> Any:
    """Where :func:`prune` keeps the element: booleans, of the kind and on the device of ``w``.

    Errors: as :func:`prune`.

    Example:
        >>> prune_mask(np.array([[0.0, -4.0, 0.0, 0.0]]), "C0(2:4)")
        array([[ True,  True, False, False]])
    """
    mask = _Job.of(w, fmt, saliency, score, at_most, density, sparsity).mask()
    return torch_of_numpy(np.ascontiguousarray(mask)).to(w.device) if is_torch(w) else mask


def prune_report(
    w: Any,
    fmt: FormatLike,
    *,
    saliency: Any = None,
    score: str | None = None,
    at_most: float | None = None,
    density: float | None = None,
    sparsity: float | None = None,
) -> PruneReport:
    """What :func:`prune` keeps, over all and of every rank, in numbers; the result comes with it.

    Errors: as :func:`prune`.
    Cost: one pruning per rank.

    Example:
        >>> print(prune_report(np.array([[1.0, -4.0, 3.0, 2.0]]), "C0(2:4)"))
        1x4 pruned to C0(2:4): density 50.00 %, energy kept 83.33 %
          d1 mod 4 : nm(2:4)                   keeps 50.00 % of the non-zeros, 83.33 % of the energy
    """
    job = _Job.of(w, fmt, saliency, score, at_most, density, sparsity)
    stages = [(name, dataclasses.replace(job, format=part).pruned()) for name, part in ranks_of(job.format)]
    result = stages[-1][1] if stages else job.pruned()
    if job.target is not None:
        result = job.pruned()
        stages.append((str(job.target), result))
    return report_of(job.array, str(fmt), stages, result)


@dataclasses.dataclass(frozen=True)
class _Job:
    """The arguments of a pruning, checked: arrays of the format's rank, and the shape to return."""

    array: np.ndarray
    saliency: np.ndarray | None
    format: Format
    ranking: Ranking
    target: Target | None
    shape: tuple[int, ...]

    @classmethod
    def of(cls, w, fmt, saliency, score, at_most, density, sparsity) -> _Job:
        form, hss = as_format(fmt)
        array = numpy_of(w)
        check_dtype(array)
        if saliency is not None and score is not None:
            raise ArgumentError("saliency and score exclude each other", hint="a saliency is ranked by as it is")
        if score is None:
            score = "l1" if saliency is None else "value"
        ranking = Ranking(score, -math.inf if at_most is None else at_most)
        if ranking.score == "value" and saliency is None:
            raise ArgumentError("score 'value' needs a saliency", hint="l1, l2 or scaled, or pass saliency=")
        ranked = None if saliency is None else _saliency(saliency, array.shape)
        flat = array.shape if hss is None else hss.flat_shape(array.shape)
        with in_the_words_of(hss, form):
            form.check_shape(flat)
        target = Target.of(form, density, sparsity)
        ranked = None if ranked is None else ranked.reshape(flat)
        return cls(array.reshape(flat), ranked, form, ranking, target, array.shape)

    def pruned(self) -> np.ndarray:
        """The pruned array."""
        if self.target is not None:
            return masked(self.array.reshape(self.shape), self.mask())
        return prune_array(self.array, self.format, self.ranking, self.saliency).reshape(self.shape)

    def mask(self) -> np.ndarray:
        """Where it keeps the element."""
        ranked = self.array if self.saliency is None else self.saliency
        if self.target is None:
            return mask_array(ranked, self.format, self.ranking).reshape(self.shape)
        return prune_to_density(ranked, self.format, self.ranking, self.target).reshape(self.shape)


def _saliency(saliency: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = numpy_of(saliency)
    check_dtype(array)
    if array.dtype.kind == "c":
        raise DTypeError("a saliency has an order, complex numbers have none", hint="numpy.abs(saliency)")
    if array.shape != shape:
        raise ShapeError(
            f"expects a saliency of shape {shape}, got {array.shape}", hint="one number per element of the tensor"
        )
    return array
