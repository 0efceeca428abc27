"""Who a thread is, and barriers of the block."""

from pith._mlir import arith, ir
from pith.passes.core import pass_error

from ... import builder as b
from .context import Emulation

#: What pith_emulator_index calls them: three per group, x first.
_GROUPS = {"thread_id": 0, "block_id": 3, "block_dim": 6, "grid_dim": 9, "tid": 0, "ctaid": 3, "ntid": 6, "nctaid": 9}
_LANE, _WARP_NUMBER, _WARPS = 12, 13, 14
WARP = 32


def _read(e: Emulation, which: int) -> ir.Value:
    return e.call("index", [which], results=1)[0]


def _axis(op: ir.Operation) -> int:
    return "xyz".index(str(op.attributes["dimension"]).rstrip(">")[-1])


def place(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.thread_id``, ``block_id``, ``block_dim``, ``grid_dim``."""
    return [_read(e, _GROUPS[op.name.removeprefix("gpu.")] + _axis(op))]


def global_id(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.global_id``."""
    thread, block, size = (_read(e, _GROUPS[name] + _axis(op)) for name in ("thread_id", "block_id", "block_dim"))
    return [b.value(b.add(b.mul(block, size), thread))]


def lane_id(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.lane_id``."""
    return [_read(e, _LANE)]


def subgroup_id(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.subgroup_id``."""
    return [_read(e, _WARP_NUMBER)]


def num_subgroups(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.num_subgroups``."""
    return [_read(e, _WARPS)]


def subgroup_size(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.subgroup_size``."""
    return [b.value(WARP)]


def register(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.read.ptx.sreg.*``: the same as i32."""
    name, _, axis = op.name.removeprefix("nvvm.read.ptx.sreg.").partition(".")
    single = {"laneid": _LANE, "warpid": _WARP_NUMBER, "nwarpid": _WARPS}
    value = b.value(WARP) if name == "warpsize" else None
    if value is None:
        value = _read(e, single[name] if name in single else _GROUPS[name] + "xyz".index(axis))
    return [arith.index_cast(op.results[0].type, value)]


def assertion(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``cf.assert``: hardware ends the launch too, with the message on the standard output."""
    fails = arith.xori(op.operands[0], arith.constant(op.operands[0].type, 1))
    b.if_else(fails, lambda: e.call("assertion", [e.site(op)]) and None)
    return []


def barrier(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.barrier`` and ``nvvm.barrier`` of the whole block."""
    if len(op.operands):
        pass_error(op, "has no emulation but for the whole block", "leave the barrier and the number of threads out")
    e.call("barrier", [e.site(op)])
    return []


def dynamic_shared_memory(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.dynamic_shared_memory``."""
    return [e.shared_bytes(0, -1)]


def nothing(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """Fences: fibers see memory in program order."""
    return []
