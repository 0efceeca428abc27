"""Convert a matrix product, or a ``pith.pit_tile`` over one: plan it, emit its kernel, launch it."""

import dataclasses
from collections.abc import Mapping, Sequence

from pith._mlir import ir
from pith.dialect.ops_detect import BUFFER
from pith.passes.core import pass_error

from ..builder import Index
from .epilogue import Fused, fuse
from .grid import Grid, Lists
from .groups import group_counts, group_pattern
from .host import Host
from .kernel import Operands, emit_product, role_sizes
from .match import Listing, Product, match_product
from .outputs import constant_of, destination
from .overbooked import convert_overbooked
from .plan import plan_product
from .write import Output


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a product goes.

    Attributes:
        out: the buffer of the result, of the last fused consumer if there is one.
        addend: the buffer of what is added to, None for zero.
    """

    out: ir.Value
    addend: ir.Value | None


def convert_product(host: Host, op: ir.OpView) -> None:
    """Emit the kernel of a product, with the elementwise ops behind it where they can be computed along."""
    if BUFFER in op.operation.attributes:
        convert_overbooked(host, op, op.operation.attributes[BUFFER].to_buffer())
        return
    product = match_product(op)
    plan = plan_product(product, host.target)
    fused = fuse(host, product)
    target = _target(host, product, fused)
    lhs, rhs = (host.buffers_of(op, v.value) for v in (product.lhs, product.rhs))
    if target.out in (*lhs, *rhs):
        pass_error(op, "has no GPU lowering: its output is updated in place and must not be an input too")
    sizes = role_sizes(product, Operands(lhs, rhs, target.out if fused is None else None))
    lists = [_lists(host, op, x, sizes) for x in product.listings]
    addend = [] if target.addend is None or target.addend == target.out else [target.addend]
    beside = fused.values if fused else []
    groups: list[Sequence[ir.Value]] = [*lists, lhs, rhs, addend, beside, [target.out]]
    arguments = [v for group in groups for v in group]
    kind = "pit" if product.listings else "matmul"
    with host.kernel(kind, [v.type for v in arguments], plan.body.threads) as (name, block):
        given = iter(block.arguments)
        *inner, left, right, added, extra, (out,) = [[next(given) for _ in group] for group in groups]
        start = added[0] if added else out if target.addend is not None else None
        matrix = fused.inside(extra) if fused else None
        operands = Operands(left, right, out if fused is None else None)
        held = _inner_lists(product, inner, role_sizes(product, operands))
        emit_product(product, plan, operands, held, _output(product, out, start, matrix))
    grid = Grid(product, plan.extents, plan.steps, sizes)
    host.launch(op, name, [grid.total()], plan.body.threads, plan.shared_bytes, arguments, plan.note)
    for result in [op.results[0], *(o.results[0] for o in (fused.epilogue.chain if fused else ()))]:
        host.bind(result, [target.out])


def _output(product: Product, out: ir.Value, addend: ir.Value | None, fused: Fused | None) -> Output:
    element = product.out.value.type.element_type
    buffer, finish = (fused.as_matrix(out), fused.finish) if fused else (out, None)
    return Output(buffer, product.out.roles, element, addend, product.accumulate, finish)


def _target(host: Host, product: Product, fused: Fused | None) -> Target:
    """Buffers of the result and of what it starts from: zeros are neither stored nor read where all is overwritten."""
    op, init = product.op, product.out.value
    zero = is_zero(constant_of(init))
    if fused is not None:
        last = fused.epilogue.last
        out = destination(host, last, last.operands[len(last.operands) - 1])
        return Target(out, None if zero else host.buffers_of(op, init)[-1])
    if product.writes_everything:
        out = destination(host, op, init)
        return Target(out, None if zero else host.buffers_of(op, init)[-1])
    out = host.init_buffer(op, init)
    return Target(out, None if zero and not product.accumulate else out)


def is_zero(constant: ir.Attribute | None) -> bool:
    """A number that is 0."""
    return isinstance(constant, ir.FloatAttr | ir.IntegerAttr) and constant.value == 0


def _lists(host: Host, op: ir.OpView, listing: Listing, sizes: dict[str, Index]) -> list[ir.Value]:
    """The buffers of a pattern: its list, or the lists of its groups and their counts."""
    if listing.group is not None:
        return group_pattern(host, op, listing, sizes)
    return host.buffers_of(op, listing.pattern)


def _inner_lists(
    product: Product, buffers: Sequence[Sequence[ir.Value]], sizes: dict[str, Index]
) -> Mapping[Listing, Lists]:
    held = {}
    for listing, group in zip(product.listings, buffers):
        capacity = group_counts(listing, sizes)[1] if listing.group is not None else 0
        held[listing] = Lists(*group, capacity=capacity)
    return held
