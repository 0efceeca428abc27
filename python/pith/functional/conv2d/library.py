"""torch's convolution of what patterns name, and calls that repeat: the faster of its two ways, by measurement.

Between two convolutions the caches hold nothing of the interpreter: checking arguments, counting and listing what is
named took 0.13 ms of calls of 0.42, half of the channels of 256x512 1x1 filters on 14x14 images, of which torch's
convolution takes 0.29 (two threads, Emerald Rapids, 2026-11-22). So what depends on patterns and sizes alone is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import weakref
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from ...patterns import Pattern
from ...runtime import num_threads
from ..turns import Turns
from .geometry import Geometry

#: The ways: of all channels, those that are not named zeroed in a copy; of copies of what is named.
DENSE, PACKED = "dense", "named"

#: Calls after which all is measured anew: at first, and at most. In between twice as many each time.
_SOON, _HOLDS = 8, 1024

#: Kinds of calls that are kept.
_KEPT = 256


class Library:
    """torch's convolution of what patterns name, for operands of some sizes.

    Args:
        filters, shape: of all filters, and of the result.
    """

    def __init__(
        self, filters: Sequence[int], shape: Sequence[int], patterns: Mapping[str, Pattern], geometry: Geometry
    ):
        import torch

        self.torch, self.shape = torch, tuple(shape)
        self.geometry = geometry.stride, geometry.padding, geometry.dilation
        listed = {name: p.indices()[0] for name, p in patterns.items()}
        self.is_empty = not all(map(len, listed.values()))
        partial = {name: i for name, i in listed.items() if len(i) < patterns[name].sizes[0]}
        self.named = {name: torch.from_numpy(i) for name, i in partial.items()}
        self.dropped = None
        if "channels" in partial:
            channels = np.arange(patterns["channels"].sizes[0])
            self.dropped = torch.from_numpy(np.setdiff1d(channels, partial["channels"]))
        self.windows = self._windows(filters) if self.dropped is not None and math.prod(filters[2:]) > 1 else None

    def _windows(self, filters: Sequence[int]) -> Any:
        """Numbers of the windows of filters that are named.

        torch copies rows of a matrix by all threads: half of the channels of 512x512 3x3 filters in 0.30 ms instead of
        0.56, on one thread in as long; 1x1 filters by channels in 0.03 instead of 0.09 (Emerald Rapids, 2026-11-22).
        """
        rows = self.named["filters"] if "filters" in self.named else self.torch.arange(filters[0])
        return (rows[:, None] * filters[1] + self.named["channels"]).reshape(-1)

    def __call__(self, x: np.ndarray, w: np.ndarray, way: str) -> np.ndarray:
        """The convolution, one of the two ways."""
        if self.is_empty:
            return np.zeros(self.shape, x.dtype)
        torch, named = self.torch, self.named
        a, b = (torch.from_numpy(v if v.flags.carray else v.copy()) for v in (x, w))
        if "images" in named:
            a = a.index_select(0, named["images"])
        by_window = self.windows is not None and way == PACKED
        if "filters" in named and not by_window:
            b = b.index_select(0, named["filters"])
        if self.dropped is not None and way == DENSE:  # 64 of 56x56: 0.05 ms, by torch.where 0.10 (Zen 4, 2026-11)
            a = a.clone().index_fill_(1, self.dropped, 0)
        elif self.dropped is not None:
            a = a.index_select(1, named["channels"])
            b = self._copy_windows(b) if by_window else b.index_select(1, named["channels"])
        with torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else contextlib.nullcontext():
            found = torch.conv2d(a, b, None, *self.geometry).numpy()
        if "images" not in named and "filters" not in named:
            return found
        out = np.zeros(self.shape, x.dtype)
        kept = (named[n].numpy() if n in named else np.arange(s) for n, s in zip(("images", "filters"), self.shape))
        out[np.ix_(*kept)] = found
        return out

    def _copy_windows(self, filters: Any) -> Any:
        """The channels of filters that are named."""
        window = filters.shape[2:]
        copied = filters.view(-1, math.prod(window)).index_select(0, self.windows)
        return copied.view(-1, len(self.named["channels"]), *window)


@dataclasses.dataclass(frozen=True, slots=True)
class Repeated:
    """Calls that differ in nothing but what the arrays hold.

    Attributes:
        turns: the times of the ways.
        threads: that they were timed on.
        patterns: that they name, in order of their names.
    """

    library: Library
    turns: Turns
    threads: int
    patterns: tuple[weakref.ref, ...]


_REPEATED: dict[Hashable, Repeated] = {}


def key_of(x: np.ndarray, w: np.ndarray, patterns: Mapping[str, Any], options: tuple) -> Hashable | None:
    """What calls that repeat have in common; None where torch does not convolve, or an array is not row by row."""
    if "torch" not in sys.modules or x.dtype.char not in "fd" or not (x.flags.carray and w.flags.carray):
        return None
    given = tuple((name, id(p)) for name, p in patterns.items() if p is not None)
    key = x.shape, w.shape, x.dtype, w.dtype, given, options
    try:
        hash(key)
    except TypeError:  # a list of strides
        return None
    return key


def repeat(key: Hashable | None, x: np.ndarray, w: np.ndarray, patterns: Mapping[str, Any]) -> np.ndarray | None:
    """The result of a call like earlier ones; None of others."""
    found = _REPEATED.get(key) if key is not None else None
    if found is None or found.threads != num_threads():
        return None
    given = [p for p in patterns.values() if p is not None]
    if any(known() is not p for known, p in zip(found.patterns, given)):
        return None
    return found.turns.run(lambda way: found.library(x, w, way))


def remember(key: Hashable | None, library: Library, order: Sequence[str], patterns: Mapping[str, Pattern]) -> None:
    """Calls of this kind are torch's; ``order``: the ways, by predicted time."""
    if key is None or library.is_empty:
        return
    if len(_REPEATED) >= _KEPT:
        _REPEATED.clear()
    given = tuple(map(weakref.ref, patterns.values()))
    _REPEATED[key] = Repeated(library, Turns(tuple(order), _SOON, _HOLDS), num_threads(), given)


def forget_repeated() -> None:
    """Decide anew: after the tile database changed."""
    _REPEATED.clear()
