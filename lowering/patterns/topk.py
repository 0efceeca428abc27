"""``pith.topk`` on a CPU: per row the k-th largest score by bisection on its bits, then one pass that lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pith._mlir import arith, ir, vector
from pith._mlir import math as math_dialect
from pith.dialect.ops_detect import UNSIGNED
from pith.dialect.pattern import PatternShape

from .. import builder as b
from ..builder import Index
from ..numbers import constant
from ..storage.tree import buffer_of
from .collect import Out, as_list
from .presence import WORD, Presence, integer, packed, require_testable
from .scan import partial_word, word_of

_CMP = arith.CmpIPredicate


@dataclasses.dataclass(frozen=True)
class Keys(Presence):
    """Tests scores against a limit as integers of the same order: NaN above all, -0.0 equal to 0.0.

    Attributes:
        test: how a key compares with the limit.
    """

    test: arith.CmpIPredicate = _CMP.sge

    def word(self, at: Sequence[Index], lanes: int = WORD) -> ir.Value:
        """Bit i says how the score i places after ``at`` compares."""
        keys = self.keys(self.load(at, lanes))
        return packed(arith.cmpi(self.test, keys, vector.broadcast(keys.type, self.limit)))

    def keys(self, bits: ir.Value) -> ir.Value:
        """Scores, as their bits, as integers of the same order."""
        element, width = self.source.type.element_type, bits.type.element_type.width
        if isinstance(element, ir.IntegerType):
            return bits if self.signed else arith.xori(bits, constant(bits.type, -(1 << (width - 1))))
        magnitude = arith.andi(bits, constant(bits.type, (1 << (width - 1)) - 1))
        negative = arith.shrsi(bits, constant(bits.type, width - 1))
        ordered = arith.subi(arith.xori(magnitude, negative), negative)
        nan = arith.cmpi(_CMP.sgt, magnitude, constant(bits.type, _INFINITY[str(element)]))
        return arith.select(nan, constant(bits.type, (1 << (width - 1)) - 1), ordered)


#: Bits of infinity.
_INFINITY = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F800000, "f64": 0x7FF0000000000000}


def lower_topk(op: ir.OpView, shape: PatternShape) -> ir.Value:
    """The k largest of every row as a list, row after row."""
    element = op.scores.type.element_type
    require_testable(op, element)
    scores = buffer_of(op.scores)
    unsigned = UNSIGNED in op.operation.attributes or element.width == 1
    rows = b.dim_size(scores, 0) if scores.type.rank == 2 else 1
    size = b.dim_size(scores, scores.type.rank - 1)
    k, rank = b.minimum(op.k, size), scores.type.rank
    total = b.mul(rows, k)
    flat = b.alloc([b.mul(total, rank)], integer(32))

    def row(r: Index) -> None:
        at = [r] if rank == 2 else []
        _Row(scores, at, size, k, not unsigned).list_into(Out(rank, flat, b.mul(r, k)))

    b.parallel_loop([rows], row, work=b.mul(b.mul(rows, size), 16))
    return as_list(flat, total, rank)


@dataclasses.dataclass(frozen=True)
class _Row:
    """One row of scores, of which the ``k`` largest are wanted."""

    scores: ir.Value
    at: list[Index]
    size: Index
    k: Index
    signed: bool

    def list_into(self, out: Out) -> None:
        """List the scores above the k-th, and of those equal to it the first."""
        limit = self._kth()
        above = self._keys(limit, _CMP.sgt)
        missing = b.value(b.sub(self.k, self._count(above)))
        equal = self._keys(limit, _CMP.eq)

        def step(w: Index, count: Index, listed: ir.Value, missing: ir.Value) -> list[ir.Value]:
            both = arith.ori(high := self._word(above, w, count), self._word(equal, w, count))

            def take(word: ir.Value, listed: ir.Value, missing: ir.Value) -> list[ir.Value]:
                bit = math_dialect.cttz(word)
                is_high = arith.trunci(integer(1), arith.shrui(high, bit))
                wanted = arith.ori(is_high, b.less(0, missing))
                column = b.add(b.mul(w, WORD), arith.index_cast(ir.IndexType.get(), bit))
                b.only_if(wanted, lambda: out.store(listed, [*self.at, column]))
                tie = arith.andi(wanted, arith.xori(is_high, arith.constant(integer(1), 1)))
                rest = arith.andi(word, arith.subi(word, word_of(1)))
                return [rest, arith.addi(listed, _index(wanted)), arith.subi(missing, _index(tie))]

            def unfinished(word: ir.Value, *_: ir.Value) -> ir.Value:
                return arith.cmpi(_CMP.ne, word, word_of(0))

            return b.while_loop([both, listed, missing], unfinished, take)[1:]

        self._for_words(step, [b.value(0), missing])

    def _kth(self) -> ir.Value:
        """The largest limit that at least k keys reach, from its highest bit to the lowest.

        It ends early where exactly k keys reach it.
        """
        width = max(self.scores.type.element_type.width, 8)
        key = integer(width)

        def more(bit: ir.Value, limit: ir.Value, reached: ir.Value) -> ir.Value:
            exact = arith.cmpi(_CMP.eq, reached, b.value(self.k))
            done = arith.ori(exact, arith.cmpi(_CMP.eq, bit, arith.constant(key, 0)))
            return arith.xori(done, arith.constant(integer(1), 1))

        def halve(bit: ir.Value, limit: ir.Value, reached: ir.Value) -> list[ir.Value]:
            wider = arith.addi(limit, bit)
            count = self._count(self._keys(wider, _CMP.sge))
            enough = arith.cmpi(_CMP.uge, count, b.value(self.k))
            lower = arith.shrui(bit, arith.constant(key, 1))
            return [lower, arith.select(enough, wider, limit), arith.select(enough, count, reached)]

        lowest = arith.constant(key, -(1 << (width - 1)))
        state = b.while_loop([lowest, lowest, b.value(self.size)], more, halve)
        return state[1]

    def _keys(self, limit: ir.Value, test: arith.CmpIPredicate) -> Keys:
        return Keys(self.scores, limit, None, self.signed, test)

    def _count(self, keys: Keys) -> ir.Value:
        def step(w: Index, count: Index, so_far: ir.Value) -> list[ir.Value]:
            bits = math_dialect.ctpop(self._word(keys, w, count))
            return [arith.addi(so_far, arith.index_cast(ir.IndexType.get(), bits))]

        return self._for_words(step, [b.value(0)])[0]

    def _word(self, keys: Keys, w: Index, count: Index) -> ir.Value:
        """The bits of word ``w`` of the row, which has ``count`` scores."""
        at = b.mul(w, WORD)
        if isinstance(count, int) and count == WORD:
            return keys.word([*self.at, at])
        return partial_word(keys, self.at, at, count)

    def _for_words(self, step: Callable[..., list[ir.Value]], carried: list[ir.Value]) -> list[ir.Value]:
        """``step(word, scores in it, *carried)`` for every word of the row."""
        whole, rest = b.div(self.size, WORD), b.mod(self.size, WORD)
        state = b.for_loop(0, whole, lambda w, *c: step(w, WORD, *c), carried)
        if isinstance(rest, int) and rest == 0:
            return state
        return b.if_else(b.less(0, rest), lambda: step(whole, rest, *state), lambda: state, [v.type for v in state])


def _index(flag: ir.Value) -> ir.Value:
    return arith.index_castui(ir.IndexType.get(), flag)
