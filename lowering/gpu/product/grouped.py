"""Grouped products: ``out[rows of group] += lhs[rows of group] @ rhs[group]`` where a list says which rows a group has.

Experts of a mixture and sequences of a ragged batch are groups. Rows are gathered, multiplied and scattered where they
are, in tiles of one group each (:mod:`segments`); what the body of the ``pith.pit_tile`` makes of the sums (a bias, an
activation, gates) is computed as they are stored. The number of tiles is known on the device only: blocks are launched
for as many as there can be, and those without one return. Where rows meet (``accumulate`` without ``pith.partition``),
results are added atomically.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import gpu, ir
from pith.dialect import shape_of
from pith.dialect.tiling import bare_dim
from pith.passes.analysis.traversal import is_zero_attribute

from ... import builder as b
from ...patterns.products import ListedProduct, match_listed_product
from ...targets import CHIPS
from ..host import Host
from ..outputs import constant_of, destination
from ..patterns.lists import DeviceList
from ..patterns.segments import Segments, make_segments
from .finish import TileFinish, then_added
from .kernel import Operands, role_sizes, sources_of
from .match import Product, View
from .menu import FMA_MENU, MMA_MENU, WGMMA_MENU, best
from .pipeline import Operand, contract
from .plan import Plan, plan_product, refuse
from .product import convert_product
from .staging import Threads
from .tiles import Axis, SharedMemory, plain_axis
from .variants import variants
from .write import Output, write_back

#: Rows of a tile where nothing says how many a group has: the experts of common mixtures see 32 to 256 tokens a step.
_ROWS = 64

#: Places of the largest tile where alignment is known at run time only: such kernels hold both ways to copy an
#: operand, and 64 x 128 of them spill registers (ptxas 13.0, f16, 255 registers and 72 bytes).
_DYNAMIC = 64 * 64


@dataclasses.dataclass(frozen=True)
class Grouped:
    """A grouped product.

    Attributes:
        listed: the op, as products of matrices under loops.
        product: the matrices, whose group is role ``g``.
        stream: the axis of the pattern that lies on rows.
        granularity: elements of a micro-tile along rows.
        roles: of every loop of the op.
    """

    listed: ListedProduct
    product: Product
    stream: int
    granularity: int
    roles: dict[int, str]


def convert_tile(host: Host, op: ir.OpView) -> None:
    """``pith.pit_tile``: a grouped product, or one product."""
    grouped = match_grouped(op)
    if grouped is None:
        convert_product(host, op)
    else:
        convert_grouped(host, op, grouped)


def match_grouped(op: ir.OpView) -> Grouped | None:
    """Recognise a ``pith.pit_tile`` whose one pattern lists rows per group."""
    if len(op.patterns) != 1:
        return None
    listed = match_listed_product(op)
    if listed is None or listed.blocks is not None or len(listed.listings[0].loops) != 2:
        return None
    (listing,), c = listed.listings, listed.product
    (group,) = (d for d in listing.loops if d != listing.loop)
    tiling = listed.tiling
    if c.outer != (group,) or listing.loop not in (c.row, c.col):
        return None
    if tiling.granularity[tiling.pattern_axes[0][1 - listing.stream]] != 1:
        return None
    other = c.col if listing.loop == c.row else c.row
    roles = {listing.loop: "m", other: "n", c.red: "k", group: "g"}
    lhs = next(i for i in (0, 1) if listing.loop in c.dims[i])
    values = c.values
    left, right, out = (View(values[i], tuple(roles[d] for d in c.dims[i])) for i in (lhs, 1 - lhs, 2))
    atomic = "g" not in out.roles and not listed.is_partition
    granularity = tiling.granularity[tiling.pattern_axes[0][listing.stream]]
    return Grouped(listed, Product(op, left, right, out, accumulate=atomic), listing.stream, granularity, roles)


def convert_grouped(host: Host, op: ir.OpView, grouped: Grouped) -> None:
    """Emit the kernels of a grouped product and their launches."""
    product = dataclasses.replace(grouped.product, tile=_tile(grouped.product, host.target.chip))
    plan = plan_product(product, host.target)
    plan = dataclasses.replace(plan, boxes=(None, plan.boxes[1]))  # rows are gathered
    _check(product, plan, grouped.granularity)
    (entries,) = host.buffers_of(op, op.patterns[0])
    inputs = [host.buffers_of(op, v)[-1] for v in op.inputs]
    out, adds = _destination(host, op, grouped)
    sizes = role_sizes(product, _operands(grouped, [*inputs, out]))
    grid = (b.ceildiv(sizes["m"], grouped.granularity), sizes["g"])
    tile = plan.extents["m"] // grouped.granularity
    segments = host.derive(
        ("segments", entries, grouped.stream, tile),
        lambda: make_segments(host, op, DeviceList(entries, 2), grouped.stream, grid, tile),
    )
    total = b.mul(segments.most_tiles, b.ceildiv(sizes["n"], plan.extents["n"]))
    held = _operands(grouped, [*inputs, out])
    for variant in variants(plan, (product.lhs, product.rhs), (held.lhs[0], held.rhs[0])):
        arguments = [*segments.buffers, *inputs, out, *variant.maps]
        with host.kernel("grouped", [v.type for v in arguments], plan.body.threads) as (name, block):
            given = list(block.arguments)
            buffers, maps = given[4 : len(inputs) + 5], given[len(inputs) + 5 :]
            _Kernel(grouped, product, variant.plan, Segments(*given[:4]), buffers, maps, adds).emit()
        blocks = b.mul(total, variant.wanted)
        host.launch(op, name, [blocks], plan.body.threads, plan.shared_bytes, arguments, variant.plan.note)
    host.bind(op.results[0], [out])


def _tile(product: Product, chip: str) -> dict[str, int]:
    """The tile of the menu that suits a group's share of the rows."""
    sizes = {r: n for v in product.views for r, n in zip(v.roles, shape_of(v.value.type)) if n >= 0}
    element = product.lhs.value.type.element_type
    width, experts = element.width // 8, sizes.get("g", -1)
    rows = -(-sizes["m"] // experts) if "m" in sizes and experts > 0 else _ROWS
    depth = sizes["k"] * width if "k" in sizes else -1
    groups = CHIPS[chip].wgmma and width == 2
    menu = FMA_MENU if isinstance(element, ir.F32Type) else (*WGMMA_MENU, *MMA_MENU) if groups else MMA_MENU
    if width < 4 and (depth < 0 or "n" not in sizes):
        menu = [choice for choice in menu if choice.m * choice.n <= _DYNAMIC]
    gain = 1 / CHIPS[chip].mma_share if groups else 1.0
    choice = best(menu, (experts, rows, sizes.get("n", -1), depth), CHIPS[chip].sms, gain)
    return {"m": choice.m, "n": choice.n, "k": choice.k_bytes // width}


def _check(product: Product, plan: Plan, granularity: int) -> None:
    if product.out.roles[-1] != "n":
        refuse(product, "expects the columns of a grouped product to be last in its result")
    if plan.extents["m"] % granularity:
        refuse(product, f"expects a granularity that divides {plan.extents['m']} rows, got {granularity}")
    out = product.out.value.type.element_type
    if product.accumulate and not isinstance(out, ir.F32Type):
        refuse(product, f"accumulates with atomic adds and expects an f32 output, got {out}")


def _operands(grouped: Grouped, buffers: list[ir.Value], maps: Sequence[ir.Value] = ()) -> Operands:
    """The matrices among the buffers of the op's inputs and init."""
    inputs = list(grouped.product.op.inputs)
    lhs, rhs = (buffers[inputs.index(v.value)] for v in (grouped.product.lhs, grouped.product.rhs))
    return Operands([lhs], [rhs], buffers[-1], maps)


def _destination(host: Host, op: ir.OpView, grouped: Grouped) -> tuple[ir.Value, bool]:
    """The buffer of the result, and whether what it holds counts where a row is stored."""
    adds, zero = not grouped.listed.body.replaces, is_zero_attribute(constant_of(op.init))
    if grouped.listed.is_partition and (zero or not adds):
        return destination(host, op, op.init), False
    return host.init_buffer(op, op.init), adds and not zero


@dataclasses.dataclass(frozen=True)
class _Kernel:
    """The kernel of a grouped product: a block owns a tile of one group's rows.

    Attributes:
        buffers: of the op's inputs and result.
        maps: tensor maps of operands that come in boxes.
        adds: a row is added to what is there.
    """

    grouped: Grouped
    product: Product
    plan: Plan
    segments: Segments
    buffers: list[ir.Value]
    maps: list[ir.Value]
    adds: bool

    def emit(self) -> None:
        """Emit it at the insertion point."""
        operands, plan = _operands(self.grouped, self.buffers, self.maps), self.plan
        sizes = role_sizes(self.product, operands)
        threads = Threads(plan.body.threads, gpu.thread_id(gpu.Dimension.x))
        columns = b.ceildiv(sizes["n"], plan.extents["n"])
        block = gpu.block_id(gpu.Dimension.x)
        # Neighbouring blocks share the rows they gather, which are fewer than the weights of a group.
        number, column = b.div(block, columns), b.mod(block, columns)
        exists, group = self.segments.tile(number)

        def tile() -> None:
            axes = {
                "m": self.segments.axis(number, group, plan.extents["m"], sizes["m"], self.grouped.granularity),
                "n": plain_axis(b.mul(column, plan.extents["n"]), plan.extents["n"], sizes["n"]),
                "k": plain_axis(0, plan.extents["k"], sizes["k"]),
                "g": Axis(group, 1, sizes["g"], True),
            }
            sources = sources_of(self.product, plan, operands, sizes)
            both = [Operand(source, shapes) for source, shapes in zip(sources, plan.shapes(self.product))]
            memory = SharedMemory.open()
            acc = contract(plan.body, both, axes, plan.stages, threads, memory)
            write_back(plan.body, acc, axes, self._output(operands.out, group), threads, memory)

        b.only_if(exists, tile)

    def _output(self, out: ir.Value, group: ir.Value) -> Output:
        """Where the sums go, by way of the body's elementwise op."""
        listed, roles = self.grouped.listed, self.product.out.roles
        finish = None
        if listed.body.finish is not None:
            held = [[self.grouped.roles[bare_dim(e)] for e in m.results] for m in listed.tiling.maps]  # type: ignore[index]
            finish = TileFinish(listed.body.finish, held, self.buffers, {"g": group})
        if self.adds and not self.product.accumulate:
            finish = then_added(finish, out, [group] if "g" in roles else [])
        return Output(out, roles, listed.body.sums, atomic=self.product.accumulate, finish=finish)
