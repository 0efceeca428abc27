"""What an import yields: the module, and how its arguments map to the model's tensors."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch.utils import _pytree as pytree

from .._mlir import ir
from ..compiler.size_terms import Term
from ..compiler.sizes import SizeCheck, SizeRules
from ..errors import ArgumentError, DTypeError, ShapeError
from ..formats import Format
from ..quantization import Quantized, QuantizedTensor
from .dynamic import DynamicDim
from .locations import source_lines


@dataclasses.dataclass(frozen=True, eq=False)
class Parameter:
    """A tensor of the model that became a function argument.

    Attributes:
        name: its dotted name in the model.
        position: index of the function argument.
        tensor: the model's own tensor; nothing is copied.
        kind: ``parameter``, ``buffer`` or ``constant`` (a tensor made by ``forward``).
        format: the encoding of the argument, or None when it is dense.
        quantized: how its values are stored as small integers, or the quantised tensor that stands for it.
        scales: indices of the arguments with its scales and, where they belong to groups, zero points.
    """

    name: str
    position: int
    tensor: torch.Tensor
    kind: str
    format: Format | None = None
    quantized: Quantized | QuantizedTensor | None = None
    scales: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Input:
    """An argument of ``forward`` that became a function argument.

    Attributes:
        name: ``x`` for a named argument, ``args.0`` for a positional one of ``*args``, with the
            path inside containers appended (``batch.ids``, ``pair.1``).
        position: index of the function argument.
        shape: with -1 for dynamic sizes.
        dtype: element type.
        dims: what the program demands of the dynamic dimensions.
        format: the encoding of the argument, or None when it is dense.
    """

    name: str
    position: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    dims: dict[int, DynamicDim]
    format: Format | None = None

    def check(self, tensor: Any) -> None:
        """Raise :class:`pith.DTypeError` or :class:`pith.ShapeError` unless type, rank and static sizes fit."""
        if not isinstance(tensor, torch.Tensor):
            raise DTypeError(
                f"expects a torch tensor ({self.dtype}), got {type(tensor).__name__}",
                where=self.name,
                hint="torch.from_numpy(x) shares the memory of a NumPy array",
            )
        if tensor.dtype != self.dtype:
            raise DTypeError(
                f"expects {self.dtype}, got {tensor.dtype}",
                where=self.name,
                hint=f"x.to({self.dtype}), or compile it with arguments of {tensor.dtype}",
            )
        shape = tuple(tensor.shape)
        if len(shape) != len(self.shape):
            raise ShapeError(f"expects rank {len(self.shape)}, got shape {shape}", where=self.name)
        for d, (size, static) in enumerate(zip(shape, self.shape)):
            if d not in self.dims and size != static:
                raise ShapeError(
                    f"expects size {static}, got shape {shape}",
                    where=f"{self.name}, dimension {d}",
                    hint="compile it for any: pith.compile(..., dynamic_shapes=), as for torch.export",
                )


@dataclasses.dataclass(frozen=True, eq=False)
class ImportedProgram:
    """A PyTorch program as linalg on tensors; its weights are arguments, never constants of the IR.

    The function takes ``parameters``, then ``inputs``, in order of ``position``, then the scales of quantised
    parameters. Parameters ``forward`` does not read are left out (``unused`` names them); unused inputs stay.

    Attributes:
        module: the MLIR module, in a context of its own with pith loaded.
        func_name: the entry function.
        parameters: tensors of the model, in argument order.
        inputs: arguments of ``forward``, in argument order.
        unused: names of parameters and buffers that ``forward`` does not read.
        in_spec, out_spec: structure of ``(args, kwargs)`` and of the result.
        fixed: arguments that are Python constants: index among the flat arguments -> value.
        constants: results that are Python constants: index among the flat results -> value.
        unsigned: indices among the flat results of tensors of uint8, which kernels of GPUs return as int8.
        names: of the arguments that ``forward`` takes by position or by name: calls may, too.
        notes: what became of ops that there are several ways to compute.
        demands: comparisons that hold for the sizes of inputs, by position, beside what their ``dims`` say.
    """

    module: ir.Module
    func_name: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[Input, ...]
    unused: tuple[str, ...]
    in_spec: pytree.TreeSpec
    out_spec: pytree.TreeSpec
    fixed: dict[int, Any]
    constants: dict[int, Any]
    unsigned: frozenset[int]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    demands: tuple[Term, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The model's source lines (``file:line``) that ops of the module come from, in order."""
        return source_lines(self.module)

    def flatten(self, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """The tensors of a call ``module(*args, **kwargs)`` in the order of ``inputs``, checked.

        Errors: :class:`pith.ShapeError` when the call is structured differently from the example,
            or a size is not one the program works for; :class:`pith.DTypeError`; :class:`pith.ArgumentError` for
            a constant other than the example's.
        """
        leaves, spec = pytree.tree_flatten((args, kwargs))
        if spec != self.in_spec:
            leaves, spec = pytree.tree_flatten(self._as_in_the_example(args, kwargs))
        if spec != self.in_spec:
            self._require_count(args, kwargs)
            no_tensor = next((leaf for leaf in leaves if isinstance(leaf, bool | int | float)), None)
            raise ShapeError(
                f"expects a call {_call_text(self.in_spec)}, got {_call_text(spec)}",
                where=self.func_name,
                hint="call it with the arguments it was imported with"
                + ("" if no_tensor is None else "; nested numbers as torch.tensor(...)"),
            )
        for i, value in self.fixed.items():
            if type(leaves[i]) is not type(value) or leaves[i] != value:
                raise ArgumentError(
                    f"was compiled for the constant {value!r}, got {leaves[i]!r}",
                    where=self.func_name,
                    hint="compile it with that value: constants are part of the program",
                )
        tensors = [leaf for i, leaf in enumerate(leaves) if leaf is not None and i not in self.fixed]
        self._check(tensors)
        return tensors

    def _as_in_the_example(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same call with those arguments by position that were so in the example, and with the example's constants
        where it leaves them out; as it is where it has others."""
        example, options = pytree.tree_unflatten(range(self.in_spec.num_leaves), self.in_spec)
        by_position = self.names[: len(example)]
        given = {**dict(zip(self.names, args)), **kwargs}
        if len(given) != len(args) + len(kwargs):
            return args, kwargs
        leaves = [*zip(by_position, example), *options.items()]
        given = {**{name: self.fixed[i] for name, i in leaves if isinstance(i, int) and i in self.fixed}, **given}
        if set(given) != {*by_position, *options}:
            return args, kwargs
        return tuple(given[name] for name in by_position), {name: given[name] for name in options}

    def _require_count(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise in plain words when positional tensors were expected and their number is another one."""
        wanted = self.in_spec.num_leaves
        example, options = pytree.tree_unflatten(range(wanted), self.in_spec)
        if kwargs or options or tuple(example) != tuple(range(wanted)) or len(args) == wanted:
            return
        names = f" ({', '.join(i.name for i in self.inputs)})" if len(self.inputs) == wanted else ""
        raise ShapeError(
            f"expects {wanted} argument{'s' * (wanted != 1)}{names}, got {len(args)}",
            where=self.func_name,
            hint="call it with the arguments it was imported with",
        )

    @property
    def sizes(self) -> SizeRules:
        """What is demanded of the dynamic sizes of a call."""
        dims = {i.position: {d: (dim.symbol, dim.low, dim.high) for d, dim in i.dims.items()} for i in self.inputs}
        return SizeRules({position: of_input for position, of_input in dims.items() if of_input}, self.demands)

    @functools.cached_property
    def _check_sizes(self) -> SizeCheck:
        return SizeCheck(self.sizes, {spec.position: spec for spec in self.inputs}, {}, self.func_name)

    def _check(self, tensors: list[torch.Tensor]) -> None:
        for spec, tensor in zip(self.inputs, tensors):
            spec.check(tensor)
        self._check_sizes(tensors)

    def unflatten(self, results: list[Any]) -> Any:
        """The model's result structure around the function's flat results."""
        tensors = iter(results)
        count = self.out_spec.num_leaves
        leaves = [self.constants[i] if i in self.constants else next(tensors) for i in range(count)]
        for i in self.unsigned:
            leaves[i] = torch.as_tensor(leaves[i]).view(torch.uint8)
        return pytree.tree_unflatten(leaves, self.out_spec)


#: Characters of a call in an error; nested lists of numbers have thousands.
_LONGEST_CALL = 200


def _call_text(spec: pytree.TreeSpec) -> str:
    """A call of some structure: ``(x, (x, x), scale=x)``, each x a tensor.

    >>> _call_text(pytree.tree_flatten(((1, (2, 3)), {"scale": 4}))[1])
    '(x, (x, x), scale=x)'
    """
    args, kwargs = pytree.tree_unflatten([_Tensor()] * spec.num_leaves, spec)
    text = f"({', '.join([*map(repr, args), *(f'{name}={value!r}' for name, value in kwargs.items())])})"
    return text if len(text) <= _LONGEST_CALL else f"{text[: _LONGEST_CALL - 3]}..."


class _Tensor:
    """Stands for a tensor in the text of a call."""

    def __repr__(self) -> str:
        return "x"
