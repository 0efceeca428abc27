"""What :func:`pith.einsum` takes, checked alike wherever it runs."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError
from ...patterns import Pattern
from ...runtime import numpy_dtype
from ..linear.ir import require_activation
from .equation import Equation
from .ir import stored_type
from .nest import Listed
from .text import MAX_PATTERNS

WHERE = "pith.einsum"


def require_mapping(where: Any) -> Mapping[str, Pattern]:
    """``where`` as a mapping, empty for None."""
    if where is None or isinstance(where, Mapping):
        return where or {}
    raise ArgumentError(
        f"expects letters -> pith.Pattern, got {type(where).__name__}",
        where=f"{WHERE}: where",
        hint="where={'mk': pattern}",
    )


def listed_axes(equation: Equation, sizes: Mapping[str, int], where: Mapping[str, Pattern]) -> tuple[Listed, ...]:
    """The axes of every pattern, each checked against the equation."""
    listed = tuple(_listed(letters, pattern, equation, sizes) for letters, pattern in where.items())
    _require_disjoint(where)
    return listed


def _listed(letters: str, pattern: Any, equation: Equation, sizes: Mapping[str, int]) -> Listed:
    if not isinstance(pattern, Pattern):
        raise ArgumentError(
            f"expects a pith.Pattern for {letters!r}, got {type(pattern).__name__}",
            where=f"{WHERE}: where",
            hint="pith.Pattern.from_indices(indices, sizes), pith.Pattern.from_mask(mask)",
        )
    if not isinstance(letters, str):
        raise ArgumentError(f"expects letters, got {letters!r}", where=f"{WHERE}: where")
    if len(letters) != pattern.rank or len(set(letters)) != len(letters):
        raise ArgumentError(
            f"expects {pattern.rank} different letters for {pattern!r}, got {letters!r}",
            where=f"{WHERE}: where",
            hint="pattern.flatten() has one letter, for its axes as one" if len(letters) == 1 else None,
        )
    for c, size in zip(letters, pattern.sizes):
        if c not in sizes:
            raise ArgumentError(f"{equation} has no letter {c!r}", where=f"{WHERE}: where")
        if size != sizes[c]:
            raise ShapeError(
                f"{c!r} has size {sizes[c]}, its pattern is for {size}",
                where=f"{WHERE}: where",
                hint="make the pattern for this size, or put it on the letter that it was made for",
            )
    return axes_of(letters, pattern.granularity)


def _require_disjoint(where: Mapping[str, Pattern]) -> None:
    if len(where) > MAX_PATTERNS:
        raise ArgumentError(f"expects at most {MAX_PATTERNS} patterns, got {len(where)}", where=f"{WHERE}: where")
    every = "".join(where)
    twice = next((c for c in every if every.count(c) > 1), None)
    if twice is not None:
        raise ArgumentError(
            f"{twice!r} has two patterns",
            where=f"{WHERE}: where",
            hint="give one pattern: of the same letters p & q, else one that has the letters of both",
        )


@functools.lru_cache(maxsize=1024)
def axes_of(letters: str, granularity: tuple[int, ...]) -> Listed:
    """Equal ones are the same object: kernels are found without comparing them."""
    return Listed(tuple(letters), granularity)


def require_signed(dtype: np.dtype, where: str) -> None:
    """Refuse unsigned integers, which kernels would read as signed ones."""
    if dtype.kind == "u":
        raise DTypeError(f"no product of {dtype}: integers are signed", where=where, hint="convert to int16 or wider")


def require_scale(scale: Any) -> None:
    """Refuse what is neither a real number nor None."""
    if not isinstance(scale, (numbers.Real, type(None))) and getattr(scale, "shape", None) != ():
        raise ArgumentError(f"expects a number, got {type(scale).__name__}", where=f"{WHERE}: scale")


def require_epilogue(
    equation: Equation,
    sizes: Mapping[str, int],
    element: str,
    bias: Any,
    activation: str | None,
    scale: Any,
) -> None:
    """Refuse what cannot follow sums of ``element``."""
    require_activation(activation, WHERE)
    if "f" not in element and not (bias is activation is scale is None):
        raise DTypeError(f"no bias, activation or scale for {element}", where=WHERE, hint="apply them to the result")
    if bias is not None:
        want = tuple([sizes[c] for c in equation.result[-1:]])
        if not want or tuple(bias.shape) != want:
            expected = want or "(n,), a result with letters"
            raise ShapeError(f"expects shape {expected}, got {tuple(bias.shape)}", where=f"{WHERE}: bias")
    require_scale(scale)


def require_out(out: Any, shape: tuple[int, ...], element: str, accumulate: bool) -> None:
    """Refuse an array for the result of another shape or type than sums of ``element`` have."""
    if out is None:
        if accumulate:
            raise ArgumentError("accumulate=True adds to out, which is missing", where=WHERE, hint="pass out=")
        return
    dtype = numpy_dtype(stored_type(element))
    if tuple(out.shape) != shape:
        raise ShapeError(f"expects shape {shape}, got {tuple(out.shape)}", where=f"{WHERE}: out")
    if out.dtype != dtype and str(out.dtype) != f"torch.{dtype}":
        raise DTypeError(f"expects {dtype}, got {out.dtype}", where=f"{WHERE}: out")
