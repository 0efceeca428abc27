"""Pruning dense tensors to a format: :func:`prune`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .formats.prune import keep_mask
from .packing import prune_array
from .sparse import FormatLike, as_format, check_dtype
from .sparse_interop import is_torch, numpy_of


def prune(w: Any, fmt: FormatLike) -> Any:
    """Zero what a format cannot keep, rank by rank, lowest first, keeping the largest magnitudes.

    Shapes:  w: NumPy array or torch tensor; result: the same kind, shape, dtype and device. ``w`` is untouched.
    Semantics: every group of a rank keeps its G coordinates with the largest sum of magnitudes still
        kept below them; ties go to the lower coordinate. Infinities are the largest magnitudes.
    Errors:  :class:`pith.FormatError` naming the first NaN; else as :func:`compress`.
    Source:  Wu et al., HighLight, MICRO 2023.

    Example:
        >>> prune(np.array([[1.0, -4.0, 3.0, 2.0]]), "C0(2:4)")
        array([[ 0., -4.,  3.,  0.]])
    """
    form, hss = as_format(fmt)
    array = numpy_of(w)
    if hss is not None and (flat := hss.flat_shape(array.shape)) != array.shape:
        return prune(w.reshape(flat), form).reshape(w.shape)
    check_dtype(array)
    if not is_torch(w):
        return prune_array(array, form)
    import torch

    if w.device.type == "cpu" and w.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(prune_array(array, form))
    keep = torch.from_numpy(np.ascontiguousarray(keep_mask(array, form))).to(w.device)
    return w.masked_fill(~keep, 0)
