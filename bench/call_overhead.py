"""Time of a call into compiled code, beyond the bare foreign call of the same function.

Run: python bench/call_overhead.py [--repeat N]
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import time
from collections.abc import Callable, Sequence

import numpy as np
from pith._mlir import PassManager, ir
from pith.runtime import Library, MemRefSpec, NativeFunction, ScalarSpec, Signature, compile_object

RANKS = (1, 1, 2, 2, 2, 2)
SHAPES = ((64,), (64,), (8, 8), (8, 8), (8, 8), (8, 8))
PIPELINE = (
    "builtin.module(finalize-memref-to-llvm{use-generic-functions=true},"
    "convert-func-to-llvm,reconcile-unrealized-casts)"
)


def build() -> dict[str, NativeFunction]:
    """Functions of six memrefs that do nothing; one of them returns a memref."""
    types = ["memref<" + "?x" * rank + "f32>" for rank in RANKS]
    params = ", ".join(f"%a{i}: {t}" for i, t in enumerate(types))
    text = f"""
    func.func @memrefs({params}) attributes {{llvm.emit_c_interface}} {{ return }}
    func.func @numbers({params}, %n: index, %s: f32) attributes {{llvm.emit_c_interface}} {{ return }}
    func.func @result({params}) -> memref<?xf32> attributes {{llvm.emit_c_interface}} {{
      %c64 = llvm.mlir.constant(64 : index) : i64
      %n = builtin.unrealized_conversion_cast %c64 : i64 to index
      %r = memref.alloc(%n) : memref<?xf32>
      return %r : memref<?xf32>
    }}"""
    args = tuple(MemRefSpec("f32", (-1,) * rank, f"a{i}", writable=i == 5) for i, rank in enumerate(RANKS))
    signatures = [
        Signature("memrefs", args),
        Signature("numbers", (*args, ScalarSpec("index", "n"), ScalarSpec("f32", "s"))),
        Signature("result", args, (MemRefSpec("f32", (-1,)),)),
    ]
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        PassManager.parse(PIPELINE).run(module.operation)
        library = Library.from_object(compile_object(module, [s.name for s in signatures]))
    return {s.name: NativeFunction(library, s) for s in signatures}


def bare_call(function: NativeFunction, arrays: Sequence[np.ndarray]) -> Callable[[], None]:
    """The foreign call alone, its descriptors made beforehand."""
    address = function.library.address(f"_mlir_ciface_{function.signature.name}")
    entry = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))(address)
    blocks = []
    for a in arrays:
        words = (a.ctypes.data, a.ctypes.data, 0, *a.shape, *(stride // a.itemsize for stride in a.strides))
        blocks.append((ctypes.c_int64 * len(words))(*words))
    return lambda: entry(*blocks)


def microseconds(call: Callable[[], object], repeat: int) -> float:
    """Smallest mean over rounds of 2000 calls."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(2000):
            call()
        best = min(best, time.perf_counter() - start)
    return best / 2000 * 1e6


def cases(functions: dict[str, NativeFunction]) -> dict[str, Callable[[], object]]:
    arrays = [np.ones(shape, np.float32) for shape in SHAPES]
    strided = [np.ones((16, 16), np.float32)[::2, ::2] if a.ndim == 2 else a for a in arrays[:-1]] + arrays[-1:]
    f, g, r = functions["memrefs"], functions["numbers"], functions["result"]
    table: dict[str, Callable[[], object]] = {
        "bare ctypes call, 6 memrefs": bare_call(f, arrays),
        "6 NumPy arrays": lambda: f(*arrays),
        "6 NumPy arrays, 2 numbers": lambda: g(*arrays, 3, 0.5),
        "6 NumPy arrays, one returned": lambda: r(*arrays),
        "6 NumPy arrays, 3 of them copied": lambda: f(*strided),
    }
    if importlib.util.find_spec("torch"):
        import torch

        tensors = [torch.ones(shape) for shape in SHAPES]
        table["6 torch tensors"] = lambda: f(*tensors)
        table["6 torch tensors, 2 numbers"] = lambda: g(*tensors, 3, 0.5)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    table = {name: microseconds(call, options.repeat) for name, call in cases(build()).items()}
    bare = table["bare ctypes call, 6 memrefs"]
    print(f"{'call':36} {'us':>8} {'over bare':>10}")
    for name, time_us in table.items():
        print(f"{name:36} {time_us:8.2f} {time_us - bare:10.2f}")


if __name__ == "__main__":
    main()
