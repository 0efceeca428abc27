"""Hierarchical structured sparsity in the notation of the literature.

``C1(3:4)->C0(2:4)`` reads outermost rank first. ``C`` is the contracted dimension of an
``out x in`` weight (its columns), split by the rules from the inside out: C0 are single
elements in groups of its H, C1 are those groups in groups of *its* H, and so on. The rows
are dense. ``V(16)`` before a rank: 16 consecutive rows share that rank's choice.
``B(4x1)`` before the last rank: its elements are 4x1 blocks.

Source: Wu et al., HighLight, MICRO 2023; row sharing as in VENOM (V:N:M), SC 2023.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Sequence

from ..errors import FormatError
from .format import Format, LevelExpr
from .levels import Level

_RANK = re.compile(
    r"""\s*(?:V\(\s*(?P<v>\d+)\s*\)\s*)?(?:B\(\s*(?P<bh>\d+)\s*x\s*(?P<bw>\d+)\s*\)\s*)?
        (?P<dim>[A-Z])(?P<idx>\d+)\s*\(\s*(?P<g>\d+)\s*:\s*(?P<h>\d+)\s*\)\s*$""",
    re.VERBOSE,
)


@dataclasses.dataclass(frozen=True)
class Rank:
    """One rank of a hierarchical format: at most ``g`` of ``h``, shared by ``v`` rows."""

    g: int
    h: int
    v: int = 1
    block: tuple[int, int] = (1, 1)


@dataclasses.dataclass(frozen=True)
class HSS:
    """A hierarchical structured sparsity format for an ``out x in`` matrix.

    Attributes:
        ranks: outermost first.

    Errors: :class:`pith.FormatError` when the text is not a format; shapes that the format
    does not divide raise :class:`pith.ShapeError` when a tensor is packed.

    Example:
        >>> fmt = HSS.parse("C1(3:4)->C0(2:4)")
        >>> fmt.density
        0.375
        >>> fmt.packed_shapes((8, 32))["values"]
        (8, 2, 3, 2)
        >>> str(fmt)
        'C1(3:4)->C0(2:4)'
    """

    ranks: tuple[Rank, ...]

    def __post_init__(self) -> None:
        if not self.ranks:
            raise FormatError("an HSS format expects at least one rank", hint="e.g. C0(2:4)")
        shares = []
        for i, r in enumerate(self.ranks):
            name = f"C{len(self.ranks) - 1 - i}"
            if r.g < 1 or r.g > r.h:
                raise FormatError(f"rank {name}({r.g}:{r.h}) expects 1 <= G <= H")
            if min(r.v, *r.block) < 1:
                raise FormatError(f"rank {name}: V and block sizes must be positive")
            if r.block != (1, 1) and i + 1 < len(self.ranks):
                raise FormatError(
                    f"rank {name}: B is allowed on the last rank only", hint="share rows with V(h) instead"
                )
            shares.append(r.v)
        shares[-1] = math.lcm(shares[-1], self.ranks[-1].block[0])
        for outer, inner in itertools.pairwise(shares):
            if outer != 1 and outer % inner:
                raise FormatError(
                    f"row sharing V({outer}) of an outer rank must be a multiple of the inner rank's {inner}",
                    hint="rows that share an inner choice must share all outer choices",
                )

    @classmethod
    def parse(cls, text: str) -> HSS:
        """Parse the literature's notation; ``str()`` gives it back."""
        parts = text.split("->")
        ranks = []
        for i, part in enumerate(parts):
            match = _RANK.match(part)
            if not match:
                raise FormatError(
                    f"cannot parse rank {part.strip()!r} of format {text!r}",
                    hint="write [V(rows)][B(hxw)]C<i>(G:H) per rank, joined by '->', e.g. C1(3:4)->C0(2:4)",
                )
            if match["dim"] != "C":
                raise FormatError(
                    f"rank {part.strip()!r} of format {text!r}: only C, the contracted dimension, can be split",
                    hint="other dimensions are dense; write C",
                )
            if int(match["idx"]) != len(parts) - 1 - i:
                raise FormatError(
                    f"rank {part.strip()!r} of format {text!r} should be C{len(parts) - 1 - i}",
                    hint="ranks are numbered from the inside out and written outermost first",
                )
            block = (int(match["bh"] or 1), int(match["bw"] or 1))
            ranks.append(Rank(int(match["g"]), int(match["h"]), int(match["v"] or 1), block))
        return cls(tuple(ranks))

    @property
    def shares(self) -> tuple[int, ...]:
        """How many rows share each rank's choice (what V and B amount to), outermost first."""
        out: list[int] = []
        inner = self.ranks[-1].block[0]
        for r in reversed(self.ranks):
            inner = math.lcm(r.v, inner) if r.v != 1 else inner
            out.append(inner)
        return tuple(reversed(out))

    @property
    def density(self) -> float:
        """Share of elements kept: the product of G/H over the ranks."""
        return math.prod(r.g / r.h for r in self.ranks)

    @property
    def group(self) -> tuple[int, int]:
        """Rows and columns a shape must be a multiple of."""
        bw = self.ranks[-1].block[1]
        return self.shares[0], bw * math.prod(r.h for r in self.ranks)

    def to_format(self, nm_width: int = 0) -> Format:
        """The general :class:`Format` this notation stands for.

        >>> print(HSS.parse("V(4)C1(1:2)->C0(2:4)").to_format())  # one line
        d0 floordiv 4 : dense, d1 floordiv 8 : dense, (d1 floordiv 4) mod 2 : nm(1:2),
        d0 mod 4 : dense, d1 mod 4 : nm(2:4)
        """
        rows, cols = self.group
        bh, bw = self.ranks[-1].block
        pairs: list[tuple[LevelExpr | int, Level | str]] = [
            (LevelExpr(0, rows), "dense"),
            (LevelExpr(1, cols), "dense"),
        ]
        for r, share, below in zip(self.ranks, self.shares, (*self.shares[1:], bh)):
            cols //= r.h
            if r.h > 1:  # a group of one leaves no choice, and no level
                pairs.append((LevelExpr(1, cols, r.h), Level.nm(r.g, r.h)))
            if share != below:
                pairs.append((LevelExpr(0, below, share // below), "dense"))
        if bh > 1:
            pairs.append((LevelExpr(0, 1, bh), "dense"))
        if bw > 1:
            pairs.append((LevelExpr(1, 1, bw), "dense"))
        return Format.make(2, *pairs, nm_width=nm_width)

    def packed_shapes(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Shapes of the stored buffers for an ``out x in`` matrix (see :meth:`Format.packed_shapes`)."""
        return self.to_format().packed_shapes(shape)

    def __str__(self) -> str:
        out = []
        for i, r in enumerate(self.ranks):
            v = f"V({r.v})" if r.v != 1 else ""
            b = f"B({r.block[0]}x{r.block[1]})" if r.block != (1, 1) else ""
            out.append(f"{v}{b}C{len(self.ranks) - 1 - i}({r.g}:{r.h})")
        return "->".join(out)
