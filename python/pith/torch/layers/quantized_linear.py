"""``QuantizedLinear``: ``nn.Linear`` with a weight of small integers, for inference."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import torch

from ...errors import DTypeError
from ...formats import buffer_specs
from ...formats.pack_buffers import metadata_dtype
from ...formats.parse import format_name
from ...functional.matmul.matmul import matmul
from ...quantization import Quantized, QuantizedTensor
from ...sparse import SparseTensor
from ..autograd.opaque import opaque
from .arguments import refuse_export, require_kind
from .sparse_linear import as_signed, as_stored, buffer_names, obeying, tell_of_dense

#: Buffers of the layer behind the metadata of its format.
_VALUES = ("integers", "scales", "zero_points")


def _applied(x: torch.Tensor, weight: QuantizedTensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The layer in f32, with the result in the type of ``x``."""
    y = weight.linear(x.detach().float(), None if bias is None else bias.float())
    return cast(torch.Tensor, y).to(x.dtype)


class _Frozen(torch.autograd.Function):
    """The layer, and the gradient of what goes in: its weight and bias have none."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: QuantizedTensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.weight = weight
        return _applied(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        rows = grads[0].detach().float().contiguous()
        return matmul(rows, ctx.weight.dequantize()).to(grads[0].dtype), None, None


class QuantizedLinear(torch.nn.Module):
    """``y = x @ W.T + b`` where ``W`` is stored as small integers, dense or in a sparse format.

    Shapes: x: ``(..., in_features)``; result: ``(..., out_features)``.
    Semantics: :func:`pith.linear` with the :class:`pith.QuantizedTensor` ``weight``. Integers, scales, zero points and
        the format's metadata are buffers, so part of the ``state_dict``. What goes in has a gradient, weight and
        bias have none; graphs of ``torch.compile`` end here. Products are those of f32, and results have the type of x:
        ``half()`` and its kin leave scales as they are. :func:`pith.compile` takes modules with such layers.
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
            raise DTypeError(f"quantised weights stand for float32, got {weight.dtype}", where=type(self).__name__)
        q = scheme.of(obeying(weight, scheme.format))
        self.scheme, self._like = scheme, dataclasses.replace(q)
        self.out_features, self.in_features = q.shape
        for name, buffer in zip((*buffer_names(q.format), "integers"), q.buffers):
            self.register_buffer(name, as_signed(buffer))
        self.register_buffer("scales", torch.from_numpy(q.scales))
        self.register_buffer("zero_points", None if q.zero_points is None else torch.from_numpy(q.zero_points))
        bias = None if linear.bias is None else torch.nn.Parameter(linear.bias.detach().clone(), requires_grad=False)
        self.register_parameter("bias", bias)
        self._weight: tuple[Any, QuantizedTensor] | None = None
        self.train(linear.training)

    @opaque
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        require_kind(x, torch.Tensor, "QuantizedLinear: x")
        if torch.is_grad_enabled() and x.requires_grad:
            return cast(torch.Tensor, _Frozen.apply(x, self.weight, self.bias))
        return _applied(x, self.weight, self.bias)

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
        names = buffer_names(self._like.format)
        stored = {n: b for n in (*names, *_VALUES) if (b := getattr(self, n)) is not None}
        state = [(b.data_ptr(), 0 if b.is_inference() else b._version) for b in stored.values()]
        if self._weight is None or self._weight[0] != state:
            types = {n: metadata_dtype(s.bits) for n, s in zip(names, buffer_specs(self._like.format))}
            arrays = {n: as_stored(b, types.get(n)) for n, b in stored.items()}
            q = dataclasses.replace(
                self._like,
                buffers=(*(arrays[n] for n in names), arrays["integers"]),
                scales=arrays["scales"],
                zero_points=arrays.get("zero_points"),
            )
            SparseTensor(q.shape, q.format, (*q.buffers[:-1], q.integers), q.hss).validate()
            self._weight = (state, q)
        return self._weight[1]

    def to_linear(self) -> torch.nn.Linear:
        """The dense layer with the weight as :meth:`pith.QuantizedTensor.dequantize` gives it."""
        linear = torch.nn.Linear(self.in_features, self.out_features, self.bias is not None)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(self.weight.dequantize().to_dense()))
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear.train(self.training)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        tell_of_dense(state_dict, prefix, "integers", "QuantizedLinear(linear, scheme)", args[-1])

    def extra_repr(self) -> str:
        """What torch prints of the layer: sizes, integers and format."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        scales = "a scale per row" if self.scheme.group is None else f"groups of {self.scheme.group}"
        return f"{sizes}, i{self.scheme.bits}, {scales}, {self._like.hss or format_name(self._like.format)}"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles make their own view of their own buffers."""
        return {**self.__dict__, "_weight": None}
