"""``convert-linalg-to-parallel-rows``: bufferized linalg as a parallel loop over rows of serial loops."""

import dataclasses
from typing import ClassVar

from pith._mlir import ir, linalg
from pith.dialect.tiling import dims_of
from pith.passes.analysis.structured import iterator_types
from pith.passes.analysis.traversal import ops_where
from pith.passes.core import Pass, pass_error

from .. import builder as b
from ..builder import Index
from ..sparse.contraction import indexing_maps, is_generic
from ..sparse.template_scalar import compute_point, free_loops, load_outputs, store_outputs
from .row_groups import RowGroup, row_groups
from .row_vectors import RowVectors, steps_by_one


@dataclasses.dataclass(frozen=True)
class ConvertLinalgToParallelRowsPass(Pass):
    """Lower ``linalg.generic`` on memrefs to loops, the outermost parallel dimension in parallel.

    Before::

        linalg.generic {iterators = [parallel, parallel]} ins(%a) outs(%b : memref<?x384xf32>) {...}

    After::

        scf.parallel (%i) = 0 to %rows { scf.for %j = 0 to 384 step 16 { load, body, store vectors } }

    Ops that need nothing of each other but the row they are at (a layer norm, a softmax) share one
    loop over the rows, and the row stays in L1::

        scf.parallel (%i, %j) = 0 to %batch, %tokens { sum; subtract; sum of squares; scale }

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
        found = _buffer_ops(module)
        for op in found:
            if not is_generic(op.opview):
                pass_error(op, "is not a linalg.generic", "run linalg-generalize-named-ops first")
        blocks = {op.block: None for op in found if _is_outermost(op)}
        groups = [group for block in blocks for group in row_groups(block)]
        grouped = {op.operation for group in groups for op in group.ops}
        alone = [op for op in found if op not in grouped]
        for group in groups:
            _lower_group(group)
        alone += [generic.operation for generic in map(_strided_copy, _outermost_copies(module)) if generic is not None]
        for op in alone:
            with ir.InsertionPoint(op), op.location:
                _lower(_Nest.of(op.opview), parallel=_is_outermost(op))
            op.erase()


def _buffer_ops(module: ir.Module) -> list[ir.Operation]:

    def writes_buffers(op: ir.Operation) -> bool:
        return op.name.startswith("linalg.") and not op.results and op.name not in ("linalg.yield", "linalg.index")

    return ops_where(module.operation, writes_buffers)


def _outermost_copies(module: ir.Module) -> list[ir.Operation]:
    return ops_where(module.operation, lambda op: op.name == "memref.copy" and _is_outermost(op))


def _strided_copy(op: ir.Operation) -> ir.OpView | None:
    """A copy in place of ``op``, where lines of it are apart: the call that it would become runs on one thread."""
    apart = any(isinstance(v.type.layout, ir.StridedLayoutAttr) for v in op.operands)
    if not apart or op.operands[0].type.rank < 2:
        return None
    with ir.InsertionPoint(op), op.location:
        generic = _copy_as_generic(op.opview)
    op.erase()
    return generic


def _is_outermost(op: ir.Operation) -> bool:
    """No loop around ``op`` could run in parallel already."""
    return op.parent.name == "func.func"


@dataclasses.dataclass(frozen=True)
class _Nest:
    """The loops of one op.

    Attributes:
        outer: iteration dimensions outside in.
        inner: reductions inside them whose result stays in a register.
    """

    op: ir.OpView
    maps: tuple[tuple[ir.AffineExpr, ...], ...]
    sizes: list[Index]
    outer: list[int]
    inner: list[int]

    @classmethod
    def of(cls, op: ir.OpView) -> "_Nest":
        """The nest, its sizes emitted at the insertion point."""
        maps, iterators = indexing_maps(op), iterator_types(op)
        _reassociate(op)
        sizes = _sizes(op, maps, len(iterators))
        return cls(op, maps, sizes, *_loop_order(maps, iterators, len(op.inputs)))

    @property
    def work(self) -> Index:
        """Scalar operations of the whole nest."""
        return b.mul(b.product(self.sizes), len(list(self.op.regions[0].blocks[0].operations)))

    def emit(self, fixed: dict[int, Index]) -> None:
        """Loops over all dimensions but the ``fixed`` ones, which are at one coordinate."""
        point: list[Index] = [fixed.get(d, 0) for d in range(len(self.sizes))]
        rest = [d for d in self.outer if d not in fixed]
        views = list(self.op.operands)

        def single() -> None:
            _reduce(self.op, self.maps, views, self.sizes, point, self.inner)

        vectors = self._vectors(rest[-1]) if rest and not self.inner else None
        if vectors is None:
            free_loops(rest, self.sizes, point, single)
            return
        size = self.sizes[rest[-1]]
        free_loops(rest[:-1], self.sizes, point, lambda: vectors.emit(size, point, single))

    def _vectors(self, loop: int) -> RowVectors | None:
        parallel = iterator_types(self.op)[loop] == "parallel"
        return RowVectors.of(self.op, self.maps, loop, self.sizes[loop]) if parallel else None


def _lower(nest: _Nest, parallel: bool) -> None:
    """One op: the outermost dimension of several coordinates in parallel, when it may be."""
    first = next((d for d in nest.outer if nest.sizes[d] != 1), None)
    if not parallel or first is None or iterator_types(nest.op)[first] != "parallel":
        nest.emit({})
        return
    b.parallel_loop([nest.sizes[first]], lambda iv: nest.emit({first: iv}), work=nest.work)


def _lower_group(group: RowGroup) -> None:
    """Several ops: the rows in parallel, the ops one after the other on each."""
    with ir.InsertionPoint(group.ops[-1]), group.ops[-1].operation.location:
        generics = [op if is_generic(op) else _copy_as_generic(op) for op in group.ops]
        nests = [_Nest.of(op) for op in generics]
        work: Index = 0
        for nest in nests:
            work = b.add(work, nest.work)

        def rows(*ivs: ir.Value) -> None:
            for nest in nests:
                nest.emit(dict(enumerate(ivs)))

        b.parallel_loop(nests[0].sizes[: group.lead], rows, work=work)
    for op in {op.operation for op in (*group.ops, *generics)}:
        op.erase()


def _copy_as_generic(op: ir.OpView) -> ir.OpView:
    """A ``memref.copy`` as the ``linalg.generic`` that says the same."""
    source, target = op.operands
    identity = ir.AffineMapAttr.get(ir.AffineMap.get_identity(source.type.rank))
    parallel = ir.Attribute.parse("#linalg.iterator_type<parallel>")
    maps, kinds = ir.ArrayAttr.get([identity] * 2), ir.ArrayAttr.get([parallel] * source.type.rank)
    generic = linalg.GenericOp([], [source], [target], maps, kinds)
    block = generic.operation.regions[0].blocks.append(*[source.type.element_type] * 2)
    with ir.InsertionPoint(block):
        linalg.YieldOp([block.arguments[0]])
    return generic


def _loop_order(maps, iterators: tuple[str, ...], inputs: int) -> tuple[list[int], list[int]]:
    """Iteration dimensions outside in, and the reductions inside them whose result stays in a register.

    Innermost goes the dimension that is contiguous wherever it occurs, when there is one (a matrix
    product of row-major operands: the columns); else the reductions, in a register.
    """
    dims = list(range(len(iterators)))
    lane = _contiguous_dim(maps, iterators)
    if lane is None:
        split = _first_inner_reduction(iterators, {d for m in maps[inputs:] for e in m for d in dims_of(e)})
        return dims[:split], dims[split:]
    parallel = [d for d in dims if iterators[d] == "parallel" and d != lane]
    return [*parallel, *(d for d in dims if iterators[d] == "reduction"), lane], []


def _contiguous_dim(maps, iterators: tuple[str, ...]) -> int | None:
    """A parallel dimension that is last wherever it occurs, in a reduction of some input that has it.

    Windows need another parallel dimension, for the threads.
    """
    *inputs, out = maps
    if "reduction" not in iterators or not out or not isinstance(out[-1], ir.AffineDimExpr):
        return None
    lane = out[-1].position
    places = [(m, i, e) for m in inputs for i, e in enumerate(m) if lane in dims_of(e)]
    contiguous = all(i == len(m) - 1 and steps_by_one(e, lane) for m, i, e in places)
    alone = iterators.count("parallel") == 1 and not all(isinstance(e, ir.AffineDimExpr) for _, _, e in places)
    return lane if iterators[lane] == "parallel" and places and contiguous and not alone else None


def _first_inner_reduction(iterators: tuple[str, ...], written: set[int]) -> int:
    """Where the trailing run of reduction dimensions begins that no result has: of several one may have them."""
    split = len(iterators)
    while split and iterators[split - 1] == "reduction" and split - 1 not in written:
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
