"""Modules with layers that store their weights sparsely, as ``torch.export`` can trace them."""

from __future__ import annotations

import copy

import torch

from ..names import Stored
from .masked_linear import MaskedLinear
from .plain import plain
from .quantized_linear import QuantizedLinear
from .sparse_linear import SparseLinear

#: Layers that know the dense layer they stand for, and how its weight is stored.
_STORED = (SparseLinear, QuantizedLinear, MaskedLinear)

#: A module -> what stands for it.
_Twins = dict[torch.nn.Module, torch.nn.Module]


def with_dense_layers(module: torch.nn.Module) -> tuple[torch.nn.Module, dict[str, Stored]]:
    """``module`` with every :class:`pith.torch.SparseLinear`, :class:`pith.torch.QuantizedLinear` and
    :class:`pith.torch.MaskedLinear` as the dense layer that computes the same, and others as :func:`plain` has them.

    Returns: the module itself when it has none, else a copy that shares all other layers and parameters; and how
        weights of sparse layers are stored, by parameter name: a format, or the quantised tensor itself.

    Example:
        >>> sparse = SparseLinear.from_linear(torch.nn.Linear(16, 8), "C0(2:4)")
        >>> model = torch.nn.Sequential(sparse, torch.nn.ReLU())
        >>> dense, formats = with_dense_layers(model)
        >>> dense[0], dense[1] is model[1], model[0] is sparse, list(formats)
        (Linear(in_features=16, out_features=8, bias=True), True, True, ['0.weight'])
    """
    said: dict[str, Stored] = {}
    done: _Twins = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        prefix = f"{name}." if name else ""
        if isinstance(layer, _STORED):
            done[layer] = _of_any_float(layer.to_linear()) if isinstance(layer, QuantizedLinear) else layer.to_linear()
        else:
            done[layer], formats = plain(layer, prefix)
            said.update(formats)
        if isinstance(layer, QuantizedLinear):
            said[f"{prefix}weight"] = layer.weight
        elif isinstance(layer, SparseLinear | MaskedLinear) and layer.format is not None:
            said[f"{prefix}weight"] = layer.format
    same = all(layer is made for layer, made in done.items())
    return (module if same else _with_children(module, done, {})), said


class _OfAnyFloat(torch.nn.Linear):
    """A dense layer whose weight is of f32, as what :class:`QuantizedLinear` stores stands for, on other floats."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


def _of_any_float(linear: torch.nn.Linear) -> torch.nn.Linear:
    linear.__class__ = _OfAnyFloat
    return linear


def _with_children(
    module: torch.nn.Module,
    done: dict[torch.nn.Module, torch.nn.Module],
    copied: dict[torch.nn.Module, torch.nn.Module],
) -> torch.nn.Module:
    """What stands for ``module``, with what stands for its children: one for every place it stands in."""
    if module in copied:
        return copied[module]
    made = done[module]
    if not isinstance(module, _STORED):
        children = {n: _with_children(m, done, copied) for n, m in made._modules.items() if m is not None}
        if any(made._modules[name] is not m for name, m in children.items()):
            made = copy.copy(made) if made is module else made
            made._modules = {**made._modules, **children}
    copied[module] = made
    return made
