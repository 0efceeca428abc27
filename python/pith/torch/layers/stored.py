"""Modules with layers that store their weights sparsely, as ``torch.export`` can trace them."""

from __future__ import annotations

import copy

import torch

from ..names import Stored
from .masked_linear import MaskedLinear
from .quantized_linear import QuantizedLinear
from .sparse_linear import SparseLinear

#: Layers that ``torch.export`` cannot trace, and that know the dense layer they stand for.
_STORED = (SparseLinear, QuantizedLinear, MaskedLinear)


def with_dense_layers(module: torch.nn.Module) -> tuple[torch.nn.Module, dict[str, Stored]]:
    """``module`` with every :class:`pith.torch.SparseLinear`, :class:`pith.torch.QuantizedLinear` and
    :class:`pith.torch.MaskedLinear` as the dense layer that computes the same.

    Returns: the module itself when it has none, else a copy that shares all other layers and parameters; and how
        weights of sparse layers are stored, by parameter name: a format, or the quantised tensor itself.

    Example:
        >>> sparse = SparseLinear.from_linear(torch.nn.Linear(16, 8), "C0(2:4)")
        >>> model = torch.nn.Sequential(sparse, torch.nn.ReLU())
        >>> dense, formats = with_dense_layers(model)
        >>> dense[0], dense[1] is model[1], model[0] is sparse, list(formats)
        (Linear(in_features=16, out_features=8, bias=True), True, True, ['0.weight'])
    """
    said: dict[str, Stored] = {
        f"{name}.weight" if name else "weight": layer.format if isinstance(layer, SparseLinear) else layer.weight
        for name, layer in module.named_modules(remove_duplicate=False)
        if isinstance(layer, SparseLinear | QuantizedLinear)
    }
    stored = any(isinstance(layer, _STORED) for layer in module.modules())
    return (_replaced(module, {}) if stored else module), said


def _replaced(module: torch.nn.Module, done: dict[int, torch.nn.Module]) -> torch.nn.Module:
    """The copy of ``module``: one for every place it stands in."""
    if id(module) not in done:
        done[id(module)] = module.to_linear() if isinstance(module, _STORED) else _with_children(module, done)
    return done[id(module)]


def _with_children(module: torch.nn.Module, done: dict[int, torch.nn.Module]) -> torch.nn.Module:
    children = {name: _replaced(m, done) for name, m in module._modules.items() if m is not None}
    if all(module._modules[name] is m for name, m in children.items()):
        return module
    clone = copy.copy(module)
    clone._modules = {**module._modules, **children}
    return clone
