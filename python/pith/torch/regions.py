"""Repeated layers of a model, compiled once: each distinct layer becomes one kernel, which its twins share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..compiler.compile import compile
from ..compiler.module import ModuleKernel, structure_of
from ..errors import UnsupportedError
from ..progress import PATIENCE, ProgressBar
from .names import Stored

#: Prefix of a layer's parameters inside of :class:`_Region`.
_LAYER = "layer."


@dataclasses.dataclass(frozen=True)
class Call:
    """What a layer was called with: leaves of ``(args, kwargs)`` and their structure."""

    leaves: tuple[Any, ...]
    spec: pytree.TreeSpec

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Of what a module is called with."""
        leaves, spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
        return cls(tuple(leaves), spec)

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The leaves that are tensors, in order."""
        return tuple(leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor))

    @property
    def constants(self) -> tuple[Any, ...]:
        """The leaves, with a hole where a tensor was."""
        return tuple(_HOLE if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves)


_HOLE = object()


class CompiledLayer(torch.nn.Module):
    """A layer that runs its kernel; called like the layer, with other tensors and the same constants.

    Attributes:
        name: the layer's name in the model.
        kernel: what runs (``ir``, ``explain``); other attributes are those of the layer.
    """

    def __init__(self, name: str, kernel: ModuleKernel, call: Call, layer: torch.nn.Module):
        super().__init__()
        self.name, self.kernel = name, kernel
        self._constants, self._spec = call.constants, call.spec
        self.__dict__["_layer"] = layer  # no submodule: its parameters are bound in the kernel

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "_layer" not in self.__dict__:
                raise
            return getattr(self.__dict__["_layer"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the kernel. Errors: :class:`pith.UnsupportedError` for a call that is structured differently."""
        call = Call.of(args, kwargs)
        if call.spec != self._spec or call.constants != self._constants:
            raise UnsupportedError(
                "is called with other arguments than it was compiled for",
                where=self.name,
                hint="leave inputs out that were not there when the model was compiled",
            )
        return self.kernel(*call.tensors)

    def extra_repr(self) -> str:
        return repr(self.kernel)


def layers_of(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The members of the model's outermost ``ModuleList``s, by name.

    >>> model = torch.nn.Module()
    >>> model.blocks = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(3))
    >>> list(layers_of(model))
    ['blocks.0', 'blocks.1', 'blocks.2']
    """
    found: dict[str, torch.nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(layer + ".") for layer in found)
        if isinstance(module, torch.nn.ModuleList) and not inside:
            found.update({f"{name}.{i}": layer for i, layer in enumerate(module)})
    return found


def compile_layers(
    model: torch.nn.Module, runs: Sequence[Callable[[], Any]], formats: Mapping[str, Stored], target: str = "cpu"
) -> dict[str, CompiledLayer]:
    """Compile the repeated layers of ``model`` and put the kernels in their places.

    Args:
        model: changed: its layers are replaced.
        runs: two ways to call the model, on examples that differ in every size that may change between calls.
        formats: how parameters are stored, by their names in the model.

    Returns: the compiled layers by name.
    Semantics: layers that agree in structure, formats and constants of the call share their code.
    Errors: those of :func:`pith.compile`; :class:`pith.UnsupportedError` for a layer whose output has a
        structure that changes, or a model without repeated layers.
    """
    layers = layers_of(model)
    first, second = ({} for _ in range(2))
    for run, calls in zip(runs, (first, second)):
        with _recorded(layers, calls):
            run()
    if not first:
        raise UnsupportedError(
            "expects a model with a list of layers (torch.nn.ModuleList)",
            where=type(model).__name__,
            hint="compile it as a whole: pith.compile(model, args)",
        )
    made: list[tuple[Any, ModuleKernel]] = []
    compiled = {}
    with ProgressBar(PATIENCE) as progress:
        for number, (name, call) in enumerate(first.items()):
            progress(number / len(first), f"compiling {name}")
            own = {n.removeprefix(f"{name}."): f for n, f in formats.items() if n.startswith(f"{name}.")}
            region = _Region(layers[name], call)
            region.train(layers[name].training)
            key = (structure_of(region), own, call.spec, call.constants)
            twin = next((kernel for other, kernel in made if other == key), None)
            kernel = _compile(region, call, second[name], own, target) if twin is None else twin.rebind(region)
            made.append((key, kernel))
            compiled[name] = CompiledLayer(name, kernel, call, layers[name])
    for name, layer in compiled.items():
        model.set_submodule(name, layer)
    return compiled


class _Region(torch.nn.Module):
    """A layer as a module of the tensors of a call; the other arguments are fixed."""

    def __init__(self, layer: torch.nn.Module, call: Call):
        super().__init__()
        self.layer = layer
        self._call = call

    def forward(self, *tensors: torch.Tensor) -> Any:
        rest = iter(tensors)
        leaves = [next(rest) if leaf is _HOLE else leaf for leaf in self._call.constants]
        args, kwargs = pytree.tree_unflatten(leaves, self._call.spec)
        return self.layer(*args, **kwargs)


def _compile(region: _Region, call: Call, other: Call, formats: Mapping[str, Stored], target: str) -> ModuleKernel:
    """A kernel for every size of the dimensions in which the two calls differ; equal pairs of sizes stay equal."""
    shapes = [
        {d: f"s{a}" for d, (a, b) in enumerate(zip(x.shape, y.shape)) if a != b}
        for x, y in zip(call.tensors, other.tensors)
    ]
    return compile(
        region,
        call.tensors,
        sparsity={_LAYER + name: fmt for name, fmt in formats.items()} or None,
        dynamic_shapes={"tensors": shapes},
        target=target,
    )


class _recorded:
    """Record the first call of every layer while the block runs."""

    def __init__(self, layers: Mapping[str, torch.nn.Module], calls: dict[str, Call]):
        self._layers, self._calls = layers, calls
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for name, layer in self._layers.items():
            self._handles.append(layer.register_forward_pre_hook(self._hook(name), with_kwargs=True))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Callable[..., None]:
        def hook(_: Any, args: Any, kwargs: Any) -> None:
            self._calls.setdefault(name, Call.of(args, kwargs))

        return hook
