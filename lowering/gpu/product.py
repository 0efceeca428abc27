"""Convert a matrix product, or a ``pith.pit_tile`` over one: plan it, emit its kernel, launch it."""

from collections.abc import Sequence

from pith._mlir import ir
from pith.passes.core import pass_error

from .grid import Grid, Lists
from .host import Host
from .kernel import Operands, emit_product, role_sizes
from .match import Listing, match_product
from .plan import plan_product
from .write import Output


def convert_product(host: Host, op: ir.OpView) -> None:
    """Emit the kernel of a product and its launch."""
    product = match_product(op)
    plan = plan_product(product, host.target)
    lhs, rhs = (host.buffers_of(op, v.value) for v in (product.lhs, product.rhs))
    out = host.init_buffer(op, product.out.value)
    if out in (*lhs, *rhs):
        pass_error(op, "has no GPU lowering: its output is updated in place and must not be an input too")
    lists = [_lists(host, op, x) for x in product.listings]
    groups: list[Sequence[ir.Value]] = [*lists, lhs, rhs, [out]]
    kind = "pit" if product.listings else "matmul"
    arguments = [v for group in groups for v in group]
    with host.kernel(kind, [v.type for v in arguments], plan.body.threads) as (name, block):
        given = iter(block.arguments)
        *inner, left, right, (target,) = [[next(given) for _ in group] for group in groups]
        held = {x: Lists(*group) for x, group in zip(product.listings, inner)}
        output = Output(target, product.out.roles, product.out.value.type.element_type, target, product.accumulate)
        emit_product(product, plan, Operands(left, right, target), held, output)
    grid = Grid(product, plan.extents, plan.steps, role_sizes(product, Operands(lhs, rhs, out)))
    host.launch(op, name, [grid.total()], plan.body.threads, plan.shared_bytes, arguments)
    host.bind(op.results[0], [out])


def _lists(host: Host, op: ir.OpView, listing: Listing) -> list[ir.Value]:
    """The buffers of a pattern."""
    if listing.group is not None:
        pass_error(op, "has no GPU lowering: expects a pattern on one axis, got 2")
    return host.buffers_of(op, listing.pattern)
