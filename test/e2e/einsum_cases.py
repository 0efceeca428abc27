"""Einsums with patterns: a fixed set of kernels, random sizes and patterns, and what they mean in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pith
from cpu_programs import random_dense, wide
from pith.functional.einsum.equation import Equation, parse


@dataclasses.dataclass(frozen=True)
class Case:
    """A kernel: an equation, the granularity of the patterns on its letters, an element type.

    Attributes:
        transposed: operands that are stored with their dimensions in reverse order.
    """

    equation: str
    granularity: Mapping[str, tuple[int, ...]]
    element: str = "f32"
    transposed: tuple[int, ...] = ()

    def __str__(self) -> str:
        patterns = " ".join(f"{k}:{'x'.join(map(str, g))}" for k, g in self.granularity.items())
        transposed = f" transposed {self.transposed}" if self.transposed else ""
        return f"{self.equation} {patterns or 'dense'} {self.element}{transposed}"

    @property
    def parsed(self) -> Equation:
        return parse(self.equation, tuple(map(len, self.equation.split("->")[0].split(","))))

    def sizes(self, rng: np.random.Generator) -> dict[str, int]:
        """Sizes of the letters; now and then one is 0 or 1."""
        draw = rng.choice([0, 1, int(rng.integers(2, 8)), int(rng.integers(8, 45))], p=[0.04, 0.06, 0.4, 0.5], size=9)
        return {c: int(n) for c, n in zip(self.parsed.letters, draw)}

    def patterns(self, rng: np.random.Generator, sizes: Mapping[str, int], density: float) -> dict[str, pith.Pattern]:
        """Unordered patterns of a density on the case's letters."""
        out = {}
        for letters, granularity in self.granularity.items():
            axes = [sizes[c] for c in letters]
            grid = [-(-n // g) for n, g in zip(axes, granularity)]
            entries = rng.permutation(np.argwhere(rng.random(grid) < density)).astype(np.int32)
            coordinates = np.ascontiguousarray(entries[:, 0] if len(axes) == 1 else entries)
            out[letters] = pith.Pattern(tuple(axes), granularity, coordinates)
        return out

    def operands(self, rng: np.random.Generator, sizes: Mapping[str, int]) -> list[np.ndarray]:
        arrays = []
        for i, letters in enumerate(self.parsed.inputs):
            array = random_dense(rng, [sizes[c] for c in letters], self.element)
            arrays.append(np.ascontiguousarray(array.T).T if i in self.transposed else array)
        return arrays


def named(letters: str, patterns: Mapping[str, pith.Pattern], sizes: Mapping[str, int]) -> np.ndarray:
    """1 for the elements of some letters' space that any element all patterns name lies on, else 0."""
    total = np.ones([sizes[c] for c in letters], np.int64)
    for own, pattern in patterns.items():
        mask = np.zeros(pattern.sizes, np.int64)
        mask[pattern.indices()] = 1
        shared = "".join(c for c in own if c in letters)
        part = (np.einsum(f"{own}->{shared}", mask) > 0).astype(np.int64)
        total = np.einsum(f"{letters},{shared}->{letters}", total, part)
    return total


def reference(
    equation: Equation, operands: list[np.ndarray], patterns: Mapping[str, pith.Pattern], sizes: Mapping[str, int]
) -> np.ndarray:
    """The product of the operands and of every pattern's mask, in float64 or int64."""
    masks = [named(letters, {letters: p}, sizes) for letters, p in patterns.items()]
    terms = ",".join([*equation.inputs, *patterns])
    return np.einsum(f"{terms}->{equation.result}", *map(wide, operands), *masks, optimize=True)


def places(equation: Equation, patterns: Mapping[str, pith.Pattern], sizes: Mapping[str, int]) -> np.ndarray:
    """True for the places of the result that are computed."""
    outer = {k: p for k, p in patterns.items() if all(c in equation.result for c in k)}
    return named(equation.result, outer, sizes) > 0
