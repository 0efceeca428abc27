"""The gradients of traceable functions that have one, each for the tensors of a call that are asked for.

A rule gets the arguments of the function, its results, gradients of these and the identities of the tensors that want
one, and gives pairs of such a tensor and its gradient. The products are those of eager mode (:mod:`.autograd`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch

from .autograd.attention import gradients as attention_gradients
from .autograd.einsum import gradient_of
from .autograd.linear import gradients as linear_gradients
from .layers.routed import pattern_of

Tensors = Sequence[torch.Tensor]
Found = Iterator[tuple[torch.Tensor, torch.Tensor]]


def _einsum_terms(
    args: Sequence[Any], _: Mapping[str, Any], __: Tensors, grads: Tensors, wants: Collection[int]
) -> Found:
    inputs, result, patterns, sizes, *operands = args
    for i, operand in enumerate(operands):
        if id(operand) in wants:
            yield operand, gradient_of(i, inputs, result, patterns, sizes, operands, grads[0])


def _routed(args: Sequence[Any], _: Mapping[str, Any], __: Tensors, grads: Tensors, wants: Collection[int]) -> Found:
    rows, w, experts = args
    given = ("sf", "efh"), "sh", {"se": pattern_of(experts, len(w))}, {}, (rows, w), grads[0]
    for i, operand in enumerate((rows, w)):
        if id(operand) in wants:
            yield operand, gradient_of(i, *given)


def _attended(
    args: Sequence[Any], limits: Mapping[str, Any], results: Tensors, grads: Tensors, wants: Collection[int]
) -> Found:
    found = attention_gradients(*args, *results, *grads, **limits)
    yield from ((t, g) for t, g in zip(args, found) if id(t) in wants)


def _stored_product(
    args: Sequence[Any], _: Mapping[str, Any], __: Tensors, grads: Tensors, wants: Collection[int]
) -> Found:
    x, values, pattern, bias = args
    wanted = [t is not None and id(t) in wants for t in (x, values, bias)]
    found = linear_gradients(grads[0], x, values, pattern, wanted)
    yield from ((t, g) for t, g in zip((x, values, bias), found) if g is not None)


#: Name of a function -> its rule.
OF: dict[str, Callable[..., Found]] = {
    "einsum_terms": _einsum_terms,
    "routed": _routed,
    "attended": _attended,
    "stored_product": _stored_product,
}
