"""Which formats suit a matrix: :func:`infer_format`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .formats.infer import Inferred, infer, infer_listed
from .sparse import SparseTensor, check_dtype, taken_over
from .sparse_interop import numpy_of

#: Bytes of a value when only a mask is given: those of a float32.
_MASK_VALUE = 4


def infer_format(w: Any, *, padded: bool = False, value_bytes: int | None = None, limit: int = 16) -> Inferred:
    """The tightest formats of a matrix, or of a Boolean mask of its non-zeros.

    Shapes:  w: a matrix: NumPy array, torch tensor, or a sparse one of pith, SciPy or torch.
    Semantics: see :func:`pith.formats.infer.infer` for the candidates. The result's ``format`` stores ``w`` in the
        fewest bytes among them, ``candidates`` lists ``limit`` of them and, in any case, dense and CSR. What is
        found is a fact about this matrix, not a law it was pruned by: a random matrix with few non-zeros
        may obey ``C0(7:32)``. ``padded``: also formats whose groups do not divide the shape. ``value_bytes``:
        of one stored value; by default those of the element type, 4 for a mask.
    Errors:  :class:`pith.ShapeError` for anything but a matrix with elements; :class:`pith.DTypeError`.
    Cost:    dense: at most 12 passes over the matrix; 4096x4096 takes under 0.6 s of CPU (2 busy cores, AVX2, 2026-11).
        Sparse: in proportion to the non-zeros, whatever the shape, or to the matrix where that is less.

    Example:
        >>> import numpy as np
        >>> w = np.tile(np.float32([[0, 3, 0, 5, 0, 0, 0, 0]]), (16, 8))
        >>> found = infer_format(w)
        >>> print(found.format, found.nbytes)
        V(16)C1(1:2)->V(16)C0(2:4) 1029
    """
    w = taken_over(w)
    if isinstance(w, SparseTensor):
        coords, values = w.coordinates()
        coords = list(coords[:, np.flatnonzero(values)])
        return infer_listed(coords, w.shape, value_bytes or _bytes(w.dtype), padded=padded, limit=limit)
    array = numpy_of(w)
    check_dtype(array)
    mask = array if array.dtype == bool else array != 0
    return infer(mask, value_bytes or _bytes(array.dtype), padded=padded, limit=limit)


def _bytes(dtype: np.dtype) -> int:
    return _MASK_VALUE if dtype.kind == "b" else dtype.itemsize
