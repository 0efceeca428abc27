"""Convert a matrix product, or a ``pith.pit_tile`` over one: plan it, emit its kernel, launch it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from pith._mlir import ir
from pith.dialect.ops_detect import BUFFER
from pith.passes.analysis.traversal import is_zero_attribute
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from ..host import Host, buffer_type
from ..linalg.transpose import add_into
from ..outputs import constant_of, destination, extents
from ..patterns.groups import group_counts, group_pattern
from .epilogue import Fused, fuse
from .grid import Grid, Lists
from .kernel import Operands, emit_product, role_sizes
from .match import Listing, Product, match_product
from .overbooked import convert_overbooked
from .plan import Plan, plan_product
from .splits import launch_sum, parts_output, parts_type
from .variants import variants
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


@dataclasses.dataclass(frozen=True)
class Call:
    """What the kernels of a product are given, on the host or inside of them.

    Attributes:
        lists: the buffers of every pattern.
        lhs, rhs: buffers of the operands.
        addend: the buffer of what is added to, if that is not the output's.
        beside: operands of the consumers that are computed along.
        out: where sums go: the output, or their parts.
        maps: tensor maps of the operands that come in boxes.
    """

    lists: Sequence[Sequence[ir.Value]]
    lhs: Sequence[ir.Value]
    rhs: Sequence[ir.Value]
    addend: Sequence[ir.Value]
    beside: Sequence[ir.Value]
    out: ir.Value
    maps: Sequence[ir.Value] = ()

    @property
    def values(self) -> list[ir.Value]:
        """The arguments of a kernel."""
        groups = [*self.lists, self.lhs, self.rhs, self.addend, self.beside, [self.out], self.maps]
        return [v for group in groups for v in group]

    def inside(self, arguments: Sequence[ir.Value]) -> "Call":
        """The same as ``arguments`` of a kernel."""
        given = iter(arguments)

        def take(group: Sequence[ir.Value]) -> list[ir.Value]:
            return [next(given) for _ in group]

        lists = [take(group) for group in self.lists]
        lhs, rhs, addend, beside, out, maps = (
            take(group) for group in (self.lhs, self.rhs, self.addend, self.beside, [self.out], self.maps)
        )
        return Call(lists, lhs, rhs, addend, beside, out[0], maps)


def convert_product(host: Host, op: ir.OpView) -> None:
    """Emit the kernel of a product, with the elementwise ops behind it where they can be computed along."""
    if BUFFER in op.operation.attributes:
        convert_overbooked(host, op, op.operation.attributes[BUFFER].to_buffer())
        return
    product = match_product(op)
    plan = plan_product(product, host.target)
    fused = fuse(host, product)
    rounded = product.element != product.out.value.type.element_type
    target = _sums(host, product) if rounded else _target(host, product, fused)
    lhs, rhs = (host.buffers_of(op, v.value) for v in (product.lhs, product.rhs))
    if target.out in (*lhs, *rhs):
        pass_error(op, "has no GPU lowering: its output is updated in place and must not be an input too")
    sizes = role_sizes(product, Operands(lhs, rhs, target.out if fused is None else None))
    lists = [_lists(host, op, x, sizes) for x in product.listings]
    in_place = target.addend is not None and target.addend == target.out
    addend = [] if target.addend is None or in_place else [target.addend]
    call = Call(lists, lhs, rhs, addend, fused.values if fused else [], target.out)
    work = _Work(host, product, plan, fused, sizes, in_place)
    if plan.splits > 1:
        work.launch_split(call)
    else:
        work.launch(call, work.output)
    out = _round(host, product, target.out) if rounded else target.out
    for result in [op.results[0], *(o.results[0] for o in (fused.epilogue.chain if fused else ()))]:
        host.bind(result, [out])


@dataclasses.dataclass(frozen=True)
class _Work:
    """A planned product."""

    host: Host
    product: Product
    plan: Plan
    fused: Fused | None
    sizes: dict[str, Index]
    in_place: bool

    def launch(self, call: Call, output_of: Callable[[Call], Output]) -> None:
        """Emit and launch the kernel; ``output_of`` makes its output of what it is given.

        Where the copy engine brings operands if sizes that only run time knows allow, there is a second kernel that
        does without it: the grid of one of them is empty.
        """
        grid = Grid(self.product, self.plan.extents, self.plan.steps, self.sizes, self.plan.splits).total()
        for variant in variants(self.plan, (self.product.lhs, self.product.rhs), (call.lhs[-1], call.rhs[-1])):
            given = dataclasses.replace(call, maps=variant.maps)
            self._launch(given, output_of, variant.plan, b.mul(grid, variant.wanted))

    def _launch(self, call: Call, output_of: Callable[[Call], Output], plan: Plan, grid: Index) -> None:
        product = self.product
        kind = "pit" if product.listings else "matmul"
        with self.host.kernel(kind, [v.type for v in call.values], plan.body.threads) as (name, block):
            inner = call.inside(block.arguments)
            shaped = self.fused is None and plan.splits == 1
            operands = Operands(inner.lhs, inner.rhs, inner.out if shaped else None, inner.maps)
            held = _inner_lists(product, inner.lists, role_sizes(product, operands))
            emit_product(product, plan, operands, held, output_of(inner))
            if plan.resident > 1:
                i32 = ir.IntegerType.get_signless(32)
                block.owner.attributes["nvvm.minctasm"] = ir.IntegerAttr.get(i32, plan.resident)
        self.host.launch(product.op, name, [grid], plan.body.threads, plan.shared_bytes, call.values, plan.note)

    def launch_split(self, call: Call) -> None:
        """The same in two kernels: sums of parts of k, and their sum."""
        roles, sums = self.product.out.roles, self.plan.body.slab_shape().element
        type_ = parts_type(self.plan.splits, buffer_type(self.product.out.value.type), sums)
        parts = self.host.allocate(type_, [self.plan.splits, *(self.sizes[r] for r in roles)])
        matrix = Output(parts, roles, sums)
        self.launch(
            dataclasses.replace(call, addend=[], beside=[], out=parts), lambda inner: parts_output(inner.out, matrix)
        )
        last = dataclasses.replace(call, lists=[], lhs=[], rhs=[])
        launch_sum(self.host, self.product.op, parts, last, self.output)

    def output(self, inner: Call) -> Output:
        """Where results go, in a kernel that is given ``inner``."""
        start = inner.addend[0] if inner.addend else inner.out if self.in_place else None
        out, element = inner.out, self.product.element
        fused = self.fused.inside(inner.beside) if self.fused else None
        buffer, finish = (fused.as_matrix(out), fused.finish) if fused else (out, None)
        return Output(buffer, self.product.out.roles, element, start, self.product.accumulate, finish)


def _target(host: Host, product: Product, fused: Fused | None) -> Target:
    """Buffers of the result and of what it starts from: zeros are neither stored nor read where all is overwritten."""
    op, init = product.op, product.out.value
    zero = is_zero_attribute(constant_of(init))
    if fused is not None:
        last = fused.epilogue.last
        out = destination(host, last, last.operands[len(last.operands) - 1])
        return Target(out, None if zero else host.buffers_of(op, init)[-1])
    if product.writes_everything:
        out = destination(host, op, init)
        return Target(out, None if zero else host.buffers_of(op, init)[-1])
    out = host.init_buffer(op, init)
    return Target(out, None if zero and not product.accumulate else out)


def _sums(host: Host, product: Product) -> Target:
    """Memory in f32 for results in narrower floats that several blocks add to: atomic additions would round each."""
    sums = host.zeros(product.op, extents(host, product.op, product.out.value), product.element)
    return Target(sums, sums)


def _round(host: Host, product: Product, sums: ir.Value) -> ir.Value:
    """The output, with sums added to what it starts from and rounded once."""
    op, init = product.op, product.out.value
    constant = constant_of(init)
    out = host.init_buffer(op, init) if constant is None else destination(host, op, init)
    add_into(host, op, sums, out, constant, transpose=False)
    return out


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
