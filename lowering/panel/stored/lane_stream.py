"""How a lane tile (lanes.py) visits what is stored: the innermost level a vector of elements at a time."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pith._mlir import ir, vector

from ... import builder as b
from ...builder import Index
from ..decoder import Decoder
from ..pack import Panel
from .entries import add_entries
from .far import FarAhead
from .gather import Gather, Slot
from .members import Member, Position, identity
from .stream import Stream

if TYPE_CHECKING:
    from .lanes import LaneTile


def no_leaf(members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
    """What a stream that visits vectors has for single elements."""
    return accs


@dataclasses.dataclass(kw_only=True)
class LaneStream(Stream):
    """Visits the innermost level a vector at a time."""

    tile: "LaneTile"
    type: ir.VectorType
    panel: Panel

    def __post_init__(self) -> None:
        self._pending: dict[int, tuple[list[Slot], Iterator[int]]] = {}
        self._turn = itertools.cycle(range(self.tile.chains))
        self._far = FarAhead.of(self.tile.values)
        self._groups: dict[object, tuple[Callable[[Index], ir.Value], Index]] = {}

    def visit(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        if level < len(self.storage.format.levels) - 1:
            return super().visit(level, members, accs)
        if self.tile.kind == "gather":
            return self._gather(level, members, accs)
        if self.tile.together > 1:
            return self._several_across_rows(level, members, accs)
        if self.tile.kind == "rows":
            return self._across_rows(level, members, accs)
        if self.tile.kind == "entries":
            return self._entries(level, members, accs)
        out, size, lanes = list(accs), self.storage.format.exprs[level].mod, self.tile.lanes
        for first in range(0, size, lanes):
            base = next(self._turn) * self.tile.sums
            for m in members:
                x = self.panel.row(self.type, m.run_time_red, m.red_offset + first)
                values = self._values(m, m.position.child(size, first))
                out[base + m.row] = vector.fma(values, x, out[base + m.row])
        return out

    def _group(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        if not self.tile.chooses:
            return super()._group(level, members, accs)
        g = self.storage.format.levels[level].g
        for slot in range(g):
            accs = self.visit(level + 1, [m.choose(level, m.position.child(g, slot)) for m in members], accs)
        return accs

    def _across_rows(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        out, base, lanes = list(accs), next(self._turn) * self.tile.sums, self.tile.lanes
        for m in self._rows(level, members)[::lanes]:
            at = base + m.row // lanes
            x = vector.broadcast(self.type, self._element(m.run_time_red, m.red_offset))
            out[at] = vector.fma(self._values(m, m.position), x, out[at])
        return out

    def _several_across_rows(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        """As :meth:`_across_rows`, some elements at a time, those of a block's end alone."""
        out, tile = list(accs), self.tile
        rows = tile.lanes // tile.together
        for m in members:
            pending, turn = self._pending.setdefault(m.row, ([], self._turn))
            place = m.position
            pending.append(Slot(m.chosen, m.run_time_red, m.red_offset))
            if len(pending) < tile.together and place.offset + 1 < place.count * place.scale:
                continue
            first = dataclasses.replace(place, offset=place.offset + 1 - len(pending)).child(rows, 0)
            slots = [slot for slot in pending for _ in range(rows)]
            values = self._values(m, first) if len(slots) == tile.lanes else self._few_values(m, first, len(slots))
            slots += slots[-1:] * (tile.lanes - len(slots))
            gather = Gather(self.storage, self.panel, self.type, tile.roles.reach, tile.parts, tile.pairs)
            sums = next(turn)
            out[sums] = vector.fma(values, gather(slots), out[sums])
            pending.clear()
        return out

    def _few_values(self, m: Member, position: Position, count: int) -> ir.Value:
        """``count`` values, and zeros in the lanes behind them."""
        type_ = ir.VectorType.get([count], self.type.element_type)
        some = self.tile.values.vector(type_, self.tile.member(m.row), position.value)
        zeros = vector.broadcast(type_, b.zero_of(type_.element_type))
        return vector.shuffle(some, zeros, [min(lane, count) for lane in range(self.tile.lanes)])

    def _entries(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        out = list(accs)
        for m in members:
            out[m.row] = add_entries(self.storage, self.tile.arithmetic, self.panel, level, m, out[m.row])
        return out

    def _values(self, m: Member, position: Position) -> ir.Value:
        self._far.ask(position)
        if self.tile.decoder is None:
            return self.tile.values.vector(self.type, self.tile.member(m.row), position.value)
        return self._group_of(self.tile.decoder, position)(position.value)

    def _group_of(self, decoder: Decoder, position: Position) -> Callable[[Index], ir.Value]:
        """What reads values of the group at a position, once for all positions that are known to be in one."""
        part = math.gcd(position.align * position.scale, decoder.quantized.group)
        key = identity(position.base), position.scale, position.offset // part
        if key not in self._groups:
            first = b.add(b.mul(position.base, position.scale), position.offset // part * part)
            self._groups[key] = decoder.reader(b.div(first, decoder.quantized.group), self.tile.order), position.base
        return self._groups[key][0]

    @contextlib.contextmanager
    def own_words(self) -> Iterator[None]:
        """See :meth:`Stream.own_words`; groups are read in it, too."""
        outer, self._groups = self._groups, {}
        with super().own_words():
            yield
        self._groups = outer

    def _element(self, red: Index, offset: int) -> ir.Value:
        one = self.panel.row(ir.VectorType.get([1], self.type.element_type), red, offset)
        return vector.extract(one, [], [0])

    def _gather(self, level: int, members: Sequence[Member], accs: list[ir.Value]) -> list[ir.Value]:
        g = self.storage.format.levels[level].g
        reach = self.tile.roles.reach if self.tile.chooses else self.storage.format.levels[level].h
        out, shared = list(accs), bool(self.tile.period)
        for m in members:
            first = 0 if shared else m.row
            turns = range(first, len(accs), 1 if shared else self.tile.sums)
            pending, turn = self._pending.setdefault(first, ([], itertools.cycle(turns)))
            red = m.run_time_red
            for slot in range(g):
                at = m.choose(level, m.position.child(g, slot))
                pending.append(Slot(at.chosen, red, m.red_offset))
                if len(pending) == self.tile.lanes:
                    values, sums = self._values(m, dict(pending[0].chosen)[level]), next(turn)
                    gather = Gather(self.storage, self.panel, self.type, reach, self.tile.parts, self.tile.pairs)
                    out[sums] = vector.fma(values, gather([pending[i] for i in self.tile.order]), out[sums])
                    pending.clear()
        return out
