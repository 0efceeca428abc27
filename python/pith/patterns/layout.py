"""How tensors lie in memory."""

from __future__ import annotations

import numpy as np


def storage_order(array: np.ndarray) -> tuple[int, ...]:
    """The order of dimensions in which the array is row-major; as it is where there is none.

    Example:
        >>> storage_order(np.zeros((2, 3)).T), storage_order(np.zeros((4, 6))[::2, ::2])
        ((1, 0), (0, 1))
    """
    plain = tuple(range(array.ndim))
    if array.flags.c_contiguous:
        return plain
    order = tuple(sorted(plain, key=lambda d: -abs(array.strides[d])))
    return order if array.transpose(order).flags.c_contiguous else plain
