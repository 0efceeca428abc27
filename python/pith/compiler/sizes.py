"""Rules for the dynamic sizes of a call that the types of the arguments cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ShapeError
from .params import Param

#: Argument number -> dimension -> (symbol, smallest, largest or None). Equal symbols stand for equal sizes.
SizeRules = Mapping[int, Mapping[int, tuple[str, int, int | None]]]


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


def check_sizes(rules: SizeRules, values: Mapping[int, Any], params: Sequence[Param], where: str) -> None:
    """Check the sizes of a call's arguments.

    Args:
        rules: what is demanded.
        values: argument number -> array, tensor or sparse tensor.
        params: all parameters of the function, for their names.

    Errors: :class:`pith.ShapeError` naming the argument and its dimension.

    Example:
        >>> import numpy as np
        >>> x, y = Param("x", "dense", "f32", (-1,)), Param("y", "dense", "f32", (-1,))
        >>> rules = {0: {0: ("n", 2, None)}, 1: {0: ("n", 2, None)}}
        >>> check_sizes(rules, {0: np.ones(3), 1: np.ones(3)}, [x, y], "f")
        >>> check_sizes(rules, {0: np.ones(3), 1: np.ones(4)}, [x, y], "f")
        Traceback (most recent call last):
        ...
        pith.errors.ShapeError: f: argument 'y', dimension 0: expects the size of 'x', dimension 0, 3, got 4
    """
    sizes: dict[str, tuple[int, str]] = {}
    for number, dims in rules.items():
        shape = getattr(values.get(number), "shape", None)
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
        top = "any" if high is None else high
        raise ShapeError(f"expects a size from {low} to {top}, got {size}", where=f"{where}: argument {place}")
    first, owner = sizes.setdefault(symbol, (size, place))
    if first != size:
        raise ShapeError(f"expects the size of {owner}, {first}, got {size}", where=f"{where}: argument {place}")
