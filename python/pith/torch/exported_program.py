"""Programs that ``torch.export`` made, as modules that can be exported again with their dynamic sizes."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from .layers.recovered import with_layers


def as_module(program: torch.export.ExportedProgram) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any], Any]:
    """(module, args, kwargs, dynamic_shapes) of a program: its own examples, and the sizes that it left open.

    Example:
        >>> layer, shapes = torch.nn.Linear(4, 2), ({0: torch.export.Dim("batch")},)
        >>> program = torch.export.export(layer, (torch.ones(3, 4),), dynamic_shapes=shapes)
        >>> module, args, kwargs, dynamic = as_module(program)
        >>> module(*args).shape, list(dynamic), list(dynamic["input"])
        (torch.Size([3, 2]), ['input'], [0])
    """
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [spec.arg for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    open_sizes = [_open_sizes(values.get(arg.name)) for arg in inputs]
    (args, kwargs), spec = program.example_inputs or ((), {}), program.call_spec.in_spec
    shaped_args, shaped_kwargs = ((), {}) if spec is None else pytree.tree_unflatten(open_sizes, spec)
    module = with_layers(program.module())
    called = inspect.signature(module.forward).bind(*shaped_args, **shaped_kwargs).arguments
    return module, args, kwargs, called if any(open_sizes) else None


def _open_sizes(value: Any) -> dict[int, Any] | None:
    if not isinstance(value, torch.Tensor):
        return None
    return {i: torch.export.Dim.AUTO for i, size in enumerate(value.shape) if isinstance(size, torch.SymInt)} or None
