"""One rank of a hierarchical format, and its text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ..errors import FormatError
from .levels import Level
from .whole import settle_whole, whole

#: What a rank may be: ``nm`` is G:H, ``compressed`` is unstructured.
KINDS = ("nm", "dense", "compressed", "bitmask")

_RANK = re.compile(
    r"""\s*(?:V\(\s*(?P<v>\d+)\s*\)\s*)?(?:B\(\s*(?P<bh>\d+)\s*x\s*(?P<bw>\d+)\s*\)\s*)?
        (?P<dim>[A-Z]+)(?P<index>\d*)\s*(?:\(\s*(?P<inside>[^()]*?)\s*\))?\s*$""",
    re.VERBOSE,
)
_GH = re.compile(r"(\d+)\s*:\s*(\d+)$")
_SIZED = re.compile(r"(\*|[a-z]+)\s*(?::\s*(\d+))?$")
_WORDS = {
    "*": "compressed",
    "unconstrained": "compressed",
    "unstructured": "compressed",
    "compressed": "compressed",
    "bitmask": "bitmask",
}


@dataclasses.dataclass(frozen=True)
class Rank:
    """One rank of a hierarchical format.

    Attributes:
        g, h: for ``nm``: at most ``g`` of ``h`` coordinates are kept. Otherwise ``g`` is 0 and ``h`` the number
            of coordinates, 0 where that is open: all there are (the outermost rank of a dimension only).
        v: rows that share this rank's choice.
        block: for the last rank: rows and columns of its elements.
        dim: letters of the tensor's dimensions it runs over; more than one: they are flattened.
        kind: one of :data:`KINDS`.
        number: which digit of its dimension it is, 0 the innermost; -1: ranks are written outermost first.

    Example:
        >>> str(Rank(2, 4)), str(Rank.compressed()), str(Rank.dense(16, dim="M"))
        ('C(2:4)', 'C(*)', 'M(16)')
    """

    g: int = 0
    h: int = 0
    v: int = 1
    block: tuple[int, int] = (1, 1)
    dim: str = "C"
    kind: str = "nm"
    number: int = -1

    def __post_init__(self) -> None:
        settle_whole(self, "a rank", "g", "h", "v", "number")
        if len(self.block) != 2:
            raise FormatError(f"block of a rank expects rows and columns, got {self.block!r}")
        object.__setattr__(self, "block", tuple(whole(extent, "B") for extent in self.block))

    @classmethod
    def dense(cls, size: int = 0, dim: str = "C", **sharing) -> Rank:
        """Every one of ``size`` coordinates (0: open) is kept."""
        return cls(0, size, dim=dim, kind="dense", **sharing)

    @classmethod
    def compressed(cls, size: int = 0, dim: str = "C", **sharing) -> Rank:
        """Unstructured: any of ``size`` coordinates (0: open), as a list."""
        return cls(0, size, dim=dim, kind="compressed", **sharing)

    @classmethod
    def bitmask(cls, size: int = 0, dim: str = "C", **sharing) -> Rank:
        """Unstructured: any of ``size`` coordinates (0: open), as one bit per coordinate."""
        return cls(0, size, dim=dim, kind="bitmask", **sharing)

    @property
    def is_open(self) -> bool:
        """True when its number of coordinates follows from the tensor."""
        return self.kind != "nm" and not self.h

    @property
    def level(self) -> Level:
        """The storage level it is."""
        return Level.nm(self.g, self.h) if self.kind == "nm" else Level(self.kind)

    def check(self, name: str) -> None:
        """Raise :class:`FormatError`, which calls the rank ``name``, unless its numbers make sense."""
        if self.kind not in KINDS:
            raise FormatError(f"rank {name} has the unknown kind {self.kind!r}", hint="one of " + ", ".join(KINDS))
        if self.kind == "nm" and not 1 <= self.g <= self.h:
            raise FormatError(
                f"rank {name}({self.g}:{self.h}) expects 1 <= G <= H",
                hint="a rank that keeps nothing stores nothing"
                if self.h and not self.g
                else "G are kept of every H: the smaller number comes first",
            )
        if self.kind != "nm" and (self.g or self.h < 0):
            raise FormatError(f"rank {name} is {self.kind}: it takes a size, not G:H", hint='kind="nm" takes G:H')
        if min(self.v, *self.block) < 1:
            raise FormatError(f"rank {name}: V and block sizes must be positive", hint="leave out V(1) and B(1x1)")

    def text(self, index: str) -> str:
        """The rank in the literature's notation, as number ``index`` of its dimension."""
        v = f"V({self.v})" if self.v != 1 else ""
        b = f"B({self.block[0]}x{self.block[1]})" if self.block != (1, 1) else ""
        if self.kind == "nm":
            inside = f"({self.g}:{self.h})"
        elif self.kind == "dense":
            inside = f"({self.h})" if self.h else ""
        else:
            word = "*" if self.kind == "compressed" else "bitmask"
            inside = f"({word}:{self.h})" if self.h else f"({word})"
        return f"{v}{b}{self.dim}{index}{inside}"

    def __str__(self) -> str:
        return self.text("")


def parse_rank(text: str, whole: str) -> Rank:
    """The rank that ``text`` (a part of the format ``whole``) says, with its number (-1 when it has none).

    Errors: :class:`pith.FormatError`.

    >>> parse_rank("V(4)C1(2:4)", "V(4)C1(2:4)->C0(2:4)")
    Rank(g=2, h=4, v=4, block=(1, 1), dim='C', kind='nm', number=1)
    """
    match = _RANK.match(text)
    if match is None:
        raise _unreadable(text, whole)
    kind, g, h = _inside(match["inside"], text, whole)
    block = (int(match["bh"] or 1), int(match["bw"] or 1))
    return Rank(g, h, int(match["v"] or 1), block, match["dim"], kind, int(match["index"] or -1))


def _inside(inside: str | None, text: str, whole: str) -> tuple[str, int, int]:
    """Kind, G and H of what stands in parentheses."""
    if inside is None:
        return "dense", 0, 0
    if match := _GH.match(inside):
        return "nm", int(match[1]), int(match[2])
    if inside.isdecimal() and int(inside):
        return "dense", 0, int(inside)
    match = _SIZED.match(inside.lower())
    if match is None or match[1] not in _WORDS or match[2] == "0":
        raise _unreadable(text, whole)
    return _WORDS[match[1]], 0, int(match[2] or 0)


def _unreadable(text: str, whole: str) -> FormatError:
    return FormatError(
        f"cannot parse rank {text.strip()!r} of format {whole!r}",
        hint="write [V(rows)][B(hxw)]C<i>(G:H) per rank, joined by '->', e.g. C1(3:4)->C0(2:4); instead of G:H: "
        "nothing or a size (dense), * (unstructured) or bitmask, with :size where the rank is not outermost",
    )


def usual_numbers(ranks: Sequence[Rank]) -> tuple[int, ...]:
    """Numbers of ranks that are written outermost first."""
    return tuple(sum(r.dim == rank.dim for r in ranks[i + 1 :]) for i, rank in enumerate(ranks))


def without_usual_numbers(ranks: Sequence[Rank]) -> tuple[Rank, ...]:
    """``ranks`` with a number only in dimensions that are not written outermost first, so that equal means equal."""
    usual = {dim: True for dim in (r.dim for r in ranks)}
    for r, n in zip(ranks, usual_numbers(ranks)):
        usual[r.dim] &= r.number in (-1, n)
    return tuple(dataclasses.replace(r, number=-1) if usual[r.dim] else r for r in ranks)
