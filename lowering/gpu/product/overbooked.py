"""Overbooked tiles: an operand's head stays in shared memory, and what does not fit is streamed.

A ``pith.pit_tile`` over a product with ``pith.buffer = #pith.buffer<capacity, "stream", "shared">`` gives every block a
panel of columns of the rhs and several tiles of rows. The panel's first tiles, as many as ``capacity`` elements hold,
are fetched once per block; the others once per tile of rows, through the copies every product has. How long the panel
is (a pattern along k says so at run time) decides what is streamed, never whether the result is right: a capacity may
suit most panels instead of the longest.

Source: Tailors (overbooked buffers), MICRO 2023: positions up to the capacity are fetched once per tile, the rest once
per pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pith._mlir import arith, gpu, ir
from pith.dialect.buffer import Buffer
from pith.passes.analysis.traversal import is_zero_attribute

from ... import builder as b
from ...builder import Index
from ...targets import CHIPS, GpuTarget
from ..host import Host
from ..outputs import constant_of, destination
from .kernel import Operands, role_sizes
from .layout import SWIZZLE_BYTES
from .match import Product, match_product
from .pipeline import Operand, Resident, contract, pipeline_bytes
from .plan import Plan, plan_product, refuse
from .staging import DenseSource, Threads
from .tiles import Axis, SharedMemory, TileShape, micro_tiles, pattern_axis, plain_axis
from .write import Output, write_back


def convert_overbooked(host: Host, op: ir.OpView, buffer: Buffer) -> None:
    """Emit the kernel of a product whose rhs has a bounded buffer."""
    product = match_product(op)
    # Tiles are filled again beside those that stay, after results went through shared memory: not by the copy engine.
    plan = dataclasses.replace(plan_product(product, host.target), boxes=(None, None))
    _check(product, plan, buffer)
    tiles, shared = _room(product, plan, buffer, host.target)
    (lhs,), (rhs,) = (host.buffers_of(op, v.value) for v in (product.lhs, product.rhs))
    zero = is_zero_attribute(constant_of(product.out.value))
    out = destination(host, op, product.out.value) if zero else host.init_buffer(op, product.out.value)
    sizes = role_sizes(product, Operands([lhs], [rhs], out))
    lists = [host.buffers_of(op, x.pattern)[0] for x in product.listings]
    arguments = [*lists, lhs, rhs, out]
    with host.kernel("overbooked", [v.type for v in arguments], plan.body.threads) as (name, block):
        *given, left, right, target = block.arguments
        _Kernel(product, plan, tiles, Operands([left], [right], target), given, not zero).emit()
    columns, rows = (b.ceildiv(sizes[role], plan.extents[role]) for role in "nm")
    # Blocks for every multiprocessor, but no more: each one fetches the head of its panel again.
    groups = b.minimum(rows, b.ceildiv(CHIPS[host.target.chip].sms, b.maximum(columns, 1)))
    note = f"{plan.note}; {tiles} tiles of rhs resident"
    host.launch(op, name, [b.mul(columns, groups)], plan.body.threads, shared, arguments, note)
    host.bind(op.results[0], [out])


def _check(product: Product, plan: Plan, buffer: Buffer) -> None:
    if (buffer.overflow, buffer.space) != ("stream", "shared"):
        refuse(product, f'expects pith.buffer to stream past "shared", got {buffer.overflow!r} past {buffer.space!r}')
    if product.batch or any(x.role != "k" or x.group is not None for x in product.listings):
        refuse(product, "expects pith.buffer on a product of matrices, with a pattern along the contracted axis if any")
    if plan.feeds != (None, None):
        refuse(product, "expects pith.buffer on a product of dense operands")


def _room(product: Product, plan: Plan, buffer: Buffer, target: GpuTarget) -> tuple[int, int]:
    """(tiles of the rhs that stay, bytes of shared memory)."""
    lhs, rhs = _shapes(product, plan)
    tiles = buffer.capacity // (plan.extents["k"] * plan.extents["n"])
    listing = product.listing("k")
    entries = micro_tiles(plan.body.k, listing.granularity) if listing else 0
    streamed = pipeline_bytes([*lhs, *rhs], plan.stages, entries)
    shared = _slab_bytes(plan) + streamed + tiles * sum(s.nbytes for s in rhs)
    if shared > target.max_shared_bytes:
        most = target.max_shared_bytes - (shared - tiles * sum(s.nbytes for s in rhs))
        fits = max(most, 0) // sum(s.nbytes for s in rhs) * plan.extents["k"] * plan.extents["n"]
        refuse(product, f"expects a buffer of {fits} elements at most in shared memory, got {buffer.capacity}")
    return tiles, shared


def _shapes(product: Product, plan: Plan) -> tuple[list[TileShape], list[TileShape]]:
    return plan.body.layout(*(v.value.type.element_type for v in (product.lhs, product.rhs)))


def _slab_bytes(plan: Plan) -> int:
    """Shared memory through which sums are written back; here nothing else may lie there."""
    return -(-plan.body.slab_shape().nbytes // SWIZZLE_BYTES) * SWIZZLE_BYTES


@dataclasses.dataclass(frozen=True)
class _Kernel:
    """The kernel of an overbooked product: a block owns a panel of columns and every so-manieth tile of rows.

    Attributes:
        tiles: of the panel that stay in shared memory.
        lists: the pattern's list, if k follows one.
        adds: the product is added to what its result holds.
    """

    product: Product
    plan: Plan
    tiles: int
    operands: Operands
    lists: list[ir.Value]
    adds: bool

    def emit(self) -> None:
        """Emit it at the insertion point."""
        extents, out = self.plan.extents, self.operands.out
        sizes = role_sizes(self.product, self.operands)
        columns = b.ceildiv(sizes["n"], extents["n"])
        block = gpu.block_id(gpu.Dimension.x)
        first, step = b.div(block, columns), b.div(gpu.grid_dim(gpu.Dimension.x), columns)
        fixed = {
            "n": plain_axis(b.mul(b.mod(block, columns), extents["n"]), extents["n"], sizes["n"]),
            "k": self._depth(sizes["k"]),
        }
        threads = Threads(self.plan.body.threads, gpu.thread_id(gpu.Dimension.x))
        output = Output(
            out, self.product.out.roles, self.product.out.value.type.element_type, out if self.adds else None
        )

        def rows(number: Index) -> None:
            m = plain_axis(b.mul(number, extents["m"]), extents["m"], sizes["m"])
            is_first = arith.cmpi(arith.CmpIPredicate.eq, b.value(number), b.value(first))
            self._tile({**fixed, "m": m}, is_first, output, threads)

        b.for_loop(b.value(first), b.ceildiv(sizes["m"], extents["m"]), rows, step=step)

    def _tile(self, axes: Mapping[str, Axis], is_first: ir.Value, output: Output, threads: Threads) -> None:
        """One tile of rows times the panel."""
        views, memory = (self.product.lhs, self.product.rhs), SharedMemory.open()
        memory.used = _slab_bytes(self.plan)
        both = [
            Operand(DenseSource(buffers[0], view.roles), shapes)
            for buffers, view, shapes in zip(
                (self.operands.lhs, self.operands.rhs), views, _shapes(self.product, self.plan)
            )
        ]
        resident = Resident(1, self.tiles, is_first) if self.tiles else None
        acc = contract(self.plan.body, both, axes, self.plan.stages, threads, memory, resident)
        write_back(self.plan.body, acc, axes, output, threads, memory)

    def _depth(self, size: Index) -> Axis:
        """The axis of k: all of it, or what the pattern lists."""
        extent = self.plan.extents["k"]
        listing = self.product.listing("k")
        if listing is None:
            return plain_axis(0, extent, size)
        return pattern_axis(self.lists[0], listing.granularity, 0, extent, size)
