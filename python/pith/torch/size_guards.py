"""What torch.export took for granted of the dynamic sizes of a program, beside their ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sympy
import torch
from torch._guards import detect_fake_mode

from ..compiler.size_terms import Term

#: Relations as torch writes them -> the operator of a term, and whether the sides change places.
_RELATIONS = {
    sympy.Eq: ("==", False),
    sympy.Le: ("<=", False),
    sympy.Lt: ("<", False),
    sympy.Ge: ("<=", True),
    sympy.Gt: ("<", True),
}
_ARITHMETIC = {"Mod": "%", "PythonMod": "%", "FloorDiv": "//", "CleanDiv": "//", "Add": "+", "Mul": "*"}


@contextlib.contextmanager
def convolutions_of_any_size() -> Iterator[None]:
    """Keep torch from choosing a library for convolutions while it traces them.

    Of more than 20480 elements of an image it takes oneDNN, and traces a guard for it: the program would be for images
    on the example's side of that.
    """
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def size_demands(values: Mapping[int, Any]) -> tuple[Term, ...]:
    """Demands on the sizes of the inputs ``values`` (position -> fake tensor) that their ranges do not say.

    Semantics: guards that sizes differ from 0, 1 or each other are torch's assumption while tracing, as is a lower
        bound of 2; they are no demands. Neither is what names a size that no input has.
    """
    mode = detect_fake_mode(list(values.values()))
    if mode is None or mode.shape_env is None:
        return ()
    expressions = _size_expressions(values)
    places = _places(expressions)
    derived = [sympy.Eq(expr, _symbol(at)) for at, expr in expressions if not expr.is_Symbol]
    known = {**places, **{_symbol(at): ("size", *at) for at, _ in expressions}}
    guards = [guard.expr for guard in mode.shape_env.guards]
    found = (_term(expr, known) for expr in (*derived, *guards) if _is_demand(expr))
    return tuple(dict.fromkeys(term for term in found if term is not None and _says_something(term)))


def _size_expressions(values: Mapping[int, Any]) -> list[tuple[tuple[int, int], Any]]:
    """((input, dimension), size in torch's symbols) of every dynamic size."""
    return [
        ((position, d), size.node.expr)
        for position, value in values.items()
        if isinstance(value, torch.Tensor)
        for d, size in enumerate(value.shape)
        if isinstance(size, torch.SymInt)
    ]


def _symbol(at: tuple[int, int]) -> Any:
    return sympy.Symbol(f"size_{at[0]}_{at[1]}", integer=True)


def _places(expressions: Iterable[tuple[tuple[int, int], Any]]) -> dict[Any, Term]:
    """Where every symbol can be read: a size that is it, else one that is a multiple of it and a number."""
    places: dict[Any, Term] = {}
    for at, expr in sorted(expressions, key=lambda e: not e[1].is_Symbol):
        if len(expr.free_symbols) != 1 or (symbol := next(iter(expr.free_symbols))) in places:
            continue
        factor, offset = expr.coeff(symbol, 1), expr.coeff(symbol, 0)
        if factor.is_Integer and offset.is_Integer and factor > 0 and sympy.expand(expr - factor * symbol) == offset:
            size: Term = ("size", *at)
            size = ("+", size, -int(offset)) if offset else size
            places[symbol] = ("//", size, int(factor)) if factor != 1 else size
    return places


def _is_demand(expr: Any) -> bool:
    return type(expr) in _RELATIONS and not (isinstance(expr, sympy.Ge) and expr.rhs == 2)


def _says_something(demand: Term) -> bool:
    """Not the range of one size, which ``DynamicDim`` has, nor that a size is itself."""
    sides = [side for side in demand[1:] if not isinstance(side, int)] if isinstance(demand, tuple) else []
    return any(side[0] != "size" for side in sides) or (len(sides) == 2 and sides[0] != sides[1])


def _term(expr: Any, known: Mapping[Any, Term]) -> Term | None:
    """``expr`` as a term; None for what has no form as one."""
    if expr.is_Integer:
        return int(expr)
    if expr.is_Symbol:
        return known.get(expr)
    if isinstance(expr, sympy.Le) and expr.rhs == 0 and type(expr.lhs).__name__ in ("Mod", "PythonMod"):
        expr = sympy.Eq(expr.lhs, 0, evaluate=False)  # what torch makes of it where nothing is below 0
    operator, swapped = _RELATIONS.get(type(expr)) or (_ARITHMETIC.get(type(expr).__name__), False)
    operands = [_term(operand, known) for operand in expr.args]
    if operator is None or any(operand is None for operand in operands):
        return None
    return _joined(operator, operands[::-1] if swapped else operands)


def _joined(operator: str, operands: Sequence[Any]) -> Term:
    """Sums and products of many as ones of two."""
    first, second, *rest = operands
    joined: Term = (operator, first, second)
    for operand in rest:
        joined = (operator, joined, operand)
    return joined
