"""Rules for the dynamic sizes of a call that the types of the arguments cannot say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        self._holds = self._compiled()

    def __call__(self, args: Sequence[Any]) -> None:
        """Check a call.

        Errors: :class:`pith.ShapeError` naming the argument and its dimension.
        """
        if not self._holds(args):
            shapes = {i: shape for i, a in zip(self._free, args) if (shape := _shape_of(a)) is not None}
            check_sizes(self.rules, {**self.bound, **shapes}, self.params, self.where)

    def _compiled(self) -> Callable[[Sequence[Any]], bool]:
        """The rules as Python code; what they look at is known, and nothing but numbers is put into it.

        It returns True when all is well, or a rank is wrong, which the call itself says; False also when unsure.
        A loop over pairs of places takes 1.1 us for two matrices of equal size, this a third (Zen 3, 2026-11).
        """
        rules = [(i, d, rule) for i, dims in self.rules.items() for d, rule in dims.items()]
        owners = {rule[0]: f"{int(self.bound[i][d])}" for i, d, rule in rules if d < len(self.bound.get(i, ()))}
        owners |= {symbol: f"{low}" for _, _, (symbol, low, high) in rules if low == high}
        places, terms = {i: n for n, i in enumerate(self._free)}, []
        for i, d, (symbol, low, high) in rules:
            if i not in places:
                continue
            size = f"s{places[i]}[{d}]"
            owner = owners.setdefault(symbol, size)
            terms += [f"{owner} == {size}"] if owner != size else []
            if low != high and (low > 0 or high is not None):
                terms.append(f"{low} <= {size}" + ("" if high is None else f" <= {high}"))
        used = [f"    s{places[i]} = args[{places[i]}].shape" for i in self.rules if i in places]
        lines = ["try:", *used, f"    return {' and '.join(terms) or True}"]
        lines += ["except (AttributeError, IndexError, TypeError):", "    return False"]
        scope: dict[str, Any] = {}
        exec("\n    ".join(["def holds(args):", *lines]), scope)
        return scope["holds"]


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
