"""The compiled fast path of calls (``runtime/fast_call.cpp``), seen from Python."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from .native import lib, library_path
from .signature import ScalarSpec, Signature, Spec, numpy_dtype

_NO_RESULT = (0, 0, 0, 0, 0, 0)


@functools.cache
def _entries() -> ctypes.PyDLL | None:
    """The entry points that keep the interpreter lock; None where the interpreter does not fit."""
    if not lib().pith_fast_available():
        return None
    library = ctypes.PyDLL(str(library_path()))
    library.pith_fast_function.restype = ctypes.py_object
    library.pith_fast_function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    library.pith_register_tensor_type.restype = None
    library.pith_register_tensor_type.argtypes = (ctypes.py_object, ctypes.c_void_p)
    return library


def fast_function(
    entry: int, signature: Signature, result_bytes: int, bfloat16_as_bits: bool = False
) -> Callable[..., Any] | None:
    """A builtin that calls the packed wrapper at ``entry``; None when the signature does not allow it.

    It returns ``NotImplemented``, without having run anything, for arguments it does not take as
    they are. With ``result_bytes`` it returns bytes: the result struct, then the address of every
    memref argument as 64-bit words. ``bfloat16_as_bits``: take 16-bit integers for bfloat16, since
    NumPy's arrays of the latter have no buffer protocol.
    """
    library = _entries()
    if library is None:
        return None
    kinds = {"bf16": "i" if bfloat16_as_bits else "b", "i1": "?"}
    words = [word for spec in signature.args for word in _spec_words(spec, kinds)]
    by_value = signature.results and not result_bytes
    words += _spec_words(signature.results[0], kinds) if by_value else _NO_RESULT
    array = (ctypes.c_int64 * len(words))(*words)
    return library.pith_fast_function(entry, array, len(signature.args), result_bytes)


def _spec_words(spec: Spec, kinds: dict[str, str]) -> tuple[int, ...]:
    """What ``readSpec`` reads; ``kinds``: element type -> kind, where it is not NumPy's."""
    dtype = numpy_dtype(spec.dtype)
    kind = kinds.get(spec.dtype, dtype.kind)
    if isinstance(spec, ScalarSpec):
        return (0, ord(kind), dtype.itemsize, 0, 0, 0)
    return (1, ord(kind), dtype.itemsize, int(spec.writable), int(spec.layout == "strided"), spec.rank, *spec.shape)


@functools.cache
def register_tensor_type(tensor_type: type) -> None:
    """Let the fast path read torch tensors of exactly this type through DLPack's exchange interface."""
    library = _entries()
    capsule = getattr(tensor_type, "__dlpack_c_exchange_api__", None)
    if library is None or capsule is None:
        return
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype = ctypes.c_void_p
    pointer_of.argtypes = (ctypes.py_object, ctypes.c_char_p)
    api = pointer_of(capsule, b"dlpack_exchange_api")
    library.pith_register_tensor_type(tensor_type, api)
