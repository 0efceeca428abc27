"""What is a linear layer: torch's own, and the one of transformers that has its weight transposed."""

from __future__ import annotations

import sys
from typing import Any

import torch


def linear_shape(module: torch.nn.Module) -> tuple[int, int] | None:
    """``(out, in)`` of an ``nn.Linear`` and of the ``Conv1D`` of transformers (GPT-2); None of everything else, and of
    classes derived from them, which may compute anything.

    Example:
        >>> linear_shape(torch.nn.Linear(4, 2)), linear_shape(torch.nn.ReLU())
        ((2, 4), None)
    """
    if type(module) is torch.nn.Linear:
        return module.out_features, module.in_features
    if not _is_conv1d(module):
        return None
    conv1d: Any = module
    inner, out = conv1d.weight.shape
    return out, inner


def as_linear(module: torch.nn.Module) -> torch.nn.Linear:
    """The ``nn.Linear`` that a module with a :func:`linear_shape` is, or that computes what it does.

    Example:
        >>> layer = torch.nn.Linear(4, 2)
        >>> as_linear(layer) is layer
        True
    """
    if isinstance(module, torch.nn.Linear):
        return module
    conv1d: Any = module
    weight, bias = conv1d.weight, conv1d.bias
    linear = torch.nn.Linear(*weight.shape, device="meta")
    linear.weight = torch.nn.Parameter(weight.detach().T.contiguous(), requires_grad=weight.requires_grad)
    linear.bias = bias
    return linear.train(module.training)


def _is_conv1d(module: torch.nn.Module) -> bool:
    """The class can be there only if its file has been imported, which takes seconds."""
    conv1d = getattr(sys.modules.get("transformers.pytorch_utils"), "Conv1D", None)
    return conv1d is not None and type(module) is conv1d
