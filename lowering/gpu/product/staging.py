"""Fill tiles in shared memory from an operand: the protocol, and the source that reads dense memory.

A source brings one operand's part of a block's tile into shared memory, once per step along k. All threads of a
block take part. What lies outside of the tensor, or is not present, is zero, so bodies need no masks.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pith._mlir import arith, ir, memref, nvgpu, vector

from ... import builder as b
from ...builder import Index
from .layout import CHUNK_BYTES
from .mbarriers import Bulk
from .tiles import Axis, PatternAxis, SharedTile, TileShape, all_of, is_below, pick

#: Finishes a fill: stores to shared memory what was loaded into registers.
Finish = Callable[[], None]
#: Role -> (element, whether it exists; None: it does).
Where = dict[str, tuple[Index, ir.Value | None]]


@dataclasses.dataclass(frozen=True)
class Threads:
    """The threads of a block: how many, and this thread's number."""

    count: int
    number: ir.Value

    def share(self, entries: int, body: Callable[[Index], None]) -> None:
        """Run ``body(i)`` for this thread's share of ``range(entries)``, one after the other."""
        if entries == self.count:
            body(self.number)
        else:
            b.for_loop(self.number, entries, lambda i: body(i), step=self.count)

    def unrolled(self, entries: int) -> list[tuple[Index, ir.Value | None]]:
        """This thread's share of ``range(entries)``: each i (0 where it is none), and whether it is one (None: yes)."""
        out: list[tuple[Index, ir.Value | None]] = []
        for first in range(0, entries, self.count):
            i = b.add(self.number, first)
            taken = None if first + self.count <= entries else is_below(i, entries)
            out.append((pick(taken, i, 0), taken))
        return out


@dataclasses.dataclass(frozen=True)
class Filler:
    """Fills the tiles of one operand, step by step.

    Attributes:
        fill: ``fill(tiles, k)`` begins to fill the tiles with what lies at ``k``, the axis of k at one step. What is
            left to do once the body has run on other tiles is what it returns.
        asynchronous: fills are ``nvgpu.device_async_copy``s, which the caller commits and waits for; they only run for
            steps that exist. Others load when they begin and store in their :data:`Finish`, and run for steps behind
            the last one too, where they read nothing and store zeros.
        needs_clearing: tiles must be zero, and a barrier passed, before a fill begins.
        bulk: how one thread alone fills the tiles, instead.
    """

    fill: Callable[[Sequence[SharedTile], Axis], Finish | None]
    asynchronous: bool
    needs_clearing: bool = False
    bulk: Bulk | None = None


class Source(Protocol):
    """Where an operand's tiles come from."""

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        """Compute what all steps share; ``axes["k"]`` is at no step yet."""
        ...


def clear(tile: SharedTile, threads: Threads) -> None:
    """Zero a tile, 16 bytes at a time."""
    shape = tile.shape
    zero = vector.broadcast(ir.VectorType.get([shape.chunk], shape.element), b.zero_of(shape.element))
    chunks = shape.pitch // shape.chunk

    def one(i: Index) -> None:
        where = [tile.copy, b.div(i, chunks), b.mul(b.mod(i, chunks), shape.chunk)]
        vector.store(zero, tile.memory, [b.value(x) for x in where])

    threads.share(shape.rows * chunks, one)


def async_copy(
    tile: SharedTile, row: Index, column: Index, source: ir.Value, at: Sequence[ir.Value], elements: int, present: Index
) -> None:
    """``cp.async`` of ``elements`` neighbours, of which the first ``present`` are read and the others are zero."""
    some = None if isinstance(present, int) and present == elements else b.value(present)
    # Past L1: a block reads every byte once. Only whole chunks can.
    bypass = True if elements * tile.shape.width == CHUNK_BYTES else None
    nvgpu.device_async_copy(
        tile.memory, tile.at(row, column), source, list(at), elements, src_elements=some, bypass_l1=bypass
    )


def commit_copies() -> ir.Value:
    """Make a group of this thread's copies since the last one; its token.

    The attribute says nothing. Without operands and attributes the op prints as text that does not parse: the name
    that begins the next line would be its operand.
    """
    group = nvgpu.DeviceAsyncCreateGroupOp([])
    group.operation.attributes["pith.commit"] = ir.UnitAttr.get()
    return group.result


def stage_list(axis: PatternAxis, tile: SharedTile, threads: Threads) -> None:
    """Put the coordinates of an axis's tile into row 0 of ``tile``; asynchronously, where they are copied."""
    first = b.div(axis.base, axis.granularity)

    def one(i: Index) -> None:
        micro = b.add(first, i)
        listed = is_below(micro, axis.count)
        if not axis.copies:
            tile.store(arith.index_castui(tile.shape.element, b.value(axis.coordinate(micro, listed))), 0, i)
            return
        source = [b.value(axis.place_of(micro, listed))]
        async_copy(tile, 0, i, axis.entries, source, 1, pick(listed, 1, 0))

    for i, taken in threads.unrolled(axis.micro_tiles):
        b.only_if(taken, lambda i=i: one(i))


@dataclasses.dataclass(frozen=True)
class DenseSource:
    """Row-major memory ``buffer`` whose dimensions have ``roles``; an axis that follows a pattern makes it a gather.

    Rows go to shared memory 16 bytes at a time (8 or 4 in a gather of micro-tiles that short) where the tile's fast
    role is that of the memory, consecutive elements follow each other, and every row of the memory starts at a
    multiple of as much. Where only run time knows about rows, the kernel holds both ways and a branch all threads
    take alike. Otherwise elements go one at a time: asynchronously if they have 4 bytes, else through registers.
    """

    buffer: ir.Value
    roles: tuple[str, ...]

    def prepare(self, shapes: Sequence[TileShape], axes: Mapping[str, Axis], threads: Threads) -> Filler:
        (shape,) = shapes
        width = self._copied(shape, axes[shape.roles[1]])
        if width == 1:
            return Filler(_Elements(self, shape, axes, threads).fill, shape.width == 4)
        chunks = _Chunks(self, shape, axes, threads, width)
        last = len(self.roles) - 1
        if not self.buffer.type.is_dynamic_dim(last):
            return Filler(chunks.fill, True)
        rest = b.value(b.mod(b.dim_size(self.buffer, last), width))
        aligned = arith.cmpi(arith.CmpIPredicate.eq, rest, b.value(0))
        elements = _Elements(self, shape, axes, threads)

        def fill(tiles: Sequence[SharedTile], k: Axis) -> None:
            b.if_else(aligned, lambda: chunks.fill(tiles, k), lambda: elements.fill_at_once(tiles, k))

        return Filler(fill, True)

    def _copied(self, shape: TileShape, fast: Axis) -> int:
        """Neighbours in a tile's row that are neighbours in memory, too, and are copied at once.

        Where only run time knows how long rows are, they are taken to be long enough.
        """
        if self.roles[-1] != shape.roles[1]:
            return 1
        last = len(self.roles) - 1
        ends = 0 if self.buffer.type.is_dynamic_dim(last) else self.buffer.type.get_dim_size(last)
        for nbytes in (CHUNK_BYTES, 8, 4):
            width = nbytes // shape.width
            if width and not any(x % width for x in (shape.extents[1], ends, fast.run or 0)):
                return width
        return 1

    def address(self, where: Where) -> tuple[list[ir.Value], ir.Value | None]:
        """(indices, whether the element exists); indices are 0, which is in every tensor read, where it does not."""
        exists = all_of(*(where[role][1] for role in self.roles))
        return [b.value(pick(exists, where[role][0], 0)) for role in self.roles], exists


class _Places:
    """This thread's share of a tile, in runs of ``width`` places along a row.

    Elements along the role that is not k do not change from step to step: they are found once.
    """

    def __init__(
        self, source: DenseSource, shape: TileShape, axes: Mapping[str, Axis], threads: Threads, width: int, run: int
    ):
        self.source, self.shape, self.axes, self.threads = source, shape, axes, threads
        self.width, self.run = width, run
        self.total = shape.extents[0] * (shape.extents[1] // width)
        self.fixed: Where = {role: axes[role].at(0) for role in source.roles if role not in shape.roles}
        self.places = [(*self.place(i), taken) for i, taken in threads.unrolled(self.total)]
        self.held = [self._held(row, column) for row, column, _ in self.places]

    def place(self, i: Index) -> tuple[Index, Index]:
        """(row, column) of run number ``i`` of the tile."""
        rows, columns = self.shape.extents[0], self.shape.extents[1] // self.width
        # Neighbouring threads read neighbours in memory, which are rows of the tile when it is a transpose.
        across = self.source.roles[-1] != self.shape.roles[0]
        row, column = (b.div(i, columns), b.mod(i, columns)) if across else (b.mod(i, rows), b.div(i, rows))
        return row, b.mul(column, self.width)

    def _held(self, row: Index, column: Index) -> dict[str, list[tuple[Index, ir.Value | None]]]:
        return {r: self._along(self.axes[r], r, row, column) for r in self.shape.roles if r != "k"}

    def _along(self, axis: Axis, role: str, row: Index, column: Index) -> list[tuple[Index, ir.Value | None]]:
        """Elements along one role: of the row, or of the places of a run that are looked up one by one."""
        if role == self.shape.roles[0]:
            return [axis.at(row)] * self.run
        return [axis.at(b.add(column, e)) for e in range(self.run)]

    def wheres(self, row: Index, column: Index, held: Mapping, k: Axis) -> list[Where]:
        """Element per role, for each place of a run."""
        along = {**held, "k": self._along(k, "k", row, column)} if "k" in self.shape.roles else held
        return [{**self.fixed, **{r: places[e] for r, places in along.items()}} for e in range(self.run)]

    def visit(self, k: Axis) -> list[tuple[Index, Index, ir.Value | None, list[Where]]]:
        """(row, column, whether it is a place, element per role and place) for each run of this thread."""
        return [
            (row, column, taken, self.wheres(row, column, held, k))
            for (row, column, taken), held in zip(self.places, self.held)
        ]


class _Chunks(_Places):
    """Asynchronous copies of ``width`` neighbours; as rows of memory are whole chunks, a chunk exists or does not."""

    def __init__(self, source: DenseSource, shape: TileShape, axes: Mapping[str, Axis], threads: Threads, width: int):
        super().__init__(source, shape, axes, threads, width, 1)

    def fill(self, tiles: Sequence[SharedTile], k: Axis) -> None:
        for row, column, taken, (where,) in self.visit(k):
            b.only_if(taken, lambda r=row, c=column, w=where: self._copy(tiles[0], r, c, w))

    def _copy(self, tile: SharedTile, row: Index, column: Index, where: Where) -> None:
        at, exists = self.source.address(where)
        async_copy(tile, row, column, self.source.buffer, at, self.width, pick(exists, self.width, 0))


class _Elements(_Places):
    """One element at a time: any order, any alignment."""

    def __init__(self, source: DenseSource, shape: TileShape, axes: Mapping[str, Axis], threads: Threads):
        width = math.gcd(shape.chunk, shape.extents[1])
        super().__init__(source, shape, axes, threads, width, width)

    def fill(self, tiles: Sequence[SharedTile], k: Axis) -> Finish | None:
        if self.shape.width == 4:
            for row, column, taken, wheres in self.visit(k):
                b.only_if(taken, lambda r=row, c=column, w=wheres: self._copy(tiles[0], r, c, w))
            return None
        loaded = [(row, column, taken, self._run(wheres)) for row, column, taken, wheres in self.visit(k)]

        def finish() -> None:
            for row, column, taken, run in loaded:
                b.only_if(taken, lambda v=run, r=row, c=column: tiles[0].store_vector(v, r, c))

        return finish

    def fill_at_once(self, tiles: Sequence[SharedTile], k: Axis) -> None:
        """Fill in a loop that keeps nothing in registers: for memory that asks for it now and then."""

        def one(i: Index) -> None:
            row, column = self.place(i)
            wheres = self.wheres(row, column, self._held(row, column), k)
            if self.shape.width == 4:
                self._copy(tiles[0], row, column, wheres)
            else:
                tiles[0].store_vector(self._run(wheres), row, column)

        self.threads.share(self.total, one)

    def _run(self, wheres: list[Where]) -> ir.Value:
        values = [self._load(w) for w in wheres]
        return vector.from_elements(ir.VectorType.get([len(values)], self.shape.element), values)

    def _copy(self, tile: SharedTile, row: Index, column: Index, wheres: list[Where]) -> None:
        for e, where in enumerate(wheres):
            at, exists = self.source.address(where)
            async_copy(tile, row, b.add(column, e), self.source.buffer, at, 1, pick(exists, 1, 0))

    def _load(self, where: Where) -> ir.Value:
        at, exists = self.source.address(where)
        value = memref.load(self.source.buffer, at)
        return value if exists is None else arith.select(exists, value, b.zero_of(value.type))
