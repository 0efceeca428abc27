"""``pith.einsum``: sums of products over the part of the iteration space that run-time patterns name."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, DTypeError, ShapeError
from ...formats.pack_buffers import aligned_empty
from ...patterns import Pattern
from ...runtime import dtype_name, numpy_dtype
from ...runtime.arrays import as_array, is_torch
from ...traceable import traceable
from .arguments import WHERE, listed_axes, require_epilogue, require_mapping, require_out, require_signed
from .equation import Equation, extents, parse
from .ir import ADDED, FRESH, NAMED, SUMS, Program, stored_type
from .kernel import kernel_of
from .nest import Listed, nest_of


@traceable
def einsum(
    equation: str,
    *operands: Any,
    where: Mapping[str, Pattern] | None = None,
    bias: Any = None,
    activation: str | None = None,
    scale: float | None = None,
    out: Any = None,
    accumulate: bool = False,
) -> Any:
    """``activation(scale * einsum(equation, *operands) + bias)`` of the elements that patterns name.

    Shapes: as for ``numpy.einsum`` (``...`` included; sizes of 1 are not stretched) with 1 to 3 operands. bias: one
        number per place along the result's last letter.
    Semantics: ``where`` gives patterns to letters: ``{"mk": p, "n": q}`` puts p's two axes on m and k, q's on n.
        An element of the iteration space counts when every pattern names it. So a pattern on letters of the
        result alone says which places of it are computed: the others are zero, or keep what ``out`` holds. A
        pattern with a letter that is summed over says which terms the sums have, as zeros in an operand
        would; what it does not name is not read. f16 and bf16 are summed in f32 and rounded once; i8 and i16
        give i32. Floating-point sums have no fixed order. One kernel is compiled per equation, element
        type, granularities and order of dimensions in memory; new patterns and sizes compile nothing.
    Args:
        operands: NumPy arrays, torch tensors or anything with DLPack, of one element type; transposed ones
            are read as they are.
        where: letters -> :class:`pith.Pattern`, at most 3. Each letter is on one pattern at most, and must be an
            axis that may be permuted.
        activation: ``relu``, ``gelu`` (with erf), ``gelu_tanh``, ``silu`` or None.
        out: array for the result; ``accumulate=True`` adds to what it holds.
    Returns: ``out``, or a new array; a torch tensor when the first operand is one.
    Errors: :class:`pith.ArgumentError` for a malformed equation, letters that cannot have a pattern and tensors that
        require a gradient (:func:`pith.torch.einsum` computes it); :class:`pith.ShapeError`, also for a pattern of
        other sizes than the operands; :class:`pith.DTypeError`, also for unsigned integers;
        :class:`pith.DeviceError`; :class:`pith.UnsupportedError` for an axis that may not be permuted, with the
        reason. Nothing is written then.
    Source: Zheng et al., PIT, SOSP 2023.

    Example:
        >>> import numpy as np, pith
        >>> x, w = np.ones((3, 4), np.float32), np.arange(8, dtype=np.float32).reshape(4, 2)
        >>> pith.einsum("mk,kn->mn", x, w, where={"m": pith.Pattern.from_indices([0, 2], sizes=3)})
        array([[12., 16.],
               [ 0.,  0.],
               [12., 16.]], dtype=float32)
        >>> pith.einsum("mk,kn->mn", x, w, where={"k": pith.Pattern.from_indices([3], sizes=4)})[0]
        array([6., 7.], dtype=float32)
    """
    if any(getattr(x, "is_cuda", False) for x in operands):
        from .device import einsum_on_device

        return einsum_on_device(equation, operands, require_mapping(where), bias, activation, scale, out, accumulate)
    arrays = [as_array(x, f"{WHERE}: operand {i}") for i, x in enumerate(operands)]
    parsed = parse(equation, tuple(a.ndim for a in arrays))
    sizes = extents(parsed, [a.shape for a in arrays])
    result = execute(parsed, arrays, sizes, require_mapping(where), bias, activation, scale, out, accumulate)
    if out is not None:
        return out
    return as_torch(result) if is_torch(operands[0]) else result


def execute(
    equation: Equation,
    arrays: Sequence[np.ndarray],
    sizes: Mapping[str, int],
    where: Mapping[str, Pattern],
    bias: Any = None,
    activation: str | None = None,
    scale: float | None = None,
    out: Any = None,
    accumulate: bool = False,
) -> np.ndarray:
    """:func:`einsum` on a parsed equation; ``sizes`` may have result letters that no operand has."""
    element = _element(arrays)
    listed = listed_axes(equation, sizes, where)
    extras = _extras(equation, sizes, element, bias, activation, scale)
    shape = tuple([sizes[c] for c in equation.result])
    outer = any(all(c in equation.result for c in letters) for letters in where)
    into = ADDED if accumulate else NAMED if outer and out is not None else FRESH
    target = _target(out, shape, element, accumulate)
    arrays = [a.copy() if out is not None and np.may_share_memory(a, target) else a for a in arrays]
    views = [_row_major(a, letters) for a, letters in zip(arrays, equation.inputs)]
    written, result_letters = _row_major(target, equation.result)
    key = (tuple([v[1] for v in views]), result_letters, equation.result[-1:] if bias is not None else None)
    kernel = _kernel(*key, listed, element, into, activation, scale is not None)
    kernel.native(*[v[0] for v in views], *[p.coordinates for p in where.values()], *extras, written)
    return target


def dense_kernel(element: str, biased: bool = False, activation: str | None = None) -> Any:
    """The native kernel of ``activation(mk,kn->mn + bias of n)``: row-major operands, the bias where it is ``biased``,
    and the result, all of which is written."""
    return _kernel(("mk", "kn"), "mn", "n" if biased else None, (), element, FRESH, activation, False).native


@functools.cache
def _kernel(
    inputs: tuple[str, ...],
    result: str,
    bias: str | None,
    listed: tuple[Listed, ...],
    element: str,
    into: str,
    activation: str | None,
    scaled: bool,
) -> Any:
    """The kernel of operands whose letters stand in the order of their dimensions in memory."""
    nest, letters = nest_of(inputs, result, listed)
    along = next((d for d, c in letters.items() if c == bias), None)
    return kernel_of(Program(nest, element, into, along, activation, scaled), letters, WHERE)


def _element(arrays: Sequence[np.ndarray]) -> str:
    first = arrays[0].dtype
    if any(a.dtype != first for a in arrays):
        kinds = ", ".join(str(a.dtype) for a in arrays)
        raise DTypeError(f"expects operands of one element type, got {kinds}", where=WHERE)
    require_signed(first, WHERE)
    element = dtype_name(first)
    if element not in SUMS:
        raise DTypeError(f"no kernel for {first}", where=WHERE, hint="convert to one of " + ", ".join(SUMS))
    return element


def _extras(
    equation: Equation, sizes: Mapping[str, int], element: str, bias: Any, activation: str | None, scale: float | None
) -> list[Any]:
    """What the kernel takes behind the coordinates: bias and scale."""
    taken = None if bias is None else as_array(bias, f"{WHERE}: bias")
    require_epilogue(equation, sizes, element, taken, activation, scale)
    extras: list[Any] = []
    if taken is not None:
        if dtype_name(taken.dtype) != element:
            raise DTypeError(f"expects {element}, got {taken.dtype}", where=f"{WHERE}: bias")
        extras.append(np.ascontiguousarray(taken))
    if scale is not None:
        extras.append(float(scale))
    return extras


#: Elements below which a result gains nothing from starting on a cache line; to see to it takes NumPy 5 us.
_SMALL = 1 << 14


def _target(out: Any, shape: tuple[int, ...], element: str, accumulate: bool) -> np.ndarray:
    """The array that is written: ``out``, or a new one."""
    array = None if out is None else as_array(out, f"{WHERE}: out")
    require_out(array, shape, element, accumulate)
    if array is None:
        size, dtype = math.prod(shape), numpy_dtype(stored_type(element))
        return np.empty(shape, dtype) if size < _SMALL else aligned_empty(size, dtype).reshape(shape)
    if not array.flags.writeable:
        raise ArgumentError("the array is read-only", where=f"{WHERE}: out", hint="pass a writable copy")
    if _memory_order(array) is None:
        raise ShapeError(
            f"expects an array without gaps, got strides {array.strides} for shape {array.shape}",
            where=f"{WHERE}: out",
        )
    return array


def _row_major(array: np.ndarray, letters: str) -> tuple[np.ndarray, str]:
    """A row-major view of an array whose dimensions stand in another order in memory, and their letters; or a copy."""
    order = _memory_order(array)
    if not order:
        return (np.ascontiguousarray(array) if order is None else array), letters
    return array.transpose(order), "".join([letters[d] for d in order])


def _memory_order(array: np.ndarray) -> tuple[int, ...] | None:
    """The order of dimensions in which an array is row-major; () when it is as it stands, None when in none.

    >>> _memory_order(np.ones((2, 3))), _memory_order(np.ones((2, 3)).T), _memory_order(np.ones((2, 3))[:, :2])
    ((), (1, 0), None)
    """
    if array.flags.c_contiguous:
        return ()
    order = tuple(sorted(range(array.ndim), key=lambda d: -array.strides[d]))
    return order if array.transpose(order).flags.c_contiguous else None
