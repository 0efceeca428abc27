"""``MaskedLinear``: a linear layer whose mask may change every step; both passes compute what the mask keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from ...errors import ArgumentError, DTypeError, ShapeError
from ...patterns import Pattern
from ...patterns.check import granularity_of, grid_of
from ..autograd.einsum import einsum
from ..autograd.opaque import opaque
from .arguments import dense_layer, require_kind
from .sparse_linear import DTYPES

#: Elements of a micro-tile, and the density above which a step is faster on ``W * mask``, dense: where lines through
#: the times of steps at 10 and 50 % (f32, 512 x 768 x 3072, one thread, Zen 3) reach that of dense torch. A line is
#: for micro-tiles of as many elements or more.
DENSE_ABOVE = ((1, 0.25), (8, 0.45), (1024, 0.75))


class MaskedLinear(torch.nn.Module):
    """``y = x @ (W * mask).T + b`` for a dense parameter ``W`` and a mask of micro-tiles that may change every step.

    Shapes: x: ``(..., in_features)``; result: ``(..., out_features)``; pattern: axes (out, in).
    Semantics: the forward pass and both gradients are einsums with the pattern: the product with what is kept,
        the same transposed, and the gradient of the weight where the pattern lists (zero elsewhere). A
        new pattern compiles nothing. The parameter stays dense, so weights can come back: optimizers with momentum
        or weight decay also change those that are masked now. The ``state_dict`` also holds the pattern: ``kept``, a
        Boolean per micro-tile, and its ``granularity``; where these are missing, as in that of a ``torch.nn.Linear``,
        the layer keeps the pattern it has.
        Where so much is kept that a dense product is faster, torch multiplies by ``W * mask``: the results are the
        same but for infinities and NaN of ``x``, which then also meet the zeros.
    Attributes:
        weight, bias: as in ``torch.nn.Linear``.
        pattern: what is kept; assign another :class:`pith.Pattern` at any time, also between forward and backward
            of other steps.
        granularity: micro-tiles of :meth:`strongest`, and of the pattern a new layer has, which keeps everything;
            one number is for both axes.
        dense_above: density above which dense products are taken; 1.0 for never.

    Errors: :class:`pith.ShapeError` for a pattern of another size, :class:`pith.ArgumentError`,
        :class:`pith.DTypeError`; :class:`pith.FormatError` for a granularity below 1.
    Source: training with dynamic sparsity as in PIT, SOSP 2023, section 5.2.

    Example:
        >>> import pith
        >>> layer = MaskedLinear(8, 4, granularity=(2, 4))
        >>> layer.pattern = layer.strongest(0.5)
        >>> layer
        MaskedLinear(in_features=8, out_features=4, bias=True, granularity=(2, 4), density=0.500)
        >>> layer(torch.ones(3, 8)).sum().backward()
        >>> bool((layer.weight.grad != 0).sum() == 16)
        True
    """

    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        granularity: int | Sequence[int] = (32, 1),
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        dense = dense_layer("MaskedLinear", in_features, out_features, bias, dtype)
        self._adopt(dense, granularity)

    @classmethod
    def from_linear(cls, linear: torch.nn.Linear, granularity: int | Sequence[int] = (32, 1)) -> MaskedLinear:
        """The layer with the parameters of ``linear`` (shared), which keeps everything.

        >>> dense = torch.nn.Linear(8, 4)
        >>> MaskedLinear.from_linear(dense).weight is dense.weight
        True
        """
        require_kind(linear, torch.nn.Linear, "MaskedLinear.from_linear")
        layer = cls.__new__(cls)
        torch.nn.Module.__init__(layer)
        layer._adopt(linear, granularity)
        return layer.train(linear.training)

    def _adopt(self, linear: torch.nn.Linear, granularity: int | Sequence[int]) -> None:
        if linear.weight.dtype not in DTYPES:
            raise DTypeError(f"no kernels for weights of {linear.weight.dtype}", where="MaskedLinear")
        self.out_features, self.in_features = linear.weight.shape
        self.weight = cast(torch.nn.Parameter, linear.weight)
        self.register_parameter("bias", linear.bias)
        sizes = tuple(linear.weight.shape)
        self.granularity = granularity_of(granularity, 2)
        everything = np.argwhere(np.ones(grid_of(sizes, self.granularity), bool))
        self._pattern = Pattern(sizes, self.granularity, everything)
        elements = math.prod(self.granularity)
        self.dense_above = next(limit for least, limit in reversed(DENSE_ABOVE) if elements >= least)
        self._mask: tuple[Pattern, torch.Tensor] | None = None

    @property
    def pattern(self) -> Pattern:
        """What is kept."""
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: Pattern) -> None:
        if not isinstance(pattern, Pattern):
            raise ArgumentError(
                f"expects a pith.Pattern, got {type(pattern).__name__}",
                where="MaskedLinear.pattern",
                hint="pith.Pattern.from_mask(mask, granularity)",
            )
        if pattern.sizes != tuple(self.weight.shape):
            raise ShapeError(
                f"expects a pattern over {list(self.weight.shape)}, got {pattern!r}", where="MaskedLinear.pattern"
            )
        self._pattern = pattern

    @property
    def mask(self) -> torch.Tensor:
        """The pattern as a Boolean tensor of the shape of the weight."""
        if self._mask is None or self._mask[0] is not self._pattern:
            out = torch.from_numpy(self._pattern.mask())
            for axis, (extent, size) in enumerate(zip(self._pattern.granularity, self.weight.shape)):
                out = out.repeat_interleave(extent, axis).narrow(axis, 0, size) if extent > 1 else out
            self._mask = self._pattern, out
        return self._mask[1]

    def strongest(self, density: float, scores: torch.Tensor | None = None) -> Pattern:
        """The pattern of a share of the micro-tiles, those with the largest sums of squares.

        Args:
            scores: taken instead of the weight (gradients, to grow; moving averages). NaN is larger than all numbers.
        Errors: :class:`pith.ArgumentError` for a density outside of [0, 1]; :class:`pith.ShapeError`.
        """
        if not 0 <= density <= 1:
            raise ArgumentError(f"expects a density in [0, 1], got {density}", where="MaskedLinear.strongest")
        values = self.weight.detach() if scores is None else scores.detach()
        if values.shape != self.weight.shape:
            raise ShapeError(
                f"expects scores of shape {tuple(self.weight.shape)}, got {tuple(values.shape)}",
                where="MaskedLinear.strongest",
            )
        norms = _summed(values.float().square(), self.granularity)
        best = norms.reshape(-1).topk(round(density * norms.numel())).indices
        places = torch.stack([best // norms.shape[1], best % norms.shape[1]], 1).to(torch.int32)
        return Pattern.trusted(tuple(self.weight.shape), self.granularity, places.numpy())

    @opaque
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        require_kind(x, torch.Tensor, "MaskedLinear: x")
        if self._pattern.density > self.dense_above:
            return torch.nn.functional.linear(x, torch.where(self.mask, self.weight, 0), self.bias)
        return einsum("...k,nk->...n", x, self.weight, where={"nk": self._pattern}, bias=self.bias)

    def to_linear(self) -> torch.nn.Linear:
        """The dense layer that computes the same: its weight is zero where the mask is."""
        linear = torch.nn.Linear(self.in_features, self.out_features, self.bias is not None, dtype=self.weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.where(self.mask, self.weight, 0))
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear.train(self.training)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "kept"] = torch.from_numpy(self._pattern.mask())
        destination[prefix + "granularity"] = torch.tensor(self._pattern.granularity)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        kept, granularity = (state_dict.pop(prefix + name, None) for name in ("kept", "granularity"))
        super()._load_from_state_dict(state_dict, prefix, *args)
        if kept is None or granularity is None:
            return
        errors, extents, sizes = args[-1], granularity_of(granularity.tolist(), 2), tuple(self.weight.shape)
        if tuple(kept.shape) != grid_of(sizes, extents):
            errors.append(f"{prefix}kept: expects shape {grid_of(sizes, extents)}, got {tuple(kept.shape)}")
        else:
            self.pattern = Pattern(sizes, extents, np.argwhere(kept.numpy()))

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return f"{sizes}, granularity={self.granularity}, density={self._pattern.density:.3f}"


def _summed(values: torch.Tensor, granularity: Sequence[int]) -> torch.Tensor:
    """Sums over micro-tiles; the last of an axis may be partial."""
    if not values.numel():
        return values.new_zeros([-(-n // g) for n, g in zip(values.shape, granularity)])
    extent: Any = tuple(granularity)
    return torch.nn.functional.avg_pool2d(values[None, None], extent, ceil_mode=True, divisor_override=1)[0, 0]
