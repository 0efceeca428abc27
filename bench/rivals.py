"""torch's dense products of narrow element types, each in the layout that torch is fastest with.

What is fixed (weights packed, activations as bytes) is made beforehand; a call multiplies.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch

from bench.operands import aligned

#: A product: nothing in, the result out, ``(rows, columns)``.
Call = Callable[[], Any]

#: What int8 activations lie above as the unsigned bytes that quantised layers take.
OFFSET = 128


def torch_f32(w: np.ndarray, x: np.ndarray) -> Call:
    """``torch.mm`` in f32."""
    operands = torch.from_numpy(aligned(w)), torch.from_numpy(x)
    return lambda: torch.mm(*operands)


def torch_half(w: np.ndarray, x: np.ndarray) -> Call:
    """``torch.mm`` of bf16 or f16."""
    operands = _tensor(w), _tensor(x)
    return lambda: torch.mm(*operands).float()


def torch_int_mm(w: np.ndarray, x: np.ndarray) -> Call:
    """``torch._int_mm``: bytes by bytes, sums of 32 bits."""
    operands = torch.from_numpy(w), torch.from_numpy(x)
    return lambda: torch._int_mm(*operands)  # pyright: ignore[reportPrivateImportUsage]


def torch_quantized_linear(w: np.ndarray, x: np.ndarray, scales: np.ndarray, out_scale: float | None = None) -> Call:
    """oneDNN's quantised layer on a weight that it packed: f32, or with ``out_scale`` rounded to bytes.

    Shapes: ``w``: (rows, contracted) of int8; ``x``: (contracted, columns) of int8; ``scales``: (rows,).
    """
    op = torch.ops.onednn
    bytes_ = torch.from_numpy(np.ascontiguousarray((x.T.astype(np.int16) + OFFSET).astype(np.uint8)))
    packed = op.qlinear_prepack(torch.from_numpy(w), tuple(bytes_.shape))
    of_rows = torch.from_numpy(scales), torch.zeros(len(scales), dtype=torch.long)
    to = (1.0, 0, torch.float32) if out_scale is None else (out_scale, 0, torch.int8)
    return lambda: op.qlinear_pointwise(bytes_, 1.0, OFFSET, packed, *of_rows, None, *to, "none", [], "").T


def torch_int4(integers: np.ndarray, scales: np.ndarray, zero_points: np.ndarray, x: np.ndarray, group: int) -> Call:
    """torch's product of bf16 with int4 weights in groups (of an ``Int4WeightOnly`` layer).

    Shapes: ``integers``: (rows, contracted), from -8 to 7; ``scales``, ``zero_points``: of groups along the rows.
    """
    rows, contracted = integers.shape
    op = torch.ops.aten
    packed = op._convert_weight_to_int4pack_for_cpu(torch.from_numpy(integers.astype(np.int32) + 8), 1)
    parts = np.stack([scales, -zero_points.astype(np.float32) * scales], -1).reshape(rows, contracted // group, 2)
    parameters = torch.from_numpy(parts).transpose(0, 1).contiguous().to(torch.bfloat16)
    of_rows = torch.from_numpy(x).t().contiguous().to(torch.bfloat16)
    return lambda: op._weight_int4pack_mm_for_cpu(of_rows, packed, group, parameters).t().float()


def _tensor(array: np.ndarray) -> torch.Tensor:
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def quietly(make: Callable[..., Call], *args: Any) -> Call | None:
    """What ``make`` gives; None where this torch has no such product."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = make(*args)
            call()
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return call
