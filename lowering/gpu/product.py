"""Convert a matrix product, or a ``pith.pit_tile`` over one: plan it, emit its kernel, launch it."""

from pith._mlir import ir
from pith.passes.core import pass_error

from .. import builder as b
from .host import Host
from .kernel import emit_product, role_sizes
from .match import Product, match_product
from .plan import plan_product


def convert_product(host: Host, op: ir.OpView) -> None:
    """Emit the kernel of a product and its launch."""
    product = match_product(op)
    plan = plan_product(product, host.target)
    buffers = {
        "entries": [] if product.pattern is None else host.buffers_of(op, product.pattern),
        "lhs": host.buffers_of(op, product.lhs.value),
        "rhs": host.buffers_of(op, product.rhs.value),
        "out": [host.init_buffer(op, product.out.value)],
    }
    if buffers["out"][0] in (*buffers["lhs"], *buffers["rhs"]):
        pass_error(op, "has no GPU lowering: its output is updated in place and must not be an input too")
    kind = "pit" if product.pattern else "matmul"
    arguments = [v for group in buffers.values() for v in group]
    with host.kernel(kind, [v.type for v in arguments], plan.body.threads) as (name, block):
        emit_product(product, plan, buffers, block)
    sizes = role_sizes(product, buffers)
    grid = [_blocks(product, role, sizes[role], plan.tile[role]) for role in "mn"]
    host.launch(op, name, grid, plan.body.threads, plan.shared_bytes, arguments)
    host.bind(op.results[0], buffers["out"])


def _blocks(product: Product, role: str, size: b.Index, tile: int) -> b.Index:
    """Blocks that hold every position of a role, whatever a pattern says: ceil((size + g - 1) / tile).

    ceil(size / g) micro-tiles of g elements fill fewer than size + g positions.
    """
    extra = product.granularity - 1 if product.axis == role else 0
    return b.ceildiv(b.add(size, extra), tile)
