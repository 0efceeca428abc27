"""Modules whose weights are computed from others or lie in sparse layouts, as modules with strided weights."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod

from ...formats import Format
from ...formats.layouts import bsc
from ..layouts import format_of


def plain(module: torch.nn.Module, prefix: str = "") -> tuple[torch.nn.Module, dict[str, Format]]:
    """``module`` with the weights that it computes with now, and the formats of those in sparse
    layouts, by name behind ``prefix``.

    Of ``torch.nn.utils.prune`` the mask is applied, and in evaluation parametrizations (weight norm, sparsifiers of
    ``torch.ao.pruning``) are computed; torch would do both in every call. Indices of layouts get 32 bits.

    Returns: the module itself when it has none of that, else a copy that shares everything else.

    Example:
        >>> layer = torch.nn.utils.prune.l1_unstructured(torch.nn.Linear(8, 4), "weight", 0.5)
        >>> [name for name, _ in layer.named_parameters()], [name for name, _ in plain(layer)[0].named_parameters()]
        (['bias', 'weight_orig'], ['bias', 'weight'])
    """
    masks = {k: hook for k, hook in module._forward_pre_hooks.items() if isinstance(hook, BasePruningMethod)}
    computed = is_parametrized(module) and not module.training
    stored = {n: p for n, p in module._parameters.items() if p is not None and p.layout is not torch.strided}
    if not (masks or computed or stored):
        return module, {}
    clone = object.__new__(type(module))  # parametrized modules refuse copy.copy
    clone.__dict__.update(module.__dict__)
    clone._parameters, clone._buffers = dict(module._parameters), dict(module._buffers)
    formats = {prefix + name: _format(prefix + name, tensor) for name, tensor in stored.items()}
    for name, tensor in stored.items():
        _set(clone, name, tensor.detach().to_dense())
    for key, hook in masks.items():
        _apply(clone, key, hook)
    if computed:
        _compute(clone, module)
    return clone, formats


def _apply(clone: torch.nn.Module, key: int, hook: Any) -> None:
    """Put a pruned tensor in the place of the mask and what it masks."""
    name = hook._tensor_name
    weight = hook.apply_mask(clone).detach()
    clone._forward_pre_hooks = type(clone._forward_pre_hooks)(clone._forward_pre_hooks)
    del clone._forward_pre_hooks[key], clone._parameters[f"{name}_orig"], clone._buffers[f"{name}_mask"]
    clone.__dict__.pop(name, None)
    _set(clone, name, weight)


def _compute(clone: torch.nn.Module, module: torch.nn.Module) -> None:
    """Put what parametrizations compute in their place."""
    chains: Any = module.parametrizations
    clone._modules = {name: m for name, m in module._modules.items() if name != "parametrizations"}
    clone.__class__ = type(module).__bases__[0]
    for name in chains:
        _set(clone, name, getattr(module, name).detach())


def _set(clone: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    clone._parameters[name] = torch.nn.Parameter(value, requires_grad=False)


def _format(name: str, parameter: torch.Tensor) -> Format:
    """The format of a layout, with narrow indices."""
    fmt = format_of(parameter, name)
    if parameter.layout in (torch.sparse_bsr, torch.sparse_bsc):
        make = Format.bsr if parameter.layout is torch.sparse_bsr else bsc
        return make(*parameter.values().shape[-2:])
    made = {torch.sparse_csr: Format.csr, torch.sparse_csc: Format.csc}.get(parameter.layout)
    return made() if made else fmt or Format.coo(parameter.dim())
