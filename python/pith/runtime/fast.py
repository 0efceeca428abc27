"""The compiled fast path of calls (``runtime/fast_call.cpp``), seen from Python."""

from __future__ import annotations

import ctypes
import functools
import importlib
from collections.abc import Callable
from typing import Any

from .native import lib, library_path
from .signature import MemRefSpec, ScalarSpec, Signature, Spec, numpy_dtype


@functools.cache
def _entries() -> ctypes.PyDLL | None:
    """The entry points that keep the interpreter lock; None where the interpreter does not fit."""
    if not lib().pith_fast_available():
        return None
    library = ctypes.PyDLL(str(library_path()))
    library.pith_fast_function.restype = ctypes.py_object
    counts = (ctypes.c_int64,) * 3
    library.pith_fast_function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, *counts, ctypes.c_void_p)
    library.pith_register_tensor_type.restype = None
    library.pith_register_tensor_type.argtypes = (ctypes.py_object, ctypes.c_void_p)
    _register_arrays(library)
    return library


def _register_arrays(library: ctypes.PyDLL) -> None:
    """Let the fast path make NumPy's arrays; where NumPy is laid out otherwise, :mod:`.results` makes them."""
    try:
        capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    except (ImportError, AttributeError):
        return
    library.pith_register_array_api.restype = None
    library.pith_register_array_api.argtypes = (ctypes.c_void_p,)
    library.pith_register_array_api(_pointer_in(capsule, None))


def _pointer_in(capsule: object, name: bytes | None) -> int:
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype = ctypes.c_void_p
    pointer_of.argtypes = (ctypes.py_object, ctypes.c_char_p)
    return pointer_of(capsule, name)


@functools.cache
def array_function() -> Callable[..., Any] | None:
    """A builtin ``new(dtype, size, ...)``: an uninitialised row-major array in pith's memory, aligned to a cache line.

    It returns ``NotImplemented`` for arrays above 1 GiB and where NumPy is laid out otherwise. None: there is none.
    """
    library = _entries()
    if library is None:
        return None
    library.pith_array_function.restype = ctypes.py_object
    return library.pith_array_function()


def fast_function(
    entry: int, signature: Signature, result_bytes: int, bfloat16_as_bits: bool = False
) -> Callable[..., Any] | None:
    """A builtin that calls the packed wrapper at ``entry``; None when the signature does not allow it.

    It returns ``NotImplemented``, without having run anything, for arguments it does not take as
    they are. Where a result shares memory with an argument, with another one or with the code, it returns bytes:
    ``result_bytes`` of the result struct, then the address of every memref argument as 64-bit words.
    ``bfloat16_as_bits``: take 16-bit integers for bfloat16, since NumPy's arrays of the latter have no buffer protocol.
    """
    library = _entries()
    if library is None:
        return None
    kinds = {"bf16": "i" if bfloat16_as_bits else "b", "i1": "?"}
    words = [word for spec in signature.args for word in _spec_words(spec, kinds)]
    words += [word for spec in signature.results for word in _spec_words(spec, {"i1": "?"})]
    dtypes = [spec.numpy_dtype for spec in signature.results if isinstance(spec, MemRefSpec)]
    counts = len(signature.args), len(signature.results), result_bytes
    return library.pith_fast_function(
        entry, (ctypes.c_int64 * len(words))(*words), *counts, (ctypes.py_object * len(dtypes))(*dtypes)
    )


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
    library.pith_register_tensor_type(tensor_type, _pointer_in(capsule, b"dlpack_exchange_api"))
