"""Rows of keys, values and queries on their way into shared memory, ahead of their use."""

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, gpu, ir, nvgpu

from ... import builder as b
from ...builder import Index
from ..product.staging import Threads, async_copy, commit_copies
from ..product.tiles import SharedTile
from .body import Tiles
from .keys import ListedStream, Stream
from .problem import Operands, load

#: Bytes that one asynchronous copy may move, most first (PTX ISA, cp.async).
COPY_BYTES = (16, 8, 4)


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Tiles of keys and values, ``stages`` of them at a time.

    Attributes:
        head: sequence and head of keys and values.
        beside: ``beside(stream, tile, stage)`` brings along what else belongs to a tile.
    """

    o: Operands
    stream: Stream
    tiles: Tiles
    head: tuple[Index, Index]
    stages: int
    threads: Threads
    beside: Callable[[Stream, ir.Value, Index], None] | None = None

    def start(self) -> ir.Value:
        """Begin to copy the first tiles, and clear what copies do not reach; returns a token for :meth:`next`."""
        for source, shared in self._sides():
            for stage in range(self.stages):
                clear_columns(shared.of_stage(stage), source.type.get_dim_size(3), self.threads)
        return [self._begin(b.value(tile)) for tile in range(self.stages - 1)][-1]

    def next(self, tile: ir.Value, started: ir.Value) -> Index:
        """Wait for ``tile`` and begin to copy the one that takes the place of the tile before it; returns its stage."""
        nvgpu.device_async_wait(started, num_groups=self.stages - 2)
        gpu.barrier()
        self._begin(arith.addi(tile, b.value(self.stages - 1)))
        return b.mod(tile, self.stages)

    def _sides(self) -> list[tuple[ir.Value, SharedTile]]:
        return [(self.o.key, self.tiles.key), (self.o.value, self.tiles.value)]

    def _begin(self, tile: ir.Value) -> ir.Value:
        stage, width = b.mod(tile, self.stages), self.stream.width

        def copy() -> None:
            def at(u: Index) -> tuple[ir.Value, ir.Value]:
                key = self.stream.at(tile, u)
                return key.position, key.exists

            for source, shared in self._sides():
                copy_rows(source, self.head, at, shared.of_stage(stage), self.threads)
            if isinstance(self.stream, ListedStream):
                records = self.stream.records.of_stage(stage)
                self.threads.share(width, lambda u: records.store(self.stream.at(tile, u).record, 0, u))
            if self.beside is not None:
                self.beside(self.stream, tile, stage)

        b.only_if(b.less(tile, self.stream.tiles), copy)
        return commit_copies()


def copy_rows(
    source: ir.Value,
    leading: Sequence[Index],
    at: Callable[[Index], tuple[ir.Value, ir.Value]],
    shared: SharedTile,
    threads: Threads,
) -> None:
    """Begin to copy rows ``at(u)`` (position, whether it exists; else zeros) of ``source`` to the rows of a tile.

    Rows that are no whole number of the smallest asynchronous copies are copied at once.
    """
    features = source.type.get_dim_size(3)
    step = copy_elements(source.type.element_type, features)
    chunks = features // step

    def one(entry: Index) -> None:
        u, feature = b.div(entry, chunks), b.mul(b.mod(entry, chunks), step)
        position, exists = at(u)
        origin = [b.value(i) for i in (*leading, position, feature)]
        if step == 1:
            element = source.type.element_type
            (x,) = b.if_else(exists, lambda: [load(source, origin)], lambda: [b.zero_of(element)], [element])
            shared.store(x, u, feature)
        else:
            async_copy(shared, u, feature, source, origin, step, arith.select(exists, b.value(step), b.value(0)))

    for entry, taken in threads.unrolled(shared.shape.extents[0] * chunks):
        b.only_if(taken, lambda entry=entry: one(entry))


def copy_elements(element: ir.Type, features: int) -> int:
    """Elements of one asynchronous copy that rows of ``features`` are a whole number of, all aligned; 1 for none."""
    width = element.width // 8  # type: ignore[attr-defined]
    return next((n // width for n in COPY_BYTES if n > width and features * width % n == 0), 1)


def clear_columns(shared: SharedTile, first: int, threads: Threads) -> None:
    """Zero the columns of a tile from ``first`` on: padding is multiplied too."""
    rows, columns = shared.shape.extents[0], shared.shape.extents[1] - first
    if columns:
        zero = b.zero_of(shared.shape.element)
        threads.share(rows * columns, lambda i: shared.store(zero, b.div(i, columns), b.add(b.mod(i, columns), first)))
