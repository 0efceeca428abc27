"""Replacing the linear layers of a model by sparse and quantised ones."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

import torch

from ...errors import UnsupportedError
from ...formats import Format
from ...quantization import Quantized
from ...sparse import FormatLike
from ..names import assign_formats
from .arguments import require_kind
from .quantized_linear import QuantizedLinear
from .sparse_linear import SparseLinear
from .transposed import as_linear, linear_shape


def sparsify_(model: torch.nn.Module, sparsity: Mapping[str, FormatLike | Quantized]) -> tuple[str, ...]:
    """Replace ``nn.Linear`` modules by :class:`SparseLinear` or :class:`QuantizedLinear` in place; returns their names.
    So is the ``Conv1D`` of transformers (GPT-2); formats are for ``out x in``, the transpose of the weight it has.

    Args:
        sparsity: ``fnmatch`` pattern of module names -> format, or :class:`pith.Quantized`. Every pattern has to name
            a linear layer.

    Semantics: weights are pruned by magnitude. Layers registered under several names stay shared, and so do weights of
        several sparse layers of one format. Modules that are no linear layers keep the dense weight that they shared
        (tied embeddings). Make the optimizer, and register hooks, afterwards: layers and parameters are new. A model
        that is itself an ``nn.Linear`` has no name; use :meth:`SparseLinear.from_linear`.
    Errors: :class:`pith.ImportProgramError` for a pattern that names no linear layer, or two that disagree;
        :class:`pith.ShapeError` for a format that does not divide a weight, :class:`pith.FormatError` for
        one that is malformed; :class:`pith.UnsupportedError` for a pattern that names experts whose weights are
        one tensor, or that tensor, layers that are sparse or quantised already, or of classes derived from
        ``nn.Linear``. The model is then as it was.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
        >>> sparsify_(model, {"0": "C0(2:4)"})
        ('0',)
        >>> model[0].values.numel(), type(model[2]).__name__
        (256, 'Linear')
    """
    require_kind(model, torch.nn.Module, "sparsify_: model")
    if linear_shape(model) is not None:
        hint = "SparseLinear.from_linear(linear, format), QuantizedLinear(linear, scheme)"
        raise UnsupportedError(f"the model is itself a {type(model).__name__}", where="sparsify_", hint=hint)
    shapes = {
        name: shape
        for name, module in model.named_modules(remove_duplicate=False)
        if name and (shape := linear_shape(module)) is not None
    }
    _refuse_stored(model, sparsity, shapes)
    _refuse_stacks(model, sparsity, shapes)
    _refuse_derived(model, sparsity, shapes)
    layers = {name: model.get_submodule(name) for name in shapes}
    formats = assign_formats(sparsity, shapes, kinds="torch.nn.Linear inside of the model").operands
    made: dict[torch.nn.Module, SparseLinear | QuantizedLinear] = {}
    shared: dict[tuple[int, Format], SparseLinear] = {}
    for name in formats:
        if layers[name] not in made:
            said = next(f for pattern, f in sparsity.items() if fnmatch.fnmatch(name, pattern))
            weight = id(layers[name].weight), formats[name]
            made[layers[name]] = layer = _stored(as_linear(layers[name]), said, shared.get(weight))
            if isinstance(layer, SparseLinear):
                shared[weight] = layer
    for name, layer in layers.items():
        if layer in made:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, made[layer])
    return tuple(name for name, layer in layers.items() if layer in made)


def _stored(
    linear: torch.nn.Linear, said: FormatLike | Quantized, twin: SparseLinear | None
) -> SparseLinear | QuantizedLinear:
    """What stands for a layer; ``twin``: the one that has its weight already."""
    if isinstance(said, Quantized):
        return QuantizedLinear(linear, said)
    layer = SparseLinear.from_linear(linear, said)
    if twin is not None:
        layer.values = twin.values
    return layer


def _refuse_derived(model: torch.nn.Module, sparsity: Mapping[str, object], layers: Iterable[str]) -> None:
    """Raise for a pattern that names no ``nn.Linear``, but a class derived from it, which may compute anything."""
    derived = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and linear_shape(m) is None}
    for pattern in filter(lambda key: isinstance(key, str), sparsity if isinstance(sparsity, Mapping) else ()):
        named = fnmatch.filter(derived, pattern)
        if named and not fnmatch.filter(layers, pattern):
            if hasattr(derived[named[0]], "parametrizations"):
                hint = (
                    "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') makes the weight a plain one"
                )
            else:
                hint = "pith.compile stores its weight: sparsity={" + repr(f"{named[0]}.weight") + ": ...}"
            raise UnsupportedError(
                f"{named[0]} is a {type(derived[named[0]]).__name__}, whose class derives from torch.nn.Linear and may "
                "do something else with its weight",
                where=f"sparsify_: sparsity[{pattern!r}]",
                hint=hint,
            )


def _refuse_stored(model: torch.nn.Module, sparsity: Mapping[str, object], layers: Iterable[str]) -> None:
    """Raise for a pattern that names no dense layer, but one that was replaced before."""
    stored = {name: m for name, m in model.named_modules() if isinstance(m, SparseLinear | QuantizedLinear)}
    for pattern in filter(lambda key: isinstance(key, str), sparsity if isinstance(sparsity, Mapping) else ()):
        named = fnmatch.filter(stored, pattern)
        if named and not fnmatch.filter(layers, pattern):
            raise UnsupportedError(
                f"{named[0]} is a {type(stored[named[0]]).__name__} already",
                where=f"sparsify_: sparsity[{pattern!r}]",
                hint="start from the dense model, or put the layer's to_linear() in its place first",
            )


def _refuse_stacks(model: torch.nn.Module, sparsity: Mapping[str, object], layers: Iterable[str]) -> None:
    """Raise for a pattern that names no linear layer, but a stack of matrices or the module that has it: the experts of
    transformers are such parameters, of three dimensions."""
    owners = {id(p): m for m in model.modules() for p in m.parameters(recurse=False) if p.dim() == 3}
    owners = {i: m for i, m in owners.items() if not isinstance(m, torch.nn.modules.conv._ConvNd)}
    stacks = {name: p for name, p in model.named_parameters(remove_duplicate=False) if id(p) in owners}
    for pattern in filter(lambda key: isinstance(key, str), sparsity if isinstance(sparsity, Mapping) else ()):
        named = [n for n in stacks if fnmatch.fnmatch(n, pattern) or fnmatch.fnmatch(n.rpartition(".")[0], pattern)]
        if named and not fnmatch.filter(layers, pattern):
            stack = stacks[named[0]]
            raise UnsupportedError(
                f"{named[0]} of {type(owners[id(stack)]).__name__} is one parameter of shape {tuple(stack.shape)}, "
                "not a linear layer",
                where=f"sparsify_: sparsity[{pattern!r}]",
                hint="pith.compile stores such stacks: sparsity={" + repr(named[0]) + ": 'MCS: S0(2:4)'}",
            )
