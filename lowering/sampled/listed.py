"""Products sampled where a run-time pattern lists: ``out[i, j] += left[i, k] * right[k, j]`` in listed micro-tiles.

Code it emits::

    sort the coordinates into a list of columns per block of rows
    pack left into rows[strip][i][depth], right into cols[strip][j][depth]     (lowering/sampled/pack.py)
    scf.parallel (some blocks of rows)
      list their micro-tiles, and make room for their elements
      for each strip of contracted coordinates
        for each block of rows, over its micro-tiles: dot products              (lowering/sampled/dot.py)
      write the elements to out

The dot products are those of formats known at compile time; what is stored there in the order of the
format, is held here in the order of the list, and what is written to ``out`` are the listed places alone.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, bufferization, ir, memref
from pith.dialect import CoordinatesOp
from pith.dialect.tiling import PARALLEL, Tiling, bare_dim, tiling_of

from .. import builder as b
from ..bufferization.destination import result_buffer
from ..builder import Index
from ..panel.write import as_it_is, fill_block
from ..patterns.body import match_body
from ..patterns.sort import Coordinates, Lists, sort_by_groups
from .dot import TileEmitter
from .entries import CHUNK_ROWS, STRIP, Entries
from .match import Factor
from .pack import Packed, pack, strip_depth
from .template import VECTOR_OPERATIONS
from .tile import Leaf, choose_tile

#: Elements of the largest micro-tiles that are held in room of their own, 16 KiB of f32. Half of 3072 x 768 with 512
#: terms takes 0.3 (32 x 1, 8 x 8), 0.6 (16 x 16) and 0.8 (32 x 64) of the time of dense products of gathered
#: tiles (Zen 3).
LARGEST = 4096

#: Rows of the result that one task clears.
CLEARED_ROWS = 64


@dataclasses.dataclass(frozen=True)
class ListedSampling:
    """A ``pith.pit_tile`` whose pattern lies on both dimensions of a matrix product's result.

    Attributes:
        dims: dimension of the result that each axis of the pattern is.
        rows, cols: the factors indexed by the first and by the second axis.
        granularity: of the pattern.
        replaces: whether the products replace what the init holds, instead of being added to it.
    """

    op: ir.OpView
    dims: tuple[int, int]
    rows: Factor
    cols: Factor
    granularity: tuple[int, int]
    replaces: bool

    @property
    def element(self) -> ir.Type:
        """Element type of all operands."""
        return self.op.init.type.element_type


def match_listed_sampling(op: ir.OpView) -> ListedSampling | None:
    """Recognise a product of two matrices of f32 or f64 with a pattern on its result."""
    tiling = tiling_of(op)
    if len(op.inputs) != 2 or len(tiling.patterns) != 1 or len(tiling.axes) != 2 or len(tiling.iterators) != 3:
        return None
    if any(tiling.iterators[d] != PARALLEL for d in tiling.axes) or tiling.iterators.count(PARALLEL) != 2:
        return None
    high, wide = tiling.granularity
    body = match_body(op, tiling)
    if high * wide > LARGEST or body is None or body.finish is not None:
        return None
    types = {v.type.element_type for v in (*op.inputs, op.init)}
    if len(types) != 1 or not isinstance(next(iter(types)), (ir.F32Type, ir.F64Type)):
        return None
    return _with_factors(op, tiling, body.replaces)


def _with_factors(op: ir.OpView, tiling: Tiling, replaces: bool) -> ListedSampling | None:
    dims = [tuple(bare_dim(e) for e in m.results) for m in tiling.maps]
    if any(len(d) != 2 or None in d or d[0] == d[1] for d in dims):
        return None
    factors = {}
    for value, indexed in zip(op.inputs, dims):
        axis = next((d for d in indexed if d in tiling.axes), None)
        if axis is None or all(d in tiling.axes for d in indexed):
            return None
        factors[axis] = Factor(value, 1 - indexed.index(axis))
    if set(factors) != set(tiling.axes):
        return None
    first, second = tiling.axes
    at = (dims[2].index(first), dims[2].index(second))
    high, wide = tiling.granularity
    return ListedSampling(op, at, factors[first], factors[second], (high, wide), replaces)


def lower_listed_sampling(p: ListedSampling) -> None:
    """Replace the op by its kernel."""
    op = p.op
    with ir.InsertionPoint(op), op.operation.location:
        out, fresh = result_buffer(op.init)
        if fresh:
            _clear(out)
        _Emitter(p, out).emit()
        result = bufferization.to_tensor(op.init.type, out, restrict=True, writable=True)
    op.operation.results[0].replace_all_uses_with(result)
    op.operation.erase()


class _Emitter:
    """What stays fixed while the kernel is emitted."""

    def __init__(self, p: ListedSampling, out: ir.Value):
        self.p, self.out = p, out
        self.lanes = 32 // (8 if isinstance(p.element, ir.F64Type) else 4)
        high, wide = p.granularity
        self.leaf = Leaf(0, high, wide, 1, 1, wide, 1)
        self.sizes = tuple(b.dim_size(out, d) for d in p.dims)
        self.units = max(1, CHUNK_ROWS // high)

    def emit(self) -> None:
        p = self.p
        lists = self._lists()
        reds = b.dim_size(p.rows.value, p.rows.contracted)
        granule = 2 * self.lanes
        depth = strip_depth(reds, granule, STRIP)
        high, wide = p.granularity
        rows = pack(p.rows, p.element, reds, depth, granule, high)
        cols = pack(p.cols, p.element, reds, depth, granule, wide)
        listed = memref.load(lists.bounds, [b.value(lists.groups)])
        work = b.div(b.product([listed, high * wide, reds]), VECTOR_OPERATIONS)
        tasks = b.ceildiv(lists.groups, self.units)
        b.parallel_loop([tasks], lambda task: self._task(lists, rows, cols, reds, task), work=work)

    def _lists(self) -> Lists:
        value = CoordinatesOp.build(self.p.op.patterns[0]).result
        buffer = bufferization.to_buffer(
            ir.MemRefType.get(value.type.shape, value.type.element_type), value, read_only=True
        )
        return sort_by_groups(Coordinates(buffer, self.sizes, self.p.granularity), 1, expand=False)

    def _task(self, lists: Lists, rows: Packed, cols: Packed, reds: Index, task: ir.Value) -> None:
        first = b.mul(task, self.units)
        last = b.minimum(b.add(first, self.units), lists.groups)
        lo, hi = (memref.load(lists.bounds, [b.value(group)]) for group in (first, last))
        b.if_else(b.less(lo, hi), lambda: self._blocks(lists, rows, cols, reds, (first, last), (lo, hi)))

    def _blocks(self, lists: Lists, rows: Packed, cols: Packed, reds: Index, groups: tuple[Index, Index], span) -> None:
        """All elements of the blocks of rows ``groups``, whose micro-tiles are ``span`` of the list."""
        lo, count = span[0], b.sub(span[1], span[0])
        entries = Entries.allocate(b.value(count), loose=False)
        high, wide = self.p.granularity

        def of_each(body) -> None:
            def group(g: Index) -> None:
                start, length = lists.range(g)
                body(g, b.sub(start, lo), length)

            b.for_loop(*groups, group)

        def listed(g: Index, start: Index, length: Index) -> None:
            def one(e: Index) -> None:
                number = b.add(start, e)
                column = b.mul(b.load_index(lists.ids, b.add(lo, number)), wide)
                entries.store(b.value(number), b.mul(g, high), column, number)

            b.for_loop(0, length, one)

        of_each(listed)
        values = b.alloc([b.mul(count, high * wide)], self.p.element)
        zero = b.zero_of(self.p.element)
        b.for_loop(0, b.mul(count, high * wide), lambda i: memref.store(zero, values, [b.value(i)]) and None)
        emitter = TileEmitter(self.leaf, choose_tile(self.leaf, True), True, self.lanes, rows, cols, entries, values)

        def strip(s: Index) -> None:
            length = b.minimum(rows.depth, b.sub(reds, b.mul(s, rows.depth)))
            whole = b.mul(b.ceildiv(length, 2 * self.lanes), 2 * self.lanes)
            of_each(lambda g, start, count: emitter.run(s, whole, start, b.add(start, count)))

        b.for_loop(0, b.ceildiv(reds, rows.depth), strip)
        b.for_loop(0, count, lambda e: self._store(entries, values, e))

    def _store(self, entries: Entries, values: ir.Value, e: Index) -> None:
        """Write the elements of micro-tile ``e`` to the result; what sticks out is left out."""
        origin = [b.load_index(entries.rows, e), b.load_index(entries.cols, e)]
        extents = [b.minimum(g, b.sub(n, o)) for g, n, o in zip(self.p.granularity, self.sizes, origin)]
        high, wide = self.p.granularity

        def element(r: Index, c: Index) -> None:
            place: list[ir.Value] = [b.value(0)] * 2
            for axis, offset in enumerate((r, c)):
                place[self.p.dims[axis]] = b.value(b.add(origin[axis], offset))
            at = b.add(b.mul(b.add(b.mul(e, high), r), wide), c)
            total = memref.load(values, [b.value(at)])
            total = total if self.p.replaces else arith.addf(memref.load(self.out, place), total)
            memref.store(total, self.out, place)

        b.for_loop(0, extents[0], lambda r: b.for_loop(0, extents[1], lambda c: element(r, c)) and None)


def _clear(out: ir.Value) -> None:
    """Zero a matrix."""
    rows, cols = (b.dim_size(out, d) for d in (0, 1))
    lanes = 8

    def task(number: ir.Value) -> None:
        first = b.mul(number, CLEARED_ROWS)
        last = b.minimum(b.add(first, CLEARED_ROWS), rows)
        fill_block(out, (first, last), (0, cols), lanes, as_it_is)

    b.parallel_loop([b.ceildiv(rows, CLEARED_ROWS)], task, work=b.div(b.mul(rows, cols), lanes))
