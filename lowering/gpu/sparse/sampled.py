"""Products sampled where a tensor stores (SDDMM): every stored position is one dot product, whatever the format.

::

    team of lanes per position:  i, j = coordinates of position p               up the levels (``climb``)
                                 sum = dot(left[i, :], right[j, :])             lanes along k, then shuffles
                                 values[p] = start + sum

Positions are shared out evenly, so rows of any lengths cost the same per entry. Factors whose contracted dimension is
not contiguous are transposed first.
"""

import dataclasses

from pith._mlir import arith, gpu, ir, memref, vector
from pith.dialect import shape_of
from pith.formats import buffer_specs
from pith.passes.analysis.traversal import defining_op
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from ...numbers import converted, plus, times_plus
from ...sampled.match import Factor, SampledProduct, match_sampled
from ...sparse import levels
from ..host import Host
from ..linalg.transpose import transposed
from ..outputs import constant_of, destination, start_value
from ..warp import WARP, reduce_warp
from .climb import locate, stored_count, unclimbed_level
from .lanes import THREADS, load_columns

#: Contracted elements from which a warp shares a position rather than 8 lanes: 16 loads per lane. Not measured yet.
LONG = 512


@dataclasses.dataclass(frozen=True)
class Dot:
    """How a position's dot product is shared.

    Attributes:
        lanes: threads per position.
        width: elements of a load.
    """

    lanes: int
    width: int

    @classmethod
    def of(cls, depth: Index, element: ir.Type) -> "Dot":
        """For so many contracted elements: loads of 16 bytes where rows are known to begin at multiples of them."""
        width = 128 // element.width  # type: ignore[attr-defined]
        known = isinstance(depth, int)
        width = width if known and depth % width == 0 else 1
        return cls(8 if known and depth < LONG else WARP, width)


def convert_sampled(host: Host, op: ir.OpView) -> None:
    """Emit the kernel of a product sampled where its result stores, and its launch."""
    product = match_sampled(op)
    if product is None:
        pass_error(
            op,
            "has no GPU lowering: writes an encoded result but is not a product of two dense matrices",
            "compute densely and pith.compress the result",
        )
    level = unclimbed_level(product.format)
    if level:
        pass_error(
            op, f"has no GPU lowering: expects formats of dense, nm, compressed and singleton levels, got {level}"
        )
    values, start = _target(host, op, product)
    left, right = (_rows_of(host, op, f) for f in (product.rows, product.cols))
    metadata = [host.buffers_of(op, v)[-1] for v in product.target.owner.opview.buffers[:-1]]
    sizes = [b.value(host.dim(op, product.target, d)) for d in range(2)]
    dot = Dot.of(_depth(left, right), left.type.element_type)
    arguments = [*metadata, values, left, right, *sizes]
    with host.kernel("sddmm", [v.type for v in arguments], THREADS) as (name, block):
        *inner, own, rows, cols, m, n = block.arguments
        known = tuple(s if s >= 0 else v for s, v in zip(shape_of(product.target.type), (m, n)))
        _Emitter(product, _storage(product, inner, own, known), dot, start, rows, cols).emit()
    grid = b.ceildiv(b.dim_size(values, 0), THREADS // dot.lanes)
    host.launch(op, name, [grid], THREADS, 0, arguments)
    host.bind(op.results[0], [*metadata, values])


def _target(host: Host, op: ir.OpView, product: SampledProduct) -> tuple[ir.Value, ir.Attribute | None]:
    """The buffer of the values of the result, and the constant they start from (None: what it holds)."""
    stored = defining_op(product.target, "pith.assemble")
    if stored is None:
        pass_error(op, "has no GPU lowering: expects to add to the result of a pith.assemble")
    values = stored.opview.buffers[-1]
    constant = constant_of(values)
    return (destination(host, op, values) if constant is not None else host.init_buffer(op, values)), constant


def _rows_of(host: Host, op: ir.OpView, factor: Factor) -> ir.Value:
    """A factor with its contracted dimension last."""
    buffer = host.buffers_of(op, factor.value)[-1]
    return buffer if factor.contracted == 1 else transposed(host, op, buffer)


def _depth(left: ir.Value, right: ir.Value) -> Index:
    """The contracted size: a number when a type knows it."""
    known = [v.type.get_dim_size(1) for v in (left, right) if not v.type.is_dynamic_dim(1)]
    return known[0] if known else b.dim_size(left, 1)


def _storage(product: SampledProduct, metadata, values: ir.Value, sizes: tuple[Index, ...]) -> levels.Storage:
    fmt = product.format
    held = dict(zip(((s.level, s.role) for s in buffer_specs(fmt)), metadata))
    return levels.Storage(fmt, levels.level_sizes(fmt, sizes), held, values, sizes)


@dataclasses.dataclass(frozen=True)
class _Emitter:
    """Emits the kernel of one sampled product."""

    product: SampledProduct
    storage: levels.Storage
    dot: Dot
    start: ir.Attribute | None
    rows: ir.Value
    cols: ir.Value

    def emit(self) -> None:
        """The whole kernel."""
        thread = gpu.thread_id(gpu.Dimension.x)
        teams = THREADS // self.dot.lanes
        number = b.add(b.mul(gpu.block_id(gpu.Dimension.x), teams), b.div(thread, self.dot.lanes))
        count = b.minimum(stored_count(self.storage), b.dim_size(self.storage.values, 0))
        lane = b.mod(thread, self.dot.lanes)
        exists = b.less(number, count)
        # Threads without a position take part in the shuffles of their warp.
        total = b.if_else(exists, lambda: self._part(number, lane), self._nothing, [self.product.element])
        total = [reduce_warp(v, plus, self.dot.lanes) for v in total]
        first = arith.andi(exists, b.less(lane, 1))
        b.if_else(first, lambda: self._store(number, total[0]))

    def _nothing(self) -> list[ir.Value]:
        return [b.zero_of(self.product.element)]

    def _part(self, number: Index, lane: Index) -> list[ir.Value]:
        """This lane's share of the dot product of a position; nothing beyond the edge of a padded format."""
        coords = locate(self.storage, number)
        i, j = coords[self.product.outer], coords[1 - self.product.outer]
        inside = levels.inside(self.storage, coords)
        if inside is None:
            return self._dot(i, j, lane)
        return b.if_else(inside, lambda: self._dot(i, j, lane), self._nothing, [self.product.element])

    def _dot(self, i: Index, j: Index, lane: Index) -> list[ir.Value]:
        width, element = self.dot.width, self.product.element

        def body(k: Index, acc: ir.Value) -> list[ir.Value]:
            x, y = (
                converted(load_columns(m, [b.value(row), b.value(k)], width), element)
                for m, row in ((self.rows, i), (self.cols, j))
            )
            return [times_plus(x, y, acc)]

        zero = b.zero_of(element)
        if width > 1:
            zero = vector.broadcast(ir.VectorType.get([width], element), zero)
        depth = _depth(self.rows, self.cols)
        (acc,) = b.for_loop(b.mul(lane, width), depth, body, [zero], step=self.dot.lanes * width)
        if width == 1:
            return [acc]
        parts = [vector.extract(acc, [], [n]) for n in range(width)]
        while len(parts) > 1:
            parts = [plus(x, y) for x, y in zip(parts[::2], parts[1::2])]
        return parts

    def _store(self, number: Index, total: ir.Value) -> None:
        at = [b.value(number)]
        before = start_value(self.start, self.storage.values, at)
        made = plus(converted(before, total.type), total)
        memref.store(converted(made, before.type), self.storage.values, at)
