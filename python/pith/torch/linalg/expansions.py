"""Rewrites of pith's own ops in an imported graph: ``pith.mark``, ``pith.reshape``, ``pith.attention``, ..."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from ..._mlir import arith, ir, linalg, tensor
from ...dialect import AttentionOp, DetectOp, PitTileOp, shape_of
from ...dialect.ops_format import CompressOp, DecompressOp
from ...errors import ImportProgramError
from ...formats import DYNAMIC, Format
from ...functional.dynamic.dynamic import Dynamic
from ...passes.analysis.traversal import ops_named
from ...passes.generic import filled, generic
from ..names import check_fits
from .bags import bags_of_rows
from .marks import emit_marker

_PREFIX = "torch.pith."

#: Rows that are gathered at a time where no faster lowering takes the whole product.
_ROWS = 64


def expand_pith_ops(module: ir.Module, activations: Mapping[str, Format | Dynamic]) -> None:
    """Rewrite the ``torch.operator`` forms of the ops of :mod:`pith.torch.ops` on builtin tensors.

    Args:
        activations: what was said of the output of each submodule that a ``pith.mark`` names.
    """
    found = [op for op in ops_named(module.operation, "torch.operator") if _name(op).startswith(_PREFIX)]
    rules = {
        "reshape": _reshape,
        "mark": lambda op: _mark(op, activations),
        "attention": _attention,
        "linear_of_rows": _linear_of_rows,
        "grouped_mm": _grouped_mm,
        "bags": _bags,
    }
    for op in found:
        with ir.InsertionPoint(op), op.location:
            result = rules.get(_name(op).removeprefix(_PREFIX), _refuse)(op)
            new = _create("torch_c.from_builtin_tensor", op.results[0].type, result)
        op.results[0].replace_all_uses_with(new)
        op.erase()


def _refuse(op: ir.Operation) -> ir.Value:
    raise ImportProgramError(
        f"cannot take the op {_name(op).removeprefix('torch.')} from inside of a program",
        where=str(op.location).partition("(")[0],
        hint="give pith.compile the module that has the layer, or what torch.export makes of it",
    )


def _mark(op: ir.Operation, activations: Mapping[str, Format | Dynamic]) -> ir.Value:
    source, name = _to_builtin(op.operands[0]), _string(op.operands[1])
    fmt = activations[name]
    if isinstance(fmt, Dynamic):
        return emit_marker(source, list(activations).index(name))
    check_fits(fmt, shape_of(source.type), f"output of {name}")
    return DecompressOp.build(CompressOp.build(source, fmt).operation.results[0]).operation.results[0]


def _attention(op: ir.Operation) -> ir.Value:
    """``pith.attention`` into a tensor of its own; the scale is a constant of the graph."""
    query, key, value, intervals = (_to_builtin(v) for v in list(op.operands)[:4])
    type_ = _tensor_type(op.results[0].type)
    index, shape = ir.IndexType.get(), shape_of(type_)
    sizes = [tensor.dim(query, arith.constant(index, d)) if n == DYNAMIC else n for d, n in enumerate(shape)]
    out = tensor.empty(sizes, type_.element_type)
    scale = arith.constant(ir.F64Type.get(), ir.FloatAttr(op.operands[4].owner.attributes["value"]).value)
    absent = dict.fromkeys(("lse_result", "lse", "pattern", "global_tokens", "reach"))
    given = op.operands[5]
    bias = None if str(given.type) == "!torch.none" else _to_builtin(given)
    named = {"query": query, "key": key, "value": value, "scale": scale, "out": out, "intervals": intervals}
    return AttentionOp(result=type_, bias=bias, **named, **absent).result


def _linear_of_rows(op: ir.Operation) -> ir.Value:
    """A ``pith.pit_tile`` over the rows that a mask picks; the others are zero."""
    x, weight, mask = (_to_builtin(v) for v in op.operands)
    type_, index, element = _tensor_type(op.results[0].type), ir.IndexType.get(), x.type.element_type
    sizes = [tensor.dim(x, arith.constant(index, 0)) if type_.is_dynamic_dim(0) else type_.shape[0], type_.shape[1]]
    zero = arith.constant(element, 0.0)
    init = filled(tensor.empty(sizes, element), zero)
    row, column, depth = map(ir.AffineDimExpr.get, range(3))
    maps = [ir.AffineMap.get(3, 0, [a, b]) for a, b in ((row, depth), (column, depth), (row, column))]
    kinds = ["parallel", "parallel", "reduction"]

    def product(x: ir.Value, weight: ir.Value, out: ir.Value) -> ir.Value:
        return generic([x, weight], out, maps, kinds, lambda v, u, s: arith.addf(s, arith.mulf(v, u)))

    picked = DetectOp.build(mask, [0], [1]).operation.results[0]
    tile = PitTileOp.build([picked], [x, weight], init, maps, kinds, [0], [_ROWS, 0, 0], [1], product)
    return tile.operation.results[0]


def _grouped_mm(op: ir.Operation) -> ir.Value:
    """A ``pith.pit_tile`` over pairs of a row and the group that it is in."""
    x, weight, offs = (_to_builtin(v) for v in list(op.operands)[:3])
    transposed = ir.BoolAttr(op.operands[3].owner.attributes["value"]).value
    type_, index = _tensor_type(op.results[0].type), ir.IndexType.get()
    total = type_.element_type
    rows = tensor.dim(x, arith.constant(index, 0)) if type_.is_dynamic_dim(0) else type_.shape[0]
    init = filled(tensor.empty([rows, type_.shape[1]], total), arith.constant(total, 0.0))
    row, column, group, depth = map(ir.AffineDimExpr.get, range(4))
    stored = [group, column, depth] if transposed else [group, depth, column]
    maps = [ir.AffineMap.get(4, 0, exprs) for exprs in ([row, depth], stored, [row, column])]
    kinds = ["parallel", "parallel", "reduction", "reduction"]

    def wide(value: ir.Value) -> ir.Value:
        return value if value.type == total else arith.extf(total, value)

    def product(x: ir.Value, weight: ir.Value, out: ir.Value) -> ir.Value:
        return generic([x, weight], out, maps, kinds, lambda v, u, s: arith.addf(s, arith.mulf(wide(v), wide(u))))

    picked = DetectOp.build(_rows_of_groups(offs, rows), [0, 1], [1, 1]).operation.results[0]
    tile = PitTileOp.build(
        [picked], [x, weight], init, maps, kinds, [0, 2], [_ROWS, 0, 1, 0], [1, 1], product, accumulate=True
    )
    return tile.operation.results[0]


def _bags(op: ir.Operation) -> ir.Value:
    given = op.operands[4]
    weights = None if str(given.type) == "!torch.none" else _to_builtin(given)
    table, indices, begins, ends = map(_to_builtin, list(op.operands)[:4])
    mode, padding = (ir.IntegerAttr(v.owner.attributes["value"]).value for v in list(op.operands)[5:])
    return bags_of_rows(table, indices, (begins, ends), weights, mode, padding, _tensor_type(op.results[0].type))


def _rows_of_groups(offs: ir.Value, rows: ir.Value | int) -> ir.Value:
    """Flags ``(rows, groups)``: row s is in group e, ``offs[e - 1] <= s < offs[e]``."""
    flag, index, groups = ir.IntegerType.get_signless(1), ir.IndexType.get(), offs.type.shape[0]
    zero, one = arith.constant(index, 0), arith.constant(index, 1)

    def inside(end: ir.Value, _: ir.Value) -> ir.Value:
        row, group = linalg.IndexOp(0).result, linalg.IndexOp(1).result
        is_first = arith.cmpi(arith.CmpIPredicate.eq, group, zero)
        before = tensor.extract(offs, [arith.select(is_first, zero, arith.subi(group, one))])
        start = arith.select(is_first, zero, arith.index_cast(index, before))
        ends = arith.cmpi(arith.CmpIPredicate.slt, row, arith.index_cast(index, end))
        return arith.andi(arith.cmpi(arith.CmpIPredicate.sge, row, start), ends)

    maps = [ir.AffineMap.get(2, 0, [ir.AffineDimExpr.get(1)]), ir.AffineMap.get_identity(2)]
    return generic([offs], tensor.empty([rows, groups], flag), maps, ["parallel", "parallel"], inside)


def _reshape(op: ir.Operation) -> ir.Value:
    """Collapse every group of source dimensions to one, then expand each to its result dimensions."""
    source, type_ = _to_builtin(op.operands[0]), _tensor_type(op.results[0].type)
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
        elif unknown:
            dynamic += _sizes([wanted[d] for d in dims], tensor.dim(source, arith.constant(index, g)), dims, unknown)
    return tensor.expand_shape(type_, source, after, dynamic, [_mlir_size(s) for s in target])


def _sizes(wanted: Sequence[ir.Value], whole: ir.Value, dims: Sequence[int], unknown: Sequence[int]) -> list[ir.Value]:
    """Sizes of the ``unknown`` of ``dims``, which together hold ``whole`` elements; one that is -1 takes the rest."""
    index = ir.IndexType.get()
    sizes = {
        d: arith.index_cast(index, _create("torch_c.to_i64", _i64(), size))
        for d, size in zip(dims, wanted)
        if not _is_rest(size)
    }
    if len(sizes) < len(dims):
        (rest,) = set(dims) - set(sizes)
        sizes[rest] = functools.reduce(arith.divui, sizes.values(), whole)
    return [sizes[d] for d in unknown]


def _is_rest(size: ir.Value) -> bool:
    """The size is written as -1."""
    op = size.owner
    return op.name == "torch.constant.int" and ir.IntegerAttr(op.attributes["value"]).value == -1


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


def _name(op: ir.Operation) -> str:
    return ir.StringAttr(op.attributes["name"]).value


def _to_builtin(value: ir.Value) -> ir.Value:
    return _create("torch_c.to_builtin_tensor", _tensor_type(value.type), value)


def _string(value: ir.Value) -> str:
    return ir.StringAttr(value.owner.attributes["value"]).value


def _i64() -> ir.Type:
    return ir.IntegerType.get_signless(64)


def _create(name: str, type_: ir.Type, operand: ir.Value) -> ir.Value:
    return ir.Operation.create(name, results=[type_], operands=[operand]).results[0]
