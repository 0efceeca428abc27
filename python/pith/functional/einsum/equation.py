"""Einsum equations: parsed, checked against shapes, and written with letters of their own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from ...errors import ArgumentError, ShapeError

#: Operands an equation may have.
MAX_OPERANDS = 3

#: What ``...`` stands for: letters nobody can type, the last dimension first.
_ELLIPSIS = "ωψχφυτσρπο"

_HINT = "as for numpy.einsum: 'mk,kn->mn'"


@dataclasses.dataclass(frozen=True)
class Equation:
    """A sum of products over named dimensions.

    Attributes:
        inputs: the letters of every operand's dimensions.
        result: those of the result.

    Example:
        >>> e = parse("mk,kn", (2, 2))
        >>> e, e.contracted, e.letters
        (Equation(inputs=('mk', 'kn'), result='mn'), 'k', 'mnk')
    """

    inputs: tuple[str, ...]
    result: str

    @functools.cached_property
    def contracted(self) -> str:
        """Letters that are summed over, in order of appearance."""
        return "".join(c for c in dict.fromkeys("".join(self.inputs)) if c not in self.result)

    @functools.cached_property
    def letters(self) -> str:
        """The iteration space: the result's letters, then the contracted ones."""
        return "".join(dict.fromkeys(self.result)) + self.contracted

    def __str__(self) -> str:
        return f"{','.join(self.inputs)}->{self.result}"


def parse(text: str, ranks: tuple[int, ...], where: str = "pith.einsum") -> Equation:
    """The equation of a text for operands of some ranks; ``...`` becomes letters.

    Semantics: as ``numpy.einsum``: without ``->`` the result has the letters that occur once, in alphabetical order,
        behind those of ``...``.
    Errors: :class:`pith.ArgumentError` for a malformed equation, a result letter that no operand has or that occurs
        twice, and another number of operands; :class:`pith.ShapeError` for an operand of another rank.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"expects an equation, got {type(text).__name__}", where=where, hint=_HINT)
    return _parse(text, ranks, where)


@functools.lru_cache(maxsize=1024)
def _parse(text: str, ranks: tuple[int, ...], where: str) -> Equation:
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    _letters(left.replace(",", "").replace("...", ""), text, where)
    if len(terms) != len(ranks):
        raise ArgumentError(f"{text!r} has {len(terms)} operands and {len(ranks)} were given", where=where, hint=_HINT)
    if len(terms) > MAX_OPERANDS:
        raise ArgumentError(f"{text!r} has {len(terms)} operands: at most {MAX_OPERANDS} are possible", where=where)
    inputs = tuple(_expand(term, rank, i, text, where) for i, (term, rank) in enumerate(zip(terms, ranks)))
    every = "".join(inputs)
    batch = "".join(c for c in reversed(_ELLIPSIS) if c in every)
    result = _named(right, batch, text, where) if arrow else _implied(every, batch)
    for c in result:
        if result.count(c) > 1:
            raise ArgumentError(f"{text!r} has {c!r} twice in its result", where=where, hint=_HINT)
        if c not in every:
            raise ArgumentError(f"{text!r} has {c!r} in its result and in no operand", where=where, hint=_HINT)
    return Equation(inputs, result)


def _expand(term: str, rank: int, number: int, text: str, where: str) -> str:
    """The letters of one operand."""
    letters = _letters(term.replace("...", "", 1), text, where)
    extra = rank - len(letters)
    if extra < 0 or (extra > 0 and "..." not in term) or extra > len(_ELLIPSIS):
        raise ShapeError(f"operand {number} has {rank} dimensions, {term!r} names {len(letters)}", where=where)
    return term.replace("...", _ELLIPSIS[:extra][::-1])


def _named(right: str, batch: str, text: str, where: str) -> str:
    _letters(right.replace("...", "", 1), text, where)
    return right.replace("...", batch)


def _implied(every: str, batch: str) -> str:
    return batch + "".join(sorted(c for c in set(every) if every.count(c) == 1 and c not in batch))


def _letters(term: str, text: str, where: str) -> str:
    wrong = next((c for c in term if not (c.isascii() and c.isalpha())), None)
    if wrong is not None:
        raise ArgumentError(f"{text!r} has {wrong!r} where a letter is expected", where=where, hint=_HINT)
    return term


def extents(equation: Equation, shapes: Sequence[Sequence[int]], where: str = "pith.einsum") -> dict[str, int]:
    """The size of every letter.

    Errors: :class:`pith.ShapeError` naming the letter that has two.

    Example:
        >>> extents(parse("mk,kn", (2, 2)), [(3, 4), (4, 5)])
        {'m': 3, 'k': 4, 'n': 5}
    """
    sizes: dict[str, int] = {}
    for number, (letters, shape) in enumerate(zip(equation.inputs, shapes)):
        for c, size in zip(letters, shape):
            if sizes.setdefault(c, size) != size:
                raise ShapeError(
                    f"{c!r} has size {sizes[c]}, operand {number} of shape {tuple(shape)} says {size}", where=where
                )
    return sizes
