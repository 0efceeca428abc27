"""Scalar bodies that add a product to what is there: what products of tensors of every kind have in common."""

from __future__ import annotations

import dataclasses

from pith._mlir import ir

from .traversal import defining_op

#: What widens a factor and keeps its sign; with integers that have none; and with numbers of another kind.
SIGNED_CASTS = ("arith.extf", "arith.extsi")
WIDENING_CASTS = (*SIGNED_CASTS, "arith.extui")
CASTS = (*WIDENING_CASTS, "arith.sitofp", "arith.uitofp")


@dataclasses.dataclass(frozen=True)
class MultiplyAdd:
    """A body that yields ``out + a * b``, ``out`` the last argument of its block.

    Attributes:
        block: the body.
        product, total: the multiplication and the addition.
    """

    block: ir.Block
    product: ir.Operation
    total: ir.Operation

    @classmethod
    def of(cls, block: ir.Block) -> MultiplyAdd | None:
        """The body as one that adds a product, or None when it yields something else, or several values."""
        *_, out = block.arguments
        *_, end = block.operations
        total = defining_op(end.operands[0], "arith.addf", "arith.addi") if len(end.operands) == 1 else None
        terms = [v for v in total.operands if v != out] if total is not None else []
        product = defining_op(terms[0], "arith.mulf", "arith.muli") if len(terms) == 1 else None
        return None if total is None or product is None else cls(block, product, total)

    @property
    def factors(self) -> tuple[ir.Value, ir.Value]:
        """What is multiplied."""
        a, b = self.product.operands
        return a, b

    def multiplies_inputs(self, *casts: str) -> bool:
        """Whether the factors are both inputs of three arguments, as they are or brought to their type by ``casts``."""
        factors = [v if (cast := defining_op(v, *casts)) is None else cast.operands[0] for v in self.factors]
        *inputs, _ = self.block.arguments
        return factors in (inputs, inputs[::-1])


def multiplies_inputs(block: ir.Block, *casts: str) -> bool:
    """Whether a body adds the product of its two inputs, see :meth:`MultiplyAdd.multiplies_inputs`."""
    found = MultiplyAdd.of(block)
    return found is not None and found.multiplies_inputs(*casts)
