"""Make the ``gpu.func`` of a kernel."""

import dataclasses
from collections.abc import Sequence

from pith._mlir import arith, gpu, ir, memref, scf


@dataclasses.dataclass(frozen=True)
class Guard:
    """A word in device memory that says whether kernels run: when it is ``wanted``."""

    flag: ir.Value
    wanted: int


def kernel_function(name: str, types: Sequence[ir.Type], threads: int) -> ir.Block:
    """The entry block of a new kernel ``name`` for blocks of ``threads`` threads in a row."""
    function = gpu.GPUFuncOp(ir.FunctionType.get(list(types), []), name, known_block_size=[threads, 1, 1])
    # `kernel` is a property; the bindings' own `kernel=True` sets a second, discardable attribute beside
    # it, and the lowered function then prints `gpu.kernel` twice, which does not parse.
    function.operation.attributes["kernel"] = ir.UnitAttr.get()
    return function.add_entry_block()


def guard_body(block: ir.Block, guard: Guard) -> None:
    """Put all of a kernel's body, which still lacks its return, under ``if flag[0] == wanted``; the flag becomes its
    last argument."""
    body, function = list(block.operations), block.owner
    flag = block.add_argument(guard.flag.type, function.operation.location)
    type_ = ir.FunctionType.get([a.type for a in block.arguments], [])
    function.operation.attributes["function_type"] = ir.TypeAttr.get(type_)
    held = memref.load(flag, [arith.constant(ir.IndexType.get(), 0)])
    wanted = arith.constant(held.type, guard.wanted)
    taken = scf.IfOp(arith.cmpi(arith.CmpIPredicate.eq, held, wanted))
    with ir.InsertionPoint(taken.then_block):
        last = scf.YieldOp([])
    for op in body:
        op.operation.move_before(last.operation)
