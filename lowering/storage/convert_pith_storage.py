"""``convert-pith-storage-to-loops``: packing, pruning and checking dense tensors, as loops."""

import dataclasses
from collections.abc import Sequence
from math import inf
from typing import ClassVar

from pith._mlir import bufferization, ir
from pith.dialect import AssembleOp, DecompressOp, encoded_type, encoding_of, format_of
from pith.formats import Format
from pith.formats.pack_digits import slot_limits
from pith.passes.analysis.traversal import constant_attribute, constant_index, defining_op, is_used, ops_named
from pith.passes.core import Pass, pass_error

from ..builder import if_else, value
from .compress import emit_compress
from .edge import cropped, rounded_up
from .prune import Ranking, emit_prune
from .repack import emit_repack
from .scores import Score
from .tree import Tree, buffer_of, is_raised, make_flag, tree_of
from .validate import emit_validate


@dataclasses.dataclass(frozen=True)
class ConvertPithStoragePass(Pass):
    """Lower ``pith.compress``, ``prune``, ``prune_by``, ``repack`` and ``validate`` to loops over the dense tensor.

    Before::

        %p = "pith.prune"(%w) {format = #hss} : (tensor<64x32xf32>) -> tensor<64x32xf32>
        %e = "pith.compress"(%p) : (tensor<64x32xf32>) -> tensor<64x32xf32, #hss>
        %crd, %v = "pith.disassemble"(%e) : ...

    After: ``scf`` loops on memrefs that write freshly allocated buffers. A packed tensor is the
    ``pith.assemble`` of its buffers, which is what the other lowerings read;
    ``pith.disassemble``, ``tensor.cast`` and ``tensor.dim`` of a ``pith.assemble`` fold away.

    All formats take the same walk over their levels (:mod:`pith.lowering.storage.walk`),
    with the semantics of ``pith.formats``. The first level runs in parallel where it is dense.

    Requires: dense operands of floats, integers or ``index``. Preserves: ``pith.decompress`` and
    linalg (``convert-pith-to-loops`` lowers them). Does not: refuse tensors that break the
    format (``pith.validate`` finds them); entries that do not fit their width, and dynamic sizes
    that the format's groups do not divide, fail a ``cf.assert``. Cost: linear in the module; code
    linear in the number of levels, one more time for formats whose storage must be counted first.
    At run time ``pith.prune`` and ``pith.validate`` read every element once (a ``pith.validate`` beside the
    ``pith.compress`` of the same tensor not at all, unless a group is too full), ``pith.compress`` once
    per level that chooses coordinates.
    """

    name: ClassVar[str] = "convert-pith-storage-to-loops"

    def run(self, module: ir.Module) -> None:
        for first, second in _checked_packings(module):
            _pack_and_check(first, second)
        for op in ops_named(module.operation, *_LOWER):
            _require_digits(op)
            with ir.InsertionPoint(op), op.location:
                new = _LOWER[op.name](op)
                _replace(op, op.results, new if isinstance(new, list) else [new])
        for op in ops_named(module.operation, "pith.disassemble", "tensor.cast", "tensor.dim"):
            _fold(op)
        for op in reversed(ops_named(module.operation, "pith.assemble")):
            if not is_used(op):
                op.erase()


def _compress(op: ir.Operation) -> ir.Value:
    type_ = op.results[0].type
    _require_numbers(op)
    return emit_compress(tree_of(op.operands[0], format_of(type_)), type_)


def _checked_packings(module: ir.Module) -> list[tuple[ir.Operation, ir.Operation]]:
    """Pairs of a ``pith.validate`` and a ``pith.compress`` of the same tensor in the same format, in program order."""
    out = []
    waiting: list[ir.Operation] = []
    for op in ops_named(module.operation, "pith.validate", "pith.compress"):
        partner = next((o for o in waiting if _is_pair(o, op)), None)
        if partner is None:
            waiting.append(op)
        else:
            waiting.remove(partner)
            out.append((partner, op))
    return out


def _is_pair(a: ir.Operation, c: ir.Operation) -> bool:
    same = a.name != c.name and a.operands[0] == c.operands[0] and a.block == c.block
    return same and _format_of(a) == _format_of(c) and all(v.kind in ("dense", "nm") for v in _format_of(a).levels)


def _format_of(op: ir.Operation) -> Format:
    return format_of(op.results[0].type) if op.name == "pith.compress" else op.opview.format.to_format()


def _pack_and_check(first: ir.Operation, second: ir.Operation) -> None:
    """Packing sees groups that hold too much; only then is the element searched for."""
    validate, compress = (first, second) if first.name == "pith.validate" else (second, first)
    _require_numbers(first)
    with ir.InsertionPoint(first), first.location:
        tree = tree_of(first.operands[0], _format_of(first))
        overfull = make_flag()
        packed = emit_compress(tree, compress.results[0].type, overfull)
        index = ir.IndexType.get()
        element = if_else(is_raised(overfull), lambda: [emit_validate(tree)], lambda: [value(-1)], [index])[0]
    _replace(validate, validate.results, [element])
    _replace(compress, compress.results, [packed])


def _prune(op: ir.Operation) -> ir.Value:
    _require_numbers(op)
    tree = tree_of(op.operands[0], op.opview.format.to_format())
    if not slot_limits(tree.format):
        return op.operands[0]
    return _tensor(op, tree, emit_prune(tree, Ranking(Score("l1"), tree.source))[0])


def _prune_by(op: ir.Operation) -> list[ir.Value]:
    _require_numbers(op)
    source, saliency, floor = op.operands
    _require_numbers(op, saliency.type.element_type)
    tree = tree_of(source, op.opview.format.to_format())
    ranked = tree.source if saliency == source else rounded_up(buffer_of(saliency), tree.format)
    ranking = Ranking(Score(op.opview.score.value), ranked, None if _is_minus_infinity(floor) else floor)
    pruned, has_nan = emit_prune(tree, ranking)
    return [_tensor(op, tree, pruned), has_nan]


def _repack(op: ir.Operation) -> ir.Value:
    pattern, source = op.operands
    maker = defining_op(pattern, "pith.assemble")
    if maker is None:
        pass_error(op, "has a pattern that is not the result of pith.assemble", "run pith-assemble-arguments first")
    return emit_repack(maker.opview, buffer_of(source))


def _tensor(op: ir.Operation, tree: Tree, pruned: ir.Value) -> ir.Value:
    buffer = cropped(pruned, tree.sizes)
    return bufferization.to_tensor(op.results[0].type, buffer, restrict=True, writable=True)


def _is_minus_infinity(x: ir.Value) -> bool:
    number = constant_attribute(x)
    return number is not None and ir.FloatAttr(number).value == -inf


def _validate(op: ir.Operation) -> ir.Value:
    _require_numbers(op)
    return emit_validate(tree_of(op.operands[0], op.opview.format.to_format()))


_LOWER = {
    "pith.compress": _compress,
    "pith.prune": _prune,
    "pith.prune_by": _prune_by,
    "pith.repack": _repack,
    "pith.validate": _validate,
}


def _require_numbers(op: ir.Operation, element: ir.Type | None = None) -> None:
    element = element or op.operands[0].type.element_type
    if not isinstance(element, (ir.FloatType, ir.IntegerType, ir.IndexType)):
        pass_error(op, f"has elements of type {element}, which has no lowering to loops", "use floats or integers")


def _require_digits(op: ir.Operation) -> None:
    if op.name != "pith.repack" and (fmt := _format_of(op)).diagonal is not None:
        pass_error(op, f"has no lowering for diagonals ({fmt})", "pith.compress and pith.prune of the API take them")


def _fold(op: ir.Operation) -> None:
    """``pith.disassemble``, ``tensor.cast`` and ``tensor.dim`` of a ``pith.assemble``."""
    source = op.operands[0]
    maker = defining_op(source, "pith.assemble")
    if maker is None:
        return
    whole = maker.opview
    with ir.InsertionPoint(op), op.location:
        if op.name == "pith.disassemble":
            _replace(op, op.opview.buffers, whole.buffers)
        elif op.name == "tensor.cast":
            _replace(op, op.results, [_cast(whole, op.results[0].type)])
        elif (dim := constant_index(op.operands[1])) is not None:
            _replace(op, op.results, [_size(whole, dim)])


def _cast(whole: AssembleOp, type_: ir.RankedTensorType) -> ir.Value:
    """The assembled tensor with other sizes known; unpacked, where the cast drops the encoding.

    (Canonicalization folds operations that copy a tensor into such casts.)
    """
    encoded = encoded_type(type_, format_of(whole.operation.results[0].type))
    sizes = [_size(whole, d) for d in range(type_.rank) if type_.is_dynamic_dim(d)]
    result = AssembleOp.build(encoded, whole.buffers, sizes).result
    return DecompressOp.build(result).result if encoding_of(type_) is None else result


def _size(whole: AssembleOp, dim: int) -> ir.Value:
    """Size of a dimension of an assembled tensor."""
    type_ = whole.operation.results[0].type
    if not type_.is_dynamic_dim(dim):
        return value(type_.get_dim_size(dim))
    return list(whole.sizes)[sum(type_.is_dynamic_dim(d) for d in range(dim))]


def _replace(op: ir.Operation, results: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
    for old, v in zip(results, new):
        old.replace_all_uses_with(v)
    op.erase()
