"""Packing of blocks that lie side by side in memory: vectors of them are loaded, compared and compressed.

Comparing a vector with zero gives bits; arithmetic on a word of them chooses what is stored (:mod:`.groups`),
``vpcompress`` puts the chosen elements side by side, and ``pext`` their coordinates. Nothing depends on data.
"""

import dataclasses

from pith._mlir import arith, ir, vector
from pith.dialect import CompressLanesOp, DepositBitsOp, ExtractBitsOp

from .. import builder as b
from ..builder import Index
from ..sparse.levels import Storage
from . import bit_writer
from .bits import as_mask, repeated, word
from .groups import Groups, ones
from .runs import WORD, Run
from .tree import Node, as_word, differs_from_zero, raise_flag


def store_run(
    run: Run, storage: Storage, overfull: ir.Value | None, node: Node, carried: list[ir.Value]
) -> list[ir.Value]:
    """Emit the code that stores what is below ``node``, which is on :attr:`Run.level`; returns what is carried."""
    step = _Step(run, storage, overfull)
    if not run.beside:
        return step.emit(node.origin, b.mul(node.position, run.values), 1, None, carried)
    blocks = run.tree.level_sizes[run.level]
    size = b.mul(blocks, run.block)
    base = b.mul(b.mul(node.position, blocks), run.values)

    def emit(element: Index, vectors: int, count: Index | None, inner: list[ir.Value]) -> list[ir.Value]:
        position = b.add(base, b.mul(b.div(element, run.block), run.values))
        return step.emit(_moved(node.origin, element), position, vectors, count, inner)

    def whole(element: Index, *inner: ir.Value) -> list[ir.Value]:
        return emit(element, WORD // run.lanes, None, list(inner))

    def rest(element: Index, *inner: ir.Value) -> list[ir.Value]:
        return emit(element, 1, b.minimum(b.sub(size, element), run.lanes), list(inner))

    end = b.mul(b.div(size, WORD), WORD)
    carried = b.for_loop(0, end, whole, carried, step=WORD, rolled=True)
    return b.for_loop(end, size, rest, carried, step=run.lanes, rolled=True)


def _moved(origin: tuple[Index, ...], elements: Index) -> tuple[Index, ...]:
    return (*origin[:-1], b.add(origin[-1], elements))


@dataclasses.dataclass(frozen=True)
class _Step:
    """Code for some vectors of elements."""

    run: Run
    storage: Storage
    overfull: ir.Value | None

    def emit(
        self, origin: tuple[Index, ...], position: Index, vectors: int, count: Index | None, carried: list[ir.Value]
    ) -> list[ir.Value]:
        """Store the elements from ``origin`` on; of one vector only the first ``count``."""
        run, lanes = self.run, self.run.lanes
        present, loaded = word(0), []
        for i in range(vectors):
            x = self._load(_moved(origin, i * lanes), count)
            found = differs_from_zero(x)
            present = arith.ori(present, arith.shli(as_word(found), word(i * lanes)))
            loaded.append((x, found))
        chosen = self._choose(present, vectors * lanes)
        kept = ones(chosen[-1], run.size(run.levels[-1]))
        if self.overfull is not None:
            dropped = arith.andi(present, arith.xori(kept, word((1 << WORD) - 1)))
            raise_flag(self.overfull, arith.cmpi(arith.CmpIPredicate.ne, dropped, word(0)))
        stored = lanes // run.block * run.values
        for i, (x, found) in enumerate(loaded):
            mask = as_mask(arith.shrui(kept, word(i * lanes)), lanes)
            self._store(x, found, mask, b.add(position, i * stored), count)
        return self._write(chosen, vectors * lanes, count, carried)

    def _load(self, origin: tuple[Index, ...], count: Index | None) -> ir.Value:
        source = self.run.tree.source
        type_ = ir.VectorType.get([self.run.lanes], source.type.element_type)
        at = list(map(b.value, origin))
        if count is None:
            return vector.load(type_, source, at)
        zeros = vector.broadcast(type_, b.zero_of(type_.element_type))
        return vector.maskedload(type_, source, at, self._first(count), zeros)

    def _first(self, count: Index) -> ir.Value:
        """The first ``count`` lanes."""
        return vector.create_mask(ir.VectorType.get([self.run.lanes], ir.IntegerType.get_signless(1)), [b.value(count)])

    def _choose(self, present: ir.Value, elements: int) -> list[ir.Value]:
        """Per level of the run, outermost first, the entries that are stored: a bit each, where the entry begins."""
        run, fmt = self.run, self.run.tree.format
        chosen: list[ir.Value] = []
        for level in reversed(run.levels):
            size = run.size(level)
            h = run.tree.level_sizes[level]
            group = Groups(fmt.levels[level].g, h, size, elements // (size * h))
            if fmt.levels[level].has_coordinates:
                mine, present = group.choose(present)
            else:
                mine, present = word(group.entries), group.any(present)
            chosen.insert(0, mine)
        for i in range(1, len(chosen)):
            chosen[i] = arith.andi(chosen[i], ones(chosen[i - 1], run.size(run.first + i - 1)))
        return chosen

    def _store(self, x: ir.Value, found: ir.Value, mask: ir.Value, position: Index, count: Index | None) -> None:
        """Store the lanes of ``x`` in ``mask``; -0.0 as 0.0."""
        run, at = self.run, [b.value(position)]
        zeros = vector.broadcast(x.type, b.zero_of(x.type.element_type))
        packed = CompressLanesOp.build(arith.select(found, x, zeros), mask).result
        if count is None:
            stored = run.lanes // run.block * run.values
            vector.store(vector.shuffle(packed, packed, list(range(stored))), self.storage.values, at)
        else:
            first = self._first(b.mul(b.div(count, run.block), run.values))
            vector.maskedstore(self.storage.values, at, first, packed)

    def _write(
        self, chosen: list[ir.Value], elements: int, count: Index | None, carried: list[ir.Value]
    ) -> list[ir.Value]:
        """Append the coordinates of the entries that are chosen."""
        run, out = self.run, list(carried)
        for i, level in enumerate(run.coordinates):
            buffer, mine = self.storage.metadata[level, "coordinates"], slice(3 * i, 3 * i + 3)
            piece = min(run.piece(level), elements)
            per_block = run.stored(level) * run.tree.format.coord_bits(level)
            for start in range(0, elements, piece):
                bits = self._coordinates(chosen[level - run.first], level, start, piece)
                total: Index = piece // run.block * per_block
                if count is not None:
                    inside = b.minimum(b.maximum(b.sub(b.add(count, elements), start), elements), elements + piece)
                    total = b.mul(b.div(b.sub(inside, elements), run.block), per_block)
                    limit = arith.shli(word(1), arith.index_cast(bits.type, b.value(total)))
                    bits = arith.andi(bits, arith.subi(limit, word(1)))
                out[mine] = bit_writer.append(buffer, out[mine], bits, total)
        return out

    def _coordinates(self, chosen: ir.Value, level: int, start: int, elements: int) -> ir.Value:
        """Coordinates of the entries that ``chosen`` names among some elements, side by side."""
        run = self.run
        size, width = run.size(level), run.tree.format.coord_bits(level)
        h, entries = run.tree.level_sizes[level], elements // size
        mine = arith.shrui(chosen, word(start))
        if size < width:
            if size > 1:
                mine = ExtractBitsOp.build(mine, word(repeated(1, size, entries))).result
            mine = DepositBitsOp.build(mine, word(repeated(1, width, entries))).result
        elif elements < WORD:
            mine = arith.andi(mine, word((1 << elements) - 1))
        step = max(size, width)
        numbers = repeated(sum(c << c * step for c in range(h)), h * step, entries // h)
        return ExtractBitsOp.build(word(numbers), ones(mine, width)).result
