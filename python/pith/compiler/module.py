"""Kernels of PyTorch programs: weights bound, called like the module they came from."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, UnsupportedError
from ..foreign_names import INSTEAD_OF_MODULES, SAME_OF_MODULES, ForeignNames
from ..sparse import SparseTensor
from .kernel import Kernel
from .weights import quantized_note, scheme_of, stored_values


def structure_of(module: Any) -> tuple[str, tuple[bool, ...]]:
    """What two modules must agree on for one kernel to serve both: layers, hyperparameters, modes."""
    return repr(module), tuple(m.training for m in module.modules())


class ModuleKernel(ForeignNames):
    """A compiled PyTorch program; call it like the module it came from.

    Attributes:
        kernel: the :class:`pith.Kernel` or :class:`pith.GpuKernel` underneath (``ir``, ``explain``, ``dump``), its
            parameters bound.
        program: the :class:`pith.torch.ImportedProgram`.
        notes: which weights are stored otherwise than declared, and why.
    """

    SAME, INSTEAD = SAME_OF_MODULES, INSTEAD_OF_MODULES

    def __init__(
        self,
        kernel: Kernel,
        program: Any,
        structure: tuple[str, tuple[bool, ...]],
        values: dict[int, Any],
        notes: tuple[str, ...] = (),
    ):
        self.kernel = kernel.bind(values)
        self.program = program
        self.notes = notes
        self._structure = structure

    def __repr__(self) -> str:
        return f"<pith module kernel {self.kernel.name}({', '.join(i.name for i in self.program.inputs)})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.kernel(*self._values(args, kwargs))
        return self.program.unflatten(list(result) if isinstance(result, tuple) else [result])

    def capture(self, *args: Any, **kwargs: Any) -> Any:
        """Record a call as a CUDA graph; see :meth:`pith.GpuKernel.capture`. Its results are tensors one by one.

        Errors: :class:`pith.UnsupportedError` for kernels of the CPU.
        """
        record = getattr(self.kernel, "capture", None)
        if record is None:
            raise UnsupportedError("a CPU has no CUDA graphs", where=self.kernel.name, hint="call the kernel")
        return record(*self._values(args, kwargs))

    def _values(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """What the kernel underneath takes for a call."""
        tensors = self.program.flatten(*args, **kwargs)
        return [_input(t, spec) for t, spec in zip(tensors, self.program.inputs)]

    @property
    def target(self) -> str:
        """What it was compiled for, as :func:`pith.compile` takes it."""
        return self.kernel.target

    @property
    def weight_bytes(self) -> int:
        """Bytes of the bound parameters as stored."""
        stored = (v if isinstance(v, list) else [v] for v in self.kernel.bound.values())
        return sum(_nbytes(buffer) for values in stored for buffer in values)

    def rebind(self, module: Any) -> ModuleKernel:
        """The same code with the parameters of another module: nothing is exported or compiled.

        For the repeated layers of a model. The other module must compute the same function of its
        parameters and inputs; layers, their printed hyperparameters, modes, and names, shapes and
        dtypes of parameters are compared, other Python attributes are the caller's promise.
        Errors: :class:`pith.ArgumentError` naming the first difference; :class:`pith.FormatError`
            when a parameter does not obey its format.

        Example:
            >>> import pith, torch
            >>> first, second = (torch.nn.Linear(8, 4).eval() for _ in range(2))
            >>> x = torch.ones(3, 8)
            >>> k = pith.compile(first, (x,)).rebind(second)
            >>> torch.allclose(k(x), second(x), atol=1e-5)
            True
        """
        from torch.nn import Module

        from ..torch.layers.arguments import require_kind
        from ..torch.layers.stored import with_dense_layers

        require_kind(module, Module, "rebind")
        self._require_twin(module)
        module, own = with_dense_layers(module)
        tensors = {
            **dict(module.named_parameters(remove_duplicate=False)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
        parameters = []
        for p in self.program.parameters:
            said = None if p.quantized is None else own.get(p.name, scheme_of(p.quantized))
            tensor = tensors.get(p.name) if p.kind != "constant" else p.tensor
            if tensor is None or tensor.shape != p.tensor.shape or tensor.dtype != p.tensor.dtype:
                found = "it has none" if tensor is None else f"got {tuple(tensor.shape)} of {tensor.dtype}"
                raise ArgumentError(
                    f"expects a {p.kind} of shape {tuple(p.tensor.shape)} and {p.tensor.dtype}, {found}", where=p.name
                )
            parameters.append(dataclasses.replace(p, tensor=tensor, quantized=said))
        program = dataclasses.replace(self.program, parameters=tuple(parameters))
        return ModuleKernel(self.kernel, program, self._structure, stored_values(parameters), self.notes)

    def _require_twin(self, module: Any) -> None:
        mine, other = self._structure[0].splitlines(), structure_of(module)[0].splitlines()
        for i, line in enumerate(mine):
            if i >= len(other) or line != other[i]:
                found = other[i].strip() if i < len(other) else "nothing"
                raise ArgumentError(
                    f"expects a module like the compiled one: {line.strip()!r} there, {found!r} here",
                    where=type(module).__name__,
                    hint="compile it: pith.compile(module, args)",
                )
        if self._structure != structure_of(module):
            raise ArgumentError(
                "expects a module like the compiled one, also in which layers are in training mode",
                where=type(module).__name__,
                hint="call module.eval(), or compile it: pith.compile(module, args)",
            )

    def ir(self, level: str) -> str:
        """See :meth:`pith.Kernel.ir`."""
        return self.kernel.ir(level)

    def explain(self) -> str:
        """See :meth:`pith.Kernel.explain`; then weights that were declared sparse and are kept dense, and how far
        quantised ones are from the model's."""
        if not isinstance(self.kernel, Kernel):
            return "\n".join([self.kernel.explain(), *self.notes])
        names = {a.position: a.name for a in (*self.program.parameters, *self.program.inputs)}
        quantized = [quantized_note(p) for p in self.program.parameters if p.quantized is not None]
        located = self.program.module.operation.get_asm(enable_debug_info=True)
        return "\n".join([self.kernel.explain(names, located), *self.notes, *quantized])

    def dump(self, directory: str | os.PathLike[str], levels: Sequence[str] | None = None) -> pathlib.Path:
        """See :meth:`pith.Kernel.dump`."""
        return self.kernel.dump(directory) if levels is None else self.kernel.dump(directory, levels)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write code and weights to one file; see :func:`pith.load`.

        The loaded kernel takes the tensors of a call one by one, in the order of ``program.inputs``,
        and returns its tensors one by one: the structure of containers and constants among the
        results are PyTorch's and stay behind.
        """
        self.saved().save(path)

    def saved(self) -> Any:
        """The kernel as :meth:`save` writes it: with the program's rules for dynamic sizes."""
        return self.kernel.with_sizes(self.program.sizes)


def _nbytes(buffer: Any) -> int:
    return buffer.nbytes if hasattr(buffer, "nbytes") else 0


def _input(tensor: Any, spec: Any) -> Any:
    return tensor.detach() if spec.format is None else SparseTensor.from_torch(tensor, spec.format)
