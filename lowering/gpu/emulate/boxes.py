"""Barriers in shared memory that count bytes, and copies of boxes that land on them (TMA)."""

from pith._mlir import arith, ir
from pith.passes.core import pass_error

from ... import builder as b
from .context import Emulation
from .memory import element_address

#: Bytes of a barrier.
BARRIER_BYTES = 8
#: Coordinates that the runtime takes, whatever the rank.
_MAX_RANK = 5


def _barrier(op: ir.Operation) -> b.Index:
    """Address of the barrier an op names: groups are the address of their first."""
    view = op.opview
    if getattr(view, "predicate", None) is not None:
        pass_error(op, "has no emulation with a predicate", "put it into an scf.if")
    return b.add(view.barriers, b.mul(view.mbarId, BARRIER_BYTES))


def init(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.mbarrier.init``."""
    e.call("mbarrier_init", [e.site(op), _barrier(op), op.opview.count])
    return []


def fence(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.fence.mbarrier.init``."""
    e.call("mbarrier_fence", [])
    return []


def arrive(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.mbarrier.arrive.expect_tx``: one arrival, and bytes to expect."""
    e.call("mbarrier_arrive", [e.site(op), _barrier(op), op.opview.txcount])
    return []


def wait(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.mbarrier.try_wait.parity``, which its lowering repeats until the phase is complete."""
    parity = arith.index_castui(ir.IndexType.get(), op.opview.phaseParity)
    e.call("mbarrier_wait", [e.site(op), _barrier(op), parity])
    return []


def load(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvgpu.tma.async.load``."""
    view = op.opview
    if view.multicastMask is not None:
        pass_error(op, "has no emulation of a multicast")
    at: list[b.Index] = list(view.coordinates)
    to = element_address(view.dst, [])
    e.call(
        "box_copy",
        [e.site(op), view.tensorMapDescriptor, to, _barrier(op), *at, *[0] * (_MAX_RANK - len(at))],
    )
    return []


def same(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``builtin.unrealized_conversion_cast`` of a descriptor, which is an address on both sides."""
    return list(op.operands)
