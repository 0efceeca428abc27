"""The loop over k: shared tiles are filled some steps ahead of the body that multiplies them.

With S stages there are S copies of every tile. Step t begins when this thread's part of its tiles has landed, passes
the one barrier (then everyone's has, and everyone is done with step t - 1), begins to fill the copy of step t - 1 with
what step t + A needs, and multiplies. Fills are A = S - 1 steps ahead; a body that still reads the tiles of step t - 1
when step t is over (:attr:`Body.lag`) leaves one copy less for them, A = S - 2::

    for t in range(A): fill(t); commit
    wait until at most A - 1 groups are under way; publish
    for t in range(steps):
      barrier
      [clear the copy; barrier]                          for sources that scatter
      fill(t + A); commit
      acc = body(copy t mod S, acc)
      store what was loaded into registers               for sources that cannot copy asynchronously
      wait until the body reads the tiles of the last S - 1 - A steps only
      wait until at most A - 1 groups are under way; publish

Fills by the copy engine (:class:`Bulk`) are one thread's: it says on the barrier of a copy what it expects, behind the
barrier of a step, and everyone waits on that of the copy to read before the body does.

Where k follows a pattern, the coordinates of a tile are staged in shared memory by the same copies, A steps before the
tile that they name.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from pith._mlir import arith, gpu, ir, nvgpu

from ... import builder as b
from ...builder import Index
from .bodies import Body
from .mbarriers import Barriers, first_parity, next_parity
from .staging import Filler, Finish, Source, Threads, clear, commit_copies, stage_list
from .tiles import Axis, PatternAxis, SharedMemory, SharedTile, TileShape, is_below, pick


@dataclasses.dataclass(frozen=True)
class Operand:
    """A source and the tiles it fills."""

    source: Source
    shapes: Sequence[TileShape]


@dataclasses.dataclass(frozen=True)
class Resident:
    """Tiles of one operand that stay in shared memory from one call of :func:`contract` to the next.

    Attributes:
        operand: which one, by number.
        tiles: how many: those of the first steps. The others are filled as they always are.
        first: whether this is the first call, which fills them.
    """

    operand: int
    tiles: int
    first: ir.Value

    def copy(self, t: Index, copy: Index) -> Index:
        """Where the tiles of step ``t`` are: in a copy of their own, or behind those in copy ``copy``."""
        return pick(is_below(t, self.tiles), t, b.add(copy, self.tiles))

    def is_filled(self, t: Index) -> ir.Value:
        """Whether step ``t`` fills tiles."""
        return arith.ori(self.first, arith.cmpi(arith.CmpIPredicate.uge, b.value(t), b.value(self.tiles)))


def list_shape(axis: PatternAxis) -> TileShape:
    """The shared tile of the coordinates that one tile along ``axis`` needs."""
    entries = -(-axis.micro_tiles // 4) * 4
    return TileShape(("pattern", "micro"), (1, axis.micro_tiles), ir.IntegerType.get_signless(32), entries)


def pipeline_bytes(shapes: Sequence[TileShape], stages: int, k_micro_tiles: int = 0) -> int:
    """Shared memory :func:`contract` takes."""
    lists = -(-k_micro_tiles // 4) * 16 * 2 * stages
    used = 0
    for shape in shapes:
        used = -(-used // shape.alignment) * shape.alignment + stages * shape.nbytes
    return used + lists


def contract(
    body: Body,
    operands: Sequence[Operand],
    axes: Mapping[str, Axis],
    stages: int,
    threads: Threads,
    memory: SharedMemory,
    resident: Resident | None = None,
) -> list[ir.Value]:
    """This thread's sums of the products of the operands' tiles at ``axes``, over all of ``axes["k"]``.

    All threads of the block call it; ``axes`` other than k are at the block's tile. ``stages`` >= 2.
    """
    loop = _Loop(body, operands, axes, stages, threads, memory, resident)
    # Without a step there may be nothing to read, not even an element to read in place of those that do not exist.
    b.only_if(None if isinstance(loop.steps, int) and loop.steps else is_below(0, loop.steps), loop.prologue)
    # Copies are numbered by counters that wrap around: dividing by the number of stages would cost more.
    carried = [b.value(0), b.value(loop.ahead), *loop.first_slots(), *loop.first_parity(), *body.zeros()]
    last = b.for_loop(0, loop.steps, loop.step, carried)
    body.settle(0)
    if loop.copies:
        nvgpu.device_async_wait(commit_copies(), num_groups=0)
    return last[len(carried) - len(body.zeros()) :]


class _Loop:
    """What the steps of one loop share."""

    def __init__(self, body: Body, operands: Sequence[Operand], axes, stages: int, threads: Threads, memory, resident):
        self.body, self.stages, self.threads = body, stages, threads
        # Two copies are one to fill and one to read, whatever the body could do with a third.
        self.lag = min(body.lag, stages - 2)
        self.ahead = stages - 1 - self.lag
        self.resident: list[Resident | None] = [
            resident if resident is not None and resident.operand == i else None for i in range(len(operands))
        ]
        copies = [stages + (r.tiles if r else 0) for r in self.resident]
        self.tiles = [[memory.take(s, n) for s in o.shapes] for o, n in zip(operands, copies)]
        self.k: Axis = axes["k"]
        self.steps = b.ceildiv(self.k.length, self.k.extent)
        self.slots = 2 * stages
        self.list = memory.take(list_shape(self.k), self.slots) if isinstance(self.k, PatternAxis) else None
        self.fillers = [o.source.prepare(o.shapes, axes, threads) for o in operands]
        #: Whether threads copy something themselves, and what the copy engine's fills land on.
        self.copies = self.list is not None or any(f.bulk is None for f in self.fillers)
        self.landing = Barriers.create(stages, threads.number) if any(f.bulk for f in self.fillers) else None

    def first_slots(self) -> list[ir.Value]:
        """Where the list of the tile to fill next is, and where the one to stage next goes."""
        return [] if self.list is None else [b.value(self.ahead), b.value(2 * self.ahead)]

    def first_parity(self) -> list[ir.Value]:
        """Of the barrier to wait for."""
        return [] if self.landing is None else [first_parity()]

    def prologue(self) -> None:
        """Begin to fill the first tiles."""
        ahead = self.ahead
        if self.landing is not None:
            self.landing.open()
        if self.list is not None:
            for t in range(ahead):
                self._stage(t, t)
            nvgpu.device_async_wait(commit_copies(), num_groups=0)
            gpu.barrier()
        for t in range(ahead):
            _finish(self._fill(t, t, t))
            self._stage(t + ahead, t + ahead)
            self._commit(wait=t == ahead - 1)

    def step(self, t: Index, *carried: ir.Value) -> list[ir.Value]:
        """One step; carries the copies to read and to fill, slots of lists, the parity of a barrier, and the sums."""
        read, write, *rest = carried
        slots, rest = (rest[:2], rest[2:]) if self.list is not None else ([], rest)
        parity, acc = (rest[:1], rest[1:]) if self.landing is not None else ([], rest)
        gpu.barrier()
        ahead = self.ahead
        finishes = self._fill(b.add(t, ahead), write, slots[0] if slots else 0)
        self._stage(b.add(t, 2 * ahead), slots[-1] if slots else 0)
        group = self._commit(wait=False)
        lhs, rhs = self._rings(t, read)
        if self.landing is not None:
            self.landing.wait(read, *parity)
        sums = self.body.step(lhs, rhs, acc, self.threads.number)
        _finish(finishes)
        self.body.settle(self.lag)
        self._arrived(group)
        following = [_wrapped(x, self.stages) for x in (read, write)] + [_wrapped(x, self.slots) for x in slots]
        return [*following, *(next_parity(p, following[0]) for p in parity), *sums]

    def _commit(self, wait: bool) -> ir.Value | None:
        """Make a group of this thread's copies, if it has any."""
        group = commit_copies() if self.copies else None
        if wait:
            self._arrived(group)
        return group

    def _arrived(self, group: ir.Value | None) -> None:
        """Wait for this thread's part of the tiles of the next step; the body may read it behind a barrier."""
        if group is not None:
            nvgpu.device_async_wait(group, num_groups=self.ahead - 1)
            self.body.publish()

    def _fill(self, t: Index, copy: Index, slot: Index) -> list[Finish]:
        """Begin to fill copy ``copy`` with what step ``t`` needs."""
        k = self.k.moved(b.mul(t, self.k.extent))
        if isinstance(k, PatternAxis) and self.list is not None:
            k = k.with_staged(self.list.of_stage(slot))
        rings = self._rings(t, copy)
        cleared = [tile for f, ring in zip(self.fillers, rings) if f.needs_clearing for tile in ring]
        for tile in cleared:
            clear(tile, self.threads)
        if cleared:
            gpu.barrier()
        finishes = []
        for filler, ring in zip(self.fillers, rings):
            if not filler.asynchronous:
                # Steps behind the last one have no elements, however whole the others are.
                finishes.append(filler.fill(ring, dataclasses.replace(k, whole=False)))
        exists = is_below(t, self.steps)
        parts: dict[ir.Value, list[tuple[Filler, list[SharedTile]]]] = {}
        for filler, ring, r in zip(self.fillers, rings, self.resident):
            if filler.asynchronous and filler.bulk is None:
                parts.setdefault(arith.andi(exists, r.is_filled(t)) if r else exists, []).append((filler, ring))
        for wanted, group in parts.items():
            b.only_if(wanted, lambda group=group: [f.fill(ring, k) for f, ring in group])
        if self.landing is not None:
            issues = arith.andi(exists, self.landing.issuer)
            b.only_if(issues, lambda barriers=self.landing: self._issue(barriers, rings, k, copy))
        return [f for f in finishes if f is not None]

    def _issue(self, barriers: Barriers, rings: Sequence[list[SharedTile]], k: Axis, copy: Index) -> None:
        """Have the copy engine fill tiles; they land on barrier ``copy``."""
        fills = [(filler.bulk, ring) for filler, ring in zip(self.fillers, rings) if filler.bulk]
        barriers.expect(copy, sum(bulk.nbytes for bulk, _ in fills))
        for bulk, ring in fills:
            bulk.issue(ring, k, barriers, copy)

    def _rings(self, t: Index, copy: Index) -> list[list[SharedTile]]:
        """The tiles of step ``t`` per operand, which are in copy ``copy`` unless they stay."""
        copies = [r.copy(t, copy) if r else copy for r in self.resident]
        return [[tile.of_stage(at) for tile in ring] for ring, at in zip(self.tiles, copies)]

    def _stage(self, t: Index, slot: Index) -> None:
        """Begin to copy the list of step ``t``, if k follows one."""
        k = self.k.moved(b.mul(t, self.k.extent))
        if isinstance(k, PatternAxis) and self.list is not None:
            stage_list(k, self.list.of_stage(slot), self.threads)


def _finish(finishes: Sequence[Finish]) -> None:
    for finish in finishes:
        finish()


def _wrapped(x: ir.Value, count: int) -> ir.Value:
    """``(x + 1) % count`` for ``x`` below ``count``."""
    following = b.value(b.add(x, 1))
    return b.value(pick(is_below(following, count), following, 0))
