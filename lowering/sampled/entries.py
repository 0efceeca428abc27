"""What a task of a sampled product computes: the entries of its part of the pattern, as flat lists."""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, memref

from .. import builder as b
from ..builder import Index
from ..sparse.levels import Cursor, Step, Storage, walk
from .tile import Leaf, Tile, choose_tile, leaf_of

#: Rows per parallel task: enough to use each block of columns several times while it is in L1.
CHUNK_ROWS = 32

#: Contracted coordinates per strip. Every stored element pays for adding up its lanes once per strip.
STRIP = 256

#: Where a row stores many columns, strips are shorter and columns cut into blocks that L1 holds beside a row's
#: strip: 64 x 128 f32 are 32 KiB. On 2 Zen cores: 26 -> 34 GF/s for half of the elements, 23 -> 19 for a tenth.
BLOCK_STRIP, BLOCK_SHIFT = 128, 6

#: Least density that blocks pay for, as its reciprocal: 10 elements of a row per block, more than a tile.
DENSE_FROM = 6

#: The shift of one block for all columns.
NO_SHIFT = 30

#: ``visit(step, carried, until) -> carried``: walk one chunk down to a level.
Visit = Callable[[Step, Sequence[ir.Value], int], list[ir.Value]]


@dataclasses.dataclass(frozen=True)
class Blocking:
    """How the dense factors are cut.

    Attributes:
        strip: contracted coordinates per strip, at most.
        shift: columns per block, as a power of two.
        count: blocks.
    """

    strip: Index
    shift: Index
    count: Index


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the pieces of the template share.

    Attributes:
        outer: dimension of the tensor that tasks cut: the kernel's rows.
        head: number of leading levels that are dense and cut rows; their coordinates make a *run*.
        shared: True when all row levels are in the head or the leaf: entries of a run share rows.
        cut: True when the entries of a run also come in order of columns, so that blocks can cut them, and
            rows do not share loads of columns anyway.
    """

    storage: Storage
    outer: int
    head: int
    leaf: Leaf
    shared: bool
    cut: bool
    tile: Tile

    @classmethod
    def of(cls, storage: Storage, outer: int) -> "Plan":
        """The plan of a tensor whose dimension ``outer`` is the rows of the kernel."""
        fmt = storage.format
        leaf = leaf_of(fmt, outer)
        choosing = list(zip(fmt.exprs, fmt.levels))[: leaf.level]
        head = 0
        while head < leaf.level and choosing[head][0].dim == outer and choosing[head][1].is_dense:
            head += 1
        shared = head > 0 and all(e.dim != outer for e, _ in choosing[head:])
        steps = [e.div for e, _ in choosing[head:]]
        ordered = all(level.ordered for _, level in choosing[head:]) and steps == sorted(steps, reverse=True)
        tile = choose_tile(leaf, shared)
        return cls(storage, outer, head, leaf, shared, shared and ordered and tile.rows == 1, tile)

    @property
    def units(self) -> int:
        """Coordinates of the first level per task, when it is dense."""
        return max(1, CHUNK_ROWS // self.storage.format.exprs[0].div)

    @property
    def runs_per_unit(self) -> int:
        """Runs below one coordinate of the first level."""
        return int(b.product([e.mod for e in self.storage.format.exprs[1 : self.head]]))

    def blocking(self, rows: Index, cols: Index) -> "Blocking":
        """Emit the choice of strips and blocks, by the density that is known when the kernel starts.

        ``cols``: at least as many as the format has, the padding included.
        """
        if not self.cut:
            return Blocking(STRIP, NO_SHIFT, 1)
        stored = b.mul(b.dim_size(self.storage.values, 0), DENSE_FROM)
        dense = arith.cmpi(arith.CmpIPredicate.uge, b.value(stored), b.value(b.mul(rows, cols)))
        strip, shift = (
            arith.select(dense, b.value(many), b.value(few))
            for many, few in ((BLOCK_STRIP, STRIP), (BLOCK_SHIFT, NO_SHIFT))
        )
        width = arith.shli(b.value(1), shift)
        return Blocking(strip, shift, arith.shrui(b.value(b.add(cols, b.sub(width, 1))), shift))

    @property
    def loose(self) -> bool:
        """True when neighbouring entries may be apart in memory."""
        fmt = self.storage.format  # the ends of diagonals are no entries
        return fmt.diagonal is not None or any(level.kind == "loose_compressed" for level in fmt.levels)


@dataclasses.dataclass(frozen=True)
class Entries:
    """The entries of one task, in storage order: where each starts in the tensor and in the values.

    Attributes:
        count: how many.
        loose: True when neighbours in the list may be apart in memory.
    """

    count: ir.Value
    rows: ir.Value
    cols: ir.Value
    positions: ir.Value
    loose: bool

    @classmethod
    def allocate(cls, count: ir.Value, loose: bool) -> "Entries":
        """Room for ``count`` entries."""
        type_ = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IndexType.get())
        rows, cols, positions = (memref.alloc(type_, [count], []) for _ in range(3))
        return cls(count, rows, cols, positions, loose)

    def store(self, number: ir.Value, row: Index, col: Index, position: Index) -> None:
        """Write entry ``number``."""
        for value, to in ((row, self.rows), (col, self.cols), (position, self.positions)):
            memref.store(b.value(value), to, [number])


@dataclasses.dataclass(frozen=True)
class Runs:
    """Entries of one row (of the kernel) each, cut by blocks of columns.

    Attributes:
        count: how many runs the task has.
        blocks: blocks per run.
        starts: where each block of each run starts in the list of entries, and after them where the last one ends.
    """

    count: ir.Value
    blocks: Index
    starts: ir.Value

    def for_each(self, body: Callable[[ir.Value, ir.Value], None]) -> None:
        """Emit ``body`` for the entries ``[lo, hi)`` of every run, block by block."""

        def run(block: Index, number: Index) -> None:
            at = b.add(b.mul(number, self.blocks), block)
            body(b.load_index(self.starts, at), b.load_index(self.starts, b.add(at, 1)))

        b.for_loop(0, self.blocks, lambda block: b.for_loop(0, self.count, lambda n: run(block, n)) and None)


def list_entries(plan: Plan, visit: Visit, blocking: Blocking) -> tuple[Entries, Runs | None]:
    """Emit the lists of a chunk; without runs when its entries do not come row by row."""
    level, zero = plan.leaf.level, b.value(0)
    (count,) = visit(lambda at, carried: [b.value(b.add(carried[0], 1))], [zero], level)
    entries = Entries.allocate(count, loose=plan.loose)

    def entry(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        entries.store(carried[0], at.coords[plan.outer], at.coords[1 - plan.outer], at.position)
        return [b.value(b.add(carried[0], 1)), *carried[1:]]

    if not plan.shared:
        visit(entry, [zero], level)
        return entries, None
    size = b.add(b.mul(blocking.count, plan.units * plan.runs_per_unit), 1)
    starts = memref.alloc(
        ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], ir.IndexType.get()), [b.value(size)], []
    )

    def run(at: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        n, number = carried
        n = _list_run(plan, at, entry, n, b.mul(number, blocking.count), blocking, starts)
        return [n, b.value(b.add(number, 1))]

    n, number = visit(run, [zero, zero], plan.head)
    memref.store(n, starts, [b.value(b.mul(number, blocking.count))])
    return entries, Runs(number, blocking.count, starts)


def _list_run(plan: Plan, at: Cursor, entry: Step, n: ir.Value, first: Index, blocking: Blocking, starts: ir.Value):
    """List one run from number ``n`` on, and where its blocks start; returns the number after its last entry.

    ``block`` is the next one whose start is unknown: columns only grow, so an entry starts all blocks up to its own.
    """

    def begin(block: ir.Value, last: Index, n: ir.Value) -> None:
        b.for_loop(block, last, lambda i: memref.store(n, starts, [b.value(b.add(first, i))]) and None)

    def cut(child: Cursor, carried: list[ir.Value]) -> list[ir.Value]:
        n, block = carried
        column = b.value(child.coords[1 - plan.outer])
        after = b.value(b.add(arith.shrui(column, b.value(blocking.shift)), 1))
        begin(block, after, n)
        (n,) = entry(child, [n])
        return [n, arith.maxui(block, after)]

    if not plan.cut:
        memref.store(n, starts, [b.value(first)])
        return walk(plan.storage, at, entry, [n], plan.leaf.level)[0]
    n, block = walk(plan.storage, at, cut, [n, b.value(0)], plan.leaf.level)
    begin(block, blocking.count, n)
    return n
