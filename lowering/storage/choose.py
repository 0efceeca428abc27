"""Which coordinates of a group a ``nm`` level stores: the lowest that are not empty, and others where room is left."""

from collections.abc import Callable

from pith._mlir import arith, ir, math

from .. import builder as b
from ..builder import Index
from .tree import Node, Tree

#: Groups of up to this many coordinates are chosen from as the bits of one word.
WORD = 64

_Held = Callable[[ir.Value], None]
_Store = Callable[[Index, Index, list[ir.Value]], list[ir.Value]]


def choose_by_bits(
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


def choose_by_scan(
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
