"""What ``pith inspect`` says about one matrix."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator

import numpy as np

from ..errors import FormatError, ShapeError
from ..formats import Format
from ..formats.diagonals import straight, straight_coordinates
from ..formats.infer import Inferred, infer_listed
from ..formats.pack_digits import level_coordinates
from ..formats.parse import format_name
from ..sparse import SparseTensor, as_format
from ..tuning.problem import ELEMENT_BYTES, Problem
from .picture import draw, write_png
from .prediction import Prediction, predict, predict_dense

#: Formats every matrix is tried in.
FORMATS = ("csr", "csc", "coo", "masked(4)", "bsr(4x4)", "bsr(16x16)", "C0(2:4)")

#: Tightest formats shown.
TIGHTEST = 4

#: Elements a dense copy may have, to find what pruning keeps (0.8 GB of float64).
DENSE_LIMIT = 10**8

#: Ranks whose occupancies are shown for a matrix nobody names a format for: groups of four, and of four of those.
DEFAULT_RANKS = ("C1(4:4)->C0(4:4)", "C0(4:4)")


def describe_matrix(name: str, tensor: SparseTensor, args: argparse.Namespace) -> list[str]:
    """All lines; writes the PNG that ``args.png`` asks for."""
    lines = list(_facts(name, tensor))
    coords, _ = nonzeros(tensor)
    drawable = len(tensor.shape) == 2 and coords.shape[1] > 0
    if drawable and not args.no_picture:
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
        lines += ["", draw(coords, tensor.shape, ascii_only=ascii_only)]
    if args.png is not None:
        if not drawable:
            raise ShapeError(f"nothing to draw of shape {tensor.shape}", where=name, hint="leave out --png")
        width, height = write_png(args.png, coords, tensor.shape)
        lines += ["", f"written: {args.png}, {width} x {height} pixels"]
    lines += ["", *_formats(tensor, args.format, args.columns)]
    if occupancies := list(_occupancies(tensor, args.format)):
        lines += ["", *occupancies]
    if args.format and (levels := list(_levels(tensor, args.format))):
        lines += ["", *levels]
    return lines


def nonzeros(tensor: SparseTensor) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and values, stored zeros left out."""
    coords, values = tensor.coordinates()
    keep = values != 0
    return coords[:, keep], values[keep]


def tightest(found: Inferred, count: int) -> list[tuple[str, int, int]]:
    """The formats that store the least: (text, bytes, stored elements), fewest bytes first."""
    return [(c.name, c.nbytes, c.stored) for c in found.candidates[:count]]


def _facts(name: str, tensor: SparseTensor) -> Iterator[str]:
    size = " x ".join(map(str, tensor.shape))
    yield f"{name}: {size} {tensor.dtype}, read as {tensor.hss or format_name(tensor.format)}"
    yield f"  non-zeros   {tensor.nnz}, {100 * tensor.density:.4g} % of the elements"
    if len(tensor.shape) != 2 or not all(tensor.shape):
        return
    coords, _ = nonzeros(tensor)
    for axis, what in enumerate(("row", "column")):
        yield f"  per {what:<7} {_spread(coords[axis], tensor.shape[axis], what)}"


def _spread(indices: np.ndarray, size: int, what: str) -> str:
    counts = np.bincount(indices, minlength=size)
    empty = int((counts == 0).sum())
    return (
        f"{counts.min()} to {counts.max()}, mean {counts.mean():.4g}, standard deviation {counts.std():.3g}; "
        f"{empty} empty {what}{'' if empty == 1 else 's'}"
    )


def _formats(tensor: SparseTensor, extra: str | None, columns: int) -> Iterator[str]:
    """A table: bytes in each format, predicted time, and why a format cannot hold it. The tightest come first."""
    element = _element(tensor)
    dense = math.prod(tensor.shape) * tensor.dtype.itemsize
    rival = predict_dense(tensor.shape, columns, element)
    tight = [(f"{name} (tight)", name, nbytes, stored) for name, nbytes, stored in _tightest(tensor)]
    width = max(26, *(len(text) for text, *_ in tight), len(extra or ""))
    yield f"{'':<{width}} {'bytes':>12} {'of dense':>9} {'not zero':>9} {f'N = {columns}':>9}   as fast as dense"
    plain = "1.00x" if rival else "-"
    yield f"{'dense':<{width}} {dense:>12} {1:>9.2%} {tensor.density:>9.2%} {_time(rival):>9}   {plain}"
    for text, name, nbytes, stored in tight:
        share, speed = tensor.nnz / max(1, stored), _predict_named(name, tensor.shape, stored, columns, element)
        yield _row(text, width, nbytes, dense, share, speed, rival)
    for name in [*FORMATS, extra] if extra and extra not in FORMATS else FORMATS:
        try:
            stored = tensor.to(name)
        except (FormatError, ShapeError) as e:
            if name == extra or len(tensor.shape) == 2:
                yield f"{name:<{width}} {'-':>12} {'-':>9}   {_reason(e, name)}"
            continue
        share = stored.nnz / stored.nse if stored.nse else 1.0
        speed = predict(Problem.of(stored, columns)) if element and len(tensor.shape) == 2 else None
        yield _row(name, width, stored.nbytes, dense, share, speed, rival)


def _row(
    name: str, width: int, nbytes: int, dense: int, share: float, own: Prediction | None, rival: Prediction | None
) -> str:
    ratio = f"{rival.seconds / own.seconds:.2f}x" if own and rival else "-"
    return f"{name:<{width}} {nbytes:>12} {nbytes / max(dense, 1):>9.2%} {share:>9.2%} {_time(own):>9}   {ratio}"


def _time(prediction: Prediction | None) -> str:
    return "-" if prediction is None else prediction.text


def _tightest(tensor: SparseTensor) -> list[tuple[str, int, int]]:
    if len(tensor.shape) != 2 or not math.prod(tensor.shape):
        return []
    return tightest(infer_listed(list(nonzeros(tensor)[0]), tensor.shape, tensor.dtype.itemsize), TIGHTEST)


def _predict_named(
    name: str, shape: tuple[int, ...], stored: int, columns: int, element: str | None
) -> Prediction | None:
    """The prediction for a format of which only the number of stored elements is known."""
    if element is None or len(shape) != 2:
        return None
    fmt, size = as_format(name)[0], (shape[0], shape[1])
    full = Problem.of_format(fmt, size, columns, element, threads=1).stored
    return predict(Problem.of_format(fmt, size, columns, element, density=stored / max(1, full)))


def _element(tensor: SparseTensor) -> str | None:
    """The element type as kernels call it, None where there are none for it."""
    from ..runtime import dtype_name

    try:
        name = dtype_name(tensor.dtype)
    except TypeError:
        return None
    return name if name in ELEMENT_BYTES else None


def _reason(error: FormatError | ShapeError, name: str) -> str:
    """Why a format cannot hold the matrix, without the format's full name, which the line begins with."""
    message = error.message
    for text in (str(as_format(name)[0]), name):
        message = message.replace(f" (format {text})", "").replace(f" {text}:", " it:")
    return message


def _occupancies(tensor: SparseTensor, name: str | None) -> Iterator[str]:
    """Per rank with groups of H: how many groups hold how many coordinates."""
    if len(tensor.shape) != 2 or not tensor.nnz:
        return
    for text in [name] if name else DEFAULT_RANKS:
        fmt = as_format(text)[0]
        try:
            fmt.check_shape(tensor.shape)
        except (FormatError, ShapeError):
            continue
        ranks = [(i, level.h) for i, level in enumerate(fmt.levels) if level.kind == "nm"]
        if ranks:
            yield "groups by how many of their H coordinates have non-zeros; groups below an empty one are not counted"
            histograms = dict(enumerate(_histograms(tensor, fmt)))
            for number, (i, h) in enumerate(ranks):
                shares = "  ".join(f"{k}: {100 * v:.3g} %" for k, v in enumerate(histograms[i]) if v)
                yield f"  C{len(ranks) - 1 - number}, H = {h:<3} {fmt.exprs[i]!s:<24} {shares}"
        return


def _histograms(tensor: SparseTensor, fmt: Format) -> Iterator[np.ndarray]:
    """Per level, the share of its groups that have 0, 1, 2, ... coordinates with non-zeros below them."""
    groups = 1
    for level, (size, parents, distinct) in zip(fmt.levels, level_steps(tensor, fmt)):
        counts = np.bincount(np.bincount(distinct // size, minlength=parents))
        counts[0] = groups - parents
        yield counts / groups
        groups = groups * size if level.kind == "dense" else len(distinct)


def level_steps(tensor: SparseTensor, fmt: Format) -> Iterator[tuple[int, int, np.ndarray]]:
    """Per level: its size, parents with non-zeros below them, and parent * size + coordinate of each that has some."""
    coords, _ = nonzeros(tensor)
    parents, prefix = 1, np.zeros(coords.shape[1], np.int64)
    digits, dims = (fmt, list(coords)) if fmt.diagonal is None else _straight(fmt, coords, tensor.shape)
    for own, size in zip(level_coordinates(dims, digits), fmt.level_sizes(tensor.shape)):
        distinct, prefix = np.unique(prefix * size + own, return_inverse=True)
        yield size, parents, distinct
        parents = len(distinct)


def _straight(fmt: Format, coords: np.ndarray, shape: tuple[int, ...]) -> tuple[Format, list[np.ndarray]]:
    """A format of diagonals as one of digits, and coordinates for it."""
    return straight(fmt), straight_coordinates(list(coords), fmt, shape)


def _levels(tensor: SparseTensor, name: str) -> Iterator[str]:
    """How full the levels of a format are, from the outside in."""
    fmt = as_format(name)[0]
    try:
        fmt.check_shape(tensor.shape)
        if fmt.diagonal is not None:
            _straight(fmt, nonzeros(tensor)[0], tensor.shape)
    except (FormatError, ShapeError):
        return  # the table says why
    yield f"levels of {name}: coordinates with non-zeros below them, of those below a coordinate that has some"
    for i, (size, parents, distinct) in enumerate(level_steps(tensor, fmt)):
        share = len(distinct) / (parents * size) if parents * size else 0.0
        yield f"  {fmt.exprs[i]!s:<28} {fmt.levels[i]!s:<12} {len(distinct):>12} {share:>9.2%}"
    yield from _pruning(tensor, name)


def _pruning(tensor: SparseTensor, name: str) -> Iterator[str]:
    """What pruning would keep, when the matrix does not fit and is small enough to be made dense."""
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
