"""From ranks to levels and back: what a hierarchical format is as a :class:`Format`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..errors import FormatError
from .format import Format, LevelExpr
from .levels import Level
from .pack_digits import digit_order
from .rank import Rank

#: Letters of the dimensions of a tensor without names, by its rank.
LETTERS = {1: "C", 2: "MC", 3: "NMC", 4: "MCRS"}


_OUTERMOST = 1 << 30


@dataclasses.dataclass(frozen=True)
class _Digit:
    """One level before its divisor is known.

    Attributes:
        size: 0 when open.
        weight: orders the digits of a dimension by significance.
    """

    dim: int
    size: int
    level: Level
    weight: int


def levels_of(
    ranks: Sequence[Rank],
    numbers: Sequence[int],
    shares: Sequence[int],
    dims: Sequence[str],
    *,
    padded: bool = False,
    nm_width: int = 0,
) -> Format:
    """The format of legal ranks over the (flattened) dimensions ``dims``.

    ``numbers`` says which digit of its dimension each rank is, ``shares`` how many rows share its choice, by V and B.
    """
    digits = _with_open_digits(_digits(ranks, numbers, shares, dims), dims)
    divs = [1] * len(dims)
    exprs: dict[_Digit, LevelExpr] = {}
    for digit in sorted(digits, key=lambda digit: digit.weight):
        exprs[digit] = LevelExpr(digit.dim, divs[digit.dim], digit.size)
        divs[digit.dim] *= digit.size
    lists = any(digit.level.has_positions for digit in digits)
    width = 32 if lists else 0  # as Format.csr
    pairs = ((exprs[digit], digit.level) for digit in digits)
    return Format.make(len(dims), *pairs, pos_width=width, crd_width=width, nm_width=nm_width, padded=padded)


def _digits(ranks: Sequence[Rank], numbers: Sequence[int], shares: Sequence[int], dims: Sequence[str]) -> list[_Digit]:
    """Ranks, and the row digits that V and B stand for, outermost first."""
    dense = Level("dense")
    rows = dims.index("M") if "M" in dims else 0
    height, width = ranks[-1].block
    out: list[_Digit] = []
    for i, (r, share, below) in enumerate(zip(ranks, shares, (*shares[1:], height))):
        if r.h != 1 or r.kind not in ("nm", "dense"):  # a group of one leaves no choice, and no level
            out.append(_Digit(dims.index(r.dim), r.h, r.level, numbers[i]))
        if share != below:
            out.append(_Digit(rows, share // below, dense, len(ranks) - i))
    if height > 1:
        out.append(_Digit(rows, height, dense, -1))
    if width > 1:
        out.append(_Digit(dims.index(ranks[-1].dim), width, dense, -1))
    return out


def _with_open_digits(digits: list[_Digit], dims: Sequence[str]) -> list[_Digit]:
    """``digits`` with a dense one of open size for every dimension that lacks one.

    Rows, and dimensions that no rank names, come first; others right in front of their first rank.
    """
    front: list[_Digit] = []
    for dim, letters in enumerate(dims):
        mine = [i for i, digit in enumerate(digits) if digit.dim == dim]
        if any(not digits[i].size for i in mine):
            continue
        missing = _Digit(dim, 0, Level("dense"), _OUTERMOST)
        if letters == "M" or not mine:
            front.append(missing)
        else:
            digits = [*digits[: mine[0]], missing, *digits[mine[0] :]]
    return front + digits


def ranks_of(fmt: Format, dims: str | None = None) -> tuple[tuple[Rank, ...], str]:
    """Ranks that say ``fmt`` level by level, and the letters of its dimensions.

    Errors: :class:`pith.FormatError` for levels the notation has no word for.
    """
    letters = LETTERS.get(fmt.rank) if dims is None else dims
    if letters is None or len(letters) != fmt.rank:
        raise FormatError(f"expects a letter for each of the {fmt.rank} dimensions of {fmt}, got {letters!r}")
    out = []
    inside_out = list(reversed(digit_order(fmt)))
    for i, (e, level) in enumerate(zip(fmt.exprs, fmt.levels)):
        known = str(level) in ("dense", "compressed", "bitmask") or level.kind == "nm"
        if e.minus is not None or not known or (e.mod == 1 and level.kind in ("nm", "dense")):
            raise FormatError(f"the notation of ranks has no word for the level {e} : {level}", hint="use str(fmt)")
        number = [j for j in inside_out if fmt.exprs[j].dim == e.dim].index(i)
        out.append(Rank(level.g, e.mod, dim=letters[e.dim], kind=level.kind, number=number))
    return tuple(out), letters
