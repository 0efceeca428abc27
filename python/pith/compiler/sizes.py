"""Rules for the dynamic sizes of a call that the types of the arguments cannot say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ShapeError
from .size_terms import Term, evaluate, sizes_in, spelled, term_from_json

if TYPE_CHECKING:
    from pith.passes.analysis.equal_sizes import EqualSizes

#: Argument number -> dimension -> (symbol, smallest, largest or None). Equal symbols stand for equal sizes.
DimRules = Mapping[int, Mapping[int, tuple[str, int, int | None]]]


@dataclasses.dataclass(frozen=True)
class SizeRules:
    """What is demanded of the sizes of a call.

    Attributes:
        dims: of one dimension by itself, and which are equal.
        demands: comparisons that hold; each may name several sizes.

    Example:
        >>> rules = SizeRules({0: {1: ("n", 2, None)}}, (("==", ("%", ("size", 0, 1), 2), 0),))
        >>> SizeRules.from_json(rules.to_json()) == rules
        True
    """

    dims: DimRules = dataclasses.field(default_factory=dict)
    demands: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dims or self.demands)

    def __or__(self, other: SizeRules) -> SizeRules:
        """The rules of both; what ``other`` says of the dimensions of an argument replaces what was said of it."""
        return SizeRules({**self.dims, **other.dims}, tuple(dict.fromkeys((*self.demands, *other.demands))))

    def to_json(self) -> dict[str, Any]:
        """As plain data; :meth:`from_json` is the inverse."""
        dims = {str(i): {str(d): list(rule) for d, rule in dims.items()} for i, dims in self.dims.items()}
        return {"dims": dims, "demands": self.demands}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SizeRules:
        """Inverse of :meth:`to_json`."""
        dims = {
            int(i): {int(d): (rule[0], rule[1], rule[2]) for d, rule in dims.items()}
            for i, dims in data["dims"].items()
        }
        return cls(dims, tuple(map(term_from_json, data["demands"])))


def rules_of(classes: Sequence[EqualSizes]) -> SizeRules:
    """Rules that make the members of every class equal."""
    rules: dict[int, dict[int, tuple[str, int, int | None]]] = {}
    for number, equal in enumerate(classes):
        for argument, dimension in equal.members:
            rules.setdefault(argument, {})[dimension] = (f"={number}", equal.size or 0, equal.size)
    return SizeRules(dict(sorted(rules.items())))


class Sized(Protocol):
    """What is known of a parameter: its name, and its shape with -1 for sizes that calls decide."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


Params = Sequence[Sized] | Mapping[int, Sized]


class SizeCheck:
    """Rules made ready for the calls of one kernel.

    Args:
        rules: what is demanded.
        params: the parameters of the function, or by number those that calls give and those in ``bound``.
        bound: shapes of those that a call leaves out, by position.
        where: the function, for errors.

    Errors: :class:`pith.ShapeError` when bound parameters break a rule.
    """

    def __init__(self, rules: SizeRules, params: Params, bound: Mapping[int, Sequence[int]], where: str):
        self.rules = SizeRules({i: rules.dims[i] for i in sorted(rules.dims)}, rules.demands)
        self.params, self.bound, self.where = params, bound, where
        check_sizes(self.rules, bound, params, where)
        numbers = sorted(params) if isinstance(params, Mapping) else range(len(params))
        self._free = [i for i in numbers if i not in bound]
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
        rules = [(i, d, rule) for i, dims in self.rules.dims.items() for d, rule in dims.items()]
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
        terms += [spelled(t, lambda i, d: self._size_text(i, d, places)) for t in self.rules.demands]
        looked_at = {*self.rules.dims, *(i for t in self.rules.demands for i, _ in sizes_in(t))}
        used = [f"    s{places[i]} = args[{places[i]}].shape" for i in sorted(looked_at) if i in places]
        lines = ["try:", *used, f"    return {' and '.join(terms) or True}"]
        lines += ["except (AttributeError, IndexError, TypeError, ZeroDivisionError):", "    return False"]
        scope: dict[str, Any] = {}
        exec("\n    ".join(["def holds(args):", *lines]), scope)
        return scope["holds"]

    def _size_text(self, argument: int, dimension: int, places: Mapping[int, int]) -> str:
        if argument in places:
            return f"s{places[argument]}[{dimension}]"
        return f"{int(self.bound[argument][dimension])}"


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


def check_sizes(
    rules: SizeRules,
    shapes: Mapping[int, Sequence[int]],
    params: Params,
    where: str,
) -> None:
    """Check the sizes of a call's arguments.

    Args:
        rules: what is demanded.
        shapes: argument number -> shape.
        params: parameters of the function by number, those in ``shapes`` at least; for their names and ranks.

    Errors: :class:`pith.ShapeError` naming the argument and its dimension.

    Example:
        >>> from pith.compiler.params import Param
        >>> x, y = Param("x", "dense", "f32", (-1,)), Param("y", "dense", "f32", (-1,))
        >>> rules = SizeRules({0: {0: ("n", 2, None)}, 1: {0: ("n", 2, None)}})
        >>> check_sizes(rules, {0: (3,), 1: (3,)}, [x, y], "f")
        >>> check_sizes(rules, {0: (3,), 1: (4,)}, [x, y], "f")
        Traceback (most recent call last):
        ...
        pith.errors.ShapeError: f: argument 'y', dimension 0: expects the size of 'x', dimension 0, 3, got 4
    """
    sizes: dict[str, tuple[int, str]] = {}
    for number, dims in rules.dims.items():
        shape = shapes.get(number)
        if shape is None or len(shape) != len(params[number].shape):
            continue  # the call itself says what is wrong with it
        for d, (symbol, low, high) in dims.items():
            _check_size(int(shape[d]), symbol, (low, high), sizes, f"{params[number].name!r}, dimension {d}", where)
    ranks_fit = all(len(shape) == len(params[i].shape) for i, shape in shapes.items())
    if ranks_fit and all(i in shapes for t in rules.demands for i, _ in sizes_in(t)):
        check_demands(rules.demands, shapes, {i: params[i].name for i in shapes}, where)


def check_demands(
    demands: Sequence[Term], shapes: Mapping[int, Sequence[int]], names: Mapping[int, str], where: str
) -> None:
    """Check the comparisons of several sizes; one that divides by a size of zero says nothing.

    Errors: :class:`pith.ShapeError` with the comparison that does not hold.

    Example:
        >>> check_demands([("==", ("%", ("size", 0, 0), 2), 0)], {0: (3, 4)}, {0: "x"}, "f")
        Traceback (most recent call last):
        ...
        pith.errors.ShapeError: f: works for sizes with x.shape[0] % 2 == 0 only, got x of shape (3, 4)
          hint: compile it with an example of such sizes
    """
    for demand in demands:
        try:
            holds = evaluate(demand, lambda i, d: int(shapes[i][d]))
        except ZeroDivisionError:
            continue
        if not holds:
            given = ", ".join(
                f"{names[i]} of shape {tuple(shapes[i])}" for i in sorted({i for i, _ in sizes_in(demand)})
            )
            text = spelled(demand, lambda i, d: f"{names[i]}.shape[{d}]")
            raise ShapeError(
                f"works for sizes with {text} only, got {given}",
                where=where,
                hint="compile it with an example of such sizes",
            )


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
