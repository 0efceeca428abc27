"""Does a tensor obey a format: :func:`validate`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .formats import Format
from .formats.validate import first_violation
from .named_formats import in_the_words_of
from .packing import WORTH_A_KERNEL
from .sparse import FormatLike, SparseTensor, as_format, check_dtype, taken_over
from .sparse_interop import numpy_of


def validate(w: Any, fmt: FormatLike) -> None:
    """Return if a dense tensor obeys a format; if not, say where it breaks it first.

    Shapes:  w: NumPy array or torch tensor, or a sparse matrix of pith, SciPy or torch (which is checked itself, too).
    Semantics: NaN counts as non-zero, -0.0 as zero. First means in row-major order.
    Errors:  :class:`pith.FormatError` naming the level, the group, what it holds and what is allowed;
        :class:`pith.ShapeError` when the format does not divide the shape.

    Example:
        >>> import numpy as np
        >>> validate(np.array([[1, 0, 2, 0]]), "C0(2:4)")
        >>> validate(np.array([[1, 0, 2, 3]]), "C0(2:4)")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        pith.errors.FormatError: ...
    """
    w = taken_over(w)
    if isinstance(w, SparseTensor):
        w.validate().to(fmt)
        return
    form, hss = as_format(fmt)
    array = numpy_of(w)
    check_dtype(array)
    flat = array if hss is None else array.reshape(hss.flat_shape(array.shape))
    with in_the_words_of(hss, form):
        _validate(flat, form)


def _validate(flat: np.ndarray, form: Format) -> None:
    form.check_shape(flat.shape)
    if flat.size >= WORTH_A_KERNEL:
        from .compiler import packing

        if packing.takes(flat, form) and packing.violation_compiled(flat, form) < 0:
            return
    if (violation := first_violation(flat, form)) is not None:
        raise violation.error(form)
