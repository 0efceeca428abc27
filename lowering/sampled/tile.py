"""The register tile of sampled products: which dot products run side by side."""

import dataclasses

from pith._mlir import arith, ir, vector
from pith.formats import Format

#: Dot products computed side by side. Two FMAs a cycle with a latency of four keep eight sums busy, and
#: eight leave half of the 16 AVX2 registers for operands.
SUMS = 8


@dataclasses.dataclass(frozen=True)
class Leaf:
    """The dense block at the end of a format: every entry of the levels above ``level`` holds one.

    Attributes:
        level: the first level of the block; as many as the format has when blocks are single elements.
        rows, cols: its size.
        row_step, col_step: distance in the tensor of neighbours in the block.
        row_stride, col_stride: their distance in the values.
    """

    level: int
    rows: int
    cols: int
    row_step: int
    col_step: int
    row_stride: int
    col_stride: int

    @property
    def size(self) -> int:
        """Values per entry."""
        return self.rows * self.cols


def leaf_of(fmt: Format, row_dim: int) -> Leaf:
    """The trailing dense levels of fixed size, at most one per dimension.

    >>> leaf = leaf_of(Format.bsr(4, 2), 0)
    >>> leaf.level, leaf.rows, leaf.cols, leaf.row_stride, leaf.col_stride
    (2, 4, 2, 2, 1)
    >>> leaf_of(Format.csr(), 0).size
    1
    """
    size, step, stride = [1, 1], [1, 1], [1, 1]
    level, values, seen = len(fmt.levels), 1, set()
    while level > 1 and fmt.diagonal is None:
        expr = fmt.exprs[level - 1]
        if not fmt.levels[level - 1].is_dense or not expr.mod or expr.dim in seen:
            break
        level -= 1
        seen.add(expr.dim)
        size[expr.dim], step[expr.dim], stride[expr.dim] = expr.mod, expr.div, values
        values *= expr.mod
    r, c = row_dim, 1 - row_dim
    return Leaf(level, size[r], size[c], step[r], step[c], stride[r], stride[c])


@dataclasses.dataclass(frozen=True)
class Tile:
    """``rows x cols`` elements of each of ``entries`` neighbouring blocks.

    Attributes:
        steps: sums per element, over every ``steps``-th vector of coordinates; all sums are at most :data:`SUMS`.
    """

    entries: int
    rows: int
    cols: int
    steps: int = 1

    def offsets(self, leaf: Leaf) -> list[tuple[int, int, int, int]]:
        """``(offset in the values, entry, row, column)`` of every element, by offset."""
        return sorted(
            (e * leaf.size + r * leaf.row_stride + c * leaf.col_stride, e, r, c)
            for e in range(self.entries)
            for r in range(self.rows)
            for c in range(self.cols)
        )

    def is_contiguous(self, leaf: Leaf) -> bool:
        """True when its values are neighbours in memory."""
        return [o for o, *_ in self.offsets(leaf)] == list(range(self.entries * self.rows * self.cols))

    def half(self) -> "Tile":
        """The tile of half as many entries and as many sums."""
        return dataclasses.replace(self, entries=self.entries // 2, steps=self.steps * 2)


def choose_tile(leaf: Leaf, shared: bool) -> Tile:
    """The tile with the fewest loads per multiply-add; ``shared``: neighbouring entries have the same rows.

    >>> choose_tile(leaf_of(Format.csr(), 0), shared=True)
    Tile(entries=8, rows=1, cols=1, steps=1)
    >>> choose_tile(leaf_of(Format.bsr(16, 16), 0), shared=True)
    Tile(entries=1, rows=2, cols=4, steps=1)
    """

    def cost(tile: Tile) -> tuple[float, bool]:
        loads = tile.rows * (1 if shared else tile.entries) + tile.entries * tile.cols
        return loads / (tile.entries * tile.rows * tile.cols), not tile.is_contiguous(leaf)

    return min(_tiles(leaf), key=cost)


def _tiles(leaf: Leaf) -> list[Tile]:
    out = []
    for rows in (r for r in range(1, SUMS + 1) if leaf.rows % r == 0):
        cols = max(c for c in range(1, SUMS // rows + 1) if leaf.cols % c == 0)
        entries = SUMS // (rows * cols) if cols == leaf.cols else 1
        out.append(Tile(_power_of_two(entries), rows, cols))
    return out


def _power_of_two(n: int) -> int:
    """The largest power of two that is at most ``n``."""
    return 1 << n.bit_length() - 1


def add_lanes(sums: list[ir.Value]) -> list[ir.Value]:
    """The sum of the lanes of every vector, in vectors: their elements in order are the sums in order."""
    parts = []
    while sums:
        size = min(_power_of_two(len(sums)), sums[0].type.shape[0])
        parts.append(_add_across(sums[:size]))
        sums = sums[size:]
    return parts


def _add_across(sums: list[ir.Value]) -> ir.Value:
    """A vector of n elements: the sums of the lanes of n vectors, n a power of two and at most the lanes.

    Each of log2(n) rounds adds pairs and halves the number of vectors, with 2 shuffles and an addition
    per pair; reducing the vectors one by one takes log2(lanes) times as much. Lane ``l`` then holds a
    part of sum ``l mod n``; folding the vector in half adds up the parts.
    """
    n, lanes = len(sums), sums[0].type.shape[0]
    step = 1
    while len(sums) > 1:
        low = [lane if not lane & step else lanes + (lane ^ step) for lane in range(lanes)]
        high = [lane | step if not lane & step else lanes + lane for lane in range(lanes)]
        sums = [
            arith.addf(vector.shuffle(a, b, low), vector.shuffle(a, b, high)) for a, b in zip(sums[::2], sums[1::2])
        ]
        step *= 2
    total = sums[0]
    while lanes > n:
        lanes //= 2
        lower, upper = range(lanes), range(lanes, 2 * lanes)
        total = arith.addf(vector.shuffle(total, total, list(lower)), vector.shuffle(total, total, list(upper)))
    return total
