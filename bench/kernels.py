"""One CSR product for fixed sizes: pith's path through ``sparse_tensor``, and upstream's pipeline bare."""

from __future__ import annotations

import pith
from pith._mlir import PassManager, ir
from pith.formats.attribute import format_attribute
from pith.runtime import Library, MemRefSpec, NativeFunction, Signature, compile_object

#: Upstream's pipeline as its documentation runs it, with its vectorizer on.
SPARSIFIER = (
    "builtin.module(sparsifier{enable-runtime-library=false parallelization-strategy=none vl=16 "
    "enable-index-optimizations=true})"
)

#: The same program for both: the result zeroed, then the product, in the caller's memory.
_BODY = """
  %zero = arith.constant 0.0 : f32
  %dst = bufferization.to_tensor %out restrict writable : memref<{M}x{N}xf32> to tensor<{M}x{N}xf32>
  %init = linalg.fill ins(%zero : f32) outs(%dst : tensor<{M}x{N}xf32>) -> tensor<{M}x{N}xf32>
  %y = linalg.matmul ins(%a, %x : tensor<{M}x{K}xf32, #fmt>, tensor<{K}x{N}xf32>)
                     outs(%init : tensor<{M}x{N}xf32>) -> tensor<{M}x{N}xf32>
  bufferization.materialize_in_destination %y in restrict writable %out
      : (tensor<{M}x{N}xf32>, memref<{M}x{N}xf32>) -> ()
  return
}}
"""

_PITH = """#fmt = {fmt}
func.func @spmm(%a: tensor<{M}x{K}xf32, #fmt>, %x: tensor<{K}x{N}xf32>,
                %out: memref<{M}x{N}xf32> {{pith.name = "out"}}) {{"""

_UPSTREAM = """
#fmt = #sparse_tensor.encoding<{{ map = (i, j) -> (i : dense, j : compressed), posWidth = 32, crdWidth = 32 }}>
func.func @spmm(%pos: tensor<?xi32>, %crd: tensor<?xi32>, %values: tensor<?xf32>, %x: tensor<{K}x{N}xf32>,
                %out: memref<{M}x{N}xf32>) attributes {{llvm.emit_c_interface}} {{
  %a = sparse_tensor.assemble (%pos, %crd), %values
      : (tensor<?xi32>, tensor<?xi32>), tensor<?xf32> to tensor<{M}x{K}xf32, #fmt>"""


def csr_kernel(rows: int, contracted: int, columns: int, path: str = "auto") -> pith.Kernel:
    """``k(A, x, out)`` for a CSR ``A`` of these sizes."""
    text = (_PITH + _BODY).format(fmt=format_attribute(pith.CSR), M=rows, K=contracted, N=columns)
    return pith.compile(text, path=path)


def path_a(rows: int, contracted: int, columns: int) -> NativeFunction:
    """pith's path (a), through ``sparse_tensor``; takes positions, coordinates, values, x, out."""
    return csr_kernel(rows, contracted, columns, path="sparsifier").native


def bare_sparsifier(rows: int, contracted: int, columns: int) -> NativeFunction:
    """Upstream's ``sparsifier`` alone, its code compiled, loaded and called as pith's is; the same arguments."""
    text = (_UPSTREAM + _BODY).format(M=rows, K=contracted, N=columns)
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        PassManager.parse(SPARSIFIER).run(module.operation)
        library = Library.from_object(compile_object(module, ["spmm"]))
    args = (
        MemRefSpec("i32", (-1,), "positions"),
        MemRefSpec("i32", (-1,), "coordinates"),
        MemRefSpec("f32", (-1,), "values"),
        MemRefSpec("f32", (contracted, columns), "x"),
        MemRefSpec("f32", (rows, columns), "out", writable=True),
    )
    return NativeFunction(library, Signature("spmm", args))
