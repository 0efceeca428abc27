"""Geometry of convolutions: how a window moves over an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, ShapeError

_Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How a window moves: rows and columns per step, zeros around the image, distance of the window's elements."""

    stride: _Pair
    padding: _Pair
    dilation: _Pair
    where: str = dataclasses.field(default="pith.conv2d", compare=False)

    @classmethod
    def of(cls, stride: Any, padding: Any, dilation: Any, where: str) -> Geometry:
        """Of what a user gave: one or two integers each. Errors: :class:`pith.ArgumentError`."""
        return cls(
            _pair(stride, 1, f"{where}: stride"),
            _pair(padding, 0, f"{where}: padding"),
            _pair(dilation, 1, f"{where}: dilation"),
            where,
        )

    def places(self) -> list[str]:
        """Row and column of the image that element (r, s) of the window meets at place (y, x)."""
        return [f"{o} * {s} + {k} * {d}" for o, k, s, d in zip("yx", "rs", self.stride, self.dilation)]

    def shape(self, x: Sequence[int], w: Sequence[int]) -> tuple[int, int, int, int]:
        """The shape of the result, of those of the images and the filters. Errors: :class:`pith.ShapeError`."""
        spatial = []
        geometry = zip(x[2:], w[2:], self.stride, self.padding, self.dilation)
        for size, window, s, p, d in geometry:
            room = size + 2 * p - d * (window - 1) - 1
            if room < 0 or not window:
                raise ShapeError(
                    f"a window of {window} (dilation {d}) does not fit into {size} and padding {p}", where=self.where
                )
            spatial.append(room // s + 1)
        height, width = spatial
        return x[0], w[0], height, width


def _pair(value: Any, low: int, where: str) -> _Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or any(not isinstance(v, int) or isinstance(v, bool) or not low <= v < 1 << 31 for v in pair):
        hint = "0 for 'valid'; window // 2 for 'same', where windows are odd" if isinstance(value, str) else None
        raise ArgumentError(f"expects one or two integers >= {low}, got {value!r}", where=where, hint=hint)
    return pair[0], pair[1]
