"""Products with quantised weights: results and gradients have the type of what goes in."""

from __future__ import annotations

from typing import cast

import torch

from ...errors import ShapeError
from ...functional.matmul.matmul import matmul
from ...quantization import QuantizedTensor


def quantized_product(x: torch.Tensor, weight: QuantizedTensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``x @ W.T + bias`` in f32, with the result in the type of ``x``; without gradients."""
    y = weight.linear(x.detach().float(), None if bias is None else bias.detach().float())
    return cast(torch.Tensor, y).to(x.dtype)


def input_gradient(grad: torch.Tensor, weight: QuantizedTensor) -> torch.Tensor:
    """``grad @ W`` in f32, in the type of ``grad``."""
    return matmul(grad.detach().float().contiguous(), weight.dequantize()).to(grad.dtype)


def require_features(x: torch.Tensor, features: int) -> None:
    """Raise :class:`pith.ShapeError` for inputs of other sizes; looks at no values."""
    if x.dim() == 0 or x.shape[-1] != features:
        raise ShapeError(
            f"expects inputs of {features} features, got shape {tuple(x.shape)}", where="QuantizedLinear: x"
        )
