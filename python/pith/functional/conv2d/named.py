"""Convolutions of what run-time patterns name: which way they are computed, by counts and the tile database."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from pith.passes.analysis.tile_cost import Candidate, Decision, decide

from ...compiler.kernel import Kernel
from ...errors import UnsupportedError
from ...patterns import Pattern
from ...runtime import dtype_name, num_threads
from ...tuning.tiles import DENSE_GAIN, IN_PLACE, LIBRARY, TileTable, table_for
from ..dynamic.sampling import COLUMNS
from ..einsum.einsum import execute
from ..einsum.equation import Equation
from ..einsum.ir import NAMED, Program
from ..einsum.kernel import kernel_of
from ..einsum.nest import Listed, Nest
from .geometry import Geometry
from .library import DENSE, PACKED, Library, remember

#: The way that is none of the library's: pith's kernels.
KERNEL = "windows"

#: Name of a pattern -> the dimension it lies on.
AXES = {"images": "n", "filters": "f", "channels": "c", "rows": "y", "columns": "x"}

#: The product of windows and weights; the weights with the window in front, so that it is a batch of matrices.
_PRODUCT = Equation(("ncrsp", "rsfc"), "nfp")

#: Bytes of windows that are copied in a second, per thread. On a Zen 3 core 7.2 MB, the 3x3 windows of 64 channels of
#: 56x56, take 1.0 ms (2026-11).
_WINDOWS_PER_SECOND = 7.2e9

#: Bytes of images and filters that are copied in a second, per thread, counted where they are written. 3x3 filters of
#: 512 channels, half and three quarters of them: 9 and 10e9 (Emerald Rapids, one thread, 2026-11-22).
_COPIED_PER_SECOND = 1e10

#: Bytes of filters that are put behind their windows in a second, by one thread: half of the channels of 3x3 filters,
#: 512 by 512, take 7.1 ms as windows, of which these are 6; 256 by 256 take 2.6, of which 1.5 (Emerald Rapids,
#: 2026-11-22).
_TURNED_PER_SECOND = 1.6e9

#: Seconds of finding and calling the kernels: half of the channels of 256x512 1x1 filters on 14x14 images take 0.41 ms
#: as windows, copies and product 0.30 (Emerald Rapids, 2026-11-22).
_CALLED_SECONDS = 1e-4


@dataclasses.dataclass(frozen=True)
class Named:
    """A convolution and what of it is named.

    Attributes:
        image, filters: shapes of images and filters, of what is named but for the channels.
        places: of the result, in an image.
        channels: named ones.
        element: element type.
        library: torch can convolve it.
    """

    image: tuple[int, int, int, int]
    filters: tuple[int, int, int, int]
    places: int
    channels: int
    element: str
    library: bool

    @classmethod
    def of(cls, x: np.ndarray, w: np.ndarray, shape: Sequence[int], patterns: Mapping[str, Pattern]) -> Named:
        """Of operands, the shape of the result, and patterns."""
        counts = {name: _elements(p) for name, p in patterns.items()}
        sizes = {"images": shape[0], "filters": shape[1], "channels": w.shape[1]} | counts
        n, f, c = (sizes[name] for name in ("images", "filters", "channels"))
        library = "torch" in sys.modules and x.dtype.char in "fd" and bool(x.size and w.size)
        image, filters = (n, *x.shape[1:]), (f, *w.shape[1:])
        return cls(image, filters, math.prod(shape[2:]), c, dtype_name(x.dtype), library)

    @property
    def extents(self) -> tuple[int, int, int]:
        """As a product of the filters, a matrix of which columns may not be named, and windows."""
        return self.filters[0], math.prod(self.filters[1:]), self.image[0] * self.places

    @property
    def share(self) -> float:
        """Of the channels that are named."""
        return self.channels / self.image[1] if self.image[1] else 0.0


def choose(named: Named, variant: str = "auto") -> Decision:
    """The ways by predicted time, the one that is run first.

    Errors: :class:`pith.UnsupportedError` for a ``variant`` that there is not.
    """
    decision = _decided(named, num_threads())
    if variant == "auto":
        return decision
    chosen = next((c for c in decision.candidates if c.name == variant), None)
    if chosen is None:
        names = ", ".join(("auto", *(c.name for c in decision.candidates)))
        hint = f"one of {names}; {DENSE} and {PACKED} are torch's convolution of f32 and f64, where torch is loaded"
        raise UnsupportedError(f"no variant {variant!r}", where="pith.conv2d", hint=hint)
    return Decision((chosen, *(c for c in decision.candidates if c is not chosen)))


@functools.lru_cache(maxsize=4096)
def _decided(named: Named, threads: int) -> Decision:
    """Dense first, unless something else gains 5 %; without a table what is named, of which there is less."""
    table, share = table_for(named.element, "left", threads), named.share
    kernel = Candidate(KERNEL, 0.0, 1.0 - share, micro_tile=COLUMNS, wasted=0.0, way=IN_PLACE)
    if not named.library:
        return Decision((kernel,))
    dense = Candidate(DENSE, 0.0, wasted=1.0 - share, way=LIBRARY)
    packed = Candidate(PACKED, 0.0, 1.0 - share, micro_tile=COLUMNS, wasted=0.0, way=LIBRARY)
    if table is None:
        return Decision((dense, packed, kernel) if named.channels == named.image[1] else (packed, dense, kernel))
    costs = _costs(named, table, threads)
    found = decide([dataclasses.replace(c, cost=costs[c.name]) for c in (dense, packed, kernel)])
    if found.chosen.cost * DENSE_GAIN <= costs[DENSE]:
        return found
    return Decision(tuple(sorted(found.candidates, key=lambda c: c.name != DENSE)))


def _costs(named: Named, table: TileTable, threads: int) -> dict[str, float]:
    """Predicted seconds of every way."""
    nearest, share, size = table.nearest(named.extents), named.share, 8 if named.element == "f64" else 4
    scale = math.prod(named.extents) / math.prod(nearest.table.extents)
    dense = nearest.table.dense * scale
    image, filters = (math.prod(shape) * size for shape in (named.image, named.filters))
    windows = share * math.prod(named.extents[1:]) * size
    rate = _COPIED_PER_SECOND * threads
    besides = _CALLED_SECONDS + windows / _WINDOWS_PER_SECOND / threads
    if math.prod(named.filters[2:]) > 1:
        besides += filters / _TURNED_PER_SECOND
    return {
        DENSE: dense + (image / rate if share < 1.0 else 0.0),
        PACKED: dense * share + share * (image + filters) / rate,
        KERNEL: nearest.table.latency(COLUMNS, 1.0 - share) * scale + besides,
    }


def _elements(pattern: Pattern) -> int:
    """Elements that a pattern of one axis names."""
    (extent,), (size,) = pattern.granularity, pattern.sizes
    return pattern.count if extent == 1 else min(size, len(pattern.indices()[0]))


def convolve_named(
    x: np.ndarray,
    w: np.ndarray,
    shape: Sequence[int],
    patterns: Mapping[str, Pattern],
    geometry: Geometry,
    variant: str,
    key: Hashable | None,
) -> np.ndarray:
    """The convolution of what patterns name, the way that is predicted to be fastest; see :func:`pith.conv2d`.

    Args:
        key: what later calls of the kind are known by, if they may be measured.
    """
    decision = choose(Named.of(x, w, shape, patterns), variant)
    way = decision.chosen.name
    if way == KERNEL:
        return _by_kernels(x, w, shape, patterns, geometry)
    library = Library(w.shape, shape, patterns, geometry)
    if variant == "auto":
        ways = [c.name for c in decision.candidates if c.name != KERNEL]
        remember(key, library, ways if "channels" in library.named else ways[:1], patterns)
    return library(x, w, way)


def _by_kernels(
    x: np.ndarray, w: np.ndarray, shape: Sequence[int], patterns: Mapping[str, Pattern], geometry: Geometry
) -> np.ndarray:
    """Windows of what is named are copied, then multiplied."""
    windows = _windows(x, w.shape[2:], shape, patterns, geometry)
    weights = np.ascontiguousarray(w.transpose(2, 3, 0, 1))
    sizes = {"n": shape[0], "f": shape[1], "c": x.shape[1]}
    sizes |= {"r": weights.shape[0], "s": weights.shape[1], "p": shape[2] * shape[3]}
    return execute(_PRODUCT, [windows, weights], sizes, {AXES[name]: p for name, p in patterns.items()}).reshape(shape)


def _windows(
    x: np.ndarray,
    window: Sequence[int],
    shape: Sequence[int],
    patterns: Mapping[str, Pattern],
    geometry: Geometry,
) -> np.ndarray:
    """What every element of the window meets: ``(n, c, r, s, y * x)``, of the images and channels that are named."""
    named = {AXES[name]: p for name, p in patterns.items() if name in ("images", "channels")}
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
    return kernel_of(program, dict(zip("ncrsyx", "ncrsyx")), geometry.where)


def explain_conv2d(x: Any, w: Any, *, variant: str = "auto", **options: Any) -> str:
    """What ``pith.conv2d(x, w, variant=variant, **options)`` runs, and why."""
    from ...tuning.candidates import candidates_table, rival_text
    from .conv2d import prepared
    from .stored import explain_stored, is_fused

    if is_fused(w, *(options.get(name) for name in ("bias", "activation", "residual"))):
        return explain_stored(x, w, **options)
    x, w, shape, patterns, _ = prepared(x, w, **options)
    named = Named.of(x, w, shape, patterns)
    table, decision = table_for(named.element, "left", num_threads()), choose(named, variant)
    heading = f"{'x'.join(map(str, x.shape))} {named.element}, filters {'x'.join(map(str, w.shape))}"
    rows = "".join(f", {_elements(p)} of {p.sizes[0]} {name}" for name, p in patterns.items())
    source = "times from: nothing measured" if table is None else f"times from: {table.describe()}"
    lines = [heading + rows, source, "", *candidates_table(decision, {}), ""]
    return "\n".join([*lines, f"runs {decision.chosen.name}{rival_text(decision)}"])
