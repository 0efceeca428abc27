"""Native functions that do nothing, and the bare foreign call that every call's overhead is measured over."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pith._mlir import PassManager, ir
from pith.runtime import Library, MemRefSpec, NativeFunction, ScalarSpec, Signature, compile_object
from pith.runtime.arrays import descriptor

#: Function name -> how many memrefs and numbers it takes, and whether it returns a memref.
FUNCTIONS = {"one": (1, 0, False), "six": (6, 0, False), "numbers": (6, 4, False), "result": (6, 0, True)}

_PIPELINE = (
    "builtin.module(finalize-memref-to-llvm{use-generic-functions=true},"
    "convert-func-to-llvm,reconcile-unrealized-casts)"
)

_RETURN_NEW = """
      %c64 = llvm.mlir.constant(64 : index) : i64
      %n = builtin.unrealized_conversion_cast %c64 : i64 to index
      %r = memref.alloc(%n) : memref<?xf32>
      return %r : memref<?xf32>"""


def empty_functions() -> dict[str, NativeFunction]:
    """Compile :data:`FUNCTIONS`: f32 matrices of any size and ``index`` numbers, nothing done with them."""
    text = "\n".join(_source(name, *counts) for name, counts in FUNCTIONS.items())
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        PassManager.parse(_PIPELINE).run(module.operation)
        library = Library.from_object(compile_object(module, list(FUNCTIONS)))
    return {name: NativeFunction(library, _signature(name, *counts)) for name, counts in FUNCTIONS.items()}


def bare_call(function: NativeFunction, args: Sequence[Any]) -> Callable[[], None]:
    """The foreign call alone, through ctypes: descriptors and numbers made beforehand, nothing checked.

    Shapes: ``args`` as the function takes them, arrays row-major; functions without results only.
    """
    address = function.library.address(f"_mlir_ciface_{function.signature.name}")
    native = [_native(a) for a in args]
    types = [ctypes.c_int64 if isinstance(a, int) else ctypes.c_void_p for a in native]
    entry = ctypes.CFUNCTYPE(None, *types)(address)
    keep = list(args)  # the descriptors point into these

    def call(_keep: object = keep) -> None:
        entry(*native)

    return call


def _native(arg: Any) -> Any:
    if isinstance(arg, int):
        return arg
    words = descriptor(np.asarray(arg))
    return (ctypes.c_int64 * len(words))(*words)


def _source(name: str, memrefs: int, numbers: int, returns: bool) -> str:
    params = [f"%a{i}: memref<?x?xf32>" for i in range(memrefs)] + [f"%n{i}: index" for i in range(numbers)]
    head = f"func.func @{name}({', '.join(params)})" + (" -> memref<?xf32>" if returns else "")
    return f"{head} attributes {{llvm.emit_c_interface}} {{ {_RETURN_NEW if returns else 'return'} }}"


def _signature(name: str, memrefs: int, numbers: int, returns: bool) -> Signature:
    args = [MemRefSpec("f32", (-1, -1), f"a{i}", writable=i == 5) for i in range(memrefs)]
    scalars = [ScalarSpec("index", f"n{i}") for i in range(numbers)]
    return Signature(name, (*args, *scalars), (MemRefSpec("f32", (-1,)),) if returns else ())
