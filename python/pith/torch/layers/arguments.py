"""What the layers are made of, checked before torch sees it."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import ArgumentError, ShapeError, UnsupportedError
from ...patterns.check import integer, truth


def size_of(value: Any, what: str, least: int = 0) -> int:
    """A size as an integer. Errors: :class:`pith.ArgumentError`, :class:`pith.ShapeError` for one below ``least``.

    Example:
        >>> size_of(torch.tensor(8), "MoE: hidden")
        8
    """
    size = integer(value, what)
    if not least <= size < 1 << 48:
        raise ShapeError(f"expects a size >= {least} that fits into memory, got {size}", where=what)
    return size


def dense_layer(
    where: str, in_features: Any, out_features: Any, bias: Any, dtype: torch.dtype | None
) -> torch.nn.Linear:
    """The dense layer whose initial values a layer takes. Errors: as :func:`size_of`."""
    sizes = size_of(in_features, f"{where}: in_features"), size_of(out_features, f"{where}: out_features")
    return torch.nn.Linear(*sizes, truth(bias, f"{where}: bias"), dtype=dtype)


def require_kind(value: Any, kind: type, where: str, hint: str | None = None) -> None:
    """Raise :class:`pith.ArgumentError` unless ``value`` is a ``kind`` of torch's or pith's."""
    if isinstance(value, kind):
        return
    got = value.__name__ + " itself" if isinstance(value, type) else type(value).__name__
    raise ArgumentError(f"expects a {kind.__module__.split('.')[0]} {kind.__name__}, got {got}", where=where, hint=hint)


def is_traced() -> bool:
    """True while torch records what a layer does: layers are ops of :mod:`pith.torch.stored_ops` then."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def refuse_export(layer: str) -> None:
    """Raise :class:`pith.UnsupportedError` while ``torch.export`` traces: what a layer stores has no values then."""
    if torch.compiler.is_exporting():
        hint = "pith.compile takes the model as it is; layer.to_linear() is the dense layer"
        raise UnsupportedError("torch.export cannot trace what is stored in a format", where=layer, hint=hint)
