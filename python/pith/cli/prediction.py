"""Predicted times of products, as the commands show them."""

from __future__ import annotations

import dataclasses

from ..formats import Format
from ..tuning.problem import Problem
from ..tuning.report import seconds_text
from ..tuning.select import rank


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A predicted time."""

    seconds: float

    @property
    def text(self) -> str:
        """In a unit that suits it."""
        return seconds_text(self.seconds)


def predict(problem: Problem) -> Prediction:
    """The best of pith's kernels."""
    return Prediction(rank(problem, "sparse")[0].seconds)


def predict_dense(shape: tuple[int, ...], columns: int, element: str | None) -> Prediction | None:
    """The best of the dense products; None when there is none."""
    if element is None or len(shape) != 2:
        return None
    problem = Problem.of_format(Format.dense(), (shape[0], shape[1]), columns, element)
    return Prediction(rank(problem, "dense")[0].seconds)
