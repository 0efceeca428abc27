"""``pith.conv2d``: convolutions of the images, channels and filters that run-time patterns name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ...patterns import Pattern
from ...runtime import dtype_name
from ...runtime.arrays import as_array, is_torch
from ...traceable import traceable
from ..einsum.arguments import require_signed
from ..einsum.ir import SUMS
from ..einsum.kernel import require_invariant
from ..einsum.nest import Listed, Nest
from .geometry import Geometry
from .library import key_of, repeat
from .named import AXES, convolve_named
from .stored import convolve_stored, is_fused

_WHERE = "pith.conv2d"


@traceable
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
    variant: str = "auto",
) -> Any:
    """A 2-D convolution of what patterns name: channels that are alive, filters that are wanted, images that count.

    Shapes: x: ``(images, channels, height, width)``; w: ``(filters, channels / groups, rows, columns)``, dense or a
        :class:`pith.SparseTensor`; result: ``(images, filters, height', width')`` as in
        ``torch.nn.functional.conv2d``. Patterns have one axis. bias: ``(filters,)``; residual: as the result.
    Semantics: as :func:`pith.einsum` with the patterns on these letters: images and filters that are not named
        are zero in the result, channels that are not named are not read. ``padding`` is zeros on both sides.
        The window's rows and columns are axes that may not be permuted: patterns on them are refused with the
        reason. What runs is decided by the counts and the tile database, as for :func:`pith.dynamic`;
        ``pith.explain(pith.conv2d, x, w, channels=...)`` shows it. Calls that repeat, the same patterns and sizes, time
        torch's two ways and take the faster one. Groups are convolutions one after the other; they
        take patterns of images.
        A stored ``w`` is multiplied by windows of the image as a matrix, see :func:`pith.matmul`: zeros are skipped,
        and ``activation(... + bias) + residual`` is computed before anything is stored. So is a dense ``w`` beside one
        of these three. A kernel is compiled per format, sizes of an image and of ``w``, and geometry; for one image,
        and for any number of them. No groups, no patterns.
    Args:
        activation: as in :func:`pith.linear`.
        variant: ``auto``; where torch is loaded, for f32 and f64, ``named`` (torch's convolution of copies of what is
            named) and ``dense`` (of all channels, those that are not named zeroed in a copy); ``windows`` (windows of
            what is named are copied, then multiplied as an einsum: two kernels per element type, granularities,
            stride, padding and dilation).
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
    if is_fused(w, bias, activation, residual):
        if variant != "auto":
            hint = "auto: one kernel, fused with what follows"
            raise UnsupportedError(f"no variant {variant!r} of stored filters and fused ones", where=_WHERE, hint=hint)
        given = (images, channels, filters, rows, columns, None if groups == 1 else groups)
        return convolve_stored(x, w, Geometry.of(stride, padding, dilation, _WHERE), bias, activation, residual, given)
    if groups != 1:
        arrays = [as_array(v, f"{_WHERE}: {name}") for v, name in ((x, "x"), (w, "w"))]
        options = {"stride": stride, "padding": padding, "dilation": dilation, "images": images, "variant": variant}
        given = next((p for p in (channels, filters, rows, columns) if p is not None), None)
        parts = [conv2d(part, own, **options) for part, own in _groups(arrays[0], arrays[1], groups, given)]
        return as_torch(np.concatenate(parts, 1)) if is_torch(x) else np.concatenate(parts, 1)
    given = {"images": images, "filters": filters, "channels": channels, "rows": rows, "columns": columns}
    a, b = (v if type(v) is np.ndarray else as_array(v, f"{_WHERE}: {name}") for v, name in ((x, "x"), (w, "w")))
    key = key_of(a, b, given, (stride, padding, dilation)) if variant == "auto" else None
    out = repeat(key, a, b, given)
    if out is None:
        made = prepared(a, b, stride=stride, padding=padding, dilation=dilation, **given)
        out = convolve_named(*made, variant, key)
    return out if a is x else as_torch(out) if is_torch(x) else out


def prepared(
    x: Any, w: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, **given: Any
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], dict[str, Pattern], Geometry]:
    """Images, dense filters, the shape of the result, the patterns that are ``given``, and the geometry, checked."""
    geometry = Geometry.of(stride, padding, dilation, _WHERE)
    x, w = (as_array(v, f"{_WHERE}: {name}") for v, name in ((x, "x"), (w, "w")))
    _check(x, w)
    shape = geometry.shape(x.shape, w.shape)
    sizes = {"n": shape[0], "f": shape[1], "y": shape[2], "x": shape[3], "c": x.shape[1]}
    patterns = {name: p for name, p in given.items() if p is not None}
    for name, pattern in patterns.items():
        _require_pattern(name, pattern, sizes[AXES[name]])
    if "rows" in patterns or "columns" in patterns:
        _require_spatial(geometry, tuple(Listed((AXES[name],), p.granularity) for name, p in patterns.items()))
    return x, w, shape, patterns, geometry


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


def _require_spatial(geometry: Geometry, listed: tuple[Listed, ...]) -> None:
    """Ask the rule about the convolution itself, ``linalg.conv_2d_nchw_fchw``."""
    nest = Nest(tuple("nfyxcrs"), (("n", "c", *geometry.places()), tuple("fcrs")), tuple("nfyx"), listed)
    names = {**dict(zip("nfyxcrs", "nfyxcrs")), **{d: name for name, d in AXES.items()}}
    require_invariant(nest, names, _WHERE)


def _check(x: np.ndarray, w: np.ndarray) -> None:
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        what = f"expects (n, c, height, width) and (f, c, rows, columns), got {x.shape} and {w.shape}"
        raise ShapeError(what, where=_WHERE, hint="one image: x[None]; groups= where filters have fewer channels")
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
        raise ShapeError(
            f"the axis has size {size}, its pattern is for {pattern.sizes[0]}",
            where=f"{_WHERE}: {name}",
            hint="images=, filters= and channels= each count along their own axis",
        )
