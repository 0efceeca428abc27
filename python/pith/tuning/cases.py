"""Products to measure: random formats, shapes and element types, drawn so that a part of them is a fair sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..pruning import prune
from ..runtime import numpy_dtype
from ..sparse import as_format, compress

#: Formats of the sparse operand; those with a density hold as much, drawn anew for every case. Groups keep 12 to 75 %:
#: of fits to 25 to 50 % alone, predictions for 80 % were 6 % too short, for 20 % in panels of 128 columns 30 %.
#: CSR, which has most users, is most of what the data decide.
STATIC = (
    "dense",
    "C0(3:4)",
    "C0(2:4)",
    "C0(1:4)",
    "C0(2:8)",
    "C1(3:4)->C0(2:4)",
    "C1(2:4)->C0(2:4)",
    "C1(2:4)->C0(1:4)",
    "V(4)C1(2:4)->C0(2:4)",
    "V(8)C0(2:4)",
    "V(16)C0(2:16)",
    "V(16)C1(2:4)->C0(2:4)",
    "B(4x4)C0(1:2)",
    "B(16x16)C0(1:4)",
)
COUNTED = ("csr", "csr", "csr", "csr", "bsr(4x4)", "bsr(16x16)", "masked(4)")

#: Formats for the other element types: their kernels differ in how values are read, not in what formats cost.
FEW = ("dense", "C0(2:4)", "C1(2:4)->C0(2:4)", "B(4x4)C0(1:2)", "csr", "bsr(4x4)")

#: Sizes of the sparse operand, times 256, and columns of the dense one: few enough that compiling a kernel
#: for each class of them takes less time than measuring.
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
COLUMNS = (1, 1, 4, 8, 16, 32, 48, 64, 100, 128, 192, 256, 512)

#: Share of products so small that they take no longer than a call.
TINY = 0.08

#: Elements a pruned pattern has before it is repeated: pruning more takes longer than measuring.
_PATTERN = 1 << 18


@dataclasses.dataclass(frozen=True)
class Case:
    """One product.

    Attributes:
        format: text of the sparse operand's format.
        shape: rows and columns of the sparse operand.
        columns: of the dense operand (side ``right``: rows).
        element: element type.
        side: of the sparse operand.
        density: of the stored blocks, for formats whose number of elements the data decide.
    """

    format: str
    shape: tuple[int, int]
    columns: int
    element: str
    side: str
    density: float

    @property
    def work(self) -> int:
        """Multiply-adds of the dense product."""
        return self.shape[0] * self.shape[1] * self.columns

    def operands(self) -> tuple[Any, np.ndarray]:
        """The stored matrix and the dense operand; the same for the same case."""
        rng = np.random.default_rng(list(repr(self).encode()))
        tensor = random_stored(rng, self.shape, self.format, self.element, self.density)
        contracted = self.shape[1 if self.side == "left" else 0]
        x = (contracted, self.columns) if self.side == "left" else (self.columns, contracted)
        return tensor, random_dense(rng, x, self.element)


def random_stored(rng: np.random.Generator, shape: tuple[int, int], fmt: str, element: str, density: float) -> Any:
    """A random matrix that obeys a format: pruned to it where the format is static, else blocks of a density.

    Large matrices repeat a part of their rows.
    Errors: :class:`pith.FormatError`, :class:`pith.ShapeError` when the format does not divide the shape.
    """
    rows, columns = shape
    form = as_format(fmt)[0]
    form.check_shape(shape)
    unit = form.divisors()[0]
    part = min(rows, max(1, _PATTERN // max(1, columns) // unit) * unit)
    w = random_dense(rng, (part, columns), element)
    if form.is_static:
        w = prune(w, fmt)
    else:
        block = [1, 1]
        for expr, level in zip(form.exprs, form.levels):
            if level.is_dense:
                block[expr.dim] = max(block[expr.dim], expr.mod)
        keep = rng.random((part // block[0], columns // block[1])) < density
        w = np.where(np.kron(keep, np.ones(block, bool)), w, 0).astype(w.dtype)
    return compress(np.tile(w, (-(-rows // part), 1))[:rows], fmt)


def draw(element: str, most_work: int, seed: int = 0) -> Iterator[Case]:
    """Cases without end; one product in six has the sparse operand on the right.

    Args:
        most_work: multiply-adds of the dense product a case may have.
    """
    rng = np.random.default_rng([seed, *element.encode()])
    formats = (*STATIC, *COUNTED) if element == "f32" else FEW
    while True:
        unit, sizes = (64, (1, 2)) if rng.random() < TINY else (256, SIZES)
        rows, columns = (unit * int(rng.choice(sizes)) for _ in range(2))
        case = Case(
            formats[int(rng.integers(len(formats)))],
            (rows, columns),
            int(rng.choice(COLUMNS)),
            element,
            "right" if rng.random() < 1 / 6 else "left",
            round(2 ** rng.uniform(-6, -0.2), 4),
        )
        if case.work <= most_work:
            yield case


def random_dense(rng: np.random.Generator, shape: tuple[int, int], element: str) -> np.ndarray:
    """A random matrix: normal, or integers of few bits."""
    if element.startswith("i"):
        return rng.integers(-8, 8, shape).astype(numpy_dtype(element))
    return rng.standard_normal(shape, np.float32).astype(numpy_dtype(element))
