"""Mixtures of experts on a GPU: one program for routing, layers and the sum over a token's experts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..errors import DTypeError, ShapeError
from ..functional.linear.ir import require_activation
from ..runtime.cuda import chip_of
from .moe_device_ir import Experts

#: Element types with a kernel, by the names of torch and of NumPy.
_ELEMENTS = {
    "torch.float16": "f16",
    "torch.bfloat16": "bf16",
    "torch.float32": "f32",
    "float16": "f16",
    "float32": "f32",
}


def is_on_device(x: Any) -> bool:
    """Whether ``x`` is a torch tensor on a GPU."""
    return bool(getattr(x, "is_cuda", False))


def moe_on_device(
    x: Any,
    experts: Any,
    gates: Any,
    weights: Sequence[Any],
    biases: Sequence[Any],
    activation: str | None,
    where: str,
    target: str | None = None,
) -> Any:
    """:func:`pith.moe` for torch tensors on a GPU, or with ``target="emulate:sm_90"`` for NumPy arrays.

    Shapes, Semantics: those of :func:`pith.moe`; ``weights`` and ``biases`` (or None) per layer. Kernels are made per
        shape of the weights and experts per token; the number of tokens is an argument.
    Errors: :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.ArgumentError`. Which experts there are
        is on the device: one outside of the range gets no token, and one that a token names twice is added twice.
    """
    require_activation(activation, where)
    chosen = experts.reshape(len(experts), experts.shape[1] if len(experts.shape) == 2 else 1)
    if len(x.shape) != 2 or len(chosen) != x.shape[0]:
        raise ShapeError(
            f"expects x of shape (tokens, in) and experts per token, got {tuple(x.shape)} and {tuple(experts.shape)}",
            where=where,
        )
    element = _ELEMENTS.get(str(x.dtype))
    if element is None:
        raise DTypeError(f"expects f16, bf16 or f32, got {x.dtype}", where=where, hint="convert x and the weights")
    layers = _layers(x, weights, biases, where)
    kind = Experts(
        element, chosen.shape[1], layers, tuple(b is not None for b in biases), activation, gates is not None
    )
    extras = [part for w, b in zip(weights, biases) for part in (w, b) if part is not None]
    scales = [] if gates is None else [_like(gates, x, where).reshape(chosen.shape)]
    return _kernel(kind, target or chip_of(x))(x, _words(chosen), *scales, *(_like(e, x, where) for e in extras))


def _layers(x: Any, weights: Sequence[Any], biases: Sequence[Any], where: str) -> tuple[tuple[int, int, int], ...]:
    """(experts, in, out) of every layer."""
    rows, count = x.shape[1], weights[0].shape[0]
    out = []
    for w, bias in zip(weights, biases):
        if len(w.shape) != 3 or tuple(w.shape[:2]) != (count, rows):
            raise ShapeError(f"expects weights of shape ({count}, {rows}, out), got {tuple(w.shape)}", where=where)
        rows = w.shape[2]
        if bias is not None and tuple(bias.shape) != (count, rows):
            raise ShapeError(f"expects a bias of shape ({count}, {rows}), got {tuple(bias.shape)}", where=where)
        out.append((count, w.shape[1], rows))
    return tuple(out)


def _like(array: Any, x: Any, where: str) -> Any:
    if array.dtype != x.dtype:
        raise DTypeError(f"expects {x.dtype} everywhere, got {array.dtype}", where=where)
    return array


def _words(experts: Any) -> Any:
    """Routing indices as i32."""
    return experts.int() if hasattr(experts, "int") else experts.astype("int32")


@functools.cache
def _kernel(kind: Experts, target: str) -> Any:
    from ..compiler.compile import compile as compile_program

    return compile_program(kind.source(), target=target)
