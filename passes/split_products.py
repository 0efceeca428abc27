"""``pith-split-products``: compute what is multiplied before multiplying."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from pith._mlir import arith, ir, tensor
from pith.dialect.tiling import dims_of

from .analysis.products import is_operand, multiplicands
from .analysis.structured import Structured, dim_positions, structured_ops
from .cloning import clone
from .core import Pass
from .generic import generic


@dataclasses.dataclass(frozen=True)
class SplitProductsPass(Pass):
    """Take elementwise ops on a factor out of the sum of products that they were fused into.

    Before::

        %y = linalg.generic {maps = [(q, k, d) -> (q, k), (q, k, d) -> (q), (q, k, d) -> (k, d), (q, k, d) -> (q, d)]}
             ins(%e, %total, %v) outs(%c) { %p = divf %e, %total; %m = mulf %p, %v; addf %o, %m }

    After::

        %p = linalg.generic {maps = [(q, k) -> (q, k), (q, k) -> (q), (q, k) -> (q, k)]} ins(%e, %total) ... { divf }
        %y = linalg.generic {maps = [(q, k, d) -> (q, k), (q, k, d) -> (k, d), (q, k, d) -> (q, d)]}
             ins(%p, %v) outs(%c) { mulf, addf }

    Fused, they are computed anew for every loop that the factor does not depend on, and what is left is
    no matrix product that a kernel is known for.

    Operands may be of any float type, sums are of f32 or f64. A factor that is only widened stays where it is when
    the other one does, too: kernels widen what they read.

    Requires: tensors. Preserves: results bit by bit. Does not do: encoded operands; factors that depend
    on every loop. Cost: linear.
    """

    name: ClassVar[str] = "pith-split-products"

    def run(self, module: ir.Module) -> None:
        with module.context:
            for op in structured_ops(module):
                factors = multiplicands(op)
                if factors and not all(is_operand(v) for v in factors):
                    _split(op, factors)


def _split(op: Structured, values: list[ir.Value]) -> None:
    factors = [_Factor.of(op, v) for v in values]
    if len(factors) != 2 or not all(f.is_separable(op) for f in factors):
        return
    with ir.InsertionPoint(op.op), op.op.operation.location:
        inputs = [f.compute(op) for f in factors]
        maps = [ir.AffineMap.get(op.maps[0].n_dims, 0, [ir.AffineDimExpr.get(d) for d in f.loops]) for f in factors]
        *_, product, total, end = op.body.operations
        *_, out = op.body.arguments

        def multiply_add(*elements: ir.Value) -> ir.Value:
            known = dict(zip((*values, out), elements))
            clone((product, total), known)
            return known[end.operands[0]]

        new = generic(inputs, op.inits[0], [*maps, op.maps[-1]], op.iterators, multiply_add)
    op.op.operation.results[0].replace_all_uses_with(new)
    op.op.operation.erase()


@dataclasses.dataclass(frozen=True)
class _Factor:
    """One side of the products.

    Attributes:
        value: what is multiplied.
        inputs: operands that it is computed from.
        loops: that it depends on, in the order of the first input that has them all.
        body: the ops that compute it, in order.
    """

    value: ir.Value
    inputs: tuple[int, ...]
    loops: tuple[int, ...]
    body: tuple[ir.OpView, ...]

    @classmethod
    def of(cls, op: Structured, value: ir.Value) -> "_Factor":
        """The factor behind a value of the body of ``op``."""
        needed, body = [value], []
        for inner in reversed(list(op.body.operations)):
            if any(r in needed for r in inner.results):
                body.insert(0, inner)
                needed += list(inner.operands)
        inputs = [i for i, v in enumerate(op.body.arguments) if v in needed]
        loops = sorted({d for i in inputs for e in op.maps[i].results for d in dims_of(e)})
        orders = [dim_positions(op.maps[i]) for i in inputs]
        order = next((o for o in orders if sorted(d for d in o if d is not None) == loops and None not in o), loops)
        return cls(value, tuple(inputs), tuple(d for d in order if d is not None), tuple(body))

    def is_separable(self, op: Structured) -> bool:
        """It is an input as it is, or arithmetic on inputs that fewer loops walk than the op has; no constant."""
        if not self.inputs:
            return False
        if not self.body:
            return dim_positions(op.maps[self.inputs[0]]) == self.loops
        plain = all(not len(o.operation.regions) and o.operation.name != "linalg.index" for o in self.body)
        sized = {d for i in self.inputs for d in dim_positions(op.maps[i])}
        reads_out = len(op.inputs) in self.inputs
        return plain and not reads_out and set(self.loops) <= sized and len(self.loops) < len(op.iterators)

    def compute(self, op: Structured) -> ir.Value:
        """The factor as a tensor."""
        if not self.body:
            return op.inputs[self.inputs[0]]
        number = {d: i for i, d in enumerate(self.loops)}
        inputs = [op.inputs[i] for i in self.inputs]
        renumber = [ir.AffineExpr.get_dim(number.get(d, 0)) for d in range(len(op.iterators))]
        maps = [
            ir.AffineMap.get(len(number), 0, [e.compose(_map(len(number), renumber)) for e in op.maps[i].results])
            for i in self.inputs
        ]
        sizes = [_size(op, self.inputs, d) for d in self.loops]
        init = tensor.empty(sizes, self.value.type)
        same = ir.AffineMap.get_identity(len(number))

        def factor(*elements: ir.Value) -> ir.Value:
            known = dict(zip((op.body.arguments[i] for i in self.inputs), elements))
            clone(self.body, known)
            return known[self.value]

        return generic(inputs, init, [*maps, same], ["parallel"] * len(number), factor)


def _map(dims: int, results: Sequence[ir.AffineExpr]) -> ir.AffineMap:
    return ir.AffineMap.get(dims, 0, list(results))


def _size(op: Structured, inputs: Sequence[int], loop: int) -> int | ir.Value:
    """Trip count of a loop, from the first input that shows it; an int when its type tells."""
    i = next(i for i in inputs if loop in dim_positions(op.maps[i]))
    position, source = dim_positions(op.maps[i]).index(loop), op.inputs[i]
    if not source.type.is_dynamic_dim(position):
        return source.type.get_dim_size(position)
    return tensor.dim(source, arith.constant(ir.IndexType.get(), position))
