"""``QuantizedLinear``: ``nn.Linear`` with a weight of small integers, for inference."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ...errors import DTypeError
from ...formats import buffer_specs
from ...formats.pack_buffers import metadata_dtype
from ...formats.parse import format_name
from ...quantization import Quantized, QuantizedTensor
from ...sparse import SparseTensor
from .sparse_linear import as_signed, as_stored, buffer_names, obeying

#: Buffers of the layer behind the metadata of its format.
_VALUES = ("integers", "scales", "zero_points")


class QuantizedLinear(torch.nn.Module):
    """``y = x @ W.T + b`` where ``W`` is stored as small integers, dense or in a sparse format.

    Shapes: x: ``(..., in_features)`` of f32; result: ``(..., out_features)``.
    Semantics: :func:`pith.linear` with the :class:`pith.QuantizedTensor` ``weight``. Integers, scales, zero points and
        the format's metadata are buffers, so part of the ``state_dict``; there are no gradients, and a step of
        ``torch.compile`` ends here. A module with such layers compiles: :func:`pith.compile` takes them as they are.
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

    @torch.compiler.disable
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        return self.weight.linear(x.detach(), self.bias)

    @property
    def weight(self) -> QuantizedTensor:
        """``W`` on the layer's own buffers; checked when they have changed (``load_state_dict``)."""
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

    def extra_repr(self) -> str:
        """What torch prints of the layer: sizes, integers and format."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        scales = "a scale per row" if self.scheme.group is None else f"groups of {self.scheme.group}"
        return f"{sizes}, i{self.scheme.bits}, {scales}, {self._like.hss or format_name(self._like.format)}"

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles make their own view of their own buffers."""
        return {**self.__dict__, "_weight": None}
