"""Calling native entry functions with arrays."""

from __future__ import annotations

import ctypes
import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .arrays import conform, descriptor
from .fast import fast_function
from .library import Library
from .results import CTYPES, ResultLayout
from .signature import MemRefSpec, ScalarSpec, Signature


class NativeFunction:
    """A compiled entry function, called with arrays and numbers.

    Arguments follow ``signature.args``; see :mod:`pith.runtime.arrays` for what may be passed.
    Returned memrefs become NumPy arrays that own their memory. One result is returned as it is,
    several as a tuple, none as ``None``. Safe to call from several threads at once: the interpreter
    lock is released while the kernel runs.

    Errors: :class:`ArgumentError`, :class:`ShapeError`, :class:`DTypeError`, :class:`DeviceError`,
    each naming the function and the argument; nothing has run then.
    """

    def __init__(self, library: Library, signature: Signature):
        self.library = library
        self.signature = signature
        self._where = [f"{signature.name}: argument {spec.name or i!r}" for i, spec in enumerate(signature.args)]
        self._layout = _result_layout(signature)
        self._entry = _prototype(signature, self._layout)(library.address(f"_mlir_ciface_{signature.name}"))
        self._memrefs = [i for i, spec in enumerate(signature.args) if isinstance(spec, MemRefSpec)]
        self._addresses = struct.Struct(f"{len(self._memrefs)}q")
        self._bfloat16 = [i for i in self._memrefs if signature.args[i].dtype == "bf16"]
        self._fast = self._fast_entry()
        self._fast_bits = self._fast_entry(bfloat16_as_bits=True) if self._bfloat16 else self._fast

    def __repr__(self) -> str:
        return f"<pith native function {self.signature}>"

    def __call__(self, *args: Any) -> Any:
        result = self._fast(*args)
        if result is NotImplemented:
            return self._convert_and_call(args)
        return result if type(result) is not bytes or self._layout is None else self._unpack(self._layout, result, args)

    def _unpack(self, layout: ResultLayout, result: bytes, args: Sequence[Any]) -> Any:
        """Results that share memory: the bytes hold the struct, then the addresses of the memref arguments."""
        addresses = self._addresses.unpack_from(result, layout.size)
        return layout.unpack(result, addresses, [args[i] for i in self._memrefs])

    def _fast_entry(self, **options: Any) -> Callable[..., Any]:
        packed = self.library.find(f"_mlir__mlir_ciface_{self.signature.name}")
        size = self._layout.size if self._layout else 0
        return (packed and fast_function(packed, self.signature, size, **options)) or _declined

    def _convert_and_call(self, args: Sequence[Any]) -> Any:
        """The general path: converts what can be converted, and says what is wrong with the rest."""
        specs = self.signature.args
        if len(args) != len(specs):
            raise ArgumentError(
                f"expects {len(specs)} arguments, got {len(args)}", where=self.signature.name, hint=str(self.signature)
            )
        converted: list[Any] = [
            conform(value, spec, where) if isinstance(spec, MemRefSpec) else _number(value, spec, where)
            for value, spec, where in zip(args, specs, self._where)
        ]
        native: list[Any] = list(converted)
        for i in self._bfloat16:
            native[i] = native[i].view(np.uint16)
        result = self._fast_bits(*native)
        if result is NotImplemented:
            return self._call_foreign(converted)
        if type(result) is not bytes or self._layout is None:
            return result
        return self._unpack(self._layout, result, converted)

    def _call_foreign(self, args: Sequence[Any]) -> Any:
        """Call through ctypes: for signatures that are too long for the fast path, and other interpreters."""
        blocks = {}
        native = list(args)
        for i in self._memrefs:
            words = descriptor(args[i])
            blocks[i] = native[i] = (ctypes.c_int64 * len(words))(*words)
        if self._layout is None:
            return self._entry(*native)
        result = ctypes.create_string_buffer(self._layout.size)
        self._entry(result, *native)
        return self._layout.unpack(result, [block[0] for block in blocks.values()], [args[i] for i in blocks])


def _declined(*args: Any) -> Any:
    """Stands in for the fast path where there is none."""
    return NotImplemented


def _prototype(signature: Signature, layout: ResultLayout | None) -> Any:
    """The C type of the entry: memrefs by pointer, results through the first pointer or in a register."""
    args = [ctypes.c_void_p if isinstance(s, MemRefSpec) else CTYPES[s.dtype] for s in signature.args]
    if layout is not None:
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p, *args)
    returned = CTYPES[signature.results[0].dtype] if signature.results else None
    return ctypes.CFUNCTYPE(returned, *args)


def _result_layout(signature: Signature) -> ResultLayout | None:
    """None when there is no result or it is one number, which comes back in a register."""
    results = signature.results
    if not results or (len(results) == 1 and isinstance(results[0], ScalarSpec)):
        return None
    return ResultLayout(results)


def _number(value: Any, spec: ScalarSpec, where: str) -> int | float:
    """A number of the spec's type. Integers may be given signed or unsigned."""
    try:
        if isinstance(value, np.bool_):  # the one NumPy integer that is not an index
            value = bool(value)
        number = float(value) if spec.dtype in ("f32", "f64") else operator.index(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"expected a number ({spec}), got {type(value).__name__}", where=where) from error
    if isinstance(number, float):
        return number
    bits = 1 if spec.dtype == "i1" else 8 * ctypes.sizeof(CTYPES[spec.dtype])
    if not (0 if bits == 1 else -(1 << (bits - 1))) <= number < 1 << bits:
        raise ArgumentError(f"{number} does not fit in {spec}", where=where)
    return number
