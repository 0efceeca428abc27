"""``pith.sddmm``: dense products computed where a sparse tensor stores, through kernels cached per format."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, FormatError, ShapeError
from ..formats import Format, buffer_specs
from ..formats.attribute import format_attribute
from ..formats.pack_buffers import aligned_empty
from ..runtime import dtype_name
from ..runtime.arrays import as_array
from ..sparse import SparseTensor
from .kernel import Kernel, compile_source, is_torch

#: Element type of the operands and of the result -> element type of the sums.
SUMS = {"f16": "f32", "bf16": "f32", "f32": "f32", "f64": "f64"}


def sddmm(a: Any, b: Any, pattern_of: SparseTensor, *, out: Any = None, accumulate: bool = False) -> SparseTensor:
    """``a @ b`` at the positions another matrix stores, and nowhere else (SDDMM).

    Shapes: a: (M, K); b: (K, N); pattern_of: (M, N).
    Semantics: every stored position of ``pattern_of`` gets its element of the product, also where
        the stored value is a zero that fills up a group or block; the values are not read. f16 and
        bf16 are summed in f32 and rounded once. The dense product is never made: work and memory
        follow the number of stored elements. Operands may be row- or column-major (``y.T`` costs no
        copy). One kernel is compiled per format, element type and orientation.
    Args:
        a, b: NumPy arrays, torch CPU tensors, or anything with DLPack, of one element type.
        out: a contiguous 1-D array of ``pattern_of.nse`` elements for the values.
        accumulate: add to what ``out`` holds instead of overwriting it.
    Returns: a :class:`pith.SparseTensor` with the metadata buffers of ``pattern_of`` (shared) and new
        values (``out``, when it is given).
    Errors: :class:`pith.FormatError`, :class:`pith.ShapeError`, :class:`pith.DTypeError`,
        :class:`pith.DeviceError`, :class:`pith.ArgumentError` (among others for tensors that require a gradient:
        detach them, or train with :func:`pith.torch.sparse_linear`); nothing is written then.
    Source: structurally masked product of GraphBLAS, ``C<M> = A * B``.

    Example:
        >>> import numpy as np
        >>> import pith
        >>> S = pith.compress(np.eye(3, dtype=np.float32)[[1, 0, 2]], "csr")
        >>> y, x = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((2, 3), np.float32)
        >>> pith.sddmm(y, x, S).to_dense()
        array([[0., 1., 0.],
               [5., 0., 0.],
               [0., 0., 9.]], dtype=float32)
    """
    left, right = _operand(a, "a"), _operand(b, "b")
    _check(left, right, pattern_of)
    values = _values(out, pattern_of.nse, left.dtype, accumulate)
    left, right = (x.copy() if np.may_share_memory(x, values) else x for x in (left, right))
    turned = (_is_transposed(left), _is_transposed(right))
    kernel = _kernel(pattern_of.format, left.dtype, *turned, accumulate)
    left, right = (x.T if t else x for x, t in zip((left, right), turned))
    kernel.native(*pattern_of.buffers[:-1], *pattern_of.shape, left, right, values)
    return SparseTensor(pattern_of.shape, pattern_of.format, (*pattern_of.buffers[:-1], values), pattern_of.hss)


def _operand(value: Any, name: str) -> np.ndarray:
    array = as_array(value, f"pith.sddmm: {name}")
    if array.ndim != 2:
        raise ShapeError(f"expects a matrix, got shape {array.shape}", where=f"pith.sddmm: {name}")
    return array


def _check(a: np.ndarray, b: np.ndarray, pattern: Any) -> None:
    if not isinstance(pattern, SparseTensor):
        raise FormatError(
            f"expects a pith.SparseTensor, got {type(pattern).__name__}",
            where="pith.sddmm: pattern_of",
            hint="pith.compress(mask, fmt)",
        )
    if a.dtype != b.dtype or dtype_name(a.dtype) not in SUMS:
        raise DTypeError(
            f"no sddmm kernel for {a.dtype} and {b.dtype}",
            where="pith.sddmm",
            hint="convert both to one of " + ", ".join(SUMS),
        )
    if len(pattern.shape) != 2 or a.shape[1] != b.shape[0] or (a.shape[0], b.shape[1]) != pattern.shape:
        raise ShapeError(
            f"cannot sample {a.shape} @ {b.shape} at the positions of a tensor of shape {pattern.shape}",
            where="pith.sddmm",
            hint="a: (M, K), b: (K, N), pattern_of: (M, N); pass transposes where sizes are swapped",
        )


def _values(out: Any, count: int, dtype: np.dtype, accumulate: bool) -> np.ndarray:
    """The array for the values."""
    if out is None:
        if accumulate:
            raise ArgumentError("accumulate=True adds to out, which is missing", where="pith.sddmm", hint="pass out=")
        return aligned_empty(count, dtype)
    array = as_array(out.detach() if is_torch(out) else out, "pith.sddmm: out")
    if array.shape != (count,) or not array.flags.c_contiguous:
        raise ShapeError(
            f"expects a contiguous array of shape ({count},), got shape {array.shape} and strides {array.strides}",
            where="pith.sddmm: out",
        )
    if array.dtype != dtype:
        raise DTypeError(f"expects {dtype}, got {array.dtype}", where="pith.sddmm: out")
    if not array.flags.writeable:
        raise ArgumentError("the array is read-only", where="pith.sddmm: out", hint="pass a writable copy")
    return array


def _is_transposed(array: np.ndarray) -> bool:
    """True when the transposed array is the one in row-major order."""
    return array.T.flags.c_contiguous and not array.flags.c_contiguous


@functools.cache
def _kernel(fmt: Format, dtype: np.dtype, left: bool, right: bool, accumulate: bool) -> Kernel:
    """The kernel for results of a format; ``left``, ``right``: that factor is stored transposed."""
    return compile_source(sddmm_source(fmt, dtype_name(dtype), left, right, accumulate), "sddmm")


def sddmm_source(fmt: Format, element: str, left: bool = False, right: bool = False, accumulate: bool = False) -> str:
    """Pith-level IR of a sampled product with dynamic shapes; ``left``, ``right``: that factor is transposed."""
    acc = SUMS[element]
    specs = buffer_specs(fmt)
    names = [f"%{s.role}{s.level}" for s in specs]
    types = [f"tensor<?x{'index' if s.native else f'i{s.storage_bits}'}>" for s in specs]
    groups = [_group(fmt, s.role, s.level) for s in specs]
    order = sorted(range(len(specs)), key=groups.__getitem__)
    counts = [groups.count(g) for g in range(3)]
    sums, outs = f"tensor<?x{acc}>", f"tensor<?x{element}>"
    encoded, dense = f"tensor<?x?x{acc}, #fmt>", f"tensor<?x?x{element}>"
    widen = "" if element == acc else "".join(f"    %{x}w = arith.extf %{x} : {element} to {acc}\n" for x in "xy")
    x, y = ("x", "y") if element == acc else ("xw", "yw")
    before, init = _initial(element, acc, accumulate)
    after = "" if element == acc else _convert("w", "narrow", "truncf", acc, element, "dst")
    listed = "".join(f"{name}: {type_}, " for name, type_ in zip(names, types))
    operands = ", ".join([*(names[i] for i in order), init, "%m", "%n"])
    operand_types = ", ".join([*(types[i] for i in order), sums, "index", "index"])
    result_types = ", ".join([*(types[i] for i in order), sums])
    results = ", ".join([*(f"%r{i}" for i in order), "%w"])
    return f"""#fmt = {format_attribute(fmt)}
#a = affine_map<(i, j, k) -> {"(k, i)" if left else "(i, k)"}>
#b = affine_map<(i, j, k) -> {"(j, k)" if right else "(k, j)"}>
#s = affine_map<(i, j, k) -> (i, j)>
#id = affine_map<(p) -> (p)>
func.func @sddmm({listed}%m: index, %n: index, %a: {dense} {{pith.name = "a"}}, %b: {dense} {{pith.name = "b"}},
                 %out: memref<?x{element}> {{pith.name = "out"}}) {{
  %zero = arith.constant 0.0 : {acc}
  %dst = bufferization.to_tensor %out restrict writable : memref<?x{element}> to {outs}
{before}  %s = "pith.assemble"({operands}) {{operandSegmentSizes = array<i32: {_commas(*counts, 1, 2)}>}}
      : ({operand_types}) -> {encoded}
  %r = linalg.generic {{indexing_maps = [#a, #b, #s], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %b : {dense}, {dense}) outs(%s : {encoded}) {{
  ^bb0(%x: {element}, %y: {element}, %z: {acc}):
{widen}    %p = arith.mulf %{x}, %{y} : {acc}
    %t = arith.addf %z, %p : {acc}
    linalg.yield %t : {acc}
  }} -> {encoded}
  {results} = "pith.disassemble"(%r) {{resultSegmentSizes = array<i32: {_commas(*counts, 1)}>}}
      : ({encoded}) -> ({result_types})
{after}  bufferization.materialize_in_destination %{"narrow" if after else "w"} in restrict writable %out
      : ({outs}, memref<?x{element}>) -> ()
  return
}}
"""


def _commas(*numbers: int) -> str:
    return ", ".join(map(str, numbers))


def _group(fmt: Format, role: str, level: int) -> int:
    """Operand group of ``pith.assemble``: positions, coordinates, packed."""
    if role == "positions":
        return 0
    return 2 if fmt.levels[level].kind in ("nm", "bitmask") else 1


def _initial(element: str, acc: str, accumulate: bool) -> tuple[str, str]:
    """IR that makes the values the products are added to, and their name."""
    sums = f"tensor<?x{acc}>"
    size = ""
    if element != acc:
        size = f"""  %c0 = arith.constant 0 : index
  %size = tensor.dim %dst, %c0 : tensor<?x{element}>
  %wide = tensor.empty(%size) : {sums}
"""
    if accumulate:
        return (size + _convert("dst", "v", "extf", element, acc, "wide"), "%v") if size else ("", "%dst")
    into = "wide" if size else "dst"
    return f"{size}  %v = linalg.fill ins(%zero : {acc}) outs(%{into} : {sums}) -> {sums}\n", "%v"


def _convert(source: str, result: str, op: str, old: str, new: str, into: str) -> str:
    """IR that converts a vector of values."""
    return f"""  %{result} = linalg.generic {{indexing_maps = [#id, #id], iterator_types = ["parallel"]}}
      ins(%{source} : tensor<?x{old}>) outs(%{into} : tensor<?x{new}>) {{
  ^bb0(%e: {old}, %o: {new}):
    %c = arith.{op} %e : {old} to {new}
    linalg.yield %c : {new}
  }} -> tensor<?x{new}>
"""
