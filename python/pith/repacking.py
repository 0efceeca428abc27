"""New values on an old pattern: :func:`repack`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError, FormatError, ShapeError
from .formats.pack_digits import may_repeat
from .generation import values_changed
from .quantization import QuantizedTensor, quantize
from .sparse import SparseTensor
from .sparse_interop import numpy_of


def repack(a: Any, w: Any, out: Any = None) -> Any:
    """``a`` with the values of a dense tensor where ``a`` stores something, as after a training step.

    Args:
        a: :class:`pith.SparseTensor`, or :class:`pith.QuantizedTensor`: then scales and zero points are chosen anew.
        out: a tensor on the buffers of ``a``'s pattern, such as ``a`` itself: its values are overwritten in place,
            and kernels, bound or not, that hold it see the new ones. On a GPU calls do; a kernel that has it bound
            there keeps its copy.

    Shapes:  w: NumPy array or torch tensor of ``a``'s shape and element type (floats, where ``a`` is quantised);
        result: shares the metadata of ``a``.
    Semantics: what ``w`` has elsewhere is ignored. Places that fill up groups take the value of ``w`` too.
    Cost: one kernel per format and element type, whatever the pattern and the shape.
    Errors:  :class:`pith.ShapeError`, :class:`pith.DTypeError`; :class:`pith.FormatError` for formats that may
        store an element twice; :class:`pith.ArgumentError` for an ``out`` of another pattern or read-only and
        for an ``a`` that is not sparse.

    Example:
        >>> from pith import compress
        >>> a = compress(np.array([[0.0, 1.0, 0.0, 2.0]]), "C0(2:4)")
        >>> repack(a, np.array([[9.0, 3.0, 9.0, 4.0]])).to_dense()
        array([[0., 3., 0., 4.]])
        >>> repack(a, np.array([[9.0, 3.0, 9.0, 4.0]]), out=a) is a
        True
    """
    if isinstance(a, QuantizedTensor):
        return _requantize(a, w, out)
    if not isinstance(a, SparseTensor):
        raise ArgumentError(f"expects a pith.SparseTensor, got {type(a).__name__}", hint="pith.compress(w, fmt)")
    array = numpy_of(w)
    if array.shape != a.shape:
        raise ShapeError(
            f"expects values of shape {a.shape}, got {array.shape}", hint="those of the dense tensor, zeros too"
        )
    if array.dtype != a.dtype:
        raise DTypeError(f"expects values of type {a.dtype}, got {array.dtype}", hint="convert with .astype(...)")
    if may_repeat(a.format):
        raise FormatError(f"format {a.format} may store an element twice", hint="convert it: a.to(fmt)")
    if out is not None:
        _check_out(a, out)
    from .compiler.packing import repack_compiled

    flat = array if a.hss is None else array.reshape(a.hss.flat_shape(array.shape))
    values = repack_compiled(a.buffers, a.format, flat)
    if out is None:
        return dataclasses.replace(a, buffers=(*a.buffers[:-1], values))
    np.copyto(out.values, values)
    values_changed()
    return out


def _requantize(a: QuantizedTensor, w: Any, out: Any) -> QuantizedTensor:
    array = numpy_of(w)
    pattern = SparseTensor(a.shape, a.format, (*a.buffers[:-1], np.zeros(a.count, array.dtype)), a.hss)
    new = quantize(repack(pattern, array), bits=a.bits, group=a.group)
    if out is None:
        return new
    same = isinstance(out, QuantizedTensor) and (out.bits, out.group, out.count) == (a.bits, a.group, a.count)
    if not same or any(x is not y for x, y in zip(a.buffers[:-1], out.buffers[:-1])):
        raise ArgumentError("out must share the pattern of a", hint="out=a, or a tensor that repack(a, ...) returned")
    for target, source in ((out.buffers[-1], new.buffers[-1]), (out.scales, new.scales)):
        np.copyto(target, source)
    if out.zero_points is not None and new.zero_points is not None:
        np.copyto(out.zero_points, new.zero_points)
    out.__dict__.pop("row_sums", None)  # of the integers that were
    values_changed()
    return out


def _check_out(a: SparseTensor, out: SparseTensor) -> None:
    same = isinstance(out, SparseTensor) and (out.format, out.shape, out.dtype) == (a.format, a.shape, a.dtype)
    if not same or any(x is not y for x, y in zip(a.buffers[:-1], out.buffers[:-1])):
        raise ArgumentError("out must share the pattern of a", hint="out=a, or a tensor that repack(a, ...) returned")
    if not out.values.flags.writeable:
        raise ArgumentError("out has values that are read-only", hint="repack(a, w) makes a new tensor")
