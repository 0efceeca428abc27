"""``SparseLinear``: ``nn.Linear`` with a weight of structured sparsity, for training and inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...errors import DTypeError
from ...formats import Format, buffer_specs
from ...formats.parse import format_name
from ...pruning import prune
from ...sparse import FormatLike, SparseTensor, as_format, compress
from ...sparse_interop import numpy_of
from ..autograd.autocast import autocast
from ..autograd.linear import sparse_linear
from ..autograd.stored import stored, stored_today, text_of
from ..stored_ops import SPARSE_LINEAR
from .arguments import dense_layer, is_traced, refuse_export, require_kind
from .read_only import ReadOnly
from .stored_state import save_kind, take_kind

#: Element types with kernels for products and their gradients.
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class SparseLinear(torch.nn.Module):
    """``y = x @ W.T + b`` where ``W`` is stored in a format.

    Shapes: x: ``(..., in_features)``; result: ``(..., out_features)``.
    Semantics: the parameter ``values`` holds what the format stores, in storage order; optimizers see nothing
        else, so the pattern stays what it was at the start. Metadata buffers are part of the ``state_dict``, and so is
        the format (``stored``): the state of a layer of another format or shape is refused.
        A fresh layer is an ``nn.Linear``'s, pruned. Kernels are compiled once per format and element
        type; neither steps nor new weights recompile. Where torch traces, the layer is an op
        (:mod:`pith.torch.stored_ops`). A frozen layer (``requires_grad_(False)``) keeps an unpacked copy of ``W`` where
        that is faster; writes to single values that torch does not count (``values.data``) may then go unseen.
    Attributes:
        values: the stored values; ``bias``: as in ``nn.Linear``, or None.
        format: how ``W`` is stored.

    Errors: :class:`pith.FormatError`; :class:`pith.ShapeError` when the format does not divide the weight;
        :class:`pith.DTypeError`.

    Example:
        >>> layer = SparseLinear("C0(2:4)", 16, 8)
        >>> layer
        SparseLinear(in_features=16, out_features=8, bias=True, format=C0(2:4), density=0.500)
        >>> layer(torch.ones(3, 16)).shape, layer.values.shape
        (torch.Size([3, 8]), torch.Size([64]))
    """

    values: torch.nn.Parameter
    bias: torch.nn.Parameter | None

    def __init__(
        self,
        fmt: FormatLike,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        dense = dense_layer("SparseLinear", in_features, out_features, bias, dtype)
        self._adopt(fmt, dense.weight, dense.bias)

    @classmethod
    def from_linear(cls, linear: torch.nn.Linear, fmt: FormatLike) -> SparseLinear:
        """The layer with the weight of ``linear``, pruned to ``fmt`` by magnitude, and its bias.

        Shapes, Errors: as the class; :class:`pith.FormatError` for NaN in the weight.

        >>> dense = torch.nn.Linear(8, 4)
        >>> sparse = SparseLinear.from_linear(dense, "C0(4:4)")
        >>> torch.equal(sparse.weight, dense.weight)
        True
        """
        require_kind(linear, torch.nn.Linear, "SparseLinear.from_linear")
        layer = cls.__new__(cls)
        torch.nn.Module.__init__(layer)
        layer._adopt(fmt, linear.weight, linear.bias)
        return layer.train(linear.training)

    def _adopt(self, fmt: FormatLike, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        if weight.dtype not in DTYPES:
            raise DTypeError(
                f"no kernels for weights of {weight.dtype}", where="SparseLinear", hint="float32, bfloat16, ..."
            )
        packed = compress(obeying(weight.detach(), fmt), fmt)
        values = torch.empty(packed.nse, dtype=weight.dtype)
        numpy_of(values)[:] = packed.values
        values = torch.nn.Parameter(values, requires_grad=weight.requires_grad)
        self._hold(
            packed, values, None if bias is None else torch.nn.Parameter(bias.detach().clone(), bias.requires_grad)
        )

    @classmethod
    def holding(cls, packed: SparseTensor, values: torch.Tensor, bias: torch.Tensor | None) -> SparseLinear:
        """The layer of a matrix, with parameters for its values and a bias that are shared.

        >>> stored = compress(torch.eye(4), "csr")
        >>> SparseLinear.holding(stored, torch.ones(4), None)(torch.ones(1, 4)).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
        """
        layer = cls.__new__(cls)
        torch.nn.Module.__init__(layer)
        layer._hold(packed, as_parameter(values), None if bias is None else as_parameter(bias))
        return layer

    def _hold(self, packed: SparseTensor, values: torch.nn.Parameter, bias: torch.nn.Parameter | None) -> None:
        self.out_features, self.in_features = packed.shape
        self.format, self._hss = packed.format, packed.hss
        for name, buffer in zip(buffer_names(self.format), packed.buffers):
            self.register_buffer(name, as_signed(buffer))
        self.values = values
        self.register_parameter("bias", bias)
        self._metadata, self._text = buffer_names(self.format), text_of(packed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        if not is_traced():
            return sparse_linear(x, self.values, stored(self._buffers_of_weight(), self._text), self.bias)
        require_kind(x, torch.Tensor, "SparseLinear: x")
        x, values, bias = autocast(x, self.values, self.bias)
        return SPARSE_LINEAR(x, values, bias, [getattr(self, name) for name in self._metadata], self._text)

    @property
    def pattern(self) -> SparseTensor:
        """``W`` on the layer's own buffers; the same object until one of them is another one (``double()``), or its
        metadata changes (``load_state_dict``).

        Ask for it again after a step: products with the object that is held may multiply by values from before. Of a
        layer on a GPU, a copy on the host.
        """
        refuse_export("SparseLinear")
        return stored_today(self._buffers_of_weight(), self._text)

    def _buffers_of_weight(self) -> list[torch.Tensor]:
        known = self._buffers  # nn.Module takes 1 us to find an attribute in it
        found = (known.get(name) for name in self._metadata)
        return [*(getattr(self, n) if t is None else t for n, t in zip(self._metadata, found)), self.values]

    @property
    def weight(self) -> torch.Tensor:
        """``W``, unpacked: a copy, which refuses changes in place (:class:`pith.UnsupportedError`), such as those of
        ``torch.nn.init``; ``values`` is what there is to initialise.
        """
        out = torch.empty(self.out_features, self.in_features, dtype=self.values.dtype)
        numpy_of(out)[:] = self.pattern.to_dense()
        hint = "initialise layer.values, in storage order; or a torch.nn.Linear, then SparseLinear.from_linear"
        return ReadOnly.of(out.to(self.values.device), "SparseLinear.weight", hint)

    def to_linear(self) -> torch.nn.Linear:
        """The dense layer that computes the same, for ``pith.compile`` and other tools that expect one."""
        linear = torch.nn.Linear(self.in_features, self.out_features, self.bias is not None, dtype=self.values.dtype)
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            if self.bias is not None:
                linear.bias.copy_(self.bias)
        return linear.train(self.training)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        save_kind(destination, prefix, self._text)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        take_kind(state_dict, prefix, self._text, args[-1])
        self._take_sizes(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
        tell_of_dense(state_dict, prefix, "values", "SparseLinear.from_linear(linear, format)", args[-1])

    def _take_sizes(self, state: Mapping[str, Any], prefix: str) -> None:
        """Make room for another pattern than the layer's own: how much CSR and its kin store is not fixed."""
        if self.format.is_static:
            return
        for name in ("values", *buffer_names(self.format)):
            mine, other = getattr(self, name), state.get(prefix + name)
            if isinstance(other, torch.Tensor) and other.dim() == 1 and other.shape != mine.shape:
                mine.data = mine.data.new_empty(other.shape)
                mine.grad = None

    def extra_repr(self) -> str:
        """What torch prints of the layer: sizes, format and density."""
        density = self.values.numel() / max(1, self.out_features * self.in_features)
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return f"{sizes}, format={self._hss or format_name(self.format)}, density={density:.3f}"


def tell_of_dense(state: Mapping[str, Any], prefix: str, values: str, maker: str, errors: list[str]) -> None:
    """Add to the errors of ``load_state_dict`` what to do with the state of a dense layer, which has no ``values``.

    As for tensors of another shape this is an error under ``strict=False`` as well: the layer would keep the weight of
    its start.
    """
    if prefix + "weight" in state and prefix + values not in state:
        errors.append(
            f'"{prefix}weight" is the weight of a dense layer: load it into a torch.nn.Linear first, then {maker} '
            "or pith.torch.sparsify_(model, ...)"
        )


def obeying(weight: torch.Tensor, fmt: FormatLike) -> torch.Tensor:
    """``weight`` pruned to formats that bound what they hold; as it is for those that hold anything."""
    return prune(weight, fmt) if any(level.kind in ("nm", "band") for level in as_format(fmt)[0].levels) else weight


def buffer_names(fmt: Format) -> list[str]:
    """Names of a layer's buffers for the metadata of a format."""
    return [f"{spec.role}_{spec.level}" for spec in buffer_specs(fmt)]


def as_parameter(tensor: torch.Tensor) -> torch.nn.Parameter:
    """The tensor itself where it is a parameter, else one on its memory."""
    return tensor if isinstance(tensor, torch.nn.Parameter) else torch.nn.Parameter(tensor, tensor.requires_grad)


def as_signed(buffer: np.ndarray) -> torch.Tensor:
    """A copy as a tensor: torch can do little with unsigned integers of 16 bits and more."""
    return torch.from_numpy(buffer.view(f"i{buffer.itemsize}").copy())
