"""Structured ops as data: operands, indexing maps, iterators and body of a ``linalg`` op.

What the tensor-level passes share. A named contraction (``linalg.matmul``, ``linalg.batch_matmul``,
...) reads like the ``linalg.generic`` it stands for, and is rebuilt as one when it changes.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from pith._mlir import ir, linalg
from pith.dialect.tiling import bare_dim

from .traversal import is_used, ops_where


@dataclasses.dataclass(frozen=True)
class Structured:
    """A ``linalg.generic``, or a named contraction seen as one, on tensors.

    Attributes:
        op: the operation.
        inputs, inits: operands that are read, operands that are updated.
        maps: indexing maps, inputs then inits.
        iterators: ``parallel`` or ``reduction`` per loop.
    """

    op: ir.OpView
    inputs: tuple[ir.Value, ...]
    inits: tuple[ir.Value, ...]
    maps: tuple[ir.AffineMap, ...]
    iterators: tuple[str, ...]

    @property
    def body(self) -> ir.Block:
        """The scalar computation."""
        return self.op.operation.regions[0].blocks[0]

    @classmethod
    def of(cls, op: ir.OpView) -> "Structured | None":
        """``op`` as data, or None when it is neither a ``linalg.generic`` nor a named contraction on tensors."""
        operation = op.operation
        generic = isinstance(op, linalg.GenericOp)
        if not generic and not (operation.name.startswith("linalg.") and linalg.isa_contraction_op(operation)):
            return None
        maps = tuple(ir.AffineMapAttr(a).value for a in linalg.get_indexing_maps(operation))
        n_inits = len(operation.results)
        operands = tuple(operation.operands)
        if not n_inits or len(operands) != len(maps):
            return None
        iterators = iterator_types(operation) if generic else _contraction_iterators(maps)
        return cls(op, operands[:-n_inits], operands[-n_inits:], maps, iterators)

    def rebuild(
        self,
        inputs: Sequence[ir.Value],
        maps: Sequence[ir.AffineMap],
        *,
        inits: Sequence[ir.Value] | None = None,
        iterators: Sequence[str] | None = None,
    ) -> list[ir.Value]:
        """Emit this op as a ``linalg.generic`` on other operands, in front of it; returns its results.

        The body moves into the new op: replace and erase the old one next.
        """
        inits = self.inits if inits is None else inits
        kinds = self.iterators if iterators is None else iterators
        with ir.InsertionPoint(self.op), self.op.operation.location:
            new = linalg.GenericOp(
                [v.type for v in inits],
                list(inputs),
                list(inits),
                ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps]),
                ir.ArrayAttr.get([ir.Attribute.parse(f"#linalg.iterator_type<{k}>") for k in kinds]),
            )
        self.body.append_to(new.operation.regions[0])
        return list(new.operation.results)


def structured_ops(module: ir.Module) -> Iterator[Structured]:
    """Every structured op of ``module`` in program order; the list is taken before the first is yielded."""
    for op in ops_where(module.operation, lambda op: op.name.startswith("linalg.") and len(op.regions) == 1):
        structured = Structured.of(op.opview)
        if structured is not None:
            yield structured


def dim_positions(map_: ir.AffineMap) -> tuple[int | None, ...]:
    """Loop per result of ``map_``; None where the result is not a bare loop."""
    return tuple(map(bare_dim, map_.results))


def erase_if_unused(op: ir.Operation) -> bool:
    """Erase ``op`` when none of its results has a use."""
    if is_used(op):
        return False
    op.erase()
    return True


def iterator_types(op: ir.OpView | ir.Operation) -> tuple[str, ...]:
    """``parallel`` or ``reduction`` per loop of an op that says so, as ``linalg.generic`` does."""
    return tuple(str(a).split("<")[-1].strip('">') for a in op.operation.attributes["iterator_types"])


def _contraction_iterators(maps: Sequence[ir.AffineMap]) -> tuple[str, ...]:
    """In a named contraction the loops of the output are parallel and all others reduce."""
    outer = dim_positions(maps[-1])
    return tuple("parallel" if d in outer else "reduction" for d in range(maps[-1].n_dims))
