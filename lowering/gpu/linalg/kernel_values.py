"""What a kernel of a structured op is given: buffers, numbers from outside of its body, and constants."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, ir, memref

from ... import builder as b
from ...builder import Index
from ..host import Host
from ..outputs import constant_of
from .loops import Nest, captured, scalar_value


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The operands of an op, on the host or inside of its kernel.

    Attributes:
        nest: the op.
        buffers: per operand its memref; None for numbers, and where every element is one constant.
        outside: values from outside of the loops.
    """

    nest: Nest
    buffers: tuple[ir.Value | None, ...]
    outside: dict[ir.Value, ir.Value]

    @classmethod
    def of(cls, host: Host, nest: Nest, outs: Sequence[ir.Value]) -> "Arguments":
        """Of an op that writes to ``outs``."""
        buffers: list[ir.Value | None] = []
        for i, v in enumerate(nest.inputs):
            number = not isinstance(v.type, ir.ShapedType)
            known = number or (constant_of(v) is not None and not _sizes_a_loop(nest, i))
            buffers.append(None if known else _on_host(host, nest.op, v))
        outside = {v: _on_host(host, nest.op, v) for v in captured(nest)}
        return cls(nest, (*buffers, *outs), outside)

    @property
    def values(self) -> list[ir.Value]:
        """The arguments of the kernel."""
        return [*(v for v in self.buffers if v is not None), *self.outside.values()]

    @property
    def types(self) -> list[ir.Type]:
        """Their types."""
        return [v.type for v in self.values]

    def inside(self, block: ir.Block) -> "Arguments":
        """The same, as the arguments of the kernel's entry block."""
        given = iter(block.arguments)
        buffers = tuple(None if v is None else next(given) for v in self.buffers)
        return Arguments(self.nest, buffers, {v: next(given) for v in self.outside})

    def view(self, operand: int) -> ir.Value | None:
        """An operand's memref with the dimensions of grouped loops as one; None for numbers."""
        buffer = self.buffers[operand]
        return None if buffer is None else self.nest.access(operand).view(buffer)

    def element(self, operand: int, view: ir.Value | None, point: Sequence[Index]) -> ir.Value:
        """An element of an operand at a point of the grouped loops."""
        value = self.nest.operands[operand]
        if not isinstance(value.type, ir.ShapedType):
            return scalar_value(self.nest.op.operation, value, dict(self.outside))
        constant = constant_of(value)
        if constant is not None:
            return arith.ConstantOp(value.type.element_type, constant).result
        return memref.load(view, self.nest.access(operand).at(point))


def _sizes_a_loop(nest: Nest, operand: int) -> bool:
    """True when no other operand tells the extent of a loop that this one walks."""
    access = nest.access(operand)
    others = {e for i in range(len(nest.operands)) if i != operand for e in nest.access(i).exprs if isinstance(e, int)}
    return any(isinstance(e, int) and e not in others for e in access.exprs)


def _on_host(host: Host, op: ir.OpView, value: ir.Value) -> ir.Value:
    if isinstance(value.type, ir.IndexType):
        return b.value(host.size(op, value))
    return host.buffers_of(op, value)[-1]
