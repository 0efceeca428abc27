"""The dense rivals of a sparse product: the library's and pith's own, on an unpacked copy of the sparse operand."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler.kernel import Kernel
from ...runtime import dtype_name, numpy_dtype
from ...runtime.arrays import as_array, loaded_torch
from ...sparse import SparseTensor
from .copies import products_of, torch_view

#: Products of two i8 whose sum f32 holds exactly: 1024 * 128 * 128 = 2 ** 24.
_EXACT_TERMS = 1024

#: Seconds per element of :func:`all_finite`: a sum of 4 MB takes 0.15 ms (Zen 3, 2026-11).
LOOK = 1.5e-10


def own_product(a: SparseTensor, x: Any, out: Any, right: bool, kernel: Kernel) -> bool:
    """Write ``a @ x`` (``right``: ``x @ a``) to ``out`` by the kernel of the dense format; see :func:`library_product`.

    Args:
        x: as the kernel reads it.
    """
    copy = products_of(a).unpacked(a, dtype_name(a.values.dtype))
    kernel.native(copy.reshape(-1), *a.shape, x, out)
    line = out[:, 0] if right else out[0]
    return is_finite(line if isinstance(line, np.ndarray) else as_array(line, "pith.matmul: out"))


def library_product(a: SparseTensor, x: Any, out: Any, right: bool, computed: str) -> bool:
    """Write ``a @ x`` (``right``: ``x @ a``) to ``out``, computed in an element type.

    Semantics: elements that are not stored count as exact zeros, as in a sparse product: where ``x``
        holds NaN or infinities, 0 * x would make NaN of them.
    Returns: False when the sparse kernel has to do it: ``x`` is not finite (then so is the first row of
        the result, which is looked at), or an operand is of a kind the kernel converts or refuses. What
        ``out`` holds then is void.
    """
    torch = loaded_torch()
    target = out if type(out) is np.ndarray else _numpy_view(torch, out)
    if target is None or not _fits(torch, x, a.values.dtype):
        return False
    if not target.flags.writeable or target.dtype != _result_dtype(a.values.dtype):
        return False
    if torch is not None:
        _multiply_torch(torch, products_of(a).unpacked_torch(a, computed), x, torch_view(target), right)
    else:
        _multiply_numpy(products_of(a).unpacked(a, computed), x, target, right)
    return is_finite(target[:, 0] if right else target[0])


def library_rows(a: SparseTensor, x: Any, extras: Sequence[Any]) -> Any:
    """``x @ a.T``, with a bias if there is one: torch's product of every element of ``a``, as a tensor.

    Shapes: x: ``(m, in)``; a: ``(out, in)``; extras: none, or the bias.
    Returns: None where an operand is of a kind that the kernel converts or refuses, or torch would convert it.
    """
    torch, dtype = loaded_torch(), a.values.dtype
    if torch is None or torch.is_autocast_enabled("cpu") or not all(_fits(torch, v, dtype) for v in (x, *extras)):
        return None
    if a.format.is_dense:
        values = a.values.reshape(a.shape)  # of a file that is mapped they are read-only
        w = torch_view(values) if values.flags.writeable else _borrowed(values)
    else:
        w = products_of(a).unpacked_torch(a, dtype_name(dtype))
    if type(x) is np.ndarray:
        x = torch_view(x)
    return torch.nn.functional.linear(x, w, *(torch_view(v) if type(v) is np.ndarray else v for v in extras))


def _fits(torch: Any, x: Any, dtype: np.dtype) -> bool:
    """An operand of an element type that can be multiplied as it is."""
    if type(x) is np.ndarray:
        return x.dtype == dtype
    return torch is not None and isinstance(x, torch.Tensor) and x.dtype is _torch_dtype(dtype) and _is_plain(torch, x)


@functools.cache
def _torch_dtype(dtype: np.dtype) -> Any:
    return torch_view(np.empty(1, dtype)).dtype


def multiply_library(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """``out = a @ b`` for matrices of one element type: torch's product when torch is loaded, else NumPy's."""
    torch = loaded_torch()
    if torch is not None and a.dtype.kind == "f" and a.flags.carray and b.flags.carray:  # the common case
        torch.mm(torch.from_numpy(a), torch.from_numpy(b), out=torch.from_numpy(out))
    elif torch is not None and a.flags.writeable and b.flags.writeable:
        torch.mm(torch_view(a), torch_view(b), out=torch_view(out))
    else:
        np.matmul(a, b, out=out)


def library_again(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], Any] | None:
    """:func:`multiply_library` of these three, again and again, while they live; None for what torch would copy.

    It does not keep them. Making three tensors takes 10 us where the caches hold nothing of it (Emerald Rapids,
    2026-11-22).
    """
    torch = loaded_torch()
    plain = all(v.dtype.kind == "f" and v.size and v.flags.carray for v in (a, b, out))
    return functools.partial(torch.mm, *map(_borrowed, (a, b)), out=_borrowed(out)) if torch and plain else None


def _borrowed(array: np.ndarray) -> Any:
    """A tensor over the memory of an array, which has to outlive its use."""
    import torch

    memory = (ctypes.c_byte * array.nbytes).from_address(array.ctypes.data)
    return torch.frombuffer(memory, dtype=_torch_dtype(array.dtype)).view(array.shape)


def _result_dtype(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "i" and dtype.itemsize < 4:
        return np.dtype(np.int32)
    return dtype


def is_finite(line: np.ndarray) -> bool:
    """Whether a line of the result is finite; a line whose square overflows is taken as not."""
    if line.dtype.kind == "i":
        return True
    if line.dtype.itemsize == 2:
        line = line.astype(np.float32)
    return math.isfinite(line.dot(line))


def finite_rows(result: Any) -> bool:
    """Whether the first number of every row is finite, of an array or a tensor."""
    if type(result) is np.ndarray:
        return is_finite(result[:, 0])
    return math.isfinite(result[:, 0].sum())


def all_finite(x: Any) -> bool:
    """Whether a sum of all elements is finite: one that overflows is taken as not."""
    array = as_array(x, "the dense operand")
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(array.sum(dtype=np.float64 if array.dtype.itemsize == 8 else np.float32))


def _is_plain(torch: Any, tensor: Any) -> bool:
    """A tensor whose storage is what it says, and that no gradient is wanted of; not while functions are transformed:
    kernels refuse what is then behind tensors, and the library would not."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not (tensor.requires_grad and torch.is_grad_enabled())
        and not tensor.is_neg()
        and not torch._C._are_functorch_transforms_active()
    )


def _multiply_torch(torch: Any, w: Any, x: Any, out: Any, right: bool) -> None:
    """torch's product; operands of another type than ``w`` are converted, and so is the result."""
    x = torch_view(x) if type(x) is np.ndarray else x.detach()
    if x.dtype is w.dtype is out.dtype:
        if right:
            torch.mm(x, w, out=out)
        elif x.shape[1] == 1:
            torch.mv(w, x[:, 0], out=out[:, 0])
        else:
            torch.mm(w, x, out=out)
        return
    if x.dtype is w.dtype:  # integers as they are: sums are wider
        out.copy_(torch._int_mm(x, w) if right else torch._int_mm(w, x))
        return
    wide = x.to(w.dtype)
    a, b = (wide, w) if right else (w, wide)
    if out.dtype.is_floating_point:
        out.copy_(_product(torch, a, b))
        return
    out.zero_()
    for terms in _exact_slices(w.shape, w.dtype is torch.float32, right):
        out += _product(torch, a[:, terms], b[terms]).to(torch.int64).to(torch.int32)


def _product(torch: Any, a: Any, b: Any) -> Any:
    """In the type of the operands: with ``out``, torch casts nothing in a region of ``torch.autocast``."""
    return torch.mm(a, b, out=a.new_empty(a.shape[0], b.shape[1]))


def _multiply_numpy(w: np.ndarray, x: np.ndarray, out: np.ndarray, right: bool) -> None:
    """NumPy's product, likewise."""
    if x.dtype == w.dtype == out.dtype:
        np.matmul(x, w, out=out) if right else np.matmul(w, x, out=out)
        return
    wide = x.astype(w.dtype)
    a, b = (wide, w) if right else (w, wide)
    if out.dtype.kind != "i":
        out[...] = a @ b
        return
    out[...] = 0
    for terms in _exact_slices(w.shape, w.dtype == np.float32, right):
        out += (a[:, terms] @ b[terms]).astype(np.int64).astype(np.int32)


def _exact_slices(shape: Sequence[int], single: bool, right: bool) -> list[slice]:
    """Parts of the contracted dimension whose sums are exact in f32 (``single``); all of it in f64."""
    size = shape[0 if right else 1]
    step = _EXACT_TERMS if single else max(1, size)
    return [slice(k, min(k + step, size)) for k in range(0, size, step)]


def _numpy_view(torch: Any, tensor: Any) -> np.ndarray | None:
    """An array over a tensor, None for one whose storage is not what it says."""
    if torch is None or not isinstance(tensor, torch.Tensor) or not _is_plain(torch, tensor):
        return None
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().view(torch.int16).numpy().view(numpy_dtype("bf16"))
    return tensor.detach().numpy()
