"""The twelve sparsity degrees of HighLight's two-rank formats."""

from __future__ import annotations

import math
import numbers

from ..errors import FormatError
from .hss import HSS
from .rank import Rank

#: ``C1(4:H)->C0(G:4)`` for H in 4..7 and G in 4, 2, 1, sparser ones later: 0, 20, 33.3, 42.9, 50, 60, 66.7, 71.4,
#: 75, 80, 83.3 and 85.7 % sparse. Source: Wu et al., HighLight, MICRO 2023.
HIGHLIGHT: tuple[HSS, ...] = tuple(HSS((Rank(4, h), Rank(g, 4))) for g in (4, 2, 1) for h in (4, 5, 6, 7))


def highlight(degree: float) -> HSS:
    """HighLight's format of a sparsity degree, given as a share or in percent.

    Errors: :class:`pith.FormatError` that lists the degrees when there is none within half a percent.

    Example:
        >>> print(highlight(0.6), highlight(85.7), highlight(0))
        C1(4:5)->C0(2:4) C1(4:7)->C0(1:4) C1(4:4)->C0(4:4)
    """
    if not isinstance(degree, numbers.Real) or math.isnan(degree):
        raise FormatError(f"a degree of sparsity is a number, got {degree!r}", hint="e.g. 0.6, or 60 for percent")
    share = degree / 100 if degree >= 1 else degree
    best = min(HIGHLIGHT, key=lambda fmt: abs(fmt.degree - share))
    if abs(best.degree - share) > 0.005:
        degrees = ", ".join(f"{100 * fmt.degree:.3g}" for fmt in HIGHLIGHT)
        raise FormatError(f"HighLight has no degree of {100 * share:.3g} %", hint=f"one of {degrees} %")
    return best
