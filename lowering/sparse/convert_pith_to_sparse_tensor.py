"""``convert-pith-to-sparse-tensor``: formats upstream can say become ``#sparse_tensor.encoding``."""

import dataclasses
from typing import ClassVar

from pith._mlir import bufferization, ir, sparse_tensor
from pith.dialect import FormatAttr, PaddedAttr, encoding_of, format_of, shape_of
from pith.formats import DYNAMIC, buffer_specs
from pith.formats.sparse_tensor import sparse_tensor_encoding
from pith.passes.analysis.encodings import ops_with_encodings
from pith.passes.analysis.traversal import ops_named, ops_where
from pith.passes.core import Pass

from .contraction import decompress_operands, encoded_operands, indexing_maps, why_not_sparse, why_not_upstream


@dataclasses.dataclass(frozen=True)
class ConvertPithToSparseTensorPass(Pass):
    """Turn pith encodings that ``sparse_tensor`` can express, and the ops on them, into upstream's.

    Before::

        %A = "pith.assemble"(%pos, %crd, %v) : ... -> tensor<8x8xf32, #pith.format<... compressed ...>>

    After::

        %A = sparse_tensor.assemble (%pos, %crd), %v : ... to tensor<8x8xf32, #sparse_tensor.encoding<...>>

    ``pith.compress`` and ``pith.decompress`` become ``sparse_tensor.convert``, ``pith.disassemble``
    becomes ``sparse_tensor.positions/coordinates/values``. Linalg ops keep their form: the
    sparsifier takes them. Operands it cannot iterate over are decompressed first: where zeros may
    not be skipped, beside an operand that stays pith's or has a loop twice, or stored in an order no loop nest shares.

    Requires: ``linalg.generic`` only (named ops convert, but unchecked). Preserves: formats upstream
    refuses (``nm`` above another sparse level or with packed sub-byte coordinates, ``bitmask``) and
    dynamic shapes (upstream's ``assemble`` is static): ``convert-pith-to-loops`` takes those.
    Cost: one walk; each value's type is rewritten once.
    """

    name: ClassVar[str] = "convert-pith-to-sparse-tensor"

    def run(self, module: ir.Module) -> None:
        if not ops_with_encodings(module):
            return
        _unpack_what_upstream_cannot_iterate(module)
        ops = ops_where(module.operation, lambda _: True)
        # Storage order is read off the pith type, so before types change.
        components = {op: _components(op) for op in ops if op.name == "pith.disassemble"}
        makers = [op for op in ops if op.name in ("pith.assemble", "pith.compress")]
        others = [op for op in ops if op not in makers]
        readers = [op for op in others if op.name == "pith.decompress"]
        for op in makers:
            _make(op)
        for op in others:
            _convert_types(op)
        for op in readers:
            _decompress(op)
        for op, (roles, results) in components.items():
            _disassemble(op, roles, results)


def is_convertible(type_: ir.Type) -> bool:
    """True for pith encodings upstream can say, on static shapes and elements its runtime library stores."""
    fmt = encoding_of(type_)
    if fmt is None or DYNAMIC in shape_of(type_) or str(type_.element_type) in ("i1", "index"):
        return False
    return sparse_tensor_encoding(fmt) is not None


def _converted(type_: ir.Type) -> ir.Type:
    """The type with upstream's encoding; itself when that cannot say its format (or its dynamic shape)."""
    if not is_convertible(type_):
        return type_
    text = sparse_tensor_encoding(format_of(type_))
    return ir.RankedTensorType.get(type_.shape, type_.element_type, ir.Attribute.parse(text, type_.context))


def _convert_types(op: ir.Operation) -> None:
    """Convert the types of results, block arguments and the function signature of ``op``."""
    blocks = (block for region in op.regions for block in region.blocks)
    for v in (*op.results, *(arg for block in blocks for arg in block.arguments)):
        if (new := _converted(v.type)) is not v.type:
            v.set_type(new)
    if op.name == "func.func":
        type_ = op.opview.type
        inputs, results = ([_converted(t) for t in types] for types in (type_.inputs, type_.results))
        op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, results))


def _unpack_what_upstream_cannot_iterate(module: ir.Module) -> None:
    """Decompress operands that will be upstream's in ops its sparsifier fails on or miscompiles.

    These are ops in which zeros may not be skipped, ops with another operand that stays pith's or with a loop in two
    places of an operand, and all operands but one when no order of the loops suits the storage of every operand.
    """
    for op in ops_named(module.operation, "linalg.generic"):
        inputs = [i for i in encoded_operands(op.opview) if i < len(op.operands) - len(op.results)]
        upstream = [i for i in inputs if is_convertible(op.operands[i].type)]
        kept = [i for i in upstream if why_not_sparse(op.opview, i) is None]
        if len(upstream) < len(inputs) or why_not_upstream(op.opview):
            kept = []
        elif not _has_common_order(op.opview, kept):
            kept = kept[:1]
        decompress_operands(op, [i for i in upstream if i not in kept])


def _has_common_order(op: ir.OpView, operands: list[int]) -> bool:
    """True when one loop order visits every operand in its storage order (blocked ones only alone)."""
    if len(operands) < 2:
        return True
    maps = indexing_maps(op)
    orders: list[list[int]] = []
    for i in operands:
        exprs = format_of(op.operands[i].type).exprs
        if any(e.div != 1 or e.mod for e in exprs):
            return False
        orders.append([maps[i][e.dim].position for e in exprs])
    while any(orders):
        inner = {d for order in orders for d in order[1:]}
        free = next((order[0] for order in orders if order and order[0] not in inner), None)
        if free is None:
            return False
        orders = [order[1:] if order[:1] == [free] else order for order in orders]
    return True


def _is_upstream(v: ir.Value) -> bool:
    encoding = getattr(v.type, "encoding", None)
    return encoding is not None and not isinstance(encoding, (FormatAttr, PaddedAttr))


def _make(op: ir.Operation) -> None:
    """``pith.assemble`` and ``pith.compress``."""
    old = op.results[0].type
    new_type = _converted(old)
    if new_type is old:
        return
    with ir.InsertionPoint(op), op.location:
        if op.name == "pith.assemble":
            *metadata, values = op.opview.buffers
            new = sparse_tensor.assemble(new_type, metadata, values)
        else:
            new = sparse_tensor.convert(new_type, op.operands[0])
    _replace(op, [new])


def _decompress(op: ir.Operation) -> None:
    if not _is_upstream(op.operands[0]):
        return
    with ir.InsertionPoint(op), op.location:
        new = sparse_tensor.convert(op.results[0].type, op.operands[0])
    _replace(op, [new])


def _components(op: ir.Operation) -> tuple[list[tuple[str, int]], list[ir.Value]]:
    """``(role, level)`` of each buffer in storage order, and the results that hold them."""
    view = op.opview
    specs = buffer_specs(format_of(view.source.type))
    return [*((s.role, s.level) for s in specs), ("values", -1)], view.buffers


def _disassemble(op: ir.Operation, roles: list[tuple[str, int]], results: list[ir.Value]) -> None:
    source = op.operands[0]
    if not _is_upstream(source):
        return
    with ir.InsertionPoint(op), op.location:
        for result, role in zip(results, roles):
            result.replace_all_uses_with(_component(source, result.type, role))
    op.erase()


def _component(source: ir.Value, type_: ir.RankedTensorType, component: tuple[str, int]) -> ir.Value:
    role, level = component
    types = [ir.MemRefType.get(type_.shape, type_.element_type)]
    number = ir.IntegerAttr.get(ir.IndexType.get(), level)
    if role == "values":
        buffer = sparse_tensor.values(source, results=types)
    elif role == "positions":
        buffer = sparse_tensor.positions(source, number, results=types)
    else:
        buffer = sparse_tensor.coordinates(source, number, results=types)
    return bufferization.to_tensor(type_, buffer, restrict=True)


def _replace(op: ir.Operation, values: list[ir.Value]) -> None:
    for result, new in zip(op.results, values):
        result.replace_all_uses_with(new)
    op.erase()
