"""Nested ranks that a matrix obeys, from its occupancies: candidates of :mod:`pith.formats.infer`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .format import Format
from .hss import HSS
from .levels import Level
from .occupancy import Occupancy
from .parse import parse_format

#: Most G:H ranks of a candidate, and a list or mask above them.
_DEPTH = 3

#: Bits of a position, and of a coordinate in a list.
_INDEX = 32


@dataclasses.dataclass(frozen=True)
class Guess:
    """A candidate before its bytes are known exactly.

    Attributes:
        bits: about how many it stores.
        text: the format.
        entries: of its compressed and bitmask levels, outermost first.
        rows: of the outermost level, where its empty rows are left out.
    """

    bits: float
    text: str
    entries: tuple[int, ...] = ()
    rows: int | None = None

    def format(self) -> HSS | Format:
        """The format; where rows are left out, spelled in ranks of rows and columns.

        >>> print(Guess(0, "V(4)C0(2:4)", rows=7).format())
        M1(*)->C1->C0(2:4)->M0(4)
        """
        if self.rows is None:
            return parse_format(self.text)
        fmt = HSS.parse(self.text).to_format()
        return HSS.from_format(dataclasses.replace(fmt, levels=(Level("compressed"), *fmt.levels[1:])))


@dataclasses.dataclass(frozen=True)
class _Chain:
    """G:H ranks inside one another.

    Attributes:
        outer: the blocks that a rank above the ranks would choose among; the first of them holds the elements.
        ranks: H, G and how many rows share the choice, innermost first.
        kept: share of the elements they keep.
        bits: per value kept, its own and those of coordinates.
    """

    outer: tuple[int, int]
    block: tuple[int, int]
    ranks: tuple[tuple[int, int, int], ...]
    kept: float
    bits: float

    def text(self, above: str = "", share: int = 1) -> str:
        """The format; ``above``: what a further rank keeps, of which ``share`` rows share the choice."""
        height, width = self.block
        ranks = [*((f"{g}:{h}", v) for h, g, v in self.ranks), *([(above, share)] if above else [])]
        wide = width > 1 or (len(ranks) == 1 and height > 1)
        shares = [v if v > 1 and not (wide and i == 0) else 0 for i, (_, v) in enumerate(ranks)]
        words = [f"V({v})" * bool(v) for v in shares]
        words[0] += f"B({height}x{width})" * wide
        return "->".join(f"{words[i]}C{i}({ranks[i][0]})" for i in reversed(range(len(ranks))))


def guesses(found: Mapping[tuple[int, int], Occupancy], shape: Sequence[int], value: int) -> Iterator[Guess]:
    """Every format of nested ranks that a matrix obeys, with its empty rows and without.

    Args:
        found: by height and width of the blocks.
        value: bits of one.
    """
    search = _Search(found.values(), shape)
    chains = [_Chain((o.height, o.width), (o.height, o.width), (), 1.0, value) for o in found.values()]
    for _ in range(_DEPTH):
        for chain in chains:
            yield from search.structured(chain)
            yield from search.listed(chain)
        chains = [longer for chain in chains for longer in search.extended(chain)]
    for chain in chains:
        yield from search.structured(chain)


class _Search:
    """What is known of a matrix: its occupancies by width, and by height how many rows of blocks hold something."""

    def __init__(self, found: Iterable[Occupancy], shape: Sequence[int]):
        self.by_width: dict[int, list[Occupancy]] = {}
        self.held_rows: dict[int, int] = {}
        self.shape = shape
        for o in found:
            self.by_width.setdefault(o.width, []).append(o)
            self.held_rows[o.height] = o.held_rows

    def above(self, chain: _Chain) -> Iterator[Occupancy]:
        """Blocks that a further rank may choose among: each a group of the ranks, in rows that share all choices."""
        height, width = chain.outer
        for o in self.by_width.get(width, ()):
            if o.height % height == 0 if chain.ranks else o.height == height:
                yield o

    def extended(self, chain: _Chain) -> Iterator[_Chain]:
        """The ranks with a G:H rank above, where that stores less."""
        for o in self.above(chain):
            values = o.height * o.width * chain.kept
            for h, most in o.fullest.items():
                g = max(most, 1)
                bits = chain.bits + coordinate_bits(h) / values
                if g * bits < h * chain.bits:
                    ranks = (*chain.ranks, (h, g, o.height))
                    yield _Chain((o.height, o.width * h), chain.block, ranks, chain.kept * g / h, bits)

    def structured(self, chain: _Chain) -> Iterator[Guess]:
        """The ranks alone."""
        if not chain.ranks:
            return
        bits = math.prod(self.shape) * chain.kept * chain.bits
        text, rows, held = chain.text(), -(-self.shape[0] // chain.outer[0]), self.held_rows[chain.outer[0]]
        yield Guess(bits, text)
        if held < rows:
            yield Guess(bits * held / rows + (held + 2) * _INDEX, text, (held,), held)

    def listed(self, chain: _Chain) -> Iterator[Guess]:
        """The ranks below a list, and below a mask, of the blocks that hold something."""
        for o in self.above(chain):
            rows = -(-self.shape[0] // o.height)
            values = o.held * o.height * o.width * chain.kept * chain.bits
            for kind, coordinates, masks in (("*", o.held * _INDEX, 0), ("bitmask", 0, o.blocks)):
                text, bits = chain.text(kind, o.height), values + coordinates
                yield Guess(bits + masks + (rows + 1) * _INDEX, text, (o.held,))
                if o.held_rows < rows:
                    bits += masks * o.held_rows / rows + (2 * o.held_rows + 3) * _INDEX
                    yield Guess(bits, text, (o.held_rows, o.held), o.held_rows)


def coordinate_bits(h: int) -> int:
    """Stored width of a coordinate below ``h``.

    >>> coordinate_bits(4), coordinate_bits(5)
    (2, 4)
    """
    return next(w for w in (1, 2, 4, 8) if 2**w >= h)
