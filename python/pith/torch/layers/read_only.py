"""``ReadOnly``: tensors that are copies of what a layer stores, which say so when they are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...errors import UnsupportedError


class ReadOnly(torch.Tensor):
    """A copy that refuses changes in place, as do its views; what is computed from it is a plain tensor.

    Errors: :class:`pith.UnsupportedError` for changes, with what would change the layer.

    Example:
        >>> copy = ReadOnly.of(torch.ones(2), "layer.weight", "layer.values holds what is stored")
        >>> type(copy + 1).__name__, type(copy.data).__name__
        ('Tensor', 'ReadOnly')
        >>> torch.nn.init.zeros_(copy)
        Traceback (most recent call last):
        ...
        pith.errors.UnsupportedError: layer.weight: it is a copy: changing it in place would not change the layer
          hint: layer.values holds what is stored
    """

    what: str
    hint: str

    @classmethod
    def of(cls, tensor: torch.Tensor, what: str, hint: str) -> ReadOnly:
        """``tensor`` on the same memory; ``what`` and ``hint``: of the error."""
        made = tensor.as_subclass(cls)
        made.what, made.hint = what, hint
        return made

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, given = getattr(func, "__name__", ""), kwargs or {}
        written = given.get("out", args[0] if _changes(name) and args else given.get("tensor"))
        if isinstance(written, cls) and (_changes(name) or "out" in given):
            what = "it is a copy: changing it in place would not change the layer"
            raise UnsupportedError(what, where=written.what, hint=written.hint)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **given)
        origin = next((a for a in args if isinstance(a, cls)), None)
        if origin is None or not isinstance(result, torch.Tensor) or func is torch.Tensor.as_subclass:
            return result
        if _memory(result) != _memory(origin):
            return result.as_subclass(torch.Tensor) if isinstance(result, cls) else result
        return cls.of(result, origin.what, origin.hint)

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return repr(self.as_subclass(torch.Tensor))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor).clone()


def _changes(name: str) -> bool:
    """Whether a function of torch writes to its first argument."""
    in_place = name.endswith("_") and not name.endswith("__")
    return in_place or name in ("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__")


def _memory(tensor: torch.Tensor) -> int:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.untyped_storage().data_ptr()
