"""How much a task of a dense product packs, and how many rows pass over it together."""

from ... import builder as b
from ...builder import Index
from ..variant import Variant

#: Of how many parts of L2 one is the panels that one task packs, and the columns that may be. Fewer columns read the
#: rows more often, more drop out of L2. On a Zen 3 core (L2 512 KiB; 2026-11), with 64, 128 and 256 columns: 1024^3
#: f32 with 1 % of 32x1 micro-tiles 0.96, 1.50 and 2.61 ms; 2048x512x256 dense 7.0 and 6.2 ms; 512^3 with half of the
#: rows 1.68 ms with 64 columns, 1.47 with 176. With 256 and 384 KiB 1024^3 takes equally long on one thread; on two,
#: with 10, 5 and 1 % of the 32x1 micro-tiles, 2.47 and 2.74, 1.52 and 1.90, 0.65 and 0.78 ms: 11 tasks are no pairs.
#: On Emerald Rapids (2 MiB) 1024^3 takes 13.36 ms with 256 KiB, 13.16 with 1 MiB.
GROUP_SHARE, GROUP_COLUMNS = 2, (64, 256)

#: Bytes of L2 per row of a chunk where nothing is put down between: 64 rows on Zen 3. On Emerald Rapids 384x384x1536
#: with a transposed rhs takes 3.45, 3.09, 2.98 and 2.98 ms with 64, 128, 192 and 384 rows (2026-11).
L2_PER_ROW = 8 << 10


#: Rows of the tile that read a panel in the time that it is packed in, where rows of ``rhs`` are copied, and where
#: columns are listed: one element after the other.
PACKING_ROWS, LISTED_PACKING_ROWS = 4, 25


def most_panels(reds: Index, lanes: int, element_bytes: int, l2_bytes: int) -> Index:
    """Panels of ``reds`` contracted coordinates that a task packs: as many as stay in L2, within bounds."""
    least, most = (max(1, columns // lanes) for columns in GROUP_COLUMNS)
    panel = b.maximum(b.mul(reds, lanes * element_bytes), 1)
    return b.minimum(b.maximum(b.div(l2_bytes // GROUP_SHARE, panel), least), most)


def long_chunk(variant: Variant, l2_bytes: int) -> int:
    """Rows that pass over the panels together where sums go straight to the output, and rows are read in place."""
    return l2_bytes // L2_PER_ROW // variant.rows * variant.rows
