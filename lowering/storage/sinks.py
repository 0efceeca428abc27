"""What becomes of the entries that the walk of ``pith.compress`` finds: they are counted, or written."""

from collections.abc import Callable
from typing import Protocol

from pith._mlir import arith, ir, memref
from pith.formats import Format

from .. import builder as b
from ..builder import Index
from ..sparse.levels import Storage
from .run_step import store_run
from .runs import Run
from .tree import Node, raise_flag

_COUNTED = ("compressed", "loose_compressed", "bitmask")


class Sink(Protocol):
    """What becomes of the entries a walk finds."""

    def wants(self, fmt: Format, level: int) -> bool:
        """Whether the walk has anything to tell from ``level`` on down."""
        ...

    def store(self, node: Node, counters: list[ir.Value]) -> list[ir.Value] | None:
        """Store all that is below ``node`` at once; None where the walk is to go on."""
        ...

    def coordinate(self, level: int, position: Index, coord: Index) -> None:
        """A coordinate of ``level`` stored at ``position``."""
        ...

    def segment(self, level: int, parent: Index, begin: ir.Value, end: ir.Value) -> None:
        """The children of ``parent`` on ``level`` stand at ``[begin, end)``."""
        ...

    def bit(self, parent: Index, coord: Index, level: int) -> None:
        """``coord`` is present below ``parent`` on a ``bitmask`` level."""
        ...

    def value(self, position: Index, x: Callable[[], ir.Value]) -> None:
        """An element stored at ``position``."""
        ...

    def held(self, level: int, count: ir.Value) -> None:
        """A group of an ``nm`` level holds ``count`` coordinates that are not empty."""
        ...


class Counting:
    """A sink that forgets; the walk's counters are what is wanted."""

    def wants(self, fmt: Format, level: int) -> bool:
        return any(h >= level for h in heads(fmt))

    def store(self, node: Node, counters: list[ir.Value]) -> list[ir.Value] | None:
        return None

    def coordinate(self, level: int, position: Index, coord: Index) -> None:
        pass

    def segment(self, level: int, parent: Index, begin: ir.Value, end: ir.Value) -> None:
        pass

    def bit(self, parent: Index, coord: Index, level: int) -> None:
        pass

    def value(self, position: Index, x: Callable[[], ir.Value]) -> None:
        pass

    def held(self, level: int, count: ir.Value) -> None:
        pass


class Filling:
    """A sink that writes the buffers of the storage contract.

    Args:
        overfull: memref of a byte to become 1 when a group holds more than there is room for; None: do not look.
        run: the levels that are packed by vectors, if any.
    """

    def __init__(self, storage: Storage, overfull: ir.Value | None = None, run: Run | None = None):
        self._storage = storage
        self._overfull = overfull
        self._run = run

    def wants(self, fmt: Format, level: int) -> bool:
        return True

    def store(self, node: Node, counters: list[ir.Value]) -> list[ir.Value] | None:
        if self._run is None or node.level != self._run.level:
            return None
        return store_run(self._run, self._storage, self._overfull, node, counters)

    def coordinate(self, level: int, position: Index, coord: Index) -> None:
        buffer = self._storage.metadata[level, "coordinates"]
        width = self._storage.format.coord_bits(level)
        if width >= 8:
            _store_index(coord, buffer, position)
            return
        per_word = 8 // width
        word = b.div(position, per_word)
        _set_bits(buffer, word, b.mul(coord, 1), b.mul(b.sub(position, b.mul(word, per_word)), width))

    def segment(self, level: int, parent: Index, begin: ir.Value, end: ir.Value) -> None:
        buffer = self._storage.metadata[level, "positions"]
        if self._storage.format.levels[level].kind == "loose_compressed":
            _store_index(begin, buffer, b.mul(parent, 2))
            _store_index(end, buffer, b.add(b.mul(parent, 2), 1))
        else:
            _store_index(end, buffer, b.add(parent, 1))

    def bit(self, parent: Index, coord: Index, level: int) -> None:
        width = b.ceildiv(self._storage.level_sizes[level], 8)
        word = b.add(b.mul(parent, width), b.div(coord, 8))
        _set_bits(self._storage.metadata[level, "bits"], word, 1, b.mod(coord, 8))

    def value(self, position: Index, x: Callable[[], ir.Value]) -> None:
        memref.store(x(), self._storage.values, [b.value(position)])

    def held(self, level: int, count: ir.Value) -> None:
        if self._overfull is not None:
            limit = arith.constant(count.type, self._storage.format.levels[level].g)
            raise_flag(self._overfull, arith.cmpi(arith.CmpIPredicate.ugt, count, limit))


def _store_index(x: Index, buffer: ir.Value, at: Index) -> None:
    element = buffer.type.element_type
    entry = b.value(x)
    memref.store(entry if element == entry.type else arith.index_cast(element, entry), buffer, [b.value(at)])


def _set_bits(buffer: ir.Value, word: Index, bits: Index, shift: Index) -> None:
    at = [b.value(word)]
    new = arith.index_cast(buffer.type.element_type, arith.shli(b.value(bits), b.value(shift)))
    memref.store(arith.ori(memref.load(buffer, at), new), buffer, at)


def heads(fmt: Format) -> list[int]:
    """Levels whose entries are counted: their positions depend on the data."""
    return [i for i, level in enumerate(fmt.levels) if level.kind in _COUNTED]
