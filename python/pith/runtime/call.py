"""Calling native entry functions with arrays."""

from __future__ import annotations

import ctypes
from typing import Any

from ..errors import ArgumentError
from .arrays import Operand, operand
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
        self._names = [
            f"{signature.name}: argument {spec.name or index!r}" for index, spec in enumerate(signature.args)
        ]
        self._result_layout = _result_layout(signature)
        self._entry = self._prototype()(library.address(f"_mlir_ciface_{signature.name}"))

    def __repr__(self) -> str:
        return f"<pith native function {self.signature}>"

    def _prototype(self) -> Any:
        """The C type of the entry: memrefs by pointer, results through the first pointer or in a register."""
        results = self.signature.results
        by_pointer = self._result_layout is not None
        returned = CTYPES[results[0].dtype] if results and not by_pointer else None
        args = [ctypes.c_void_p if isinstance(s, MemRefSpec) else CTYPES[s.dtype] for s in self.signature.args]
        return ctypes.CFUNCTYPE(returned, *([ctypes.c_void_p] if by_pointer else []), *args)

    def __call__(self, *args: Any) -> Any:
        specs = self.signature.args
        if len(args) != len(specs):
            raise ArgumentError(
                f"expects {len(specs)} arguments, got {len(args)}", where=self.signature.name, hint=str(self.signature)
            )
        operands: list[Operand] = []
        native: list[Any] = []
        for value, spec, where in zip(args, specs, self._names):
            if isinstance(spec, MemRefSpec):
                described = operand(value, spec, where)
                operands.append(described)
                native.append(ctypes.byref((ctypes.c_int64 * spec.words)(*described.words())))
            else:
                native.append(_scalar(value, spec, where))
        return self._run(native, operands)

    def _run(self, native: list[Any], operands: list[Operand]) -> Any:
        layout = self._result_layout
        if layout is None:
            return self._entry(*native)
        block = ctypes.create_string_buffer(layout.size)
        self._entry(block, *native)
        results = layout.unpack(block, operands)
        return results[0] if len(results) == 1 else tuple(results)


def _result_layout(signature: Signature) -> ResultLayout | None:
    """None when there is no result or it is one number, which comes back in a register."""
    results = signature.results
    if not results or (len(results) == 1 and isinstance(results[0], ScalarSpec)):
        return None
    return ResultLayout(results)


def _scalar(value: Any, spec: ScalarSpec, where: str) -> Any:
    """A number of the spec's type; arrays of one element and NumPy scalars are numbers too."""
    try:
        if spec.dtype in ("f32", "f64"):
            return float(value)
        number = value.__index__() if not hasattr(value, "item") else value.item().__index__()
    except (TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"expected a number ({spec}), got {type(value).__name__}", where=where) from error
    bits = 1 if spec.dtype == "i1" else CTYPES[spec.dtype]().__sizeof__ and ctypes.sizeof(CTYPES[spec.dtype]) * 8
    if not -(1 << (bits - 1)) <= number < (1 << bits):
        raise ArgumentError(f"{number} does not fit in {spec}", where=where)
    return number
