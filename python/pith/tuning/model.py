"""Predicted times: non-negative sums of features, fitted to measured times."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

#: A feature that stands for several.
_CORE = "core"

#: Gauss-Newton steps from the fit of relative errors to that of logarithms; 3 change nothing more.
_STEPS = 8


@dataclasses.dataclass(frozen=True)
class Model:
    """Seconds per unit of each feature.

    Attributes:
        coefficients: feature -> seconds per unit, none negative.

    Example:
        >>> model = Model({"call": 1e-6, "flops": 1e-11})
        >>> model.predict({"call": 1, "flops": 1e6, "ignored": 3.0})
        1.1e-05
    """

    coefficients: Mapping[str, float]

    def predict(self, features: Mapping[str, float]) -> float:
        """Seconds."""
        return sum(c * features.get(name, 0.0) for name, c in self.coefficients.items())

    def shares(self, features: Mapping[str, float]) -> dict[str, float]:
        """Feature -> its share of the predicted time, largest first, those without any left out."""
        parts = {name: c * features.get(name, 0.0) for name, c in self.coefficients.items()}
        total = sum(parts.values())
        ordered = sorted(parts.items(), key=lambda item: -item[1])
        return {name: part / total for name, part in ordered if part > 0}


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How far predictions are from measured times.

    Attributes:
        median, p90: of |predicted / measured - 1|.
        samples: how many were compared.
    """

    median: float
    p90: float
    samples: int

    @classmethod
    def of(cls, model: Model, features: Sequence[Mapping[str, float]], seconds: Sequence[float]) -> Accuracy:
        """Of a model on measured times; there must be at least one."""
        errors = [abs(model.predict(f) / t - 1) for f, t in zip(features, seconds)]
        return cls(float(np.median(errors)), float(np.quantile(errors, 0.9)), len(errors))


def fit(features: Sequence[Mapping[str, float]], seconds: Sequence[float]) -> Model:
    """The model with the least squared error of log(predicted / measured).

    Semantics: coefficients are not negative, so predictions grow with every feature; features that
        explain nothing get none. Logarithms weigh twice as fast like half as fast, and a microsecond
        like a second.
    Source: non-negative least squares: Lawson and Hanson, Solving Least Squares Problems, 1974.

    Example:
        >>> samples = [{"call": 1.0, "flops": float(n)} for n in (1, 10, 100, 1000)]
        >>> model = fit(samples, [2e-6 + 3e-9 * s["flops"] for s in samples])
        >>> round(model.coefficients["call"] * 1e6, 6), round(model.coefficients["flops"] * 1e9, 6)
        (2.0, 3.0)
    """
    names = list(dict.fromkeys(name for f in features for name in f))
    matrix = np.array([[f.get(name, 0.0) for name in names] for f in features], np.float64)
    times = np.asarray(seconds, np.float64)
    scale = np.maximum(matrix.max(axis=0), 1e-300)
    scaled = matrix / scale
    solution = nonnegative_least_squares(scaled / times[:, None], np.ones(len(times)))
    best, least = solution, math.inf
    for _ in range(_STEPS):
        predicted = np.maximum(scaled @ solution, times * 1e-3)
        error = float(np.square(np.log(predicted / times)).sum())
        if error < least:
            best, least = solution, error
        # log p(c) at c0 is log p0 + (X c - p0) / p0: the next least-squares problem.
        solution = nonnegative_least_squares(scaled / predicted[:, None], 1 + np.log(times / predicted))
    return Model({name: float(c / s) for name, c, s in zip(names, best, scale) if c > 0})


def fit_beside(
    alone: Model, apart: Collection[str], features: Sequence[Mapping[str, float]], seconds: Sequence[float]
) -> Model:
    """The model with the least error whose coefficients are a multiple of those of another, but for some features.

    Args:
        alone: the other model.
        apart: features that have coefficients of their own.

    Example:
        >>> alone = Model({"call": 1e-6, "multiply": 1e-9, "load": 3e-9})
        >>> samples = [{"call": 1.0, "multiply": n, "load": n} for n in (1e3, 1e4, 1e5)]
        >>> found = fit_beside(alone, ["call"], samples, [2e-6 + 6e-9 * s["load"] for s in samples])
        >>> {name: float(f"{c:.4g}") for name, c in found.coefficients.items()}
        {'call': 2e-06, 'multiply': 1.5e-09, 'load': 4.5e-09}
    """
    core = Model({name: c for name, c in alone.coefficients.items() if name not in apart})
    parts = [{**{n: v for n, v in f.items() if n in apart}, _CORE: core.predict(f)} for f in features]
    found = dict(fit(parts, seconds).coefficients)
    times = found.pop(_CORE, 0.0)
    return Model({**found, **{name: times * c for name, c in core.coefficients.items() if times}})


def nonnegative_least_squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The x >= 0 that minimises ||a x - b||, by active sets.

    >>> nonnegative_least_squares(np.eye(2), np.array([2.0, -1.0]))
    array([2., 0.])
    """
    free = np.zeros(a.shape[1], bool)
    x = np.zeros(a.shape[1])
    tolerance = 1e-10 * max(1.0, float(np.abs(a.T @ b).max(initial=0.0)))
    for _ in range(3 * a.shape[1]):
        gradient = a.T @ (b - a @ x)
        gradient[free] = -np.inf
        if free.all() or gradient.max() <= tolerance:
            break
        free[int(np.argmax(gradient))] = True
        x = _solve_free(a, b, x, free)
    return x


def _solve_free(a: np.ndarray, b: np.ndarray, x: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Least squares over the free variables; those that would turn negative are fixed at zero (``free`` changes)."""
    while free.any():
        candidate = np.zeros_like(x)
        candidate[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
        negative = free & (candidate <= 0)
        if not negative.any():
            return candidate
        step = np.min(x[negative] / np.maximum(x[negative] - candidate[negative], 1e-300))
        x = x + step * (candidate - x)
        free &= x > 1e-15
    return np.zeros_like(x)
