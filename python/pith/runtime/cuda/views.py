"""Whatever array is passed -> where it is and what it looks like, without a copy; and typed errors for the rest."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from ...errors import ArgumentError, DeviceError
from ..arrays import loaded_torch
from . import dlpack, streams
from .driver import check, driver
from .elements import name_from_typestr, numpy_name
from .memory import DeviceArray

_TO_DEVICE = "pith.runtime.cuda.to_device(x) copies it there; results come back with .numpy()"


@dataclasses.dataclass(frozen=True)
class View:
    """An array in device memory.

    Attributes:
        address, shape: of its elements.
        dtype: element type, as NumPy calls it.
        ordinal: its device; None when it has no elements and so is nowhere.
        row_major: its elements lie one after another.
        writable: kernels may write to it.
        stream: the stream whose work it is the result of; None when nothing has to be waited for.
        needs_gradient: PyTorch records what is done to it.
        owner: keeps the memory.
    """

    address: int
    shape: tuple[int, ...]
    dtype: str
    ordinal: int | None
    row_major: bool = True
    writable: bool = True
    stream: int | None = None
    needs_gradient: bool = False
    owner: Any = None


def view(value: Any, where: str) -> View:
    """The view of any array on a GPU.

    Errors: :class:`pith.DeviceError` for arrays in host memory; :class:`pith.ArgumentError` for what is no array,
        naming ``where``.
    """
    if isinstance(value, DeviceArray):
        return _own(value)
    kind = framework_of(type(value))
    if kind == "torch":
        return _torch(value, where)
    if kind == "cupy":
        return _cupy(value)
    if kind == "numpy":
        raise DeviceError("expected an array on a GPU, got a NumPy array", where=where, hint=_TO_DEVICE)
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is not None:
        return _interface(interface, value)
    if hasattr(value, "__dlpack__"):
        return _capsule(value, where)
    raise ArgumentError(
        f"expected an array on a GPU, got {type(value).__name__}",
        where=where,
        hint="pass a torch or cupy array, or another object with __cuda_array_interface__ or __dlpack__",
    )


def framework_of(kind: type) -> str:
    """``torch``, ``cupy``, ``numpy``, or the name of the package a type is from; loads none of them."""
    torch = loaded_torch()
    if torch is not None and issubclass(kind, torch.Tensor):
        return "torch"
    return kind.__module__.partition(".")[0]


def _own(array: DeviceArray) -> View:
    memory = array.memory
    return View(
        memory.address,
        array.shape,
        numpy_name(array.element),
        array.device.ordinal if memory.address else None,
        stream=array.stream,
        owner=array,
    )


def _torch(tensor: Any, where: str) -> View:
    torch = sys.modules["torch"]
    if tensor.device.type != "cuda":
        raise DeviceError(
            f"expected a tensor on a GPU, got one on {tensor.device}", where=where, hint="call .cuda() on it"
        )
    if tensor.layout is not torch.strided:
        raise ArgumentError(
            f"expected a dense tensor, got layout {tensor.layout}",
            where=where,
            hint="call .to_dense(), or pass pith.SparseTensor.from_torch(x.cpu()) for a sparse argument",
        )
    if tensor.is_conj() or tensor.is_neg():
        raise ArgumentError(
            "its conjugation or sign is pending", where=where, hint="call .resolve_conj().resolve_neg()"
        )
    return View(
        tensor.data_ptr(),
        tuple(tensor.shape),
        str(tensor.dtype).removeprefix("torch."),
        tensor.device.index,
        tensor.is_contiguous(),
        needs_gradient=tensor.requires_grad,
        owner=tensor,
    )


def _cupy(array: Any) -> View:
    return View(array.data.ptr, array.shape, array.dtype.name, array.device.id, array.flags.c_contiguous, owner=array)


def _interface(interface: dict[str, Any], value: Any) -> View:
    address, read_only = interface["data"]
    shape = tuple(interface["shape"])
    itemsize = int(interface["typestr"][2:])
    strides = interface.get("strides")
    given = interface.get("stream")  # 1 is the interface's name of the legacy default stream
    return View(
        address or 0,
        shape,
        name_from_typestr(interface["typestr"]),
        ordinal_of(address),
        strides is None or is_row_major(shape, tuple(s // itemsize for s in strides)),
        not read_only,
        streams.DEFAULT if given == 1 else given,
        owner=value,
    )


def _capsule(value: Any, where: str) -> View:
    kind, ordinal = value.__dlpack_device__()
    if int(kind) not in (dlpack.CUDA, dlpack.CUDA_MANAGED):
        raise DeviceError(
            f"expected an array on a GPU, got DLPack device type {int(kind)}", where=where, hint=_TO_DEVICE
        )
    borrowed = dlpack.Borrowed(value.__dlpack__(stream=1), where)  # 1: the legacy default stream
    return View(
        borrowed.address,
        borrowed.shape,
        borrowed.dtype,
        int(ordinal),
        borrowed.strides is None or is_row_major(borrowed.shape, borrowed.strides),
        borrowed.writable,
        streams.DEFAULT,
        owner=borrowed,
    )


def is_row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether strides, in elements, are those of row-major storage; extents of 1 have any stride.

    Example:
        >>> is_row_major((2, 3), (3, 1)), is_row_major((2, 3), (1, 2)), is_row_major((1, 3), (7, 1))
        (True, False, True)
    """
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size != 1 and stride != expected and 0 not in shape:
            return False
        expected *= size
    return True


def ordinal_of(address: int | None) -> int | None:
    """The device an address is on; None for no memory."""
    if not address:
        return None
    d = driver()
    attribute = d.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(check(d.cuPointerGetAttribute(attribute, address), "asking which device an array is on"))
