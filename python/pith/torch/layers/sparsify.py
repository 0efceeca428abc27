"""Replacing the linear layers of a model by sparse and quantised ones."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

import torch

from ...quantization import Quantized
from ...sparse import FormatLike
from ..names import assign_formats
from .arguments import require_kind
from .quantized_linear import QuantizedLinear
from .sparse_linear import SparseLinear


def sparsify_(model: torch.nn.Module, sparsity: Mapping[str, FormatLike | Quantized]) -> tuple[str, ...]:
    """Replace ``nn.Linear`` modules by :class:`SparseLinear` or :class:`QuantizedLinear` in place; returns their names.

    Args:
        sparsity: ``fnmatch`` pattern of module names -> format, or :class:`pith.Quantized`. Every pattern has to name
            a linear layer.

    Semantics: weights are pruned by magnitude. Layers registered under several names stay shared. Make the
        optimizer afterwards: the parameters are new. A model that is itself an ``nn.Linear`` has no
        name; use :meth:`SparseLinear.from_linear`.
    Errors: :class:`pith.ImportProgramError` for a pattern that names no linear layer, or two that disagree;
        :class:`pith.ShapeError` for a format that does not divide a weight, :class:`pith.FormatError` for
        one that is malformed. The model is then as it was.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
        >>> sparsify_(model, {"0": "C0(2:4)"})
        ('0',)
        >>> model[0].values.numel(), type(model[2]).__name__
        (256, 'Linear')
    """
    require_kind(model, torch.nn.Module, "sparsify_: model")
    layers = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if name and type(module) is torch.nn.Linear
    }
    shapes = {name: tuple(m.weight.shape) for name, m in layers.items()}
    formats = assign_formats(sparsity, shapes, kinds="torch.nn.Linear inside of the model").operands
    made: dict[torch.nn.Linear, SparseLinear | QuantizedLinear] = {}
    for name in formats:
        if layers[name] not in made:
            said = next(f for pattern, f in sparsity.items() if fnmatch.fnmatch(name, pattern))
            made[layers[name]] = _stored(layers[name], said)
    for name, layer in layers.items():
        if layer in made:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, made[layer])
    return tuple(name for name, layer in layers.items() if layer in made)


def _stored(linear: torch.nn.Linear, said: FormatLike | Quantized) -> SparseLinear | QuantizedLinear:
    return QuantizedLinear(linear, said) if isinstance(said, Quantized) else SparseLinear.from_linear(linear, said)
