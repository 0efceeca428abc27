"""Groups of ops that need only each other's row (:mod:`row_groups`) as one kernel: softmax, layer norm, RMS norm.

A row is held in registers by a warp, or by a block where it is long; each thread has every 32nd (256th) column. Ops
follow each other on those; a reduction ends in all threads of the row: shuffles, then a word per warp in shared memory.
What is read from memory is read once, and only results that others want are written.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, gpu, ir, memref

from ... import builder as b
from ...builder import Index
from ..host import Host
from ..outputs import constant_of, destination, extents, start_value
from ..product.tiles import shared_space
from ..warp import WARP, reduce_warp
from .combiners import combiners_of
from .fill import line_of
from .loops import captured, evaluate, scalar_value, split_index
from .row_groups import CELL, COLUMN, OTHER, ROW, RowGroup, RowOp, reshaped_from, row_group

THREADS = 256

#: Columns from which a block shares a row rather than a warp: 16 per thread of a warp. Not measured.
LONG = 512

_Cells = list[ir.Value]


def convert_rows(host: Host, op: ir.OpView) -> bool:
    """Convert the group that ``op`` begins, if it begins one; all of its results are bound then."""
    group = row_group(op, lambda v: v in host.buffers or v in host.deferred)
    if group is None:
        return False
    outs = {}
    for row_op in group.ops:
        for value, init in zip(row_op.nest.op.operation.results, row_op.nest.inits):
            if group.escapes(value):
                outs[value] = destination(host, row_op.nest.op, init)
    given = _outside(host, group)
    arguments = list(dict.fromkeys((*given.values(), *outs.values())))
    rows = _row_count(host, op, group)
    sizes = [b.value(rows)] if not isinstance(rows, int) else []
    lanes = WARP if group.columns <= LONG else THREADS
    with host.kernel("rows", [v.type for v in (*arguments, *sizes)], THREADS) as (name, block):
        inside = dict(zip(arguments, block.arguments))
        held = {v: inside[buffer] for v, buffer in given.items()}
        written = {v: inside[buffer] for v, buffer in outs.items()}
        emitter = _Emitter(group, lanes, held, written, block.arguments[-1] if sizes else rows)
        emitter.emit()
    grid = [b.ceildiv(rows, THREADS // lanes)]
    host.launch(op, name, grid, THREADS, emitter.shared, [*arguments, *sizes])
    for value in group.kinds:
        host.bind(value, [outs[value]] if value in outs else [])
    return True


def _row_count(host: Host, op: ir.OpView, group: RowGroup) -> Index:
    """Rows of the group."""
    first = group.ops[0]
    out = first.nest.inits[0]
    sizes = [s for s in extents(host, op, out) if s != 1]
    return b.product(sizes if first.reduces else sizes[:-1])


def _outside(host: Host, group: RowGroup) -> dict[ir.Value, ir.Value]:
    """What the kernel is given, by what it is in the source: buffers, and numbers that nothing in it computes."""
    given: dict[ir.Value, ir.Value] = {}
    for op in group.ops:
        for number, value in enumerate(op.nest.inputs):
            if isinstance(value.type, ir.ShapedType) and constant_of(value) is None and group.inner(value) is None:
                seen = _memory_of(op, number)
                given[seen] = host.buffers_of(op.nest.op, seen)[-1]
        for value in captured(op.nest):
            index = isinstance(value.type, ir.IndexType)
            given[value] = b.value(host.size(op.nest.op, value)) if index else host.buffers_of(op.nest.op, value)[-1]
    return given


def _memory_of(op: RowOp, number: int) -> ir.Value:
    """The value that an operand is a view of, where its elements are found by their number."""
    value = op.nest.operands[number]
    return value if op.access(number) == OTHER else reshaped_from(value)


@dataclasses.dataclass
class _Emitter:
    """Emits the kernel of a group.

    Attributes:
        group: the group.
        lanes: threads of a row.
        held: what comes from outside.
        written: where results go.
        rows: how many.
        shared: bytes of shared memory.
        cells: values that have been made: one per column of this thread, or one.
        loaded: elements that have been read.
    """

    group: RowGroup
    lanes: int
    held: dict[ir.Value, ir.Value]
    written: dict[ir.Value, ir.Value]
    rows: Index
    shared: int = 0
    cells: dict[ir.Value, _Cells] = dataclasses.field(default_factory=dict)
    loaded: dict[tuple[ir.Value, str, int], ir.Value] = dataclasses.field(default_factory=dict)

    def emit(self) -> None:
        """The whole kernel."""
        thread, block = gpu.thread_id(gpu.Dimension.x), gpu.block_id(gpu.Dimension.x)
        number = b.add(b.mul(block, THREADS // self.lanes), b.div(thread, self.lanes))
        self.exists = None if self.lanes == THREADS else b.less(number, self.rows)
        # Threads without a row take part in what follows, on the last one.
        self.row = number if self.exists is None else b.minimum(number, b.sub(self.rows, 1))
        self.lane, self.warp = b.mod(thread, self.lanes), b.div(thread, WARP)
        self.columns = [b.add(self.lane, j * self.lanes) for j in range(-(-self.group.columns // self.lanes))]
        for op in self.group.ops:
            if op.reduces:
                self._reduce(op)
            else:
                self._map(op)
            for value in op.nest.op.operation.results:
                if value in self.written:
                    self._store(value)

    def _active(self, j: int) -> ir.Value | None:
        """Whether this thread has a column ``j``; None: it has."""
        whole = (j + 1) * self.lanes <= self.group.columns
        return None if whole else b.less(self.columns[j], self.group.columns)

    def _column(self, j: int) -> Index:
        """The column, or the last one where there is none."""
        whole = self._active(j) is None
        return self.columns[j] if whole else b.minimum(self.columns[j], self.group.columns - 1)

    def _inputs(self, op: RowOp, j: int) -> list[ir.Value | None]:
        """The inputs of an op at column ``j``."""
        out = []
        for number, value in enumerate(op.nest.inputs):
            out.append(self._input(op, number, value, j) if op.nest.reads(number) else None)
        return out

    def _input(self, op: RowOp, number: int, value: ir.Value, j: int) -> ir.Value:
        if not isinstance(value.type, ir.ShapedType):
            return scalar_value(op.nest.op.operation, value, dict(self.held))
        constant = constant_of(value)
        if constant is not None:
            return arith.ConstantOp(value.type.element_type, constant).result
        inner = self.group.inner(value)
        if inner is not None:
            made = self.cells[inner]
            return made[j if len(made) > 1 else 0]
        return self._load(op, number, j)

    def _load(self, op: RowOp, number: int, j: int) -> ir.Value:
        kind, memory = op.access(number), _memory_of(op, number)
        if kind == OTHER:
            return memref.load(self.held[memory], self._place(op, number, j))
        key = (memory, kind, j if kind in (CELL, COLUMN) else 0)
        if key not in self.loaded:
            self.loaded[key] = self._at(kind, self.held[memory], j)
        return self.loaded[key]

    def _at(self, kind: str, buffer: ir.Value, j: int) -> ir.Value:
        at = {CELL: lambda: self._cell(self._column(j)), ROW: lambda: self.row, COLUMN: lambda: self._column(j)}
        return memref.load(line_of(buffer), [b.value(at[kind]() if kind in at else 0)])

    def _cell(self, column: Index) -> Index:
        return b.add(b.mul(self.row, self.group.columns), column)

    def _place(self, op: RowOp, number: int, j: int) -> list[ir.Value]:
        """The indices of an operand that is addressed by some of a row's coordinates."""
        split = split_index(self.row, [s if s >= 0 else self.rows for s in self.group.rows])
        coordinates = dict(zip(op.loops, [*split, self._column(j)]))
        places = []
        for expr in op.nest.maps[number].results:
            at = expr.value if isinstance(expr, ir.AffineConstantExpr) else coordinates.get(expr.position, 0)
            places.append(b.value(at))
        return places

    def _map(self, op: RowOp) -> None:
        several = len(self.columns) if op.results == CELL else 1
        made = [self._evaluated(op, self._inputs(op, j), []) for j in range(several)]
        for result, values in zip(op.nest.op.operation.results, zip(*made)):
            self.cells[result] = list(values)

    def _evaluated(self, op: RowOp, inputs: list[ir.Value | None], sums: list[ir.Value]) -> list[ir.Value]:
        first = len(op.nest.inputs)
        inits = sums or [self._init(op, first + i) for i in range(op.nest.results)]
        return evaluate(op.nest, [*inputs, *inits], [], self.held)

    def _init(self, op: RowOp, operand: int) -> ir.Value | None:
        constant = constant_of(op.nest.operands[operand])
        if constant is None or not op.nest.reads(operand):
            return None
        return arith.ConstantOp(op.nest.operands[operand].type.element_type, constant).result

    def _reduce(self, op: RowOp) -> None:
        combiners = combiners_of(op.nest) or []
        types = [v.type.element_type for v in op.nest.inits]
        sums = [c.neutral(t) for c, t in zip(combiners, types)]
        for j in range(len(self.columns)):
            made = self._evaluated(op, self._inputs(op, j), sums)
            active = self._active(j)
            sums = made if active is None else [arith.select(active, new, old) for new, old in zip(made, sums)]
        sums = [reduce_warp(v, c.combine) for v, c in zip(sums, combiners)]
        if self.lanes > WARP:
            sums = self._across_warps(sums, [c.combine for c in combiners])
        for result, init, c, total in zip(op.nest.op.operation.results, op.nest.inits, combiners, sums):
            start = start_value(constant_of(init), init, ())
            self.cells[result] = [c.combine(start, total)]

    def _across_warps(self, sums: list[ir.Value], combine: list) -> list[ir.Value]:
        """The sums of all warps of the block, in each of its threads; every reduction has words of its own."""
        lines = [self._shared_line(v.type) for v in sums]
        first = arith.cmpi(arith.CmpIPredicate.eq, b.value(b.mod(self.lane, WARP)), b.value(0))
        for value, line in zip(sums, lines):
            b.only_if(first, lambda v=value, line=line: memref.store(v, line, [b.value(self.warp)]))
        gpu.barrier()
        out = []
        for line, join in zip(lines, combine):
            total = memref.load(line, [b.value(0)])
            for warp in range(1, THREADS // WARP):
                total = join(total, memref.load(line, [b.value(warp)]))
            out.append(total)
        return out

    def _shared_line(self, type_: ir.Type) -> ir.Value:
        """A word per warp in shared memory."""
        i8, space = ir.IntegerType.get_signless(8), shared_space()
        whole = gpu.dynamic_shared_memory(ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], i8, memory_space=space))
        line = ir.MemRefType.get([THREADS // WARP], type_, memory_space=space)
        view = memref.view(line, whole, b.value(self.shared), [])
        self.shared += 8 * (THREADS // WARP)
        return view

    def _store(self, value: ir.Value) -> None:
        line, made = line_of(self.written[value]), self.cells[value]
        if self.group.kinds[value] == ROW:
            first = arith.cmpi(arith.CmpIPredicate.eq, b.value(self.lane), b.value(0))
            mine = first if self.exists is None else arith.andi(first, self.exists)
            b.only_if(mine, lambda: memref.store(made[0], line, [b.value(self.row)]))
            return
        for j, element in enumerate(made):
            conditions = [c for c in (self.exists, self._active(j)) if c is not None]
            mine = arith.andi(*conditions) if len(conditions) == 2 else conditions[0] if conditions else None
            at = self._cell(self.columns[j])
            b.only_if(mine, lambda e=element, at=at: memref.store(e, line, [b.value(at)]))
