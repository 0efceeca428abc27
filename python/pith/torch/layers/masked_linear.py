"""``MaskedLinear``: a linear layer whose mask may change every step; both passes compute what the mask keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from ...errors import ArgumentError, DTypeError, ShapeError
from ...formats import Format
from ...patterns import Pattern
from ...patterns.check import granularity_of, grid_of
from ..autograd.autocast import autocast
from ..autograd.masked import mask_of, masked_linear, pattern_of, remember
from ..pattern_ops import MASKED_LINEAR
from .arguments import dense_layer, is_traced, require_kind
from .sparse_linear import DTYPES, as_parameter

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
        same but for infinities and NaN of ``x``, which then also meet the zeros. Where torch traces, the layer is an op
        (:mod:`pith.torch.pattern_ops`): one graph serves all patterns of a granularity. :func:`pith.compile` stores the
        weight in blocks, or dense where that is predicted to be faster.
    Attributes:
        weight, bias: as in ``torch.nn.Linear``.
        pattern: what is kept; assign another :class:`pith.Pattern` at any time, also between forward and backward
            of other steps.
        granularity: micro-tiles of :meth:`strongest`, and of the pattern a new layer has, which keeps everything;
            one number is for both axes.
        kept: the pattern as a Boolean per micro-tile, a buffer.
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
    kept: torch.Tensor

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

    @classmethod
    def holding(
        cls, weight: Any, bias: Any, kept: torch.Tensor, granularity: Sequence[int], dense_above: float
    ) -> MaskedLinear:
        """The layer of a weight and a bias, which are shared, that keeps micro-tiles as Booleans say."""
        linear = torch.nn.Linear(*weight.shape[::-1], bias=False, device="meta")
        linear.weight = as_parameter(weight)
        linear.register_parameter("bias", None if bias is None else as_parameter(bias))
        layer = cls.from_linear(linear, granularity)
        layer.kept, layer.dense_above = kept, dense_above
        return layer

    def _adopt(self, linear: torch.nn.Linear, granularity: int | Sequence[int]) -> None:
        if linear.weight.dtype not in DTYPES:
            raise DTypeError(f"no kernels for weights of {linear.weight.dtype}", where="MaskedLinear")
        self.out_features, self.in_features = linear.weight.shape
        self.weight = cast(torch.nn.Parameter, linear.weight)
        self.register_parameter("bias", linear.bias)
        self.granularity = self._extents = granularity_of(granularity, 2)
        device = "cpu" if linear.weight.is_meta else linear.weight.device
        kept = torch.ones(grid_of(tuple(linear.weight.shape), self.granularity), dtype=torch.bool, device=device)
        self.register_buffer("kept", kept, persistent=False)  # of the state_dict it is a part that may be missing
        elements = math.prod(self.granularity)
        self.dense_above = next(limit for least, limit in reversed(DENSE_ABOVE) if elements >= least)

    @property
    def pattern(self) -> Pattern:
        """What is kept."""
        return pattern_of(self.kept, self.weight.shape, self._extents)

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
        self.kept, self._extents = torch.from_numpy(pattern.mask()).to(self.kept.device), pattern.granularity
        remember(self.kept, pattern)

    @property
    def mask(self) -> torch.Tensor:
        """The pattern as a Boolean tensor of the shape of the weight."""
        return mask_of(self.kept, self.weight.shape, self._extents)

    @property
    def format(self) -> Format | None:
        """How a program stores what is kept: in blocks, or elements where blocks do not fit the weight; None: dense."""
        if self.pattern.density > self.dense_above:
            return None
        rows, columns = self._extents
        fits = rows * columns > 1 and not self.weight.shape[0] % rows and not self.weight.shape[1] % columns
        return Format.bsr(rows, columns) if fits else Format.csr()

    def strongest(self, density: float, scores: torch.Tensor | None = None) -> Pattern:
        """The pattern of a share of the micro-tiles, those with the largest sums of squares, rounded to the
        nearest number of them: of few, a small share is none.

        Args:
            scores: taken instead of the weight (gradients, to grow; moving averages). NaN is larger than all numbers.
        Errors: :class:`pith.ArgumentError` for a density outside of [0, 1]; :class:`pith.ShapeError`.
        """
        if not 0 <= density <= 1:
            raise ArgumentError(f"expects a density in [0, 1], got {density}", where="MaskedLinear.strongest")
        if scores is not None:
            require_kind(scores, torch.Tensor, "MaskedLinear.strongest: scores", "torch.from_numpy(scores)")
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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        require_kind(x, torch.Tensor, "MaskedLinear: x")
        mask = self.kept, self._extents, self.dense_above
        if not is_traced():
            return masked_linear(x, self.weight, self.bias, *mask)
        return MASKED_LINEAR(*autocast(x, self.weight, self.bias), *mask)

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
        destination[prefix + "kept"] = self.kept.detach()
        destination[prefix + "granularity"] = torch.tensor(self._extents)

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
        return f"{sizes}, granularity={self.granularity}, density={self.pattern.density:.3f}"


def _summed(values: torch.Tensor, granularity: Sequence[int]) -> torch.Tensor:
    """Sums over micro-tiles; the last of an axis may be partial."""
    if not values.numel():
        return values.new_zeros([-(-n // g) for n, g in zip(values.shape, granularity)])
    extent: Any = tuple(granularity)
    return torch.nn.functional.avg_pool2d(values[None, None], extent, ceil_mode=True, divisor_override=1)[0, 0]
