"""The parameters of a PyTorch program as its kernel takes them: dense, packed, or quantised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import ArgumentError, FormatError
from ..quantization import Quantized, QuantizedTensor
from ..sparse import compress
from ..sparse_interop import numpy_of


def stored_values(parameters: Iterable[Any]) -> dict[int, Any]:
    """Values of parameters (:class:`pith.torch.Parameter`) by position, the scales of quantised ones among them.

    Errors: :class:`pith.FormatError` for one that does not obey its format, :class:`pith.ArgumentError` for one
        that cannot be quantised.
    """
    values: dict[int, Any] = {}
    for p in parameters:
        if p.quantized is None:
            values[p.position] = packed(p.tensor, p.format, p.name)
            continue
        q = quantized(p)
        values.update(zip((p.position, *p.scales), (q, q.scales, q.zero_points)))
    return values


def packed(tensor: Any, fmt: Any, name: str) -> Any:
    """A parameter as the kernel takes it.

    Errors: :class:`pith.FormatError` when it does not obey its format.
    """
    tensor = tensor.detach()
    if fmt is None:
        return tensor.contiguous()
    try:
        return compress(tensor, fmt)
    except FormatError as e:
        raise FormatError(e.message, where=name, hint="prune it first: pith.prune(w, fmt)") from e


def quantized(p: Any) -> QuantizedTensor:
    """A parameter as small integers.

    Errors: :class:`pith.FormatError` when it does not obey its format, :class:`pith.ArgumentError` for values that
        are not finite.
    """
    if isinstance(p.quantized, QuantizedTensor):
        return p.quantized
    try:
        return p.quantized.of(p.tensor.detach())
    except FormatError as e:
        raise FormatError(e.message, where=p.name, hint="prune it first: pith.prune(w, fmt)") from e
    except ArgumentError as e:
        raise ArgumentError(e.message, where=p.name, hint=e.hint) from e


def scheme_of(said: Quantized | QuantizedTensor) -> Quantized:
    """How something is quantised, without its values."""
    return said if isinstance(said, Quantized) else Quantized(said.format, said.bits, said.group)


def quantized_note(p: Any) -> str:
    """A line on a quantised parameter for ``explain()``: how it is stored, and how far it is from the model's."""
    q = quantized(p)
    exact = numpy_of(p.tensor.detach()).astype(np.float64)
    error = np.linalg.norm(q.dequantize().to_dense() - exact) / max(np.linalg.norm(exact), np.finfo(np.float64).tiny)
    scales = "a scale per row" if q.group is None else f"groups of {q.group}"
    share = q.nbytes / max(1, p.tensor.nbytes)
    return f"{p.name}: i{q.bits}, {scales}, {share:.0%} of the bytes of f32; relative error of the weight {error:.1e}"
