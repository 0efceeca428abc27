"""The dense rival of a sparse product: the library's, on an unpacked copy of the sparse operand."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..runtime import numpy_dtype
from ..sparse import SparseTensor

#: Products of two i8 whose sum f32 holds exactly: 1024 * 128 * 128 = 2 ** 24.
_EXACT_TERMS = 1024

#: Element types NumPy has no name of its own for, as the integers torch reads them from.
_TORCH_BITS = {"bfloat16": np.int16}


class Products:
    """What products remember of a sparse operand; lives as long as the tensor, and is not copied with it.

    Attributes:
        plans: decided variants, by what they depend on.
        dense: element type -> the unpacked operand, made by the first dense product that needs it. It
            takes rows x columns x bytes of the type, and never goes stale: tensors do not change.
    """

    __slots__ = ("dense", "plans")

    def __init__(self) -> None:
        self.plans: dict[Any, Any] = {}
        self.dense: dict[str, np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Products, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Products:
        return Products()

    def unpacked(self, a: SparseTensor, element: str) -> np.ndarray:
        """The dense operand of an element type."""
        array = self.dense.get(element)
        if array is None:
            array = self.dense[element] = a.to_dense().astype(numpy_dtype(element), copy=False)
        return array


def products_of(a: SparseTensor) -> Products:
    """What is remembered of ``a``."""
    found = a.__dict__.get("_products")
    if found is None:
        found = a.__dict__["_products"] = Products()
    return found


def dense_product(a: SparseTensor, x: Any, out: Any, right: bool, computed: str) -> bool:
    """Write ``a @ x`` (``right``: ``x @ a``) to ``out``, computed in an element type.

    Semantics: elements that are not stored count as exact zeros, as in a sparse product: where ``x``
        holds NaN or infinities, 0 * x would make NaN of them.
    Returns: False when the sparse kernel has to do it: ``x`` is not finite (then so is the first row of
        the result, which is looked at), or an operand is of a kind the kernel converts or refuses. What
        ``out`` holds then is void.
    """
    dtype = a.values.dtype
    if not out.shape[0] or not out.shape[-1]:
        return False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        if not _is_plain(torch, x) or (not isinstance(out, np.ndarray) and not _is_plain(torch, out)):
            return False
        if x.dtype != _torch_view(torch, np.empty(0, dtype)).dtype:
            return False
    elif type(x) is not np.ndarray or x.dtype != dtype:
        return False
    target = out if isinstance(out, np.ndarray) else _numpy_view(torch, out)
    if not target.flags.writeable or target.dtype != _result_dtype(dtype):
        return False
    w = products_of(a).unpacked(a, computed)
    if torch is not None:
        _multiply_torch(torch, w, x, target, right)
    else:
        _multiply_numpy(w, x, target, right)
    return _is_finite(target[:, 0] if right else target[0])


def _result_dtype(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "i" and dtype.itemsize < 4:
        return np.dtype(np.int32)
    return dtype


def _is_finite(line: np.ndarray) -> bool:
    """Whether a line of the result is finite; a line whose square overflows is taken as not."""
    if line.dtype.kind == "i":
        return True
    if line.dtype.itemsize == 2:
        line = line.astype(np.float32)
    return math.isfinite(line.dot(line))


def _is_plain(torch: Any, tensor: Any) -> bool:
    """A tensor whose storage is what it says, and that no gradient is wanted of."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not (tensor.requires_grad and torch.is_grad_enabled())
        and not tensor.is_neg()
    )


def _multiply_torch(torch: Any, w: np.ndarray, x: Any, out: np.ndarray, right: bool) -> None:
    """torch's product; operands of another type than ``w`` are converted, and so is the result."""
    wt, ot = _torch_view(torch, w), _torch_view(torch, out)
    xt = _torch_view(torch, x) if isinstance(x, np.ndarray) else x.detach()
    if xt.dtype == wt.dtype == ot.dtype:
        if right:
            torch.mm(xt, wt, out=ot)
        elif xt.shape[1] == 1:
            torch.mv(wt, xt[:, 0], out=ot[:, 0])
        else:
            torch.mm(wt, xt, out=ot)
        return
    if xt.dtype == wt.dtype:  # integers as they are: sums are wider
        ot.copy_(torch._int_mm(xt, wt) if right else torch._int_mm(wt, xt))
        return
    wide = xt.to(wt.dtype)
    if ot.dtype.is_floating_point:
        ot.copy_(wide @ wt if right else wt @ wide)
        return
    ot.zero_()
    for terms in _exact_slices(w, right):
        part = wide[:, terms] @ wt[terms] if right else wt[:, terms] @ wide[terms]
        ot += part.to(torch.int64).to(torch.int32)


def _multiply_numpy(w: np.ndarray, x: np.ndarray, out: np.ndarray, right: bool) -> None:
    """NumPy's product, likewise."""
    if x.dtype == w.dtype == out.dtype:
        np.matmul(x, w, out=out) if right else np.matmul(w, x, out=out)
        return
    wide = x.astype(w.dtype)
    if out.dtype.kind != "i":
        out[...] = wide @ w if right else w @ wide
        return
    out[...] = 0
    for terms in _exact_slices(w, right):
        part = wide[:, terms] @ w[terms] if right else w[:, terms] @ wide[terms]
        out += part.astype(np.int64).astype(np.int32)


def _exact_slices(w: np.ndarray, right: bool) -> list[slice]:
    """Parts of the contracted dimension whose sums the type of ``w`` holds exactly: all of it in f64."""
    size = w.shape[0 if right else 1]
    step = _EXACT_TERMS if w.dtype == np.float32 else max(1, size)
    return [slice(k, min(k + step, size)) for k in range(0, size, step)]


def _torch_view(torch: Any, array: np.ndarray) -> Any:
    """A tensor over an array; a copy of one that torch cannot look at (read-only, odd strides)."""
    if array.dtype.kind == "V":
        array = array.view(_TORCH_BITS[array.dtype.name])
        return _torch_view(torch, array).view(torch.bfloat16)
    if not array.flags.writeable or any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _numpy_view(torch: Any, tensor: Any) -> np.ndarray:
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().view(torch.int16).numpy().view(numpy_dtype("bf16"))
    return tensor.detach().numpy()
