"""The tightest formats of a matrix: candidates from its occupancies, ranked by the bytes they store."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..errors import ShapeError
from .buffers import buffer_specs
from .format import Format
from .hss import HSS
from .infer_ranks import Guess, guesses
from .occupancy import Occupancy, diagonals, occupancies
from .occupancy_listed import ELEMENTS_PER_ENTRY, listed_diagonals, listed_occupancies
from .parse import format_name

#: One element in so many is stored where ``masked(4)`` is a candidate. Against CSR it gains 1.2 to 1.6 times with half
#: of the elements stored, 1.0 to 1.25 with 30 %, nothing with 20 % (four shapes, one core of Emerald Rapids, 2026-11).
_MASKED_FROM = 4


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A format that a matrix obeys.

    Attributes:
        hss: the format; for diagonals, which the notation of ranks has no word for, a :class:`Format`.
        nbytes: bytes of the matrix stored in it: values and metadata.
        stored: values stored, zeros that fill up groups and blocks included.
    """

    hss: HSS | Format
    nbytes: int
    stored: int

    @property
    def name(self) -> str:
        """Text that says the format."""
        return str(self.hss) if isinstance(self.hss, HSS) else format_name(self.hss)

    def __str__(self) -> str:
        return f"{self.name}: {self.nbytes} bytes"


@dataclasses.dataclass(frozen=True)
class Inferred:
    """What :func:`infer` found.

    Attributes:
        candidates: fewest bytes first; of equal bytes, the one of fewer ranks.
    """

    candidates: tuple[Candidate, ...]

    @property
    def format(self) -> HSS | Format:
        """The tightest format."""
        return self.candidates[0].hss

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix stored in it."""
        return self.candidates[0].nbytes

    def __str__(self) -> str:
        return str(self.candidates[0])


def infer(mask: np.ndarray, value_bytes: int, *, padded: bool = False, limit: int = 16) -> Inferred:
    """The tightest formats of a matrix with non-zeros where ``mask`` is True.

    Semantics: candidates are ``M0->C0`` (dense), ``C0->M0(*)`` (CSC), ``masked(4)`` where a quarter is stored, of
        diagonals ``band(l:u)`` and ``dia``, and nested ranks: up to three of G:H, elements or blocks B of up to 32x32
        innermost, each shared by V rows, alone or below a list or a mask of what holds something
        (``V C2(G:H)->V C1(G:H)->B C0(G:H)``, ``C1(*)->C0(G:H)``, ``C0(*)``, ``B C0(bitmask)``). Of each the rows that
        hold nothing may be left out (``M0(*)->C0(*)``). H is 2 to 32, and so are the columns that outer ranks choose
        among; heights of blocks and V are powers of two up to 32. Every G is the smallest the matrix obeys.
    Shapes: mask: a Boolean matrix. Only blocks and groups that divide it, unless ``padded``.
    Errors: :class:`pith.ShapeError` when it is not a matrix or has no elements.

    Example:
        >>> print(infer(np.eye(16, dtype=bool)[::-1], 4))
        V(4)C2(1:4)->V(2)C1(1:2)->C0(1:2): 68 bytes
    """
    _check_matrix(mask.shape)
    if np.count_nonzero(mask) * ELEMENTS_PER_ENTRY < mask.size:
        return infer_listed(np.nonzero(mask), mask.shape, value_bytes, padded=padded, limit=limit)
    return _ranked(occupancies(mask, padded=padded), diagonals(mask), mask.shape, value_bytes, limit)


def infer_listed(
    coords: Sequence[np.ndarray], shape: Sequence[int], value_bytes: int, *, padded: bool = False, limit: int = 16
) -> Inferred:
    """:func:`infer` of a matrix whose non-zeros are listed, in time and memory in proportion to their number.

    Shapes:  coords: rows and columns of the non-zeros, in any order.

    Example:
        >>> print(infer_listed((np.arange(10**6), np.arange(10**6)), (10**6, 10**6), 4))
        band(0:0): 4000000 bytes
    """
    _check_matrix(shape)
    if len(coords[0]) * ELEMENTS_PER_ENTRY >= math.prod(shape):
        mask = np.zeros(shape, bool)
        mask[tuple(coords)] = True
        return _ranked(occupancies(mask, padded=padded), diagonals(mask), shape, value_bytes, limit)
    found = listed_occupancies(coords, shape, padded=padded)
    return _ranked(found, listed_diagonals(coords), shape, value_bytes, limit)


def _check_matrix(shape: Sequence[int]) -> None:
    if len(shape) != 2 or not 0 < math.prod(shape) < 2**63:
        hint = "the matrix of a filter is w.reshape(len(w), -1)" if len(shape) > 2 else "reshape it first"
        raise ShapeError(f"expects a matrix with elements, got shape {tuple(shape)}", hint=hint)


def _ranked(
    occupied: Iterable[Occupancy], offsets: np.ndarray, shape: Sequence[int], value_bytes: int, limit: int
) -> Inferred:
    """The candidates of a matrix of which only blocks, groups and diagonals are known."""
    found = {(o.height, o.width): o for o in sorted(occupied, key=lambda o: (o.width, o.height))}
    value = 8 * value_bytes
    guessed = [*_plain(found[1, 1].held, shape, value), *_of_diagonals(offsets, shape[0], value)]
    guessed += guesses(found, shape, value)
    guessed.sort(key=lambda guess: guess.bits)
    always = [Guess(0, text, (found[1, 1].held,)) for text in ("M0->C0", "C0(*)")]
    if (4, 1) in found and found[1, 1].held * _MASKED_FROM >= math.prod(shape):
        always.append(Guess(0, "masked(4)", (found[4, 1].held, found[1, 1].held)))

    def exact(guess: Guess) -> Candidate:
        hss = guess.format()
        fmt = hss.to_format() if isinstance(hss, HSS) else hss
        if any(size % divisor for size, divisor in zip(shape, fmt.divisors())):
            hss = dataclasses.replace(hss, padded=True)
            fmt = fmt.with_padding()
        return Candidate(hss, *stored_size(fmt, shape, guess.entries, value_bytes))

    best = sorted(map(exact, guessed[: 4 * limit]), key=_order)[:limit]
    return Inferred(tuple(sorted({c.hss: c for c in (*best, *map(exact, always))}.values(), key=_order)))


def _order(candidate: Candidate) -> tuple[int, int, str]:
    levels = candidate.hss.ranks if isinstance(candidate.hss, HSS) else candidate.hss.levels
    return candidate.nbytes, len(levels), candidate.name


def _plain(held: int, shape: Sequence[int], value: int) -> Iterator[Guess]:
    """All elements, and columns."""
    yield Guess(math.prod(shape) * value, "M0->C0")
    yield Guess(held * (value + 32) + (shape[1] + 1) * 32, "C0->M0(*)", (held,))


def _of_diagonals(offsets: np.ndarray, rows: int, value: int) -> Iterator[Guess]:
    """The band that holds all, and the list of diagonals that hold something."""
    lower, upper = max(0, -int(offsets.min(initial=0))), max(0, int(offsets.max(initial=0)))
    yield Guess(rows * (lower + upper + 1) * value, f"band({lower}:{upper})")
    yield Guess(offsets.size * (rows * value + 32) + 64, "dia", (offsets.size,))


def stored_size(fmt: Format, shape: Sequence[int], entries: Sequence[int], value_bytes: int) -> tuple[int, int]:
    """Bytes of all buffers, and number of values, of a tensor whose compressed and bitmask levels have ``entries``.

    >>> stored_size(Format.csr(), (4, 8), [5], 4)
    (60, 5)
    """
    listed = iter(entries)
    sizes = fmt.level_sizes(shape)
    counts = [1]
    for level, size in zip(fmt.levels, sizes):
        counts.append(counts[-1] * (level.g or size) if level.is_static else next(listed))
    nbytes = counts[-1] * value_bytes
    for spec in buffer_specs(fmt):
        above, below = counts[spec.level], counts[spec.level + 1]
        if spec.role == "positions":
            words = above + 1
        elif spec.role == "bits":
            words = above * -(-sizes[spec.level] // 8)
        else:
            words = spec.words(below)
        nbytes += words * spec.storage_bits // 8
    return nbytes, counts[-1]
