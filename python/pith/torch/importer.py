"""``pith.torch.import_program``: a PyTorch module as linalg on tensors with encoded operands."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .._mlir import ir
from ..compiler.build import UNSIGNED
from ..dialect import encoded_type, shape_of
from ..dialect.ops_format import DecompressOp
from ..errors import ArgumentError, ImportProgramError, UnsupportedError
from ..formats import Format
from ..quantization import Quantized, QuantizedTensor
from .dynamic import dim_names, dynamic_dims, export_dims, require_dims, shapes_by_argument
from .exporting import Exported, export, input_leaves
from .layers.arguments import require_kind
from .layers.stored import with_dense_layers
from .layouts import format_of
from .linalg.marks import resolve_markers
from .linalg.pipeline import import_graph
from .names import Stored, as_format, assign_formats, check_fits
from .program import ImportedProgram, Input, Parameter
from .quantized_arguments import dequantize, require_quantizable
from .size_guards import size_demands


def import_program(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    sparsity: Mapping[str, object] | None = None,
    dynamic_shapes: Any = None,
    func_name: str = "main",
) -> ImportedProgram:
    """Import ``module.forward`` with its parameters and buffers as function arguments.

    Args:
        module: exported as it is; call ``eval()`` first to import inference.
        args, kwargs: example arguments: tensors, None, Python constants, and containers of them. A tensor in
            COO, CSR, CSC or BSR layout makes its argument one of that format; a constant becomes part of the program.
        sparsity: name pattern (``fnmatch``) -> HSS, Format or text. Patterns are matched against
            parameters, buffers and inputs; one that matches none of them, against submodules,
            whose outputs are then compressed, or with :func:`pith.dynamic` marked: products that read
            them follow their zeros at run time. A parameter is quantised by :class:`pith.Quantized`, or
            :class:`pith.QuantizedTensor` stands for it.
        dynamic_shapes: as for ``torch.export``; a string makes a dimension dynamic, and dimensions of
            one name equal. The sizes it may take are inferred. Arguments left out are static.
        func_name: name of the function.

    Semantics: :class:`pith.torch.SparseLinear` and :class:`pith.torch.QuantizedLinear` layers are stored as they are
        without being named, and :class:`pith.torch.MaskedLinear` layers become dense ones with their mask; what these
        learn later does not reach the program. An encoded argument is decompressed at the top of the function; the
        pass ``pith-propagate-encodings`` moves the encoding into the ops that can use it.
    Errors: :class:`pith.ImportProgramError` with the model's source line for ops and control flow
        that cannot be imported, :class:`pith.ShapeError` for a format that does not divide its
        operand, :class:`pith.UnsupportedError` for what pith cannot do.
    Example:
        >>> linear = torch.nn.Linear(16, 8, bias=False)
        >>> p = import_program(linear, (torch.randn(4, 16),), sparsity={"weight": "C0(2:4)"})
        >>> [(a.name, a.position) for a in (*p.parameters, *p.inputs)]
        [('weight', 0), ('input', 1)]
        >>> p.parameters[0].tensor is linear.weight
        True
    """
    _require_call(module, args, kwargs)
    kwargs = dict(kwargs or {})
    module, stored = with_dense_layers(module)
    tensors = _tensors_of(module)
    leaves = {n: leaf for n, leaf in input_leaves(module, args, kwargs).items() if isinstance(leaf, torch.Tensor)}
    _require_distinct(tensors, leaves)
    layouts = {name: fmt for name, leaf in leaves.items() if (fmt := format_of(leaf, name)) is not None}
    shapes = {name: tuple(t.shape) for name, t in (*tensors.items(), *leaves.items())}
    submodules = [name for name, _ in module.named_modules() if name]
    assigned = assign_formats(_with_stored(sparsity, stored), shapes, submodules)
    for name in assigned.quantized:
        require_quantizable(name, {**leaves, **tensors}[name], name in tensors)
    formats = _merge(assigned.said, layouts)
    dynamic = shapes_by_argument(module, dynamic_shapes, kwargs, len(args))
    require_dims(dynamic, {name: leaf.dim() for name, leaf in leaves.items()})
    exported = export(module, args, kwargs, export_dims(dynamic), list(assigned.activations))
    mlir = import_graph(exported.program.graph, func_name, assigned.activations)
    program = _program(mlir, func_name, exported, tensors, _with_aliases(formats, tensors), dynamic)
    resolve_markers(mlir, assigned.activations)
    return program


def _require_call(module: Any, args: Any, kwargs: Any) -> None:
    """Refuse what is no module, and a tensor in place of a tuple of them: its rows would be taken for the arguments."""
    require_kind(module, torch.nn.Module, "import_program")
    if isinstance(module, torch.jit.ScriptModule):
        text, hint = "cannot import TorchScript", "give it the module that the script was made from"
        raise UnsupportedError(text, where=type(module).__name__, hint=hint)
    if not isinstance(kwargs, Mapping | None):
        raise ArgumentError(
            f"expects example arguments by name, got {type(kwargs).__name__}", where="kwargs", hint="kwargs={'mask': x}"
        )
    if not isinstance(args, (tuple, list)):
        raise ArgumentError(
            f"expects a tuple of example arguments, got {type(args).__name__}", where="args", hint="args=(x,)"
        )


def _with_stored(sparsity: Mapping[str, object] | None, stored: Mapping[str, Stored]) -> Mapping[str, object] | None:
    """The patterns, and what layers say themselves where no pattern names their weight."""
    if not isinstance(sparsity, Mapping | None):
        return sparsity
    said = sparsity or {}
    return {**said, **{n: f for n, f in stored.items() if not any(fnmatch.fnmatch(n, p) for p in said)}} or sparsity


def _tensors_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by every name they have (tied ones have several)."""
    tensors: dict[str, torch.Tensor] = dict(module.named_parameters(remove_duplicate=False))
    tensors.update(module.named_buffers(remove_duplicate=False))
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided:
            raise UnsupportedError(
                f"a parameter in layout {tensor.layout}",
                where=name,
                hint=f"keep it strided and pass sparsity={{{name!r}: format}}",
            )
    return tensors


def _require_distinct(tensors: Mapping[str, Any], leaves: Mapping[str, Any]) -> None:
    both = sorted(set(tensors) & set(leaves))
    if both:
        raise ImportProgramError(
            f"{both[0]!r} names both an argument of forward and a parameter or buffer",
            where=both[0],
            hint="wrap the module in one whose forward names its arguments differently",
        )


def _merge(assigned: Mapping[str, Stored], layouts: Mapping[str, Format]) -> dict[str, Stored]:
    """Formats from patterns and from layouts; the two must agree."""
    for name, fmt in layouts.items():
        if assigned.get(name, fmt) != fmt:
            raise ImportProgramError(
                f"the example is stored as {fmt}, but a pattern says {assigned[name]}",
                where=name,
                hint="drop the pattern, or pass a strided tensor",
            )
    return {**assigned, **layouts}


def _with_aliases(formats: Mapping[str, Stored], tensors: Mapping[str, torch.Tensor]) -> dict[str, Stored]:
    """``formats`` with the format of a tied tensor under each of its names."""
    by_tensor: dict[int, tuple[str, Stored]] = {}
    for name, fmt in formats.items():
        if name not in tensors:
            continue
        first, other = by_tensor.setdefault(id(tensors[name]), (name, fmt))
        if other != fmt:
            raise ImportProgramError(f"is the same tensor as {first}, but has another format", where=name)
    tied = {name: by_tensor[id(t)][1] for name, t in tensors.items() if id(t) in by_tensor}
    return {**formats, **tied}


def _program(
    mlir: ir.Module,
    func_name: str,
    exported: Exported,
    tensors: Mapping[str, torch.Tensor],
    formats: Mapping[str, Stored],
    dynamic: Any,
) -> ImportedProgram:
    """Name and encode the function's arguments, and describe them."""
    func = next(op for op in mlir.body.operations if op.operation.name == "func.func")
    arguments = list(func.operation.regions[0].blocks[0].arguments)
    parameters, inputs = [], []
    state = {**exported.program.state_dict, **exported.program.constants, **tensors}
    for position, (placeholder, argument) in enumerate(zip(exported.placeholders, arguments)):
        name, said = placeholder.name, formats.get(placeholder.name)
        fmt = None if said is None else as_format(said, name)
        if placeholder.kind == "input":
            fake = placeholder.node.meta["val"]
            dims = dynamic_dims(exported, fake.shape, dim_names(dynamic, name))
            inputs.append(Input(name, position, shape_of(argument.type), fake.dtype, dims, fmt))
            _name_and_encode(argument, name, fmt)
            continue
        parameter = Parameter(name, position, state[name], placeholder.kind, fmt)
        if isinstance(said, Quantized | QuantizedTensor):
            parameter = dataclasses.replace(parameter, quantized=said, scales=dequantize(argument, name, said))
        else:
            _name_and_encode(argument, name, fmt)
        parameters.append(parameter)
    added = {at: f"{p.name}.{role}" for p in parameters for at, role in zip(p.scales, ("scales", "zero_points"))}
    _update_type(func, {**added, **{a.position: a.name for a in (*parameters, *inputs)}})
    _note_unsigned(func, exported)
    return ImportedProgram(
        module=mlir,
        func_name=func_name,
        parameters=tuple(parameters),
        inputs=tuple(inputs),
        unused=exported.unused,
        in_spec=exported.in_spec,
        out_spec=exported.out_spec,
        fixed=exported.fixed,
        constants=exported.constants,
        unsigned=exported.unsigned,
        names=exported.names,
        notes=exported.notes,
        demands=size_demands({i: p.node.meta["val"] for i, p in enumerate(exported.placeholders) if p.kind == "input"}),
    )


def _note_unsigned(func: ir.OpView, exported: Exported) -> None:
    """Say which results are of uint8: types of MLIR that kernels have carry no sign."""
    if not exported.unsigned:
        return
    tensors = [i for i in range(exported.out_spec.num_leaves) if i not in exported.constants]
    with func.operation.context:
        said = [{UNSIGNED: ir.UnitAttr.get()} if i in exported.unsigned else {} for i in tensors]
        func.operation.attributes["res_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(s) for s in said])


def _name_and_encode(argument: ir.BlockArgument, name: str, fmt: Format | None) -> None:
    """Put the operand's name into its location, and its format into its type."""
    with argument.context:
        argument.set_location(ir.Location.name(name, argument.location))
        if fmt is None:
            return
        check_fits(fmt, shape_of(argument.type), name)
        argument.set_type(encoded_type(argument.type, fmt))
        with ir.InsertionPoint.at_block_begin(argument.owner), argument.location:
            dense = DecompressOp.build(argument)
        argument.replace_all_uses_except(dense.operation.results[0], dense.operation)


def _update_type(func: ir.OpView, names: Mapping[int, str]) -> None:
    """Make the function's type that of its arguments, and note what errors call them."""
    arguments = func.operation.regions[0].blocks[0].arguments
    old = ir.FunctionType(ir.TypeAttr(func.operation.attributes["function_type"]).value)
    new = ir.FunctionType.get([a.type for a in arguments], old.results, context=func.operation.context)
    func.operation.attributes["function_type"] = ir.TypeAttr.get(new, context=func.operation.context)
    with func.operation.context:
        attributes = [ir.DictAttr.get({"pith.name": ir.StringAttr.get(names[i])}) for i in range(len(arguments))]
        func.operation.attributes["arg_attrs"] = ir.ArrayAttr.get(attributes)
