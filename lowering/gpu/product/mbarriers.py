"""Barriers in shared memory on which copies of boxes land (``mbarrier``), one per copy of a block's tiles.

One thread, the issuer, begins all copies of a step and says how many bytes they bring; everyone waits for the phase in
which these have landed. Steps use the copies of tiles in turn, so the phase of a barrier is the turn, and its parity is
one bit that changes when the turn comes round.
Source: PTX ISA, "mbarrier", "cp.async.bulk.tensor".
"""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, nvgpu, nvvm

from ... import builder as b
from ...builder import Index
from .tiles import Axis, SharedTile, is_below

#: How long a thread may sleep before it looks again, in nanoseconds: any number is correct.
_TICKS = 10_000_000
#: Bytes by which static barriers move the start of dynamic shared memory, which tiles want at a multiple of as much.
ROOM_BYTES = 1024


@dataclasses.dataclass(frozen=True)
class Barriers:
    """A barrier per copy of the tiles.

    Attributes:
        group: the ``!nvgpu.mbarrier.group``.
        count: how many there are.
        issuer: whether this thread begins copies.
    """

    group: ir.Value
    count: int
    issuer: ir.Value

    @classmethod
    def create(cls, count: int, thread: ir.Value) -> "Barriers":
        """Barriers in static shared memory; :meth:`open` comes before anything else."""
        space = "#gpu.address_space<workgroup>"
        type_ = ir.Type.parse(f"!nvgpu.mbarrier.group<memorySpace = {space}, num_barriers = {count}>")
        first = arith.cmpi(arith.CmpIPredicate.eq, thread, b.value(0))
        return cls(nvgpu.mbarrier_create(type_), count, first)

    def open(self) -> None:
        """The issuer makes the barriers, and copies see them; other threads do behind the next barrier of the block."""

        def one() -> None:
            for copy in range(self.count):
                nvgpu.mbarrier_init(self.group, b.value(1), b.value(copy))
            nvvm.fence_mbarrier_init()

        b.only_if(self.issuer, one)

    def expect(self, copy: Index, nbytes: int) -> None:
        """The issuer's one arrival in this phase: it says what is on its way."""
        nvgpu.mbarrier_arrive_expect_tx(self.group, b.value(nbytes), b.value(copy))

    def wait(self, copy: Index, parity: ir.Value) -> None:
        """Until what was expected in the phase of this parity has landed."""
        nvgpu.mbarrier_try_wait_parity(self.group, parity, b.value(_TICKS), b.value(copy))


@dataclasses.dataclass(frozen=True)
class Bulk:
    """A fill by the copy engine.

    Attributes:
        nbytes: what it brings, zeros included.
        issue: ``issue(tiles, k, barriers, copy)`` begins it; it lands on barrier ``copy``.
    """

    nbytes: int
    issue: Callable[[Sequence[SharedTile], Axis, Barriers, Index], None]


def first_parity() -> ir.Value:
    """The parity of the first turn."""
    return arith.constant(ir.IntegerType.get_signless(1), 0)


def next_parity(parity: ir.Value, following: ir.Value) -> ir.Value:
    """The parity of the next step, which reads copy ``following``: another one where that is the first."""
    return arith.xori(parity, is_below(following, 1))
