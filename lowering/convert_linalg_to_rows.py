"""``convert-linalg-to-parallel-rows``: bufferized linalg as a parallel loop over rows of serial loops."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.dialect.tiling import dims_of
from pith.passes.core import Pass, pass_error

from . import builder as b
from .builder import Index
from .contraction import indexing_maps, is_generic, iterator_types
from .template_scalar import compute_point, free_loops, load_outputs, store_outputs


@dataclasses.dataclass(frozen=True)
class ConvertLinalgToParallelRowsPass(Pass):
    """Lower ``linalg.generic`` on memrefs to loops, the outermost parallel dimension in parallel.

    Before::

        linalg.generic {iterators = [parallel, parallel]} ins(%a) outs(%b : memref<?x384xf32>) {...}

    After::

        scf.parallel (%i) = 0 to %rows { scf.for %j = 0 to 384 { load, body, store } }

    Innermost reduction dimensions carry their result in a register, and their combiner may be
    reassociated (as ``linalg`` leaves the order of a reduction open), so LLVM can vectorise them.
    Upstream offers all loops serial or all loops parallel; the first leaves cores idle, the second
    turns every element into a task with divisions. Small ops stay on one thread, decided at run
    time; ops inside other loops are serial.

    Requires: bufferized ``linalg.generic`` (run ``linalg-generalize-named-ops``). Preserves: other
    ops, and ops on tensors. Cost: linear.
    """

    name: ClassVar[str] = "convert-linalg-to-parallel-rows"

    def run(self, module: ir.Module) -> None:
        found: list[ir.Operation] = []

        def visit(op: ir.Operation) -> ir.WalkResult:
            if op.name.startswith("linalg.") and not op.results and op.name not in ("linalg.yield", "linalg.index"):
                found.append(op)
            return ir.WalkResult.ADVANCE

        module.operation.walk(visit)
        for op in found:
            if not is_generic(op.opview):
                pass_error(op, "is not a linalg.generic", "run linalg-generalize-named-ops first")
            with ir.InsertionPoint(op), op.location:
                self._lower(op.opview)
            op.erase()

    def _lower(self, op: ir.OpView) -> None:
        maps, iterators = indexing_maps(op), iterator_types(op)
        sizes = _sizes(op, maps, len(iterators))
        point: list[Index] = [0] * len(iterators)
        views = list(op.operands)
        outer, inner = _loop_order(maps, iterators)
        _reassociate(op)

        def leaf() -> None:
            _reduce(op, maps, views, sizes, point, inner)

        nested = op.operation.parent.name != "func.func"
        if nested or not outer or iterators[outer[0]] != "parallel" or sizes[outer[0]] == 1:
            free_loops(outer, sizes, point, leaf)
            return

        def row(iv: ir.Value) -> None:
            point[outer[0]] = iv
            free_loops(outer[1:], sizes, point, leaf)

        operations = len(list(op.regions[0].blocks[0].operations))
        b.parallel_loop([sizes[outer[0]]], row, work=b.mul(b.product(sizes), operations))


def _loop_order(maps, iterators: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Iteration dimensions outside in, and the reductions inside them whose result stays in a register.

    Innermost goes the dimension that is contiguous wherever it occurs, when there is one (a matrix
    product of row-major operands: the columns); else the reductions, in a register.
    """
    dims = list(range(len(iterators)))
    lane = _contiguous_dim(maps, iterators)
    if lane is None:
        split = _first_inner_reduction(iterators)
        return dims[:split], dims[split:]
    parallel = [d for d in dims if iterators[d] == "parallel" and d != lane]
    return [*parallel, *(d for d in dims if iterators[d] == "reduction"), lane], []


def _contiguous_dim(maps, iterators: tuple[str, ...]) -> int | None:
    """A parallel dimension that is last wherever it occurs, in a reduction of some input that has it."""
    *inputs, out = maps
    if "reduction" not in iterators or not out or not isinstance(out[-1], ir.AffineDimExpr):
        return None
    lane = out[-1].position
    places = [(m, i, e) for m in inputs for i, e in enumerate(m) if lane in dims_of(e)]
    contiguous = all(i == len(m) - 1 and isinstance(e, ir.AffineDimExpr) for m, i, e in places)
    return lane if iterators[lane] == "parallel" and places and contiguous else None


def _first_inner_reduction(iterators: tuple[str, ...]) -> int:
    """Where the trailing run of reduction dimensions begins."""
    split = len(iterators)
    while split and iterators[split - 1] == "reduction":
        split -= 1
    return split


def _reduce(op: ir.OpView, maps, views, sizes, point: list[Index], dims: list[int]) -> None:
    """``outs = body(..., outs)`` over reduction dimensions ``dims``, the outputs held in registers."""

    def nest(rest: list[int], outputs: list[ir.Value] | None) -> list[ir.Value]:
        if not rest:
            return compute_point(op, maps, views, point, outputs=outputs)

        def body(iv: Index, *inner: ir.Value) -> list[ir.Value]:
            point[rest[0]] = iv
            return nest(rest[1:], list(inner))

        return b.for_loop(0, sizes[rest[0]], body, outputs or ())

    outputs = load_outputs(op, maps, views, point) if dims else None
    store_outputs(op, maps, views, point, nest(dims, outputs))


def _reassociate(op: ir.OpView) -> None:
    """Allow the combiner of a reduction to be reordered."""
    block = op.regions[0].blocks[0]
    *body, terminator = block.operations
    outs = list(block.arguments)[-len(terminator.operands) :]
    for inner in body:
        if inner.operation.name in ("arith.addf", "arith.mulf") and any(v in outs for v in inner.operands):
            inner.operation.attributes["fastmath"] = ir.Attribute.parse("#arith.fastmath<reassoc>")


def _sizes(op: ir.OpView, maps, count: int) -> list[Index]:
    sizes: list[Index | None] = [None] * count
    for operand, exprs in zip(op.operands, maps):
        for position, e in enumerate(exprs):
            if isinstance(e, ir.AffineDimExpr) and not isinstance(sizes[e.position], int):
                sizes[e.position] = b.dim_size(operand, position)
    missing = [d for d, s in enumerate(sizes) if s is None]
    if missing:
        pass_error(op, f"iteration dimensions {missing} have no operand dimension of their own")
    return sizes
