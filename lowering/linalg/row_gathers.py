"""Bodies of elementwise ops that read tables, or loop, computed in vectors along a row.

``table[rows[p], column]`` is a vector of the table where the loop is the column, and a sum of such over the places
``p`` of a bag stays in vectors. What is the same for all columns (bounds of the loop, the row) is computed once.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from pith._mlir import ir, scf, vector
from pith.passes.cloning import clone

from .. import builder as b
from ..builder import Index
from ..vectorize import apply, broadcast, is_arithmetic

#: Vectors that a loop over places sums side by side; rows are found once for all of them. With 1, 2, 4 and 8, in ms:
#: 1024 bags of 10 rows of 64 f32 0.21, 0.22, 0.18, 0.18; 256 of 100 of 128 0.96, 0.79, 0.75, 0.81; 1024 of 4 of 256
#: 0.28, 0.32, 0.31, 0.31 (one core of Emerald Rapids, 2026-11-22).
_SIDE_BY_SIDE = 4

#: Ops that are computed once, where no operand differs along the row.
_UNIFORM = ("arith.", "math.", "memref.load", "func.call", "linalg.index", "scf.for", "scf.yield", "linalg.yield")


@dataclasses.dataclass(frozen=True)
class Gathers:
    """How a body is computed along a row.

    Attributes:
        loop: the iteration dimension along which the row lies.
        varying: values that differ along it.
    """

    loop: int
    varying: frozenset[ir.Value]

    @classmethod
    def of(cls, block: ir.Block, along: Iterable[ir.Value], loop: int) -> "Gathers | None":
        """For a body whose arguments ``along`` differ; None where an op cannot be computed so."""
        varying = set(along)
        _spread(block, loop, varying)
        made = cls(loop, frozenset(varying))
        return made if made._is_legal(block) else None

    def bits(self) -> int:
        """Of the widest number that differs along the row."""
        return max((v.type.width for v in self.varying if not isinstance(v.type, ir.IndexType)), default=64)

    def vectors(self, block: ir.Block, size: Index, lanes: int) -> int:
        """How many vectors side by side: as many as divide a row, of a body that loops."""
        loops = any(op.operation.name == "scf.for" for op in block.operations)
        if not loops or not isinstance(size, int):
            return 1
        return next(n for n in range(_SIDE_BY_SIDE, 0, -1) if size // lanes % n == 0)

    def evaluate(
        self, block: ir.Block, arguments: Mapping[ir.Value, ir.Value], point: Sequence[Index], lanes: int
    ) -> list[ir.Value]:
        """What ``block`` yields for its arguments, from ``point`` on, at the insertion point."""
        values = dict(arguments)
        *body, terminator = block.operations
        for op in body:
            self._emit(op.operation, values, point, lanes)
        return [values.get(v, v) for v in terminator.operands]

    def _emit(self, op: ir.Operation, values: dict[ir.Value, ir.Value], point: Sequence[Index], lanes: int) -> None:
        operands = [values.get(v, v) for v in op.operands]
        if op.name == "linalg.index":
            values[op.results[0]] = b.value(point[_dim(op)])
        elif not any(v in self.varying for v in (*op.operands, *op.results)):
            clone([op], values)
        elif op.name == "scf.for":
            values.update(zip(op.results, self._for(op, operands, values, point, lanes)))
        elif op.name == "memref.load":
            type_ = ir.VectorType.get([lanes], op.results[0].type)
            values[op.results[0]] = vector.load(type_, operands[0], operands[1:])
        else:
            values.update(zip(op.results, apply(op, operands)))

    def _for(
        self,
        op: ir.Operation,
        operands: Sequence[ir.Value],
        values: Mapping[ir.Value, ir.Value],
        point: Sequence[Index],
        lanes: int,
    ) -> list[ir.Value]:
        block = op.regions[0].blocks[0]
        wide = [r in self.varying for r in op.results]
        inits = [broadcast(v, lanes if w else None) for v, w in zip(operands[3:], wide)]
        loop = scf.ForOp(*operands[:3], inits)
        with ir.InsertionPoint(loop.body):
            inner = {**values, **dict(zip(block.arguments, loop.body.arguments))}
            made = self.evaluate(block, inner, point, lanes)
            scf.yield_([broadcast(v, lanes if w else None) for v, w in zip(made, wide)])
        return list(loop.results)

    def _is_legal(self, block: ir.Block) -> bool:
        return all(self._is_computed(op.operation) for op in block.operations)

    def _is_computed(self, op: ir.Operation) -> bool:
        differing = [n for n, v in enumerate(op.operands) if v in self.varying]
        if op.name == "scf.for":
            return min(differing, default=3) >= 3 and self._is_legal(op.regions[0].blocks[0])
        if not differing or op.name in ("scf.yield", "linalg.yield"):
            return op.name.startswith(_UNIFORM)
        if op.name != "memref.load":
            return is_arithmetic(op)
        view, last = op.operands[0], op.operands[len(op.operands) - 1]
        contiguous = view.type.get_strides_and_offset()[0][-1:] == [1]
        return differing == [len(op.operands) - 1] and contiguous and _is_index(last, self.loop)


def _spread(block: ir.Block, loop: int, varying: set[ir.Value]) -> None:
    """Add to ``varying`` what is computed from it, and from the coordinate of ``loop``."""
    for op in (o.operation for o in block.operations):
        if op.name == "scf.for":
            body = op.regions[0].blocks[0]
            *_, terminator = body.operations
            known = -1
            while known != len(varying):
                known = len(varying)
                carried = zip(list(op.operands)[3:], list(body.arguments)[1:], terminator.operands, op.results)
                for init, argument, yielded, result in carried:
                    if init in varying or yielded in varying:
                        varying.update((argument, result))
                _spread(body, loop, varying)
        elif any(v in varying for v in op.operands) or (op.name == "linalg.index" and _dim(op) == loop):
            varying.update(op.results)


def _dim(op: ir.Operation) -> int:
    return ir.IntegerAttr(op.attributes["dim"]).value


def _is_index(value: ir.Value, loop: int) -> bool:
    """``value`` is the coordinate along ``loop`` itself."""
    owner = value.owner
    return (
        isinstance(owner, ir.Operation | ir.OpView) and owner.operation.name == "linalg.index" and _dim(owner) == loop
    )
