"""``QuantizedLinear``: ``nn.Linear`` with a weight of small integers, for inference."""

from __future__ import annotations

from typing import Any, cast

import torch

from ...errors import DTypeError
from ...formats.parse import format_name
from ...quantization import Quantized, QuantizedTensor
from ..autograd.first_order import first_order
from ..autograd.quantized import input_gradient, quantized_product
from ..autograd.stored import stored, text_of
from ..autograd.transforms import refuse_transforms
from ..stored_ops import QUANTIZED_LINEAR
from .arguments import is_traced, refuse_export, require_kind
from .sparse_linear import as_signed, buffer_names, obeying, tell_of_dense
from .stored_state import save_kind, take_kind

#: Buffers of the layer behind the metadata of its format.
_VALUES = ("integers", "scales", "zero_points")


class _Frozen(torch.autograd.Function):
    """The layer, and the gradient of what goes in: its weight and bias have none."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: QuantizedTensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.weight = weight
        return quantized_product(x, weight, bias)

    @staticmethod
    @first_order("pith.torch.QuantizedLinear")
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return input_gradient(grads[0], ctx.weight), None, None


class QuantizedLinear(torch.nn.Module):
    """``y = x @ W.T + b`` where ``W`` is stored as small integers, dense or in a sparse format.

    Shapes: x: ``(..., in_features)``; result: ``(..., out_features)``.
    Semantics: :func:`pith.linear` with the :class:`pith.QuantizedTensor` ``weight``. Integers, scales, zero points and
        the format's metadata are buffers, so part of the ``state_dict``, and so is how they are stored (``stored``): a
        state of another format, or of other integers, is refused. What goes in has a gradient, weight and bias have
        none. Products are those of f32, and results have the type of x: ``half()`` and its kin leave scales as they
        are. Where torch traces, the layer is an op (:mod:`pith.torch.stored_ops`). :func:`pith.compile` takes modules
        with such layers.
    Attributes:
        scheme: how ``W`` is stored; ``bias``: as in ``nn.Linear``, or None.

    Errors: those of :func:`pith.quantize`; :class:`pith.DTypeError` for weights of another type than f32.

    Example:
        >>> layer = QuantizedLinear(torch.nn.Linear(64, 8), Quantized(bits=4, group=32))
        >>> layer
        QuantizedLinear(in_features=64, out_features=8, bias=True, i4, groups of 32, dense)
        >>> layer(torch.ones(3, 64)).shape, layer.weight.nbytes
        (torch.Size([3, 8]), 336)
    """

    bias: torch.nn.Parameter | None

    def __init__(self, linear: torch.nn.Linear, scheme: Quantized):
        """Quantise the weight of ``linear``, pruned by magnitude where the format asks for it."""
        super().__init__()
        require_kind(linear, torch.nn.Linear, "QuantizedLinear: linear")
        require_kind(scheme, Quantized, "QuantizedLinear: scheme")
        weight = linear.weight.detach()
        if weight.dtype != torch.float32:
            raise DTypeError(
                f"quantised weights stand for float32, got {weight.dtype}",
                where=type(self).__name__,
                hint="linear.float(); the layer itself takes other floats: layer.to(dtype)",
            )
        bias = None if linear.bias is None else torch.nn.Parameter(linear.bias.detach().clone(), requires_grad=False)
        self._hold(scheme.of(obeying(weight, scheme.format)), scheme, bias)
        self.train(linear.training)

    @classmethod
    def holding(cls, q: QuantizedTensor, bias: torch.Tensor | None) -> QuantizedLinear:
        """The layer of a quantised matrix, with a bias that is shared.

        >>> q = Quantized().of(torch.ones(8, 64))
        >>> QuantizedLinear.holding(q, None)
        QuantizedLinear(in_features=64, out_features=8, bias=False, i8, a scale per row, dense)
        """
        layer = cls.__new__(cls)
        torch.nn.Module.__init__(layer)
        scheme = Quantized(q.hss or q.format, q.bits, q.group)
        layer._hold(q, scheme, None if bias is None else torch.nn.Parameter(bias.detach(), requires_grad=False))
        return layer

    def _hold(self, q: QuantizedTensor, scheme: Quantized, bias: torch.nn.Parameter | None) -> None:
        self.scheme, self._notation = scheme, str(q.hss or format_name(q.format))
        self.out_features, self.in_features = q.shape
        for name, buffer in zip((*buffer_names(q.format), "integers"), q.buffers):
            self.register_buffer(name, as_signed(buffer))
        self.register_buffer("scales", torch.from_numpy(q.scales))
        self.register_buffer("zero_points", None if q.zero_points is None else torch.from_numpy(q.zero_points))
        self.register_parameter("bias", bias)
        self._text = text_of(q)
        self._names = [*buffer_names(q.format), *_VALUES[: 2 if q.zero_points is None else 3]]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        require_kind(x, torch.Tensor, "QuantizedLinear: x")
        if is_traced():
            return QUANTIZED_LINEAR(x, self.bias, self._buffers_of_weight(), self._text)
        refuse_transforms("pith.torch.QuantizedLinear")
        if torch.is_grad_enabled() and x.requires_grad:
            return cast(torch.Tensor, _Frozen.apply(x, self.weight, self.bias))
        return quantized_product(x, self.weight, self.bias)

    def _apply(self, fn: Any, recurse: bool = True) -> QuantizedLinear:
        """``half()`` and its kin leave scales in f32, like integers: they convert what goes through the layer."""
        scales = self.scales
        super()._apply(fn, recurse)
        if self.scales.dtype != scales.dtype:
            self.scales = scales.to(self.scales.device)
        return self

    @property
    def weight(self) -> QuantizedTensor:
        """``W`` on the layer's own buffers; checked when they have changed (``load_state_dict``)."""
        refuse_export("QuantizedLinear")
        return stored(self._buffers_of_weight(), self._text)

    def _buffers_of_weight(self) -> list[torch.Tensor]:
        return [getattr(self, name) for name in self._names]

    def to_linear(self) -> torch.nn.Linear:
        """The dense layer with the weight as :meth:`pith.QuantizedTensor.dequantize` gives it."""
        linear = torch.nn.Linear(self.in_features, self.out_features, self.bias is not None)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(self.weight.dequantize().to_dense()))
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear.train(self.training)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        save_kind(destination, prefix, self._text)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        take_kind(state_dict, prefix, self._text, args[-1])
        super()._load_from_state_dict(state_dict, prefix, *args)
        tell_of_dense(state_dict, prefix, "integers", "QuantizedLinear(linear, scheme)", args[-1])

    def extra_repr(self) -> str:
        """What torch prints of the layer: sizes, integers and format."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        scales = "a scale per row" if self.scheme.group is None else f"groups of {self.scheme.group}"
        return f"{sizes}, i{self.scheme.bits}, {scales}, {self._notation}"
