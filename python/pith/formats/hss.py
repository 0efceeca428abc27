"""Hierarchical structured sparsity in the notation of the literature.

``C1(3:4)->C0(2:4)`` reads outermost rank first. ``C`` is the contracted dimension of an
``out x in`` weight (its columns), split by the rules from the inside out: C0 are single
elements in groups of its H, C1 are those groups in groups of *its* H, and so on. ``M`` are
its rows. A rank is

=================  ==========================================================================
``C0(2:4)``        at most 2 of every 4 coordinates hold anything
``C1``             dense, as many coordinates as there are (HighLight writes it so)
``C0(8)``          dense, 8 coordinates; ``C0(8:8)`` keeps as much, as a G:H that leaves no choice
``C1(*)``          unstructured: any coordinates; ``C1(unconstrained)`` says the same
``C0(*:32)``       unstructured, 32 coordinates
``C1(bitmask)``    unstructured, one bit per coordinate; ``C0(bitmask:32)`` has 32
=================  ==========================================================================

The outermost rank of a dimension may be open (take its size from the tensor), all others need
a size. A dimension whose outermost rank has a size gets a dense open one: rows outermost of all,
other dimensions in front of their first rank. Ranks of different dimensions may stand in any
order: ``M1->C1(*)->M0(4)->C0(4)`` is BSR. So may those of one dimension, whose numbers then tell
which digit they are: ``C2->C0(8)->C1(1:4)`` keeps one of 4 elements that stand 8 apart.

Shorthands: ``V(16)`` before a rank: 16 consecutive rows share that rank's choice. ``B(4x1)`` before
the last rank: its elements are 4x1 blocks. `` pad`` at the end: shapes are rounded up.

Other tensors name their dimensions: ``MCRS: RS->C1->C0(2:4)`` is over a convolution's weight.
Letters that stand together are flattened: ``MCRS: CRS1(2:4)->CRS0(2:4)``.

Source: Wu et al., HighLight, MICRO 2023; row sharing as in VENOM (V:N:M), SC 2023.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

from ..errors import FormatError, ShapeError
from .format import Format
from .hss_check import check_hss
from .hss_levels import levels_of, ranks_of
from .rank import Rank, parse_rank, usual_numbers, without_usual_numbers

_DIMS = re.compile(r"\s*(?P<dims>[A-Z]+)\s*:\s*(?=[A-Z])")
_PAD = re.compile(r"\s+pad\s*$")


@dataclasses.dataclass(frozen=True)
class HSS:
    """A hierarchical structured sparsity format, by default of an ``out x in`` matrix.

    Attributes:
        ranks: outermost first.
        dims: one letter per dimension of the tensor, outermost first; all but B and V.
        padded: shapes that the format does not divide are stored rounded up.

    Errors: :class:`pith.FormatError` when the text is not a format; shapes that the format
    does not divide raise :class:`pith.ShapeError` when a tensor is packed.

    Example:
        >>> fmt = HSS.parse("C1(3:4)->C0(2:4)")
        >>> fmt.density, fmt.degree
        (0.375, 0.625)
        >>> fmt.packed_shapes((8, 32))["values"]
        (8, 2, 3, 2)
        >>> str(fmt)
        'C1(3:4)->C0(2:4)'
        >>> HSS.parse("B(16x32)C0(*)").to_format() == Format.bsr(16, 32)
        True
    """

    ranks: tuple[Rank, ...]
    dims: str = "MC"
    padded: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.ranks, str):
            raise FormatError("expects ranks, got text", hint=f"pith.HSS.parse({self.ranks!r})")
        object.__setattr__(self, "ranks", without_usual_numbers(self.ranks))
        check_hss(self)

    # -- text -----------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str, dims: str | None = None) -> HSS:
        """Parse the literature's notation; ``str()`` gives it back.

        ``dims`` names the dimensions of the tensor when the text does not (``MC`` when neither does).

        >>> str(HSS.parse("C(unconstrained)->R->S", dims="MCRS"))
        'MCRS: C0(*)->R0->S0'
        """
        if not isinstance(text, str):
            raise FormatError(f"expects a text, got {type(text).__name__}", hint="e.g. 'C1(3:4)->C0(2:4)'")
        named = _DIMS.match(text)
        if named and dims and named["dims"] != dims:
            raise FormatError(f"format {text!r} is over the dimensions {named['dims']}, not {dims}")
        body = text[named.end() :] if named else text
        unpadded = _PAD.sub("", body)
        ranks = [parse_rank(part, text) for part in unpadded.split("->")]
        for rank in ranks:
            if rank.number < 0 and sum(r.dim == rank.dim for r in ranks) > 1:
                raise FormatError(f"rank {rank} of format {text!r} has no number", hint=f"write {rank.dim}0, ...")
        return cls(tuple(ranks), named["dims"] if named else dims or "MC", unpadded != body)

    @classmethod
    def from_format(cls, fmt: Format, dims: str | None = None) -> HSS:
        """The ranks that say ``fmt``, one per level.

        Errors: :class:`pith.FormatError` for levels without a word (``singleton``, ``loose_compressed``, ...).

        >>> print(HSS.from_format(Format.bsr(4, 2)))
        M1->C1(*)->M0(4)->C0(2)
        """
        return cls(*ranks_of(fmt, dims), fmt.padded)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Which digit of its dimension every rank is."""
        usual = usual_numbers(self.ranks)
        return tuple(n if r.number < 0 else r.number for r, n in zip(self.ranks, usual))

    def __str__(self) -> str:
        parts = (r.text(str(n)) for r, n in zip(self.ranks, self.numbers))
        dims = "" if self.dims == "MC" else f"{self.dims}: "
        return dims + "->".join(parts) + (" pad" if self.padded else "")

    # -- queries --------------------------------------------------------------------

    @property
    def storage_dims(self) -> tuple[str, ...]:
        """Letters of each dimension as stored: flattened ones are one.

        >>> HSS.parse("MCRS: CRS1(2:4)->CRS0(2:4)").storage_dims
        ('M', 'CRS')
        """
        flat = {letter: r.dim for r in self.ranks for letter in r.dim}
        return tuple(dict.fromkeys(flat.get(letter, letter) for letter in self.dims))

    def flat_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape a tensor of ``shape`` is stored with: flattened dimensions are multiplied out.

        Errors: :class:`pith.ShapeError` for another number of dimensions.

        >>> HSS.parse("MCRS: CRS1(2:4)->CRS0(2:4)").flat_shape((8, 16, 3, 3))
        (8, 144)
        """
        if len(shape) == len(self.storage_dims):
            return tuple(shape)
        if len(shape) != len(self.dims):
            raise ShapeError(
                f"format {self} is for rank {len(self.dims)}, got shape {tuple(shape)}",
                hint=f"its dimensions are {', '.join(self.dims)}",
            )
        size = dict(zip(self.dims, shape))
        return tuple(math.prod(size[letter] for letter in letters) for letters in self.storage_dims)

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
        """Largest share of elements kept: the product of G/H over the ranks (1 for unstructured ones).

        Of a padded format: of the elements of the shape rounded up.
        """
        return math.prod(r.level.density for r in self.ranks)

    @property
    def degree(self) -> float:
        """The sparsity degree, ``1 - density``: the share of elements that are certainly zero."""
        return 1 - self.density

    @property
    def group(self) -> tuple[int, ...]:
        """What each stored dimension of a shape must be a multiple of (unless the format is padded)."""
        return self.to_format().divisors()

    def to_format(self, nm_width: int = 0) -> Format:
        """The general :class:`Format` this notation stands for.

        >>> print(HSS.parse("V(4)C1(1:2)->C0(2:4)").to_format())  # one line
        d0 floordiv 4 : dense, d1 floordiv 8 : dense, (d1 floordiv 4) mod 2 : nm(1:2),
        d0 mod 4 : dense, d1 mod 4 : nm(2:4)
        """
        return levels_of(
            self.ranks, self.numbers, self.shares, self.storage_dims, padded=self.padded, nm_width=nm_width
        )

    def with_padding(self, padded: bool = True) -> HSS:
        """The same format for shapes its groups need not divide (or the other way round).

        >>> str(HSS.parse("C0(2:4)").with_padding())
        'C0(2:4) pad'
        """
        return dataclasses.replace(self, padded=padded)

    def packed_shapes(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Shapes of the stored buffers for a tensor of ``shape`` (see :meth:`Format.packed_shapes`)."""
        return self.to_format().packed_shapes(self.flat_shape(shape))

    def metadata_bits(self, shape: Sequence[int]) -> int:
        """Bits of coordinates stored for a tensor of ``shape``; static formats only.

        >>> HSS.parse("C1(3:4)->C0(2:4)").metadata_bits((8, 32))
        288
        """
        return self.to_format().metadata_bits(self.flat_shape(shape))

    def explain(self) -> str:
        """What each rank keeps and what is stored for it, as a table.

        >>> print(HSS.parse("C0(2:4)").explain())
        C0(2:4): at most 50 % of the elements are kept, 50 % sparse
          level                   keeps                     metadata
          d0 : dense              all                       none
          d1 floordiv 4 : dense   all                       none
          d1 mod 4 : nm(2:4)      2 of 4 elements           2 bits per value
          metadata: 2 bits per value; shapes: multiples of 1 x 4
        """
        from .explain import explain

        return explain(self)
