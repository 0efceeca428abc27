"""Where tensors are read through memory: behind what was made of other tensors, as bufferization takes it."""

import bisect

from pith._mlir import ir
from pith.passes.analysis.traversal import ops_named

#: Ops on a buffer that only say where it lies, or how it is seen.
_VIEWS = (
    "memref.cast",
    "memref.collapse_shape",
    "memref.expand_shape",
    "memref.extract_aligned_pointer_as_index",
    "memref.reinterpret_cast",
    "memref.subview",
)


def place_reads(module: ir.Module) -> None:
    """Ask for the memory of a tensor once more where it is read behind ops that make other tensors.

    Before::

        %m = bufferization.to_buffer %t read_only
        scf.parallel ... { memref.load %m }
        %u = linalg.transpose ins(...) outs(%empty)
        scf.parallel ... { memref.load %m }

    After: a second ``to_buffer`` behind the transpose. One-shot bufferization takes ``to_buffer`` for the read; with
    one for both, which is what cse leaves, it lets ``%u`` have the memory of ``%t``.
    """
    orders: dict[ir.Block, _Order] = {}
    for op in reversed(ops_named(module.operation, "bufferization.to_buffer", *_VIEWS)):
        if op.name in _VIEWS or "read_only" in op.attributes:
            readers = _readers(op)
            if len(readers) > 1:
                orders.setdefault(op.block, _Order(op.block)).place(op, readers)


class _Order:
    """The ops of a block by place, and which of them make tensors."""

    def __init__(self, block: ir.Block):
        ops = [op.operation for op in block.operations]
        self._places: dict[ir.Operation, float] = {op: i for i, op in enumerate(ops)}
        self._makers = [(i, op) for i, op in enumerate(ops) if _makes_tensors(op)]

    def place(self, op: ir.Operation, readers: dict[ir.Operation, list[ir.OpOperand]]) -> None:
        """Copy ``op`` behind the last maker before a reader, where that is behind ``op`` or the copy before."""
        last = bisect.bisect(self._makers, self._places[op], key=lambda maker: maker[0])
        for reader in sorted(readers, key=self._places.__getitem__):
            makers = bisect.bisect(self._makers, self._places[reader], key=lambda maker: maker[0])
            makers -= bool(makers) and self._makers[makers - 1][1] == reader
            if makers > last:
                last, (place, maker) = makers, self._makers[makers - 1]
                op = op.clone(ir.InsertionPoint.after(maker))
                self._places[op] = place + 0.5
            for use in readers[reader]:
                use.owner.operation.operands[use.operand_number] = op.results[0]


def _readers(op: ir.Operation) -> dict[ir.Operation, list[ir.OpOperand]]:
    """The ops of its block that read what ``op`` gives, or hold ones that do, and those uses."""
    readers: dict[ir.Operation, list[ir.OpOperand]] = {}
    for use in op.results[0].uses:
        reader = use.owner.operation
        while reader is not None and reader.block != op.block:
            reader = reader.parent and reader.parent.operation
        if reader is not None:  # in another block of the same region: as it was
            readers.setdefault(reader, []).append(use)
    return readers


def _makes_tensors(op: ir.Operation) -> bool:
    return any(isinstance(result.type, ir.RankedTensorType) for result in op.results)
