"""Any array-like argument -> a NumPy array that fits the signature, without copying where that is possible.

Accepted: NumPy arrays, torch tensors on the CPU, objects with ``__array_interface__`` or ``__dlpack__``,
and anything with the buffer protocol. An argument is copied only when the kernel needs row-major storage
and the array is not row-major; arguments a kernel writes to are never copied.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DeviceError, DTypeError, ShapeError
from ..formats.pack_buffers import aligned_empty
from .fast import array_function, register_tensor_type
from .signature import MemRefSpec, accepted_dtypes


def conform(value: Any, spec: MemRefSpec, where: str) -> np.ndarray:
    """``value`` as a NumPy array that fits ``spec`` as it is; shares storage unless it had to be made row-major.

    Errors: :class:`ShapeError`, :class:`DTypeError`, :class:`DeviceError` and
    :class:`ArgumentError` (read-only, needs a gradient, not an array), each naming ``where``.
    """
    array = as_array(value, where)
    if array.dtype not in accepted_dtypes(spec.dtype):
        raise DTypeError(
            f"expected {spec}, got an array of {array.dtype}", where=where, hint=f"convert it to {spec.dtype}"
        )
    check_shape(array.shape, spec, where)
    if spec.writable and not array.flags.writeable:
        raise ArgumentError(
            "the kernel writes to this argument but the array is read-only", where=where, hint="pass a writable copy"
        )
    if array.flags.c_contiguous or (spec.layout == "strided" and _has_element_strides(array)):
        return array
    if spec.writable:
        raise ShapeError(
            f"expected row-major storage, got strides of {array.strides} bytes for shape {array.shape}",
            where=where,
            hint="pass a contiguous array and copy the result into place",
        )
    return np.ascontiguousarray(array)


#: torch, once it was seen as a whole.
_torch: Any = None


def loaded_torch() -> Any:
    """torch where it is loaded, else None: also while another thread is importing it, when half of it is there."""
    global _torch
    torch = sys.modules.get("torch")
    if torch is not _torch:
        if getattr(getattr(torch, "__spec__", None), "_initializing", False):
            return None
        _torch = torch
    return torch


def is_torch(value: Any) -> bool:
    """True for a torch tensor; does not import torch."""
    torch = loaded_torch()
    return torch is not None and isinstance(value, torch.Tensor)


def plain_array(array: np.ndarray, where: str | None = None) -> np.ndarray:
    """An array of a subclass of NumPy's as one of NumPy's own, over the same memory.

    Errors: :class:`ArgumentError` for a masked array: its memory holds numbers where it says there are none.

    Example:
        >>> plain_array(np.ma.masked_array([1.0, 2.0], [False, True]), "x")
        Traceback (most recent call last):
        ...
        pith.errors.ArgumentError: x: a masked array's mask would be ignored
          hint: x.filled(0), or x.data to use what is behind the mask
    """
    if isinstance(array, np.ma.MaskedArray):
        hint = "x.filled(0), or x.data to use what is behind the mask"
        raise ArgumentError("a masked array's mask would be ignored", where=where, hint=hint)
    return array.view(np.ndarray)


def empty_array(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An uninitialised row-major array for a result. It starts a cache line, and its memory is kept for the next one.

    Example:
        >>> out = empty_array((2, 3), np.dtype(np.float32))
        >>> out.shape, out.ctypes.data % 64
        ((2, 3), 0)
    """
    new = array_function()
    made = NotImplemented if new is None else new(dtype, *shape)
    return aligned_empty(math.prod(shape), dtype).reshape(tuple(shape)) if made is NotImplemented else made


def descriptor(array: np.ndarray) -> tuple[int, ...]:
    """The memref descriptor of a conforming array: allocated and aligned pointer, offset, sizes, strides."""
    address = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return (address, address, 0, *array.shape, *row_major_strides(array.shape))
    return (address, address, 0, *array.shape, *(stride // array.itemsize for stride in array.strides))


def row_major_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of row-major storage.

    Example:
        >>> row_major_strides((2, 3, 4))
        (12, 4, 1)
    """
    strides = [1] * len(shape)
    for axis in range(len(shape) - 1, 0, -1):
        strides[axis - 1] = strides[axis] * shape[axis]
    return tuple(strides)


def check_shape(shape: tuple[int, ...], spec: MemRefSpec, where: str) -> None:
    """Raise :class:`ShapeError` unless ``shape`` fits the spec's sizes."""
    if len(shape) != spec.rank:
        raise ShapeError(f"expected {spec} (rank {spec.rank}), got shape {tuple(shape)}", where=where)
    for axis, (size, wanted) in enumerate(zip(shape, spec.shape)):
        if wanted not in (-1, size):
            raise ShapeError(f"expected {spec}, got shape {tuple(shape)}: size {size} in axis {axis}", where=where)


def as_array(value: Any, where: str) -> np.ndarray:
    """A NumPy view of any supported array-like."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ndarray):
        return plain_array(value, where)
    if is_torch(value):
        return _from_torch(sys.modules["torch"], value, where)
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(value, where)
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"expected an array, got {type(value).__name__}",
            where=where,
            hint=_HINTS.get(type(value).__name__) or _HINTS.get(type(value).__module__.partition(".")[0], _HINT),
        ) from error


def array_or_tensor(value: Any, where: str) -> Any:
    """A NumPy array or torch tensor as it is; a view of anything else that is an array.

    Example:
        >>> array_or_tensor(memoryview(b"ab"), "x").tolist()
        [97, 98]
    """
    return value if type(value) is np.ndarray or is_torch(value) else as_array(value, where)


def array_of_shape(value: Any, name: str, shape: tuple[int, ...], where: str, hint: str | None = None) -> Any:
    """The operand ``name`` of ``where`` as :func:`array_or_tensor` has it.

    Errors: :class:`pith.ShapeError` for another shape.

    Example:
        >>> array_of_shape(np.ones(3), "bias", (3,), "pith.linear").tolist()
        [1.0, 1.0, 1.0]
    """
    array = array_or_tensor(value, f"{where}: {name}")
    if tuple(array.shape) != shape:
        raise ShapeError(f"expects {name} of shape {shape}, got {tuple(array.shape)}", where=where, hint=hint)
    return array


_HINT = "pass a NumPy array, a torch tensor or another object with __dlpack__ or the buffer protocol"

#: The same for pith's own operands, by the name of their class: this layer knows none of them; and by package.
_HINTS = {
    "SparseTensor": "A.to_dense() is the array; pith.matmul and pith.linear take A itself",
    "Dynamic": "pith.matmul takes dynamic operands; here pass its .value",
    "QuantizedTensor": "q.dequantize().to_dense() is the array; pith.matmul and pith.linear take q itself",
    "Ragged": "pass its .data, and where sequences matter lengths=r.lengths",
    "list": "numpy.asarray(x); of several arrays numpy.stack(x)",
    "scipy": "A.toarray() is the array; pith.matmul and pith.linear take A itself",
}


#: What to do with an array on a GPU where only host arrays are taken.
_MOVE = "call .cpu(), or run it on the GPU as part of a program: pith.compile(..., target='sm_90')"


def _has_element_strides(array: np.ndarray) -> bool:
    return all(stride % array.itemsize == 0 for stride in array.strides)


#: What computes gradients in place of a function, by the name that ``where`` begins with.
_DIFFERENTIABLE = {
    "linear": "pith.torch.sparse_linear(x, values, A, bias)",
    "matmul": "pith.torch.sparse_linear(x, values, A), which is x @ A.T",
    "einsum": "pith.torch.einsum",
    "attention": "pith.torch.sparse_attention",
    "grouped_matmul": "pith.torch.MoE",
    "moe": "pith.torch.MoE",
}


def _from_torch(torch: Any, tensor: Any, where: str) -> np.ndarray:
    """A view of a dense CPU tensor. Gradients do not flow through kernels, so asking for one is an error."""
    if tensor.device.type != "cpu":
        raise DeviceError(f"expected a tensor on the CPU, got one on {tensor.device}", where=where, hint=_MOVE)
    if tensor.layout is not torch.strided:
        hint = "call .to_dense(); pith.matmul takes it as it is"
        raise ArgumentError(f"expected a dense tensor, got layout {tensor.layout}", where=where, hint=hint)
    if tensor.requires_grad and torch.is_grad_enabled():
        if torch.compiler.is_compiling():
            raise _while_exporting(where)
        require_no_gradient(tensor, where)
    if type(tensor) in (torch.Tensor, torch.nn.Parameter):  # subclasses may mean something else by their storage
        register_tensor_type(type(tensor))
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise unreadable(torch, error, where) from error


def require_no_gradient(tensor: Any, where: str) -> None:
    """Raise :class:`ArgumentError` for a tensor of torch's through which gradients are to flow."""
    if not (tensor.requires_grad and sys.modules["torch"].is_grad_enabled()):
        return
    other = _DIFFERENTIABLE.get(where.partition(":")[0].removeprefix("pith."))
    raise ArgumentError(
        "the tensor requires a gradient, which a native kernel does not compute",
        where=where,
        hint=f"{f'{other} has gradients; ' if other else ''}without them: torch.no_grad(), or tensor.detach()",
    )


def unreadable(torch: Any, error: Exception, where: str | None = None) -> DTypeError:
    """What to say of a tensor that has no storage; while torch traces, none has."""
    if torch.compiler.is_compiling():
        return _while_exporting(where)
    transformed = torch._C._are_functorch_transforms_active()
    hint = "torch.func (grad, vmap, jvp, ...) does not go through kernels: loss.backward()" if transformed else None
    return DTypeError(f"the tensor has no storage kernels can read: {error}", where=where, hint=hint)


def _while_exporting(where: str | None) -> DTypeError:
    return DTypeError(
        "kernels cannot run while torch exports a module: its tensors have no values",
        where=where,
        hint="write torch's op in the module and name formats, sparsity={'*.weight': format}, or use "
        "pith.torch.SparseLinear; else call the kernel outside of the module",
    )


def _from_dlpack(value: Any, where: str) -> np.ndarray:
    device, _ = value.__dlpack_device__()
    if int(device) not in (1, 3):  # kDLCPU, kDLCUDAHost
        raise DeviceError(
            f"expected an array on the CPU, got DLPack device type {int(device)}", where=where, hint=_MOVE
        )
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise DTypeError(f"the array cannot be read through DLPack: {error}", where=where) from error
