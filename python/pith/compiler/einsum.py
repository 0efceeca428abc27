"""``pith.einsum``: sums of products over the part of the iteration space that run-time patterns name."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..formats.pack_buffers import aligned_empty
from ..patterns import Pattern
from ..runtime import dtype_name, numpy_dtype
from ..runtime.arrays import as_array
from .einsum_equation import Equation, extents, parse
from .einsum_ir import ADDED, FRESH, NAMED, SUMS, Program, stored_type
from .einsum_kernel import kernel_of
from .einsum_nest import Listed, nest_of
from .einsum_text import MAX_PATTERNS
from .kernel import as_torch, is_torch
from .linear import ACTIVATIONS

_WHERE = "pith.einsum"

#: What computes gradients of it.
_GRADIENTS = "pith.torch.einsum"


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
        from .einsum_device import einsum_on_device

        return einsum_on_device(equation, operands, require_mapping(where), bias, activation, scale, out, accumulate)
    arrays = [as_array(x, f"{_WHERE}: operand {i}", _GRADIENTS) for i, x in enumerate(operands)]
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
    target = _target(out, shape, numpy_dtype(stored_type(element)), accumulate)
    arrays = [a.copy() if out is not None and np.may_share_memory(a, target) else a for a in arrays]
    views = [_row_major(a, letters) for a, letters in zip(arrays, equation.inputs)]
    written, result_letters = _row_major(target, equation.result)
    key = (tuple([v[1] for v in views]), result_letters, equation.result[-1:] if bias is not None else None)
    kernel = _kernel(*key, listed, element, into, activation, scale is not None)
    kernel.native(*[v[0] for v in views], *[p.coordinates for p in where.values()], *extras, written)
    return target


def product_kernel(lhs: str, rhs: str, letters: str, granularity: tuple[int, ...], element: str) -> Any:
    """The native kernel of ``lhs,rhs->mn`` over a pattern on ``letters``: of row-major operands, the pattern's
    coordinates and the result, all of which is written."""
    return _kernel((lhs, rhs), "mn", None, (_axes(letters, granularity),), element, FRESH, None, False).native


def dense_kernel(element: str) -> Any:
    """The native kernel of ``mk,kn->mn`` of row-major operands, and the result, all of which is written."""
    return _kernel(("mk", "kn"), "mn", None, (), element, FRESH, None, False).native


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
    return kernel_of(Program(nest, element, into, along, activation, scaled), letters, _WHERE)


def _element(arrays: Sequence[np.ndarray]) -> str:
    first = arrays[0].dtype
    if any(a.dtype != first for a in arrays):
        kinds = ", ".join(str(a.dtype) for a in arrays)
        raise DTypeError(f"expects operands of one element type, got {kinds}", where=_WHERE)
    require_signed(first, _WHERE)
    element = dtype_name(first)
    if element not in SUMS:
        raise DTypeError(f"no kernel for {first}", where=_WHERE, hint="convert to one of " + ", ".join(SUMS))
    return element


def require_mapping(where: Any) -> Mapping[str, Pattern]:
    """``where`` as a mapping, empty for None."""
    if where is None or isinstance(where, Mapping):
        return where or {}
    raise ArgumentError(
        f"expects letters -> pith.Pattern, got {type(where).__name__}",
        where=f"{_WHERE}: where",
        hint="where={'mk': pattern}",
    )


def require_scale(scale: Any) -> None:
    """Refuse what is neither a real number nor None."""
    if not isinstance(scale, (numbers.Real, type(None))) and getattr(scale, "shape", None) != ():
        raise ArgumentError(f"expects a number, got {type(scale).__name__}", where=f"{_WHERE}: scale")


def require_signed(dtype: np.dtype, where: str) -> None:
    """Refuse unsigned integers, which kernels would read as signed ones."""
    if dtype.kind == "u":
        raise DTypeError(f"no product of {dtype}: integers are signed", where=where, hint="convert to int16 or wider")


def _listed(letters: str, pattern: Any, equation: Equation, sizes: Mapping[str, int]) -> Listed:
    if not isinstance(pattern, Pattern):
        raise ArgumentError(
            f"expects a pith.Pattern for {letters!r}, got {type(pattern).__name__}",
            where=f"{_WHERE}: where",
            hint="pith.Pattern.from_indices(indices, sizes), pith.Pattern.from_mask(mask)",
        )
    if not isinstance(letters, str):
        raise ArgumentError(f"expects letters, got {letters!r}", where=f"{_WHERE}: where")
    if len(letters) != pattern.rank or len(set(letters)) != len(letters):
        raise ArgumentError(
            f"expects {pattern.rank} different letters for {pattern!r}, got {letters!r}", where=f"{_WHERE}: where"
        )
    for c, size in zip(letters, pattern.sizes):
        if c not in sizes:
            raise ArgumentError(f"{equation} has no letter {c!r}", where=f"{_WHERE}: where")
        if size != sizes[c]:
            raise ShapeError(f"{c!r} has size {sizes[c]}, its pattern is for {size}", where=f"{_WHERE}: where")
    return _axes(letters, pattern.granularity)


@functools.lru_cache(maxsize=1024)
def _axes(letters: str, granularity: tuple[int, ...]) -> Listed:
    """Equal ones are the same object: kernels are found without comparing them."""
    return Listed(tuple(letters), granularity)


def listed_axes(equation: Equation, sizes: Mapping[str, int], where: Mapping[str, Pattern]) -> tuple[Listed, ...]:
    """The axes of every pattern, each checked against the equation."""
    listed = tuple(_listed(letters, pattern, equation, sizes) for letters, pattern in where.items())
    _require_disjoint(where)
    return listed


def _require_disjoint(where: Mapping[str, Pattern]) -> None:
    if len(where) > MAX_PATTERNS:
        raise ArgumentError(f"expects at most {MAX_PATTERNS} patterns, got {len(where)}", where=f"{_WHERE}: where")
    every = "".join(where)
    twice = next((c for c in every if every.count(c) > 1), None)
    if twice is not None:
        raise ArgumentError(
            f"{twice!r} has two patterns",
            where=f"{_WHERE}: where",
            hint="give one pattern: p & q has what both name",
        )


def _extras(
    equation: Equation, sizes: Mapping[str, int], element: str, bias: Any, activation: str | None, scale: float | None
) -> list[Any]:
    """What the kernel takes behind the coordinates: bias and scale."""
    if activation is not None and activation not in ACTIVATIONS:
        raise ArgumentError(
            f"unknown activation {activation!r}", where=_WHERE, hint="one of " + ", ".join(ACTIVATIONS) + ", or None"
        )
    if "f" not in element and not (bias is activation is scale is None):
        raise DTypeError(f"no bias, activation or scale for {element}", where=_WHERE, hint="apply them to the result")
    extras: list[Any] = []
    if bias is not None:
        array = as_array(bias, _BIAS, _GRADIENTS)
        want = tuple(sizes[c] for c in equation.result[-1:])
        if not want or array.shape != want:
            raise ShapeError(f"expects shape {want or '(n,), a result with letters'}, got {array.shape}", where=_BIAS)
        if dtype_name(array.dtype) != element:
            raise DTypeError(f"expects {element}, got {array.dtype}", where=_BIAS)
        extras.append(np.ascontiguousarray(array))
    if scale is not None:
        require_scale(scale)
        extras.append(float(scale))
    return extras


_BIAS = f"{_WHERE}: bias"

#: Elements below which a result gains nothing from starting on a cache line; to see to it takes NumPy 5 us.
_SMALL = 1 << 14


def _target(out: Any, shape: tuple[int, ...], dtype: np.dtype, accumulate: bool) -> np.ndarray:
    """The array that is written: ``out``, or a new one."""
    if out is None:
        if accumulate:
            raise ArgumentError("accumulate=True adds to out, which is missing", where=_WHERE, hint="pass out=")
        size = math.prod(shape)
        return np.empty(shape, dtype) if size < _SMALL else aligned_empty(size, dtype).reshape(shape)
    array = as_array(out, f"{_WHERE}: out", _GRADIENTS)
    if array.shape != shape:
        raise ShapeError(f"expects shape {shape}, got {array.shape}", where=f"{_WHERE}: out")
    if array.dtype != dtype:
        raise DTypeError(f"expects {dtype}, got {array.dtype}", where=f"{_WHERE}: out")
    if not array.flags.writeable:
        raise ArgumentError("the array is read-only", where=f"{_WHERE}: out", hint="pass a writable copy")
    if _memory_order(array) is None:
        raise ShapeError(
            f"expects an array without gaps, got strides {array.strides} for shape {array.shape}",
            where=f"{_WHERE}: out",
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
