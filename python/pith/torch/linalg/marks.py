"""Dynamic activations: from a mark in the graph to ``pith.dynamic`` on the products that read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._mlir import ir
from ...dialect import shape_of
from ...dialect.tiling import PARALLEL
from ...errors import UnsupportedError
from ...functional.dynamic.dynamic import Dynamic
from ...passes.analysis.dynamic import ATTRIBUTE
from ...passes.analysis.structured import Structured
from ...passes.analysis.traversal import ops_named
from ...passes.fold_copies import reads_encoded
from ...passes.pipeline import run_pipeline

#: What a mark is while the graph is lowered: a call that nothing moves across.
_MARKER = "__pith_dynamic_"

#: Brings products into the form they are decided in: weights as they are stored, batch and sequence one loop.
_PREPARE = (
    "func.func(convert-elementwise-to-linalg,linalg-fuse-elementwise-ops,linalg-generalize-named-ops),"
    "pith-split-products,pith-fold-copies,pith-collapse-batch"
)

#: Extents per dimension of a matrix; 0: the whole dimension. Nothing can be sampled here: ``auto`` is the micro-tile
#: that is best almost everywhere (PIT, SOSP 2023).
_NAMED = {"auto": (32, 1), "rows": (1, 0), "columns": (0, 1)}

_VIEWS = ("tensor.collapse_shape", "tensor.expand_shape", "tensor.cast")


def emit_marker(source: ir.Value, number: int) -> ir.Value:
    """Pass ``source`` through the marker with this number, at the insertion point."""
    name = f"{_MARKER}{number}"
    owner = ir.InsertionPoint.current.block.owner
    module = owner.operation.parent
    with ir.InsertionPoint(module.regions[0].blocks[0]):
        ir.Operation.create(
            "func.func",
            regions=1,
            attributes={
                "sym_name": ir.StringAttr.get(name),
                "sym_visibility": ir.StringAttr.get("private"),
                "function_type": ir.TypeAttr.get(ir.FunctionType.get([source.type], [source.type])),
            },
        )
    callee = {"callee": ir.FlatSymbolRefAttr.get(name)}
    return ir.Operation.create("func.call", results=[source.type], operands=[source], attributes=callee).results[0]


def resolve_markers(module: ir.Module, activations: Mapping[str, Any]) -> None:
    """Replace markers by ``pith.dynamic`` on the products that read them, directly or through views.

    Args:
        activations: what was said of submodules' outputs; markers have numbers in this order.

    Errors: :class:`pith.UnsupportedError` where no product reads a marked output, or one with a sparse weight.
    """
    said = list(activations.items())
    if not any(isinstance(what, Dynamic) for _, what in said):
        return
    run_pipeline(module, f"builtin.module({_PREPARE})")
    calls = [op for op in ops_named(module.operation, "func.call") if _number(op) is not None]
    with module.context, ir.Location.unknown():
        for call in calls:
            _resolve(call, *said[_number(call) or 0])
    for op in list(module.body.operations):
        if op.operation.name == "func.func" and ir.StringAttr(op.attributes["sym_name"]).value.startswith(_MARKER):
            op.operation.erase()


def _resolve(call: ir.Operation, submodule: str, dynamic: Dynamic) -> None:
    where = f"sparsity of submodule {submodule}"
    products = _products(call.results[0])
    if not products:
        raise UnsupportedError(
            "no matrix product reads its output",
            where=where,
            hint="name the submodule whose output a linear layer reads",
        )
    for op, operand in products:
        if any(reads_encoded(v) for v in op.operands):
            raise UnsupportedError(
                "its output meets a weight that is stored sparse: one of the two can be followed",
                where=where,
                hint="leave one of the patterns out",
            )
        before = list(ir.ArrayAttr(op.attributes[ATTRIBUTE])) if ATTRIBUTE in op.attributes else []
        op.attributes[ATTRIBUTE] = ir.ArrayAttr.get([*before, _entry(operand, dynamic)])
    call.results[0].replace_all_uses_with(call.operands[0])
    call.erase()


def _number(call: ir.Operation) -> int | None:
    name = ir.FlatSymbolRefAttr(call.attributes["callee"]).value
    return int(name.removeprefix(_MARKER)) if name.startswith(_MARKER) else None


def _products(value: ir.Value) -> list[tuple[ir.Operation, int]]:
    """Products that read ``value``, directly or through views, and as which operand."""
    found = []
    for use in value.uses:
        op = use.owner.operation
        if op.name in _VIEWS:
            found += _products(op.results[0])
        elif _is_product(op) and len(shape_of(value.type)) == 2:
            found.append((op, use.operand_number))
    return found


def _is_product(op: ir.Operation) -> bool:
    structured = Structured.of(op)
    return structured is not None and len(structured.inputs) == 2 and set(structured.iterators) != {PARALLEL}


def _entry(operand: int, dynamic: Dynamic) -> ir.Attribute:
    extents = _NAMED[dynamic.granularity] if isinstance(dynamic.granularity, str) else dynamic.granularity
    i64, f64 = ir.IntegerType.get_signless(64), ir.F64Type.get()
    return ir.DictAttr.get(
        {
            "operand": ir.IntegerAttr.get(i64, operand),
            "granularity": ir.DenseI64ArrayAttr.get(list(extents)),
            "threshold": ir.FloatAttr.get(f64, dynamic.threshold),
        }
    )
