"""Which sampled products may compute whole rows (:mod:`.rows`); no MLIR is needed to ask."""

from pith.formats import Format

#: Bytes of the factor that rows are made of, at most: each few rows read all of it, from L2.
MOST_BYTES = 1 << 19

#: Rows of a coordinate of the first level, at most.
_MOST_ROWS = 16


def has_rows(fmt: Format) -> bool:
    """True when each coordinate of the first level has rows (or columns) of the matrix of its own.

    >>> has_rows(Format.csr()), has_rows(Format.coo(2))
    (True, False)
    """
    first, plain = fmt.exprs[0], all(level.kind != "loose_compressed" for level in fmt.levels)
    return plain and fmt.diagonal is None and fmt.levels[0].is_dense and not first.mod and first.div <= _MOST_ROWS
