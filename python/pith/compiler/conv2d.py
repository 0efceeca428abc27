"""``pith.conv2d``: convolutions of the images, channels and filters that run-time patterns name."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ..patterns import Pattern
from ..runtime import dtype_name
from ..runtime.arrays import as_array
from ..sparse import SparseTensor
from .conv2d_geometry import Geometry
from .conv2d_stored import convolve_stored
from .einsum import execute
from .einsum_arguments import require_signed
from .einsum_equation import Equation
from .einsum_ir import NAMED, SUMS, Program
from .einsum_kernel import kernel_of, require_invariant
from .einsum_nest import Listed, Nest
from .kernel import Kernel, as_torch, is_torch

_WHERE = "pith.conv2d"

#: Name of a pattern -> the dimension it lies on.
_AXES = {"images": "n", "filters": "f", "channels": "c", "rows": "y", "columns": "x"}

#: The product of windows and weights; the weights with the window in front, so that it is a batch of matrices.
_PRODUCT = Equation(("ncrsp", "rsfc"), "nfp")

#: Share of the work from which on torch, where it is loaded, computes what is named: its dense convolution is 1.5 to
#: 2.3 times as fast as kernels that copy windows (28x28 and 14x14 images, 64 and 128 channels, f32; AVX2, 2026-11-21).
_LIBRARY_SHARE = 0.25


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
    groups: int = 1,
    bias: Any = None,
    activation: str | None = None,
    residual: Any = None,
) -> Any:
    """A 2-D convolution of what patterns name: channels that are alive, filters that are wanted, images that count.

    Shapes: x: ``(images, channels, height, width)``; w: ``(filters, channels / groups, rows, columns)``, dense or a
        :class:`pith.SparseTensor`; result: ``(images, filters, height', width')`` as in
        ``torch.nn.functional.conv2d``. Patterns have one axis. bias: ``(filters,)``; residual: as the result.
    Semantics: as :func:`pith.einsum` with the patterns on these letters: images and filters that are not named
        are zero in the result, channels that are not named are not read. ``padding`` is zeros on both sides.
        The window's rows and columns are axes that may not be permuted: patterns on them are refused with the
        reason. Windows of the named images and channels are copied, then multiplied as an einsum. Two kernels are
        compiled per element type, granularities, stride, padding and dilation. Where torch is loaded and more than a
        quarter of the work is named, f32 and f64: what is named is copied together and convolved by torch. Groups are
        convolutions one after the other; they take patterns of images.
        A stored ``w`` is multiplied by windows of the image as a matrix, see :func:`pith.matmul`: zeros are skipped,
        and ``activation(... + bias) + residual`` is computed before anything is stored. So is a dense ``w`` beside one
        of these three. A kernel is compiled per format, sizes of an image and of ``w``, and geometry; for one image,
        and for any number of them. No groups, no patterns.
    Args:
        activation: as in :func:`pith.linear`.
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
    geometry = Geometry.of(stride, padding, dilation, _WHERE)
    if isinstance(w, SparseTensor) or any(v is not None for v in (bias, activation, residual)):
        given = (images, channels, filters, rows, columns, None if groups == 1 else groups)
        return convolve_stored(x, w, geometry, bias, activation, residual, given)
    arrays = [as_array(v, f"{_WHERE}: {name}") for v, name in ((x, "x"), (w, "w"))]
    if groups != 1:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "images": images}
        given = next((p for p in (channels, filters, rows, columns) if p is not None), None)
        parts = [conv2d(part, own, **options) for part, own in _groups(arrays[0], arrays[1], groups, given)]
        return as_torch(np.concatenate(parts, 1)) if is_torch(x) else np.concatenate(parts, 1)
    _check(*arrays)
    shape = geometry.shape(arrays[0].shape, arrays[1].shape)
    sizes = {"n": shape[0], "f": shape[1], "y": shape[2], "x": shape[3], "c": arrays[0].shape[1]}
    given = {"images": images, "filters": filters, "channels": channels, "rows": rows, "columns": columns}
    patterns = {name: p for name, p in given.items() if p is not None}
    for name, pattern in patterns.items():
        _require_pattern(name, pattern, sizes[_AXES[name]])
    if rows is not None or columns is not None:
        _require_spatial(geometry, tuple(Listed((_AXES[name],), p.granularity) for name, p in patterns.items()))
    if (done := _by_library(arrays[0], arrays[1], shape, patterns, geometry)) is not None:
        return as_torch(done) if is_torch(x) else done
    windows = _windows(arrays[0], arrays[1].shape[2:], shape, patterns, geometry)
    letters = {_AXES[name]: p for name, p in patterns.items()}
    weights = np.ascontiguousarray(arrays[1].transpose(2, 3, 0, 1))
    sizes |= {"r": weights.shape[0], "s": weights.shape[1], "p": shape[2] * shape[3]}
    out = execute(_PRODUCT, [windows, weights], sizes, letters).reshape(shape)
    return as_torch(out) if is_torch(x) else out


def _groups(x: np.ndarray, w: np.ndarray, groups: int, pattern: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """The channels and the filters of each group."""
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1:
        raise ArgumentError(f"expects an integer >= 1, got {groups!r}", where=f"{_WHERE}: groups")
    if pattern is not None:
        raise UnsupportedError(
            "with groups, patterns lie on images",
            where=_WHERE,
            hint="call it once per group, with the patterns of its channels and filters",
        )
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != groups * w.shape[1] or len(w) % groups:
        raise ShapeError(
            f"expects (n, c, height, width) and (f, c / {groups}, rows, columns), {groups} dividing f, "
            f"got {x.shape} and {w.shape}",
            where=_WHERE,
        )
    return list(zip(np.split(x, groups, 1), np.split(w, groups)))


def _by_library(
    x: np.ndarray, w: np.ndarray, shape: Sequence[int], patterns: Mapping[str, Pattern], geometry: Geometry
) -> np.ndarray | None:
    """torch's convolution of what is named; None where it is not loaded, or little is named."""
    torch = sys.modules.get("torch")
    if torch is None or x.dtype.char not in "fd" or not x.size or not w.size:
        return None
    listed = {name: p.indices()[0] for name, p in patterns.items()}
    if math.prod(len(listed[name]) / p.sizes[0] for name, p in patterns.items()) <= _LIBRARY_SHARE:
        return None
    named = {name: found for name, found in listed.items() if len(found) < patterns[name].sizes[0]}
    if "channels" in named:
        x, w = x[:, named["channels"]], w[:, named["channels"]]
    x = x[named["images"]] if "images" in named else x
    w = w[named["filters"]] if "filters" in named else w
    a, b = (torch.from_numpy(v if v.flags.carray else v.copy()) for v in (x, w))
    options = {"stride": geometry.stride, "padding": geometry.padding, "dilation": geometry.dilation}
    found = torch.nn.functional.conv2d(a, b, **options).numpy()
    if "images" not in named and "filters" not in named:
        return found
    out = np.zeros(shape, x.dtype)
    out[np.ix_(*(named.get(name, np.arange(n)) for name, n in zip(("images", "filters"), shape)))] = found
    return out


def _windows(
    x: np.ndarray,
    window: Sequence[int],
    shape: Sequence[int],
    patterns: Mapping[str, Pattern],
    geometry: Geometry,
) -> np.ndarray:
    """What every element of the window meets: ``(n, c, r, s, y * x)``, of the images and channels that are named."""
    named = {_AXES[name]: p for name, p in patterns.items() if name in ("images", "channels")}
    listed = tuple(Listed((d,), p.granularity) for d, p in named.items())
    out = np.empty((*x.shape[:2], *window, *shape[2:]), x.dtype)
    kernel = _unfolding(dtype_name(x.dtype), listed, geometry)
    kernel.native(np.ascontiguousarray(x), *(p.coordinates for p in named.values()), out)
    return out.reshape(*out.shape[:4], shape[2] * shape[3])


@functools.cache
def _unfolding(element: str, listed: tuple[Listed, ...], geometry: Geometry) -> Kernel:
    """The kernel that copies windows; what it does not copy stays as it is."""
    nest = Nest(tuple("ncrsyx"), (("n", "c", *geometry.places()),), tuple("ncrsyx"), listed)
    program = Program(nest, element, NAMED, copies=True, pad=geometry.padding)
    return kernel_of(program, dict(zip("ncrsyx", "ncrsyx")), _WHERE)


def _require_spatial(geometry: Geometry, listed: tuple[Listed, ...]) -> None:
    """Ask the rule about the convolution itself, ``linalg.conv_2d_nchw_fchw``."""
    nest = Nest(tuple("nfyxcrs"), (("n", "c", *geometry.places()), tuple("fcrs")), tuple("nfyx"), listed)
    names = {**dict(zip("nfyxcrs", "nfyxcrs")), **{d: name for name, d in _AXES.items()}}
    require_invariant(nest, names, _WHERE)


def _check(x: np.ndarray, w: np.ndarray) -> None:
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ShapeError(
            f"expects (n, c, height, width) and (f, c, rows, columns), got {x.shape} and {w.shape}", where=_WHERE
        )
    require_signed(x.dtype, _WHERE)
    if x.dtype != w.dtype or dtype_name(x.dtype) not in SUMS:
        raise DTypeError(
            f"no kernel for {x.dtype} and {w.dtype}", where=_WHERE, hint="convert both to one of " + ", ".join(SUMS)
        )


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
