"""Sizes known when a program is called: expressions of the shapes and numbers it is given."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import Any

#: What a launcher knows of one operand: the shape of an array, or the value of a number.
Fact = Sequence[int] | int


def _ceildiv(a: int, b: int) -> int:
    return -(-a // b)


_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "ceildiv": _ceildiv,
    "mod": operator.mod,
    "min": min,
    "max": max,
}
_SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%"}


@dataclasses.dataclass(frozen=True)
class Size:
    """A non-negative number that follows from the operands of a program.

    Attributes:
        op: ``const`` (of its value), ``dim`` (of an operand's number and a dimension), ``scalar`` (of the number
            of an operand that is a number), or an operation on two sizes: ``add``, ``sub``, ``mul``, ``floordiv``,
            ``ceildiv``, ``mod``, ``min``, ``max``.
        args: what the op is of.

    Example:
        >>> blocks = ceildiv(dim(2, 0), const(64))
        >>> str(blocks), blocks.evaluate([(), (), (100, 8)])
        ('ceildiv(arg2.dim0, 64)', 2)
        >>> Size.from_json(blocks.to_json()) == blocks
        True
    """

    op: str
    args: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.op not in ("const", "dim", "scalar", *_BINARY):
            raise ValueError(f"unknown size {self.op!r}")

    def evaluate(self, facts: Sequence[Fact]) -> int:
        """The value for operands with these ``facts``: a shape for each array, the value of each number."""
        if self.op == "const":
            return self.args[0]
        if self.op == "dim":
            return facts[self.args[0]][self.args[1]]  # type: ignore[index]
        if self.op == "scalar":
            return int(facts[self.args[0]])  # type: ignore[arg-type]
        a, b = self.args
        return _BINARY[self.op](a.evaluate(facts), b.evaluate(facts))

    @property
    def constant(self) -> int | None:
        """The value when it depends on nothing, else None."""
        return self.args[0] if self.op == "const" else None

    def __str__(self) -> str:
        if self.op == "const":
            return str(self.args[0])
        if self.op == "dim":
            return f"arg{self.args[0]}.dim{self.args[1]}"
        if self.op == "scalar":
            return f"arg{self.args[0]}"
        a, b = self.args
        if self.op in _SYMBOLS:
            return f"({a} {_SYMBOLS[self.op]} {b})"
        inner = ", ".join(_bare(x) for x in (a, b))
        return f"{self.op}({inner})"

    def to_json(self) -> list[Any]:
        """Nested lists; :meth:`from_json` is the inverse."""
        return [self.op, *(a.to_json() if isinstance(a, Size) else a for a in self.args)]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Size:
        """Rebuild a size from :meth:`to_json`.

        Errors: ``ValueError`` for what is none.
        """
        op, *args = data
        return cls(op, tuple(cls.from_json(a) if isinstance(a, list | tuple) else int(a) for a in args))


def const(value: int) -> Size:
    """A size that is always ``value``."""
    return Size("const", (value,))


def dim(operand: int, dimension: int) -> Size:
    """The extent of a dimension of an operand."""
    return Size("dim", (operand, dimension))


def scalar(operand: int) -> Size:
    """The value of an operand that is a number."""
    return Size("scalar", (operand,))


def binary(op: str, a: Size, b: Size) -> Size:
    """``op`` of two sizes, computed now when both are constants."""
    if a.constant is not None and b.constant is not None:
        return const(_BINARY[op](a.constant, b.constant))
    return Size(op, (a, b))


def ceildiv(a: Size, b: Size) -> Size:
    """``a / b``, rounded up."""
    return binary("ceildiv", a, b)


def _bare(size: Size) -> str:
    text = str(size)
    return text[1:-1] if size.op in _SYMBOLS else text
