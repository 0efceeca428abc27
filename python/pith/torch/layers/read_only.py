"""``ReadOnly``: tensors that are copies of what a layer stores, which say so when they are written to."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...errors import UnsupportedError


class ReadOnly(torch.Tensor):
    """A copy that refuses changes in place, as do its views; what is computed from it is a plain tensor, and
    ``torch.nn.Parameter(copy)`` is written to as others are.

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
        changes = _changes(name) or func == _SET_DATA
        written = given.get("out", args[0] if changes and args else given.get("tensor"))
        for target in written if isinstance(written, (list, tuple)) else (written,):
            if isinstance(target, cls) and not isinstance(target, torch.nn.Parameter) and (changes or "out" in given):
                what = "it is a copy: changing it in place would not change the layer"
                raise UnsupportedError(what, where=target.what, hint=target.hint)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **given)
        origin = next((a for a in args if isinstance(a, cls)), None)
        if origin is None or isinstance(origin, torch.nn.Parameter) or func in _WRITABLE:
            return result
        return type(result)(map(origin._seen, result)) if type(result) in (list, tuple) else origin._seen(result)

    def _seen(self, result: Any) -> Any:
        """What is computed from the copy: read-only where it is a view of it."""
        if not isinstance(result, torch.Tensor) or result is self:
            return result
        if _memory(result) != _memory(self):
            return result.as_subclass(torch.Tensor) if isinstance(result, ReadOnly) else result
        return self.of(result, self.what, self.hint)

    def _plain(self) -> torch.Tensor:
        """A tensor, or a parameter, on the same memory."""
        plain = self.detach().as_subclass(torch.Tensor)
        if isinstance(self, torch.nn.Parameter):
            return torch.nn.Parameter(plain, self.requires_grad)
        return plain.requires_grad_(self.requires_grad)

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return repr(self._plain())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._plain().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        return copy.deepcopy(self._plain(), memo)


_Tensor: Any = torch.Tensor

#: What gives tensors on the memory of the copy that may be written to; Dynamo asks for bases until there is none.
_WRITABLE = (_Tensor.as_subclass, _Tensor._base.__get__)

#: ``copy.data = other``.
_SET_DATA = _Tensor.data.__set__


def _changes(name: str) -> bool:
    """Whether a function of torch writes to its first argument."""
    in_place = name.endswith("_") and not name.endswith("__") and name not in ("requires_grad_", "share_memory_")
    return in_place or name in ("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__")


def _memory(tensor: torch.Tensor) -> int:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.untyped_storage().data_ptr()
