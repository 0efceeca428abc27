"""Compiled objects in memory: load, look symbols up, unload when nothing refers to them."""

from __future__ import annotations

import ctypes

from ..errors import RuntimeLibraryError
from .native import lib


class Library:
    """A loaded object. Functions obtained from it must hold a reference to it.

    The mapping goes away when the last reference does; :class:`~pith.runtime.NativeFunction`
    holds one, so keeping the function is enough.

    Example:
        >>> Library.from_object(b"not an object")
        Traceback (most recent call last):
        ...
        pith.errors.RuntimeLibraryError: object: 13 bytes are too few for an ELF header
          hint: recompile it on this machine with this version of pith
    """

    __slots__ = ("__weakref__", "_handle", "_unload")

    def __init__(self, handle: int):
        self._unload = lib().pith_object_unload
        self._handle: int | None = handle

    @classmethod
    def from_object(cls, data: bytes, name: str = "object") -> Library:
        """Load a relocatable object (x86-64 ELF, as :func:`~pith.runtime.compile_object` makes).

        Errors: :class:`RuntimeLibraryError` says what is malformed, unsupported or undefined.
        """
        message = ctypes.create_string_buffer(512)
        handle = lib().pith_object_load(data, len(data), message, len(message))
        if not handle:
            raise RuntimeLibraryError(
                message.value.decode(errors="replace"),
                where=name,
                hint="recompile it on this machine with this version of pith",
            )
        return cls(handle)

    def address(self, symbol: str) -> int:
        """Address of an exported symbol.

        Errors: :class:`RuntimeLibraryError` when the object does not export it.
        """
        address = self.find(symbol)
        if address is None:
            raise RuntimeLibraryError(
                f"the object does not export '{symbol}'",
                hint="is the function public and does it have the llvm.emit_c_interface attribute?",
            )
        return address

    def find(self, symbol: str) -> int | None:
        """Address of an exported symbol, or None."""
        return lib().pith_object_symbol(self._handle, symbol.encode())

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            self._unload(handle)
