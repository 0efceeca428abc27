"""The kernels of one GPU program as NumPy, for a driver that has no GPU. Imports nothing but NumPy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

#: ``w @ x``: a fill and a product.
SOURCE = """func.func @scaled(%w: tensor<24x16xf32>, %x: tensor<16x?xf32>) -> tensor<24x?xf32> {
  %one = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %one : tensor<16x?xf32>
  %e = tensor.empty(%n) : tensor<24x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<24x?xf32>) -> tensor<24x?xf32>
  %y = linalg.matmul ins(%w, %x : tensor<24x16xf32>, tensor<16x?xf32>) outs(%f : tensor<24x?xf32>) -> tensor<24x?xf32>
  return %y : tensor<24x?xf32>
}"""


def array_at(values: tuple[int, ...], first: int, rank: int = 2) -> np.ndarray:
    """The f32 array that a descriptor among a launch's parameters says."""
    shape = values[first + 3 : first + 3 + rank]
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(values[first + 1])).reshape(shape)


def as_numpy(launch: Any) -> None:
    """What the kernels of SOURCE compute, read off nothing but the parameters they were started with."""
    if "fill" in launch.kernel:
        array_at(launch.values, 0)[...] = 0
    else:
        w, x, y = (array_at(launch.values, first) for first in (0, 7, 14))
        y[...] = w @ x
