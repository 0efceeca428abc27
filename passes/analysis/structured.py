"""Structured ops as data: operands, indexing maps, iterators and body of a ``linalg`` op.

What every analysis of ``linalg`` ops starts from. A named op (``linalg.matmul``, ``linalg.reduce``, ...) reads
like the ``linalg.generic`` it stands for, and is rebuilt as one when it changes.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from pith._mlir import ir, linalg
from pith.dialect.tiling import PARALLEL, REDUCTION, bare_dim, dims_of

from .traversal import is_used, ops_where


@dataclasses.dataclass(frozen=True)
class Structured:
    """A ``linalg`` op with a scalar body, whether it is written as ``linalg.generic`` or named.

    Attributes:
        op: the operation.
        inputs, inits: operands that are read, operands that are updated.
        maps: indexing maps, inputs then inits.
        iterators: ``parallel`` or ``reduction`` (or another iterator type) per loop.
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

    def fields(self) -> dict[str, Any]:
        """The attributes by name, for analyses that know more of the op: they are subclasses."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(Structured)}

    def dims(self, operand: int) -> tuple[int | None, ...]:
        """Loop per dimension of an operand; None where the map is not a bare loop."""
        return dim_positions(self.maps[operand])

    def loops(self, operand: int) -> tuple[int, ...]:
        """:meth:`dims` without None: of an operand whose map is a projected permutation, the same."""
        return tuple(d for d in self.dims(operand) if d is not None)

    def is_projected(self, operand: int) -> bool:
        """Whether the map of an operand is a projected permutation: bare loops, none of them twice."""
        dims = self.dims(operand)
        return None not in dims and len(set(dims)) == len(dims)

    @staticmethod
    def of(op: ir.OpView | ir.Operation) -> "Structured | None":
        """``op`` as data, or None for anything but a ``linalg`` op with a body: ``linalg.softmax`` has none."""
        operation = op.operation
        if not operation.name.startswith("linalg.") or len(operation.regions) != 1:
            return None
        attributes = linalg.get_indexing_maps(operation)
        operands = tuple(operation.operands)
        if not attributes or len(attributes) != len(operands):
            return None
        maps = tuple(ir.AffineMapAttr(a).value for a in attributes)
        n_inputs = len(operands) - _count_inits(operation.opview)
        iterators = _iterators(operation, maps, n_inputs)
        return Structured(operation.opview, operands[:n_inputs], operands[n_inputs:], maps, iterators)

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
    """What tensor-level passes rewrite: every ``linalg.generic`` and named contraction on tensors, in program order.

    The list is taken before the first is yielded.
    """
    for op in ops_where(module.operation, _is_rewritten):
        structured = Structured.of(op)
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


def _is_rewritten(op: ir.Operation) -> bool:
    if not op.name.startswith("linalg.") or not len(op.results):
        return False
    return op.name == "linalg.generic" or linalg.isa_contraction_op(op)


def _iterators(op: ir.Operation, maps: Sequence[ir.AffineMap], n_inputs: int) -> tuple[str, ...]:
    """What the op says; a named op carries no iterator types: its loops that index no init are reductions."""
    if "iterator_types" in op.attributes:
        return iterator_types(op)
    written = {d for m in maps[n_inputs:] for e in m.results for d in dims_of(e)}
    return tuple(PARALLEL if d in written else REDUCTION for d in range(maps[0].n_dims))


def _count_inits(view: ir.OpView) -> int:
    """As many as results; on buffers, there are none of these, as many as its operand group has."""
    if results := len(view.operation.results):
        return results
    groups = (getattr(view, field, None) for field in ("outputs", "inits", "outs", "init"))
    group = next((g for g in groups if g is not None), ())
    return 1 if isinstance(group, ir.Value) else len(group)
