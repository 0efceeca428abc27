"""What ``pith.explain`` says of mixtures of experts and of layers with inactive neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..functional.dynamic.dynamic import dynamic
from ..functional.dynamic.report import explain_dynamic
from .arguments import float_element
from .moe import Routed
from .relu_ffn import FEW_ROWS, LIBRARY, checked, hidden_layer


def explain_grouped(x: Any, experts: Any, w: Any, gates: Any = None, **epilogue: Any) -> str:
    """What ``pith.grouped_matmul`` of these operands runs."""
    return _experts(x, experts, gates, [w])


def explain_moe(x: Any, experts: Any, w1: Any, w2: Any, gates: Any = None, **epilogue: Any) -> str:
    """What ``pith.moe`` of these operands runs."""
    return _experts(x, experts, gates, [w1, w2])


def _experts(x: Any, experts: Any, gates: Any, weights: Sequence[Any]) -> str:
    task = Routed.of(x, experts, gates, "pith.explain")
    rows, shapes = task.x, []
    for w in weights:
        shapes.append(task.weights(rows, w, "weights", None, "", None)[0].shape)
        rows = np.broadcast_to(task.x[:0, :1], (0, shapes[-1][2]))  # of the next layer only the width is looked at
    (tokens, k), count = task.experts.shape, shapes[0][0]
    loads = np.bincount(task.experts.reshape(-1), minlength=count)
    sizes = " and ".join(f"{inner}x{outer}" for _, inner, outer in shapes)
    busy = f"{loads.min()} to {loads.max()} tokens each, {loads.mean():.1f} on average, none for {np.sum(loads == 0)}"
    return "\n".join(
        [
            f"{tokens} tokens of {float_element(task.x, 'x')} through {k} of {count} experts of {sizes}",
            f"experts have {busy}",
            f"runs a dense product per expert and layer, on its tokens where they lie: {k / count:.1%} of the work of "
            "all experts on all tokens",
        ]
    )


def explain_relu_ffn(
    x: Any, w1: Any, b1: Any, w2: Any, b2: Any, *, threshold: Any = 0.0, skip: bool | None = None
) -> str:
    """What ``pith.relu_ffn`` of these operands runs; the hidden layer is computed, and looked at."""
    array, first, own, second, _, limits = checked(x, w1, b1, w2, b2, threshold)
    rows = array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
    hidden = hidden_layer(rows, first, own, limits)
    sizes = f"{first.shape[0]}x{first.shape[1]}x{second.shape[1]}"
    active = np.count_nonzero(hidden) / max(1, hidden.size)
    heading = f"{len(rows)} rows of {float_element(array, 'x')} through {sizes}, {active:.1%} of the neurons active"
    if skip is not False and len(rows) <= FEW_ROWS:
        anywhere = np.count_nonzero(hidden.any(0))
        return f"{heading}\nruns one kernel with both products: the second reads {anywhere} of {len(second)} rows of w2"
    if skip is False:
        return f"{heading}\nruns two dense products, as asked for"
    if skip or hidden.dtype not in LIBRARY:
        return f"{heading}\nruns a dense product, and one along what is active"
    return f"{heading}; the second product:\n{explain_dynamic(dynamic(hidden), second)}"
