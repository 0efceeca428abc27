"""Describe a sparse matrix: its size, how its non-zeros are spread, and what each format stores of it.

With --format, also how full each level of that format is, and what pruning to it would keep.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pith.errors import FormatError, ShapeError

if TYPE_CHECKING:
    import numpy as np

    from ..sparse import SparseTensor

#: Formats every matrix is tried in.
FORMATS = ("csr", "csc", "coo", "bsr(4x4)", "bsr(16x16)", "C0(2:4)")

#: Elements a dense copy may have, to find out what pruning keeps (float32: 0.4 GB).
DENSE_LIMIT = 10**8


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pith inspect``."""
    parser.add_argument("matrix", metavar="MATRIX", help="a .mtx, .mtx.gz, .smtx or .npz file")
    parser.add_argument("--format", metavar="F", help='one more format, e.g. "C1(3:4)->C0(2:4)" or "bsr(8x8)"')
    parser.add_argument("--no-picture", action="store_true", help="leave out the picture of the pattern")


def run(args: argparse.Namespace) -> int:
    """Read the matrix and print what is known about it."""
    from ..io import read
    from ..sparse import as_format
    from .picture import draw

    if args.format:
        as_format(args.format)
    tensor = read(args.matrix)
    sys.stdout.write("\n".join(_facts(args.matrix, tensor)) + "\n")
    if not args.no_picture and len(tensor.shape) == 2 and tensor.nnz:
        coords, _ = _nonzeros(tensor)
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        sys.stdout.write("\n" + draw(coords, tensor.shape, ascii_only=ascii_only) + "\n")
    sys.stdout.write("\n" + "\n".join(_formats(tensor, args.format)) + "\n")
    if args.format and (lines := list(_levels(tensor, args.format))):
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    return 0


def _facts(name: str, tensor: SparseTensor) -> Iterator[str]:
    from ..formats.parse import format_name

    size = " x ".join(map(str, tensor.shape))
    yield f"{name}: {size} {tensor.dtype}, read as {tensor.hss or format_name(tensor.format)}"
    yield f"  non-zeros   {tensor.nnz}, {100 * tensor.density:.4g} % of the elements"
    if len(tensor.shape) != 2 or not all(tensor.shape):
        return
    coords, _ = _nonzeros(tensor)
    for axis, what in enumerate(("row", "column")):
        yield f"  per {what:<7} {_spread(coords[axis], tensor.shape[axis], what)}"


def _spread(indices: np.ndarray, size: int, what: str) -> str:
    import numpy as np

    counts = np.bincount(indices, minlength=size)
    empty = int((counts == 0).sum())
    return (
        f"{counts.min()} to {counts.max()}, mean {counts.mean():.4g}, standard deviation {counts.std():.3g}; "
        f"{empty} empty {what}{'' if empty == 1 else 's'}"
    )


def _nonzeros(tensor: SparseTensor) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and values, stored zeros left out."""
    coords, values = tensor.coordinates()
    keep = values != 0
    return coords[:, keep], values[keep]


def _formats(tensor: SparseTensor, extra: str | None) -> Iterator[str]:
    """A table: bytes in each format, and why a format cannot hold it."""
    dense = math.prod(tensor.shape) * tensor.dtype.itemsize
    yield f"{'format':<20} {'bytes':>14} {'of dense':>9}   stored elements that are not zero"
    yield f"{'dense':<20} {dense:>14} {1:>9.2%}   {tensor.density:.2%}"
    names = [*FORMATS, extra] if extra and extra not in FORMATS else FORMATS
    for name in names:
        try:
            stored = tensor.to(name)
        except (FormatError, ShapeError) as e:
            if name == extra or len(tensor.shape) == 2:
                yield f"{name:<20} {'-':>14} {'-':>9}   {_reason(e, name)}"
            continue
        share = stored.nnz / stored.nse if stored.nse else 1.0
        yield f"{name:<20} {stored.nbytes:>14} {stored.nbytes / max(dense, 1):>9.2%}   {share:.2%}"


def _reason(error: FormatError | ShapeError, name: str) -> str:
    """Why a format cannot hold the matrix, without the format's full name, which the line begins with."""
    from ..sparse import as_format

    return error.message.replace(f" (format {as_format(name)[0]})", "").replace(f" {as_format(name)[0]}:", " it:")


def _levels(tensor: SparseTensor, name: str) -> Iterator[str]:
    """How full the levels of a format are, from the outside in."""
    import numpy as np

    from ..formats.pack_digits import level_coordinates
    from ..sparse import as_format

    fmt = as_format(name)[0]
    try:
        fmt.check_shape(tensor.shape)
    except (FormatError, ShapeError):
        return  # the table says why
    coords, _ = _nonzeros(tensor)
    sizes = fmt.level_sizes(tensor.shape)
    yield f"levels of {name}: coordinates with non-zeros below them, of those below a coordinate that has some"
    positions, prefix = 1, np.zeros(coords.shape[1], np.int64)
    for i, (own, size) in enumerate(zip(level_coordinates(list(coords), fmt), sizes)):
        distinct, prefix = np.unique(prefix * size + own, return_inverse=True)
        share = len(distinct) / (positions * size) if positions * size else 0.0
        yield f"  {fmt.exprs[i]!s:<28} {fmt.levels[i]!s:<12} {len(distinct):>12} {share:>9.2%}"
        positions = len(distinct)
    yield from _pruning(tensor, name)


def _pruning(tensor: SparseTensor, name: str) -> Iterator[str]:
    """What pruning would keep, when the matrix does not fit and is small enough to be made dense."""
    import numpy as np

    from ..pruning import prune

    try:
        tensor.to(name)
    except FormatError:
        if math.prod(tensor.shape) > DENSE_LIMIT:
            return
        dense = tensor.to_dense()
        kept = prune(dense, name)
        share = np.count_nonzero(kept) / tensor.nnz
        magnitude = np.abs(kept).sum(dtype=np.float64) / np.abs(dense).sum(dtype=np.float64)
        yield f"pruning to it keeps {share:.2%} of the non-zeros, {magnitude:.2%} of the sum of magnitudes"
