"""What is passed -> one word per operand, and a key that says whether launch parameters can be used again."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ...errors import ArgumentError, DeviceError, DTypeError, ShapeError
from ...programs import Operand, Program, Size, TensorMap
from .elements import accepts, word_of
from .memory import DeviceArray
from .views import View, framework_of, ordinal_of, view

#: Buffers must begin at a multiple of this: kernels load 16 bytes at once.
ALIGNMENT = 16

#: Bits of an address that must be zero for that. They are part of the key, so that no other address meets a plan.
_MISALIGNED = ALIGNMENT - 1

#: Words of the operands a value stands for, and its part of the key.
Described = tuple[tuple[int, ...], Hashable]


def _describe_torch(tensor: Any) -> Described:
    address = tensor.data_ptr()
    return (address,), (
        tensor.shape,
        tensor.dtype,
        tensor.get_device(),
        tensor.is_contiguous(),
        tensor.requires_grad,
        address & _MISALIGNED,
    )


def _describe_cupy(array: Any) -> Described:
    address = array.data.ptr
    contiguous = array.flags.c_contiguous
    return (address,), (array.shape, array.dtype, array.device.id, contiguous, address & _MISALIGNED)


def _describe_own(array: DeviceArray) -> Described:
    memory = array.memory
    return (memory.address,), (array.shape, array.element, memory.device.ordinal, array.stream)


def _describe_interface(value: Any) -> Described:
    interface = value.__cuda_array_interface__
    address, read_only = interface["data"]
    strides = interface.get("strides")
    return (address or 0,), (
        tuple(interface["shape"]),
        interface["typestr"],
        strides and tuple(strides),
        read_only,
        interface.get("stream"),
        ordinal_of(address),
        (address or 0) & _MISALIGNED,
    )


def _describe_view(value: Any) -> Described:
    seen = view(value, "argument")
    return (seen.address,), dataclasses.replace(seen, address=seen.address & _MISALIGNED, owner=None)


def describer(kind: type) -> Callable[[Any], Described]:
    """The function that describes values of a type. It checks nothing: :func:`bind_array` does, for a new key."""
    if kind is DeviceArray:
        return _describe_own
    framework = framework_of(kind)
    if framework in ("torch", "cupy"):
        return _describe_torch if framework == "torch" else _describe_cupy
    return _describe_interface if hasattr(kind, "__cuda_array_interface__") else _describe_view


@dataclasses.dataclass(frozen=True)
class Bound:
    """One operand of a call, checked.

    Attributes:
        operand: what the program expects.
        seen: the array, None for a number.
        number: a number's value.
        where: what errors call it.
    """

    operand: Operand
    seen: View | None
    number: Any
    where: str

    def without_owner(self) -> Bound:
        """The same, but that it does not keep the memory."""
        seen = None if self.seen is None else dataclasses.replace(self.seen, owner=None)
        return dataclasses.replace(self, seen=seen)


def bind_array(operand: Operand, value: Any, where: str) -> Bound:
    """Check an array against what the program expects of it.

    Errors: :class:`pith.DTypeError`, :class:`pith.ShapeError`, :class:`pith.DeviceError`, :class:`pith.ArgumentError`.
    """
    seen = view(value, where)
    expected = _text(operand)
    if not accepts(operand.dtype, seen.dtype):
        hint = f"convert it to {operand.dtype}"
        raise DTypeError(f"expected {expected}, got an array of {seen.dtype}", where=where, hint=hint)
    sizes = [s.constant for s in operand.shape or ()]
    if len(sizes) != len(seen.shape) or any(s not in (None, n) for s, n in zip(sizes, seen.shape)):
        raise ShapeError(f"expected {expected}, got shape {seen.shape}", where=where)
    if not seen.row_major and 0 not in seen.shape:
        raise ShapeError(
            f"expected row-major storage, got strides for shape {seen.shape} that are not",
            where=where,
            hint="pass x.contiguous() (torch) or cupy.ascontiguousarray(x)",
        )
    if seen.address % ALIGNMENT:
        raise ArgumentError(
            f"begins at an address that is no multiple of {ALIGNMENT} bytes: a view into the middle of another array",
            where=where,
            hint="pass a copy: x.clone() (torch), x.copy() (cupy)",
        )
    if operand.written and not seen.writable:
        raise ArgumentError(
            "the kernel writes to this argument but the array is read-only", where=where, hint="pass a writable copy"
        )
    return Bound(operand, seen, None, where)


def bind_number(operand: Operand, value: Any, where: str) -> Bound:
    """Check a number.

    Errors: :class:`pith.ArgumentError` for what is none, or does not fit.
    """
    word_checked(operand, value, where)
    return Bound(operand, None, value, where)


def word_checked(operand: Operand, value: Any, where: str) -> int:
    """The word of a number.

    Errors: :class:`pith.ArgumentError`.
    """
    try:
        return word_of(operand.dtype, value)
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        kind = type(value).__name__
        raise ArgumentError(f"expected a number ({operand.dtype}), got {kind}", where=where) from error
    except OverflowError as error:
        raise ArgumentError(str(error), where=where) from error


def one_device(bound: Sequence[Bound]) -> int | None:
    """The device all arrays are on; None when none of them has elements.

    Errors: :class:`pith.DeviceError` naming two that are on different ones.
    """
    first: tuple[int, str] | None = None
    for b in bound:
        ordinal = None if b.seen is None else b.seen.ordinal
        if ordinal is None:
            continue
        if first is None:
            first = (ordinal, b.where)
        elif first[0] != ordinal:
            raise DeviceError(
                f"is on device {ordinal}, {first[1]} is on device {first[0]}", where=b.where, hint="move one of them"
            )
    return None if first is None else first[0]


def no_gradients(bound: Sequence[Bound]) -> None:
    """Refuse tensors through which a gradient would have to flow.

    Errors: :class:`pith.ArgumentError`.
    """
    for b in bound:
        if b.seen is not None and b.seen.needs_gradient:
            raise ArgumentError(
                "the tensor requires a gradient, which a compiled kernel does not compute",
                where=b.where,
                hint="call the kernel under torch.no_grad(), or pass tensor.detach()",
            )


def sizing_numbers(program: Program) -> frozenset[int]:
    """The operands that are numbers and decide about grids or buffers."""
    found: set[int] = set()

    def visit(size: Size) -> None:
        if size.op == "scalar":
            found.add(size.args[0])
        for part in size.args:
            if isinstance(part, Size):
                visit(part)

    for buffer in program.buffers:
        for size in buffer.shape or ():
            visit(size)
    for launch in program.launches:
        for size in (*launch.grid, *(o for o in launch.operands if isinstance(o, Size))):
            visit(size)
        for size in (s for o in launch.operands if isinstance(o, TensorMap) for s in o.shape):
            visit(size)
    return frozenset(found)


def _text(operand: Operand) -> str:
    sizes = "x".join("?" if s.constant is None else str(s.constant) for s in operand.shape or ())
    return f"{sizes}x{operand.dtype}" if sizes else operand.dtype
