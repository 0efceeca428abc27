"""Arithmetic with the sizes of a call's arguments, as plain data: demands on several sizes at once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: A number, ``("size", argument, dimension)``, or an operator of :data:`OPERATORS` before its two operands.
Term = int | tuple[Any, ...]

OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "<=": operator.le,
    "<": operator.lt,
}


def evaluate(term: Term, size: Callable[[int, int], int]) -> int:
    """The value of ``term`` where ``size(argument, dimension)`` gives sizes.

    Errors: ZeroDivisionError.
    Example:
        >>> evaluate(("==", ("%", ("size", 0, 1), 2), 0), lambda argument, dimension: 6)
        True
    """
    if isinstance(term, int):
        return term
    if term[0] == "size":
        return size(*term[1:])
    return OPERATORS[term[0]](*(evaluate(t, size) for t in term[1:]))


def spelled(term: Term, size: Callable[[int, int], str]) -> str:
    """``term`` as a Python expression where ``size(argument, dimension)`` spells sizes.

    Example:
        >>> spelled(("==", ("%", ("size", 0, 1), 2), 0), lambda argument, dimension: f"x.shape[{dimension}]")
        'x.shape[1] % 2 == 0'
    """
    if isinstance(term, int):
        return str(term)
    if term[0] == "size":
        return size(*term[1:])
    comparison = term[0] in ("==", "<=", "<")
    left, right = (spelled(t, size) if comparison or _is_plain(t) else f"({spelled(t, size)})" for t in term[1:])
    return f"{left} {term[0]} {right}"


def _is_plain(term: Term) -> bool:
    return isinstance(term, int) or term[0] == "size"


def sizes_in(term: Term) -> set[tuple[int, int]]:
    """The (argument, dimension) pairs that ``term`` names."""
    if isinstance(term, int):
        return set()
    if term[0] == "size":
        return {(term[1], term[2])}
    return set().union(*(sizes_in(t) for t in term[1:]))


def term_from_json(data: int | Sequence[Any]) -> Term:
    """A term that JSON has made lists of.

    Errors: ValueError for what is no term.
    """
    if isinstance(data, int):
        return data
    head, *rest = data
    if head == "size" and len(rest) == 2 and all(isinstance(n, int) for n in rest):
        return ("size", *rest)
    if head not in OPERATORS or len(rest) != 2:
        raise ValueError(f"expects a term of sizes, got {data!r}")
    return (head, *map(term_from_json, rest))
