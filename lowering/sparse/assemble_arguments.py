"""``pith-assemble-arguments``: encoded tensors at function boundaries become their flat buffers."""

import dataclasses
from typing import ClassVar

from pith._mlir import func, ir, tensor
from pith.dialect import AssembleOp, DisassembleOp, buffer_types, encoding_of, shape_of
from pith.dialect.structure import entries_of
from pith.formats import Format, buffer_specs
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass, pass_error

from ..builder import value
from .levels import DENSITY_ATTRIBUTE


@dataclasses.dataclass(frozen=True)
class AssembleArgumentsPass(Pass):
    """Replace encoded arguments and results of functions by their storage buffers.

    Before::

        func.func @f(%A: tensor<8x16xf32, #nm>) -> ...

    After::

        func.func @f(%crd: tensor<?xi8>, %values: tensor<?xf32>) -> ... {
          %A = "pith.assemble"(%crd, %values) : ... -> tensor<8x16xf32, #nm>

    Buffers stand in storage order at the argument's place, values last, followed by one ``index``
    per dynamic dimension; each carries ``{pith.storage = "<argument>.<role>[<level>]"}``. What an argument says
    of its share of stored elements (``pith.density``), its ``pith.assemble`` does. Encoded
    results are returned as their buffers through ``pith.disassemble``. What takes an argument apart gets its buffers.

    Requires: functions with encoded signatures are not called inside the module (inline first).
    Preserves: bodies. Does not: look at ops. Cost: linear in the number of arguments.
    """

    name: ClassVar[str] = "pith-assemble-arguments"

    def run(self, module: ir.Module) -> None:
        changed = set()
        for op in module.body.operations:
            if isinstance(op, func.FuncOp) and _is_encoded(op):
                if op.is_external:
                    pass_error(op, "has an encoded signature but no body", "define it, or pass its buffers")
                changed.add(op.sym_name.value)
                _expand_arguments(op)
                _expand_results(op)
        _check_calls(module, changed)


def _is_encoded(op: func.FuncOp) -> bool:
    return any(encoding_of(t) is not None for t in (*op.type.inputs, *op.type.results))


def _check_calls(module: ir.Module, changed: set[str]) -> None:
    for op in ops_named(module.operation, "func.call") if changed else ():
        if op.attributes["callee"].value in changed:
            pass_error(op, "calls a function with an encoded signature", "run `inline` first")


def storage_types(type_: ir.RankedTensorType, fmt: Format) -> list[tuple[str, ir.Type]]:
    """``(role, type)`` of the arguments an encoded tensor expands into."""
    roles = [f"{spec.role}[{spec.level}]" for spec in buffer_specs(fmt)] + ["values"]
    dynamic = [ir.ShapedType.get_dynamic_size()]
    types = [ir.RankedTensorType.get(dynamic, t.element_type) for t in buffer_types(type_)]
    sizes = [(f"size[{d}]", ir.IndexType.get()) for d, s in enumerate(shape_of(type_)) if s < 0]
    return [*zip(roles, types), *sizes]


def _expand_arguments(op: func.FuncOp) -> None:
    block = op.entry_block
    old = list(block.arguments)
    old_attrs = list(op.arg_attrs) if "arg_attrs" in op.attributes else [ir.DictAttr.get({})] * len(old)
    attrs: list[ir.Attribute] = []
    with ir.InsertionPoint.at_block_begin(block), op.location:
        for number, (arg, attr) in enumerate(zip(old, old_attrs)):
            fmt = encoding_of(arg.type)
            if fmt is None:
                arg.replace_all_uses_with(block.add_argument(arg.type, arg.location))
                attrs.append(attr)
                continue
            parts = storage_types(arg.type, fmt)
            values = [block.add_argument(t, arg.location) for _, t in parts]
            count = len(buffer_specs(fmt)) + 1
            whole = AssembleOp.build(arg.type, values[:count], values[count:])
            if DENSITY_ATTRIBUTE in attr:
                whole.operation.attributes[DENSITY_ATTRIBUTE] = attr[DENSITY_ATTRIBUTE]
            _take_apart(arg, values[:count])
            arg.replace_all_uses_with(whole.result)
            named = {n: said for n, said in entries_of(attr).items() if n != DENSITY_ATTRIBUTE}
            attrs += [
                ir.DictAttr.get({**named, "pith.storage": ir.StringAttr.get(f"{number}.{role}")}) for role, _ in parts
            ]
    for _ in old:
        block.erase_argument(0)
    inputs = [a.type for a in block.arguments]
    op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, op.type.results))
    op.arg_attrs = attrs


def _take_apart(arg: ir.Value, buffers: list[ir.Value]) -> None:
    """Give readers of an argument's ``pith.disassemble`` its buffers."""
    for use in list(arg.uses):
        op = use.owner.operation
        if op.name == "pith.disassemble":
            for part, buffer in zip(op.results, buffers):
                part.replace_all_uses_with(buffer)
            op.erase()


def _expand_results(op: func.FuncOp) -> None:
    if all(encoding_of(t) is None for t in op.type.results):
        return
    for block in op.body.blocks:
        terminator = list(block.operations)[-1]
        if terminator.operation.name != "func.return":
            continue
        operands: list[ir.Value] = []
        with ir.InsertionPoint(terminator), terminator.location:
            for v in terminator.operands:
                fmt = encoding_of(v.type)
                if fmt is None:
                    operands.append(v)
                    continue
                operands += DisassembleOp.build(v).buffers
                sizes = [d for d, s in enumerate(shape_of(v.type)) if s < 0]
                operands += [tensor.dim(v, value(d)) for d in sizes]
            func.return_(operands)
        terminator.operation.erase()
    types = [_result_types(r) for r in op.type.results]
    if "res_attrs" in op.attributes:  # what is said of a stored tensor is not said of its buffers
        given = zip(op.attributes["res_attrs"], op.type.results, types)
        kept = [said if encoding_of(r) is None else ir.DictAttr.get({}) for said, r, parts in given for _ in parts]
        op.attributes["res_attrs"] = ir.ArrayAttr.get(kept)
    results = [t for parts in types for t in parts]
    op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(op.type.inputs, results))


def _result_types(type_: ir.Type) -> list[ir.Type]:
    fmt = encoding_of(type_)
    return [type_] if fmt is None else [t for _, t in storage_types(type_, fmt)]
