"""Gradients of :func:`pith.attention`: kernels that compute the weights again."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel, compile_source
from ...formats.pack_buffers import aligned_empty
from .attention import Call
from .ir import Variant
from .visibility import Limits, scale_of, visibility


def attention_grad(
    q: Any,
    k: Any,
    v: Any,
    grad: Any,
    lse: np.ndarray,
    delta: np.ndarray,
    limits: Limits,
    *,
    scale: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of queries, keys and values.

    Shapes: q, k, v: as in :func:`pith.attention`, as many heads of keys as of queries; grad: of the result; lse and
        delta: ``(..., H, Q)`` or, packed, ``(T, H)``.
    Semantics: delta is the sum over features of result times gradient, less the gradient of lse. Operands are
        taken to be finite.
    """
    call = Call.of(q, k, v, packed=limits.lengths is not None)
    grad = Call.of(grad, grad, grad, call.packed).query
    numbers = [call.lse_view(x) for x in (lse, delta)]
    scale = scale_of(scale, call.depth)
    results = [aligned_empty(math.prod(x.shape), call.query.dtype).reshape(tuple(x.shape)) for x in (q, k, v)]
    dq, dk, dv = (call.view(r) for r in results)
    for by_key in (False, True):
        seen = visibility(call.sizes, call.packed, limits, by_key)
        coordinates = None if seen.pattern is None else seen.pattern.coordinates
        kernel = _kernel(call.variant(False, seen), by_key)
        sides = ((call.query, grad), (call.key, call.value))
        (own, own_pair), (other, other_pair) = sides[::-1] if by_key else sides
        optional = (dv if by_key else None, coordinates, seen.tokens, seen.reach)
        arrays = (own, own_pair, other, other_pair, *numbers, scale, dk if by_key else dq, seen.intervals)
        kernel.native(*arrays, *(a for a in optional if a is not None))
    return results[0], results[1], results[2]


@functools.cache
def _kernel(variant: Variant, of_keys: bool) -> Kernel:
    return compile_source(variant.grad_source(of_keys), "attention_grad")
