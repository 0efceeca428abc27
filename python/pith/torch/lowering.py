"""From an FX graph to linalg on tensors: torch-mlir's importer and conversions, with pith's ops in between."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

import torch

from .._mlir import PassManager, arith, fx_importer, ir, tensor
from ..dialect import make_context, shape_of
from ..dialect.ops_format import CompressOp, DecompressOp
from ..errors import ImportProgramError
from ..formats import DYNAMIC, Format
from .locations import line_of, ops_at
from .names import check_fits

_TO_BACKEND = "torchdynamo-export-to-torch-backend-pipeline"

#: ``torch-backend-to-linalg-on-tensors-backend-pipeline`` of the pinned wheel less its last pass,
#: which refuses every dialect it does not know; :func:`_left_over` stands in for it.
_TO_LINALG = (
    "func.func(torch-restructure-non-constant-axes,torch-fuse-quantized-ops,convert-torch-to-tmtensor,canonicalize,"
    "convert-torch-to-linalg,canonicalize,convert-torch-to-scf,convert-torch-to-arith,convert-torch-to-tensor),"
    "convert-torch-conversion-to-mlprogram,func.func(memref-expand,canonicalize,resolve-shaped-type-result-dims,cse),"
    "torch-func-backend-type-conversion,func.func(canonicalize,torch-finalizing-backend-type-conversion)"
)

#: What went wrong, and the model's source line.
Failure = tuple[str, str | None]

#: Dialects a lowered program may hold.
_LEGAL = frozenset({"affine", "arith", "builtin", "cf", "complex", "func", "linalg", "math", "pith", "scf", "tensor"})


def import_graph(graph: torch.fx.Graph, func_name: str, activations: Mapping[str, Format]) -> ir.Module:
    """Import ``graph`` into a new context and lower it to linalg on tensors.

    Args:
        activations: format per name that a ``pith.mark`` of the graph carries.

    Errors: :class:`pith.ImportProgramError` naming the PyTorch op and the model's source line.
    """
    fx = fx_importer()
    context = make_context()
    fx.torch_d.register_dialect(context)
    importer = fx.FxImporter(context=context)
    try:
        func = importer.import_stateless_graph(graph, func_name=func_name)
    except (NotImplementedError, TypeError, AssertionError, KeyError) as e:
        message = (str(e).splitlines() or [type(e).__name__])[0]
        raise ImportProgramError(f"the FX importer refuses the program: {message[:300]}", where=func_name) from e
    module = importer.module
    # torch.export has checked every shape relation: no run-time test of broadcasts is needed.
    func.attributes["torch.assume_strict_symbolic_shapes"] = ir.UnitAttr.get(context)
    with context:
        _load_cast_dialect(context)
        _expand_pith_ops(module, activations)
        found = _run(module, _TO_BACKEND) or _run(module, _TO_LINALG) or _left_over(module)
    if found is not None:
        raise _unsupported(*found, graph)
    return module


def _load_cast_dialect(context: ir.Context) -> None:
    """Load ``torch_c``, which no registration names: a pass that depends on it brings it in."""
    with ir.Location.unknown(context):
        PassManager.parse("builtin.module(torch-func-backend-type-conversion)").run(ir.Module.create().operation)


def _run(module: ir.Module, passes: str) -> Failure | None:
    """Run ``passes``; on failure the first "failed to legalize", else the first error."""
    context = module.context
    found: list[Failure] = []

    def collect(diagnostic: ir.Diagnostic) -> bool:
        if diagnostic.severity == ir.DiagnosticSeverity.ERROR:
            found.append((diagnostic.message, line_of(diagnostic.location)))
        return True

    handler = context.attach_diagnostic_handler(collect)
    context.emit_error_diagnostics = True
    try:
        PassManager.parse(f"builtin.module({passes})", context).run(module.operation)
    except ir.MLIRError as e:
        return next((f for f in found if "legalize" in f[0]), (found or [(str(e), None)])[0])
    finally:
        context.emit_error_diagnostics = False
        handler.detach()
    return None


def _left_over(module: ir.Module) -> Failure | None:
    """The first op that lowering has left in a dialect it should not use."""
    found: list[Failure] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name.split(".")[0] not in _LEGAL:
            found.append((f"'{op.name}' is left after lowering", line_of(op.location)))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return next((f for f in found if f[1] is not None), found[0] if found else None)


def _unsupported(message: str, where: str | None, graph: torch.fx.Graph) -> ImportProgramError:
    """The error for a diagnostic: it names the PyTorch op, or the ops on the line, that caused it."""
    match = re.search(r'name = "torch\.([\w.]+)"', message) or re.search(r"'torch\.(\w+\.[\w.]+)'", message)
    ops = [match[1]] if match else ops_at(graph, where)
    if not ops:
        return ImportProgramError(f"lowering to linalg failed: {message.splitlines()[0][:300]}", where=where)
    subject = ops[0] if len(ops) == 1 else f"one of {', '.join(ops)}"
    return ImportProgramError(
        f"{subject} is not supported",
        where=where,
        hint="rewrite it with other ops, or keep that part of the model in PyTorch",
    )


def _expand_pith_ops(module: ir.Module, activations: Mapping[str, Format]) -> None:
    """Rewrite the ``torch.operator`` forms of ``pith.reshape`` and ``pith.mark`` on builtin tensors."""
    found: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name == "torch.operator" and ir.StringAttr(op.attributes["name"]).value.startswith("torch.pith."):
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    for op in found:
        with ir.InsertionPoint(op), op.location:
            source = _to_builtin(op.operands[0])
            if ir.StringAttr(op.attributes["name"]).value == "torch.pith.reshape":
                result = _reshape(source, _tensor_type(op.results[0].type), op)
            else:
                result = _mark(source, _string(op.operands[1]), activations)
            new = _create("torch_c.from_builtin_tensor", op.results[0].type, result)
        op.results[0].replace_all_uses_with(new)
        op.erase()


def _mark(source: ir.Value, name: str, activations: Mapping[str, Format]) -> ir.Value:
    fmt = activations[name]
    check_fits(fmt, shape_of(source.type), f"output of {name}")
    return DecompressOp.build(CompressOp.build(source, fmt).operation.results[0]).operation.results[0]


def _reshape(source: ir.Value, type_: ir.RankedTensorType, op: ir.Operation) -> ir.Value:
    """Collapse every group of source dimensions to one, then expand each to its result dimensions."""
    groups = json.loads(_string(op.operands[2]))
    before = [dims for dims, _ in groups]
    after = [dims for _, dims in groups]
    shape, target = shape_of(source.type), shape_of(type_)
    sizes = [_product(shape[d] for d in dims) for dims in before]
    sizes = [_product(target[d] for d in dims) if s == DYNAMIC else s for s, dims in zip(sizes, after)]
    flat = ir.RankedTensorType.get([_mlir_size(s) for s in sizes], type_.element_type)
    if any(len(dims) > 1 for dims in before):
        source = tensor.collapse_shape(_collapsed(source.type, before), source, before)
    if source.type != flat:
        source = tensor.cast(flat, source)
    if all(len(dims) == 1 for dims in after):
        return source
    index = ir.IndexType.get()
    wanted = list(op.operands[1].owner.operands)
    dynamic = []
    for g, dims in enumerate(after):
        unknown = [d for d in dims if target[d] == DYNAMIC]
        if len(unknown) == 1:
            whole = tensor.dim(source, arith.constant(index, g))
            rest = _product(target[d] for d in dims if d not in unknown)
            dynamic.append(arith.divui(whole, arith.constant(index, rest)) if rest > 1 else whole)
        else:
            dynamic += [arith.index_cast(index, _create("torch_c.to_i64", _i64(), wanted[d])) for d in unknown]
    return tensor.expand_shape(type_, source, after, dynamic, [_mlir_size(s) for s in target])


def _collapsed(type_: ir.RankedTensorType, groups: list[list[int]]) -> ir.RankedTensorType:
    shape = shape_of(type_)
    sizes = [_mlir_size(_product(shape[d] for d in dims)) for dims in groups]
    return ir.RankedTensorType.get(sizes, type_.element_type)


def _product(sizes: Iterable[int]) -> int:
    """Product of sizes; DYNAMIC when one of them is."""
    out = 1
    for size in sizes:
        out = DYNAMIC if DYNAMIC in (out, size) else out * size
    return out


def _mlir_size(size: int) -> int:
    return ir.ShapedType.get_dynamic_size() if size == DYNAMIC else size


def _tensor_type(vtensor: ir.Type) -> ir.RankedTensorType:
    """``!torch.vtensor<[?,8],si64>`` as ``tensor<?x8xi64>``."""
    match = re.fullmatch(r"!torch\.vtensor<\[([^\]]*)\],\s*(.+)>", str(vtensor))
    if match is None:
        raise ImportProgramError(f"expects a tensor of known rank, got {vtensor}")
    dims = "".join(f"{d.strip()}x" for d in match[1].split(",") if d.strip())
    return ir.RankedTensorType(ir.Type.parse(f"tensor<{dims}{re.sub(r'^[su]i', 'i', match[2])}>"))


def _to_builtin(value: ir.Value) -> ir.Value:
    return _create("torch_c.to_builtin_tensor", _tensor_type(value.type), value)


def _string(value: ir.Value) -> str:
    return ir.StringAttr(value.owner.attributes["value"]).value


def _i64() -> ir.Type:
    return ir.IntegerType.get_signless(64)


def _create(name: str, type_: ir.Type, operand: ir.Value) -> ir.Value:
    return ir.Operation.create(name, results=[type_], operands=[operand]).results[0]
