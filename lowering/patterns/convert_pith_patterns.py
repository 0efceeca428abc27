"""``convert-pith-patterns-to-linalg``: run-time patterns on a CPU, as index lists and loops."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.dialect import coordinates_type
from pith.dialect.pattern import PatternType
from pith.passes.analysis.traversal import ops_named
from pith.passes.core import Pass

#: op that makes a pattern -> what lowers it, "module:function" (most programs have no use for these modules); called
#: with the op and what the type of its result said.
MAKERS: dict[str, str] = {
    "pith.complement": "pith.lowering.patterns.sets:lower_set",
    "pith.detect": "pith.lowering.patterns.detect:lower_detect",
    "pith.detect_by": "pith.lowering.patterns.detect:lower_detect",
    "pith.from_lengths": "pith.lowering.patterns.indices:lower_from_lengths",
    "pith.from_routing": "pith.lowering.patterns.indices:lower_from_routing",
    "pith.intersection": "pith.lowering.patterns.sets:lower_set",
    "pith.topk": "pith.lowering.patterns.topk:lower_topk",
    "pith.union": "pith.lowering.patterns.sets:lower_set",
}

#: What else there is to lower.
_OTHERS = ("pith.coordinates", "pith.from_coordinates", "pith.pit_tile", "pith.sample", "pith.sread", "pith.swrite")


@dataclasses.dataclass(frozen=True)
class ConvertPithPatternsPass(Pass):
    """Lower patterns and the ops on them to loops and ``linalg`` on tensors, destination-passing throughout.

    Before: ``%p = "pith.detect"(%a)``, ``"pith.pit_tile"(%p, %a, %b, %c) ({ body })``.
    After: ``%p : tensor<?xi32>`` (``tensor<?xRxi32>`` over R axes; its extent is the count), loops that
    copy micro-tiles into dense tiles, one instance of the body, loops that copy results back.
    ``pith.coordinates`` and ``pith.from_coordinates`` are that tensor. A pattern anywhere else (function
    arguments and results, calls, loop-carried values) becomes it too, so callers pass one array of
    coordinates per pattern.

    What makes a pattern (``detect``, ``detect_by``, ``topk``, sets, lengths, routing) becomes parallel loops on
    memrefs that flag elements 64 to a word and list the cells found, in a buffer that grows with their number.

    Coordinates past the grid are cut to nothing: read as zeros, written nowhere. A coordinate listed
    twice is visited twice. ``check=true`` asserts at every op that neither happens (``cf.assert``).

    Requires: pith ops on tensors without encodings. Preserves: all other ops. Does not do:
    bufferization; a tile of dense memory per operand that is gathered stays to be hoisted
    (``one-shot-bufferize``, ``buffer-loop-hoisting``).
    """

    name: ClassVar[str] = "convert-pith-patterns-to-linalg"
    check: bool = False

    def run(self, module: ir.Module) -> None:
        with module.context, ir.Location.unknown():
            found = [op.opview for op in ops_named(module.operation, *MAKERS, *_OTHERS)]
            if not found:
                _retype(module.operation)
                return
            from .ops import PatternOp, lower_op  # most programs have no use for its modules

            work = [PatternOp.of(op) for op in found]
            _retype(module.operation)
            for item in work:
                op = item.op
                with ir.InsertionPoint(op), op.operation.location:
                    results = lower_op(item, self.check)
                for old, new in zip(op.operation.results, results):
                    old.replace_all_uses_with(new)
                op.operation.erase()


def _retype(root: ir.Operation) -> None:
    """Give every value of pattern type, and every function signature, the tensor type that stands for it."""

    def visit(op: ir.Operation) -> ir.WalkResult:
        for value in [*op.results, *(a for r in op.regions for b in r.blocks for a in b.arguments)]:
            value.set_type(_converted(value.type))
        if "function_type" in op.attributes:
            type_ = ir.TypeAttr(op.attributes["function_type"]).value
            if isinstance(type_, ir.FunctionType):
                lists = ([_converted(t) for t in types] for types in (type_.inputs, type_.results))
                op.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(*lists))
        return ir.WalkResult.ADVANCE

    root.walk(visit, ir.WalkOrder.PRE_ORDER)


def _converted(type_: ir.Type) -> ir.Type:
    return coordinates_type(PatternType(type_).to_shape().rank) if isinstance(type_, PatternType) else type_
