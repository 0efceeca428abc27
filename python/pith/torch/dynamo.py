"""``torch.compile(model, backend="pith")``: the graphs Dynamo captures as kernels."""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import re
from collections.abc import Mapping
from typing import Any

import torch

from ..compiler.compile import compile
from ..compiler.module import ModuleKernel, structure_of
from ..errors import ArgumentError, UnsupportedError
from .exported_program import as_module
from .layers.recovered import stored_calls

#: What ``torch.compile(..., options=)`` may hold: arguments of :func:`pith.compile`.
_OPTIONS = ("path", "sparsity", "target")

#: A step of the way from a model to a tensor of its own, as Dynamo writes it.
_STEP = re.compile(r"\._(?:modules|parameters|buffers)\['([^']+)'\]")


def backend(
    graph: torch.fx.GraphModule,
    examples: list[Any],
    *,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> CompiledGraph:
    """A backend of ``torch.compile``, known to it as ``"pith"``.

    Args:
        mode: torch's default only: its modes are of its own compiler.
        options: ``sparsity``, ``target`` and ``path`` as for :func:`pith.compile`; parameters have the names they have
            in the model.

    Semantics: for inference. Every call with other sizes compiles a kernel of its own; ``pith.compile`` makes one for
        all sizes. Parameters that were changed or exchanged are packed anew by the next call.
    Errors: :class:`pith.ArgumentError` for other options and modes; calls raise those of :func:`pith.compile`, and
        :class:`pith.UnsupportedError` where gradients are asked for.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU()).eval()
        >>> fast = torch.compile(model, backend=backend, options={"sparsity": {"0.weight": "csr"}, "path": "sparse"})
        >>> x = torch.ones(4, 16)
        >>> with torch.inference_mode():
        ...     torch.allclose(fast(x), model(x), atol=1e-5)
        True
    """
    if mode not in (None, "default"):
        raise ArgumentError(f"no mode {mode!r}", where="torch.compile(backend='pith')", hint="leave mode out")
    for name in options or {}:
        if name not in _OPTIONS:
            raise ArgumentError(f"no option {name!r}", where="torch.compile(backend='pith')", hint=", ".join(_OPTIONS))
    return CompiledGraph(graph, dict(options or {}))


class CompiledGraph:
    """What runs in place of a captured graph: a kernel per combination of sizes.

    Attributes:
        kernels: that were compiled so far.
    """

    def __init__(self, graph: torch.fx.GraphModule, options: dict[str, Any]):
        self._graph, self._options = graph, options
        placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
        self._names = {i: name for i, node in enumerate(placeholders) if (name := _own_name(node)) is not None}
        self._has_layers = bool(stored_calls(graph.graph))
        self._compiled: dict[tuple[Any, ...], _Entry] = {}

    def __call__(self, *args: Any) -> Any:
        _require_no_gradient(args)
        own = {i: args[i] for i in self._names}
        given = [(i, a) for i, a in enumerate(args) if i not in own]
        key = (_autocast(), *((a.shape, a.dtype) if isinstance(a, torch.Tensor) else a for _, a in given))
        state = tuple((id(t), t.data_ptr(), 0 if t.is_inference() else t._version) for t in own.values())
        entry = self._compiled.get(key)
        if entry is None or entry.state != state:
            with torch.inference_mode(False), torch.no_grad():
                entry = self._compiled[key] = self._make(entry, state, own, dict(given))
        return entry.kernel(*(a for _, a in given if isinstance(a, torch.Tensor)))

    @property
    def kernels(self) -> tuple[ModuleKernel, ...]:
        """The kernels compiled so far, in order."""
        return tuple(entry.kernel for entry in self._compiled.values())

    def _make(self, last: _Entry | None, state: Any, own: dict[int, torch.Tensor], given: dict[int, Any]) -> _Entry:
        module: torch.nn.Module = _Bound(self._graph, own, self._names, given)
        examples = tuple(torch.zeros(a.shape, dtype=a.dtype) for a in given.values() if isinstance(a, torch.Tensor))
        if self._has_layers:
            module = as_module(torch.export.export(module, examples))[0]
        structure = structure_of(module)
        if last is not None and last.structure == structure:
            return _Entry(state, tuple(own.values()), structure, last.kernel.rebind(module))
        return _Entry(state, tuple(own.values()), structure, compile(module, examples, **self._options))


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A kernel, and the identities, memory and versions of the tensors that are packed in it.

    Attributes:
        own: these tensors: no others get their identities while they are here.
        structure: of the module that was compiled: masked layers that keep another share may be stored otherwise.
    """

    state: tuple[Any, ...]
    own: tuple[torch.Tensor, ...]
    structure: Any
    kernel: ModuleKernel


class _Bound(torch.nn.Module):
    """A captured graph with the model's tensors and all numbers in their places."""

    def __init__(
        self, graph: torch.fx.GraphModule, own: Mapping[int, torch.Tensor], names: Mapping[int, str], given: Any
    ):
        super().__init__()
        numbers = {i: a for i, a in given.items() if not isinstance(a, torch.Tensor)}
        self.__dict__["_call"] = graph, {i: names[i] for i in own}, numbers
        self.__dict__["_autocast"] = _autocast()
        for i, tensor in own.items():
            *path, last = names[i].split(".")
            parent: torch.nn.Module = self
            for step in path:
                if step not in parent._modules:
                    parent.add_module(step, torch.nn.Module())
                parent = parent._modules[step] or parent
            if isinstance(tensor, torch.nn.Parameter):
                parent.register_parameter(last, tensor)
            else:
                parent.register_buffer(last, tensor)
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> Any:
        graph, names, numbers = self.__dict__["_call"]
        rest = iter(tensors)
        known = {**numbers, **{i: operator.attrgetter(name)(self) for i, name in names.items()}}
        with self._region():
            return graph(*(known[i] if i in known else next(rest) for i in range(len(known) + len(tensors))))

    def _region(self) -> contextlib.AbstractContextManager[Any]:
        dtype = self.__dict__["_autocast"]
        return contextlib.nullcontext() if dtype is None else torch.autocast("cpu", dtype)


def _autocast() -> torch.dtype | None:
    """The type of the ``torch.autocast`` region around, which captured graphs do not say; None outside of one."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


def _own_name(placeholder: torch.fx.Node) -> str | None:
    """The dotted name of a model's parameter or buffer, or None for what calls are given."""
    if "_dynamo_static_input_type" not in placeholder.meta.get("tensor_dict", {}):
        return None
    source = placeholder._dynamo_source  # pyright: ignore[reportAttributeAccessIssue]
    return ".".join(_STEP.findall(str(source.name))) or placeholder.name


def _require_no_gradient(args: tuple[Any, ...]) -> None:
    if torch.is_grad_enabled() and any(isinstance(a, torch.Tensor) and a.requires_grad for a in args):
        raise UnsupportedError(
            "kernels compute no gradients",
            where="torch.compile(backend='pith')",
            hint="call it under torch.inference_mode(); pith.torch.sparsify_ makes layers that train",
        )
