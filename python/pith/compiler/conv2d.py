"""``pith.conv2d``: convolutions of the images, channels and filters that run-time patterns name."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..formats.pack_buffers import aligned_empty
from ..patterns import Pattern
from ..runtime import dtype_name, numpy_dtype
from ..runtime.arrays import as_array
from .einsum_ir import SUMS, Program, stored_type
from .einsum_kernel import kernel_of
from .einsum_nest import Listed, Nest
from .kernel import Kernel, as_torch, is_torch

_WHERE = "pith.conv2d"

#: Name of a pattern -> the dimension it lies on.
_AXES = {"images": "n", "filters": "f", "channels": "c", "rows": "y", "columns": "x"}

_Pair = tuple[int, int]


def conv2d(
    x: Any,
    w: Any,
    *,
    channels: Pattern | None = None,
    filters: Pattern | None = None,
    images: Pattern | None = None,
    rows: Pattern | None = None,
    columns: Pattern | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Any:
    """A 2-D convolution of what patterns name: channels that are alive, filters that are wanted, images that count.

    Shapes: x: ``(images, channels, height, width)``; w: ``(filters, channels, rows, columns)``; result:
        ``(images, filters, height', width')`` as in ``torch.nn.functional.conv2d``. Patterns have one axis.
    Semantics: as :func:`pith.einsum` with the patterns on these letters: images and filters that are not named
        are zero in the result, channels that are not named are not read. ``padding`` is zeros on both sides.
        The window's rows and columns are axes that may not be permuted: patterns on them are refused with the
        reason. One kernel is compiled per element type, granularities, stride, padding and dilation.
    Returns: a new array; a torch tensor when ``x`` is one.
    Errors: :class:`pith.ShapeError`, also for a window larger than the padded image; :class:`pith.DTypeError`;
        :class:`pith.ArgumentError`; :class:`pith.UnsupportedError` for a pattern on ``rows`` or ``columns``.

    Example:
        >>> import numpy as np, pith
        >>> x, w = np.ones((1, 3, 4, 4), np.float32), np.ones((2, 3, 3, 3), np.float32)
        >>> alive, wanted = pith.Pattern.from_indices([2], sizes=3), pith.Pattern.from_indices([1], sizes=2)
        >>> pith.conv2d(x, w, channels=alive, filters=wanted)[0, :, 0]
        array([[0., 0.],
               [9., 9.]], dtype=float32)
    """
    arrays = [as_array(v.detach() if is_torch(v) else v, f"{_WHERE}: {name}") for v, name in ((x, "x"), (w, "w"))]
    element = _element(*arrays)
    steps = tuple(_pair(v, low, n) for v, low, n in ((stride, 1, "stride"), (padding, 0, "padding")))
    dilated = _pair(dilation, 1, "dilation")
    shape = _shape(*arrays, *steps, dilated)
    sizes = {"n": shape[0], "f": shape[1], "y": shape[2], "x": shape[3], "c": arrays[0].shape[1]}
    given = {"images": images, "filters": filters, "channels": channels, "rows": rows, "columns": columns}
    patterns = {name: p for name, p in given.items() if p is not None}
    for name, pattern in patterns.items():
        _require_pattern(name, pattern, sizes[_AXES[name]])
    listed = tuple(Listed((_AXES[name],), p.granularity) for name, p in patterns.items())
    out = aligned_empty(math.prod(shape), numpy_dtype(stored_type(element))).reshape(shape)
    coordinates = [p.coordinates for p in patterns.values()]
    _kernel(element, listed, *steps, dilated).native(*map(np.ascontiguousarray, arrays), *coordinates, out)
    return as_torch(out) if is_torch(x) else out


@functools.cache
def _kernel(element: str, listed: tuple[Listed, ...], stride: _Pair, padding: _Pair, dilation: _Pair) -> Kernel:
    """The kernel of a convolution: the nest of ``linalg.conv_2d_nchw_fchw``."""
    y, x = (f"{o} * {s} + {k} * {d}" for o, k, s, d in zip("yx", "rs", stride, dilation))
    nest = Nest(tuple("nfyxcrs"), (("n", "c", y, x), tuple("fcrs")), tuple("nfyx"), listed)
    names = {d: name for name, d in _AXES.items()}
    return kernel_of(Program(nest, element, pad=padding), {**dict(zip("nfyxcrs", "nfyxcrs")), **names}, _WHERE)


def _element(x: np.ndarray, w: np.ndarray) -> str:
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ShapeError(
            f"expects (n, c, height, width) and (f, c, rows, columns), got {x.shape} and {w.shape}", where=_WHERE
        )
    element = dtype_name(x.dtype)
    if x.dtype != w.dtype or element not in SUMS:
        raise DTypeError(
            f"no kernel for {x.dtype} and {w.dtype}", where=_WHERE, hint="convert both to one of " + ", ".join(SUMS)
        )
    return element


def _pair(value: Any, low: int, name: str) -> _Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or any(not isinstance(v, int) or isinstance(v, bool) or v < low for v in pair):
        raise ArgumentError(f"expects one or two integers >= {low}, got {value!r}", where=f"{_WHERE}: {name}")
    return pair[0], pair[1]


def _shape(x: np.ndarray, w: np.ndarray, stride: _Pair, padding: _Pair, dilation: _Pair) -> tuple[int, ...]:
    """The shape of the result."""
    spatial = []
    for size, window, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation):
        room = size + 2 * p - d * (window - 1) - 1
        if room < 0 or not window:
            raise ShapeError(
                f"a window of {window} (dilation {d}) does not fit into {size} and padding {p}", where=_WHERE
            )
        spatial.append(room // s + 1)
    return x.shape[0], w.shape[0], *spatial


def _require_pattern(name: str, pattern: Any, size: int) -> None:
    if not isinstance(pattern, Pattern) or pattern.rank != 1:
        what = repr(pattern) if isinstance(pattern, Pattern) else type(pattern).__name__
        raise ArgumentError(
            f"expects a pith.Pattern of one axis, got {what}",
            where=f"{_WHERE}: {name}",
            hint="pith.Pattern.from_indices(indices, size)",
        )
    if pattern.sizes[0] != size:
        raise ShapeError(f"the axis has size {size}, its pattern is for {pattern.sizes[0]}", where=f"{_WHERE}: {name}")
