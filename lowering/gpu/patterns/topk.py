"""``pith.topk`` on a GPU: a block per row finds the k-th largest key eight bits at a time, then lists in one pass.

Keys are integers of the order of the scores (:class:`pith.lowering.patterns.topk.Keys`). A histogram in shared memory
counts, per digit, the keys that agree with the digits found so far; each of the 256 threads owns a digit, and a scan
over the threads tells where the k-th key lies. Row r's entries begin at ``r * k``, so blocks need no counter, and the
list is the same in every run.
"""

from __future__ import annotations

import dataclasses

from pith._mlir import arith, gpu, ir, memref, vector
from pith.dialect.ops_detect import UNSIGNED

from ... import builder as b
from ...builder import Index
from ...patterns.presence import require_testable
from ...patterns.topk import Keys
from ..host import Host
from .lists import THREADS, Block, DeviceList, as_i32, as_index, i32, shared_words, word

_DIGIT = 8
_CMP = arith.CmpIPredicate


def convert_topk(host: Host, op: ir.OpView) -> None:
    """The k largest of every row, row after row."""
    element = op.scores.type.element_type
    require_testable(op, element)
    (scores,) = host.buffers_of(op, op.scores)
    rank = scores.type.rank
    rows = b.dim_size(scores, 0) if rank == 2 else 1
    k = b.minimum(host.size(op, op.k), b.dim_size(scores, rank - 1))
    listing = DeviceList.allocate(host, rank, b.mul(rows, k))
    signed = UNSIGNED not in op.operation.attributes and element.width > 1
    shared = Block.shared_bytes() + 4 * (1 << _DIGIT) + 16
    types = [scores.type, ir.IndexType.get(), listing.memory.type]
    with host.kernel("topk", types, THREADS) as (name, entry):
        source, wanted, memory = entry.arguments
        row = gpu.block_id(gpu.Dimension.x)
        block, out = Block.here(), DeviceList(memory, rank)
        at = [row] if rank == 2 else []
        line = _Row(Keys(source, word(0), None, signed), at, wanted, block, out)
        b.only_if(b.less(0, wanted), lambda: line.list_from(b.mul(row, wanted)))
    host.launch(op, name, [rows], THREADS, shared, [scores, b.value(k), listing.memory])
    with host.kernel("count", [ir.IndexType.get(), listing.memory.type], 1) as (name, entry):
        total, memory = entry.arguments
        DeviceList(memory, rank).set_count(as_i32(total))
    host.launch(op, name, [1], 1, 0, [b.value(b.mul(rows, k)), listing.memory])
    host.bind(op.results[0], [listing.memory])


@dataclasses.dataclass(frozen=True)
class _Row:
    """One row of scores, of which a block lists the ``k`` largest.

    Keys are compared as unsigned integers of ``bits``: the sign bit of the signed order is flipped.
    """

    keys: Keys
    at: list[ir.Value]
    k: ir.Value
    block: Block
    out: DeviceList

    @property
    def size(self) -> Index:
        return b.dim_size(self.keys.source, self.keys.source.type.rank - 1)

    @property
    def bits(self) -> int:
        """Width of a key."""
        return max(self.keys.source.type.element_type.width, 8)

    def list_from(self, first: Index) -> None:
        """Store entries ``first`` and on: what is above the k-th key, and of its equals the first."""
        limit, ties = self._kth()
        size, threads = self.size, self.block.threads

        def chunk(start: Index, above_so_far: ir.Value, ties_so_far: ir.Value) -> list[ir.Value]:
            column = b.value(b.add(start, self.block.number))
            above, equal = self._compare(column, limit)
            # One scan for both: ties in the upper half of the word, which 256 threads do not overflow.
            both = arith.ori(above, arith.shli(equal, word(16)))
            before, total = self.block.scan(both)
            low, high = (lambda x: arith.andi(x, word(0xFFFF))), (lambda x: arith.shrui(x, word(16)))
            tie_rank = arith.addi(ties_so_far, high(before))
            taken_before = arith.addi(arith.addi(above_so_far, low(before)), arith.minui(tie_rank, ties))
            wanted = arith.ori(_is(above), arith.andi(_is(equal), arith.cmpi(_CMP.ult, tie_rank, ties)))
            entry = b.value(b.add(first, as_index(taken_before)))
            b.only_if(wanted, lambda: self.out.store(entry, [*self.at, column]))
            gpu.barrier()
            return [arith.addi(above_so_far, low(total)), arith.addi(ties_so_far, high(total))]

        b.for_loop(0, size, chunk, [word(0), word(0)], step=threads)

    def _compare(self, column: ir.Value, limit: ir.Value) -> tuple[ir.Value, ir.Value]:
        """1 where the key is above the limit, 1 where it is equal; 0 past the row."""

        def inside() -> list[ir.Value]:
            key = self._key(column)
            return [arith.extui(i32(), arith.cmpi(p, key, limit)) for p in (_CMP.ugt, _CMP.eq)]

        above, equal = b.if_else(b.less(column, self.size), inside, lambda: [word(0), word(0)], [i32(), i32()])
        return above, equal

    def _key(self, column: ir.Value) -> ir.Value:
        """The key of a score, as an unsigned integer."""
        loaded = self.keys.keys(self.keys.load([*self.at, column], 1))
        key = vector.extract(loaded, [], [0])
        return arith.xori(key, arith.constant(key.type, -(1 << (self.bits - 1))))

    def _kth(self) -> tuple[ir.Value, ir.Value]:
        """(the k-th largest key, how many of its equals are wanted)."""
        key = ir.IntegerType.get_signless(self.bits)
        histogram = shared_words(Block.shared_bytes(), 1 << _DIGIT)
        found = shared_words(Block.shared_bytes() + 4 * (1 << _DIGIT), 2)
        limit, missing = arith.constant(key, 0), as_i32(self.k)
        for shift in range(self.bits - _DIGIT, -1, -_DIGIT):
            digit, missing = self._digit(histogram, found, limit, missing, shift)
            wide = digit if self.bits == 32 else arith.trunci(key, digit) if self.bits < 32 else arith.extui(key, digit)
            limit = arith.ori(limit, arith.shli(wide, arith.constant(key, shift)) if shift else wide)
        return limit, missing

    def _digit(
        self, histogram: ir.Value, found: ir.Value, limit: ir.Value, missing: ir.Value, shift: int
    ) -> tuple[ir.Value, ir.Value]:
        """The digit at ``shift`` of the key that is number ``missing`` of those that agree with ``limit`` above it."""
        me = self.block.number
        memref.store(word(0), histogram, [me])
        gpu.barrier()
        b.for_loop(me, self.size, lambda c: self._tally(histogram, b.value(c), limit, shift), step=self.block.threads)
        gpu.barrier()
        # Thread t owns digit 255 - t: the scan then counts the keys with larger digits.
        mine = arith.subi(b.value((1 << _DIGIT) - 1), me)
        count = memref.load(histogram, [mine])
        larger, _ = self.block.scan(count)
        here = arith.andi(
            arith.cmpi(_CMP.ult, larger, missing), arith.cmpi(_CMP.uge, arith.addi(larger, count), missing)
        )

        def tell() -> None:
            memref.store(as_i32(mine), found, [b.value(0)])
            memref.store(arith.subi(missing, larger), found, [b.value(1)])

        b.only_if(here, tell)
        gpu.barrier()
        digit, rest = (memref.load(found, [b.value(i)]) for i in range(2))
        gpu.barrier()
        return digit, rest

    def _tally(self, histogram: ir.Value, column: ir.Value, limit: ir.Value, shift: int) -> None:
        key = self._key(column)
        above = shift + _DIGIT

        def count() -> None:
            shifted = arith.shrui(key, arith.constant(key.type, shift)) if shift else key
            digit = arith.andi(shifted, arith.constant(key.type, (1 << _DIGIT) - 1 if self.bits > _DIGIT else -1))
            place = arith.index_castui(ir.IndexType.get(), digit)
            memref.atomic_rmw(arith.AtomicRMWKind.addi, word(1), histogram, [place])

        if above >= self.bits:
            count()
            return
        amount = arith.constant(key.type, above)
        b.only_if(arith.cmpi(_CMP.eq, arith.shrui(key, amount), arith.shrui(limit, amount)), count)


def _is(flag: ir.Value) -> ir.Value:
    """An ``i32`` flag as ``i1``."""
    return arith.cmpi(_CMP.ne, flag, word(0))
