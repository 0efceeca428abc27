"""Rules for the dynamic sizes of a call that the types of the arguments cannot say."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from .params import Param

if TYPE_CHECKING:
    from pith.passes.analysis.equal_sizes import EqualSizes

#: Argument number -> dimension -> (symbol, smallest, largest or None). Equal symbols stand for equal sizes.
SizeRules = Mapping[int, Mapping[int, tuple[str, int, int | None]]]


def rules_of(classes: Sequence[EqualSizes]) -> SizeRules:
    """Rules that make the members of every class equal."""
    rules: dict[int, dict[int, tuple[str, int, int | None]]] = {}
    for number, equal in enumerate(classes):
        for argument, dimension in equal.members:
            rules.setdefault(argument, {})[dimension] = (f"={number}", equal.size or 0, equal.size)
    return dict(sorted(rules.items()))


def rules_to_json(rules: SizeRules) -> dict[str, Any]:
    """Rules as plain data; :func:`rules_from_json` is the inverse."""
    return {str(i): {str(d): list(rule) for d, rule in dims.items()} for i, dims in rules.items()}


def rules_from_json(data: Mapping[str, Any]) -> dict[int, dict[int, tuple[str, int, int | None]]]:
    """Inverse of :func:`rules_to_json`.

    Example:
        >>> rules_from_json(rules_to_json({0: {1: ("n", 2, None)}}))
        {0: {1: ('n', 2, None)}}
    """
    return {int(i): {int(d): (rule[0], rule[1], rule[2]) for d, rule in dims.items()} for i, dims in data.items()}


class SizeCheck:
    """Rules made ready for the calls of one kernel.

    Args:
        rules: what is demanded.
        params: all parameters of the function.
        bound: shapes of those that a call leaves out, by position.
        where: the function, for errors.

    Errors: :class:`pith.ShapeError` when bound parameters break a rule.
    """

    def __init__(self, rules: SizeRules, params: Sequence[Param], bound: Mapping[int, Sequence[int]], where: str):
        self.rules = {i: rules[i] for i in sorted(rules)}
        self.params, self.bound, self.where = params, bound, where
        check_sizes(self.rules, bound, params, where)
        self._free = [i for i in range(len(params)) if i not in bound]
        self._used = [n for n, i in enumerate(self._free) if i in rules]
        # All sizes of a call in a row, behind numbers that they must equal: which of them are compared.
        self._numbers: list[int] = [0]
        self._ranges: list[tuple[int, int, float]] = []
        pairs = [(0, 0), *self._pairs()]
        self._left, self._right = (operator.itemgetter(*side) for side in zip(*pairs))

    def __call__(self, args: Sequence[Any]) -> None:
        """Check a call.

        Errors: :class:`pith.ShapeError` naming the argument and its dimension.
        """
        if not self._holds(args):
            shapes = {i: shape for i, a in zip(self._free, args) if (shape := _shape_of(a)) is not None}
            check_sizes(self.rules, {**self.bound, **shapes}, self.params, self.where)

    def _holds(self, args: Sequence[Any]) -> bool:
        """True when all is well, or a rank is wrong, which the call itself says; False also when unsure."""
        try:
            sizes = self._numbers.copy()
            for n in self._used:
                sizes += args[n].shape
            if self._left(sizes) != self._right(sizes):
                return False
            return all(low <= sizes[place] <= high for place, low, high in self._ranges) if self._ranges else True
        except (AttributeError, IndexError, TypeError):
            return False

    def _pairs(self) -> list[tuple[int, int]]:
        """Places of sizes that must be equal; fills in numbers and ranges."""
        free = {self._free[n] for n in self._used}
        rules = [(i, d, rule) for i, dims in self.rules.items() for d, rule in dims.items()]
        known = {rule[0]: self.bound[i][d] for i, d, rule in rules if i in self.bound and d < len(self.bound[i])}
        known |= {symbol: low for _, _, (symbol, low, high) in rules if low == high}
        owners = {symbol: place for place, symbol in enumerate(known, 1)}
        self._numbers += known.values()
        starts, end = {}, len(self._numbers)
        for i in sorted(free):
            starts[i], end = end, end + len(self.params[i].shape)
        pairs = []
        for i, d, (symbol, low, high) in rules:
            if i in free:
                place = starts[i] + d
                pairs.append((owners.setdefault(symbol, place), place))
                if low != high and (low > 0 or high is not None):
                    self._ranges.append((place, low, float("inf") if high is None else high))
        return [pair for pair in pairs if pair[0] != pair[1]]


def _shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of whatever a call may pass; None for what is no array."""
    shape = getattr(value, "shape", None)
    if shape is None:
        interface = getattr(value, "__array_interface__", None) or getattr(value, "__cuda_array_interface__", None)
        if interface is not None:
            return tuple(interface["shape"])
        try:
            return memoryview(value).shape
        except TypeError:
            return None
    return tuple(shape)


def check_sizes(rules: SizeRules, shapes: Mapping[int, Sequence[int]], params: Sequence[Param], where: str) -> None:
    """Check the sizes of a call's arguments.

    Args:
        rules: what is demanded.
        shapes: argument number -> shape.
        params: all parameters of the function, for their names.

    Errors: :class:`pith.ShapeError` naming the argument and its dimension.

    Example:
        >>> x, y = Param("x", "dense", "f32", (-1,)), Param("y", "dense", "f32", (-1,))
        >>> rules = {0: {0: ("n", 2, None)}, 1: {0: ("n", 2, None)}}
        >>> check_sizes(rules, {0: (3,), 1: (3,)}, [x, y], "f")
        >>> check_sizes(rules, {0: (3,), 1: (4,)}, [x, y], "f")
        Traceback (most recent call last):
        ...
        pith.errors.ShapeError: f: argument 'y', dimension 0: expects the size of 'x', dimension 0, 3, got 4
    """
    sizes: dict[str, tuple[int, str]] = {}
    for number, dims in rules.items():
        shape = shapes.get(number)
        if shape is None or len(shape) != len(params[number].shape):
            continue  # the call itself says what is wrong with it
        for d, (symbol, low, high) in dims.items():
            _check_size(int(shape[d]), symbol, (low, high), sizes, f"{params[number].name!r}, dimension {d}", where)


def _check_size(
    size: int,
    symbol: str,
    bounds: tuple[int, int | None],
    sizes: dict[str, tuple[int, str]],
    place: str,
    where: str,
) -> None:
    low, high = bounds
    if size < low or (high is not None and size > high):
        wanted = f"of {low}" if low == high else f"from {low} to {'any' if high is None else high}"
        raise ShapeError(f"expects a size {wanted}, got {size}", where=f"{where}: argument {place}")
    first, owner = sizes.setdefault(symbol, (size, place))
    if first != size:
        raise ShapeError(f"expects the size of {owner}, {first}, got {size}", where=f"{where}: argument {place}")
