"""Elementwise linalg ops: fills, maps, broadcasts, gathers; any maps, any number of results.

The kernel sees the op's loops as ``rows x columns``, columns being the last group of loops (see ``loops``)::

    block (x): R rows x P columns of the op, L lanes side by side on the columns
    for u in 0 .. UNROLL: columns at lane + u * L, a vector each where memory allows
      out[...] = body(in[...])

Rows are split into their loops once per thread. Columns are read in vectors of 16 bytes where every operand
that they walk is contiguous there and starts rows on such a boundary: it is one line, or its rows have a known
length that a vector divides.
"""

import dataclasses

from pith._mlir import gpu, ir, memref, vector

from ... import builder as b
from ...builder import Index
from ..host import Host
from ..outputs import constant_of, destination
from .kernel_values import Arguments
from .loops import Nest, evaluate, split_index

THREADS = 256

#: Vectors (or elements) a thread works on: enough to pay for splitting the row. Not measured yet.
UNROLL = 4

#: Bytes of the widest load.
VECTOR_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Shape:
    """How threads cover rows and columns.

    Attributes:
        lanes: threads side by side on the columns, a power of two; the others are on further rows.
        width: elements of a vector; 1 for none.
        whole: True when vectors never run over the end of a row.
    """

    lanes: int
    width: int
    whole: bool

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return THREADS // self.lanes

    @property
    def columns(self) -> int:
        """Columns of a block."""
        return self.lanes * self.width * UNROLL

    @classmethod
    def of(cls, nest: Nest, sizes: list[Index]) -> "Shape":
        """The shape for loops of these extents."""
        columns = sizes[-1] if sizes else 1
        width = _vector_width(nest, columns, len(sizes) == 1)
        whole = isinstance(columns, int) and columns % width == 0
        if not isinstance(columns, int):
            return cls(THREADS if len(sizes) == 1 else 32, width, whole)
        lanes = 1
        while lanes < THREADS and lanes * width * UNROLL < columns:
            lanes *= 2
        return cls(lanes, width, whole)


def _vector_width(nest: Nest, columns: Index, line: bool) -> int:
    """Elements per vector: every operand the last loop walks must be contiguous on it and aligned."""
    if not nest.groups:
        return 1
    last = len(nest.groups) - 1
    widths = []
    for operand, value in enumerate(nest.operands):
        access = nest.access(operand)
        if not access.mentions(last):
            continue
        bits = b.bits_of(value.type.element_type)
        if access.exprs[-1] != last or access.mentions(last) > 1 or bits < 8:
            return 1
        widths.append(VECTOR_BYTES * 8 // bits)
    width = min(widths, default=1)
    if line or (isinstance(columns, int) and columns % width == 0):
        return width
    return 1


def convert_elementwise(host: Host, op: ir.OpView, kind: str) -> None:
    """Emit the kernel of an op whose loops are all parallel, called by its ``kind``, and its launch."""
    nest = Nest.of(op)
    first = len(nest.inputs)
    outs = []
    for i, init in enumerate(nest.inits):
        reads = nest.reads(first + i) and constant_of(init) is None
        outs.append(host.init_buffer(op, init) if reads else destination(host, op, init))
    arguments = Arguments.of(host, nest, outs)
    sizes = nest.sizes(arguments.buffers)
    shape = Shape.of(nest, sizes)
    with host.kernel(kind, arguments.types, THREADS) as (name, block):
        _emit(nest, arguments.inside(block), shape)
    rows, columns = _rows_and_columns(sizes)
    grid = b.mul(b.ceildiv(rows, shape.rows), b.ceildiv(columns, shape.columns))
    host.launch(op, name, [grid], THREADS, 0, arguments.values)
    for result, out in zip(op.results, outs):
        host.bind(result, [out])


def _rows_and_columns(sizes: list[Index]) -> tuple[Index, Index]:
    return b.product(sizes[:-1]), sizes[-1] if sizes else 1


def _emit(nest: Nest, arguments: Arguments, shape: Shape) -> None:
    sizes = nest.sizes(arguments.buffers)
    rows, columns = _rows_and_columns(sizes)
    thread, block = gpu.thread_id(gpu.Dimension.x), gpu.block_id(gpu.Dimension.x)
    pieces = b.ceildiv(columns, shape.columns)
    row = b.add(b.mul(b.div(block, pieces), shape.rows), b.div(thread, shape.lanes))
    start = b.mul(b.mod(block, pieces), shape.columns)
    lane = b.mul(b.mod(thread, shape.lanes), shape.width)
    worker = _Worker(nest, arguments, [arguments.view(i) for i in range(len(nest.operands))], shape, columns)

    def at_row() -> None:
        outer = split_index(row, sizes[:-1])
        step = shape.lanes * shape.width
        b.for_loop(0, UNROLL, lambda u: worker.at(outer, b.add(b.add(start, b.mul(u, step)), lane)))

    if isinstance(rows, int) and rows == 1 and shape.rows == 1:
        at_row()
    else:
        b.if_else(b.less(row, rows), at_row)


@dataclasses.dataclass(frozen=True)
class _Worker:
    """Emits the work of one thread on one vector of columns."""

    nest: Nest
    arguments: Arguments
    views: list[ir.Value | None]
    shape: Shape
    columns: Index

    def at(self, outer: list[Index], column: Index) -> None:
        """Elements ``column`` up to the width of a vector, as far as the row goes."""
        width = self.shape.width
        if width == 1:
            b.if_else(b.less(column, self.columns), lambda: self._one(outer, column))
        elif self.shape.whole:
            b.if_else(b.less(column, self.columns), lambda: self._vector(outer, column))
        else:
            fits = b.less(b.add(column, width - 1), self.columns)
            end = b.minimum(b.add(column, width), self.columns)
            b.if_else(
                fits,
                lambda: self._vector(outer, column),
                lambda: b.for_loop(column, end, lambda c: self._one(outer, c), rolled=True) and None,
            )

    def _point(self, outer: list[Index], column: Index) -> list[Index]:
        return [*outer, column] if self.nest.groups else []

    def _one(self, outer: list[Index], column: Index) -> None:
        point = self._point(outer, column)
        given = [self._load(i, point) for i in range(len(self.nest.operands))]
        for (view, at), value in zip(self._outs(point), evaluate(self.nest, given, point, self.arguments.outside)):
            memref.store(value, view, at)

    def _load(self, operand: int, point: list[Index]) -> ir.Value | None:
        if not self.nest.reads(operand):
            return None
        return self.arguments.element(operand, self.views[operand], point)

    def _outs(self, point: list[Index]) -> list[tuple[ir.Value, list[ir.Value]]]:
        first = len(self.nest.inputs)
        return [(self.views[i], self.nest.access(i).at(point)) for i in range(first, len(self.nest.operands))]

    def _vector(self, outer: list[Index], column: Index) -> None:
        """A vector of every operand; the body runs on its elements one by one, which costs registers only."""
        width, point = self.shape.width, self._point(outer, column)
        loaded = [self._load_vector(i, point) for i in range(len(self.nest.operands))]
        made: list[list[ir.Value]] = []
        for lane in range(width):
            given = [
                vector.extract(v, [], [lane]) if v is not None and isinstance(v.type, ir.VectorType) else v
                for v in loaded
            ]
            here = self._point(outer, b.add(column, lane))
            made.append(evaluate(self.nest, given, here, self.arguments.outside))
        for (view, at), values in zip(self._outs(point), zip(*made)):
            type_ = ir.VectorType.get([width], view.type.element_type)
            vector.store(vector.from_elements(type_, list(values)), view, at, alignment=_alignment(type_))

    def _load_vector(self, operand: int, point: list[Index]) -> ir.Value | None:
        if not self.nest.reads(operand):
            return None
        view = self.views[operand]
        if view is None or self.nest.last_loop(operand) != len(self.nest.groups) - 1:
            return self.arguments.element(operand, view, point)
        type_ = ir.VectorType.get([self.shape.width], view.type.element_type)
        return vector.load(type_, view, self.nest.access(operand).at(point), alignment=_alignment(type_))


def _alignment(type_: ir.VectorType) -> int:
    return type_.shape[0] * b.bits_of(type_.element_type) // 8
