"""Einsums with run-time patterns that torch differentiates: every gradient is an einsum with the same patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, ShapeError, UnsupportedError
from ...functional.einsum.arguments import require_mapping, require_scale
from ...functional.einsum.einsum import einsum as native_einsum
from ...functional.einsum.einsum import execute
from ...functional.einsum.equation import Equation, extents, parse
from ...patterns import Pattern
from ...runtime.arrays import as_array
from ...traceable import traceable
from ...untraced import whole_call
from .autocast import autocast
from .transforms import refuse_transforms

_WHERE = "pith.torch.einsum"

#: The activations of :func:`pith.einsum`; all of them leave zero as it is.
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
    "silu": torch.nn.functional.silu,
}


@whole_call
def einsum(
    equation: str,
    *operands: torch.Tensor,
    where: Mapping[str, Pattern] | None = None,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """:func:`pith.einsum` on torch tensors, with gradients.

    Shapes, Semantics: as :func:`pith.einsum`. Patterns are constants. The gradient of an operand is an einsum over
        the same iteration space, so with the same patterns: that of a matrix with a pattern is the product of
        the other two where the pattern lists (a sampled product) and zero elsewhere, that of what is gathered is
        a scatter with addition. Gradients can be differentiated again. When no gradient is wanted, scale, bias and
        activation are computed inside the kernel. In a ``torch.autocast`` region everything is computed in its type.
    Errors: as :func:`pith.einsum`; :class:`pith.ArgumentError` for operands that are no tensors;
        :class:`pith.UnsupportedError` for a gradient of an operand with a letter twice.

    Example:
        >>> import pith
        >>> x, w = torch.ones(2, 3), torch.ones(3, 2, requires_grad=True)
        >>> kept = pith.Pattern.from_mask(torch.tensor([[True, False], [False, False], [False, True]]))
        >>> y = einsum("mk,kn->mn", x, w, where={"kn": kept})
        >>> y.sum().backward()
        >>> y, w.grad
        (tensor([[1., 1.],
                [1., 1.]], grad_fn=<_EinsumBackward>), tensor([[2., 0.],
                [0., 0.],
                [0., 2.]]))
    """
    tensors = [*operands, *([] if bias is None else [bias])]
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, torch.Tensor):
            name = f"operand {i}" if i < len(operands) else "bias"
            raise ArgumentError(
                f"expects a tensor, got {type(tensor).__name__}", where=f"{_WHERE}: {name}", hint="torch.from_numpy(x)"
            )
    converted = autocast(*operands, bias)
    operands, bias = converted[:-1], converted[-1]
    if not torch.is_grad_enabled() or not any(t.requires_grad for t in tensors):
        options = {"bias": bias, "activation": activation, "scale": scale}
        return native_einsum(equation, *operands, where=where, **options)
    if activation is not None and activation not in _ACTIVATIONS:
        raise ArgumentError(
            f"unknown activation {activation!r}", where=_WHERE, hint="one of " + ", ".join(_ACTIVATIONS)
        )
    parsed = parse(equation, tuple(t.dim() for t in operands), _WHERE)
    _require_differentiable(parsed, operands)
    sizes = extents(parsed, [t.shape for t in operands], _WHERE)
    patterns = dict(require_mapping(where))
    require_scale(scale)
    result = _apply(parsed, patterns, sizes, *operands)
    if scale is not None:
        result = result * scale
    if bias is not None:
        result = result + _placed(bias, parsed, patterns, sizes)
    return result if activation is None else _ACTIVATIONS[activation](result)


def _require_differentiable(equation: Equation, operands: tuple[torch.Tensor, ...]) -> None:
    for i, (letters, tensor) in enumerate(zip(equation.inputs, operands)):
        if tensor.requires_grad and len(set(letters)) != len(letters):
            raise UnsupportedError(
                f"no gradient of an operand with a letter twice: {letters!r}",
                where=f"{_WHERE}: operand {i}",
                hint="take its diagonal first: x.diagonal()",
            )


def _placed(
    bias: torch.Tensor, equation: Equation, patterns: Mapping[str, Pattern], sizes: Mapping[str, int]
) -> torch.Tensor:
    """The bias where the result is computed, zero elsewhere."""
    last = equation.result[-1:]
    if not last or tuple(bias.shape) != (sizes[last],):
        raise ShapeError(f"expects shape ({sizes.get(last, 'n')},), got {tuple(bias.shape)}", where=f"{_WHERE}: bias")
    outer = {k: p for k, p in patterns.items() if all(c in equation.result for c in k)}
    return _apply(Equation((last,), equation.result), outer, sizes, bias) if outer else bias


def _apply(
    equation: Equation, patterns: Mapping[str, Pattern], sizes: Mapping[str, int], *operands: torch.Tensor
) -> torch.Tensor:
    named = "".join(equation.inputs)
    others = {c: size for c, size in sizes.items() if c not in named}
    return einsum_terms(equation.inputs, equation.result, patterns, others, *operands)


@traceable
def einsum_terms(
    inputs: tuple[str, ...],
    result: str,
    patterns: Mapping[str, Pattern],
    sizes: Mapping[str, int],
    *operands: torch.Tensor,
) -> torch.Tensor:
    """The sum of products of an equation, with gradients; ``sizes``: of letters that no operand has.

    >>> einsum_terms(("k",), "mk", {}, {"m": 2}, torch.ones(1)).shape
    torch.Size([2, 1])
    """
    refuse_transforms(_WHERE)
    equation = Equation(tuple(inputs), result)
    known = {**sizes, **extents(equation, [t.shape for t in operands], _WHERE)}
    return cast(torch.Tensor, _Einsum.apply(equation, patterns, known, *operands))


def gradient_of(
    i: int,
    inputs: Sequence[str],
    result: str,
    patterns: Mapping[str, Pattern],
    sizes: Mapping[str, int],
    operands: Sequence[torch.Tensor],
    grad: torch.Tensor,
) -> torch.Tensor:
    """The gradient of operand ``i`` of :func:`einsum_terms`: an einsum with the same patterns.

    >>> gradient_of(0, ("k",), "", {}, {"k": 3}, [torch.ones(3)], torch.tensor(2.0))
    tensor([2., 2., 2.])
    """
    others = [j for j in range(len(inputs)) if j != i]
    known = {**sizes, **dict(zip(inputs[i], operands[i].shape))}
    equation = Equation((result, *(inputs[j] for j in others)), inputs[i])
    return _apply(equation, patterns, known, grad, *(operands[j] for j in others))


class _Einsum(torch.autograd.Function):
    """A sum of products, linear in each operand."""

    @staticmethod
    def forward(
        ctx: Any,
        equation: Equation,
        patterns: Mapping[str, Pattern],
        sizes: Mapping[str, int],
        *operands: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(*operands)
        ctx.equation, ctx.patterns, ctx.sizes = equation, patterns, sizes
        arrays = [as_array(t.detach(), f"{_WHERE}: operand {i}") for i, t in enumerate(operands)]
        return as_torch(execute(equation, arrays, sizes, patterns))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        operands, inputs = ctx.saved_tensors, ctx.equation.inputs
        found: list[torch.Tensor | None] = []
        for i in range(len(inputs)):
            if not ctx.needs_input_grad[i + 3]:
                found.append(None)
                continue
            given = inputs, ctx.equation.result, ctx.patterns, ctx.sizes, operands
            found.append(gradient_of(i, *given, grads[0]))
        return None, None, None, *found
