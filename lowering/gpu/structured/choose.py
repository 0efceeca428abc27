"""Analysis: how the tiles of an encoded operand are filled, and why (product -> :class:`Feed`).

=========== ============================================================ ============================
kind        for                                                          body
=========== ============================================================ ============================
packed      at most 2 of 4 below every entry; f16, bf16, i8              ``mma.sp.sync``
copied      every element below an entry is stored                       dense
scattered   other groups below the entries of a stream that is skipped   dense
scanned     one list or bitmap, choices of single rows                   dense
expanded    everything else that is static                               dense
=========== ============================================================ ============================

With ``packed``, ``copied`` and ``scattered`` k is the format's index stream: where 16 rows or more share it, what is
absent is skipped, and the other operand is gathered as by a run-time pattern on k.
"""

import dataclasses
import math

from pith.dialect import encoding_of
from pith.formats import Format

from ..product.match import Product, View
from .scanned import list_level
from .split import Split, split_format, unshared

#: Bytes along k of the longest tiles. A tile of entries that are expanded holds whole ones.
_LONGEST_BYTES = 256
#: Elements along k that bodies take at once.
_UNITS = {"fma": 4, "tf32": 8, "half": 16, "int8": 32}


@dataclasses.dataclass(frozen=True)
class Feed:
    """How one encoded operand reaches the body.

    Attributes:
        view: the operand.
        format: of the operand.
        kind: see the module.
        split: the format's stream and what is below its entries, where tiles follow it.
        why: in words.
    """

    view: View
    format: Format
    kind: str
    split: Split | None
    why: str

    @property
    def role(self) -> str:
        """The role of the operand's rows."""
        return next(r for r in self.view.roles if r in "mn")

    @property
    def fast(self) -> str:
        """The role along which stored values follow each other: the tile's, so that they are copied as they are."""
        by_rows = self.kind == "copied" and self.split is not None and self.split.format.exprs[-1].dim == self.split.row
        return self.role if by_rows else "k"

    @property
    def skips(self) -> bool:
        """True when absent elements along k cost nothing."""
        return self.split is not None and self.split.skips


def feed_of(product: Product, view: View, bodies: str) -> Feed | None:
    """How the encoded operand ``view`` is fed to bodies of kind ``fma``, ``tf32``, ``half`` or ``int8``.

    None when its format has no GPU lowering.
    """
    fmt = encoding_of(view.value.type)
    if fmt is None or len(view.roles) != 2:
        return None
    split = split_format(fmt, view.roles.index(next(r for r in view.roles if r in "mn")))
    alone = sum(encoding_of(v.value.type) is not None for v in product.views) == 1 and product.listing("k") is None
    if split is not None and alone:
        feed = _along_stream(view, split, bodies)
        if feed is not None:
            return feed
    if fmt.is_static:
        why = "rows choose along k for themselves" if alone else "the other operand has a stream along k of its own"
        return None if _has_band(fmt) else Feed(view, fmt, "expanded", None, why)
    if list_level(fmt) is not None:
        return Feed(
            view,
            fmt,
            "scanned",
            None,
            "rows choose single elements: a tile is cleared, then filled with what is listed",
        )
    return None


def without_stream(feed: Feed) -> Feed | None:
    """The same operand along all of k, in tiles of any height: groups are searched for. None where it cannot be."""
    whole = unshared(feed.split) if feed.split is not None and feed.kind in ("packed", "copied") else None
    if whole is None:
        return None
    shared = f"{feed.split.rows} rows that share a stream are too few for it" if feed.split else ""
    return dataclasses.replace(feed, split=whole, why=f"{shared}, groups are searched for")


def refusal(view: View) -> tuple[str, str]:
    """Why the format of ``view`` has no GPU lowering, and what to do."""
    fmt = encoding_of(view.value.type)
    hint = "decompress it, or store it in another format"
    if fmt is not None and _has_band(fmt):
        return f"diagonals are multiplied by one dense matrix or vector of floats, got {fmt}", hint
    return f"expects one list or bitmap, of unique coordinates, below dense levels, got {fmt}", hint


def _along_stream(view: View, split: Split, bodies: str) -> Feed | None:
    fmt = split.format
    tensor_cores = bodies in ("half", "int8")
    skipped = f", {split.rows} rows share a stream along k" if split.skips else ""
    if split.is_copy:
        return Feed(view, fmt, "copied", split, f"every element below an entry is stored{skipped}")
    if split.chosen is not None and tensor_cores and split.width % 4 == 0:
        found = ", groups are searched for" if split.searches else ""
        return Feed(
            view, fmt, "packed", split, f"{split.chosen} is at most 2 of 4, for sparse tensor cores{found}{skipped}"
        )
    width = view.value.type.element_type.width // 8
    fits = entry_tile(split, bodies) * width <= _LONGEST_BYTES
    if split.skips and fits and all(level.is_static for _, level in split.below):
        reason = "sparse tensor cores take f16, bf16 and i8" if split.chosen else "its groups are not 2 of 4"
        return Feed(view, fmt, "scattered", split, f"{reason}{skipped}")
    return None


def entry_tile(split: Split, bodies: str) -> int:
    """The fewest elements along k that are whole entries and that bodies take."""
    return math.lcm(split.width, _UNITS[bodies])


def _has_band(fmt: Format) -> bool:
    return fmt.diagonal is not None or any(level.kind == "band" for level in fmt.levels)
