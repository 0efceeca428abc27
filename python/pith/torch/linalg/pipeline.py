"""From an FX graph to linalg on tensors: torch-mlir's importer and conversions, with pith's ops in between."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from ..._mlir import PassManager, fx_importer, ir
from ...dialect import make_context
from ...errors import ImportProgramError
from ...formats import Format
from ...functional.dynamic.dynamic import Dynamic
from ...passes.analysis.traversal import ops_where
from ..locations import line_of, ops_at
from .expansions import expand_pith_ops
from .scatters import expand_scatters

_TO_BACKEND = "torchdynamo-export-to-torch-backend-pipeline"

#: ``torch-backend-to-linalg-on-tensors-backend-pipeline`` of the pinned wheel less its last pass,
#: which refuses every dialect it does not know; :func:`_left_over` stands in for it.
_TO_LINALG = (
    "func.func(torch-restructure-non-constant-axes,torch-fuse-quantized-ops,convert-torch-to-tmtensor,canonicalize,"
    "convert-torch-to-linalg,canonicalize,convert-torch-to-scf,convert-torch-to-arith,convert-torch-to-tensor),"
    "convert-torch-conversion-to-mlprogram,func.func(memref-expand,canonicalize,resolve-shaped-type-result-dims,cse),"
    "torch-func-backend-type-conversion,func.func(canonicalize,torch-finalizing-backend-type-conversion)"
)

#: Ops that are left over -> what is in the names of the PyTorch ops they come from.
_MADE_BY = {"scan": "cum", "sort": "sort", "topk": "topk", "scatter": "scatter"}

#: What went wrong, and the model's source line.
Failure = tuple[str, str | None]

#: Dialects a lowered program may hold.
_LEGAL = frozenset({"affine", "arith", "builtin", "cf", "complex", "func", "linalg", "math", "pith", "scf", "tensor"})


def import_graph(graph: torch.fx.Graph, func_name: str, activations: Mapping[str, Format | Dynamic]) -> ir.Module:
    """Import ``graph`` into a new context and lower it to linalg on tensors.

    Args:
        activations: what was said of the output of each submodule that a ``pith.mark`` of the graph names.

    Errors: :class:`pith.ImportProgramError` naming the PyTorch op and the model's source line.
    """
    _refuse_stacks_of_nothing(graph)
    fx = fx_importer()
    context = make_context()
    fx.torch_d.register_dialect(context)
    importer = fx.FxImporter(context=context)
    try:
        func = importer.import_stateless_graph(graph, func_name=func_name)
    except (NotImplementedError, TypeError, ValueError, AssertionError, KeyError) as e:
        message = (str(e).splitlines() or [type(e).__name__])[0]
        raise ImportProgramError(f"the FX importer refuses the program: {message[:300]}", where=func_name) from e
    module = importer.module
    # torch.export has checked every shape relation: no run-time test of broadcasts is needed.
    func.attributes["torch.assume_strict_symbolic_shapes"] = ir.UnitAttr.get(context)
    with context:
        _load_cast_dialect(context)
        expand_pith_ops(module, activations)
        found = _run(module, _TO_BACKEND) or _run(module, _TO_LINALG)
        if found is None:
            expand_scatters(module)
            found = _left_over(module)
    if found is not None:
        raise _unsupported(*found, graph)
    return module


def _refuse_stacks_of_nothing(graph: torch.fx.Graph) -> None:
    """torch-mlir ends the process on stacks of matrices of which one size is 0 and another known at run time only."""
    products = (torch.ops.aten.linear.default, torch.ops.aten.matmul.default)
    for node in (n for n in graph.nodes if n.target in products):
        stack = [s if isinstance(s, int) else None for s in node.meta["val"].shape[:-2]]
        if 0 in stack and None in stack:
            text = " x ".join("?" if s is None else str(s) for s in stack)
            hint = "make the size that is 0 in the example dynamic, too, or give an example where it is not 0"
            raise ImportProgramError(f"{node.target} of {text} matrices is not supported", where=node.name, hint=hint)


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
        return _reader(module, next((f for f in found if "legalize" in f[0]), (found or [(str(e), None)])[0]))
    finally:
        context.emit_error_diagnostics = False
        handler.detach()
    return None


def _reader(module: ir.Module, failure: Failure) -> Failure:
    """The op that reads the constant a failure is about: constants stay where what reads them is not lowered."""
    constant = re.search(r"legalize operation '(torch\.constant\.\w+)'", failure[0])
    if constant is None:
        return failure

    def reads(op: ir.Operation) -> bool:
        owners = (value.owner for value in op.operands if isinstance(value, ir.OpResult))
        return op.name.startswith("torch.aten.") and any(owner.name == constant[1] for owner in owners)

    readers = ops_where(module.operation, reads)
    return next(((f"'{op.name}' is left", line_of(op.location)) for op in readers), failure)


def _left_over(module: ir.Module) -> Failure | None:
    """The first op that lowering has left in a dialect it should not use."""
    illegal = ops_where(module.operation, lambda op: op.name.split(".")[0] not in _LEGAL)
    found = [(f"'{op.name}' is left after lowering", line_of(op.location)) for op in illegal]
    return next((f for f in found if f[1] is not None), found[0] if found else None)


def _unsupported(message: str, where: str | None, graph: torch.fx.Graph) -> ImportProgramError:
    """The error for a diagnostic: it names the PyTorch op, or the ops on the line, that caused it."""
    match = re.search(r'name = "torch\.([\w.]+)"', message) or re.search(r"'torch\.(\w+\.[\w.]+)'", message)
    named = match is not None and not match[1].startswith("constant.")  # a constant is what the op that fails reads
    ops = [match[1]] if match and named else ops_at(graph, where)
    left = re.search(r"'tm_tensor\.(\w+)' is left", message)
    if left is not None:
        ops = [op for op in ops if _MADE_BY.get(left[1], left[1]) in op] or ops
    if not ops:
        return ImportProgramError(f"lowering to linalg failed: {message.splitlines()[0][:300]}", where=where)
    subject = ops[0] if len(ops) == 1 else f"one of {', '.join(ops)}"
    hint = "rewrite it with other ops, or keep that part of the model in PyTorch"
    if ops == ["aten.native_dropout"]:
        hint = "call model.eval(): a model in training mode drops at random"
    return ImportProgramError(f"{subject} is not supported", where=where, hint=hint)
