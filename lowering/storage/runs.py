"""Which part of a format is packed by vectors.

A *run* is the innermost levels of a format, as far as they choose from neighbouring elements: in ``C1(3:4)->C0(2:4)``
blocks of 16 elements. :mod:`.run_step` is the code that packs them.
"""

import dataclasses
import math

from pith._mlir import ir
from pith.formats.levels import Level

from .. import builder as b
from ..builder import Index
from ..isa import Isa
from ..sparse.levels import Storage
from . import bit_writer
from .tree import Tree

#: Bits of a word; that many elements are packed at a time.
WORD = 64


@dataclasses.dataclass(frozen=True)
class Run:
    """The innermost levels of a format that are packed by vectors.

    Attributes:
        first: the outermost of these levels.
        block: elements below one position of it, neighbours in memory.
        lanes: elements per vector, whole blocks.
        beside: blocks lie side by side along the level above.
    """

    tree: Tree
    first: int
    block: int
    lanes: int
    beside: bool

    @property
    def level(self) -> int:
        """The level of the nodes that are packed at once."""
        return self.first - self.beside

    @property
    def levels(self) -> range:
        """The levels of the run."""
        return range(self.first, len(self.tree.format.levels))

    @property
    def coordinates(self) -> list[int]:
        """Levels with coordinates, outermost first; three carried values each."""
        return [i for i in self.levels if self.tree.format.levels[i].has_coordinates]

    def size(self, level: int) -> int:
        """Elements below an entry of a level."""
        return math.prod(self._sizes(level + 1))

    def _sizes(self, level: int) -> list[int]:
        return [size for size in self.tree.level_sizes[level:] if isinstance(size, int)]  # all of them are

    def stored(self, level: int) -> int:
        """Entries of a level that a block stores."""
        levels = self.tree.format.levels[self.first : level + 1]
        return math.prod(v.g if v.has_coordinates else n for v, n in zip(levels, self._sizes(self.first)))

    @property
    def values(self) -> int:
        """Elements that a block stores."""
        return self.stored(self.levels[-1])

    def piece(self, level: int) -> int:
        """Elements, in whole blocks, whose coordinates one ``pext`` and one dword hold; 0 where no block fits."""
        width = self.tree.format.coord_bits(level)
        elements = WORD
        while elements % self.block == 0:
            bits = elements // self.block * self.stored(level) * width
            if bits <= bit_writer.DWORD and elements * max(1, -(-width // self.size(level))) <= WORD:
                return elements
            elements //= 2
        return 0

    def begin(self, part: Index, step: int | None) -> list[ir.Value]:
        """What is carried through a part of ``step`` coordinates of the first level: where coordinates are written."""
        out = []
        for level in self.coordinates:
            bits = b.mul(_positions(self.tree, level), self.tree.format.coord_bits(level))
            out += bit_writer.begin(0 if step is None else b.mul(part, b.div(b.mul(bits, step), 8)))
        return out

    def finish(self, storage: Storage, carried: list[ir.Value]) -> None:
        """Write what is left at the end of a part."""
        for i, level in enumerate(self.coordinates):
            bit_writer.finish(storage.metadata[level, "coordinates"], carried[3 * i : 3 * i + 3])


def _positions(tree: Tree, level: int) -> Index:
    """Positions of a level below one coordinate of the first one."""
    levels: list[tuple[Level, Index]] = list(zip(tree.format.levels, tree.level_sizes))[1 : level + 1]
    return b.product([v.g if v.kind == "nm" else size for v, size in levels])


def run_of(tree: Tree, isa: Isa) -> Run | None:
    """What vectors pack of a format; None where elements, widths or the processor do not fit."""
    fmt, element = tree.format, tree.element_type
    if not isa.has_masks or isinstance(element, ir.IndexType) or element.width < 8:
        return None
    if any(v.kind not in ("dense", "nm") for v in fmt.levels):
        return None
    if tree.source.type.get_strides_and_offset()[0][-1] != 1:
        return None
    bits = max(element.width, 32)
    lanes, first, block = 8 * isa.vector_bytes // bits, len(fmt.levels), 1
    while first > 0 and _continues(tree, first - 1, block):
        size = tree.level_sizes[first - 1]
        if not isinstance(size, int) or block * size > lanes:
            break
        first, block = first - 1, block * size
    # The first level is what threads share, so it is not walked at once. Blocks that are not side by side have to fill
    # a vector: 4096x4096 in V(4)C1(2:4)->C0(2:4) take 13.0 ms by vectors of four, 10.9 by the walk (Zen 4, 2026-11).
    beside = first > 1 and fmt.levels[first - 1].kind == "dense" and _continues(tree, first - 1, block)
    if lanes % block if beside else lanes != block:
        return None
    run = Run(tree, first, block, lanes, beside)
    narrow = run.coordinates and all(fmt.coord_bits(i) < 8 and run.piece(i) for i in run.coordinates)
    return run if narrow else None


def _continues(tree: Tree, level: int, block: int) -> bool:
    """Whether neighbours on a level are ``block`` neighbours in memory each."""
    e = tree.format.exprs[level]
    return (e.dim, e.div) == (tree.format.rank - 1, block)
