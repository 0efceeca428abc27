"""One matrix of a stored batch: slices of its buffers."""

import dataclasses
import math
from collections.abc import Sequence

from pith._mlir import ir
from pith.formats import DYNAMIC, Format, LevelExpr, buffer_specs

from .. import builder as b
from ..builder import Index
from ..subview import part_of
from .levels import Storage


def batch_dim(fmt: Format, shape: Sequence[int]) -> int | None:
    """The dimension of a tensor of rank 3 that numbers matrices whose buffers lie one after the other, or None.

    It is the outermost level, dense. Packed coordinates of every matrix must begin on a byte, which only static
    sizes tell.

    >>> from pith.formats import HSS
    >>> fmt = HSS.parse("NMC: C0(2:4)").to_format()
    >>> batch_dim(fmt, (3, 8, 16)), batch_dim(fmt, (3, 1, 4)), batch_dim(Format.csr(), (8, 16))
    (0, None, None)
    """
    first = fmt.exprs[0]
    if fmt.rank != 3 or DYNAMIC in shape or fmt.diagonal is not None or not fmt.levels[0].is_dense:
        return None
    if first.mod or first.div != 1 or any(e.dim == first.dim for e in fmt.exprs[1:]):
        return None
    counts, _ = _entries(fmt, shape)
    packed = {(spec.level, spec.role): spec.per_word for spec in buffer_specs(fmt)}
    return first.dim if all(count % packed[key] == 0 for key, (count, _) in counts.items()) else None


def matrix_format(fmt: Format) -> Format:
    """The format of one matrix of a batch."""
    first = fmt.exprs[0].dim
    exprs = [LevelExpr(e.dim - (e.dim > first), e.div, e.mod) for e in fmt.exprs[1:]]
    return dataclasses.replace(fmt, rank=2, exprs=tuple(exprs), levels=fmt.levels[1:])


def matrix_of(storage: Storage, number: Index) -> Storage:
    """Matrix ``number`` of a batch: a :class:`Storage` on parts of the same buffers."""
    fmt, shape = storage.format, [s if isinstance(s, int) else DYNAMIC for s in storage.sizes]
    counts, values = _entries(fmt, shape)
    per_word = {(spec.level, spec.role): spec.per_word for spec in buffer_specs(fmt)}
    metadata = {}
    for (level, role), buffer in storage.metadata.items():
        if (level, role) in counts:
            count, more = counts[level, role]
            buffer = _part(buffer, number, count // per_word[level, role], more)
        metadata[level - 1, role] = buffer
    first = fmt.exprs[0].dim
    return dataclasses.replace(
        storage,
        format=matrix_format(fmt),
        level_sizes=storage.level_sizes[1:],
        metadata=metadata,
        values=storage.values if values is None else _part(storage.values, number, values, 0),
        sizes=tuple(s for d, s in enumerate(storage.sizes) if d != first),
    )


def _entries(fmt: Format, shape: Sequence[int]) -> tuple[dict[tuple[int, str], tuple[int, int]], int | None]:
    """Per buffer how many entries a matrix has, and how many of the next one it reads; and how many values.

    Positions count from the start of the batch: what lies below the first of them is not cut (None for values).
    """
    sizes, out, above = fmt.level_sizes(shape), {}, 1
    for i, level in list(enumerate(fmt.levels))[1:]:
        if level.has_positions:
            loose = level.kind == "loose_compressed"
            out[i, "positions"] = (2 * above, 0) if loose else (above, 1)
            if level.kind == "bitmask":
                out[i, "bits"] = (above * math.ceil(sizes[i] / 8), 0)
            return out, None
        if level.has_coordinates:
            out[i, "coordinates"] = (above * level.g, 0)
        above *= level.g if level.kind == "nm" else sizes[i]
    return out, above


def _part(buffer: ir.Value, number: Index, count: int, more: int) -> ir.Value:
    """Piece ``number`` of a buffer that consists of pieces of ``count``, and ``more`` of what follows."""
    return part_of(buffer, [b.mul(number, count)], [count + more], [0])
