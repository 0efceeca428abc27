"""Which coordinates of a dense tensor a format stores, and where: the walk behind ``pith.compress``."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pith._mlir import arith, ir, math, memref
from pith.formats import Format
from pith.formats.pack_digits import entry_end

from .. import builder as b
from ..builder import Index
from ..levels import Storage
from .tree import Node, Tree, differs_from_zero, raise_flag

#: Groups of up to this many coordinates are chosen from as the bits of one word.
_WORD = 64

_COUNTED = ("compressed", "loose_compressed", "bitmask")


class Sink(Protocol):
    """What becomes of the entries a walk finds."""

    def wants(self, fmt: Format, level: int) -> bool:
        """Whether the walk has anything to tell from ``level`` on down."""
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
    """

    def __init__(self, storage: Storage, overfull: ir.Value | None = None):
        self._storage = storage
        self._overfull = overfull

    def wants(self, fmt: Format, level: int) -> bool:
        return True

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


def store_walk(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """Emit the code that stores what is below ``node``; returns the counters of :func:`heads` afterwards."""
    if not sink.wants(tree.format, node.level):
        return counters
    if tree.is_leaf(node):
        sink.value(node.position, lambda: _without_sign_of_zero(tree.load(node)))
        return counters
    level = tree.format.levels[node.level]
    kind = "dense" if level.is_dense else level.kind
    return _LEVELS[kind](tree, sink, node, counters)


def _without_sign_of_zero(x: ir.Value) -> ir.Value:
    """``x``, or 0.0 for -0.0, which counts as not stored."""
    if isinstance(x.type, (ir.IntegerType, ir.IndexType)):
        return x
    return arith.select(differs_from_zero(x), x, b.zero_of(x.type))


def _dense(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    return tree.for_children(node, lambda c, child, inner: store_walk(tree, sink, child, inner), counters)


def _nm(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """Store the G lowest non-empty coordinates, and the lowest others in places that are left."""
    level = tree.format.levels[node.level]
    base = b.mul(node.position, level.g)

    def store(coord: Index, slot: Index, inner: list[ir.Value]) -> list[ir.Value]:
        position = b.add(base, slot)
        sink.coordinate(node.level, position, coord)
        return store_walk(tree, sink, tree.child(node, position, coord), inner)

    choose = _choose_by_bits if level.h <= _WORD else _choose_by_scan
    return choose(tree, node, level.g, lambda count: sink.held(node.level, count), store, counters)


_Held = Callable[[ir.Value], None]
_Store = Callable[[Index, Index, list[ir.Value]], list[ir.Value]]


def _choose_by_bits(
    tree: Tree, node: Node, g: int, held: _Held, store: _Store, counters: list[ir.Value]
) -> list[ir.Value]:
    """No branches: the non-empty coordinates are the bits of a word, which is filled up and taken apart."""
    word = ir.IntegerType.get_signless(64)
    index, one = ir.IndexType.get(), arith.constant(word, 1)

    def gather(c: Index, child: Node, inner: list[ir.Value]) -> list[ir.Value]:
        bit = arith.shli(arith.extui(word, tree.is_nonzero(child)), arith.index_cast(word, b.value(c)))
        return [arith.ori(inner[0], bit)]

    def take(slot: Index, bits: ir.Value, *inner: ir.Value) -> list[ir.Value]:
        coord = arith.index_castui(index, math.cttz(bits))
        return [arith.andi(bits, arith.subi(bits, one)), *store(coord, slot, list(inner))]

    leaves = node.level + 1 == len(tree.format.levels)
    bits = tree.nonzero_bits(node) if leaves else None
    if bits is None:
        bits = tree.for_children(node, gather, [arith.constant(word, 0)])[0]
    held(math.ctpop(bits))
    bits = _filled(bits, g, tree.format.levels[node.level].h)
    return b.for_loop(0, g, take, [bits, *counters])[1:]


def _filled(bits: ir.Value, g: int, h: int) -> ir.Value:
    """The lowest ``h`` bits of a word with the lowest zeros among them set until ``g`` are ones."""
    word = bits.type

    def fill(_: Index, bits: ir.Value) -> list[ir.Value]:
        room = arith.cmpi(arith.CmpIPredicate.ult, math.ctpop(bits), arith.constant(word, g))
        more = arith.ori(bits, arith.addi(bits, arith.constant(word, 1)))
        return [arith.select(room, more, bits)]

    if h << h > word.width:
        return b.for_loop(0, g, fill, [bits])[0]
    # A branch around a loop is quicker where all groups are full, and takes twice as long where some are not.
    answers = sum(_fill(n, g) << n * h for n in range(1 << h))  # all of them are the digits of one number
    answers -= answers >> 63 << 64  # as a signed one
    digit = arith.shrui(arith.constant(word, answers), arith.muli(bits, arith.constant(word, h)))
    return arith.andi(digit, arith.constant(word, (1 << h) - 1))


def _fill(bits: int, g: int) -> int:
    """:func:`_filled` of a number."""
    while bits.bit_count() < g:
        bits |= bits + 1
    return bits


def _choose_by_scan(
    tree: Tree, node: Node, g: int, held: _Held, store: _Store, counters: list[ir.Value]
) -> list[ir.Value]:
    """Groups of any size: count the non-empty coordinates, then take them and as many others as are missing."""
    count = _count_nonzero(tree, node)
    held(count)
    missing = b.value(b.sub(g, arith.minui(count, b.value(g))))

    def scan(c: Index, child: Node, carried: list[ir.Value]) -> list[ir.Value]:
        slot, missing, *inner = carried
        holds = tree.is_nonzero(child)
        spare = arith.cmpi(arith.CmpIPredicate.ne, missing, b.value(0))
        room = arith.cmpi(arith.CmpIPredicate.ult, slot, b.value(g))

        def take() -> list[ir.Value]:
            left = arith.select(holds, missing, arith.subi(missing, b.value(1)))
            return [b.value(b.add(slot, 1)), left, *store(c, slot, inner)]

        taken = arith.andi(room, arith.ori(holds, spare))
        return b.if_else(taken, take, lambda: carried, [v.type for v in carried])

    return tree.for_children(node, scan, [b.value(0), missing, *counters])[2:]


def _count_nonzero(tree: Tree, node: Node) -> ir.Value:
    def count(c: Index, child: Node, inner: list[ir.Value]) -> list[ir.Value]:
        return [arith.addi(inner[0], arith.index_castui(ir.IndexType.get(), tree.is_nonzero(child)))]

    return tree.for_children(node, count, [b.value(0)])[0]


def _compressed(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """An entry per non-empty tuple of the coordinates of this level and the singletons that belong to it."""
    fmt = tree.format
    mine = heads(fmt).index(node.level)
    end = entry_end(fmt, node.level)

    def enter(at: Node, coords: tuple[Index, ...], inner: list[ir.Value]) -> list[ir.Value]:
        def visit(c: Index, child: Node, carried: list[ir.Value]) -> Sequence[ir.Value]:
            def inside() -> list[ir.Value]:
                if at.level < end:
                    return enter(child, (*coords, c), carried)
                return store(child, (*coords, c), carried)

            return b.if_else(tree.is_nonzero(child), inside, lambda: carried, [v.type for v in carried])

        return tree.for_children(at, visit, inner)

    def store(child: Node, coords: tuple[Index, ...], inner: list[ir.Value]) -> list[ir.Value]:
        position = inner[mine]
        for i, c in enumerate(coords):
            sink.coordinate(node.level + i, position, c)
        inner = [*inner[:mine], b.value(b.add(position, 1)), *inner[mine + 1 :]]
        return store_walk(tree, sink, Node(child.level, position, child.origin), inner)

    after = enter(node, (), counters)
    sink.segment(node.level, node.position, counters[mine], after[mine])
    return after


def _bitmask(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    mine = heads(tree.format).index(node.level)

    def visit(c: Index, child: Node, carried: list[ir.Value]) -> Sequence[ir.Value]:
        def inside() -> list[ir.Value]:
            position = carried[mine]
            sink.bit(node.position, c, node.level)
            inner = [*carried[:mine], b.value(b.add(position, 1)), *carried[mine + 1 :]]
            return store_walk(tree, sink, Node(child.level, position, child.origin), inner)

        return b.if_else(tree.is_nonzero(child), inside, lambda: carried, [v.type for v in carried])

    after = tree.for_children(node, visit, counters)
    sink.segment(node.level, node.position, counters[mine], after[mine])
    return after


def _singleton(tree: Tree, sink: Sink, node: Node, counters: list[ir.Value]) -> list[ir.Value]:
    """One entry per parent: its lowest non-empty coordinate."""
    size = b.value(tree.level_sizes[node.level])

    def lowest(c: Index, child: Node, inner: list[ir.Value]) -> list[ir.Value]:
        found = arith.select(tree.is_nonzero(child), b.value(c), size)
        return [arith.minui(inner[0], found)]

    coord = tree.for_children(node, lowest, [size])[0]
    sink.coordinate(node.level, node.position, coord)
    return store_walk(tree, sink, tree.child(node, node.position, coord), counters)


_LEVELS = {
    "dense": _dense,
    "nm": _nm,
    "compressed": _compressed,
    "loose_compressed": _compressed,
    "bitmask": _bitmask,
    "singleton": _singleton,
}
