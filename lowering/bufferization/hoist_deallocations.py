"""``pith-hoist-deallocations``: memory is given back behind what uses it last."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pith._mlir import ir
from pith.passes.analysis.traversal import defining_op
from pith.passes.core import Pass


@dataclasses.dataclass(frozen=True)
class HoistDeallocationsPass(Pass):
    """Move what frees a temporary behind its last use, so that the next one takes its place.

    Before::

        %a = memref.alloc()
        scf.parallel { ... %a ... }
        %b = memref.alloc()
        scf.parallel { ... %b ... }
        memref.dealloc %a
        memref.dealloc %b

    After::

        %a = memref.alloc()
        scf.parallel { ... %a ... }
        memref.dealloc %a
        %b = memref.alloc()
        scf.parallel { ... %b ... }
        memref.dealloc %b

    Bufferization frees at the end of a block: a network held the results of all layers at once, in pages that were new
    to every call. ResNet-50, eight images, one thread 0.77 to 0.66 s, two 0.73 to 0.35 (Emerald Rapids, 2026-11-22).

    Uses are those of the memref and of whatever is made of it, views and addresses alike, as results of ops of its
    block; elements are not it. Upstream's ``optimize-allocation-liveness`` takes an address
    (``memref.extract_aligned_pointer_as_index``) for a number, and frees what is read through it later.

    Requires: memrefs; no addresses kept in memory. Preserves: the order of everything else. Does not do: memory that is
    allocated or freed inside of other ops. Cost: linear in the uses of temporaries.
    """

    name: ClassVar[str] = "pith-hoist-deallocations"

    def run(self, module: ir.Module) -> None:
        for function in module.body.operations:
            for region in function.regions:
                for block in region:
                    _hoist(block)


def _hoist(block: ir.Block) -> None:
    """Move the deallocations of ``block``, an outermost one of a function."""
    frees = [op for op in block.operations if op.operation.name == "memref.dealloc"]
    for free in frees:
        alloc = defining_op(free.operands[0], "memref.alloc")
        if alloc is not None and alloc.block == block:
            last = _last_use(alloc, free.operation)
            if last.is_before_in_block(free.operation):
                free.operation.move_after(last)


def _last_use(alloc: ir.Operation, free: ir.Operation) -> ir.Operation:
    """The last op of a block that uses what ``alloc`` made, or what ops of the block made of it; ``free`` is none."""
    last, waiting, seen = alloc, list(alloc.results), set()
    while waiting:
        for use in waiting.pop().uses:
            user = _ancestor(use.owner.operation, alloc.block)
            if user is None:  # in another block, behind what frees
                return free
            if user == free or user in seen:
                continue
            seen.add(user)
            waiting.extend(() if user.name == "memref.load" else user.results)
            last = user if last.is_before_in_block(user) else last
    return last


def _ancestor(op: ir.Operation, block: ir.Block) -> ir.Operation | None:
    """The op of ``block`` that is ``op`` or that it lies in; None where there is none."""
    while op.block != block:
        if op.parent is None or op.name == "func.func":
            return None
        op = op.parent.operation
    return op
