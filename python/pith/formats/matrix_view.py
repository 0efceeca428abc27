"""A stored tensor of any rank as a matrix over the same buffers: its rows against everything else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from .format import DYNAMIC, Format, LevelExpr
from .levels import Level


@dataclasses.dataclass(frozen=True)
class Digit:
    """A part of a column's number: ``size`` coordinates of dimension ``dim``, ``step`` elements apart."""

    dim: int
    step: int
    size: int


@dataclasses.dataclass(frozen=True)
class MatrixView:
    """What the buffers of a tensor are as those of a matrix.

    Attributes:
        format: of the matrix, whose first dimension is the tensor's.
        shape: of the matrix. Its columns are those that are stored: as many as there are digits' combinations.
        digits: what a column's number consists of, the most significant one first.
    """

    format: Format
    shape: tuple[int, int]
    digits: tuple[Digit, ...]


def matrix_view(fmt: Format, shape: Sequence[int]) -> MatrixView | None:
    """The first dimension of a stored tensor against all others; None where there is no such matrix.

    There is none where only run time knows the other sizes, of diagonals, and of lists over dimensions of size one.

    Semantics: columns are counted in the order of storage, so every level of another dimension is a digit of the
        column, and dense neighbours among them are one level. No buffer changes.

    Example: a convolution's weight of 64 filters over 32 channels and windows of 3x3, two of four channels kept.

        >>> from pith.formats import HSS
        >>> view = matrix_view(HSS.parse("MCRS: R->S->C1->C0(2:4)").to_format(), (64, 32, 3, 3))
        >>> print(view.format, view.shape, [(d.dim, d.step, d.size) for d in view.digits])
        d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : nm(2:4) (64, 288) [(2, 1, 3), (3, 1, 3), (1, 1, 32)]
    """
    if fmt.rank < 2 or fmt.diagonal is not None or DYNAMIC in shape[1:]:
        return None
    stored = fmt.padded_shape(shape)
    levels: list[tuple[Digit | LevelExpr, Level]] = []
    for expr, level in zip(fmt.exprs, fmt.levels):
        if expr.dim == 0:
            levels.append((expr, level))
            continue
        digit = Digit(expr.dim, expr.div, expr.size(stored[expr.dim]))
        if digit.size > 1:
            levels.append((digit, Level("dense") if level.is_dense else level))
        elif not level.is_dense:
            return None
    digits = [part for part, _ in levels if isinstance(part, Digit)]
    if not digits:
        return None
    columns = math.prod(d.size for d in digits)
    padded = fmt.padded and shape[0] != stored[0]
    exprs, kinds = _levels(levels, columns)
    matrix = dataclasses.replace(fmt, rank=2, exprs=exprs, levels=kinds, padded=padded)
    return MatrixView(matrix, (shape[0], columns), _joined(digits))


def _levels(
    levels: Sequence[tuple[Digit | LevelExpr, Level]], columns: int
) -> tuple[tuple[LevelExpr, ...], tuple[Level, ...]]:
    """The levels of the matrix; those of columns count what is left of a number of ``columns``."""
    exprs: list[LevelExpr] = []
    kinds: list[Level] = []
    left, outermost = columns, True
    for part, level in _open(levels):
        if isinstance(part, LevelExpr):
            exprs.append(part)
            kinds.append(level)
            continue
        merges = bool(exprs) and exprs[-1].dim == 1 and kinds[-1].kind == level.kind == "dense"
        above = exprs[-1].mod * exprs[-1].div if merges else 0 if outermost else left
        left, outermost = left // part.size, False
        expr = LevelExpr(1, left, above // left if above else 0)
        exprs[len(exprs) - merges :] = [expr]
        kinds[len(kinds) - merges :] = [level]
    return tuple(exprs), tuple(kinds)


def _open(levels: Sequence[tuple[Digit | LevelExpr, Level]]) -> list[tuple[Digit | LevelExpr, Level]]:
    """The levels, with a dense one of a single coordinate above groups that are all of the columns."""
    first = next(i for i, (part, _) in enumerate(levels) if isinstance(part, Digit))
    whole = [(Digit(1, 1, 1), Level("dense"))] if levels[first][1].kind == "nm" else []
    return [*levels[:first], *whole, *levels[first:]]


def _joined(digits: Sequence[Digit]) -> tuple[Digit, ...]:
    """Digits of one dimension that follow each other in storage and in the dimension, as one."""
    out: list[Digit] = []
    for digit in digits:
        last = out[-1] if out else None
        if last is not None and last.dim == digit.dim and last.step == digit.step * digit.size:
            out[-1] = Digit(digit.dim, digit.step, last.size * digit.size)
        else:
            out.append(digit)
    return tuple(out)
