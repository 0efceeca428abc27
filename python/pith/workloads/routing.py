"""Routing: which experts a token goes to, and how much each of them counts."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..compiler.kernel import Kernel, compile_source
from ..errors import ShapeError
from ..patterns import Pattern
from ..patterns.check import integer
from ..traceable import traceable
from .arguments import array_of, empty, float_element, like
from .rows_ir import softmax_source


@traceable
def route(logits: Any, k: int = 1, *, normalize: bool = True) -> tuple[Any, Any]:
    """The ``k`` experts of every token with the largest logits, and their gates.

    Shapes: logits: ``(tokens, n_experts)``; result: experts, int64, and gates, both ``(tokens, k)``, the
        largest logit first.
    Semantics: gates are the softmax of the chosen logits (they add up to 1), or with ``normalize=False`` what
        the softmax of all logits has there. Of equal logits the first experts are chosen.
    Errors: :class:`pith.ShapeError` for ``k`` below 0 or above the number of experts.
    Source: Shazeer et al., Outrageously Large Neural Networks, ICLR 2017; Fedus et al., Switch Transformers,
        JMLR 2022 (``k=1, normalize=False``).

    Example:
        >>> experts, gates = route(np.float32([[0, 5, 5], [1, 0, 2]]), k=2)
        >>> experts.tolist(), gates[0].tolist()
        ([[1, 2], [2, 0]], [0.5, 0.5])
    """
    where = "pith.route"
    scores = array_of(logits, f"{where}: logits")
    element = float_element(scores, f"{where}: logits")
    if scores.ndim != 2:
        raise ShapeError(f"expects logits of shape (tokens, n_experts), got {scores.shape}", where=where)
    chosen = Pattern.top_k(scores, k).coordinates[:, 1].reshape(scores.shape[0], integer(k, "k")).astype(np.int64)
    counted = np.take_along_axis(scores, chosen, 1) if normalize else scores
    gates = empty(counted.shape, element)
    _softmax(element).native(np.ascontiguousarray(counted), gates)
    if not normalize:
        gates = np.take_along_axis(gates, chosen, 1)
    return like(chosen, logits), like(gates, logits)


@functools.cache
def _softmax(element: str) -> Kernel:
    return compile_source(softmax_source(element), "softmax")
