"""What ``convert-pith-storage-to-loops`` makes of the ops that pack, prune, repack and check."""

from math import inf

from pith._mlir import bufferization, ir
from pith.dialect import format_of
from pith.formats import Format
from pith.formats.pack_digits import slot_limits
from pith.passes.analysis.traversal import constant_attribute, defining_op, ops_named
from pith.passes.core import load, pass_error

from ..builder import if_else, value
from ..module_isa import isa_of
from .compress import emit_compress
from .convert_pith_storage import LOWERINGS, replace
from .edge import cropped, rounded_up
from .prune import Ranking, emit_prune
from .repack import emit_repack
from .scores import Score
from .tree import Tree, buffer_of, is_raised, make_flag, tree_of
from .validate import emit_validate


def lower_ops(module: ir.Module) -> None:
    """Lower every op of the module that packs, prunes, repacks or checks."""
    for first, second in _checked_packings(module):
        _pack_and_check(first, second)
    for op in ops_named(module.operation, *LOWERINGS):
        _require_digits(op)
        with ir.InsertionPoint(op), op.location:
            new = load(LOWERINGS[op.name])(op)
            replace(op, op.results, new if isinstance(new, list) else [new])


def lower_compress(op: ir.Operation) -> ir.Value:
    """``pith.compress``: the packed tensor."""
    type_ = op.results[0].type
    _require_numbers(op)
    return emit_compress(tree_of(op.operands[0], format_of(type_)), type_, isa_of(op))


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
        packed = emit_compress(tree, compress.results[0].type, isa_of(first), overfull)
        index = ir.IndexType.get()
        element = if_else(is_raised(overfull), lambda: [emit_validate(tree)], lambda: [value(-1)], [index])[0]
    replace(validate, validate.results, [element])
    replace(compress, compress.results, [packed])


def lower_prune(op: ir.Operation) -> ir.Value:
    """``pith.prune``: the pruned tensor."""
    _require_numbers(op)
    tree = tree_of(op.operands[0], op.opview.format.to_format())
    if not slot_limits(tree.format):
        return op.operands[0]
    return _tensor(op, tree, emit_prune(tree, Ranking(Score("l1"), tree.source))[0])


def lower_prune_by(op: ir.Operation) -> list[ir.Value]:
    """``pith.prune_by``: the pruned tensor, and whether a score was NaN."""
    _require_numbers(op)
    source, saliency, floor = op.operands
    _require_numbers(op, saliency.type.element_type)
    tree = tree_of(source, op.opview.format.to_format())
    ranked = tree.source if saliency == source else rounded_up(buffer_of(saliency), tree.format)
    ranking = Ranking(Score(op.opview.score.value), ranked, None if _is_minus_infinity(floor) else floor)
    pruned, has_nan = emit_prune(tree, ranking)
    return [_tensor(op, tree, pruned), has_nan]


def lower_repack(op: ir.Operation) -> ir.Value:
    """``pith.repack``: the pattern with new values."""
    pattern, source = op.operands
    maker = defining_op(pattern, "pith.assemble")
    if maker is None:
        pass_error(op, "has a pattern that is not the result of pith.assemble", "run pith-assemble-arguments first")
    return emit_repack(maker.opview, buffer_of(source), isa_of(op))


def _tensor(op: ir.Operation, tree: Tree, pruned: ir.Value) -> ir.Value:
    buffer = cropped(pruned, tree.sizes)
    return bufferization.to_tensor(op.results[0].type, buffer, restrict=True, writable=True)


def _is_minus_infinity(x: ir.Value) -> bool:
    number = constant_attribute(x)
    return number is not None and ir.FloatAttr(number).value == -inf


def lower_validate(op: ir.Operation) -> ir.Value:
    """``pith.validate``: the first element that breaks the format, or -1."""
    _require_numbers(op)
    return emit_validate(tree_of(op.operands[0], op.opview.format.to_format()))


def _require_numbers(op: ir.Operation, element: ir.Type | None = None) -> None:
    element = element or op.operands[0].type.element_type
    if not isinstance(element, (ir.FloatType, ir.IntegerType, ir.IndexType)):
        pass_error(op, f"has elements of type {element}, which has no lowering to loops", "use floats or integers")


def _require_digits(op: ir.Operation) -> None:
    if op.name != "pith.repack" and (fmt := _format_of(op)).diagonal is not None:
        pass_error(op, f"has no lowering for diagonals ({fmt})", "pith.compress and pith.prune of the API take them")
